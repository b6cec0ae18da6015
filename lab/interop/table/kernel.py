"""Both ends carry their packets in the kernel of a booted guest: what needs raw ESP, transport mode, AH or ESN.

ESP goes as IP protocol 50 where no translator is on the path, which no peer with ESP in userspace can do.
"""

from __future__ import annotations

from typing import Any

from lab.interop.carried import carried, l2tp
from lab.interop.life import rekey_phase2
from lab.interop.model import Role, Scenario
from lab.topology import GATEWAY_OUTER, SITE_OUTER

_GCM, _CBC = "aes256gcm16-modp2048", "aes256-sha256-modp2048"
_HOSTS = {"local": f"{SITE_OUTER}/32", "remote": f"{GATEWAY_OUTER}/32"}
_HOSTS6 = {"local": "2001:db8::1/128", "remote": "2001:db8::2/128"}
_AH = {"protocol": "ah", "encryption": "null", "integrity": "sha256"}
_BETWEEN: dict[str, Any] = {"echo": [("site", GATEWAY_OUTER), ("gateway", SITE_OUTER)]}
_BETWEEN6: dict[str, Any] = {"echo": [("site", "2001:db8::2"), ("gateway", "2001:db8::1")]}


def _row(name: str, kin: str, *, see: dict[str, Any], script: Any = carried, **more: Any) -> Scenario:
    options = {"seconds": 40.0, "see": see} | more.pop("options", {})
    return Scenario(f"kernel-{name}", kin, script, options=options, kernel=True, **more)


def _host(name: str, kin: str, proposal: str, row: dict[str, Any] = _HOSTS, **more: Any) -> Scenario:
    """Transport mode between the two gateways themselves."""
    kind = "ah_proposals" if more.pop("ah", False) else "esp_proposals"
    phase2 = {"mode": "transport"} | more.pop("phase2", {})
    suffix = more.pop("suffix", "")
    ends = [row[end].partition("/")[0] + suffix for end in ("remote", "local")]
    child = {"mode": "transport", "esp_proposals": None, kind: [proposal], "local_ts": ends[:1], "remote_ts": ends[1:]}
    ours = {"local_subnets": [], "remote_subnets": [], "selectors": [row], "phase2": phase2} | more.pop("ours", {})
    options = (_BETWEEN6 if ":" in ends[0] else _BETWEEN) | more.pop("options", {})
    return _row(name, kin, see={"encapsulation": "transport"}, ours=ours, child=child, options=options, **more)


ROWS = (
    _row("gcm", "net2net-psk", see={"encapsulation": "tunnel"}, child={"esp_proposals": [_GCM]}),
    _row("cbc", "net2net-psk", see={"encapsulation": "tunnel"}, child={"esp_proposals": [_CBC]}),
    _row("in-udp", "net2net-psk", see={"encapsulation": "udp-tunnel"}, theirs={"encap": "yes"}),
    _row(
        "esn",
        "net2net-esn",
        see={"esn": True},
        ours={"phase2": {"esn": True}},
        child={"esp_proposals": [f"{_CBC}-esn"]},
    ),
    _row(
        "ah-net-to-net",
        "net2net-ah",
        see={"encapsulation": "tunnel"},
        ours={"phase2": {"proposals": [_AH]}},
        child={"esp_proposals": None, "ah_proposals": ["sha256-modp2048"]},
    ),
    _host("transport", "host2host-transport", _GCM),
    _host("transport-cbc", "host2host-transport", _CBC),
    _host("ah-host-to-host", "host2host-ah", "sha256-modp2048", ah=True, phase2={"proposals": [_AH]}),
    _host(
        "l2tp",
        "l2tp",
        _CBC,
        _HOSTS | {"protocol": "udp", "local_port": 1701, "remote_port": 1701},
        suffix="[udp/1701]",
        script=l2tp,
    ),
    _row("rekey", "net2net-rekey", see={}, script=rekey_phase2),
    _row("ipv6", "ipv6/net2net-ikev1", see={"encapsulation": "tunnel"}, kind="direct6"),
    _host("transport-ipv6", "ipv6/transport-ikev1", _GCM, _HOSTS6, kind="direct6"),
    _row("nat", "nat-rw", see={"encapsulation": "udp-tunnel"}, kind="nat", roles=(Role.INITIATOR,)),
)
