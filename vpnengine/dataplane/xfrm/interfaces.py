"""xfrm interfaces of route-based peers: made, given addresses, and removed again.

Those that are ours bear ``ALIAS``, so that a new engine knows what a killed one has left. An interface of the same
name and id that somebody else has made is used as it is, and not removed.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from ipaddress import ip_interface
from typing import Any, NamedTuple

from vpnengine.contract.kernel import RouteBased
from vpnengine.dataplane.base import Policy
from vpnengine.dataplane.routes import Way
from vpnengine.esp.sa import Network

ALIAS = "culvert"


class Link(NamedTuple):
    """One interface that is there."""

    kind: str
    if_id: int
    ours: bool


def wanted(policies: Iterable[Policy]) -> dict[str, RouteBased]:
    """The interfaces of the peers of these policies, by name."""
    found = (policy.kernel.route_based for policy in policies if policy.kernel.route_based is not None)
    return {row.interface: row for row in found}


def ways(rows: Iterable[RouteBased]) -> dict[Network, Way]:
    """What leads to which interface, from its own address of that family if it has one."""
    found: dict[Network, Way] = {}
    for row in rows:
        sources = {address.version: str(address.ip) for address in reversed([ip_interface(a) for a in row.addresses])}
        for text in row.routes:
            network = ip_interface(text).network
            found.setdefault(network, Way(row.interface, sources.get(network.version)))
    return found


class Interfaces:
    """Keeps the interfaces equal to those that are wanted. Blocks: called on the thread of the routes."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self._looked = False
        self._rows: dict[str, RouteBased] = {}

    def make(self, rows: dict[str, RouteBased]) -> None:
        """Make and change what is wanted. What cannot be made is a ``problem``, and the rest is made all the same."""
        problems = []
        if rows:
            there = _links()
            for name, row in rows.items():
                problem = _conflict(name, row, there.get(name)) or self._one(row, there.get(name))
                problems += [f"interface {name}: {problem}"] if problem else []
        self.problem = "; ".join(problems[:3]) or None

    def remove_others(self, rows: dict[str, RouteBased]) -> None:
        """Remove those of ours that are not wanted; the first time also what a killed engine has left."""
        gone = self._rows.keys() - rows.keys()
        if gone or not self._looked:
            for name, link in _links().items():
                if link.ours and name not in rows:
                    _ip("link", "delete", name)
        self._looked, self._rows = True, dict(rows)

    def close(self) -> None:
        """Remove all of ours."""
        if self._rows or not self._looked:
            self._looked = False
            self.remove_others({})

    def _one(self, row: RouteBased, link: Link | None) -> str | None:
        name = row.interface
        if link is not None and link.ours and link.if_id != row.if_id:
            _ip("link", "delete", name)
            link = None
        if link is None:
            problem = _ip("link", "add", name, "type", "xfrm", "if_id", str(row.if_id))
            if problem:
                return f"it cannot be made: {problem}"
            _ip("link", "set", name, "alias", ALIAS)
        problem = _ip("link", "set", name, "mtu", str(row.mtu), "up")
        known, there = self._rows.get(name), _addresses(name)
        for address in there & set(known.addresses if known else ()) - set(row.addresses):
            _ip("address", "delete", address, "dev", name)
        for address in row.addresses:
            if address not in there:
                problem = _ip("address", "add", address, "dev", name) or problem
        return problem


def _conflict(name: str, row: RouteBased, link: Link | None) -> str | None:
    if link is None or link.ours:
        return None
    if link.kind != "xfrm":
        return f"another interface has this name, of the kind “{link.kind}”; enter another one"
    if link.if_id != row.if_id:
        return f"somebody else has made it with the id {link.if_id}, and {row.if_id} is configured"
    return None


def _links() -> dict[str, Link]:
    found = {}
    for row in _json("-details", "link", "show"):
        info = row.get("linkinfo", {})
        number = str(info.get("info_data", {}).get("if_id", 0))
        found[row["ifname"]] = Link(info.get("info_kind", "device"), int(number, 0), row.get("ifalias") == ALIAS)
    return found


def _addresses(name: str) -> set[str]:
    return {
        f"{address['local']}/{address['prefixlen']}"
        for row in _json("address", "show", "dev", name)
        for address in row.get("addr_info", ())
    }


def _json(*words: str) -> list[dict[str, Any]]:
    done = subprocess.run(("ip", "-json", *words), capture_output=True, text=True, check=False)
    try:
        return [row for row in json.loads(done.stdout or "[]") if row]
    except ValueError:
        return []


def _ip(*words: str) -> str | None:
    """What ``ip`` says if it fails."""
    done = subprocess.run(("ip", *words), capture_output=True, text=True, check=False)
    return (done.stderr.strip() or f"ip {words[0]} failed").splitlines()[-1] if done.returncode else None
