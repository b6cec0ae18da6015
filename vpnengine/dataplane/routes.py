"""Routes that lead packets of the policies into the tunnel device.

They stand in a table of their own, before which a rule sends the engine's own packets (by
their mark) to the main table. A far end that is wider than the near one, such as everything, is
no route there, as that would take the host's own packets too: rules by source and destination
(``wide``) lead to a second table. Nothing outside those tables, rules and that device is
touched, and what a killed engine has left there is removed at the next start.
"""

from __future__ import annotations

import asyncio
import bisect
import ipaddress
import itertools
import socket
import subprocess
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, NamedTuple

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from vpnengine.dataplane import wide
from vpnengine.dataplane.udp import MARK
from vpnengine.dataplane.wide import MAIN_TABLE, TABLE_WIDE
from vpnengine.esp.sa import Network, Selector
from vpnengine.esp.spans import Span, ends, is_everything, networks

TABLE = 220
_PRIORITY_OWN, _PRIORITY_TUNNEL = 218, 219
_PROTOCOL = 99  # marks the routes as ours for people who look
_THROW, _RTN_THROW = "throw", 9  # stands for a source: look further, in the main table
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_TABLES = (TABLE, TABLE_WIDE)
_EVERYTHING: dict[int, Network] = {4: ipaddress.ip_network("0.0.0.0/0"), 6: ipaddress.ip_network("::/0")}
QUEUE = 2000  # packets; the kernel's 500 overflow while whoever reads the device waits for a processor


class Way(NamedTuple):
    """A route to another device than ours, from ``source`` if it is there."""

    device: str
    source: str | None


Place = tuple[int, Network]
"""Table and destination of a route."""


class RoutesError(Exception):
    """The kernel refuses routes; the text says what it said."""


class Routes:
    """Keeps the routes of one device equal to the policies.

    pyroute2 runs an event loop of its own, which may not be the daemon's: every call is made on
    one thread that belongs to this object. ``set`` does not wait for it, so that the tunnels that are there
    go on while thousands of routes change; whoever needs them waits for ``settled``. With ``keep`` the routes of an
    engine that was killed stay until ``set`` says which are wanted.
    """

    def __init__(self, device: str, mtu: int, keep: bool = False) -> None:
        self.problem: str | None = None
        self._wanted = 0
        self._last: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, "routes")
        self._thread.submit(self._start, device, mtu, keep).result()

    def set(
        self,
        selectors: Iterable[Selector],
        ways: Mapping[Network, Way] = MappingProxyType({}),
        before: Callable[[], None] | None = None,
        after: Callable[[], None] | None = None,
    ) -> None:
        """Route every remote subnet into the device, from a local address of the selector if the host has one.

        ``ways`` are routes besides, to other devices; ``before`` and ``after`` are called on the routes' thread, to
        make and to remove those.
        """
        self._wanted += 1
        self._last = self._thread.submit(self._set_all, list(selectors), ways, (before, after), self._wanted)
        self._last.add_done_callback(self._report)

    def again(self) -> None:
        """The device was down, and its routes went with that: set them all again."""
        self._thread.submit(self._again).add_done_callback(self._report)

    async def settled(self) -> None:
        """Return when the newest wish is fulfilled or has failed; ``problem`` says why."""
        if self._last is not None:
            await asyncio.wait([asyncio.wrap_future(self._last)])

    def _report(self, done: Future[None]) -> None:
        error = None if done.cancelled() else done.exception()
        self.problem = f"routes into the tunnel device cannot be set: {error}" if error else None

    def set_addresses(self, addresses: Iterable[str]) -> None:
        """The device has these addresses; routes that are set after this may start from them."""
        self._thread.submit(self._set_addresses, frozenset(addresses))

    def close(self) -> None:
        """Remove our routes and rules."""
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def _start(self, device: str, mtu: int, keep: bool) -> None:
        self._own: frozenset[str] = frozenset()
        self._routes: dict[Place, str | Way | None] = {}
        self._refused = False
        self._ip = IPRoute()
        self._device = device
        self._rules = wide.WideRules(self._ip)
        self._index = self._ip.link_lookup(ifname=device)[0]
        self._ip.link("set", index=self._index, state="up", mtu=mtu, txqlen=QUEUE)
        if keep:
            self._take_over()
        else:
            self._flush()
        for family in _FAMILIES:
            self._rule("add", family)

    def _take_over(self) -> None:
        """Find what there is; a source that no address is like makes the first ``set`` write each route anew."""
        for family, table in itertools.product(_FAMILIES, _TABLES):
            for route in self._ip.get_routes(table=table, family=family):
                anywhere = "0.0.0.0" if family == socket.AF_INET else "::"
                network = f"{route.get_attr('RTA_DST') or anywhere}/{route['dst_len']}"
                thrown = route["type"] == _RTN_THROW
                self._routes[table, ipaddress.ip_network(network)] = _THROW if thrown else "unknown"
        for message in self._ip.get_addr(index=self._index):
            text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            if text and not ipaddress.ip_address(text).is_link_local:
                self._own |= {text}

    def _rule(self, action: str, family: int) -> None:
        own: dict[str, Any] = {"priority": _PRIORITY_OWN, "table": MAIN_TABLE, "fwmark": MARK, "family": family}
        tunnel: dict[str, Any] = {"priority": _PRIORITY_TUNNEL, "table": TABLE, "family": family}
        for rule in (own, tunnel):
            try:
                self._ip.rule(action, **rule)
            except NetlinkError:
                # Already there, or already gone; or the host has no IPv6.
                continue

    def _flush(self) -> None:
        """Remove what a killed engine has left."""
        self._rules.have(frozenset())
        for family in _FAMILIES:
            self._rule("del", family)
            for table in _TABLES:
                try:
                    self._ip.flush_routes(table=table, family=family)
                except NetlinkError:
                    continue

    def _set_all(
        self,
        selectors: list[Selector],
        ways: Mapping[Network, Way],
        steps: tuple[Callable[[], None] | None, Callable[[], None] | None],
        number: int,
    ) -> None:
        if number != self._wanted:
            return  # a newer wish waits already
        before, after = steps
        if before is not None:
            before()
        try:
            self._set(selectors, ways)
        finally:
            if after is not None:
                after()

    def _set(self, selectors: list[Selector], ways: Mapping[Network, Way]) -> None:
        sources = _Sources(self._addresses())
        wanted: dict[Place, str | Way | None] = {(TABLE, network): way for network, way in ways.items()}
        rules = wide.rules(selectors)
        for selector in selectors:
            if wide.is_wide(selector):
                # Traffic inside a local subnet is not for a tunnel to everywhere, wherever the main table leads it.
                wanted |= {(TABLE_WIDE, network): _THROW for network in networks(selector.local)}
                wanted[TABLE_WIDE, _EVERYTHING[ends(selector.local)[0]]] = None
                continue
            source = sources.inside(selector.local)
            for network in networks(selector.remote):
                wanted[TABLE, network] = wanted.get((TABLE, network)) or source
        # No rule without its route, or its traffic would pass in the clear in between.
        self._rules.have(rules & self._rules.there)
        self._replace(wanted)
        self._rules.have(rules)

    def _replace(self, wanted: dict[Place, str | Way | None]) -> None:
        lines = [self._line("del", place, old) for place, old in self._routes.items() if place not in wanted]
        for place, source in wanted.items():
            if self._refused or self._routes.get(place, "") != source:
                lines.append(self._line("replace", place, source))
        # What was refused is tried again with the next wish; until then the problem stands.
        self._routes, self._refused = wanted, True
        if lines:
            self._batch(lines)
        self._refused = False

    def _again(self) -> None:
        routes, self._routes = self._routes, {}
        self._replace(routes)

    def _line(self, action: str, place: Place, source: str | Way | None) -> str:
        table, network = place
        if source == _THROW:
            return f"route {action} throw {network} table {table} proto {_PROTOCOL}"
        device, address = source if isinstance(source, Way) else (self._device, source)
        with_source = address and action == "replace"
        line = f"route {action} {network} dev {device} table {table} proto {_PROTOCOL}"
        return line + (f" src {address}" if with_source else "")

    def _batch(self, lines: list[str]) -> None:
        """Many changes by one ``ip``: a process of its own does not hold up the daemon, and is ten times as fast.

        :raises RoutesError: with its words; what is not refused is done all the same.
        """
        done = subprocess.run(
            ["ip", "-force", "-batch", "-"], input="\n".join(lines), capture_output=True, text=True, check=False
        )
        refused = [line for line in done.stderr.splitlines() if line.startswith(("RTNETLINK", "Error"))]
        if refused and any("replace" in line for line in lines):
            raise RoutesError(f"{len(refused)} of {len(lines)} changes were refused: {refused[0]}")

    def _set_addresses(self, wanted: frozenset[str]) -> None:
        for action, texts in (("del", self._own - wanted), ("add", wanted - self._own)):
            for text in sorted(texts):
                try:
                    self._ip.addr(action, index=self._index, address=text, prefixlen=32)
                except NetlinkError:
                    # Already there, or already gone.
                    continue
        self._own = wanted

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


class _Sources:
    """The host's own addresses, by version and in order."""

    def __init__(self, addresses: Iterable[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> None:
        self._sorted: dict[int, list[int]] = {4: [], 6: []}
        for address in addresses:
            self._sorted[address.version].append(int(address))
        for numbers in self._sorted.values():
            numbers.sort()

    def inside(self, span: Span) -> str | None:
        """The lowest of them that lies in a span; none of a span that is everything."""
        version, first, last = ends(span)
        if is_everything(span):
            return None
        numbers = self._sorted[version]
        index = bisect.bisect_left(numbers, first)
        if index == len(numbers) or numbers[index] > last:
            return None
        return str((ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address)(numbers[index]))
