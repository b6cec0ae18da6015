"""The policies in force: which pair serves which of them, and the kernel kept equal to that.

Thousands are changed in slices between which the event loop goes on: whoever looks meanwhile finds the rows whose turn
has come, and no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections import Counter, deque
from collections.abc import Callable, Collection, Container, Iterable
from typing import NamedTuple

from vpnengine.dataplane.base import DataPlaneError, Policy
from vpnengine.dataplane.xfrm import messages as m
from vpnengine.dataplane.xfrm import policies
from vpnengine.dataplane.xfrm.netlink import Netlink, Request, errors_of
from vpnengine.dataplane.xfrm.policies import Key, Serving
from vpnengine.esp.sa import Selector

_GONE = frozenset({errno.ENOENT, errno.ESRCH})
SLICE = 8  # rows changed at once: a few milliseconds
AT_ONCE = 16  # a change of no more rows is made before ``set`` returns
BULK = 64  # removals from which on the kernel is asked for the numbers of its policies

Row = tuple[str, Selector]
"""A configured policy: its peer and selector."""


class Difference(NamedTuple):
    """From one tuple of policies to another, which is the very one that ``set`` will be given."""

    before: tuple[Policy, ...]
    after: tuple[Policy, ...]
    gone: tuple[Row, ...]
    fresh: tuple[Policy, ...]


def difference(before: tuple[Policy, ...], after: tuple[Policy, ...]) -> Difference:
    """What changes. Policies that are the same objects are not looked at, so that little costs little."""
    old, new = {id(policy) for policy in before}, {id(policy) for policy in after}
    lost = {row_of(policy): policy for policy in before if id(policy) not in new}
    fresh = []
    for policy in after:
        if id(policy) not in old and lost.get(row_of(policy)) != policy:
            fresh.append(policy)
        elif id(policy) not in old:
            del lost[row_of(policy)]
    replaced = {row_of(policy) for policy in fresh}
    return Difference(before, after, tuple(row for row in lost if row not in replaced), tuple(fresh))


def row_of(policy: Policy) -> Row:
    """Its row."""
    return policy.peer_id, policy.selector


class PolicyDatabase:
    """RFC 4301's SPD, as far as it is ours. A kernel policy belongs to one row; a second one that maps to it waits.

    ``newest`` tells which states serve a row, None by none. ``left`` hears of rows that went.
    """

    def __init__(self, netlink: Netlink, newest: Callable[[Row], Serving | None], left: Callable[[Row], None]) -> None:
        self._netlink = netlink
        self._newest = newest
        self._left = left
        self._policies: tuple[Policy, ...] = ()
        self._rows: dict[Row, Policy] = {}
        self._by_peer: dict[str, dict[Row, None]] = {}
        self._owners: dict[Key, Row] = {}
        self._bypasses: Counter[Key] = Counter()
        self._sent: dict[Key, int] = {}
        self._queue: deque[Row | Policy | Key] = deque()
        self._numbers: dict[bytes, int] = {}
        self._prepared: Difference | None = None
        self._working: asyncio.Task[None] | None = None
        self.kept: set[Row] = set()
        """Rows that the kernel has already, served by what an engine before this one has left."""
        self.problem: str | None = None

    @property
    def policies(self) -> tuple[Policy, ...]:
        """What was asked for last."""
        return self._policies

    @property
    def rows(self) -> dict[Row, Policy]:
        """The policies in force by row."""
        return self._rows

    @property
    def peers(self) -> Container[str]:
        """The peers of these rows."""
        return self._by_peer

    def of_peer(self, peer_id: str) -> list[Row]:
        """The rows of a peer."""
        return list(self._by_peer.get(peer_id, ()))

    def owner(self, key: Key) -> Row | None:
        """The row that a policy of the kernel is of."""
        return self._owners.get(key)

    # Changes

    def prepare(self, wanted: tuple[Policy, ...]) -> None:
        """Compare with what there is, on any thread."""
        self._prepared = difference(self._policies, wanted)

    def set(self, wanted: tuple[Policy, ...], strangers: Collection[Key] = ()) -> bool:
        """Have exactly these rows, and none of the ``strangers``, which the kernel has. False if they were these."""
        prepared, self._prepared = self._prepared, None
        if prepared is None or prepared.after is not wanted or prepared.before is not self._policies:
            prepared = difference(self._policies, wanted)
        self._policies = wanted
        if not (prepared.gone or prepared.fresh or strangers):
            return False
        self.problem = None
        few = not self._queue
        self._queue.extend(strangers)
        self._queue.extend(prepared.gone)
        self._queue.extend(prepared.fresh)
        self._go_on(at_once=few and len(self._queue) <= AT_ONCE)
        return True

    def serve(self, rows: Iterable[Row]) -> None:
        """Other states serve these rows from now on; many rows are done in slices."""
        wanted = [row for row in rows if row in self._rows]
        if len(wanted) <= AT_ONCE:
            self._send([key for row in wanted for key in self._keys(row)])
            return
        self._queue.extend(key for row in wanted for key in self._keys(row))
        self._go_on(at_once=False)

    def _go_on(self, at_once: bool) -> None:
        if at_once:
            while self._queue:
                self._slice()
        elif self._queue and self._working is None:
            self._working = asyncio.get_running_loop().create_task(self._work())

    async def settled(self) -> None:
        """Return when the kernel has what was asked for, or has refused it."""
        while self._working is not None:
            await asyncio.wait([self._working])

    async def stop(self) -> None:
        """Change nothing more."""
        self._queue.clear()
        if self._working is not None:
            self._working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._working
            self._working = None

    async def _work(self) -> None:
        try:
            if sum(not isinstance(what, Policy) for what in self._queue) > BULK:
                self._numbers = await asyncio.to_thread(numbers)
            while self._queue:
                self._slice()
                await asyncio.sleep(0)
        except (OSError, DataPlaneError) as error:
            # What is left goes with the next change.
            self.problem = f"IPsec policies cannot be set: {error}"
        finally:
            self._numbers = {}
            self._working = None

    def _slice(self) -> None:
        changed: list[Key] = []
        for _ in range(min(SLICE, len(self._queue))):
            match self._queue.popleft():
                case Policy() as policy:
                    changed += self._add(policy)
                case Key() as key:
                    changed.append(key)
                case row:
                    changed += self._remove(row)
        self._send(changed)

    def _add(self, policy: Policy) -> list[Key]:
        row = row_of(policy)
        changed = self._remove(row) if row in self._rows else []
        self._rows[row] = policy
        self._by_peer.setdefault(policy.peer_id, {})[row] = None
        for key in policies.keys(policy):
            if self._owners.setdefault(key, row) == row:
                changed.append(key)
        if row in self.kept:
            self.kept.discard(row)
            changed.clear()
        for key in policies.bypasses(policy):
            self._bypasses[key] += 1
            changed.append(key)
        return changed

    def _remove(self, row: Row) -> list[Key]:
        policy = self._rows.pop(row, None)
        if policy is None:
            return []
        self._by_peer[row[0]].pop(row)
        if not self._by_peer[row[0]]:
            del self._by_peer[row[0]]
        changed = [key for key in policies.keys(policy) if self._owners.get(key) == row]
        for key in changed:
            del self._owners[key]
        for key in policies.bypasses(policy):
            self._bypasses[key] -= 1
            changed.append(key)
        self._left(row)
        return changed

    def _keys(self, row: Row) -> list[Key]:
        return [key for key in policies.keys(self._rows[row]) if self._owners.get(key) == row]

    # The kernel

    def _send(self, keys: Iterable[Key]) -> None:
        """Let the kernel have what is right for these policies now; what it has already is not sent."""
        requests: list[Request] = []
        serving: dict[Row, Serving | None] = {}
        for key in dict.fromkeys(keys):
            request = self._request(key, serving)
            same = hash((request.kind, request.body, *request.attributes))
            if self._sent.get(key) == same:
                continue
            if request.kind == m.DELPOLICY:
                self._sent.pop(key, None)
            else:
                self._sent[key] = same
            requests.append(request)
        if requests:
            self._problem_of(requests, self._netlink.send_all(requests))

    def _request(self, key: Key, known: dict[Row, Serving | None]) -> Request:
        row = self._owners.get(key)
        if row is None:
            if self._bypasses[key] > 0:
                return policies.bypass(key)
            del self._bypasses[key]
            return policies.removal(key, self._numbers.pop(key.octets(), 0) if self._numbers else 0)
        if row not in known:
            known[row] = self._newest(row)
        serving = known[row]
        serves = serving or Serving(policies.reqid_of(*row))
        return policies.request(key, self._rows[row], serves, serving is not None)

    def _problem_of(self, requests: list[Request], errors: list[int]) -> None:
        refused = errors_of(requests, errors, _GONE)
        if refused:
            self.problem = f"the kernel refused {len(refused)} IPsec policies: {refused[0]}"


def numbers() -> dict[bytes, int]:
    """The kernel's numbers of our policies by ``Key.octets``; on any thread."""
    netlink = Netlink()
    try:
        return dict(policies.index_of(message) for message in netlink.dump(m.GETPOLICY) if policies.is_ours(message))
    finally:
        netlink.close()
