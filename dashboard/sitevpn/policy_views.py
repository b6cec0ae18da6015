"""The pages of policies: what is inside presets and an organization's own, and who uses them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from dashboard.core.permissions import needs
from dashboard.core.subnets import sentence
from dashboard.sitevpn import policies, services
from dashboard.sitevpn.models import Policy
from dashboard.sitevpn.policies import Offer
from dashboard.sitevpn.policy_form import PolicyForm
from dashboard.sitevpn.presets import BY_KEY, PRESETS
from vpnengine.contract.problems import Refused


class StoredPolicyForm(PolicyForm):
    """A policy with a name of its own."""

    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=80, help_text=gettext_lazy("Any name; peers are given the policy by it.")
    )
    edit = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, row: Policy, data: Any = None) -> None:
        policy = row.policy if row.pk else BY_KEY["strong"].policy()
        super().__init__(data, initial={**self.initial_of(policy), "name": row.name, "edit": row.edit})
        self.policy: dict[str, Any] = {}

    def clean(self) -> dict[str, Any]:
        """The fields together make a policy."""
        data: dict[str, Any] = super().clean() or {}
        self.policy = self.policy_of(data)
        return data


@needs(get="read")
def overview(request: HttpRequest) -> HttpResponse:
    """The organization's policies, and the presets with the versions that peers hold."""
    organization_id = request.access.organization.pk
    use = policies.preset_use(organization_id)
    presets = []
    for preset in PRESETS:
        held = [
            {"version": version, "count": count, "lines": _newer(preset.key, version)}
            for (key, version), count in sorted(use.items())
            if key == preset.key
        ]
        presets.append((preset, Offer(preset.key, preset.title, preset.note, preset.policy()), held))
    own = [(row, Offer("", row.name, "", row.policy)) for row in policies.of(organization_id)]
    return render(request, "sitevpn/policies.html", {"own": own, "presets": presets})


def _newer(key: str, version: int) -> list[policies.Line]:
    newest = BY_KEY[key]
    if version == newest.version:
        return []
    return policies.differences(services.preset_policy(key, version), newest.policy())


@needs(get="organization_read", post="organization_edit")
def policy(request: HttpRequest, uuid: UUID | None = None) -> HttpResponse:
    """Add or change a policy."""
    organization = request.access.organization
    row = policies.one(organization.pk, uuid) if uuid else Policy(organization=organization)
    kept_name = row.name
    form = StoredPolicyForm(row, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid() and _saved(request, form, row):
        return redirect("policies")
    peers = policies.peers_of(row, [site.pk for site in request.access.sites]) if row.pk else []
    context = {
        "form": form,
        "row": row,
        "kept_name": kept_name,
        "peers": peers,
        "shown": min(len(peers), 100),
        "total": policies.count_of(row),
    }
    return render(request, "sitevpn/policy_page.html", context, status=400 if form.is_bound else 200)


def _saved(request: HttpRequest, form: StoredPolicyForm, row: Policy) -> bool:
    row.name, row.policy = form.cleaned_data["name"], form.policy
    try:
        count = policies.save(row, request.user.pk, form.cleaned_data["edit"])
    except Refused as refused:
        for problem in refused.problems:
            form.add_error("name" if problem.field == "name" else None, sentence(problem.message))
        return False
    except services.EditConflict:
        form.add_error(None, _("Somebody else has changed this policy since you opened it. Load the page again."))
        return False
    text = ngettext(
        "Policy “%(name)s” is saved; %(count)d peer uses it.",
        "Policy “%(name)s” is saved; %(count)d peers use it.",
        count,
    )
    messages.success(request, text % {"name": row.name, "count": count})
    return True


@needs(post="organization_edit")
def delete(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Remove a policy that nobody uses."""
    row = policies.one(request.access.organization.pk, uuid)
    name = row.name
    try:
        policies.delete(row)
    except Refused as refused:
        messages.error(request, " ".join(problem.message for problem in refused.problems))
        return redirect("policy", uuid)
    messages.success(request, _("Policy “%(name)s” is removed.") % {"name": name})
    return redirect("policies")
