"""Which configured peer a responder deals with: by address, by identity, or both.

In main mode the pre-shared secret is needed before the identity is known, so that the
address alone chooses it (RFC 2409 section 5.4). Aggressive mode tells the identity first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vpnengine.crypto.secret import Secret
from vpnengine.esp.sa import Address
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.identities import describe_identity, same_identity
from vpnengine.ikev1.model import IsakmpSa, Peer, make_peer
from vpnengine.isakmp.constants import Exchange
from vpnengine.isakmp.payloads import Identification

_NAMES = {Exchange.MAIN: "main", Exchange.AGGRESSIVE: "aggressive"}
DECOY_SECRET_LENGTH = 32
MAX_SHOWN = 120  # of an identity that nobody has proven


def rows(core: Core, exchange: int, local: Address, remote: Address) -> list[list[Peer]]:
    """The peers that may be at ``remote`` and use this exchange, most specific address first."""
    found = []
    for tier in core.roster.tiers(remote.host):
        fitting = [p for p in tier if _fits(p, exchange, local)]
        if fitting:
            found.append(fitting)
    return found


def _fits(peer: Peer, exchange: int, local: Address) -> bool:
    own = peer.config.local_address
    return _NAMES.get(Exchange(exchange)) == peer.config.exchange and own in (None, _address(own, local))


def _address(own: object, local: Address) -> object:
    return own if str(own) == local.host else None


def for_main(core: Core, local: Address, remote: Address, fits: Callable[[Peer], bool]) -> Peer | None:
    """The peer whose secret main mode uses: at the most specific address, the first whose proposals fit.

    That several with different secrets fit is an event: only one of them can ever come up.
    """
    tiers = rows(core, Exchange.MAIN, local, remote)
    if not tiers:
        return None
    fitting = [peer for peer in tiers[0] if fits(peer)] or tiers[0][:1]
    chosen, *rest = fitting
    others = [p.config.name for p in rest if p.psk is not None and chosen.psk is not None and p.psk != chosen.psk]
    if others and not core.quiet("ike.psk.ambiguous", remote.host, chosen):
        names = ", ".join(f"“{name}”" for name in others)
        evidence = {"address": remote.host, "chosen": chosen.config.name, "not chosen": names}
        core.emit("ike.psk.ambiguous", peer=chosen, at=remote, remote=remote.host, others=names, evidence=evidence)
    return chosen


def for_aggressive(core: Core, local: Address, remote: Address, identity: Identification) -> Peer | None:
    """The peer that names itself so: an exact identity first, then one that may call itself anything.

    An unknown identity gets a decoy, so that the answer does not tell which identities exist.
    """
    tiers = rows(core, Exchange.AGGRESSIVE, local, remote)
    found = _named(_each(tiers), identity) or next(_anonymous(_each(tiers)), None)
    if found is not None or not tiers:
        return found
    if not core.quiet("ike.identity.unknown", remote.host, tiers[0][0]):
        got = describe_identity(identity)[:MAX_SHOWN]
        known = [str(e) for p in _each(tiers) if (e := p.config.remote_identity) is not None]
        hint = (
            f"The gateway calls itself “{got}”. If it is yours, enter that in the field Remote identity of its peer, "
            "or change the gateway's local identity to the one that is configured here."
        )
        evidence = {"received": got, "configured": ", ".join(known[:8])}
        core.emit("ike.identity.unknown", at=remote, remote=remote, hint=hint, evidence=evidence)
    return _decoy(core, tiers[0][0])


def settle(core: Core, sa: IsakmpSa, identity: Identification) -> None:
    """The initiator has said who it is: among the peers that are proven the same way, it may be another one.

    Its proof is verified as that peer's.
    """
    expected = sa.peer.config.remote_identity
    if sa.peer.decoy or (expected is not None and same_identity(identity, expected)):
        return
    tiers = rows(core, sa.exchange, sa.local, sa.remote)
    alike = [p for p in _each(tiers) if _proven_alike(p, sa.peer) and sa.proposal in p.config.phase1.proposals]
    better = _named(iter(alike), identity)
    if better is None and expected is not None and not sa.peer.config.peer_signs:
        better = next(_anonymous(iter(alike)), None)
    if better is not None and better is not sa.peer:
        core.hand_over(sa, better)
        core.emit("ike.phase1.selected", sa=sa, name=better.config.name)


def _proven_alike(one: Peer, other: Peer) -> bool:
    return one.config.authentication == other.config.authentication and one.psk == other.psk


def _each(tiers: list[list[Peer]]) -> Iterator[Peer]:
    return (peer for tier in tiers for peer in tier)


def _named(peers: Iterator[Peer], identity: Identification) -> Peer | None:
    return next((p for p in peers if (e := p.config.remote_identity) is not None and same_identity(identity, e)), None)


def _anonymous(peers: Iterator[Peer]) -> Iterator[Peer]:
    """Peers whose ID payload does not decide: any may be sent, or the certificate has to say the expected one."""
    return (p for p in peers if p.config.remote_identity is None or p.config.peer_signs)


def _decoy(core: Core, template: Peer) -> Peer:
    decoy = core.decoys.get(template.id)
    if decoy is None or decoy.config is not template.config:
        decoy = make_peer(template.config)
        decoy.decoy, decoy.psk = True, Secret(core.rng(DECOY_SECRET_LENGTH))
        core.decoys[template.id] = decoy
    return decoy
