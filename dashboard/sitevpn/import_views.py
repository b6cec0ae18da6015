"""Pasting the other gateway's configuration: the form of a new peer is filled, and doubts are listed beside it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.core.permissions import needs
from dashboard.peerside.importing import MAX_TEXT, Imported, Unreadable, read
from dashboard.sitevpn import sealed, selectors
from dashboard.sitevpn.forms import PeerForm
from dashboard.sitevpn.models import Peer
from dashboard.sitevpn.presets import CUSTOM, PRESETS


class ImportForm(forms.Form):
    """What was pasted."""

    text = forms.CharField(
        label=gettext_lazy("Configuration of the other gateway"),
        strip=False,
        max_length=MAX_TEXT,
        widget=forms.Textarea(attrs={"rows": 16, "spellcheck": "false", "autocomplete": "off"}),
        error_messages={
            "max_length": gettext_lazy(
                "This has %(show_value)d characters, and at most %(limit_value)d are read. Paste only the part that is "
                "about this tunnel."
            ),
            "required": gettext_lazy("Paste the configuration first."),
        },
        help_text=gettext_lazy(
            "A swanctl.conf, the running configuration of a Cisco ASA, or what AWS (generic, XML) and Azure (device "
            "parameters, template) offer for download. Nothing is saved yet."
        ),
    )


@needs(get="edit", post="edit")
def import_peer(request: HttpRequest) -> HttpResponse:
    """The page to paste into, then the form of a new peer with what was read."""
    form = ImportForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            found = read(form.cleaned_data["text"])
        except Unreadable as error:
            form.add_error("text", str(error))
        else:
            return _filled(request, found)
    return render(request, "sitevpn/import.html", {"form": form, "site": request.access.site, "limit": MAX_TEXT})


def _filled(request: HttpRequest, found: Imported) -> HttpResponse:
    site = request.access.site
    row = Peer(site=site)
    form = PeerForm(instance=row)
    values, notes = _initial(found)
    form.initial |= values | {"imported_secret": sealed.seal(found.secret, request.user.pk)}
    subnets = [subnet.subnet for subnet in selectors.subnets(site.pk) if subnet.in_vpn]
    assumed = [*found.assumed, *notes, *_about_subnets(found, subnets)]
    context = {
        "form": form,
        "peer": row,
        "site": site,
        "subnets": subnets,
        "action": reverse("peer-new"),
        "imported": {
            "kind": found.kind,
            "unknown": found.unknown,
            "assumed": assumed,
            "weak": found.weak,
            "has_secret": bool(found.secret),
        },
    }
    return render(request, "sitevpn/peer.html", context)


def _initial(found: Imported) -> tuple[dict[str, Any], list[str]]:
    """The fields' values, and what was decided on the way. A policy that a preset has is called by its name."""
    values = dict(found.fields)
    policy = values.pop("policy") | {"legacy": values.pop("legacy")}
    for preset in PRESETS:
        if _essence(preset.policy()) == _essence(policy):
            return values | {"preset": preset.key}, []
    offered = [f"{row['encryption']}-{row['hash']}-{row['group']}" for row in policy["phase1"]["proposals"]]
    notes = []
    if len(offered) > 1:
        notes.append(
            _("Of %(count)d proposals for phase 1 the first was taken, %(first)s; the other side can keep the rest.")
            % {"count": len(offered), "first": offered[0]}
        )
    return values | PeerForm.initial_of(policy) | {"preset": CUSTOM}, notes


def _essence(policy: dict[str, Any]) -> list[Any]:
    """What two policies must have in common to be the same."""
    phase1, phase2 = policy["phase1"], policy["phase2"]
    return [
        [sorted(row.items()) for row in phase1["proposals"]],
        phase1["lifetime_s"],
        [sorted((name, value) for name, value in row.items() if value) for row in phase2["proposals"]],
        phase2["pfs_group"],
        phase2["lifetime_s"],
        phase2.get("lifetime_kb"),
        phase2.get("mode", "tunnel"),
    ]


def _about_subnets(found: Imported, subnets: list[str]) -> list[str]:
    """What the other side takes for ours, if it is not what ours are."""
    if not found.local_subnets or sorted(found.local_subnets) == sorted(subnets):
        return []
    return [
        _(
            "The other side expects %(theirs)s here, and this site's subnets in the VPN are %(ours)s: the two must "
            "agree."
        )
        % {"theirs": ", ".join(found.local_subnets[:8]), "ours": ", ".join(subnets[:8]) or _("none")}
    ]
