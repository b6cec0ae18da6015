"""The page of API keys."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.api import keys
from dashboard.core.permissions import needs
from dashboard.core.roles_form import RolesForm
from dashboard.fleet import selectors as fleet


class KeyForm(RolesForm):
    """A new key."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=80,
        help_text=gettext_lazy("What uses it. The change log shows it as the one who acts."),
        error_messages={"required": gettext_lazy("Enter what the key is for.")},
    )
    days = forms.TypedChoiceField(
        label=gettext_lazy("Valid for"),
        choices=[
            ("30", gettext_lazy("30 days")),
            ("90", gettext_lazy("90 days")),
            ("365", gettext_lazy("a year")),
            ("", gettext_lazy("until it is removed")),
        ],
        coerce=int,
        empty_value=None,
        required=False,
        initial="90",
    )
    field_order = ["name", "days", "role"]


@needs(get="organization_read", post="organization_edit")
def api_keys(request: HttpRequest) -> HttpResponse:
    """The keys of the organization; a new one is shown once."""
    organization = request.access.organization
    sites = fleet.sites_of(organization)
    form = KeyForm(request.POST or None, sites=sites)
    context: dict[str, Any] = {"key": ""}
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        wanted = {name: data[name] for name in ("name", "role", "sites", "days")}
        try:
            context["key"] = keys.make(organization_id=organization.pk, by_id=request.user.pk, **wanted)
        except keys.NameTaken:
            form.add_error("name", _("There is a key of this name already; choose another name."))
        else:
            context["made"], form = data["name"], KeyForm(sites=sites)
    names = {str(site.pk): site.name for site in sites}
    rows = keys.keys_of(organization.pk)
    context["keys"] = [(row, [f"{names.get(pk, pk)}: {role}" for pk, role in row.sites.items()]) for row in rows]
    return render(request, "api/keys.html", {**context, "form": form})


@needs(post="organization_edit")
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a key; whatever uses it is refused from now on."""
    if not keys.remove(request.access.organization.pk, pk):
        raise Http404
    messages.success(request, _("The key is removed, and does not work any more."))
    return redirect("api-keys")
