"""The Event Log and the VPN status."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from dashboard.core.permissions import needs
from dashboard.eventlog import selectors
from dashboard.fleet import selectors as fleet
from dashboard.publish import services as publishing
from dashboard.sitevpn import explain
from dashboard.sitevpn import selectors as vpn
from dashboard.sitevpn import services as vpn_services

ACTIONS = ("initiate", "terminate", "rekey", "reset")
SEVERITIES = (
    ("", "All"),
    ("error", "Errors"),
    ("error,warning", "Problems"),
    ("error,warning,notice", "Problems and changes"),
)
FILTERS = ("severity", "peer", "code", "q", "negotiation")


@needs(get="monitor")
def events(request: HttpRequest) -> HttpResponse:
    """The page; its rows come as JSON and then live."""
    site = request.access.site
    context = {
        "peers": vpn.peers(site.pk),
        "filters": {name: request.GET.get(name, "") for name in FILTERS},
        "severities": SEVERITIES,
    }
    return render(request, "eventlog/events.html", context)


@needs(get="monitor")
def rows(request: HttpRequest) -> JsonResponse:
    """One page of rows, newest first."""
    organization = request.access.organization
    before = request.GET.get("before", "")
    if before and not before.isdecimal():
        return JsonResponse({"field": "before", "error": "before is a sequence number"}, status=400)
    filters = {name: request.GET.get(name, "")[:200] for name in FILTERS}
    first, last = selectors.bounds(organization.pk)
    only = request.access.appliance_ids
    found = selectors.page(organization.pk, filters, int(before) if before else None, only)
    return JsonResponse({"rows": found, "first": first, "last": last, "more": len(found) == selectors.PAGE})


@needs(get="signed_in")
def catalogue(request: HttpRequest) -> JsonResponse:
    """What each event code means, and where the fields stand that hints name."""
    return JsonResponse({"codes": explain.explanations(), "places": explain.places()})


@needs(get="monitor")
def status(request: HttpRequest) -> HttpResponse:
    """The page; its contents come live."""
    return render(request, "eventlog/status.html")


@needs(post="operate")
def action(request: HttpRequest, op: str, uuid: UUID) -> HttpResponse:
    """Bring up, tear down or rekey a peer of one's own site."""
    if op not in ACTIONS:
        raise Http404
    site = request.access.site
    peer = vpn.peer(site.pk, uuid)
    vpn_services.note_action(peer, op)
    for appliance in fleet.appliances_of(site.pk):
        if not publishing.request_action(str(appliance.uuid), op, str(peer.uuid)):
            error = "The workers cannot be reached, so nothing was done. Try again in a moment."
            return JsonResponse({"error": error}, status=503)
    return HttpResponse(status=204)
