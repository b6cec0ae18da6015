"""Routes that lead packets of the policies into the tunnel device.

They stand in a table of their own, before which a rule sends the engine's own packets (by
their mark) to the main table. Nothing outside that table, those rules and that device is
touched, and what a killed engine has left there is removed at the next start.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from vpnengine.dataplane.udp import MARK
from vpnengine.esp.sa import Network, Selector
from vpnengine.esp.spans import address_in, networks

TABLE = 220
_MAIN_TABLE = 254
_PRIORITY_OWN, _PRIORITY_TUNNEL = 218, 219
_PROTOCOL = 99  # marks the routes as ours for people who look
_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class Routes:
    """Keeps the routes of one device equal to the policies.

    pyroute2 runs an event loop of its own, which may not be the daemon's: every call is made on
    one thread that belongs to this object, and waited for.
    """

    def __init__(self, device: str, mtu: int) -> None:
        self._thread = ThreadPoolExecutor(1, "routes")
        self._thread.submit(self._start, device, mtu).result()

    def set(self, selectors: Iterable[Selector]) -> None:
        """Route every remote subnet into the device, from a local address of the selector if the host has one."""
        self._thread.submit(self._set, list(selectors)).result()

    def close(self) -> None:
        """Remove our routes and rules."""
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def _start(self, device: str, mtu: int) -> None:
        self._routes: dict[Network, str | None] = {}
        self._ip = IPRoute()
        self._index = self._ip.link_lookup(ifname=device)[0]
        self._ip.link("set", index=self._index, state="up", mtu=mtu)
        self._flush()
        for family in _FAMILIES:
            self._rule("add", family)

    def _rule(self, action: str, family: int) -> None:
        own: dict[str, Any] = {"priority": _PRIORITY_OWN, "table": _MAIN_TABLE, "fwmark": MARK, "family": family}
        tunnel: dict[str, Any] = {"priority": _PRIORITY_TUNNEL, "table": TABLE, "family": family}
        for rule in (own, tunnel):
            try:
                self._ip.rule(action, **rule)
            except NetlinkError:
                # Already there, or already gone; or the host has no IPv6.
                continue

    def _flush(self) -> None:
        """Remove what a killed engine has left."""
        for family in _FAMILIES:
            self._rule("del", family)
            try:
                self._ip.flush_routes(table=TABLE, family=family)
            except NetlinkError:
                continue

    def _set(self, selectors: list[Selector]) -> None:
        addresses = self._addresses()
        wanted: dict[Network, str | None] = {}
        for selector in selectors:
            source = next((str(a) for a in addresses if address_in(a, selector.local)), None)
            for network in networks(selector.remote):
                wanted[network] = wanted.get(network) or source
        for network in self._routes.keys() - wanted.keys():
            self._change("del", network, None)
        for network, source in wanted.items():
            if self._routes.get(network, "") != source:
                self._change("replace", network, source)
        self._routes = wanted

    def _change(self, action: str, network: Network, source: str | None) -> None:
        route: dict[str, Any] = {"dst": str(network), "oif": self._index, "table": TABLE, "proto": _PROTOCOL}
        route["family"] = socket.AF_INET if network.version == 4 else socket.AF_INET6
        if source:
            route["prefsrc"] = source
        try:
            self._ip.route(action, **route)
        except NetlinkError:
            if action == "replace":
                raise

    def _addresses(self) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
        found = []
        for message in self._ip.get_addr():
            text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            if text:
                found.append(ipaddress.ip_address(text))
        return found

    def _close(self) -> None:
        self._flush()
        self._ip.close()
