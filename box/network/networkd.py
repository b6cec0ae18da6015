"""Units of systemd-networkd (systemd.network(5), systemd.netdev(5)). Pure."""

from __future__ import annotations

from box.contract.network import Lan, Network, Vlan, Wan, WanMode

_HEAD = "# Written by Culvert."
Section = tuple[str, list[tuple[str, str]]]


def units(network: Network) -> dict[str, str]:
    """File name → text."""
    found = {"10-culvert-wan.network": _unit(_wan(network.wan))}
    if network.lan:
        port = network.lan.interface
        tags = [("VLAN", f"{port}.{vlan.vlan}") for vlan in network.vlans]
        found["10-culvert-lan.network"] = _unit(_inside(port, network.lan, tags))
        for vlan in network.vlans:
            device = f"{port}.{vlan.vlan}"
            found[f"20-culvert-vlan-{vlan.vlan}.netdev"] = _unit(_netdev(device, vlan))
            found[f"20-culvert-vlan-{vlan.vlan}.network"] = _unit(_inside(device, vlan, []))
    return found


def _unit(sections: list[Section]) -> str:
    parts = [_HEAD]
    for title, rows in sections:
        parts.append(f"\n[{title}]")
        parts.extend(f"{key}={value}" for key, value in rows)
    return "\n".join(parts) + "\n"


def _wan(wan: Wan) -> list[Section]:
    static = wan.mode == WanMode.STATIC
    # PPPoE's frames need the interface up, and no address on it.
    is_bare = wan.mode == WanMode.PPPOE
    rows = [
        ("DHCP", "ipv4" if wan.mode == WanMode.DHCP else "no"),
        ("IPv6AcceptRA", "yes" if wan.ipv6_auto and not is_bare else "no"),
        ("LinkLocalAddressing", "no" if is_bare else "ipv6"),
    ]
    addresses = [] if is_bare else [address for address in (wan.address if static else None, wan.address6) if address]
    gateways = [] if is_bare else [gateway for gateway in (wan.gateway, wan.gateway6) if gateway]
    rows += [("Address", address) for address in addresses]
    rows += [("Gateway", gateway) for gateway in gateways]
    rows += [("DNS", server) for server in wan.dns]
    link = [("MTUBytes", str(wan.mtu))] if wan.mtu else []
    sections: list[Section] = [("Match", [("Name", wan.interface)])]
    sections += [("Link", [*link, ("RequiredForOnline", "no")])]
    sections += [("Network", rows)]
    if wan.mode == WanMode.DHCP:
        # An own list of servers replaces the provider's; the lease survives a restart of networkd.
        sections.append(("DHCPv4", [("UseDNS", "no" if wan.dns else "yes"), ("UseDomains", "no")]))
    if wan.ipv6_auto and not is_bare:
        sections.append(("IPv6AcceptRA", [("UseDNS", "no" if wan.dns else "yes")]))
    return sections


def _inside(device: str, lan: Lan, more: list[tuple[str, str]]) -> list[Section]:
    rows = [("Address", lan.address)]
    if lan.address6:
        rows.append(("Address", lan.address6))
    # A network that nobody is plugged into yet still has its address, so that services can bind to it.
    rows += [("IPv6AcceptRA", "no"), ("ConfigureWithoutCarrier", "yes"), ("IgnoreCarrierLoss", "yes"), *more]
    return [("Match", [("Name", device)]), ("Link", [("RequiredForOnline", "no")]), ("Network", rows)]


def _netdev(device: str, vlan: Vlan) -> list[Section]:
    return [("NetDev", [("Name", device), ("Kind", "vlan")]), ("VLAN", [("Id", str(vlan.vlan))])]
