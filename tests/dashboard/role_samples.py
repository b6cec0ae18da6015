"""The organization that every address is asked in, and a real object for each address that names one.

A new address with a parameter needs a line in ``SAMPLES``, and one whose answer depends on what is
sent may have one in ``BODIES``.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes

from dashboard.accounts import invitations
from dashboard.accounts.mfa_adapter import MfaAdapter
from dashboard.accounts.models import Invitation, User
from dashboard.api import keys
from dashboard.api.models import ApiKey
from dashboard.core.roles import ORGANIZATION_LABELS, SITE_LABELS, OrganizationRole
from dashboard.fleet import services as fleet
from dashboard.fleet.models import Membership, Organization, Site, SiteAccess
from dashboard.notify import services as notify
from dashboard.notify.models import Channel, Rule, SyslogTarget
from dashboard.sitevpn import policies
from dashboard.sitevpn import services as vpn
from dashboard.sitevpn.forms import PeerForm
from dashboard.sitevpn.models import Peer, Policy, VpnUser
from dashboard.sitevpn.presets import BY_KEY
from dashboard.tools.models import Run

SECRET = "a secret of enough length"


@dataclass
class World:
    """An organization with two sites, an administrator per role, and a stranger with an organization of his own."""

    site: Site
    other_site: Site
    peer: Peer
    policy: Policy
    vpn_user: VpnUser
    notify: dict[str, Any]
    users: dict[str, User]
    member: Membership
    invitation: Invitation
    token: str
    keys: dict[str, str]
    elsewhere: User
    stranger: User


def _user(name: str) -> User:
    return User.objects.create(username=f"{name}@example.com", email=f"{name}@example.com", first_name=name)


def make_world() -> World:
    """A new one, by the services that the pages use."""
    owner, stranger = _user("owner"), _user("stranger")
    site = fleet.create_organization(name="O", site_name="S", administrator_id=owner.pk).site
    fleet.create_organization(name="P", site_name="T", administrator_id=stranger.pk)
    other = Site.objects.create(organization=site.organization, name="Other")
    users = {}
    for role, label in ORGANIZATION_LABELS.items():
        if role != OrganizationRole.NONE:
            users[str(label)] = _member(site, f"org-{role}", role)
    for role, label in SITE_LABELS.items():
        users[str(label)] = _member(site, f"site-{role}", OrganizationRole.NONE, role)
    elsewhere = _member(other, "elsewhere", OrganizationRole.NONE, "full")
    vpn.save_subnets(site.pk, [("10.1.0.0/24", "", True)], None)
    peer = Peer(site=site, name="Branch", remote="192.0.2.2", remote_subnets=["10.2.0.0/24"])
    peer = vpn.save_peer(peer, secret=SECRET, author_id=None)
    policy = Policy(organization=site.organization, name="Shared", policy=BY_KEY["strong"].policy())
    policies.save(policy, None)
    vpn_user = vpn.save_user(site.pk, "road", SECRET, None)
    member = Membership.objects.get(user=users["Site: read-only"])
    of = site.organization_id
    token = invitations.invite(organization_id=of, email="new@example.com", role="read-only", sites={}, by_id=None)
    invitation = Invitation.objects.get(organization_id=of)
    everybody = {**users, "elsewhere": elsewhere, "stranger": stranger}
    made = {name: _key(name, user) for name, user in everybody.items()}
    notified = _notify(site.organization)
    return World(
        site, other, peer, policy, vpn_user, notified, users, member, invitation, token, made, elsewhere, stranger
    )


def _key(name: str, user: User) -> str:
    """An API key with the roles of a user."""
    row = Membership.objects.get(user=user)
    sites = {access.site_id: access.role for access in row.site_access.all()}
    of = row.organization_id
    return keys.make(organization_id=of, name=name, role=row.role, sites=sites, days=None, by_id=None)


def _notify(organization: Organization) -> dict[str, Any]:
    channel = Channel(organization=organization, name="Hook", kind="webhook")
    notify.save_channel(channel, "https://hook.example.com/")
    target = SyslogTarget(organization=organization, name="Syslog", host="syslog.example.com")
    notify.save_syslog(target)
    return {
        "channel": channel.uuid,
        "rule": Rule.objects.create(organization=organization, name="Rule").uuid,
        "delivery": notify.test_channel(channel, "A").uuid,
        "syslog": target.uuid,
    }


def _member(site: Site, name: str, role: str, site_role: str = "") -> User:
    user = _user(name)
    membership = Membership.objects.create(organization=site.organization, user=user, role=role)
    # With a second factor, so that the pages about it have something to show.
    Authenticator.objects.create(user=user, type="totp", data={"secret": MfaAdapter().encrypt("JBSWY3DPEHPK3PXP")})
    RecoveryCodes.activate(user)
    if site_role:
        SiteAccess.objects.create(membership=membership, site=site, role=site_role)
    return user


def _subnets(*subnets: str) -> dict[str, Any]:
    """The form of local subnets, all of them new."""
    management = {"subnets-TOTAL_FORMS": len(subnets), "subnets-INITIAL_FORMS": 0}
    rows = {f"subnets-{number}-subnet": subnet for number, subnet in enumerate(subnets)}
    return management | rows | {f"subnets-{number}-in_vpn": "on" for number in range(len(subnets))}


def _peer(world: World) -> dict[str, Any]:
    """The form of a peer with everything as it is offered."""
    form = PeerForm(instance=Peer(site=world.site))
    fields = {name: form[name].value() for name in form.fields}
    sent = {name: value for name, value in fields.items() if value not in (None, False, "")}
    return sent | {"name": "Second", "remote": "192.0.2.9", "remote_subnets": "10.2.0.0/24", "edit": 1}


def _policy(name: str, edit: int) -> dict[str, Any]:
    """The form of a stored policy."""
    fields = PeerForm.initial_of(BY_KEY["strong"].policy())
    sent = {key: value for key, value in fields.items() if value not in (None, False, "")}
    return sent | {"name": name, "edit": edit}


API_POLICY = {
    "ikeCipherAlgo": ["aes256"],
    "ikeAuthAlgo": ["sha256"],
    "ikeDiffieHellmanGroup": ["group14"],
    "childCipherAlgo": ["aes256"],
    "childAuthAlgo": ["sha256"],
}


def api_peer(**changes: Any) -> dict[str, Any]:
    """A peer as it is sent to the API."""
    peer = {"name": "Third", "publicIp": "192.0.2.33", "privateSubnets": ["10.2.0.0/24"], "secret": SECRET}
    return peer | changes


# Address by its name: the parameters of a real object.
SAMPLES: dict[str, Callable[[World], dict[str, Any]]] = {
    "search-open": lambda world: {"site": world.site.uuid, "kind": "peer", "target": world.peer.uuid},
    "configuration-revision": lambda world: {"number": 1},
    "configuration-restore": lambda world: {"number": 1},
    "configuration-confirm": lambda world: {"number": 1},
    "configuration-take-back": lambda world: {"number": 1},
    "peer": lambda world: {"uuid": world.peer.uuid},
    "peer-secret": lambda world: {"uuid": world.peer.uuid},
    "peer-delete": lambda world: {"uuid": world.peer.uuid},
    "other-side": lambda world: {"uuid": world.peer.uuid},
    "other-side-file": lambda world: {"uuid": world.peer.uuid, "key": "strongswan"},
    "peer-action": lambda world: {"uuid": world.peer.uuid, "op": "initiate"},
    "status-peer": lambda world: {"uuid": world.peer.uuid},
    "status-facts": lambda world: {"uuid": world.peer.uuid},
    "status-traffic": lambda world: {"uuid": world.peer.uuid},
    "status-diagnosis": lambda world: {"uuid": world.peer.uuid},
    "status-examine": lambda world: {"uuid": world.peer.uuid},
    "status-accept": lambda world: {"uuid": world.peer.uuid},
    **{
        f"alert-channel{end}": lambda world: {"uuid": world.notify["channel"]}
        for end in ("", "-test", "-secret", "-delete")
    },
    **{f"alert-rule{end}": lambda world: {"uuid": world.notify["rule"]} for end in ("", "-delete")},
    **{f"alert-delivery-{end}": lambda world: {"uuid": world.notify["delivery"]} for end in ("again", "delete")},
    **{f"syslog-{end}": lambda world: {"uuid": world.notify["syslog"]} for end in ("server", "test", "delete")},
    "support-bundle": lambda world: {"uuid": world.site.uuid},
    "tools-run": lambda world: {"uuid": Run.objects.create(site=world.site, kind="ping", target="192.0.2.2").uuid},
    "policy": lambda world: {"uuid": world.policy.uuid},
    "policy-delete": lambda world: {"uuid": world.policy.uuid},
    "api-v1:policy": lambda world: {"policy_id": world.policy.uuid},
    "vpn-user-delete": lambda world: {"uuid": world.vpn_user.uuid},
    "administrator": lambda world: {"pk": world.member.pk},
    "administrator-remove": lambda world: {"pk": world.member.pk},
    "administrator-withdraw": lambda world: {"pk": world.invitation.pk},
    "invitation": lambda world: {"token": world.token},
    "mfa_remove_webauthn": lambda world: {"pk": 1},
    "mfa_edit_webauthn": lambda world: {"pk": 1},
    "api-key-remove": lambda world: {"pk": ApiKey.objects.filter(organization=world.site.organization).first().pk},
    "api-v1:administrator": lambda world: {"administrator_id": world.member.pk},
    "api-v1:events": lambda world: {"site_id": world.site.uuid},
    "api-v1:peer": lambda world: {"site_id": world.site.uuid, "peer_id": world.peer.uuid},
    "api-v1:peer-action": lambda world: {"site_id": world.site.uuid, "peer_id": world.peer.uuid, "op": "initiate"},
    "api-v1:peers": lambda world: {"site_id": world.site.uuid},
    "api-v1:status": lambda world: {"site_id": world.site.uuid},
    "api-v1:subnets": lambda world: {"site_id": world.site.uuid},
    "changelog-export": lambda world: {"form": "json"},
}
# What is posted so that it is accepted: an address that writes has to leave a record (test_audit).
BODIES: dict[str, Callable[[World], dict[str, Any]]] = {
    "sitevpn": lambda world: _subnets("10.1.0.0/24", "10.9.0.0/24"),
    "peer": lambda world: {**_peer(world), "name": "Branch two", "edit": world.peer.edit},
    "peer-new": lambda world: {**_peer(world), "remote_subnets": "10.3.0.0/24", "secret": SECRET},
    "vpn-users": lambda world: {"user_name": "second", "user_password": SECRET},
    "api-keys": lambda world: {"name": "a new key", "role": "full", "days": "30"},
    "POST api-v1:administrators": lambda world: {"email": "third@example.com", "orgAccess": "full"},
    "PUT api-v1:administrator": lambda world: {"orgAccess": "full"},
    "POST api-v1:peers": lambda world: api_peer(name="Third", privateSubnets=["10.3.0.0/24"]),
    "PUT api-v1:peer": lambda world: api_peer(name="Branch three", edit=1),
    "PUT api-v1:subnets": lambda world: {"subnets": [{"localSubnet": "10.1.0.0/24"}, {"localSubnet": "10.9.0.0/24"}]},
    "administrators": lambda world: {"email": "second@example.com", "role": "full"},
    "administrator": lambda world: {"role": "full"},
    "invitation": lambda world: {"name": "New", "password": "a-long-passphrase-9"},
    "policy": lambda world: _policy("Another name", world.policy.edit),
    "policy-new": lambda world: _policy("New", 1),
    "POST api-v1:policies": lambda world: {"name": "New", "ipsecPolicies": API_POLICY},
    "PUT api-v1:policy": lambda world: {"name": "Other", "ipsecPolicies": API_POLICY},
    "peers-bulk": lambda world: {"peer": str(world.peer.uuid), "action": "disable"},
    "organization": lambda world: {"name": "O", "time_zone": "Europe/Zurich", "event_days": "30", "event_rows": "5000"},
    "other-side": lambda world: {"address": "198.51.100.7"},
    "tools": lambda world: {"kind": "ping", "target": "192.0.2.2", "count": "3"},
    "switch": lambda world: {"place": f"{world.site.organization.uuid}/{world.site.uuid}"},
}
# Addresses with a parameter that tells no object of an organization apart: a stranger is answered as everybody is.
NOBODYS: set[str] = {"changelog-export", "invitation", "mfa_remove_webauthn", "mfa_edit_webauthn"}


def nothing(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The same parameters, of an object that does not exist."""
    other = {uuid.UUID: uuid.uuid4(), int: 999_999}
    return {name: other.get(type(value), value) for name, value in kwargs.items()}
