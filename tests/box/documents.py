"""Documents of networks that tests begin with."""

from __future__ import annotations

from typing import Any


def static(**more: Any) -> dict[str, Any]:
    """A static WAN, a LAN with DHCP and IPv6, an isolated VLAN."""
    return {
        "wan": {
            "interface": "wan0",
            "mode": "static",
            "address": "192.0.2.10/24",
            "gateway": "192.0.2.1",
            "dns": ["192.0.2.53"],
        },
        "lan": {
            "interface": "lan0",
            "address": "192.168.1.1/24",
            "address6": "fd00:1::1/64",
            "dhcp": {"first": "192.168.1.100", "last": "192.168.1.200"},
        },
        "vlans": [
            {
                "vlan": 20,
                "name": "guests",
                "address": "192.168.20.1/24",
                "isolated": True,
                "dhcp": {"first": "192.168.20.100", "last": "192.168.20.200"},
            }
        ],
    } | more
