"""Address translation on the path, and IPv6."""

from __future__ import annotations

from lab.interop import life
from lab.interop.model import BOTH, Role, Scenario
from lab.interop.scripts import tunnel
from lab.topology import (
    FAR_HOST,
    FAR_HOST6,
    GATEWAY_SUBNETS,
    GATEWAY_SUBNETS6,
    LAN_HOST,
    LAN_HOST6,
    SITE_SUBNETS,
    SITE_SUBNETS6,
)

# Addresses say nothing when both ends are behind translators.
_NAMED = {
    "local_identity": {"type": "fqdn", "value": "sun.example.com"},
    "remote_identity": {"type": "fqdn", "value": "moon.example.com"},
}
_THEIRS = {"local": {"auth": "psk", "id": "moon.example.com"}, "remote": {"auth": "psk", "id": "sun.example.com"}}

ROWS = (
    Scenario("nat", "nat-rw", tunnel, (Role.INITIATOR,), "nat", options={"see": {"nat": "both"}}),
    Scenario(
        "nat-with-fqdn",
        "nat-rw-psk",
        tunnel,
        (Role.INITIATOR,),
        "nat",
        ours={"local_identity": {"type": "fqdn", "value": "sun.example.com"}},
        theirs={"remote": {"auth": "psk", "id": "sun.example.com"}},
    ),
    Scenario("nat-rekey-pair", "nat-rw", life.rekey_phase2, (Role.INITIATOR,), "nat"),
    Scenario("double-nat", "double-nat", tunnel, BOTH, "double-nat", ours=_NAMED, theirs=_THEIRS),
    Scenario(
        "double-nat-four-pairs", "double-nat-net", tunnel, BOTH, "double-nat", subnets=2, ours=_NAMED, theirs=_THEIRS
    ),
    Scenario("nat-forced", "net2net-psk", tunnel, ours={"nat_traversal": "force"}),
    Scenario("nat-traversal-rfc-only", "net2net-psk", tunnel, ours={"nat_traversal": "rfc"}),
    Scenario("nat-traversal-drafts-only", "net2net-psk", tunnel, ours={"nat_traversal": "drafts"}),
    Scenario(
        "nat-traversal-drafts-behind-nat", "nat-rw", tunnel, (Role.INITIATOR,), "nat", ours={"nat_traversal": "drafts"}
    ),
    Scenario("ipv6-net2net", "ipv6/net2net-ikev1", tunnel, BOTH, "direct6"),
    Scenario(
        "ipv6-host2host",
        "ipv6/host2host-ikev1",
        tunnel,
        BOTH,
        "direct6",
        ours={"local_subnets": ["fd71:1::10/128"], "remote_subnets": ["fd72:1::1/128"]},
        child={"local_ts": ["fd72:1::1/128"], "remote_ts": ["fd71:1::10/128"]},
        options={"echo": [("lan", "fd72:1::1"), ("gateway", "fd71:1::10", "fd72:1::1")]},
    ),
    Scenario("ipv6-named", "ipv6/rw-psk-ikev1", tunnel, BOTH, "direct6", ours=_NAMED, theirs=_THEIRS),
    Scenario("ipv6-rekey-phase1", "ipv6/net2net-ikev1", life.rekey_phase1, BOTH, "direct6"),
    Scenario(
        "ip4-in-ip6",
        "ipv6/net2net-ip4-in-ip6-ikev1",
        tunnel,
        BOTH,
        "direct6",
        ours={"local_subnets": list(SITE_SUBNETS[:1]), "remote_subnets": list(GATEWAY_SUBNETS[:1])},
        child={"local_ts": list(GATEWAY_SUBNETS[:1]), "remote_ts": list(SITE_SUBNETS[:1])},
        options={"echo": [("lan", FAR_HOST), ("host", LAN_HOST)]},
    ),
    Scenario(
        "ip6-in-ip4",
        "ipv6/net2net-ip6-in-ip4-ikev1",
        tunnel,
        BOTH,
        "direct",
        ours={"local_subnets": list(SITE_SUBNETS6), "remote_subnets": list(GATEWAY_SUBNETS6)},
        child={"local_ts": list(GATEWAY_SUBNETS6), "remote_ts": list(SITE_SUBNETS6)},
        options={"echo": [("lan", FAR_HOST6), ("host", LAN_HOST6)]},
    ),
)
