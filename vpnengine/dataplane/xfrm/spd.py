"""The policies in force: which pair serves which of them, and the kernel kept equal to that."""

from __future__ import annotations

import errno
from collections.abc import Iterable

from vpnengine.dataplane.base import Policy
from vpnengine.dataplane.xfrm import policies
from vpnengine.dataplane.xfrm.netlink import Netlink, Request, errors_of
from vpnengine.dataplane.xfrm.policies import Key, Serving
from vpnengine.esp.sa import Selector

_GONE = frozenset({errno.ENOENT, errno.ESRCH})


class PolicyDatabase:
    """RFC 4301's SPD, as far as it is ours. A kernel policy belongs to one row; a second one that maps to it waits."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink
        self._rows: dict[Selector, Policy] = {}
        self._by_peer: dict[str, list[Selector]] = {}
        self._owners: dict[Key, Selector] = {}
        self._bypasses: set[Key] = set()
        self.problem: str | None = None

    @property
    def rows(self) -> dict[Selector, Policy]:
        """The configured policies by selector."""
        return self._rows

    def of_peer(self, peer_id: str) -> list[Selector]:
        """The rows of a peer."""
        return self._by_peer.get(peer_id, [])

    def owner(self, key: Key) -> Selector | None:
        """The row that a policy of the kernel is of."""
        return self._owners.get(key)

    def set(self, wanted: Iterable[Policy], adopted: Iterable[Selector] = ()) -> tuple[set[Selector], set[Selector]]:
        """Have exactly these rows. Returns those that the kernel lacks, for ``serve`` to follow, and those that went.

        It has the ``adopted`` ones already.
        """
        rows = {policy.selector: policy for policy in wanted}
        gone = {selector for selector in self._rows if selector not in rows}
        fresh = {selector for selector, policy in rows.items() if self._rows.get(selector) != policy}
        self._rows = rows
        self._by_peer = {}
        for policy in rows.values():
            self._by_peer.setdefault(policy.peer_id, []).append(policy.selector)
        removals = [policies.removal(key) for selector in gone for key in self._disown(selector)]
        self._netlink.send_all(removals)
        self._problem_of([], [])
        for selector in fresh:
            for key in policies.keys(selector):
                self._owners.setdefault(key, selector)
        self._set_bypasses()
        return fresh - set(adopted), gone

    def _disown(self, selector: Selector) -> list[Key]:
        keys = [key for key in policies.keys(selector) if self._owners.get(key) == selector]
        for key in keys:
            del self._owners[key]
        return keys

    def serve(self, changes: dict[Selector, Serving | None]) -> None:
        """Let rows be served by these states; None is by none."""
        requests: list[Request] = []
        for selector, serving in changes.items():
            policy = self._rows.get(selector)
            if policy is None:
                continue
            serves = serving or Serving(policies.reqid_of(policy.peer_id, selector))
            requests += [
                policies.request(key, policy, serves, serving is not None)
                for key in policies.keys(selector)
                if self._owners.get(key) == selector
            ]
        self._problem_of(requests, self._netlink.send_all(requests))

    def _set_bypasses(self) -> None:
        wanted = set(policies.bypasses(self._rows.values())) - self._owners.keys()
        requests = [policies.removal(key) for key in self._bypasses - wanted - self._owners.keys()]
        requests += [policies.bypass(key) for key in wanted - self._bypasses]
        self._bypasses = wanted
        self._problem_of(requests, self._netlink.send_all(requests))

    def _problem_of(self, requests: list[Request], errors: list[int]) -> None:
        refused = errors_of(requests, errors, _GONE)
        if refused:
            self.problem = f"the kernel refused {len(refused)} IPsec policies: {refused[0]}"
        elif not requests:
            self.problem = None
