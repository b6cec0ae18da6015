"""The search page, its results for the command palette, and the way to what was found."""

from __future__ import annotations

from dataclasses import asdict
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from dashboard.accounts.access import choose
from dashboard.core.permissions import needs
from dashboard.search import selectors

# What a peer is opened with: its live page, if there is one, else its form.
PAGES = {"peer": ("status-peer", "peer"), "user": ("vpn-users",), "local": ("sitevpn",)}


@needs(get="signed_in")
def search(request: HttpRequest) -> HttpResponse:
    """Works without a script."""
    query = request.GET.get("q", "")
    hits = selectors.find(request.access, query)
    return render(request, "search/search.html", {"query": query[: selectors.MAX_QUERY], "hits": hits})


@needs(get="signed_in")
def results(request: HttpRequest) -> JsonResponse:
    """The same as JSON, for the palette."""
    hits = selectors.find(request.access, request.GET.get("q", ""))
    return JsonResponse({"hits": [asdict(hit) for hit in hits]})


@needs(get="monitor")
def open_hit(request: HttpRequest, site: UUID, kind: str, target: UUID) -> HttpResponse:
    """Choose the site where it is, then go to its page, which checks everything else."""
    if kind not in PAGES or site not in {row.uuid for row in request.access.sites}:
        raise Http404
    if request.access.site.uuid != site:
        choose(request, str(request.access.organization.uuid), str(site))
    if kind != "peer":
        return redirect(PAGES[kind][0])
    return redirect(reverse("status-peer", args=[target]))
