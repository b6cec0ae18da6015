"""What is wanted, and what is started for it."""

from __future__ import annotations

from vpnengine.contract.config import StartMode
from vpnengine.esp.sa import Selector
from vpnengine.ikev1 import main_mode, quick_mode
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.interface import Resolve
from vpnengine.ikev1.model import IsakmpSa, Peer, QuickExchange
from vpnengine.ikev1.states import Quick, Role

# strongSwan keeps the IVs of three exchanges: with two under way, a third message may still be on its path.
MAX_PARALLEL_QUICK = 2


def want(core: Core, peer: Peer, selector: Selector, force: bool = False) -> None:
    """This selector is to have an SA pair. ``force`` asks for a new one although one is live."""
    if selector not in peer.selectors or selector in peer.wanted:
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
    for selector in peer.selectors:
        want(core, peer, selector)


def pump(core: Core, peer: Peer) -> None:
    """Start whatever can be started: phase 1 if there is none, else the next quick modes."""
    if not peer.wanted:
        return
    sa = peer.current()
    if sa is None:
        if peer.negotiating() is None:
            start_phase1(core, peer)
        return
    busy = {exchange.selector for exchange in sa.quick.values() if _active(exchange)}
    for selector in list(peer.wanted):
        if len(busy) >= MAX_PARALLEL_QUICK:
            return
        if selector not in busy:
            busy.add(selector)
            quick_mode.initiate(core, sa, selector)


def _active(exchange: QuickExchange) -> bool:
    return exchange.role is Role.INITIATOR and exchange.state is Quick.QM1_SENT


def start_phase1(core: Core, peer: Peer) -> None:
    """Begin main mode, after the peer's address is known."""
    if peer.remote_host and peer.local_host and not peer.stale:
        main_mode.initiate(core, peer, peer.local_host, peer.remote_host)
    elif not peer.resolving:
        ask_address(core, peer)


def ask_address(core: Core, peer: Peer) -> None:
    """Ask the shell for the peer's address."""
    peer.resolving = True
    core.effects.append(Resolve(peer.id, peer.config.remote))


def resolved(core: Core, peer: Peer, remote_host: str, local_host: str) -> None:
    """The peer's address is known, and the local address that leads to it."""
    peer.resolving = peer.stale = False
    if peer.remote_host is not None and core.by_host.get(peer.remote_host) is peer:
        del core.by_host[peer.remote_host]
    peer.remote_host = remote_host
    peer.local_host = str(peer.config.local_address or local_host)
    core.by_host.setdefault(remote_host, peer)
    pump(core, peer)


def unresolved(core: Core, peer: Peer, reason: str) -> None:
    """The peer has no address now; try again later."""
    peer.resolving = False
    if not core.quiet("engine.peer.unresolved", f"{peer.id} {reason}"):
        core.emit("engine.peer.unresolved", peer=peer, host=peer.config.remote, reason=reason, hint=reason)
    peer.wanted.clear()
    peer.failures += 1
    core.timers.set(
        ("resolve", peer.id), core.now + min(60.0, 5.0 * peer.failures), "resolve again", lambda: _ask_again(core, peer)
    )


def _ask_again(core: Core, peer: Peer) -> None:
    if peer.config.start is StartMode.IMMEDIATE:
        want_all(core, peer)
    elif (peer.remote_host is None or peer.stale) and not peer.resolving:
        ask_address(core, peer)


def retry_later(core: Core, peer: Peer, delay: float) -> None:
    """Want all selectors after ``delay`` seconds."""
    core.timers.set(("retry", peer.id), core.now + delay, "retry", lambda: want_all(core, peer))


def drop_quick(core: Core, sa: IsakmpSa, exchange: QuickExchange) -> None:
    """Forget a quick mode and its timers."""
    core.timers.cancel(("retransmit", (sa.cookies, exchange.message_id)))
    core.timers.cancel(("quick", (sa.cookies, exchange.message_id)))
    sa.quick.pop(exchange.message_id, None)
