"""Aggressive mode (RFC 2409 section 5): three messages, the identities are in the clear.

With a pre-shared secret, whoever watches message 2 or asks for it can try secrets offline
against its HASH_R. So it is off unless a peer's configuration asks for it.
"""

from __future__ import annotations

import copy
from typing import NoReturn

from vpnengine.ikev1 import authentication, lifecycle, phase1, retransmit, vendors, xauth
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.faults import Fault, Unproven
from vpnengine.ikev1.model import Datagram, IsakmpSa, Peer
from vpnengine.ikev1.states import Phase1, Role
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.message import Header, Payloads
from vpnengine.isakmp.payloads import Notification, Payload

# A responder that works in parallel may handle a quick mode that follows message 3 at once before that message.
QUICK_PAUSE_S = 0.02
MAX_REJECTIONS = 3


def initiate(core: Core, peer: Peer, local_host: str, remote_host: str) -> IsakmpSa:
    """Send message 1: HDR, SA, KE, Ni, IDii. The group of its KE cannot be negotiated any more."""
    sa, offer = phase1.begin(core, peer, c.Exchange.AGGRESSIVE, Phase1.AM1_SENT, local_host, remote_host)
    # What we call ourselves and ask for depends on the method, which the peer has not chosen yet.
    sa.method = authentication.acceptable(peer, Role.INITIATOR)[0]
    _warn(core, sa)
    phase1.make_key_exchange(core, sa, peer.config.phase1.proposals[0].group)
    chain: list[Payload] = [offer, *phase1.own_key_exchange(sa), authentication.identify(sa)]
    chain += [*authentication.requests(core, sa), *vendors.ours(sa)]
    phase1.send_clear(core, sa, chain, "aggressive 1")
    phase1.repeat(core, sa)
    return sa


def respond(core: Core, peer: Peer, datagram: Datagram, payloads: Payloads) -> None:
    """Message 1 of a peer has come: answer with message 2, which carries our proof already.

    Nothing shows yet that the source address is real: the caller has asked ``Admission``.

    :raises DecodeError: if a payload is missing, doubled or broken.
    """
    cookies = datagram.header.initiator_cookie, core.cookie()
    ends = datagram.local, datagram.remote
    sa = IsakmpSa(peer, Role.RESPONDER, Phase1.AM2_SENT, *cookies, *ends, core.now, c.Exchange.AGGRESSIVE)
    authentication.claim(sa, payloads)
    phase1.take_key_exchange(sa, payloads)
    choice = phase1.begin_responding(core, sa, datagram.data, payloads)
    if choice is None:
        return
    try:
        phase1.require_natt(core, sa)
        _warn(core, sa)
        authentication.requested(core, sa, payloads)
        phase1.make_key_exchange(core, sa)
        phase1.derive(sa)
        chain: list[Payload] = [choice.payload, *phase1.own_key_exchange(sa), authentication.identify(sa)]
        chain += authentication.prove(core, sa)
    except Fault as error:
        sa.keys = None  # the peer does not have them yet
        phase1.refuse(core, sa, error)
        return
    chain += [*authentication.requests(core, sa), *phase1.nat_payloads(core, sa)]
    chain += vendors.ours(sa)
    phase1.send_clear(core, sa, chain, "aggressive 2")


def _warn(core: Core, sa: IsakmpSa) -> None:
    """Signatures reveal nothing that can be cracked; a hash of the pre-shared secret does."""
    if sa.method in c.SIGNATURE_METHODS:
        return
    if not core.quiet("ike.aggressive.used", f"{sa.peer.id} {sa.role}", sa.peer):
        core.emit("ike.aggressive.used", sa=sa)


def aggressive_2(core: Core, sa: IsakmpSa, header: Header, payloads: Payloads) -> None:
    """As initiator: the responder has chosen and proves itself. Float if needed, and prove ourselves.

    Until its proof is verified the message may be anybody's, so it is tried on a copy of the SA.

    :raises Unproven: if the message is not acceptable; the negotiation goes on then.
    """
    if sa.rejections >= MAX_REJECTIONS:
        raise Unproven(0, "proof", "several were not acceptable already")
    trial = copy.copy(sa)
    # What a forged message says may not stay: whatever is changed in place is a copy, too.
    trial.vendors, trial.wanted_cas = list(sa.vendors), list(sa.wanted_cas)
    trial.responder_cookie = header.responder_cookie
    try:
        phase1.take_choice(core, trial, header, payloads)
        phase1.take_key_exchange(trial, payloads)
        authentication.requested(core, trial, payloads)
        phase1.derive(trial)
        authentication.claim(trial, payloads)
        authentication.verify_proof(core, trial, payloads)
    except Fault as error:
        _reject(core, sa, error)
    retransmit.cancel(core, sa.cookies)
    trial.responder_cookie = sa.responder_cookie
    vars(sa).update(vars(trial))
    core.set_responder_cookie(sa, header.responder_cookie)
    authentication.check_identity(sa)
    phase1.detect_nat(core, sa, payloads)
    phase1.float_ports(core, sa)
    chain = [*authentication.prove(core, sa), *phase1.nat_payloads(core, sa)]
    if lifecycle.is_first_contact(sa.peer):
        chain.append(Notification(c.Protocol.ISAKMP, sa.cookies, c.Notify.INITIAL_CONTACT))
    phase1.send_encrypted(core, sa, chain, "aggressive 3")
    sa.unconfirmed = True
    sa.quick_from = core.now + QUICK_PAUSE_S
    xauth.finish_phase1(core, sa, first=phase1.has_initial_contact(payloads))


def _reject(core: Core, sa: IsakmpSa, error: Fault) -> NoReturn:
    """Say why a message is not acceptable, and go on waiting for a better one: this one proves nothing.

    :raises Unproven: always.
    """
    if error.code == "ike.phase1.hash_mismatch":
        sa.suspect_psk = True
    phase1.doubt(core, sa, error)


def aggressive_3(core: Core, sa: IsakmpSa, header: Header, payloads: Payloads) -> None:
    """As responder: the initiator proves itself, and phase 1 is up."""
    phase1.proven_real(core, sa)
    if sa.rejections >= MAX_REJECTIONS:
        raise Unproven(0, "proof", "several were not acceptable already")
    try:
        authentication.verify_proof(core, sa, payloads)
    except Fault as error:
        _reject(core, sa, error)
    authentication.check_identity(sa)
    phase1.detect_nat(core, sa, payloads)
    sa.reply = None
    core.timers.cancel(("half-open", sa.cookies))
    xauth.finish_phase1(core, sa, first=phase1.has_initial_contact(payloads))
