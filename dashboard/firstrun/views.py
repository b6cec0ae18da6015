"""One page whose steps follow from what is there: leave it whenever you like, and come back to where you were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from dashboard.core.permissions import needs
from dashboard.core.subnets import sentence
from dashboard.firstrun.forms import FirstPeerForm, PlaceForm, SubnetForm
from dashboard.fleet import services as fleet
from dashboard.sitevpn import selectors as vpn
from dashboard.sitevpn import services as vpn_services
from vpnengine.contract.problems import Refused


@dataclass(frozen=True)
class Step:
    """One step: ``told`` says in a few words what was entered."""

    key: str
    title: str | Promise
    done: bool
    told: str = ""


def steps(site: Any) -> list[Step]:
    """Where a site is on the way to its first tunnel."""
    subnets = [row.subnet for row in vpn.subnets(site.pk) if row.in_vpn]
    peers = vpn.peers(site.pk)
    return [
        Step("place", _("Place and time"), bool(site.time_zone), f"{site.name}, {site.time_zone}"),
        Step("subnets", _("Local subnets"), bool(subnets), ", ".join(subnets[:3])),
        Step("peer", _("First peer"), bool(peers), peers[0].name if peers else ""),
        Step("watch", _("Watch it come up"), False),
    ]


@needs(get="read", post="edit")
def setup(request: HttpRequest) -> HttpResponse:
    """The next open step, or the one that was asked for again."""
    site = request.access.site
    found = steps(site)
    following = next(step for step in found if not step.done)
    wanted = request.GET.get("step", "")
    reachable = [step for step in found if step.done or step is following]
    step = next((one for one in reachable if one.key == wanted), following)
    form = _form(step.key, site, request.POST if request.method == "POST" else None)
    if form is not None and form.is_bound and form.is_valid() and _saved(request, step.key, form):
        return redirect("setup")
    peers = vpn.peers(site.pk) if step.key == "watch" else []
    context = {"steps": found, "step": step, "form": form, "done": sum(one.done for one in found), "peers": peers[:1]}
    return render(request, "firstrun/setup.html", context)


def _form(key: str, site: Any, data: Any) -> forms.Form | None:
    if key == "place":
        return PlaceForm(data, initial={"name": site.name, "time_zone": site.time_zone or "UTC"})
    if key == "subnets":
        kept = [row.subnet for row in vpn.subnets(site.pk)]
        return SubnetForm(data, initial={"subnets": "\n".join(kept)})
    return FirstPeerForm(data) if key == "peer" else None


def _saved(request: HttpRequest, key: str, form: forms.Form) -> bool:
    """False, with the problems at their fields, if it is refused."""
    save: dict[str, Callable[[HttpRequest, dict[str, Any]], None]] = {
        "place": _save_place,
        "subnets": _save_subnets,
        "peer": _save_peer,
    }
    try:
        save[key](request, form.cleaned_data)
    except Refused as refused:
        for problem in refused.problems:
            name = problem.field.rpartition(".")[2]
            name = {"psk": "secret", "local_subnets": "remote_subnets"}.get(name, name)
            form.add_error(name if name in form.fields else None, sentence(problem.message))
        return False
    return True


def _save_place(request: HttpRequest, data: dict[str, Any]) -> None:
    fleet.describe_site(request.access.site, name=data["name"], time_zone=data["time_zone"])


def _save_subnets(request: HttpRequest, data: dict[str, Any]) -> None:
    """Subnets that are there keep their name and whether they are in the VPN."""
    site = request.access.site
    there = {row.subnet: (row.subnet, row.name, row.in_vpn) for row in vpn.subnets(site.pk)}
    rows = [there.get(subnet, (subnet, "", True)) for subnet in data["subnets"]]
    vpn_services.save_subnets(site.pk, rows, request.user.pk)


def _save_peer(request: HttpRequest, data: dict[str, Any]) -> None:
    secret = data.pop("secret")
    vpn_services.add_peer(
        request.access.site.pk, {**data, "start": "immediate"}, secret=secret, author_id=request.user.pk
    )
