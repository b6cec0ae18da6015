"""The Event Log."""

from __future__ import annotations

import json
import time

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from dashboard.core.permissions import needs
from dashboard.eventlog import filters, selectors
from dashboard.fleet import selectors as fleet
from dashboard.sitevpn import explain
from dashboard.sitevpn import selectors as vpn

SEVERITIES = (
    ("", _("All")),
    ("error", _("Errors")),
    ("error,warning", _("Problems")),
    ("error,warning,notice", _("Problems and changes")),
)
CHOICES = 20
_KINDS = ("peer", "site", "appliance")


@needs(get="monitor")
def events(request: HttpRequest) -> HttpResponse:
    """The page; its rows come as JSON and then live. What it is to show stands in its address."""
    context = {
        "names_json": json.dumps(_names(request, _query(request))),
        "severities": SEVERITIES,
        "severity": request.GET.get("severity", ""),
        "several": len(_placed(request, "appliance")) > 1,
    }
    return render(request, "eventlog/events.html", context)


@needs(get="monitor")
def rows(request: HttpRequest) -> HttpResponse:
    """Rows below a number, at a time, or the newest ones, newest first; or above a number, oldest first.

    ``reached`` is the number up to which was looked, ``top`` the highest that was; ``more``: there is more behind it.
    """
    organization, visible = request.access.organization, request.access.appliance_ids
    query = _query(request)
    try:
        wanted = filters.parse(query)
        before, above = filters.number(query, "before"), filters.number(query, "after")
        at = query.get("at", [""])[-1]
        if at:
            before = selectors.position(organization.pk, filters.moment(at, "at", time.time())) + 1
    except filters.FilterError as error:
        return JsonResponse({"field": error.field, "error": error.rule}, status=400)
    if above is not None:
        found = selectors.newer(organization.pk, wanted, above, visible)
        top = found.reached
    else:
        found = selectors.older(organization.pk, wanted, before, visible)
        top = found.last if before is None else min(before - 1, found.last)
    head = {"first": found.first, "last": found.last, "top": top, "reached": found.reached, "more": not found.done}
    # The rows are JSON already.
    return HttpResponse(f'{json.dumps(head)[:-1]}, "rows": [{",".join(found.rows)}]}}', content_type="application/json")


@needs(get="monitor")
def choices(request: HttpRequest) -> JsonResponse:
    """Peers, sites or appliances whose name has a text, for the filters; or those peers of some ``id`` that exist."""
    text, kind = request.GET.get("q", "")[:80].lower().replace("\x00", ""), request.GET.get("kind", "")
    sites = [site.pk for site in request.access.sites]
    if kind == "peer" and request.GET.get("id"):
        found = list(vpn.peer_names(sites, request.GET["id"].split(",")).items())
    elif kind == "peer":
        found = [(str(peer.uuid), peer.name) for peer in vpn.find_peers(sites, text, CHOICES)]
    elif kind in ("site", "appliance"):
        found = _placed(request, kind).items()
        found = [(key, name) for key, name in found if text in name.lower()][:CHOICES]
    else:
        return JsonResponse({"field": "kind", "error": _("The kind is one of: peer, site, appliance.")}, status=400)
    return JsonResponse({"choices": [{"value": value, "name": name} for value, name in found]})


def _query(request: HttpRequest) -> dict[str, list[str]]:
    return dict(request.GET.lists())


def _placed(request: HttpRequest, kind: str) -> dict[str, str]:
    """Sites or appliances that may be seen, by what stands for them in an address."""
    found = fleet.places(request.access.organization.pk, [site.pk for site in request.access.sites])
    if kind == "site":
        return {key: name for __, __, key, name in found}
    return {uuid: name for uuid, name, __, __ in found}


def _names(request: HttpRequest, query: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    """Names of what the address asks for, so that the page does not show identifiers."""
    asked = {kind: [v for value in query.get(kind, []) for v in value.split(",")] for kind in _KINDS}
    names: dict[str, dict[str, str]] = {kind: {} for kind in _KINDS}
    if asked["peer"]:
        names["peer"] = vpn.peer_names([site.pk for site in request.access.sites], asked["peer"])
    for kind in ("site", "appliance"):
        if asked[kind]:
            every = _placed(request, kind)
            names[kind] = {key: every[key] for key in asked[kind] if key in every}
    return names


@needs(get="signed_in")
def catalogue(request: HttpRequest) -> JsonResponse:
    """What each event code means, and where the fields stand that hints name."""
    return JsonResponse({"codes": explain.explanations(), "places": explain.places()})
