"""Main mode with pre-shared keys (RFC 2409 section 5.4)."""

from __future__ import annotations

import hmac

from vpnengine.contract.events import Side
from vpnengine.crypto.dh import InvalidPublicValue, KeyExchange
from vpnengine.esp.sa import Address
from vpnengine.ikev1 import channel, informational, keys, lifecycle, natt, proposals, retransmit
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.faults import LocalConfigFault, PeerFault
from vpnengine.ikev1.identities import build_identity, describe_identity, same_identity
from vpnengine.ikev1.model import IsakmpSa, Peer
from vpnengine.ikev1.states import Phase1, Role
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import Header, Payloads, build_payloads
from vpnengine.isakmp.payloads import (
    Hash,
    Identification,
    KeyExchangeData,
    NatD,
    Nonce,
    Notification,
    Payload,
    VendorId,
)
from vpnengine.isakmp.sa_payload import SecurityAssociation

NONCE_LENGTH = 32
IDENTITY_PORTS = {0, 500, 4500}


def initiate(core: Core, peer: Peer, local_host: str, remote_host: str) -> IsakmpSa:
    """Send message 1: HDR, SA, vendor ids."""
    port = core.listen.ike_port
    local, remote = Address(local_host, port), Address(remote_host, port)
    sa = IsakmpSa(peer, Role.INITIATOR, Phase1.MM1_SENT, core.cookie(), bytes(8), local, remote, core.now)
    offer = proposals.offer_phase1(peer.config.phase1)
    sa.sa_body = offer.body()
    core.add_sa(sa)
    core.counters["phase 1 started"] += 1
    core.emit("ike.phase1.initiate", sa=sa, local=local, remote=remote)
    core.emit("ike.phase1.begin", sa=sa, mode="Identity Protection")
    payloads: list[Payload] = [offer, *natt.our_vendor_ids(peer.config.nat_traversal)]
    _send(core, sa, channel.clear(sa, c.Exchange.MAIN, payloads), "main 1")
    return sa


def respond(
    core: Core, peer: Peer, datagram: bytes, header: Header, payloads: Payloads, local: Address, remote: Address
) -> None:
    """Message 1 of a configured peer has come: answer with message 2. No Diffie-Hellman is spent yet.

    :raises DecodeError: if its SA payload is missing or doubled.
    """
    offer = payloads.only(SecurityAssociation, "SA")
    cookies = header.initiator_cookie, core.cookie()
    sa = IsakmpSa(peer, Role.RESPONDER, Phase1.MM2_SENT, *cookies, local, remote, core.now)
    choice = proposals.choose_phase1(offer, peer.config.phase1)
    if choice is None:
        _refuse(core, sa, offer)
        return
    core.emit("ike.phase1.respond", sa=sa, local=local, remote=remote)
    core.emit("ike.phase1.begin", sa=sa, mode="Identity Protection")
    sa.received, sa.sa_body = datagram, payloads.body_of(SecurityAssociation)
    sa.proposal = choice.proposal
    sa.lifetime_s = min(choice.lifetime_s or peer.config.phase1.lifetime_s, peer.config.phase1.lifetime_s)
    _note_vendors(core, sa, payloads)
    core.add_sa(sa)
    core.counters["phase 1 started"] += 1
    due = core.now + lifecycle.HALF_OPEN_S
    core.timers.set(("half-open", sa.cookies), due, "half-open phase 1", lambda: lifecycle.half_open_over(core, sa))
    answer: list[Payload] = [choice.payload, *natt.our_vendor_ids(peer.config.nat_traversal)]
    sa.reply = core.send(sa, channel.clear(sa, c.Exchange.MAIN, answer), "main 2")


def _refuse(core: Core, sa: IsakmpSa, offer: SecurityAssociation) -> None:
    """No state is kept. A peer that repeats itself is answered, but logged once a minute."""
    fault = _no_proposal(sa.peer, offer)
    core.counters["phase 1 failed"] += 1
    if not core.quiet(fault.code, sa.initiator_cookie.hex()):
        core.emit("ike.phase1.respond", sa=sa, local=sa.local, remote=sa.remote)
        core.emit_fault(fault, sa=sa)
    informational.send_clear_notify(core, sa, c.Notify.NO_PROPOSAL_CHOSEN)


def _no_proposal(peer: Peer, offer: SecurityAssociation) -> LocalConfigFault:
    accepted = [proposals.phase1_accepted(p) for p in peer.config.phase1.proposals]
    evidence = proposals.mismatch_evidence(accepted, proposals.offered_phase1(offer))
    hint = (
        f"The peer offers {evidence['offered']}; this side accepts {evidence['accepted']}. Nearest: "
        f"{evidence.get('nearest', 'none')}. Change Phase 1 here to what the peer offers, or the peer's to "
        "what is accepted here."
    )
    return LocalConfigFault("ike.phase1.no_proposal", hint=hint, evidence=evidence, notify=c.Notify.NO_PROPOSAL_CHOSEN)


def main_2(core: Core, sa: IsakmpSa, header: Header, payloads: Payloads) -> None:
    """As initiator: the peer has chosen. Answer with KE, Ni and NAT-D."""
    answer = payloads.only(SecurityAssociation, "SA")
    choice = proposals.choose_phase1(answer, sa.peer.config.phase1)
    retransmit.cancel(core, sa.cookies)
    if choice is None or len(proposals.offered_phase1(answer)) != 1:
        evidence = {"chosen": ", ".join(map(str, proposals.offered_phase1(answer)))}
        raise PeerFault("ike.phase1.bad_choice", evidence=evidence)
    if header.responder_cookie == bytes(8):
        raise DecodeError(8, "header", "the responder cookie is zero")
    core.set_responder_cookie(sa, header.responder_cookie)
    sa.proposal = choice.proposal
    sa.lifetime_s = min(choice.lifetime_s or sa.peer.config.phase1.lifetime_s, sa.peer.config.phase1.lifetime_s)
    _note_vendors(core, sa, payloads)
    if not core.raw_esp and not sa.peer_has_natt:
        raise PeerFault("ike.natt.unsupported")
    sa.key_exchange = KeyExchange(sa.proposal.group)
    sa.public_i, sa.nonce_i = sa.key_exchange.public, core.rng(NONCE_LENGTH)
    _send(core, sa, channel.clear(sa, c.Exchange.MAIN, _ke_payloads(core, sa, sa.public_i, sa.nonce_i)), "main 3")


def main_3(core: Core, sa: IsakmpSa, header: Header, payloads: Payloads) -> None:
    """As responder: KE, Ni and NAT-D have come, so the address is real. Answer likewise and derive the keys."""
    sa.public_i = payloads.only(KeyExchangeData, "KE").data
    sa.nonce_i = payloads.only(Nonce, "NONCE").data
    _note_vendors(core, sa, payloads)
    if not core.raw_esp and not sa.peer_has_natt:
        raise PeerFault("ike.natt.unsupported")
    proposal = sa.proposal
    assert proposal is not None  # noqa: S101 - set by respond()
    sa.key_exchange = KeyExchange(proposal.group)
    sa.public_r, sa.nonce_r = sa.key_exchange.public, core.rng(NONCE_LENGTH)
    _derive(sa, sa.public_i)
    _detect_nat(core, sa, payloads)
    sa.reply = core.send(
        sa, channel.clear(sa, c.Exchange.MAIN, _ke_payloads(core, sa, sa.public_r, sa.nonce_r)), "main 4"
    )


def main_4(core: Core, sa: IsakmpSa, header: Header, payloads: Payloads) -> None:
    """As initiator: the keys follow; float to port 4500 if needed, and prove ourselves."""
    sa.public_r = payloads.only(KeyExchangeData, "KE").data
    sa.nonce_r = payloads.only(Nonce, "NONCE").data
    _note_vendors(core, sa, payloads)
    _derive(sa, sa.public_r)
    _detect_nat(core, sa, payloads)
    if sa.nat.encapsulate:
        port = core.listen.natt_port
        sa.local, sa.remote = sa.local._replace(port=port), sa.remote._replace(port=port)
        core.emit("ike.natt.float", sa=sa, local=sa.local, remote=sa.remote)
    payload = build_identity(sa.peer.config.local_identity, sa.local.host)
    sa.local_identity = describe_identity(payload)
    chain: list[Payload] = [payload, Hash(_auth_hash(sa, Role.INITIATOR, payload.body()))]
    if lifecycle.is_first_contact(sa.peer):
        chain.append(Notification(c.Protocol.ISAKMP, sa.cookies, c.Notify.INITIAL_CONTACT))
    _send_encrypted(core, sa, chain, "main 5")
    _repeat(core, sa)


def main_5(core: Core, sa: IsakmpSa, header: Header, payloads: Payloads) -> None:
    """As responder: the initiator proves itself; prove ourselves, and phase 1 is up."""
    _check_peer(core, sa, payloads, Role.INITIATOR)
    payload = build_identity(sa.peer.config.local_identity, sa.local.host)
    sa.local_identity = describe_identity(payload)
    _send_encrypted(core, sa, [payload, Hash(_auth_hash(sa, Role.RESPONDER, payload.body()))], "main 6")
    core.timers.cancel(("half-open", sa.cookies))
    lifecycle.established(core, sa, first=_has_initial_contact(payloads))


def main_6(core: Core, sa: IsakmpSa, header: Header, payloads: Payloads) -> None:
    """As initiator: the responder proves itself, and phase 1 is up."""
    _check_peer(core, sa, payloads, Role.RESPONDER)
    retransmit.cancel(core, sa.cookies)
    sa.reply = None
    lifecycle.established(core, sa, first=_has_initial_contact(payloads))


def _has_initial_contact(payloads: Payloads) -> bool:
    return any(n.type == c.Notify.INITIAL_CONTACT for n in payloads.all(Notification))


def _check_peer(core: Core, sa: IsakmpSa, payloads: Payloads, proves: Role) -> None:
    """Verify HASH_I or HASH_R, then the identity."""
    identity = payloads.only(Identification, "ID")
    received = payloads.only(Hash, "HASH").data
    if not hmac.compare_digest(received, _auth_hash(sa, proves, payloads.body_of(Identification))):
        raise PeerFault("ike.phase1.hash_mismatch", notify=c.Notify.INVALID_HASH_INFORMATION)
    if identity.protocol not in (0, 17) or identity.port not in IDENTITY_PORTS:
        raise DecodeError(0, "ID", f"protocol {identity.protocol}, port {identity.port} in phase 1")
    sa.remote_identity = describe_identity(identity)
    expected = sa.peer.config.remote_identity
    if expected is not None and not same_identity(identity, expected):
        wanted = f"{expected.type} {expected.value}"
        raise LocalConfigFault(
            "ike.phase1.identity",
            got=sa.remote_identity,
            expected=wanted,
            hint=f"Change the field Remote identity to “{sa.remote_identity}”, or the peer's local identity to "
            f"“{wanted}”.",
            evidence={"received": sa.remote_identity, "expected": wanted},
            notify=c.Notify.INVALID_ID_INFORMATION,
        )


def _auth_hash(sa: IsakmpSa, proves: Role, id_body: bytes) -> bytes:
    phase1, proposal = channel.agreed(sa)
    publics, cookies = (sa.public_i, sa.public_r), sa.initiator_cookie + sa.responder_cookie
    if proves is Role.RESPONDER:
        publics, cookies = (sa.public_r, sa.public_i), sa.responder_cookie + sa.initiator_cookie
    return keys.auth_hash(proposal.hash, phase1, publics, cookies, sa.sa_body + id_body)


def _derive(sa: IsakmpSa, peer_public: bytes) -> None:
    assert sa.key_exchange is not None and sa.proposal is not None  # noqa: S101 - the state tables see to it
    try:
        shared = sa.key_exchange.shared(peer_public)
    except InvalidPublicValue as error:
        raise PeerFault("ike.phase1.public_value", reason=str(error), notify=c.Notify.INVALID_KEY_INFORMATION) from None
    nonces = (sa.nonce_i, sa.nonce_r)
    sa.keys = keys.phase1_keys(sa.proposal.hash, sa.proposal.encryption, sa.peer.psk, nonces, shared, sa.cookies)
    sa.iv = keys.phase1_iv(sa.proposal.hash, sa.public_i, sa.public_r)
    sa.key_exchange = None


def _forces_udp(core: Core, sa: IsakmpSa) -> bool:
    return sa.peer_has_natt and (not core.raw_esp or sa.peer.config.nat_traversal == "force")


def _ke_payloads(core: Core, sa: IsakmpSa, public: bytes, nonce: bytes) -> list[Payload]:
    assert sa.proposal is not None  # noqa: S101
    chain: list[Payload] = [KeyExchangeData(public), Nonce(nonce)]
    if sa.peer_has_natt:
        fake = core.rng if _forces_udp(core, sa) else None
        chain += natt.build_nat_d(sa.proposal.hash, sa.cookies, sa.local, sa.remote, fake)
    return chain


def _detect_nat(core: Core, sa: IsakmpSa, payloads: Payloads) -> None:
    if not sa.peer_has_natt or sa.proposal is None:
        return
    found = payloads.all(NatD)
    sa.nat = natt.detect(sa.proposal.hash, sa.cookies, sa.local, sa.remote, found, _forces_udp(core, sa))
    core.emit("ike.natt.version", sa=sa, version="RFC 3947")
    if sa.nat.local or sa.nat.remote:
        who = ("ME " if sa.nat.local else "") + ("PEER" if sa.nat.remote else "")
        core.emit("ike.natt.detected", sa=sa, who=who.strip())
    elif sa.nat.forced:
        core.emit("ike.natt.forced", sa=sa)
    else:
        core.emit("ike.natt.none", sa=sa)


def _note_vendors(core: Core, sa: IsakmpSa, payloads: Payloads) -> None:
    for vendor in payloads.all(VendorId):
        if vendor.data.startswith(natt.RFC_3947):
            sa.peer_has_natt = sa.peer.config.nat_traversal != "off"
        if vendor.data.startswith(natt.DPD_PREFIX):
            sa.peer_has_dpd = True
        name = natt.vendor_name(vendor)
        if name and name not in sa.vendors:
            sa.vendors.append(name)
            core.emit("ike.vendor", sa=sa, name=name)


def _send(core: Core, sa: IsakmpSa, datagram: bytes, what: str) -> None:
    """Send a message of the initiator and repeat it until it is answered."""
    sa.reply = core.send(sa, datagram, what)
    _repeat(core, sa)


def _repeat(core: Core, sa: IsakmpSa) -> None:
    retransmit.start(core, sa.cookies, sa.peer.config.retransmit, sa, lambda: lifecycle.phase1_timeout(core, sa))


def _send_encrypted(core: Core, sa: IsakmpSa, chain: list[Payload], what: str) -> None:
    first, body = build_payloads(chain)
    datagram, sa.iv = channel.seal(sa, c.Exchange.MAIN, 0, first, body, sa.iv)
    sa.reply = core.send(sa, datagram, what)


def malformed(core: Core, sa: IsakmpSa, error: DecodeError, status: int) -> None:
    """A message broke the rules of the exchange. It is not authenticated, so the negotiation goes on."""
    side_number = 0 if sa.role is Role.INITIATOR else 1
    if core.quiet("ike.phase1.malformed", sa.name):
        return
    core.emit(
        "ike.phase1.malformed",
        sa=sa,
        side=Side.PEER,
        side_number=side_number,
        status=status,
        evidence={"rule": str(error)},
    )
