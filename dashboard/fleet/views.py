"""The settings of an organization."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from dashboard.core.permissions import needs
from dashboard.fleet import services
from dashboard.fleet.forms import OrganizationForm


@needs(get="organization_read", post="organization_edit")
def organization(request: HttpRequest) -> HttpResponse:
    """Name, time zone and retention."""
    row = request.access.organization
    form = OrganizationForm(row, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        services.describe_organization(row, **form.cleaned_data)
        messages.success(request, _("The settings are saved."))
        return redirect("organization")
    status = 400 if form.is_bound else 200
    return render(request, "fleet/organization.html", {"form": form, "organization": row}, status=status)
