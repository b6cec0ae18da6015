"""What a new appliance begins with. Pure, save for reading which interfaces there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

LAN = "192.168.128.1/24"
_CLASS = Path("/sys/class/net")


def interfaces(place: Path = _CLASS) -> list[str]:
    """Ethernet ports by name; neither loopback nor anything that is made by software."""
    found = [path.name for path in place.glob("*") if (path / "device").exists()]
    # A name that the document could not hold names nothing that we could use.
    return sorted(name for name in found if len(name) <= 10)


def document(ports: list[str]) -> dict[str, Any] | None:
    """WAN by DHCP on the first port, a LAN with DHCP on the second; None without any port.

    With one port the dashboard is there, for there is no other way to it.
    """
    if not ports:
        return None
    wan = {"interface": ports[0]}
    if len(ports) == 1:
        return {"wan": wan, "dashboard_on_wan": True}
    lan = {
        "interface": ports[1],
        "address": LAN,
        "dhcp": {"first": "192.168.128.100", "last": "192.168.128.199"},
    }
    return {"wan": wan, "lan": lan}
