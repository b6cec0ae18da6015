"""The configuration for the other side: shown, copied, and taken away as a file."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from dashboard.core.permissions import needs
from dashboard.peerside import selectors
from dashboard.peerside.catalogue import BY_KEY, STRONGSWAN, VENDORS
from dashboard.peerside.fit import Fitted
from dashboard.peerside.forms import AddressForm
from dashboard.sitevpn import selectors as sitevpn
from dashboard.sitevpn import services as sitevpn_services
from vpnengine.contract.problems import Refused


@needs(get="read", post="edit")
def other_side(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """What the administrator of the other gateway pastes, for the gateway that they have."""
    site = request.access.site
    peer = sitevpn.peer(site.pk, uuid)
    vendor = BY_KEY.get(request.GET.get("vendor", ""), STRONGSWAN)
    address = selectors.our_address(site.pk, str(peer.uuid))
    form = AddressForm(request.POST or None, initial={"address": address})
    if request.method == "POST" and form.is_valid():
        sitevpn_services.save_public_address(site.pk, form.cleaned_data["address"])
        messages.success(request, _("The public address of this site is saved."))
        return redirect(f"{reverse('other-side', args=[uuid])}?vendor={vendor.key}")
    found, problems = _written(peer, site.name, address, vendor.key)
    context = {
        "peer": peer,
        "vendor": vendor,
        "vendors": VENDORS,
        "form": form,
        "found": found,
        "problems": problems,
        "lines": found.text.count("\n") + 1 if found else 0,
    }
    return render(request, "peerside/other_side.html", context)


def _written(peer: Any, site: str, address: str, key: str) -> tuple[Fitted | None, list[str]]:
    """The configuration, or why there can be none."""
    try:
        side = selectors.other_side(peer, site, address)
    except Refused as refused:
        return None, [problem.message[:1].upper() + problem.message[1:] for problem in refused.problems]
    return selectors.written(side, key), []


@needs(get="read")
def download(request: HttpRequest, uuid: UUID, key: str) -> HttpResponse:
    """The same as a file."""
    site = request.access.site
    peer = sitevpn.peer(site.pk, uuid)
    vendor = selectors.vendor(key)
    found = None
    if vendor is not None:
        found, _problems = _written(peer, site.name, selectors.our_address(site.pk, str(peer.uuid)), key)
    if vendor is None or found is None or not found.text:
        raise Http404
    answer = HttpResponse(found.text, content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{vendor.file}"'
    return answer
