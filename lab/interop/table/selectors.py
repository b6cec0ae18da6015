"""What a tunnel protects: ranges, protocols, ports, merged subnets; and what is negotiated but not carried."""

from __future__ import annotations

from typing import Any

from lab.interop import messages
from lab.interop.model import BOTH, Finding, Role, Scenario
from lab.interop.scripts import agreed, broken, everything, negotiated, protected_port, tunnel

_OUR_NETS = {"local_subnets": [], "remote_subnets": []}


def _ours(*rows: dict[str, Any]) -> dict[str, Any]:
    return _OUR_NETS | {"selectors": list(rows)}


_ROW = {"local": "10.71.1.0/24", "remote": "10.72.1.0/24"}
_ICMP, _TCP = _ROW | {"protocol": "icmp"}, _ROW | {"protocol": "tcp", "remote_port": 2222}
_RANGE = {"local": "10.71.1.10-10.71.1.20", "remote": "10.72.1.0/24"}
_ONE_WAY: dict[str, Any] = {"echo": [("lan", "10.72.1.10"), ("host", "10.71.1.10")]}


def _far_end(name: str, kin: str, remote: str, addresses: tuple[str, str, str, str], **more: Any) -> Scenario:
    """A far end that contains the near one; the addresses: beyond the peer, ours in the LAN, the peer's, a LAN host."""
    ours, options = {"remote_subnets": [remote]}, {"addresses": addresses}
    return Scenario(name, kin, everything, ours=ours, child={"local_ts": [remote]}, options=options, **more)


_INNER, _INNER6 = ("10.71.1.1", "192.0.2.2", "10.71.1.10"), ("fd71:1::1", "2001:db8::2", "fd71:1::10")
ROWS = (
    _far_end("everything-at-the-peer", "net2net-psk", "0.0.0.0/0", ("198.51.100.77", *_INNER)),
    _far_end("supernet-at-the-peer", "net2net-psk", "10.0.0.0/8", ("10.99.0.77", *_INNER)),
    _far_end("everything-at-the-peer-ipv6", "ipv6/net2net-ikev1", "::/0", ("2001:db8:9::77", *_INNER6), kind="direct6"),
    Scenario(
        "everything-at-both-ends",
        "net2net-psk",
        agreed,
        (Role.RESPONDER,),
        ours={"accept_wider": [{"local": "0.0.0.0/0", "remote": "0.0.0.0/0"}]},
        child={"local_ts": ["0.0.0.0/0"], "remote_ts": ["0.0.0.0/0"]},
        options={"remark": "negotiation only: no packet came back through charon's kernel-libipsec"},
    ),
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
        "eight-quick-modes-at-once",
        "ikev1-max-exchanges",
        tunnel,
        ours=_ours(*({"local": f"10.71.1.{n}/29", "remote": "10.72.1.0/24"} for n in range(0, 64, 8))),
        child={"remote_ts": [f"10.71.1.{n}/29" for n in range(0, 64, 8)]},
        options=_ONE_WAY | {"pairs": 8, "seconds": 20.0, "counts": {"ID_PROT": 6}},
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
        "peer-offers-compression",
        "compress",
        tunnel,
        (Role.RESPONDER,),
        child={"ipcomp": "yes"},
        options={"remark": "agreed without IPComp, which the peer offers as an alternative"},
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
_L2TP = {
    "local": "192.0.2.1/32",
    "remote": "192.0.2.2/32",
    "protocol": "udp",
    "local_port": 1701,
    "remote_port": 1701,
}
_HOSTS = {"local": "192.0.2.1/32", "remote": "192.0.2.2/32"}


def _transport(name: str, kin: str, row: dict[str, Any], suffix: str, **more: Any) -> Scenario:
    """Quick mode of transport mode; charon fails to install what it has agreed to."""
    child = {"mode": "transport", "local_ts": ["192.0.2.2" + suffix], "remote_ts": ["192.0.2.1" + suffix]}
    ours = _ours(row) | {"phase2": {"mode": "transport"}, "dpd": {"interval_s": 0}} | more.pop("ours", {})
    options = {
        "data path": "fake",
        "agreed": "unable to install",
        "remark": "negotiation only: kernel-libipsec has no transport mode, and neither has our userspace data path",
    }
    return Scenario(name, kin, negotiated, BOTH, ours=ours, child=child, options=options, **more)


_AH = {"protocol": "ah", "encryption": "null", "integrity": "sha256"}
NEGOTIATED = (
    _transport("transport-host-to-host", "host2host-transport", _HOSTS, ""),
    _transport("transport-l2tp", "l2tp", _L2TP, "[udp/1701]"),
    _transport("transport-l2tp-drafts", "l2tp", _L2TP, "[udp/1701]", ours={"nat_traversal": "drafts"}),
)
ROWS += NEGOTIATED
BREAKAGES = (
    Scenario(
        "broken-ah-at-peer",
        "net2net-ah",
        broken,
        (Role.RESPONDER,),
        child={"esp_proposals": None, "ah_proposals": ["sha256-modp2048"]},
        found={Role.RESPONDER: Finding("ike.phase2.no_proposal", "local", "ah-sha256")},
    ),
    Scenario(
        "broken-gmac-at-peer",
        "net2net-null-gmac",
        broken,
        (Role.RESPONDER,),
        child={"esp_proposals": ["aes256gmac-modp2048"]},
        options={"messages": messages.refusal(messages.ANSWERS, "NO_PROP")},
        found={Role.RESPONDER: Finding("ike.phase2.no_proposal", "local", "Phase 2")},
    ),
    Scenario(
        "broken-ah-here-in-udp",
        "net2net-ah",
        broken,
        (Role.INITIATOR,),
        ours={"phase2": {"proposals": [_AH]}},
        child={"esp_proposals": None, "ah_proposals": ["sha256-modp2048"]},
        options={"data path": "fake"},
        found={Role.INITIATOR: Finding("ike.phase2.ah", "local", "choose ESP")},
    ),
    Scenario(
        "broken-transport-at-peer",
        "host2host-transport",
        broken,
        (Role.RESPONDER,),
        ours=_ours(_HOSTS),
        child={"mode": "transport", "local_ts": ["192.0.2.2"], "remote_ts": ["192.0.2.1"]},
        found={Role.RESPONDER: Finding("ike.phase2.no_proposal", "local", "transport")},
    ),
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
        "broken-everything-at-peer",
        "net2net-psk",
        broken,
        (Role.RESPONDER,),
        child={"local_ts": ["0.0.0.0/0"]},
        found={Role.RESPONDER: Finding("ike.phase2.selectors", "local", "enter 0.0.0.0/0 under Private subnets")},
    ),
    Scenario(
        "broken-everything-at-both-ends",
        "net2net-psk",
        broken,
        (Role.RESPONDER,),
        child={"local_ts": ["0.0.0.0/0"], "remote_ts": ["0.0.0.0/0"]},
        found={Role.RESPONDER: Finding("ike.phase2.selectors", "local", "“0.0.0.0/0, 0.0.0.0/0” under Accept wider")},
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
