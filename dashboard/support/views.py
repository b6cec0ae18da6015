"""The page of the support bundle, and the file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from uuid import UUID

from django.core.cache import cache
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from redis import RedisError

from dashboard.core.permissions import needs
from dashboard.support import bundle as bundles

ONE_AT_A_TIME_S = 120


class Busy(Exception):
    """A bundle of this organization is being made."""


@needs(get="organization_read")
def support(request: HttpRequest) -> HttpResponse:
    """What a bundle has, what not, and one for each site."""
    return render(request, "support/support.html", _context(request))


@needs(post="organization_read")
def bundle(request: HttpRequest, uuid: UUID) -> HttpResponse | FileResponse:
    """The bundle of one site, as a file."""
    sites = request.access.sites_where("organization_read")
    site = next((site for site in sites if site.uuid == uuid), None)
    if site is None:
        raise Http404
    try:
        with _alone(site.organization_id):
            name, file = bundles.make(site)
    except Busy:
        busy = _("A bundle is being made already. Try again when it has arrived.")
        return render(request, "support/support.html", {**_context(request), "problem": busy}, status=429)
    answer = FileResponse(file, as_attachment=True, filename=name, content_type="application/gzip")
    answer["Cache-Control"] = "no-store"
    return answer


def _context(request: HttpRequest) -> dict[str, object]:
    sites = request.access.sites_where("organization_read")
    return {"sites": sites, "events": bundles.EVENTS, "traces": bundles.TRACES}


@contextlib.contextmanager
def _alone(organization_id: int) -> Iterator[None]:
    """One bundle at a time. Without Redis, when a bundle is needed most, it is made all the same.

    :raises Busy: if another one is being made.
    """
    key = f"support-bundle:{organization_id}"
    try:
        free = cache.add(key, 1, ONE_AT_A_TIME_S)
    except (RedisError, OSError):
        free = True
    if not free:
        raise Busy
    try:
        yield
    finally:
        with contextlib.suppress(RedisError, OSError):
            cache.delete(key)
