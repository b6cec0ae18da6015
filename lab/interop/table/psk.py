"""Main mode with a pre-shared secret: who is who, which subnets, which addresses."""

from __future__ import annotations

from typing import Any

from lab.interop import messages
from lab.interop.model import Role, Scenario, Settings
from lab.interop.scripts import chosen_by_address, four_quick_modes, tunnel
from lab.topology import GATEWAY_LAN, LAN_HOST, SECRET, SITE_OUTER

MOON, SUN = "moon.example.com", "sun.example.com"
SECRETS: tuple[Settings, ...] = (
    {"type": "IKE", "id": "wrong", "data": "some-other-secret-altogether", "owners": ["other.example.com"]},
    {"type": "IKE", "id": "site", "data": SECRET, "owners": [MOON, SUN, SITE_OUTER]},
)


# Port 4500 is used after message 4, and not before.
_FLOAT_AFTER = r"(?s)\A(?:(?!\[4500\]).)*{} ID_PROT response 0 \[ KE No .*?packet: from \S+\[4500\] to \S+\[4500\]"


def identity(kind: str, value: str) -> dict[str, str]:
    """An identity as our configuration writes it."""
    return {"type": kind, "value": value}


def _named(name: str, kin: str, kind: str, mine: str, theirs: str, prefix: str = "", **more: Any) -> Scenario:
    """Both ends have names and expect each other's; ``prefix`` tells charon the type."""
    return Scenario(
        name,
        kin,
        tunnel,
        ours={"local_identity": identity(kind, mine), "remote_identity": identity(kind, theirs)},
        theirs={
            "local": {"auth": "psk", "id": prefix + theirs},
            "remote": {"auth": "psk", "id": prefix + mine},
        },
        **more,
    )


ROWS = (
    Scenario(
        "main-psk",
        "net2net-psk",
        tunnel,
        options={
            "messages": messages.main() + messages.quick(),
            "counts": {"ID_PROT": 6, "QUICK_MODE": 3},
            "log": {Role.INITIATOR: _FLOAT_AFTER.format("generating"), Role.RESPONDER: _FLOAT_AFTER.format("parsed")},
            "see": {"encapsulation": "udp-tunnel"},
        },
    ),
    Scenario("main-psk-first-traffic", "net2net-route", tunnel, (Role.INITIATOR,), options={"begin": "traffic"}),
    Scenario(
        "main-psk-immediate",
        "net2net-start",
        tunnel,
        (Role.INITIATOR,),
        ours={"start": "immediate"},
        options={"begin": "by itself"},
    ),
    # One phase 1; a message id for each quick mode, which is also what its IVs begin from.
    Scenario("four-pairs", "net2net-psk", four_quick_modes, subnets=2, options={"counts": {"ID_PROT": 6}}),
    _named("psk-fqdn", "rw-psk-fqdn", "fqdn", SUN, MOON),
    _named("psk-fqdn-several-secrets", "rw-psk-fqdn", "fqdn", SUN, MOON, secrets=SECRETS),
    _named("psk-user-fqdn", "rw-psk-fqdn", "user-fqdn", "sun@example.com", "moon@example.com"),
    _named("psk-key-id", "rw-psk-fqdn", "key-id", "sun key", "moon key", "keyid:"),
    _named("psk-other-address-as-id", "rw-psk-ipv4", "ipv4", "10.71.1.1", "10.72.1.1"),
    Scenario("initiator-only", "rw-initiator-only", tunnel, (Role.RESPONDER,), theirs={"remote_addrs": [SITE_OUTER]}),
    Scenario(
        "peer-accepts-an-address-range",
        "rw-psk-ip-ranges",
        tunnel,
        (Role.INITIATOR,),
        theirs={"remote_addrs": ["192.0.2.0/28"]},
    ),
    Scenario(
        "peer-has-two-ranges",
        "rw-psk-ip-ranges",
        chosen_by_address,
        (Role.INITIATOR,),
        theirs={"remote_addrs": ["192.0.2.0/25"]},
        options={"other": {"remote_addrs": ["192.0.2.128/25"]}},
    ),
    Scenario(
        "peer-accepts-any-address",
        "dynamic-initiator",
        tunnel,
        (Role.INITIATOR,),
        theirs={"remote_addrs": ["%any"]},
    ),
    Scenario(
        "host-to-host-subnets",
        "host2host-cert",
        tunnel,
        ours={"local_subnets": [f"{LAN_HOST}/32"], "remote_subnets": [f"{GATEWAY_LAN[0]}/32"]},
        child={"local_ts": [f"{GATEWAY_LAN[0]}/32"], "remote_ts": [f"{LAN_HOST}/32"]},
        options={"echo": [("lan", GATEWAY_LAN[0]), ("gateway", LAN_HOST, GATEWAY_LAN[0])]},
    ),
    Scenario(
        "peer-writes-ranges",
        "net2net-psk",
        tunnel,
        child={"local_ts": ["10.72.1.0-10.72.1.255"], "remote_ts": ["10.71.1.0-10.71.1.255"]},
    ),
    Scenario("peer-shorter-lifetime", "rekey-lifetimes", tunnel, child={"rekey_time": "300s", "life_time": "360s"}),
    Scenario("our-shorter-lifetime", "rekey-lifetimes", tunnel, ours={"phase2": {"lifetime_s": 120}}),
)
