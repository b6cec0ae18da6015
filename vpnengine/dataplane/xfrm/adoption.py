"""What a killed engine has left in the kernel: kept for a while, so that traffic goes on until new SAs are up.

The keys of those states are known to the kernel alone, and so is nobody to their SAs' negotiation: each is replaced as
soon as its peer agrees to a new pair, and removed after ``ADOPTED_S`` seconds at the latest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from vpnengine.dataplane.base import Policy
from vpnengine.dataplane.xfrm import messages as m
from vpnengine.dataplane.xfrm import policies, states
from vpnengine.dataplane.xfrm.netlink import Netlink
from vpnengine.dataplane.xfrm.policies import REQIDS, Found, Key
from vpnengine.dataplane.xfrm.slices import Slices
from vpnengine.dataplane.xfrm.spd import Row, row_of
from vpnengine.dataplane.xfrm.states import Dumped

ADOPTED_S = 120.0
LINGER_S = 15.0  # what is on its way on a state that has been replaced


class Adoption(NamedTuple):
    """What goes on serving which row, by request id; ``strangers`` are policies that go."""

    wanted: tuple[Policy, ...]
    rows: dict[Row, int]
    strangers: list[Key]


class Remains:
    """Our policies and states that were there before. Making it takes long if there are thousands."""

    def __init__(self, netlink: Netlink) -> None:
        self._slices = Slices(netlink)
        ours = (policies.found(message) for message in netlink.dump(m.GETPOLICY))
        self._policies: dict[Key, Found] = {found.key: found for found in ours if found is not None}
        self.states: dict[int, list[Dumped]] = {}
        for message in netlink.dump(m.GETSA):
            state = states.dumped(message)
            if state.reqid in REQIDS:
                self.states.setdefault(state.reqid, []).append(state)
        self.rows: dict[Row, int] = {}

    def plan(self, wanted: tuple[Policy, ...]) -> Adoption:
        """What serves a policy that is still configured for the same peer. Changes nothing, on any thread."""
        rows: dict[Row, int] = {}
        strangers = dict.fromkeys(self._policies)
        for policy in wanted if self._policies else ():
            reqid = policies.reqid_of(policy.peer_id, policy.selector)
            keys = list(policies.keys(policy))
            if self.states.get(reqid) and all(self._serves(key, reqid) for key in keys):
                rows[row_of(policy)] = reqid
                for key in keys:
                    strangers.pop(key, None)
        return Adoption(wanted, rows, list(strangers))

    def adopt(self, plan: Adoption) -> None:
        """Keep what the plan says; the states of the rest go."""
        self.rows = dict(plan.rows)
        self._policies.clear()
        kept = set(self.rows.values())
        self._remove(reqid for reqid in list(self.states) if reqid not in kept)

    def _serves(self, key: Key, reqid: int) -> bool:
        found = self._policies.get(key)
        if found is None or found.reqid != reqid:
            return False
        return key.direction != m.DIR_OUT or found.spi_out in (state.identity.spi for state in self.states[reqid])

    def replaced(self, row: Row) -> int | None:
        """A new pair serves this row: the request id of the states that are to go, None if there are none."""
        return self.rows.pop(row, None)

    def remove(self, reqid: int) -> None:
        """Remove the old states of a request id."""
        if reqid not in self.rows.values():
            self._remove([reqid])

    def remove_all(self) -> list[Row]:
        """Remove all states that were not replaced; the rows that they have served."""
        rows = list(self.rows)
        self.rows.clear()
        self._remove(list(self.states))
        return rows

    def stop(self) -> None:
        """Remove nothing more."""
        self._slices.stop()

    def _remove(self, reqids: Iterable[int]) -> None:
        self._slices.add(state.removal() for reqid in reqids for state in self.states.pop(reqid, []))
