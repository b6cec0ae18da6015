"""What is wanted, and what is started for it."""

from __future__ import annotations

from vpnengine.contract.remote_access import ConfigClient
from vpnengine.esp.sa import Selector
from vpnengine.ikev1 import addresses, aggressive_mode, main_mode, quick_mode
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.model import IsakmpSa, Peer, QuickExchange
from vpnengine.ikev1.states import Quick, Role

# strongSwan keeps the IVs of three exchanges: with two under way, a third message may still be on its path.
MAX_PARALLEL_QUICK = 2


def want(core: Core, peer: Peer, selector: Selector, force: bool = False) -> None:
    """This selector is to have an SA pair. ``force`` asks for a new one although one is live."""
    if not peer.accepts(selector):
        return
    if selector in peer.wanted:
        pump(core, peer)  # what was begun for it may have ended with its phase 1
        return
    if not force and (peer.live_pair(selector) is not None or peer.cooling.get(selector, 0.0) > core.now):
        return
    peer.wanted[selector] = core.now
    if peer.current() is None:
        core.emit("ike.phase2.queued", peer=peer, selector=selector, remote=peer.remote_host or peer.config.remote)
    pump(core, peer)


def want_all(core: Core, peer: Peer) -> None:
    """Every configured selector is to have an SA pair, also those that were refused a moment ago."""
    peer.cooling.clear()
    if peer.needs_address:
        peer.seeking = True
        pump(core, peer)
    for selector in peer.selectors:
        want(core, peer, selector)


def pump(core: Core, peer: Peer) -> None:
    """Start whatever can be started: phase 1 if there is none, else the next quick modes."""
    if not peer.wanted and not peer.seeking:
        return
    sa = peer.current()
    if sa is None:
        if peer.negotiating() is None:
            start_phase1(core, peer)
        return
    if isinstance(peer.config.mode_config, ConfigClient) and not sa.configured:
        return  # the address of before may not be ours any more
    if sa.quick_from > core.now:
        core.timers.set(
            ("pump", sa.cookies), sa.quick_from, "quick mode after aggressive mode", lambda: pump(core, peer)
        )
        return
    busy = {exchange.selector for one in peer.sas for exchange in one.quick.values() if _active(exchange)}
    for selector in list(peer.wanted):
        if len(busy) >= MAX_PARALLEL_QUICK:
            return
        if selector not in busy:
            busy.add(selector)
            quick_mode.initiate(core, sa, selector)


def _active(exchange: QuickExchange) -> bool:
    return exchange.role is Role.INITIATOR and exchange.state is Quick.QM1_SENT


def start_phase1(core: Core, peer: Peer) -> None:
    """Begin phase 1, after the peer's address is known. Without a fixed address only the peer can."""
    if not peer.config.fixed:
        peer.wanted.clear()
        core.emit("ike.phase1.no_address", peer=peer, remote=peer.config.remote)
    elif not (peer.remote_host and peer.local_host) or peer.stale:
        addresses.ask(core, peer, peer.name_in_use)
    elif core.pacing.enter(peer.id, lambda: _begin_queued(core, peer)):
        mode = aggressive_mode if peer.config.exchange == "aggressive" else main_mode
        mode.initiate(core, peer, peer.local_host, peer.remote_host)


def _begin_queued(core: Core, peer: Peer) -> None:
    """There is a place now; meanwhile the peer may have gone, or have begun itself."""
    if core.peers.get(peer.id) is not peer or peer.negotiating() is not None:
        return
    current = peer.current()
    if current is None:
        pump(core, peer)
    elif not current.replaced:
        start_phase1(core, peer)


def hand_on(core: Core, sa: IsakmpSa, everything: bool = False) -> None:
    """Quick modes of ours that this ISAKMP SA leaves unfinished begin anew under the newer one, if there is one.

    With ``everything`` the SA is about to go, and all its exchanges with it.
    """
    unfinished = [exchange for exchange in sa.quick.values() if _active(exchange)]
    for exchange in list(sa.quick.values()) if everything else unfinished:
        drop_quick(core, sa, exchange)
        quick_mode.take_back(core, sa, exchange)
    peer, current = sa.peer, sa.peer.current()
    if unfinished and current is not None and current is not sa:
        core.timers.set(("pump", current.cookies), core.now, "quick modes go on", lambda: pump(core, peer))


def withdraw(core: Core, peer: Peer, renewed: bool) -> None:
    """A new configuration: quick modes of ours that are under way for a selector that is gone come to nothing.

    With ``renewed`` all of them have offered what does not hold any more; for those still wanted it is offered anew.
    """
    for sa in peer.sas:
        for exchange in list(sa.quick.values()):
            if _active(exchange) and (renewed or not peer.accepts(exchange.selector)):
                drop_quick(core, sa, exchange)
    pump(core, peer)


def retry_later(core: Core, peer: Peer, delay: float) -> None:
    """Want all selectors after ``delay`` seconds."""
    core.timers.set(("retry", peer.id), core.now + delay, "retry", lambda: want_all(core, peer))


def drop_quick(core: Core, sa: IsakmpSa, exchange: QuickExchange) -> None:
    """Forget a quick mode and its timers."""
    core.timers.cancel(("retransmit", (sa.cookies, exchange.message_id)))
    core.timers.cancel(("quick", (sa.cookies, exchange.message_id)))
    sa.quick.pop(exchange.message_id, None)
