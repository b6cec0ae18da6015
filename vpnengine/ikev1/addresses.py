"""Where a peer is reached: names become addresses, addresses change, and the next one is tried when one fails."""

from __future__ import annotations

import ipaddress

from vpnengine.contract.config import StartMode
from vpnengine.ikev1 import negotiate
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.interface import Resolve
from vpnengine.ikev1.model import Peer

REFRESH_S = 60.0
MAX_PAUSE_S = 60.0


def ask_all(core: Core, peer: Peer) -> None:
    """Ask the shell for every address of a peer: also the ones not in use are where it may call from."""
    for name in peer.names:
        ask(core, peer, name)
    _refresh_later(core, peer)


def ask(core: Core, peer: Peer, name: str) -> None:
    """Ask the shell for one address."""
    if name not in peer.asking:
        peer.asking.add(name)
        core.effects.append(Resolve(peer.id, name))


def _refresh_later(core: Core, peer: Peer) -> None:
    """Names may stand for other addresses later; while the peer is up its address is known to be right."""
    if any(not _numeric(name) for name in peer.names):
        due = core.now + REFRESH_S
        core.timers.set(("refresh", peer.id), due, "resolve while down", lambda: _refresh(core, peer))


def _refresh(core: Core, peer: Peer) -> None:
    if peer.current() is None:
        for name in peer.names:
            if not _numeric(name):
                ask(core, peer, name)
    _refresh_later(core, peer)


def _numeric(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def resolved(core: Core, peer: Peer, name: str, remote_host: str, local_host: str) -> None:
    """An address of the peer is known, and the local address that leads to it."""
    name = name or peer.config.remote
    if name not in peer.names:
        return
    peer.asking.discard(name)
    before = peer.hosts.get(name)
    core.roster.found(peer, name, remote_host)
    peer.local_hosts[name] = str(peer.config.local_address or local_host)
    if before not in (None, remote_host):
        core.emit("engine.peer.readdressed", peer=peer, host=name, old=before, new=remote_host)
    if name == peer.name_in_use:
        peer.stale = False
        negotiate.pump(core, peer)


def unresolved(core: Core, peer: Peer, name: str, reason: str) -> None:
    """One of the peer's names has no address now: use another one if there is, or try again later."""
    name = name or peer.config.remote
    peer.asking.discard(name)
    if not core.quiet("engine.peer.unresolved", f"{peer.id} {reason}", peer):
        core.emit("engine.peer.unresolved", peer=peer, host=name, reason=reason, hint=reason)
    if name != peer.name_in_use:
        return
    peer.failures += 1
    if try_next(core, peer) and peer.name_in_use in peer.hosts:
        negotiate.pump(core, peer)
        return
    peer.wanted.clear()
    due = core.now + min(MAX_PAUSE_S, 5.0 * peer.failures)
    core.timers.set(("resolve", peer.id), due, "resolve again", lambda: _ask_again(core, peer))


def try_next(core: Core, peer: Peer) -> bool:
    """The address in use has failed: the next one is used from now on. False if there is no other."""
    if len(peer.names) == 1:
        return False
    before = peer.name_in_use
    peer.place = (peer.place + 1) % len(peer.names)
    core.emit("engine.peer.next_address", peer=peer, old=before, new=peer.name_in_use)
    return True


def _ask_again(core: Core, peer: Peer) -> None:
    if peer.config.start is StartMode.IMMEDIATE:
        negotiate.want_all(core, peer)
    elif peer.remote_host is None or peer.stale:
        ask(core, peer, peer.name_in_use)
