"""The VPN status of all peers, and the page of one: what its tunnel is doing, and why not."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from dashboard.accounts import access as accounts
from dashboard.core.permissions import needs
from dashboard.fleet import selectors as fleet
from dashboard.insight import diagnosis, hints, history, lists, selectors, topology
from dashboard.publish import services as publishing
from dashboard.sitevpn import explain
from dashboard.sitevpn import selectors as vpn
from dashboard.sitevpn import services as sitevpn
from vpnengine.contract.problems import Refused

ACTIONS = ("initiate", "terminate", "rekey", "reset")


def _actions() -> list[tuple[str, str, str]]:
    """Commands: the operation, its label, and the label while it is done."""
    return [
        ("initiate", _("Bring up"), _("Bringing up…")),
        ("rekey", _("Rekey"), _("Rekeying…")),
        ("reset", _("Reset"), _("Resetting…")),
        ("terminate", _("Tear down"), _("Tearing down…")),
    ]


def _sa_columns() -> list[str]:
    return [
        _("Subnets"),
        _("State"),
        _("SPI in / out"),
        _("Agreed"),
        _("In"),
        _("Out"),
        _("Dropped"),
        _("Age"),
        _("Next rekey"),
    ]


@needs(get="monitor")
def overview(request: HttpRequest) -> HttpResponse:
    """Sites and peers as a map, and what needs attention first."""
    return render(request, "insight/overview.html", _overview(request))


@needs(get="monitor")
def overview_map(request: HttpRequest) -> HttpResponse:
    """The part that comes again."""
    return render(request, "insight/map.html", _overview(request))


def _overview(request: HttpRequest) -> dict[str, Any]:
    return topology.overview(request.access.organization.pk, request.access.sites_where("monitor"))


@needs(post="operate")
def examine(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The doctor: why a tunnel that is up carries nothing. Takes some seconds."""
    view = selectors.view(_peer(request, uuid, "operate"))
    target = request.POST.get("target", "").strip()[:64]
    context: dict[str, Any] = {"view": view, "error": "", "found": None}
    try:
        found = publishing.ask(view.appliance.uuid, "examine", peer=str(uuid), target=target)
    except publishing.EngineAway as error:
        context["error"] = str(error)
    except Refused as refused:
        context["error"] = " ".join(explain.sentence(problem.message) for problem in refused.problems)
    else:
        context |= {"found": found, "here": hints.linked(found["verdict"]["here"], str(uuid))}
    return render(request, "insight/examination.html", context)


@needs(get="monitor")
def status(request: HttpRequest) -> HttpResponse:
    """All peers; the filters stand in the address."""
    context = {"sites": request.access.sites_where("monitor"), **_listing(request)}
    return render(request, "insight/status.html", context)


@needs(get="monitor")
def rows(request: HttpRequest) -> HttpResponse:
    """The part with the peers."""
    return render(request, "insight/rows.html", _listing(request))


def _listing(request: HttpRequest) -> dict[str, Any]:
    sites = request.access.sites_where("monitor")
    found = lists.listing(request.access.organization.pk, sites, lists.Filters.of(request.GET))
    return {**found, "many_sites": len(sites) > 1, "engines": lists.engines(request.access.site.pk)}


@needs(post="operate")
def action(request: HttpRequest, op: str, uuid: UUID) -> HttpResponse:
    """Bring up, tear down, rekey or reset a peer."""
    if op not in ACTIONS:
        raise Http404
    row = _peer(request, uuid, "operate")
    for appliance in fleet.appliances_of(row.site_id):
        if not publishing.request_action(str(appliance.uuid), op, str(row.uuid)):
            error = _("The workers cannot be reached, so nothing was done. Try again in a moment.")
            return JsonResponse({"error": error}, status=503)
    sitevpn.note_action(row, op)
    return HttpResponse(status=204)


@needs(get="monitor")
def peer(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The whole page; its parts come again by themselves. Who comes from another site is at the peer's from now on."""
    view = _view(request, uuid)
    if view.peer.site_id != request.access.site.pk:
        site = next(site for site in request.access.sites if site.pk == view.peer.site_id)
        accounts.choose(request, str(request.access.organization.uuid), str(site.uuid))
        return redirect(request.get_full_path())
    chosen = history.find(request.GET.get("range", "")) or history.RANGES[0]
    context = {"view": view, "actions": _actions(), "sa_columns": _sa_columns()}
    context |= {"ranges": history.RANGES, "chosen_range": chosen}
    return render(request, "insight/peer.html", context | _diagnosis(request, view))


@needs(get="monitor")
def traffic(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The data of a peer's graphs."""
    peer = _peer(request, uuid, "monitor")
    asked = history.find(request.GET.get("range", history.RANGES[0].name))
    if asked is None:
        names = ", ".join(one.name for one in history.RANGES)
        return JsonResponse({"error": _("range: It is one of %s.") % names, "field": "range"}, status=400)
    return JsonResponse(history.history(request.access.organization.pk, peer.uuid, asked))


@needs(get="monitor")
def facts(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The part with states, SAs and counters."""
    context = {"view": _view(request, uuid), "sa_columns": _sa_columns()}
    return render(request, "insight/facts.html", context)


@needs(get="monitor")
def diagnosis_part(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The part with the explanation, the differences and the ladder."""
    view = _view(request, uuid)
    return render(request, "insight/diagnosis.html", {"view": view, **_diagnosis(request, view)})


def _view(request: HttpRequest, uuid: UUID) -> selectors.View:
    """What is known of a peer at a site that the user may look at."""
    return selectors.view(_peer(request, uuid, "monitor"))


def _peer(request: HttpRequest, uuid: UUID, permission: str) -> Any:
    """A peer at a site where the user has the permission.

    :raises Http404: if there is none.
    """
    return vpn.peer_at([site.pk for site in request.access.sites_where(permission)], uuid)


def _diagnosis(request: HttpRequest, view: selectors.View) -> dict[str, Any]:
    chosen = request.GET.get("negotiation", "")[:64]
    return {**selectors.explained(view, request.access.organization.pk), **selectors.ladders(view, chosen)}


@needs(post="edit")
def accept(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Accept what the peer asked for in one event."""
    row = _peer(request, uuid, "edit")
    seq, index = request.POST.get("seq", ""), request.POST.get("offer", "")
    if not (seq.isdecimal() and index.isdecimal() and len(seq) < 19 and len(index) < 4):
        seq = index = "0"  # no event has this number
    weak_is_fine = request.POST.get("weak") == "on"
    try:
        done = diagnosis.accept(
            request.access.organization.pk,
            row,
            int(seq),
            int(index),
            weak_is_fine=weak_is_fine,
            author_id=request.user.pk,
        )
    except LookupError:
        messages.error(request, _("That offer of the peer is not kept any more; nothing was changed."))
    except Refused as refused:
        messages.error(request, " ".join(explain.sentence(problem.message) for problem in refused.problems))
    except sitevpn.EditConflict:
        messages.error(request, _("Somebody else has changed this peer in the meantime; nothing was saved."))
    else:
        messages.success(request, f"{done} {_('The engine gets it at once, and tries again.')}")
    return redirect("status-peer", uuid=uuid)
