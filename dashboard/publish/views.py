"""The history of a site's configuration: look, compare, restore, confirm."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from dashboard.core.permissions import needs
from dashboard.fleet import selectors as fleet
from dashboard.publish import drift, history, review, selectors
from dashboard.publish.models import Revision
from vpnengine.contract.problems import Refused

PAGE = 30


def _appliance(request: HttpRequest) -> Any:
    """:raises Http404: if the site has no appliance yet."""
    appliances = fleet.appliances_of(request.access.site.pk)
    if not appliances:
        raise Http404
    return appliances[0]


def _revision(appliance: Any, number: int) -> Revision:
    found = selectors.revision(appliance.pk, number)
    if found is None:
        raise Http404
    return found


@needs(get="read")
def history_page(request: HttpRequest) -> HttpResponse:
    """All revisions, the newest first, and whether the engine runs what it should."""
    appliances = fleet.appliances_of(request.access.site.pk)
    if not appliances:
        return render(request, "publish/history.html", {"page": None})
    page = Paginator(selectors.heads(appliances[0].pk), PAGE).get_page(request.GET.get("page"))
    newest = selectors.newest_head(appliances[0].pk)
    context = {"page": page, "drift": drift.present(appliances[0]), "newest": newest, "appliance": appliances[0]}
    return render(request, "publish/history.html", context)


@needs(get="read")
def revision_page(request: HttpRequest, number: int) -> HttpResponse:
    """One revision: what it changed, and what it would do to go back to it."""
    appliance = _appliance(request)
    row = _revision(appliance, number)
    newest = selectors.newest(appliance.pk)
    assert newest is not None, "there is at least this one"  # noqa: S101
    changed = review.finish(review.prepare(review.before_of(row), row.document, ask=False))
    back = None
    if newest.number != row.number:
        prepared = review.prepare(newest.document, row.document, ask=appliance.is_local and request.access.may("edit"))
        back = review.finish(prepared)
    context = {"row": row, "newest": newest, "changed": changed, "back": back, "before": _before(appliance, row)}
    return render(request, "publish/revision.html", context)


def _before(appliance: Any, row: Revision) -> int | None:
    earlier = selectors.heads(appliance.pk).filter(number__lt=row.number).first()
    return earlier.number if earlier else None


@needs(get="read")
def compare(request: HttpRequest) -> HttpResponse:
    """Any two revisions side by side."""
    appliance = _appliance(request)
    wanted = [request.GET.get(name, "") for name in ("from", "to")]
    if not all(text.isdecimal() and len(text) < 10 for text in wanted):
        messages.error(request, _("Choose two revisions to compare."))
        return redirect("configuration")
    one, other = (_revision(appliance, int(text)) for text in wanted)
    found = review.finish(review.prepare(one.document, other.document, ask=False))
    return render(request, "publish/compare.html", {"one": one, "other": other, "found": found})


@needs(post="edit")
def restore(request: HttpRequest, number: int) -> HttpResponse:
    """Make everything as it was in a revision, with a new one."""
    appliance = _appliance(request)
    row = _revision(appliance, number)
    try:
        history.restore(
            site_id=request.access.site.pk, appliance_id=appliance.pk, number=row.number, author_id=request.user.pk
        )
    except Refused as refused:
        messages.error(request, " ".join(problem.message for problem in refused.problems))
        return redirect("configuration-revision", number)
    messages.success(request, _("Revision %(number)s is restored.") % {"number": number})
    return redirect("configuration")


@needs(post="edit")
def confirm(request: HttpRequest, number: int) -> HttpResponse:
    """Keep a revision that would go back by itself."""
    appliance = _appliance(request)
    _revision(appliance, number)
    try:
        history.confirm(site_id=request.access.site.pk, appliance_id=appliance.pk, number=number)
    except history.NothingToConfirm:
        messages.error(request, _("Revision %(number)s is not on trial any more.") % {"number": number})
    else:
        messages.success(request, _("Revision %(number)s is kept.") % {"number": number})
    return redirect(_next(request))


@needs(post="edit")
def take_back(request: HttpRequest, number: int) -> HttpResponse:
    """Go back to the last good revision now."""
    appliance = _appliance(request)
    _revision(appliance, number)
    try:
        history.go_back(appliance.pk, author_id=request.user.pk, at_once=True)
    except (history.NothingToConfirm, Refused) as error:
        text = _("Revision %(number)s cannot be taken back. %(why)s") % {"number": number, "why": error}
        messages.error(request, text.strip())
    else:
        messages.success(request, _("Revision %(number)s is taken back.") % {"number": number})
    return redirect(_next(request))


def _next(request: HttpRequest) -> str:
    wanted = request.POST.get("next", "")
    return wanted if url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) else "configuration"


@needs(get="read")
def pending(request: HttpRequest) -> HttpResponse:
    """The banner of a revision that waits for its confirmation, for the page's script; empty if none waits."""
    return render(request, "frame/confirm.html", {"pending_change": selectors.unconfirmed_at(request.access.site.pk)})
