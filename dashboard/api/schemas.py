"""What goes in and out. Names are those of the Meraki dashboard's API where it has the same thing."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

MAX_ID = 2**63 - 1


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("a NUL character cannot be kept")
    return text


Text = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_storable)]
Short = Annotated[Text, Field(max_length=80)]
Name = Annotated[Text, Field(min_length=1, max_length=80)]
Cidr = Annotated[Text, Field(max_length=49)]
IdentityType = Literal["", "ipv4", "ipv6", "fqdn", "user-fqdn", "key-id", "dn"]


class In(Schema):
    """What is sent: an unknown field is refused, so that a misspelt one is not lost."""

    model_config = ConfigDict(extra="forbid")


class ProblemOut(Schema):
    """One reason for a refusal."""

    field: str
    rule: str
    message: str


class Refusal(Schema):
    """What every refusal says: sentences for people, and the same with field and rule for programs."""

    errors: list[str]
    problems: list[ProblemOut]


class SiteOut(Schema):
    """A location; ``role`` is what the key may do there."""

    id: UUID
    name: str
    organizationId: UUID
    role: str


class SubnetIn(In):
    """A subnet of a site; only those with ``useVpn`` take part in tunnels."""

    localSubnet: Cidr
    useVpn: bool = True
    name: Short = ""


class SubnetsIn(In):
    """All local subnets of a site; they replace the present ones."""

    subnets: Annotated[list[SubnetIn], Field(max_length=256)]


class SubnetOut(Schema):
    """Likewise."""

    localSubnet: str
    useVpn: bool
    name: str


class Policies(In):
    """Phase 1 (``ike…``) and phase 2 (``child…``). Each cipher is offered with each hash, in this order.

    What is weak (3DES, MD5, groups below 14) is refused without ``allowLegacy``.
    """

    ikeCipherAlgo: Annotated[list[Short], Field(min_length=1, max_length=8)]
    ikeAuthAlgo: Annotated[list[Short], Field(min_length=1, max_length=5)]
    ikeDiffieHellmanGroup: Annotated[list[Short], Field(min_length=1, max_length=8)]
    ikeLifetime: Annotated[int, Field(ge=60, le=86_400)] = 28_800
    childCipherAlgo: Annotated[list[Short], Field(min_length=1, max_length=8)]
    childAuthAlgo: Annotated[list[Short], Field(max_length=5)] = []
    childPfsGroup: Annotated[list[Short], Field(min_length=1, max_length=8)] = ["group14"]
    childLifetime: Annotated[int, Field(ge=30, le=86_400)] = 3_600
    allowLegacy: bool = False


class PeerIn(In):
    """A third-party peer. ``secret`` is write-only; left out, the present one stays.

    ``ipsecPoliciesPreset`` is a preset's key (a peer that has it keeps its version), a key and a version
    (``strong@2``), ``policy-`` and the id of a policy of the organization, or ``custom`` with ``ipsecPolicies``.
    """

    name: Name
    publicIp: Annotated[Text, Field(min_length=1, max_length=253)]
    privateSubnets: Annotated[list[Cidr], Field(max_length=256)]
    secret: Annotated[str, Field(max_length=512), AfterValidator(_storable)] = ""
    enabled: bool = True
    start: Literal["traffic", "immediate", "responder"] = "traffic"
    exchange: Literal["main", "aggressive"] = "main"
    ikeVersion: Literal["1"] = "1"
    ipsecPoliciesPreset: Short = "strong"
    ipsecPolicies: Policies | None = None
    localIdType: IdentityType = ""
    localId: Annotated[Text, Field(max_length=255)] = ""
    remoteIdType: IdentityType = ""
    remoteId: Annotated[Text, Field(max_length=255)] = ""
    edit: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None


class PeerOut(Schema):
    """A peer as it is. ``ipsecPolicies`` is always what is inside, whatever the preset; ``edit`` goes back with PUT."""

    id: UUID
    name: str
    publicIp: str
    privateSubnets: list[str]
    secretFingerprint: str
    enabled: bool
    start: str
    exchange: str
    ikeVersion: str
    ipsecPoliciesPreset: str
    ipsecPolicies: Policies
    localIdType: str
    localId: str
    remoteIdType: str
    remoteId: str
    edit: int


class PolicyIn(In):
    """A policy of the organization, for many peers."""

    name: Name
    ipsecPolicies: Policies
    edit: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None


class PolicyOut(Schema):
    """A policy as it is. ``preset`` is what a peer's ``ipsecPoliciesPreset`` says to use it."""

    id: UUID
    name: str
    preset: str
    ipsecPolicies: Policies
    peers: int
    edit: int


class ActionOut(Schema):
    """That a worker has been asked; what came of it is in status and events."""

    asked: str


class ApplianceStatus(Schema):
    """What the engine of an appliance has last said; ``engine`` is ``up`` or ``unknown``."""

    applianceId: UUID
    name: str
    engine: str
    status: dict[str, Any] | None


class SiteRoleIn(In):
    """A role at one site."""

    siteId: UUID
    access: Literal["full", "read-only", "monitor-only"]


class RolesIn(In):
    """The roles of an administrator; ``none`` in the organization needs a site at least."""

    orgAccess: Literal["full", "read-only", "none"]
    sites: Annotated[list[SiteRoleIn], Field(max_length=1_000)] = []


class InvitationIn(RolesIn):
    """Who is invited."""

    email: Annotated[Text, Field(max_length=150, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]


class InvitationOut(Schema):
    """The path of the link, which is told once."""

    email: str
    path: str


class AdministratorOut(Schema):
    """An administrator and what he may do."""

    id: int
    email: str
    name: str
    orgAccess: str
    sites: list[dict[str, str]]
    twoFactorAuthEnabled: bool
    lastActive: str | None


class ChangeOut(Schema):
    """One line of the change log."""

    id: int
    time: str
    who: str
    address: str | None
    via: str
    verb: str
    kind: str
    objectId: str
    name: str
    before: dict[str, Any]
    after: dict[str, Any]
