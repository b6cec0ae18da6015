"""Making a configuration effective without touching what did not change."""

from __future__ import annotations

import itertools
from collections.abc import Collection

from vpnengine.contract.config import EngineConfig, PeerConfig, StartMode
from vpnengine.contract.difference import PHASE1_FIELDS, PHASE2_FIELDS, changed_fields
from vpnengine.contract.remote_access import ConfigServer
from vpnengine.ikev1 import addresses, clients, informational, lifecycle, negotiate, pairs, signature_proof
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.interface import Changes
from vpnengine.ikev1.model import Pair, Peer, make_peer

AT_ONCE = 32


def configure(core: Core, config: EngineConfig, changes: Changes | None = None) -> None:
    """Add, change and remove peers so that exactly those of ``config`` remain; thousands of them in portions.

    ``changes`` spares the comparison of thousands of rows where the caller has made it already.
    """
    changes = changes or _compare(core, config)
    core.listen = config.listen
    core.forget_quiet()
    core.users.configure(config.xauth)
    renewed = core.leases.configure(config.pools)
    # What goes makes room for what comes.
    core.pending |= dict.fromkeys(changes.removed)
    core.pending |= changes.changed
    core.pending |= changes.added
    for peer in list(core.peers.values()):
        if peer.clients and peer.id not in core.pending:
            _check_clients(core, peer, renewed)
    _settle_some(core)


def _compare(core: Core, config: EngineConfig) -> Changes:
    wanted = {peer.id: peer for peer in config.peers}
    kept = {peer_id: peer for peer_id, peer in wanted.items() if peer_id in core.peers}
    return Changes(
        removed=tuple(peer_id for peer_id in (*core.peers, *core.pending) if peer_id not in wanted),
        changed={peer_id: peer for peer_id, peer in kept.items() if core.peers[peer_id].config != peer},
        added={peer_id: peer for peer_id, peer in wanted.items() if peer_id not in kept},
    )


def _settle_some(core: Core) -> None:
    """Thousands of peers come and go in portions, so that the tunnels that are there do not wait for them."""
    for peer_id in list(itertools.islice(core.pending, AT_ONCE)):
        settle(core, peer_id)
    if core.pending:
        core.timers.set(("configure",), core.now, "settle the next peers", lambda: _settle_some(core))


def settle(core: Core, peer_id: str) -> None:
    """Give a peer that waits for its portion what is configured; nothing happens to any other."""
    if peer_id not in core.pending:
        return
    config, known = core.pending.pop(peer_id), core.peers.get(peer_id)
    if config is None:
        if known is not None:
            _remove(core, known)
    elif known is None:
        _add(core, config)
    elif known.config != config:
        _change(core, known, config)


def _check_clients(core: Core, peer: Peer, renewed: set[str]) -> None:
    """Clients whose user or whose pool is gone are cut off."""
    config = peer.config.mode_config
    for client in list(peer.clients.values()):
        strange = peer.config.xauth is not None and not core.users.knows(client.user)
        if strange or (isinstance(config, ConfigServer) and config.pool in renewed):
            lifecycle.terminate(core, client)


def _remove(core: Core, peer: Peer) -> None:
    lifecycle.terminate(core, peer)
    core.timers.cancel(("resolve", peer.id))
    core.timers.cancel(("refresh", peer.id))
    core.roster.remove(peer)
    core.forget_said(peer.id)
    _forget_decoy(core, peer)
    del core.peers[peer.id]


def _forget_decoy(core: Core, peer: Peer) -> None:
    decoy = core.decoys.pop(peer.id, None)
    if decoy is not None:
        lifecycle.purge(core, decoy)


def _add(core: Core, config: PeerConfig) -> None:
    peer = make_peer(config)
    core.peers[peer.id] = peer
    _begin(core, peer)


def _begin(core: Core, peer: Peer) -> None:
    """Its addresses are needed at once, also to recognise it when it calls."""
    core.roster.add(peer)
    if peer.config.fixed:
        addresses.ask_all(core, peer)
    if peer.config.start is StartMode.IMMEDIATE:
        negotiate.want_all(core, peer)


def _check_again(core: Core, peer: Peer) -> None:
    """A new revocation list counts at once: a peer whose certificate it names is cut off."""
    for sa in [sa for sa in peer.sas if sa.peer_certificates]:
        fault = signature_proof.still_valid(core, sa)
        if fault is not None:
            core.emit_fault(fault, sa=sa)
            lifecycle.terminate(core, peer)
            return


def _change(core: Core, peer: Peer, config: PeerConfig) -> None:
    """Tear down only what the change touches."""
    changed = changed_fields(peer.config, config)
    fresh = make_peer(config)
    if _rebuilds(peer, changed):
        _remove(core, peer)
        core.peers[peer.id] = fresh
        _begin(core, fresh)
        return
    if config.start is not StartMode.IMMEDIATE:
        core.timers.cancel(("retry", peer.id))
    for one in clients.everyone(peer):
        _renew(core, one, fresh, changed)
    if config.start is StartMode.IMMEDIATE:
        negotiate.want_all(core, peer)


def _rebuilds(peer: Peer, changed: Collection[str]) -> bool:
    """True if phase 1 cannot outlive a change of these fields."""
    served = bool(peer.clients) and isinstance(peer.config.mode_config, ConfigServer)
    return bool(PHASE1_FIELDS.intersection(changed)) or served or bool(peer.assigned)


def would_end(core: Core, peer_id: str, config: PeerConfig | None) -> int:
    """How many IPsec SA pairs of a peer would end if it were configured so; None removes it. Nothing is changed."""
    peer = core.peers.get(peer_id)
    if peer is None:
        return 0
    pairs_now = [pair for one in clients.everyone(peer) for pair in one.pairs]
    changed = changed_fields(peer.config, config) if config is not None else frozenset()
    if config is None or (changed and _rebuilds(peer, changed)):
        return len(pairs_now)
    return len(_gone(pairs_now, make_peer(config), changed)) if changed else 0


def _gone(held: Collection[Pair], fresh: Peer, changed: Collection[str]) -> list[Pair]:
    """The pairs that have no place in a peer's new configuration."""
    renewed = not PHASE2_FIELDS.isdisjoint(changed)
    return [pair for pair in held if renewed or not fresh.accepts(pair.params.selector)]


def _renew(core: Core, peer: Peer, fresh: Peer, changed: Collection[str]) -> None:
    """Give a peer, or a gateway of a row, its new configuration."""
    peer.config, peer.credentials = fresh.config, fresh.credentials
    peer.selectors, peer.wider = fresh.selectors, fresh.wider
    if "crl" in changed:
        _check_again(core, peer)
    gone = _gone(peer.pairs, fresh, changed)
    sa = peer.current()
    if sa is not None:
        informational.send_delete_esp(core, sa, [p.params.spi_in for p in gone])
    for pair in gone:
        pairs.remove(core, peer, pair, "ike.phase2.deleted")
    peer.wanted = {selector: at for selector, at in peer.wanted.items() if selector in peer.selectors}
    negotiate.withdraw(core, peer, renewed=not PHASE2_FIELDS.isdisjoint(changed))
