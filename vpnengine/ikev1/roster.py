"""Which configured peers may be at an address: by host, by subnet or range, or anywhere."""

from __future__ import annotations

import ipaddress
from collections import defaultdict

from vpnengine.contract.types import remote_networks
from vpnengine.esp.sa import Network
from vpnengine.ikev1.model import Peer


class Roster:
    """Peers by their addresses. A look-up takes time that grows with prefix lengths, not with peers."""

    def __init__(self) -> None:
        self._hosts: defaultdict[str, list[Peer]] = defaultdict(list)
        self._networks: dict[Network, list[Peer]] = {}
        self._lengths: dict[int, list[int]] = {4: [], 6: []}

    def add(self, peer: Peer) -> None:
        """List a peer without a fixed address; one with such is listed by ``found``."""
        for network in remote_networks(peer.config.remote):
            self._networks.setdefault(network, []).append(peer)
        self._measure()

    def remove(self, peer: Peer) -> None:
        """Forget a peer and its addresses."""
        for host in set(peer.hosts.values()):
            self._forget(host, peer)
        networks = remote_networks(peer.config.remote)
        for network in networks:
            rows = [p for p in self._networks.get(network, []) if p is not peer]
            if rows:
                self._networks[network] = rows
            else:
                self._networks.pop(network, None)
        if networks:
            self._measure()

    def found(self, peer: Peer, name: str, host: str) -> None:
        """A peer's name stands for this address now."""
        before = peer.hosts.get(name)
        peer.hosts[name] = host
        if before is not None and before not in peer.hosts.values():
            self._forget(before, peer)
        if peer not in self._hosts[host]:
            self._hosts[host].append(peer)

    def _forget(self, host: str, peer: Peer) -> None:
        rows = [p for p in self._hosts.get(host, []) if p is not peer]
        if rows:
            self._hosts[host] = rows
        else:
            self._hosts.pop(host, None)

    def _measure(self) -> None:
        for version in self._lengths:
            lengths = {network.prefixlen for network in self._networks if network.version == version}
            self._lengths[version] = sorted(lengths, reverse=True)

    def tiers(self, host: str) -> list[list[Peer]]:
        """The peers that may be at this address: those at exactly this one first, then narrow networks before wide."""
        address = ipaddress.ip_address(host)
        found = [self._hosts[host]] if host in self._hosts else []
        for length in self._lengths[address.version]:
            network: Network = ipaddress.ip_network((address, length), strict=False)
            if network in self._networks:
                found.append(self._networks[network])
        return found

    def first(self, host: str) -> Peer | None:
        """Some peer that may be at this address, to name it in an event."""
        return next((peer for tier in self.tiers(host) for peer in tier), None)
