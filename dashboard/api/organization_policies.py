"""Policies of the organization."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Status

from dashboard.api import policies as names
from dashboard.api.operations import operation
from dashboard.api.schemas import PolicyIn, PolicyOut
from dashboard.sitevpn import policies

router = Router(tags=["Policies"])
ONE = "/policies/{uuid:policy_id}"


@operation(router, "GET", "/policies", "policies", "organization_read", list[PolicyOut])
def list_policies(request: HttpRequest) -> list[dict[str, Any]]:
    """The policies of the organization, by name."""
    return [_out(row) for row in policies.of(request.access.organization.pk)]


@operation(router, "POST", "/policies", "policies", "organization_edit", PolicyOut, status=201)
def add_policy(request: HttpRequest, body: PolicyIn) -> Status:
    """Add a policy."""
    return Status(201, _save(policies.new(request.access.organization), body))


@operation(router, "GET", ONE, "policy", "organization_read", PolicyOut)
def get_policy(request: HttpRequest, policy_id: UUID) -> dict[str, Any]:
    """One policy."""
    return _out(policies.one(request.access.organization.pk, policy_id))


@operation(router, "PUT", ONE, "policy", "organization_edit", PolicyOut)
def change_policy(request: HttpRequest, policy_id: UUID, body: PolicyIn) -> dict[str, Any]:
    """Change a policy, and with it every peer that uses it."""
    return _save(policies.one(request.access.organization.pk, policy_id), body)


@operation(router, "DELETE", ONE, "policy", "organization_edit", None, status=204)
def remove_policy(request: HttpRequest, policy_id: UUID) -> Status:
    """Remove a policy that no peer uses."""
    policies.delete(policies.one(request.access.organization.pk, policy_id))
    return Status(204, None)


def _save(row: Any, body: PolicyIn) -> dict[str, Any]:
    row.name, row.policy = body.name, names.to_engine(body.ipsecPolicies)
    policies.save(row, None, body.edit)
    return _out(row)


def _out(row: Any) -> dict[str, Any]:
    return {
        "id": row.uuid,
        "name": row.name,
        "preset": f"{policies.POLICY}{row.uuid}",
        "ipsecPolicies": names.from_engine(row.policy),
        "peers": policies.count_of(row),
        "edit": row.edit,
    }
