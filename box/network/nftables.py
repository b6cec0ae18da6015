"""The rules of nftables: what reaches the appliance, what it forwards, what it translates. Pure.

The table is ours alone and is replaced in one transaction, so that no packet sees half of it. What is not allowed is
dropped. Two ways lead through a tunnel: a device of the engine (``culvert*``), or the kernel's IPsec, whose packets
leave by the WAN and are told by ``rt ipsec`` (going out) and ``meta secpath`` (come in). Neither is translated.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from box.contract.network import Network, Vlan, WanMode

TABLE = "culvert_box"
TUNNELS = '"culvert*"'


def ruleset(network: Network, protected: Iterable[str] = ()) -> str:
    """Text for ``nft -f``. ``protected``: subnets behind tunnels, which are never sent to the WAN in clear."""
    wan = f'"{network.wan.device}"'
    subnets = [ipaddress.ip_network(subnet) for subnet in protected]
    lines = [
        "# Written by Culvert.",
        # To delete what is not there would be refused; to add what is there is not.
        f"table inet {TABLE} {{}}",
        f"delete table inet {TABLE}",
        f"table inet {TABLE} {{",
        *_indented(_input(network, wan)),
        *_indented(_forward(network, wan, subnets)),
        *_indented(_output(wan, subnets)),
        *_indented(_postrouting(network, wan)),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"\t{line}" for line in lines]


def _chain(name: str, head: str, rules: list[str]) -> list[str]:
    return [f"chain {name} {{", f"\t{head}", *(f"\t{rule}" for rule in rules), "}"]


def _input(network: Network, wan: str) -> list[str]:
    rules = [
        "ct state established,related accept",
        "ct state invalid drop",
        'iifname "lo" accept',
        # Without these neither the size of packets nor the neighbours are found (RFC 4890).
        "icmp type { echo-request, destination-unreachable, time-exceeded, parameter-problem } accept",
        "icmpv6 type { echo-request, destination-unreachable, packet-too-big, time-exceeded, parameter-problem } "
        "accept",
        "ip6 hoplimit 255 icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } "
        "accept",
        f"iifname {wan} udp dport {{ 500, 4500 }} accept",
        f"iifname {wan} meta l4proto {{ esp, ah }} accept",
        f"iifname {wan} ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept",
    ]
    if network.dashboard_on_wan:
        rules.append(f"iifname {wan} tcp dport 443 accept")
    trusted = [f'"{device}"' for _, device, lan in network.inside() if not (isinstance(lan, Vlan) and lan.isolated)]
    every = [f'"{device}"' for _, device, _ in network.inside()]
    manage = "{ 22, 80, 443 }" if network.ssh else "{ 80, 443 }"
    if trusted:
        rules.append(f"iifname {_set(trusted)} tcp dport {manage} accept")
        # IKE from inside: a gateway behind this one, and a test of the tunnel from the LAN.
        rules.append(f"iifname {_set(trusted)} udp dport {{ 500, 4500 }} accept")
    if every:
        rules.append(f"iifname {_set(every)} udp dport {{ 53, 67, 547 }} accept")
        rules.append(f"iifname {_set(every)} tcp dport 53 accept")
    # Whoever manages the appliance through a tunnel is inside.
    rules.append(f"iifname {TUNNELS} tcp dport {manage} accept")
    rules.append(f"meta secpath exists tcp dport {manage} accept")
    return _chain("input", "type filter hook input priority filter; policy drop;", rules)


def _set(names: list[str]) -> str:
    return names[0] if len(names) == 1 else "{ " + ", ".join(names) + " }"


def _forward(network: Network, wan: str, protected: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> list[str]:
    rules = [] if network.wan.mode != WanMode.PPPOE else [_clamp(wan)]
    rules += _leaks(wan, protected)
    rules += ["ct state established,related accept", "ct state invalid drop"]
    devices = [(f'"{device}"', isinstance(lan, Vlan) and lan.isolated) for _, device, lan in network.inside()]
    every = [device for device, _ in devices]
    trusted = [device for device, is_isolated in devices if not is_isolated]
    if every:
        rules.append(f"iifname {_set(every)} oifname {wan} rt ipsec missing accept")
    if trusted:
        rules.append(f"iifname {_set(trusted)} oifname {wan} rt ipsec exists accept")
        rules.append(f"iifname {wan} oifname {_set(trusted)} meta secpath exists accept")
        rules.append(f"iifname {_set([*trusted, TUNNELS])} oifname {_set([*trusted, TUNNELS])} accept")
    # From one tunnel to another: the engine's selectors say which may.
    rules.append(f"iifname {wan} oifname {wan} meta secpath exists rt ipsec exists accept")
    return _chain("forward", "type filter hook forward priority filter; policy drop;", rules)


def _clamp(wan: str) -> str:
    # PPPoE takes 8 octets of each packet, and many hosts hear nothing of it.
    return f"oifname {wan} tcp flags syn / syn,rst tcp option maxseg size set rt mtu"


def _leaks(wan: str, protected: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> list[str]:
    """A tunnel that is down must not turn its traffic into traffic in clear."""
    found = []
    # A tunnel that carries everything leaves nothing to tell apart.
    four = [subnet for subnet in protected if isinstance(subnet, ipaddress.IPv4Network) and subnet.prefixlen]
    six = [subnet for subnet in protected if isinstance(subnet, ipaddress.IPv6Network) and subnet.prefixlen]
    for word, names in (
        ("ip", [str(subnet) for subnet in ipaddress.collapse_addresses(four)]),
        ("ip6", [str(subnet) for subnet in ipaddress.collapse_addresses(six)]),
    ):
        if names:
            found.append(f"oifname {wan} {word} daddr {_set(names)} rt ipsec missing drop")
    return found


def _output(wan: str, protected: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> list[str]:
    # IKE itself may have to reach a gateway whose address lies in what it protects.
    rules = [f"oifname {wan} udp sport {{ 500, 4500 }} accept", f"oifname {wan} meta l4proto {{ esp, ah }} accept"]
    return _chain("output", "type filter hook output priority filter; policy accept;", rules + _leaks(wan, protected))


def _postrouting(network: Network, wan: str) -> list[str]:
    rules = ["rt ipsec exists accept"]
    if network.nat:
        # Own packets have the right address already; to translate them would move IKE off its port.
        rules += [f"oifname {wan} ip saddr {lan.network} masquerade" for _, _, lan in network.inside()]
    return _chain("postrouting", "type nat hook postrouting priority srcnat; policy accept;", rules)
