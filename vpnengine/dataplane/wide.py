"""Rules that lead traffic to a far end which is wider than the near one, such as everything, into the tunnel.

By source and destination: a route to such a far end would also take what the host itself sends from other addresses.
Before each stands a rule that looks into the main table for anything narrower than the far end, so that the host's own
networks, and what routers beside it lead to, stay outside.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterable
from typing import Any, NamedTuple

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from vpnengine.esp.sa import Network, Selector
from vpnengine.esp.spans import covers, networks

TABLE_WIDE = 221
MAIN_TABLE = 254
_PRIORITY_MAIN, _PRIORITY_WIDE = 220, 221
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_ANYWHERE: dict[int, str] = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}
_NOTHING = 0xFFFFFFFF  # how a rule that suppresses nothing is listed


class Rule(NamedTuple):
    """Packets from one network to another look into a table; there nothing counts that is as wide as ``suppress``."""

    source: Network
    destination: Network
    table: int
    suppress: int | None


def is_wide(selector: Selector) -> bool:
    """True if the far end contains the near one, and more."""
    return selector.remote != selector.local and covers(selector.remote, selector.local)


def rules(selectors: Iterable[Selector]) -> frozenset[Rule]:
    """The rules for those of the selectors that are wide."""
    found: set[Rule] = set()
    for selector in selectors:
        for source in networks(selector.local) if is_wide(selector) else ():
            for destination in networks(selector.remote):
                found.add(Rule(source, destination, MAIN_TABLE, destination.prefixlen))
                found.add(Rule(source, destination, TABLE_WIDE, None))
    return frozenset(found)


class WideRules:
    """The rules that the kernel has; what an earlier engine has left is found at the start."""

    def __init__(self, ip: IPRoute) -> None:
        self._ip = ip
        self.there = self._found()

    def have(self, wanted: frozenset[Rule]) -> None:
        """Have exactly these; those that lead to the main table come first, and go last.

        :raises NetlinkError: if the kernel refuses one.
        """
        for rule in sorted(self.there - wanted, key=_last_main):
            self._change("del", rule)
        for rule in sorted(wanted - self.there, key=_last_main, reverse=True):
            self._change("add", rule)

    def _change(self, action: str, rule: Rule) -> None:
        fields: dict[str, Any] = {"family": _FAMILIES[rule.source.version], "table": rule.table}
        fields["priority"] = _PRIORITY_MAIN if rule.table == MAIN_TABLE else _PRIORITY_WIDE
        for end, network in (("src", rule.source), ("dst", rule.destination)):
            if network.prefixlen:
                fields |= {end: str(network.network_address), f"{end}_len": network.prefixlen}
        if rule.suppress is not None:
            fields["suppress_prefixlen"] = rule.suppress
        try:
            self._ip.rule(action, **fields)
        except NetlinkError as error:
            # Already there, or already gone.
            if error.code not in (errno.EEXIST, errno.ENOENT):
                raise
        (self.there.add if action == "add" else self.there.discard)(rule)

    def _found(self) -> set[Rule]:
        """What stands at our two priorities, looking where ours look."""
        found = set()
        for family in _FAMILIES.values():
            for message in self._dump(family):
                table = message.get_attr("FRA_TABLE") or message["table"]
                place = message.get_attr("FRA_PRIORITY"), table
                if place not in ((_PRIORITY_MAIN, MAIN_TABLE), (_PRIORITY_WIDE, TABLE_WIDE)):
                    continue
                suppress = message.get_attr("FRA_SUPPRESS_PREFIXLEN") if table == MAIN_TABLE else None
                if table == TABLE_WIDE or suppress not in (None, _NOTHING):
                    found.add(Rule(_end(message, "src", family), _end(message, "dst", family), table, suppress))
        return found

    def _dump(self, family: int) -> list[Any]:
        try:
            return list(self._ip.get_rules(family=family))
        except NetlinkError:
            return []  # the host has no IPv6


def _last_main(rule: Rule) -> bool:
    return rule.table == MAIN_TABLE


def _end(message: Any, end: str, family: int) -> Network:
    address = message.get_attr(f"FRA_{end.upper()}") or _ANYWHERE[family]
    return ipaddress.ip_network(f"{address}/{message[f'{end}_len']}")
