"""Making a configuration effective without touching what did not change."""

from __future__ import annotations

import itertools

from vpnengine.contract.config import EngineConfig, PeerConfig, StartMode
from vpnengine.contract.remote_access import ConfigServer
from vpnengine.ikev1 import addresses, clients, informational, lifecycle, negotiate, pairs, signature_proof
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.model import Peer, make_peer

ADD_AT_ONCE = 64
_PHASE1_FIELDS = (
    *("remote", "alternates", "local_address", "local_identity", "remote_identity", "exchange", "phase1"),
    *("xauth", "mode_config", "nat_traversal", "authentication", "psk", "certificate", "private_key", "trusted_cas"),
)
_PHASE2_FIELDS = ("phase2",)


def configure(core: Core, config: EngineConfig, changed: frozenset[str] | None = None) -> None:
    """Add, change and remove peers so that exactly those of ``config`` remain.

    ``changed`` spares the comparison of thousands of rows where the caller has made it already.
    """
    core.listen = config.listen
    core.forget_quiet()
    core.users.configure(config.xauth)
    renewed = core.leases.configure(config.pools)
    wanted = {peer.id: peer for peer in config.peers}
    for peer in list(core.peers.values()):
        if peer.id not in wanted:
            _remove(core, peer)
    core.unborn = {}
    for peer_config in config.peers:
        known = core.peers.get(peer_config.id)
        if known is None:
            core.unborn[peer_config.id] = peer_config
        elif peer_config.id in changed if changed is not None else known.config != peer_config:
            _change(core, known, peer_config)
        else:
            _check_clients(core, known, renewed)
    _add_some(core)


def _add_some(core: Core) -> None:
    """Thousands of new peers come in portions, so that the tunnels that are there do not wait for them."""
    for peer_id in list(itertools.islice(core.unborn, ADD_AT_ONCE)):
        born(core, peer_id)
    if core.unborn:
        core.timers.set(("configure",), core.now, "add the next peers", lambda: _add_some(core))


def born(core: Core, peer_id: str) -> None:
    """Add a peer that waits for its portion; nothing happens if there is none of that id."""
    config = core.unborn.pop(peer_id, None)
    if config is not None:
        _add(core, config)


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
    changed = {name for name in type(config).model_fields if getattr(config, name) != getattr(peer.config, name)}
    fresh = make_peer(config)
    served = peer.clients and isinstance(peer.config.mode_config, ConfigServer)
    if changed & set(_PHASE1_FIELDS) or served or peer.assigned:
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


def _renew(core: Core, peer: Peer, fresh: Peer, changed: set[str]) -> None:
    """Give a peer, or a gateway of a row, its new configuration."""
    peer.config, peer.credentials = fresh.config, fresh.credentials
    peer.selectors, peer.wider = fresh.selectors, fresh.wider
    if "crl" in changed:
        _check_again(core, peer)
    gone = [p for p in peer.pairs if not peer.accepts(p.params.selector) or changed & set(_PHASE2_FIELDS)]
    sa = peer.current()
    if sa is not None:
        informational.send_delete_esp(core, sa, [p.params.spi_in for p in gone])
    for pair in gone:
        pairs.remove(core, peer, pair, "ike.phase2.deleted")
    peer.wanted = {selector: at for selector, at in peer.wanted.items() if selector in peer.selectors}
