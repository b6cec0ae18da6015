"""Messages that belong to no SA: the first ones of a peer, and those that come too late."""

from __future__ import annotations

from vpnengine.contract.config import StartMode
from vpnengine.ikev1 import aggressive_mode, lifecycle, main_mode, negotiate, phase1, retransmit, selection
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.model import Datagram, IsakmpSa, Peer
from vpnengine.ikev1.states import Phase1, Role
from vpnengine.isakmp.constants import HEADER_LENGTH, Exchange
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import Payloads, parse_payloads
from vpnengine.isakmp.payloads import Identification
from vpnengine.isakmp.sa_payload import SecurityAssociation

# Half-open negotiations: of a peer with one address, of one without, and of one source among the latter.
MAX_HALF_OPEN, MAX_HALF_OPEN_ANYWHERE, MAX_HALF_OPEN_PER_SOURCE = 16, 256, 16
MAX_UNPROVEN, MAX_UNPROVEN_PER_SOURCE = 512, 64
NO_COOKIE = bytes(8)
_HALF_OPEN = {Phase1.MM2_SENT, Phase1.AM2_SENT}
_PROTECTED = {Exchange.QUICK, Exchange.INFORMATIONAL}
_MODES = {Exchange.MAIN: "Identity Protection", Exchange.AGGRESSIVE: "Aggressive"}


def receive(core: Core, datagram: Datagram) -> None:
    """A message has come that no SA is known for."""
    header, remote = datagram.header, datagram.remote
    if header.responder_cookie == NO_COOKIE and not header.encrypted and header.exchange in _MODES:
        _begins(core, datagram)
        return
    peer = core.roster.first(remote.host)
    if peer:
        core.trace.claims(peer, header, core.now)
    core.drop("no SA", header.name, len(datagram.data), remote)
    if peer and header.encrypted and header.exchange in _PROTECTED and not core.quiet("ike.no_sa", remote.host, peer):
        cookies = f"{header.initiator_cookie.hex()}:{header.responder_cookie.hex()}"
        if header.exchange == Exchange.QUICK:
            core.emit("ike.no_sa", peer=peer, at=remote, cookies=cookies)
        _begin_anew(core, peer)


def _begin_anew(core: Core, peer: Peer) -> None:
    """The peer still uses a phase 1 that we have lost: a new one of ours lets it know, with INITIAL-CONTACT.

    What told us is not authentic, so this happens at most once a minute, and never while there is anything with
    this peer already.
    """
    if peer.config.start is StartMode.RESPONDER or peer.sas or not peer.config.fixed:
        return
    core.counters["phase 1 begun for a lost one"] += 1
    negotiate.want_all(core, peer)


def _begins(core: Core, datagram: Datagram) -> None:
    if _known(core, datagram):
        return
    if not selection.rows(core, datagram.header.exchange, datagram.local, datagram.remote):
        _unwelcome(core, datagram)
        return
    header = datagram.header
    try:
        payloads = parse_payloads(header.next_payload, datagram.data[HEADER_LENGTH:])
        if header.exchange == Exchange.MAIN:
            _main(core, datagram, payloads)
        else:
            _aggressive(core, datagram, payloads)
    except DecodeError as error:
        core.drop("malformed", str(error), len(datagram.data), datagram.remote)


def _known(core: Core, datagram: Datagram) -> bool:
    """A repeated first message is answered as before; any other one under a known cookie changes nothing."""
    sa = core.responding.get((datagram.remote.host, datagram.header.initiator_cookie))
    if sa is None:
        return False
    core.trace.belongs(sa)
    if sa.state in _HALF_OPEN and sa.received == datagram.data:
        retransmit.answer_duplicate(core, sa, sa, "message 2")
    elif sa.state not in _HALF_OPEN:
        core.drop("late first message", datagram.header.name, len(datagram.data), datagram.remote)
    return True


def _unwelcome(core: Core, datagram: Datagram) -> None:
    """Nobody at that address is configured, or not with this exchange. There is no answer."""
    header, remote = datagram.header, datagram.remote
    peer = core.roster.first(remote.host)
    if peer is None:
        core.drop("unknown peer", header.name, len(datagram.data), remote)
        if not core.quiet("ike.unknown_peer", remote.host):
            core.emit("ike.unknown_peer", at=remote, remote=remote, evidence={"address": remote.host})
        return
    core.trace.claims(peer, header, core.now)
    core.drop("mode refused", header.name, len(datagram.data), remote)
    if not core.quiet("ike.mode.refused", remote.host, peer):
        mode, allowed = _MODES[Exchange(header.exchange)], peer.config.exchange
        core.emit("ike.mode.refused", peer=peer, at=remote, mode=mode, allowed=allowed)


def _main(core: Core, datagram: Datagram, payloads: Payloads) -> None:
    offer = payloads.only(SecurityAssociation, "SA")
    peer = selection.for_main(core, datagram.local, datagram.remote, lambda row: phase1.fits(row, offer))
    if peer is not None:
        _bound(core, peer, datagram)
        main_mode.respond(core, peer, datagram, payloads)


def _aggressive(core: Core, datagram: Datagram, payloads: Payloads) -> None:
    """Message 1 already costs a Diffie-Hellman exchange: each source has only so many a second."""
    remote = datagram.remote
    known = core.roster.first(remote.host)
    if not core.admission.admit(remote.host, core.now, known is not None and known.config.fixed):
        core.drop("too many negotiations", datagram.header.name, len(datagram.data), remote)
        if not core.quiet("ike.throttled", remote.host, known):
            core.emit("ike.throttled", at=remote, remote=remote)
        return
    identity = payloads.only(Identification, "ID")
    peer = selection.for_aggressive(core, datagram.local, remote, identity)
    if peer is not None:
        _bound(core, peer, datagram)
        aggressive_mode.respond(core, peer, datagram, payloads)


def _bound(core: Core, peer: Peer, datagram: Datagram) -> None:
    """Forget the oldest half-open negotiation, if there are too many."""
    _bound_unproven(core, peer, datagram)
    half_open = [sa for sa in peer.sas if sa.role is Role.RESPONDER and sa.state in _HALF_OPEN]
    same = [sa for sa in half_open if sa.remote.host == datagram.remote.host]
    most = MAX_HALF_OPEN if peer.config.fixed else MAX_HALF_OPEN_ANYWHERE
    victim: IsakmpSa | None = None
    if len(same) >= MAX_HALF_OPEN_PER_SOURCE:
        victim = same[0]
    elif len(half_open) >= most:
        victim = half_open[0]
    if victim is not None:
        lifecycle.forget(core, victim)
        core.counters["half-open evicted"] += 1


def _bound_unproven(core: Core, peer: Peer, datagram: Datagram) -> None:
    """The same for those whose address is real, and who have not proven who they are: each holds keys already."""
    unproven = [sa for sa in peer.sas if sa.state is Phase1.MM4_SENT]
    same = [sa for sa in unproven if sa.remote.host == datagram.remote.host]
    victim = same[0] if len(same) >= MAX_UNPROVEN_PER_SOURCE else None
    if victim is None and len(unproven) >= MAX_UNPROVEN:
        victim = unproven[0]
    if victim is not None:
        lifecycle.forget(core, victim)
        core.counters["unproven evicted"] += 1
