"""The life of IPsec SA pairs: installed, replaced, moved, removed."""

from __future__ import annotations

from dataclasses import replace

from vpnengine.contract.config import StartMode
from vpnengine.esp.sa import Address, Selector
from vpnengine.ikev1 import clients, informational, lifecycle, lifetimes, negotiate, surplus
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.interface import InstallSa, MoveSa, RemoveSa
from vpnengine.ikev1.lifetimes import Life
from vpnengine.ikev1.model import Pair, Peer
from vpnengine.ikev1.states import Role

LINGER_S = 10.0
AT_ONCE_S = 5.0
REOPEN_S = 1.0
MIN_RETRY_S = 4.0


def install(core: Core, peer: Peer, pair: Pair) -> None:
    """Install a pair that the peer has not confirmed yet: it only receives."""
    core.pairs[pair.params.spi_in] = (peer, pair)
    peer.pairs.append(pair)
    if peer.parent is not None:
        peer.carried = {s for s in peer.carried if peer.accepts(s)} | {pair.params.selector}
    core.effects.append(InstallSa(pair.params, outbound=False))


def agreed(core: Core, peer: Peer, pair: Pair) -> None:
    """Both ends have agreed on a pair: say so, and let its life begin."""
    params = pair.params
    core.counters["phase 2 established"] += 1
    for source, destination, spi in (
        (params.remote, params.local, params.spi_in),
        (params.local, params.remote, params.spi_out),
    ):
        core.emit(
            "ike.phase2.established",
            peer=peer,
            pair=pair,
            kind=pair.kind,
            source=source,
            destination=destination,
            spi=spi,
        )
    arm(core, peer, pair)


def confirm(core: Core, spi_in: int) -> None:
    """The peer is ready to receive on this pair: traffic moves to it, and older pairs go."""
    held = core.pairs.get(spi_in)
    if held is None or held[1].confirmed:
        return
    peer, pair = held
    pair.confirmed = True
    if pair.replaced:
        # Both ends began a successor at once, and the other one was ready first.
        return
    use(core, peer, pair)


def use(core: Core, peer: Peer, pair: Pair) -> None:
    """Traffic goes out on this pair from now on; older ones of its selector are replaced."""
    core.effects.append(InstallSa(pair.params, outbound=True))
    for older in peer.pairs[: peer.pairs.index(pair)]:
        if older.params.selector == pair.params.selector and not older.replaced:
            _replace(core, peer, older, pair)


def octet_limits(core: Core, life: Life, role: Role) -> tuple[int | None, int | None]:
    """(soft, hard) limits in octets; as with time, the initiator goes first and at no fixed moment."""
    hard = life.octets
    if hard is None:
        return None, None
    share = 0.95 if role is Role.RESPONDER else 0.8 + 0.1 * int.from_bytes(core.rng(2), "big") / 0xFFFF
    return int(hard * share), hard


def shorten(core: Core, peer: Peer, pair: Pair, life: Life) -> None:
    """The peer gives the pair a shorter life."""
    known = Life(int(pair.expires - pair.created), (pair.params.hard_bytes or 0) // lifetimes.KILOBYTE or None)
    life = lifetimes.lower(known, life)
    pair.expires = min(pair.expires, pair.created + float(life.seconds or 0))
    soft, hard = octet_limits(core, life, pair.role)
    if hard != pair.params.hard_bytes:
        pair.params = replace(pair.params, soft_bytes=soft, hard_bytes=hard)
        core.effects.append(InstallSa(pair.params, outbound=pair.confirmed))
    if pair.confirmed and not pair.replaced:
        arm(core, peer, pair)


def exhausted(core: Core, peer: Peer, pair: Pair) -> None:
    """The data path says that a pair has carried all that it may."""
    core.emit("ike.phase2.exhausted", peer=peer, pair=pair, spi=pair.params.spi_in)
    delete(core, peer, pair)
    reopen(core, peer)


def arm(core: Core, peer: Peer, pair: Pair) -> None:
    """Set the timers of a pair's life."""
    life = pair.expires - pair.created
    delay = lifecycle.rekey_delay(core, life, pair.role)
    core.timers.set(("rekey", pair.timer), pair.created + delay, "rekey an IPsec SA", lambda: rekey(core, peer, pair))
    core.timers.set(("expire", pair.timer), pair.expires, "an IPsec SA expires", lambda: _expire(core, peer, pair))


def _replace(core: Core, peer: Peer, older: Pair, newer: Pair) -> None:
    """Make before break: the older pair goes on receiving for what is on its way.

    Who began the replacement deletes the older pair; the other side waits somewhat longer.
    If both ends began a successor at once, each may take its own for the newer, and the two
    would delete one each: the surplus pair waits until the peer shows which one it uses.
    """
    older.replaced = True
    core.timers.cancel(("rekey", older.timer))
    if older.role is not newer.role and newer.created - older.created < AT_ONCE_S:
        surplus.begin(core, peer, older, newer)
        return
    linger = LINGER_S if newer.role is Role.INITIATOR else 3 * LINGER_S
    when = min(older.expires, core.now + linger)
    core.timers.set(("expire", older.timer), when, "a replaced IPsec SA", lambda: delete(core, peer, older))


def rekey(core: Core, peer: Peer, pair: Pair) -> None:
    """Negotiate a successor; the pair stays until that is up."""
    if not pair.replaced:
        negotiate.want(core, peer, pair.params.selector, force=True)


def _expire(core: Core, peer: Peer, pair: Pair) -> None:
    params = pair.params
    core.emit(
        "ike.phase2.expired",
        peer=peer,
        pair=pair,
        kind=pair.kind,
        source=params.remote,
        destination=params.local,
        spi=params.spi_in,
    )
    _tell(core, peer, pair)
    drop(core, peer, pair)
    reopen(core, peer)


def delete(core: Core, peer: Peer, pair: Pair) -> None:
    """Remove a pair and tell the peer."""
    _tell(core, peer, pair)
    remove(core, peer, pair, "ike.phase2.deleted")


def _tell(core: Core, peer: Peer, pair: Pair) -> None:
    sa = peer.current()
    if sa is not None:
        informational.send_delete_esp(core, sa, [pair.params.spi_in])


def remove(core: Core, peer: Peer, pair: Pair, code: str) -> None:
    """Remove a pair with an event, telling nobody."""
    core.emit(code, peer=peer, pair=pair, spi=pair.params.spi_in)
    drop(core, peer, pair)


def drop(core: Core, peer: Peer, pair: Pair) -> None:
    """Remove a pair without an event."""
    core.pairs.pop(pair.params.spi_in, None)
    if pair in peer.pairs:
        peer.pairs.remove(pair)
    core.timers.cancel(("rekey", pair.timer))
    core.timers.cancel(("expire", pair.timer))
    core.timers.cancel(("surplus", pair.timer))
    core.effects.append(RemoveSa(pair.params.spi_in))
    if not pair.replaced:
        surplus.instead_of(core, peer, pair)
    clients.release_if_idle(core, peer)


def deleted_by_peer(core: Core, peer: Peer, spi_out: int) -> None:
    """The peer says that it no longer receives on ``spi_out``."""
    pair = next((p for p in peer.pairs if p.params.spi_out == spi_out), None)
    if pair is None:
        return
    core.emit("ike.phase2.peer_deleted", peer=peer, pair=pair, spi=spi_out)
    drop(core, peer, pair)
    reopen(core, peer)


def reopen(core: Core, peer: Peer) -> None:
    """A tunnel that is to be up at all times comes back soon after the peer has ended it."""
    if peer.config.start is StartMode.IMMEDIATE:
        negotiate.retry_later(core, peer, REOPEN_S)


def after_failed_rekey(core: Core, peer: Peer, selector: Selector) -> None:
    """The successor of a pair was not agreed: try again half way to the pair's end."""
    pair = peer.live_pair(selector)
    if pair is not None and pair.expires - core.now > MIN_RETRY_S:
        when = core.now + (pair.expires - core.now) / 2
        core.timers.set(("rekey", pair.timer), when, "rekey an IPsec SA", lambda: rekey(core, peer, pair))


def reopen_after_failure(core: Core, peer: Peer) -> None:
    """A refused quick mode is tried again, but not at once."""
    if peer.config.start is StartMode.IMMEDIATE:
        peer.failures += 1
        negotiate.retry_later(core, peer, min(60.0, 2.0 ** min(peer.failures, 6)))


def move(core: Core, pair: Pair, remote: Address) -> None:
    """The peer of a pair is reached at another address."""
    params = pair.params
    wanted = remote if params.udp else params.remote._replace(host=remote.host)
    if wanted != params.remote:
        pair.params = replace(params, remote=wanted)
        core.effects.append(MoveSa(params.spi_in, wanted))
