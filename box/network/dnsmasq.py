"""The configuration of dnsmasq: DHCP and DNS for the networks behind the appliance. Pure.

dnsmasq rather than networkd's own DHCP server and resolved: it gives clients names in the local domain, keeps leases
over a restart, announces IPv6 prefixes, forwards DNS to whole networks, and one file says all of it.
"""

from __future__ import annotations

import ipaddress

from box.contract.network import Lan, Network

LEASES = "/var/lib/culvert/dnsmasq.leases"
UPSTREAM = "/run/systemd/resolve/resolv.conf"


def configuration(network: Network) -> str:
    """Text for ``dnsmasq --conf-file``."""
    lines = [
        "# Written by Culvert.",
        "bind-dynamic",
        "except-interface=lo",
        f"domain={network.domain}",
        f"local=/{network.domain}/",
        "expand-hosts",
        "no-hosts",
        "domain-needed",
        "bogus-priv",
        # An answer from outside that names an address inside is an attack on the browsers inside.
        "stop-dns-rebind",
        "rebind-localhost-ok",
        f"dhcp-leasefile={LEASES}",
        "dhcp-authoritative",
        "dhcp-lease-max=4096",
        "cache-size=4096",
        *_upstream(network),
    ]
    if not network.dns_forwarder:
        lines.append("port=0")
    addresses = [str(ipaddress.ip_interface(lan.address).ip) for _, _, lan in network.inside()]
    if network.dns_forwarder:
        lines.append(f"host-record={network.hostname},{network.hostname}.{network.domain},{addresses[0]}")
    for field, device, lan in network.inside():
        lines += _network(field.replace(".", ""), device, lan)
    return "\n".join(lines) + "\n"


def _upstream(network: Network) -> list[str]:
    if not network.wan.dns:
        return [f"resolv-file={UPSTREAM}"]
    return ["no-resolv", *(f"server={server}" for server in network.wan.dns)]


def _network(tag: str, device: str, lan: Lan) -> list[str]:
    lines = [f"interface={device}"]
    if lan.dhcp:
        mask, mine = lan.network.netmask, ipaddress.ip_interface(lan.address).ip
        servers = lan.dhcp.dns or (str(mine),)
        lines += [
            f"dhcp-range=set:{tag},{lan.dhcp.first},{lan.dhcp.last},{mask},{lan.dhcp.lease_s}",
            f"dhcp-option=tag:{tag},option:router,{mine}",
            f"dhcp-option=tag:{tag},option:dns-server,{','.join(servers)}",
        ]
    if lan.address6:
        lines += ["enable-ra", f"dhcp-range=set:{tag},::,constructor:{device},ra-stateless,ra-names,64"]
    return lines
