"""What a document of networks becomes: files by their path below the root of the file system. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from box.contract.network import Network, WanMode
from box.network import dnsmasq, networkd, nftables, ppp

RULES = "run/culvert/box.nft"
DNSMASQ = "run/culvert/dnsmasq.conf"
SYSCTL = "run/sysctl.d/60-culvert.conf"
HOSTNAME = "run/culvert/hostname"
NETWORKD = "run/systemd/network"
PPP = "run/culvert/ppp"


@dataclass(frozen=True)
class File:
    """One file; ``mode`` as of chmod."""

    text: str
    mode: int = 0o644


def compile_files(network: Network, protected: Iterable[str] = ()) -> dict[str, File]:
    """Every file of ``network``. ``protected`` subnets lie behind tunnels: never in clear on the WAN."""
    files = {f"{NETWORKD}/{name}": File(text) for name, text in networkd.units(network).items()}
    files[RULES] = File(nftables.ruleset(network, protected), 0o600)
    files[SYSCTL] = File(_sysctl())
    files[HOSTNAME] = File(f"{network.hostname}\n")
    if network.lan:
        files[DNSMASQ] = File(dnsmasq.configuration(network))
    if network.wan.mode == WanMode.PPPOE:
        files |= {f"{PPP}/{name}": File(text, 0o600) for name, text in ppp.files(network.wan).items()}
    return files


def _sysctl() -> str:
    return (
        "# Written by Culvert.\n"
        "net.ipv4.ip_forward = 1\n"
        "net.ipv6.conf.all.forwarding = 1\n"
        # Packets that come out of a tunnel arrive by another way than their answers leave.
        "net.ipv4.conf.all.rp_filter = 2\n"
        "net.ipv4.conf.all.accept_redirects = 0\n"
        "net.ipv4.conf.all.send_redirects = 0\n"
        "net.ipv6.conf.all.accept_redirects = 0\n"
    )
