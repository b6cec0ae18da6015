"""Main mode (RFC 2409 section 5): six messages, the identities are encrypted."""

from __future__ import annotations

from vpnengine.ikev1 import agreements, authentication, lifecycle, phase1, retransmit, vendors, xauth
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.faults import MismatchFault
from vpnengine.ikev1.model import Datagram, IsakmpSa, Peer
from vpnengine.ikev1.states import Phase1, Role
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.message import Header, Payloads
from vpnengine.isakmp.payloads import Notification, Payload


def initiate(core: Core, peer: Peer, local_host: str, remote_host: str) -> IsakmpSa:
    """Send message 1: HDR, SA, vendor ids."""
    sa, offer = phase1.begin(core, peer, c.Exchange.MAIN, Phase1.MM1_SENT, local_host, remote_host)
    phase1.send_clear(core, sa, [offer, *vendors.ours(sa)], "main 1")
    phase1.repeat(core, sa)
    return sa


def respond(core: Core, peer: Peer, datagram: Datagram, payloads: Payloads) -> None:
    """Message 1 of a configured peer has come: answer with message 2. No Diffie-Hellman is spent yet.

    :raises DecodeError: if its SA payload is missing or doubled.
    """
    cookies = datagram.header.initiator_cookie, core.cookie()
    sa = IsakmpSa(peer, Role.RESPONDER, Phase1.MM2_SENT, *cookies, datagram.local, datagram.remote, core.now)
    choice = phase1.begin_responding(core, sa, datagram.data, payloads)
    if choice is not None:
        phase1.send_clear(core, sa, [choice.payload, *vendors.ours(sa)], "main 2")


def main_2(core: Core, sa: IsakmpSa, header: Header, payloads: Payloads) -> None:
    """As initiator: the peer has chosen. Answer with KE, Ni and NAT-D."""
    phase1.take_choice(core, sa, header, payloads)
    retransmit.cancel(core, sa.cookies)
    core.set_responder_cookie(sa, header.responder_cookie)
    authentication.requested(core, sa, payloads)
    phase1.make_key_exchange(core, sa)
    _send_key_exchange(core, sa, "main 3")
    phase1.repeat(core, sa)


def main_3(core: Core, sa: IsakmpSa, header: Header, payloads: Payloads) -> None:
    """As responder: KE, Ni and NAT-D have come, so the address is real. Answer likewise and derive the keys."""
    phase1.proven_real(core, sa)
    phase1.take_key_exchange(sa, payloads)
    vendors.note(core, sa, payloads)
    phase1.require_natt(core, sa)
    authentication.requested(core, sa, payloads)
    phase1.make_key_exchange(core, sa)
    phase1.derive(sa)
    phase1.detect_nat(core, sa, payloads)
    _send_key_exchange(core, sa, "main 4")
    lifecycle.await_proof(core, sa)


def main_4(core: Core, sa: IsakmpSa, header: Header, payloads: Payloads) -> None:
    """As initiator: the keys follow; float to port 4500 if needed, and prove ourselves."""
    phase1.take_key_exchange(sa, payloads)
    vendors.note(core, sa, payloads)
    authentication.requested(core, sa, payloads)
    phase1.derive(sa)
    phase1.detect_nat(core, sa, payloads)
    phase1.float_ports(core, sa)
    chain: list[Payload] = [authentication.identify(sa), *authentication.prove(core, sa)]
    if lifecycle.is_first_contact(sa.peer):
        chain.append(Notification(c.Protocol.ISAKMP, sa.cookies, c.Notify.INITIAL_CONTACT))
    phase1.send_encrypted(core, sa, chain, "main 5")
    phase1.repeat(core, sa)
    lifecycle.await_proof(core, sa)


def main_5(core: Core, sa: IsakmpSa, header: Header, payloads: Payloads) -> None:
    """As responder: the initiator proves itself; prove ourselves, and phase 1 is up."""
    _believe(core, sa, payloads)
    authentication.requested(core, sa, payloads)
    chain: list[Payload] = [authentication.identify(sa), *authentication.prove(core, sa)]
    phase1.send_encrypted(core, sa, chain, "main 6")
    core.timers.cancel(("half-open", sa.cookies))
    core.timers.cancel(("silent", sa.cookies))
    xauth.finish_phase1(core, sa, first=phase1.has_initial_contact(payloads))


def main_6(core: Core, sa: IsakmpSa, header: Header, payloads: Payloads) -> None:
    """As initiator: the responder proves itself, and phase 1 is up."""
    _believe(core, sa, payloads)
    retransmit.cancel(core, sa.cookies)
    core.timers.cancel(("silent", sa.cookies))
    sa.reply = None
    agreements.take_phase1(core, sa, payloads)
    xauth.finish_phase1(core, sa, first=phase1.has_initial_contact(payloads))


def _believe(core: Core, sa: IsakmpSa, payloads: Payloads) -> None:
    """Check what the peer proves itself with.

    A hash that does not fit under the right keys is no peer with another secret, whose message could not even be
    decrypted: somebody on the path has altered it. The genuine message may still come, so the negotiation goes on.

    :raises Unproven: if the hash differs.
    :raises Fault: if the proof is not acceptable.
    """
    authentication.claim(sa, payloads)
    try:
        authentication.verify(core, sa, payloads)
    except MismatchFault as error:
        if error.code != "ike.phase1.hash_mismatch":
            raise
        phase1.doubt(core, sa, error)


def _send_key_exchange(core: Core, sa: IsakmpSa, what: str) -> None:
    """KE, nonce, requests for proof, NAT-D."""
    chain = phase1.own_key_exchange(sa)
    phase1.send_clear(core, sa, [*chain, *authentication.requests(core, sa), *phase1.nat_payloads(core, sa)], what)
