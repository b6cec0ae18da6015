"""Aggressive mode with a pre-shared secret, peers without a fixed address, and who is chosen among several."""

from __future__ import annotations

from typing import Any

from lab.interop import life, messages
from lab.interop.model import BOTH, Finding, Role, Scenario
from lab.interop.scripts import broken, overtaken, tunnel
from lab.interop.table.psk import MOON, SUN, identity
from lab.topology import SECRET
from lab.wire import Weather

_OURS: dict[str, Any] = {
    "exchange": "aggressive",
    "local_identity": identity("fqdn", SUN),
    "remote_identity": identity("fqdn", MOON),
}
_NAMED: dict[str, Any] = {name: value for name, value in _OURS.items() if name != "exchange"}
_THEIRS: dict[str, Any] = {"local": {"auth": "psk", "id": MOON}, "remote": {"auth": "psk", "id": SUN}}
_AGGRESSIVE = _THEIRS | {"aggressive": "yes"}
# The warning that aggressive mode weakens the secret is meant to be there.
_USED: dict[str, Any] = {"expected": ("ike.aggressive.used",), "see": {"exchange": "aggressive"}}
_OTHER = {
    "id": "other",
    "name": "Other",
    "psk": "the-secret-of-somebody-else",
    "local_subnets": ["10.71.2.0/24"],
    "remote_subnets": ["10.72.2.0/24"],
    "start": "responder",
}


def _row(name: str, kin: str = "rw-psk-aggressive", roles: tuple[Role, ...] = BOTH, **more: Any) -> Scenario:
    options = _USED | more.pop("options", {})
    ours, theirs = _OURS | more.pop("ours", {}), _AGGRESSIVE | more.pop("theirs", {})
    return Scenario(name, kin, more.pop("script", tunnel), roles, ours=ours, theirs=theirs, options=options, **more)


ROWS = (
    _row(
        "aggressive-psk",
        options={
            "messages": messages.aggressive() + messages.quick(),
            "counts": {"AGGRESSIVE": 3, "QUICK_MODE": 3},
            "events": ("ike.aggressive.used",),
        },
    ),
    _row(
        "aggressive-quick-mode-overtakes",
        roles=(Role.RESPONDER,),
        kind="wire",
        script=overtaken,
        # The third of six datagrams, message 3, is held back behind the quick mode that the peer sends right after it.
        options={"weather": Weather(reorder=50, seed=31)},
    ),
    _row("aggressive-psk-four-pairs", subnets=2),
    _row("aggressive-psk-nat", roles=(Role.INITIATOR,), kind="nat"),
    _row("aggressive-psk-double-nat", "double-nat", kind="double-nat"),
    _row("aggressive-psk-ipv6", "ipv6/rw-psk-ikev1", kind="direct6"),
    _row("aggressive-psk-rekey-phase1", script=life.rekey_phase1),
    _row("aggressive-psk-from-anywhere", roles=(Role.RESPONDER,), ours={"remote": "any"}),
    _row(
        "aggressive-3des-md5-modp1024",
        ours={"legacy": True, "phase1": {"proposals": [{"encryption": "3des", "hash": "md5", "group": "modp1024"}]}},
        theirs={"proposals": ["3des-md5-modp1024"]},
    ),
    Scenario("dynamic-responder", "dynamic-responder", tunnel, (Role.RESPONDER,), ours={"remote": "any"}),
    Scenario(
        "dynamic-responder-named",
        "dynamic-responder",
        tunnel,
        (Role.RESPONDER,),
        ours=_NAMED | {"remote": "any"},
        theirs=_THEIRS,
    ),
    Scenario("peer-in-a-subnet", "rw-psk-ip-ranges", tunnel, (Role.RESPONDER,), ours={"remote": "192.0.2.0/28"}),
    Scenario("peer-in-a-range", "rw-psk-ip-ranges", tunnel, (Role.RESPONDER,), ours={"remote": "192.0.2.2-192.0.2.9"}),
    Scenario(
        "peer-at-an-alternate-address",
        "net2net-psk",
        tunnel,
        (Role.INITIATOR,),
        ours={"remote": "192.0.2.77", "alternates": ["192.0.2.2"], "start": "immediate"},
        options={
            "begin": "by itself",
            "seconds": 20.0,
            "expected": ("ike.phase1.timeout", "ike.phase2.no_phase1", "engine.peer.next_address"),
        },
    ),
    Scenario(
        "two-peers-one-by-address",
        "rw-psk-ip-ranges",
        tunnel,
        (Role.RESPONDER,),
        options={"peers": [_OTHER | {"remote": "192.0.2.16-192.0.2.31"}]},
    ),
    Scenario(
        "two-peers-chosen-by-identity",
        "rw-psk-fqdn",
        tunnel,
        (Role.RESPONDER,),
        ours=_NAMED | {"remote": "any"},
        theirs=_THEIRS,
        options={
            "peers": [_OTHER | {"remote": "any", "psk": SECRET, "remote_identity": identity("fqdn", "x.example")}]
        },
    ),
)
BREAKAGES = (
    Scenario(
        "broken-aggressive-psk",
        "net2net-psk-fail",
        broken,
        ours=_OURS,
        theirs=_AGGRESSIVE,
        secrets=({"type": "IKE", "id": "site", "data": "something-else-entirely"},),
        found={
            Role.INITIATOR: Finding("ike.phase1.hash_mismatch", "unknown", "re-shared secret"),
            Role.RESPONDER: Finding("ike.phase1.psk_suspect", "unknown", "Pre-shared secret"),
        },
    ),
    Scenario(
        "broken-aggressive-group",
        "rw-psk-aggressive",
        broken,
        ours=_OURS,
        theirs=_AGGRESSIVE | {"proposals": ["aes256-sha256-modp3072"]},
        found={
            Role.INITIATOR: Finding("ike.phase1.refused", "peer", "Diffie-Hellman group"),
            Role.RESPONDER: Finding("ike.phase1.no_proposal", "local", "group: here modp2048, peer modp3072"),
        },
        options={
            "messages": messages.refusal(messages.ANSWERS, "NO_PROP", protected=False),
            "counts": {"AGGRESSIVE": 1},
        },
    ),
    Scenario(
        "broken-aggressive-at-us-alone",
        "rw-psk-aggressive",
        broken,
        ours=_OURS,
        theirs=_THEIRS,
        found={
            Role.INITIATOR: Finding("ike.phase1.refused", "peer", "aggressive mode"),
            Role.RESPONDER: Finding("ike.mode.refused", "peer", "Phase 1 mode"),
        },
    ),
    Scenario(
        "broken-aggressive-identity-unknown",
        "rw-psk-aggressive",
        broken,
        ours=_OURS | {"remote_identity": identity("fqdn", "mars.example.com")},
        theirs=_AGGRESSIVE,
        found={
            Role.INITIATOR: Finding("ike.phase1.identity", "local", "Remote identity"),
            Role.RESPONDER: Finding("ike.identity.unknown", "unknown", MOON),
        },
    ),
    Scenario(
        "broken-outside-the-range",
        "rw-psk-ip-ranges",
        broken,
        (Role.RESPONDER,),
        ours={"remote": "192.0.2.16-192.0.2.31"},
        found={Role.RESPONDER: Finding("ike.unknown_peer", "local", "Public address")},
    ),
)
