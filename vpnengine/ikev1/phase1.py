"""What main mode and aggressive mode share: beginning, proposals, vendors, key exchange, NAT detection, sending."""

from __future__ import annotations

from typing import NoReturn

from vpnengine.contract.algorithms import DhGroup
from vpnengine.contract.events import Side
from vpnengine.crypto.dh import InvalidPublicValue, KeyExchange
from vpnengine.esp.sa import Address
from vpnengine.ikev1 import (
    authentication,
    channel,
    informational,
    keys,
    lifecycle,
    lifetimes,
    natt,
    proposals,
    retransmit,
    vendors,
)
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.faults import Fault, LocalConfigFault, PeerFault, Unproven
from vpnengine.ikev1.model import IsakmpSa, Peer
from vpnengine.ikev1.states import Phase1, Role
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import Header, Payloads, build_payloads, kinds_of
from vpnengine.isakmp.payloads import KeyExchangeData, NatD, Nonce, Notification, Payload
from vpnengine.isakmp.sa_payload import SecurityAssociation

NONCE_LENGTH = 32
MODES = {c.Exchange.MAIN: "Identity Protection", c.Exchange.AGGRESSIVE: "Aggressive"}


# Beginning


def begin(
    core: Core, peer: Peer, exchange: c.Exchange, state: Phase1, local_host: str, remote_host: str
) -> tuple[IsakmpSa, SecurityAssociation]:
    """A new SA of which we are the initiator, and what it offers."""
    port = core.listen.ike_port
    local, remote = Address(local_host, port), Address(remote_host, port)
    sa = IsakmpSa(peer, Role.INITIATOR, state, core.cookie(), bytes(8), local, remote, core.now, exchange)
    offer = proposals.offer_phase1(peer.config.phase1, authentication.acceptable(peer, Role.INITIATOR))
    sa.sa_body = offer.body()
    core.add_sa(sa)
    core.counters["phase 1 started"] += 1
    core.emit("ike.phase1.initiate", sa=sa, local=local, remote=remote)
    core.emit("ike.phase1.begin", sa=sa, mode=MODES[exchange])
    return sa, offer


def begin_responding(core: Core, sa: IsakmpSa, datagram: bytes, payloads: Payloads) -> proposals.Phase1Choice | None:
    """The first message of a peer has come: keep ``sa`` if its proposals fit, else refuse without any state.

    :raises DecodeError: if its SA payload is missing or doubled.
    """
    offer = payloads.only(SecurityAssociation, "SA")
    choice = _choice(sa.peer, offer)
    core.trace.belongs(sa)
    core.trace.is_step(f"{c.exchange_name(sa.exchange)} 1", (payload.kind for payload in payloads.values))
    if choice is None:
        core.trace.became("refused", "ike.phase1.no_proposal")
        _refuse(core, sa, offer)
        return None
    sa.muted = not core.newcomers.take(core.now)
    if sa.muted and not core.quiet("ike.flood", ""):
        core.emit("ike.flood", at=sa.remote, evidence={"one of the addresses": sa.remote.host})
    _greet(core, sa)
    sa.received, sa.sa_body = datagram, payloads.body_of(SecurityAssociation)
    agree(sa, choice)
    vendors.note(core, sa, payloads)
    core.add_sa(sa)
    core.counters["phase 1 started"] += 1
    due = core.now + lifecycle.HALF_OPEN_S
    core.timers.set(("half-open", sa.cookies), due, "half-open phase 1", lambda: lifecycle.half_open_over(core, sa))
    return choice


def _greet(core: Core, sa: IsakmpSa) -> None:
    core.emit("ike.phase1.respond", sa=sa, local=sa.local, remote=sa.remote)
    core.emit("ike.phase1.begin", sa=sa, mode=MODES[sa.exchange])


def proven_real(core: Core, sa: IsakmpSa) -> None:
    """The address has answered: what was withheld in a flood is said now."""
    if sa.muted:
        sa.muted = False
        _greet(core, sa)


def _choice(peer: Peer, offer: SecurityAssociation) -> proposals.Phase1Choice | None:
    return proposals.choose_phase1(offer, peer.config.phase1, authentication.acceptable(peer, Role.RESPONDER))


def fits(peer: Peer, offer: SecurityAssociation) -> bool:
    """True if something in this offer is acceptable from this peer."""
    return _choice(peer, offer) is not None


def _refuse(core: Core, sa: IsakmpSa, offer: SecurityAssociation) -> None:
    """No state is kept. A peer that repeats itself is answered, but logged once a minute.

    A gateway at an address of its own is told of by what it offers, however many others call at the same time.
    """
    fault = _no_proposal(sa.peer, offer)
    core.counters["phase 1 failed"] += 1
    if sa.peer.config.fixed:
        quiet = core.quiet(fault.code, f"{hash(fault.evidence['offered']):x}", sa.peer)
    else:
        quiet = core.quiet(fault.code, sa.initiator_cookie.hex()) or not core.newcomers.take(core.now)
    if not quiet:
        core.emit("ike.phase1.respond", sa=sa, local=sa.local, remote=sa.remote)
        core.emit_fault(fault, sa=sa)
    informational.send_clear_notify(core, sa, c.Notify.NO_PROPOSAL_CHOSEN)


def _no_proposal(peer: Peer, offer: SecurityAssociation) -> LocalConfigFault:
    accepted = proposals.accepted_phase1(peer.config.phase1, authentication.acceptable(peer, Role.RESPONDER))
    difference = proposals.compare(accepted, proposals.offered_phase1(offer))
    evidence = proposals.mismatch_evidence(difference)
    # The algorithms stand under Phase 1, the way in which the two ends prove themselves in a field of its own.
    differ = {row.attribute for row in difference.nearest if not row.equal}
    field = "the field Authentication" if differ == {"authentication"} else "Phase 1"
    hint = (
        f"The peer offers {evidence['offered']}; this side accepts {evidence['accepted']}. Nearest: "
        f"{evidence.get('nearest', 'none')}. Change {field} here to what the peer offers, or the peer's to "
        "what is accepted here."
    )
    return LocalConfigFault(
        "ike.phase1.no_proposal",
        hint=hint,
        evidence=evidence,
        difference=difference,
        notify=c.Notify.NO_PROPOSAL_CHOSEN,
    )


def agree(sa: IsakmpSa, choice: proposals.Phase1Choice) -> None:
    """Keep what was agreed; the lower lifetime counts."""
    sa.proposal, sa.method, sa.offered = choice.proposal, choice.method, choice.offered
    sa.life = lifetimes.lower(lifetimes.of_policy(sa.peer.config.phase1), choice.offered)


def take_choice(core: Core, sa: IsakmpSa, header: Header, payloads: Payloads) -> None:
    """As initiator: the second message tells what the responder has chosen, and what it can do.

    :raises PeerFault: if that was not offered, or is not exactly one transform.
    """
    answer = payloads.only(SecurityAssociation, "SA")
    if header.responder_cookie == bytes(8):
        raise DecodeError(8, "header", "the responder cookie is zero")
    methods = authentication.acceptable(sa.peer, Role.INITIATOR)
    choice = proposals.choose_phase1(answer, sa.peer.config.phase1, methods)
    chosen = proposals.offered_phase1(answer)
    if choice is None or len(chosen) != 1:
        difference = proposals.compare(proposals.accepted_phase1(sa.peer.config.phase1, methods), chosen)
        evidence = {"chosen": ", ".join(difference.theirs)}
        raise PeerFault("ike.phase1.bad_choice", evidence=evidence, difference=difference)
    agree(sa, choice)
    vendors.note(core, sa, payloads)
    require_natt(core, sa)


# Capabilities


def require_natt(core: Core, sa: IsakmpSa) -> None:
    """:raises Fault: if the data path needs UDP, and NAT traversal is off here or the peer has not announced it."""
    if core.raw_esp or sa.natt is not None:
        return
    if sa.peer.config.nat_traversal == "off":
        hint = (
            "The data path of this appliance carries ESP in UDP only, and NAT traversal is off for this peer. Set "
            "NAT traversal of this peer to “auto”."
        )
        raise LocalConfigFault("ike.natt.disabled", hint=hint)
    raise PeerFault("ike.natt.unsupported")


def has_initial_contact(payloads: Payloads) -> bool:
    """True if the peer says that it has forgotten everything older."""
    return any(n.type == c.Notify.INITIAL_CONTACT for n in payloads.all(Notification))


# Key exchange


def make_key_exchange(core: Core, sa: IsakmpSa, group: DhGroup | None = None) -> None:
    """Our private value and nonce, for the agreed group unless another one is given."""
    if group is None:
        assert sa.proposal is not None  # noqa: S101 - the state tables see to it
        group = sa.proposal.group
    sa.key_exchange = KeyExchange(group)
    if sa.role is Role.INITIATOR:
        sa.public_i, sa.nonce_i = sa.key_exchange.public, core.rng(NONCE_LENGTH)
    else:
        sa.public_r, sa.nonce_r = sa.key_exchange.public, core.rng(NONCE_LENGTH)


def own_key_exchange(sa: IsakmpSa) -> list[Payload]:
    """Our KE and nonce payloads."""
    public, nonce = (sa.public_i, sa.nonce_i) if sa.role is Role.INITIATOR else (sa.public_r, sa.nonce_r)
    return [KeyExchangeData(public), Nonce(nonce)]


def take_key_exchange(sa: IsakmpSa, payloads: Payloads) -> None:
    """The other end's KE and nonce payloads.

    :raises DecodeError: if one is missing or doubled.
    """
    public, nonce = payloads.only(KeyExchangeData, "KE").data, payloads.only(Nonce, "NONCE").data
    if sa.role is Role.INITIATOR:
        sa.public_r, sa.nonce_r = public, nonce
    else:
        sa.public_i, sa.nonce_i = public, nonce


def derive(sa: IsakmpSa) -> None:
    """Both public values and nonces are known: the keys follow.

    :raises PeerFault: if the peer's public value is not valid in the group.
    """
    assert sa.key_exchange is not None and sa.proposal is not None  # noqa: S101 - the state tables see to it
    try:
        shared = sa.key_exchange.shared(sa.public_r if sa.role is Role.INITIATOR else sa.public_i)
    except InvalidPublicValue as error:
        raise PeerFault("ike.phase1.public_value", reason=str(error), notify=c.Notify.INVALID_KEY_INFORMATION) from None
    skeyid = authentication.skeyid(sa, shared)
    sa.keys = keys.phase1_keys(sa.proposal.hash, sa.proposal.encryption, skeyid, shared, sa.cookies)
    sa.iv = keys.phase1_iv(sa.proposal.hash, sa.proposal.encryption, sa.public_i, sa.public_r)
    sa.key_exchange = None


# NAT traversal


def _forces_udp(core: Core, sa: IsakmpSa) -> bool:
    return sa.natt is not None and (not core.raw_esp or sa.peer.config.nat_traversal == "force")


def nat_payloads(core: Core, sa: IsakmpSa) -> list[NatD]:
    """Our NAT-D payloads, if the peer knows them."""
    if sa.natt is None or sa.proposal is None:
        return []
    fake = core.rng if _forces_udp(core, sa) else None
    return natt.build_nat_d(sa.proposal.hash, sa.cookies, sa.local, sa.remote, fake, sa.natt.nat_d)


def detect_nat(core: Core, sa: IsakmpSa, payloads: Payloads) -> None:
    """Compare the peer's NAT-D payloads with what we see, and say what follows."""
    if sa.natt is None or sa.proposal is None:
        return
    found = [payload for payload in payloads.all(NatD) if payload.kind == sa.natt.nat_d]
    sa.nat = natt.detect(sa.proposal.hash, sa.cookies, sa.local, sa.remote, found, _forces_udp(core, sa))
    core.emit("ike.natt.version", sa=sa, version=sa.natt.name)
    if sa.nat.local or sa.nat.remote:
        who = ("ME " if sa.nat.local else "") + ("PEER" if sa.nat.remote else "")
        core.emit("ike.natt.detected", sa=sa, who=who.strip())
    elif sa.nat.forced:
        core.emit("ike.natt.forced", sa=sa)
    else:
        core.emit("ike.natt.none", sa=sa)


def float_ports(core: Core, sa: IsakmpSa) -> None:
    """As initiator: go on at the NAT-T port, if ESP has to go in UDP (RFC 3947 section 4)."""
    if sa.nat.encapsulate:
        port = core.listen.natt_port
        sa.local, sa.remote = sa.local._replace(port=port), sa.remote._replace(port=port)
        core.emit("ike.natt.float", sa=sa, local=sa.local, remote=sa.remote)


# Sending


def send_clear(core: Core, sa: IsakmpSa, chain: list[Payload], what: str) -> None:
    """Send a message in the clear."""
    sa.reply = core.send(sa, channel.clear(sa, sa.exchange, chain), what, kinds_of(chain))


def send_encrypted(core: Core, sa: IsakmpSa, chain: list[Payload], what: str) -> None:
    """Send an encrypted message; the IV moves on."""
    first, body = build_payloads(chain)
    datagram, sa.iv = channel.seal(sa, sa.exchange, 0, first, body, sa.iv)
    sa.reply = core.send(sa, datagram, what, kinds_of(chain))


def repeat(core: Core, sa: IsakmpSa) -> None:
    """Send the last message again until it is answered."""
    retransmit.start(core, sa.cookies, sa.peer.config.retransmit, sa, lambda: lifecycle.phase1_timeout(core, sa))


def refuse(core: Core, sa: IsakmpSa, error: Fault) -> None:
    """End the negotiation because of a fault, and tell the peer if it may be told."""
    if error.notify is not None and sa.keys is not None:
        informational.send_notify(core, sa, c.Protocol.ISAKMP, sa.cookies, error.notify)
    elif error.notify is not None:
        informational.send_clear_notify(core, sa, error.notify)
    lifecycle.fail_with(core, sa, error)


def doubt(core: Core, sa: IsakmpSa, error: Fault) -> NoReturn:
    """Say once why a message is not believed, and go on waiting for a better one: this one proves nothing.

    :raises Unproven: always.
    """
    sa.rejections += 1
    if sa.rejections == 1 and not sa.peer.decoy:
        core.emit_fault(error, sa=sa)
    raise Unproven(0, "proof", error.code)


def malformed(core: Core, sa: IsakmpSa, error: DecodeError, status: int) -> None:
    """A message broke the rules of the exchange. It is not authenticated, so the negotiation goes on."""
    side_number = 0 if sa.role is Role.INITIATOR else 1
    if core.quiet("ike.phase1.malformed", sa.name, sa.peer):
        return
    core.emit(
        "ike.phase1.malformed",
        sa=sa,
        side=Side.PEER,
        side_number=side_number,
        status=status,
        evidence={"rule": str(error)},
    )
