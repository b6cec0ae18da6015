"""What a killed engine has left in the kernel: kept for a while, so that traffic goes on until new SAs are up.

The keys of those states are known to the kernel alone, and so is nobody to their SAs' negotiation: each is replaced as
soon as its peer agrees to a new pair, and removed after ``ADOPTED_S`` seconds at the latest.
"""

from __future__ import annotations

from collections.abc import Iterable

from vpnengine.dataplane.base import Policy
from vpnengine.dataplane.xfrm import messages as m
from vpnengine.dataplane.xfrm import policies, states
from vpnengine.dataplane.xfrm.netlink import Netlink, Request
from vpnengine.dataplane.xfrm.policies import REQIDS, Found, Key
from vpnengine.dataplane.xfrm.structs import SaId
from vpnengine.esp.sa import Selector

ADOPTED_S = 120.0
LINGER_S = 15.0  # what is on its way on a state that has been replaced


class Remains:
    """Our policies and states that were there before."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink
        ours = (policies.found(message) for message in netlink.dump(m.GETPOLICY))
        self.policies: dict[Key, Found] = {found.key: found for found in ours if found is not None}
        self.states: dict[int, list[SaId]] = {}
        for message in netlink.dump(m.GETSA):
            state = states.dumped(message)
            if state.reqid in REQIDS:
                self.states.setdefault(state.reqid, []).append(state.identity)
        self.rows: dict[Selector, int] = {}

    def adopt(self, wanted: Iterable[Policy]) -> None:
        """Keep what serves a policy that is still configured for the same peer; remove the rest."""
        for policy in wanted:
            reqid = policies.reqid_of(policy.peer_id, policy.selector)
            keys = list(policies.keys(policy.selector))
            if self.states.get(reqid) and all(self._serves(key, reqid) for key in keys):
                self.rows[policy.selector] = reqid
                for key in keys:
                    del self.policies[key]
        kept = set(self.rows.values())
        self._remove(reqid for reqid in list(self.states) if reqid not in kept)
        self._netlink.send_all([policies.removal(key, found.identity) for key, found in self.policies.items()])
        self.policies.clear()

    def _serves(self, key: Key, reqid: int) -> bool:
        found = self.policies.get(key)
        if found is None or found.reqid != reqid:
            return False
        return key.direction != m.DIR_OUT or found.spi_out in (identity.spi for identity in self.states[reqid])

    def replaced(self, selector: Selector) -> int | None:
        """A new pair serves this row: the request id of the states that are to go, None if there are none."""
        return self.rows.pop(selector, None)

    def remove(self, reqid: int) -> None:
        """Remove the old states of a request id."""
        if reqid not in self.rows.values():
            self._remove([reqid])

    def remove_all(self) -> None:
        """Remove everything that was not replaced; ``rows`` tells whose policies are left."""
        self._remove(list(self.states))
        self._netlink.send_all([policies.removal(key, found.identity) for key, found in self.policies.items()])
        self.policies.clear()
        self.rows.clear()

    def _remove(self, reqids: Iterable[int]) -> None:
        requests: list[Request] = []
        for reqid in reqids:
            requests += [states.removal(identity) for identity in self.states.pop(reqid, [])]
        self._netlink.send_all(requests)
