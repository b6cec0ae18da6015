"""Two successors of one pair that both ends began at once: which of the two stays.

Each end takes the one for the newer that it has heard of last, so that the two may differ, and an end that
deleted the other one at once might leave nothing. IKEv1 has no rule; traffic shows which pair the peer uses.
Where the two ends differ, the pair with the lowest nonce gives way (RFC 7296 section 2.8.1 has the same
rule, so that both ends of our kind choose alike), at the latest after a minute without traffic.
"""

from __future__ import annotations

from vpnengine.ikev1 import pairs
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.model import Pair, Peer

LOOK_S = 10.0
SHOWN_S = 5.0  # this much later heard on the one than on the other: the peer sends on it alone
BY_RULE_S, AT_LAST_S = 60.0, 120.0


def begin(core: Core, peer: Peer, surplus: Pair, current: Pair) -> None:
    """``surplus`` was replaced by ``current``, and perhaps the other way about at the peer: watch both."""
    surplus.surplus = True
    # Neither has been heard for longer than the other, as far as counts here.
    surplus.last_in, current.last_in = max(surplus.last_in, core.now), max(current.last_in, core.now)
    _again(core, peer, surplus, core.now)


def _again(core: Core, peer: Peer, surplus: Pair, since: float) -> None:
    due = core.now + LOOK_S
    if due < surplus.expires:
        key = ("surplus", surplus.timer)
        core.timers.set(key, due, "a surplus IPsec SA", lambda: _look(core, peer, surplus, since))


def _look(core: Core, peer: Peer, surplus: Pair, since: float) -> None:
    current = peer.live_pair(surplus.params.selector)
    if current is None:
        return
    gives_way = surplus.rank < current.rank
    if current.last_in - surplus.last_in > SHOWN_S:
        pairs.delete(core, peer, surplus)
    elif surplus.last_in - current.last_in > SHOWN_S and not gives_way:
        pairs.delete(core, peer, current)  # the peer uses the other one, and then so do we
    elif core.now - since >= (BY_RULE_S if gives_way else AT_LAST_S):
        # By then an end that differs and has the same rule has deleted ours.
        pairs.delete(core, peer, surplus)
    else:
        _again(core, peer, surplus, since)


def _promote(core: Core, peer: Peer, pair: Pair) -> None:
    pair.replaced = pair.surplus = False
    core.timers.cancel(("surplus", pair.timer))
    if pair.confirmed:  # else the end of its quick mode does the same
        pairs.use(core, peer, pair)
    pairs.arm(core, peer, pair)


def instead_of(core: Core, peer: Peer, gone: Pair) -> None:
    """A pair in use was removed: if there is a surplus one for its selector, that one is used and renewed."""
    left = [p for p in peer.pairs if p.surplus and p.params.selector == gone.params.selector]
    if left and peer.live_pair(gone.params.selector) is None:
        _promote(core, peer, left[-1])
