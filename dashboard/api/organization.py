"""Status and events of sites; administrators and the change log of the organization."""

from __future__ import annotations

import json
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Query, Router, Status
from redis import RedisError

from dashboard.accounts import invitations
from dashboard.accounts import selectors as accounts
from dashboard.api.operations import PER_PAGE, operation, paged
from dashboard.api.schemas import (
    MAX_ID,
    AdministratorOut,
    ApplianceStatus,
    ChangeOut,
    InvitationIn,
    InvitationOut,
    RolesIn,
)
from dashboard.audit import selectors as audit
from dashboard.core.roles import OrganizationRole
from dashboard.eventlog import filters as log_filters
from dashboard.eventlog import selectors as eventlog
from dashboard.fleet import selectors as fleet
from dashboard.fleet import services as fleet_services
from dashboard.publish import services as publishing
from vpnengine.contract.problems import Problem, Refused

router = Router(tags=["Organization"])
PATIENT_S = 10.0
ADMINISTRATOR = "/administrators/{int:administrator_id}"
Before = Annotated[int | None, Query(None, ge=0, le=MAX_ID)]
PerPage = Annotated[int, Query(PER_PAGE, ge=1, le=500)]
Filter = Annotated[str, Query("", max_length=200, pattern="^[^\\x00]*$")]


@operation(router, "GET", "/sites/{uuid:site_id}/status", "status", "monitor", list[ApplianceStatus])
def site_status(request: HttpRequest, site_id: UUID) -> list[dict[str, Any]]:
    """What the engines of a site say: phase 1 and the SAs of each peer."""
    found = []
    for appliance in fleet.appliances_of(request.access.site.pk):
        status = _status(appliance)
        engine = "up" if status else "unknown"
        found.append({"applianceId": appliance.uuid, "name": appliance.name, "engine": engine, "status": status})
    return found


def _status(appliance: Any) -> dict[str, Any] | None:
    try:
        return publishing.read_status(appliance.uuid)
    except RedisError:
        return None


@operation(router, "GET", "/sites/{uuid:site_id}/events", "events", "monitor", list[dict[str, Any]])
def site_events(
    request: HttpRequest,
    response: HttpResponse,
    site_id: UUID,
    perPage: PerPage,
    startingAfter: Before,
    severity: Filter,
    code: Filter,
    peer: Filter,
    q: Filter,
) -> list[dict[str, Any]]:
    """The events of a site, newest first; the filters are those of the Event Log."""
    try:
        wanted = log_filters.parse({"severity": [severity], "code": [code], "peer": [peer], "q": [q]})
    except log_filters.FilterError as error:
        raise Refused([Problem(field=error.field, rule="filter", message=error.rule)]) from None
    appliances = {appliance.pk for appliance in fleet.appliances_of(request.access.site.pk)}
    organization_id = request.access.organization.pk
    found = eventlog.older(organization_id, wanted, startingAfter, appliances, limit=perPage + 1, budget=PATIENT_S)
    rows = [json.loads(body) for body in found.rows]
    return paged(request, response, rows, perPage, lambda row: row["seq"])


@operation(router, "GET", "/administrators", "administrators", "organization_read", list[AdministratorOut])
def list_administrators(request: HttpRequest) -> list[dict[str, Any]]:
    """Everybody who administers the organization."""
    members = fleet.members(request.access.organization.pk)
    protected = accounts.protected_by_mfa([member.user_id for member in members])
    return [_administrator(member, member.user_id in protected) for member in members]


def _administrator(member: Any, protected: bool) -> dict[str, Any]:
    last = member.user.last_login
    return {
        "id": member.pk,
        "email": member.user.email,
        "name": member.user.first_name,
        "orgAccess": member.role,
        "sites": [{"siteId": str(row.site.uuid), "access": row.role} for row in member.site_access.all()],
        "twoFactorAuthEnabled": protected,
        "lastActive": last.isoformat() if last else None,
    }


@operation(router, "POST", "/administrators", "administrators", "organization_edit", InvitationOut, status=201)
def invite(request: HttpRequest, body: InvitationIn) -> Status:
    """Invite an administrator; whoever opens the link, once, joins."""
    try:
        token = invitations.invite(
            organization_id=request.access.organization.pk,
            email=body.email,
            role=body.orgAccess,
            sites=_sites(request, body),
            by_id=None,
        )
    except invitations.InvitationRefused as refusal:
        raise Refused([Problem(field="email", rule="unique", message=str(refusal))]) from None
    return Status(201, {"email": body.email, "path": reverse("invitation", kwargs={"token": token})})


@operation(router, "PUT", ADMINISTRATOR, "administrator", "organization_edit", AdministratorOut)
def change_administrator(request: HttpRequest, administrator_id: int, body: RolesIn) -> dict[str, Any]:
    """Give an administrator other roles, which signs him out everywhere."""
    member = _member(request, administrator_id)
    try:
        changed = fleet_services.change_member(member, role=body.orgAccess, sites=_sites(request, body))
    except fleet_services.LastAdministrator:
        raise Refused([_last()]) from None
    if changed:
        invitations.end_sessions(member.user_id)
    return _administrator(_member(request, administrator_id), bool(accounts.protected_by_mfa([member.user_id])))


@operation(router, "DELETE", ADMINISTRATOR, "administrator", "organization_edit", None, status=204)
def remove_administrator(request: HttpRequest, administrator_id: int) -> Status:
    """Take an administrator out of the organization."""
    member = _member(request, administrator_id)
    try:
        fleet_services.remove_member(member)
    except fleet_services.LastAdministrator:
        raise Refused([_last()]) from None
    invitations.end_sessions(member.user_id)
    return Status(204, None)


def _member(request: HttpRequest, pk: int) -> Any:
    return fleet.member(request.access.organization.pk, min(pk, MAX_ID))


def _last() -> Problem:
    message = "This is the last administrator with full access to the organization."
    return Problem(field="orgAccess", rule="last_administrator", message=message)


def _sites(request: HttpRequest, body: RolesIn) -> dict[int, str]:
    known = {site.uuid: site.pk for site in fleet.sites_of(request.access.organization)}
    found: dict[int, str] = {}
    for number, row in enumerate(body.sites):
        if row.siteId not in known:
            message = "The organization has no such site."
            raise Refused([Problem(field=f"sites.{number}.siteId", rule="unknown", message=message)])
        found[known[row.siteId]] = row.access
    if body.orgAccess == OrganizationRole.NONE and not found:
        message = "Give a role in the organization, or at one site at least."
        raise Refused([Problem(field="sites", rule="required", message=message)])
    return found


@operation(router, "GET", "/changeLog", "changelog", "organization_read", list[ChangeOut])
def change_log(
    request: HttpRequest,
    response: HttpResponse,
    perPage: PerPage,
    startingAfter: Before,
    q: Filter,
    who: Filter,
    kind: Filter,
    since: Filter,
    until: Filter,
) -> list[dict[str, Any]]:
    """Who has changed what, newest first; ``since`` and ``until`` are days."""
    filters = {"q": q, "who": who, "kind": kind, "since": since, "until": until}
    try:
        found = audit.changes(request.access.organization.pk, filters, startingAfter)
    except audit.BadFilter as error:
        raise Refused([Problem(field=error.field, rule="day", message=str(error))]) from None
    rows = paged(request, response, list(found[: perPage + 1]), perPage, lambda row: row.pk)
    return [audit.as_json(row) for row in rows]
