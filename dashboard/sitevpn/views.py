"""The site-to-site VPN page and the form of a peer."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from dashboard.fleet import selectors as fleet
from dashboard.publish import selectors as publishing
from dashboard.sitevpn import selectors, services
from dashboard.sitevpn.forms import PeerForm, SubnetFormSet
from dashboard.sitevpn.models import Peer
from dashboard.sitevpn.presets import PRESETS, summary
from vpnengine.contract.problems import Refused


@require_http_methods(["GET", "POST"])
def sitevpn(request: HttpRequest) -> HttpResponse:
    """Local subnets, third-party peers, and how far the configuration has come."""
    site = fleet.site_for(request.user.pk)
    queryset = site.subnets.order_by("id")
    formset = SubnetFormSet(request.POST or None, queryset=queryset, prefix="subnets")
    problems: list[str] = []
    if request.method == "POST" and formset.is_valid():
        rows = [
            (form.cleaned_data["subnet"], form.cleaned_data["name"], form.cleaned_data["in_vpn"])
            for form in formset.forms
            if form.cleaned_data.get("subnet") and not form.cleaned_data.get("DELETE")
        ]
        try:
            services.save_subnets(site.pk, rows, request.user.pk)
        except Refused as refused:
            problems = [problem.message for problem in refused.problems]
        else:
            messages.success(request, "The local subnets are saved.")
            return redirect("sitevpn")
    appliances = fleet.appliances_of(site.pk)
    revision = publishing.newest(appliances[0].pk) if appliances else None
    context = {
        "site": site,
        "formset": formset,
        "problems": problems,
        "peers": [(peer, summary(services.policy_of(peer))) for peer in selectors.peers(site.pk)],
        "revision": revision,
        "waiting": publishing.waiting_reason(appliances[0].pk) if appliances else "",
    }
    return render(request, "sitevpn/site.html", context)


@require_http_methods(["GET", "POST"])
def peer(request: HttpRequest, uuid: UUID | None = None) -> HttpResponse:
    """Add or change a peer. What was typed is kept when it is refused, except the secret."""
    site = fleet.site_for(request.user.pk)
    row = selectors.peer(site.pk, uuid) if uuid else Peer(site=site)
    form = PeerForm(request.POST or None, instance=row)
    if request.method == "POST" and form.is_valid() and _saved(request, form):
        messages.success(request, f"Peer “{row.name}” is saved.")
        return redirect("sitevpn")
    if form.is_bound and form.data.get("secret"):
        form.secret_again = True
    return render(request, "sitevpn/peer.html", {"form": form, "peer": row, "presets": PRESETS, "site": site})


def _saved(request: HttpRequest, form: PeerForm) -> bool:
    try:
        services.save_peer(
            form.save(commit=False),
            secret=form.cleaned_data["secret"],
            author_id=request.user.pk,
            expected_edit=form.cleaned_data["edit"],
        )
    except Refused as refused:
        form.add_problems(refused.problems)
        return False
    except services.EditConflict:
        form.add_error(None, "Somebody else has changed this peer since you opened it; load the page again to see it.")
        return False
    return True


@require_POST
def delete_peer(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Remove a peer."""
    site = fleet.site_for(request.user.pk)
    row = selectors.peer(site.pk, uuid)
    services.delete_peer(row, request.user.pk)
    messages.success(request, f"Peer “{row.name}” is removed.")
    return redirect("sitevpn")
