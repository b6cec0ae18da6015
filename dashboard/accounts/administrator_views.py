"""Administrators of an organization: who they are, inviting, changing and removing them."""

from __future__ import annotations

from typing import Any

from allauth.core.ratelimit import consume
from django.contrib import messages
from django.contrib.auth import login
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from dashboard.accounts import invitations, selectors
from dashboard.accounts.administrator_forms import InviteForm, JoinForm
from dashboard.core.permissions import needs
from dashboard.core.roles_form import RolesForm
from dashboard.fleet import selectors as fleet
from dashboard.fleet import services as fleet_services

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def _last() -> str:
    return _("This is the last administrator with the role “Organization: full”. Give it to somebody else first.")


@needs(get="organization_read", post="organization_edit")
def administrators(request: HttpRequest) -> HttpResponse:
    """The list, and the form that makes a one-time link. The link is shown once, in the answer to the form."""
    organization = request.access.organization
    sites = fleet.sites_of(organization)
    form = InviteForm(request.POST or None, sites=sites)
    link = ""
    if request.method == "POST" and form.is_valid():
        try:
            link = _invite(request, form)
        except invitations.InvitationRefused as refusal:
            form.add_error("email", str(refusal))
        else:
            invited, form = form.cleaned_data["email"], InviteForm(sites=sites)
    members = fleet.members(organization.pk)
    context = {
        "form": form,
        "link": link,
        "invited": invited if link else "",
        "members": members,
        "protected": selectors.protected_by_mfa([member.user_id for member in members]),
        "invitations": invitations.open_invitations(organization.pk),
    }
    return render(request, "accounts/administrators.html", context)


def _invite(request: HttpRequest, form: InviteForm) -> str:
    token = invitations.invite(
        organization_id=request.access.organization.pk,
        email=form.cleaned_data["email"],
        role=form.cleaned_data["role"],
        sites=form.cleaned_data["sites"],
        by_id=request.user.pk,
    )
    return request.build_absolute_uri(reverse("invitation", kwargs={"token": token}))


@needs(get="organization_read", post="organization_edit")
def administrator(request: HttpRequest, pk: int) -> HttpResponse:
    """The roles of one administrator."""
    organization = request.access.organization
    member = fleet.member(organization.pk, pk)
    present = {row.site_id: row.role for row in member.site_access.order_by("site__name")}
    form = RolesForm(
        request.POST or None, sites=fleet.sites_of(organization), present=present, initial={"role": member.role}
    )
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            changed = fleet_services.change_member(member, role=data["role"], sites=data["sites"])
        except fleet_services.LastAdministrator:
            form.add_error("role", _last())
        else:
            if changed:
                invitations.end_sessions(member.user_id)
                _stay(request, member.user_id)
            messages.success(request, _("The roles of %(who)s are saved.") % {"who": member.user.email})
            return redirect("administrators" if request.user.pk != member.user_id else "home")
    return render(request, "accounts/administrator.html", {"member": member, "form": form})


def _stay(request: HttpRequest, user_id: int) -> None:
    """Who changes himself stays signed in here, under a new session key; all of his other sessions end."""
    if request.user.pk == user_id:
        request.user.refresh_from_db()
        request.session.cycle_key()
        login(request, request.user, backend=BACKEND)


@needs(post="organization_edit")
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Take somebody out of the organization."""
    member = fleet.member(request.access.organization.pk, pk)
    try:
        fleet_services.remove_member(member)
    except fleet_services.LastAdministrator:
        messages.error(request, _last())
    else:
        invitations.end_sessions(member.user_id)
        messages.success(request, _("%(who)s is no administrator any more.") % {"who": member.user.email})
    return redirect("administrators")


@needs(post="organization_edit")
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Make an invitation useless."""
    if not invitations.withdraw(request.access.organization.pk, pk):
        raise Http404
    messages.success(request, _("The invitation is withdrawn; its link does not work any more."))
    return redirect("administrators")


@sensitive_post_parameters("password")
@needs(get="open", post="open")
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Whoever has the link joins: with the account that the address has, or with a new one."""
    if not consume(request, action="claim"):
        return render(request, "429.html", status=429)
    row = invitations.open_invitation(token)
    if row is None:
        return render(request, "accounts/no_invitation.html", status=404)
    form = JoinForm(request.POST or None)
    context: dict[str, Any] = {"invitation": row, "form": form, "has_account": invitations.has_account(row)}
    if request.method == "POST":
        try:
            if _joined(request, row, form):
                messages.success(request, _("You administer %(name)s now.") % {"name": row.organization.name})
                return redirect("home")
        except invitations.InvitationRefused as refusal:
            context["refusal"] = str(refusal)
        except ValidationError as error:
            form.add_error("password", error)
    return render(request, "accounts/invitation.html", context)


def _joined(request: HttpRequest, row: Any, form: JoinForm) -> bool:
    if request.user.is_authenticated:
        invitations.accept_as(row, request.user)
        return True
    if not form.is_valid():
        return False
    user = invitations.accept_new(row, **form.cleaned_data)
    login(request, user, backend=BACKEND)
    return True
