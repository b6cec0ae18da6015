"""What a tunnel protects: ranges, protocols, ports, merged subnets; and what is negotiated but not carried."""

from __future__ import annotations

from typing import Any

from lab.interop.model import BOTH, Finding, Role, Scenario
from lab.interop.scripts import broken, negotiated, protected_port, tunnel

_OUR_NETS = {"local_subnets": [], "remote_subnets": []}


def _ours(*rows: dict[str, Any]) -> dict[str, Any]:
    return _OUR_NETS | {"selectors": list(rows)}


_ROW = {"local": "10.71.1.0/24", "remote": "10.72.1.0/24"}
_ICMP, _TCP = _ROW | {"protocol": "icmp"}, _ROW | {"protocol": "tcp", "remote_port": 2222}
_RANGE = {"local": "10.71.1.10-10.71.1.20", "remote": "10.72.1.0/24"}
_ONE_WAY: dict[str, Any] = {"echo": [("lan", "10.72.1.10"), ("host", "10.71.1.10")]}

ROWS = (
    Scenario(
        "protocol-icmp",
        "protoport-dual",
        tunnel,
        ours=_ours(_ICMP),
        child={"local_ts": ["10.72.1.0/24[icmp]"], "remote_ts": ["10.71.1.0/24[icmp]"]},
    ),
    Scenario(
        "protocol-tcp-port",
        "protoport-dual",
        protected_port,
        ours=_ours(_TCP),
        child={"local_ts": ["10.72.1.0/24[tcp/2222]"], "remote_ts": ["10.71.1.0/24[tcp]"]},
    ),
    Scenario(
        "range",
        "net2net-psk",
        tunnel,
        ours=_ours(_RANGE),
        child={"remote_ts": ["10.71.1.10-10.71.1.20"]},
        options={"local": "10.71.1.10..10.71.1.20"} | _ONE_WAY,
    ),
    Scenario(
        "peer-merges-subnets",
        "net2net-psk",
        tunnel,
        (Role.RESPONDER,),
        ours={"accept_wider": [{"local": "10.71.0.0/16", "remote": "10.72.0.0/16"}]},
        child={"local_ts": ["10.72.0.0/16"], "remote_ts": ["10.71.0.0/16"]},
    ),
    Scenario(
        "esn-alone",
        "net2net-esn",
        negotiated,
        BOTH,
        ours={"phase2": {"esn": True}},
        child={"esp_proposals": ["aes256-sha256-modp2048-esn"]},
        options={
            "agreed": "selected proposal: ESP:AES_CBC_256/HMAC_SHA2_256_128/MODP_2048/EXT_SEQ",
            "remark": "negotiation only: kernel-libipsec refuses 64-bit sequence numbers when it installs the SA",
        },
    ),
)
BREAKAGES = (
    Scenario(
        "broken-port",
        "protoport-dual",
        broken,
        (Role.RESPONDER,),
        ours=_ours(_TCP),
        child={"local_ts": ["10.72.1.0/24[tcp/2223]"], "remote_ts": ["10.71.1.0/24[tcp]"]},
        found={Role.RESPONDER: Finding("ike.phase2.selectors", "local", "Protocol or port differ")},
    ),
    Scenario(
        "broken-protocol",
        "protoport-dual",
        broken,
        (Role.RESPONDER,),
        child={"local_ts": ["10.72.1.0/24[udp]"], "remote_ts": ["10.71.1.0/24[udp]"]},
        found={Role.RESPONDER: Finding("ike.phase2.selectors", "local", "Protocol or port differ")},
    ),
    Scenario(
        "broken-merged-subnets",
        "net2net-psk",
        broken,
        (Role.RESPONDER,),
        child={"local_ts": ["10.72.0.0/16"], "remote_ts": ["10.71.0.0/16"]},
        found={Role.RESPONDER: Finding("ike.phase2.selectors", "local", "merged subnets")},
    ),
)
