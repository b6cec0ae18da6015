"""What is said about what was agreed: weak algorithms, and lifetimes that differ (RFC 2407 section 4.6.3.1)."""

from __future__ import annotations

from collections.abc import Iterable

from vpnengine.contract.algorithms import Algorithm
from vpnengine.ikev1 import informational, lifecycle, lifetimes, pairs
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.lifetimes import NOTHING, Life
from vpnengine.ikev1.model import IsakmpSa, Pair, Peer
from vpnengine.ikev1.states import Role
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.message import Payloads
from vpnengine.isakmp.payloads import Notification

# The peer may still be busy with our last message of phase 1, and would drop what follows at once.
TELL_AFTER_S = 0.5


def phase1(core: Core, sa: IsakmpSa, again: bool) -> None:
    """Phase 1 is up: warn of what is weak in it, compare the lifetimes, and tell the peer ours if it is shorter.

    ``again`` is True if it replaces another one; then there is no second warning.
    """
    proposal = sa.proposal
    if proposal is not None and not again:
        _warn(core, sa, None, 1, (proposal.encryption, proposal.hash, proposal.group))
    ours = lifetimes.of_policy(sa.peer.config.phase1)
    _compare(core, sa, None, 1, ours, sa.offered)
    if sa.role is Role.RESPONDER and lifetimes.to_tell(sa.life, sa.offered) != NOTHING:
        due = core.now + TELL_AFTER_S
        core.timers.set(("lifetime", sa.cookies), due, "tell the lifetime", lambda: _tell_phase1(core, sa))


def _tell_phase1(core: Core, sa: IsakmpSa) -> None:
    data = lifetimes.notification_data(lifetimes.to_tell(sa.life, sa.offered), c.Protocol.ISAKMP)
    informational.send_notify(core, sa, c.Protocol.ISAKMP, sa.cookies, c.Notify.RESPONDER_LIFETIME, data)


def phase2(core: Core, sa: IsakmpSa, pair: Pair) -> None:
    """A quick mode has come to an agreement: the same for IPsec SAs; the peer is told in quick mode itself."""
    transform = pair.params.transform
    if not sa.warned and sa.peer.live_pair(pair.params.selector) in (None, pair):
        sa.warned = _warn(core, sa, pair, 2, (transform.encryption, transform.integrity, pair.pfs))
    _compare(core, sa, pair, 2, lifetimes.of_policy(sa.peer.config.phase2), pair.offered)


def phase2_notice(used: Life, offered: Life, spi_in: int) -> list[Notification]:
    """RESPONDER-LIFETIME for our answer in quick mode, if the peer asked for more than we use."""
    tell = lifetimes.to_tell(used, offered)
    if tell == NOTHING:
        return []
    data = lifetimes.notification_data(tell, c.Protocol.ESP)
    return [Notification(c.Protocol.ESP, spi_in.to_bytes(4, "big"), c.Notify.RESPONDER_LIFETIME, data)]


def _warn(core: Core, sa: IsakmpSa, pair: Pair | None, phase: int, agreed: Iterable[Algorithm | None]) -> bool:
    """Warn of what is weak; True if something is."""
    weak = [algorithm for algorithm in agreed if algorithm is not None and algorithm.weakness]
    if not weak:
        return False
    names = ", ".join(algorithm.value for algorithm in weak)
    evidence = {algorithm.value: algorithm.weakness or "" for algorithm in weak}
    hint = f"Choose stronger algorithms than {names} under Phase {phase} on both gateways, if the peer knows them."
    core.emit(f"ike.phase{phase}.weak", sa=sa, pair=pair, hint=hint, evidence=evidence, names=names)
    return True


def _compare(core: Core, sa: IsakmpSa, pair: Pair | None, phase: int, ours: Life, theirs: Life) -> None:
    """Say where the peer's lifetimes differ, in the classical words."""
    for what, mine, other in (
        ("lifetime", ours.seconds, theirs.seconds),
        ("lifebyte", ours.kilobytes, theirs.kilobytes),
    ):
        if mine is None or other is None or mine == other:
            continue
        code = f"ike.phase{phase}.{'long' if other > mine else 'less'}_life"
        evidence = {"here": str(ours), "peer": str(theirs), "used": str(lifetimes.lower(ours, theirs))}
        core.emit(code, sa=sa, pair=pair, evidence=evidence, what=what, mine=mine, theirs=other)


# What the peer tells


def of_payloads(payloads: Payloads, protocol: int) -> Life:
    """What an answer says with RESPONDER-LIFETIME."""
    life = NOTHING
    for notification in payloads.all(Notification):
        if notification.type == c.Notify.RESPONDER_LIFETIME and notification.protocol == protocol:
            life = lifetimes.lower(life, lifetimes.of_notification(notification.data, protocol))
    return life


def take_phase1(core: Core, sa: IsakmpSa, payloads: Payloads) -> None:
    """The responder's authentic last message of phase 1 may shorten its life."""
    said = of_payloads(payloads, c.Protocol.ISAKMP)
    if said != NOTHING:
        _heard(core, sa, None, said)
        sa.life = lifetimes.lower(sa.life, said)


def responder_lifetime(core: Core, sa: IsakmpSa, notification: Notification) -> None:
    """RESPONDER-LIFETIME in an exchange of its own, for phase 1 or for an IPsec SA by one of its SPIs."""
    said = lifetimes.of_notification(notification.data, notification.protocol)
    if said == NOTHING:
        return
    if notification.protocol == c.Protocol.ISAKMP:
        _heard(core, sa, None, said)
        lifecycle.shorten(core, sa, said)
    elif notification.protocol == c.Protocol.ESP and (pair := _pair_of(sa.peer, notification.spi)):
        _heard(core, sa, pair, said)
        pairs.shorten(core, sa.peer, pair, said)


def _pair_of(peer: Peer, spi: bytes) -> Pair | None:
    number = int.from_bytes(spi, "big")
    return next((pair for pair in peer.pairs if number in (pair.params.spi_in, pair.params.spi_out)), None)


def _heard(core: Core, sa: IsakmpSa, pair: Pair | None, said: Life) -> None:
    if said.seconds:
        core.emit("ike.lifetime", sa=sa, pair=pair, amount=said.seconds, unit="seconds")
    if said.kilobytes:
        core.emit("ike.lifetime", sa=sa, pair=pair, amount=said.kilobytes, unit="kbytes")


def heard_in_quick(core: Core, sa: IsakmpSa, pair: Pair, payloads: Payloads) -> None:
    """Log what an answer in quick mode said; ``pair`` has it already."""
    _heard(core, sa, pair, of_payloads(payloads, c.Protocol.ESP))
