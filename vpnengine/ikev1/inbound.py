"""What is done with a message that has come: find its SA, its row in the state tables, its handler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vpnengine.contract.events import Side
from vpnengine.esp.sa import Address, Selector
from vpnengine.ikev1 import (
    channel,
    dpd,
    informational,
    keys,
    lifecycle,
    main_mode,
    pairs,
    phase1,
    quick_mode,
    retransmit,
)
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.faults import Fault
from vpnengine.ikev1.fragmentation import MAX_AGE_S, Rejected
from vpnengine.ikev1.model import IsakmpSa, Peer, QuickExchange
from vpnengine.ikev1.states import Phase1, Quick, Role, Row, UnexpectedMessage, main_mode_row, quick_mode_row
from vpnengine.isakmp.constants import HEADER_LENGTH, Exchange, PayloadType
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import Header, Payloads, parse_payloads

MAX_HALF_OPEN_PER_PEER = 16
MAX_QUICK = 64
MAX_USED_IDS = 65_536
NO_COOKIE = bytes(8)
_NO_SELECTOR = Selector(None, None)  # type: ignore[arg-type]

MAIN_HANDLERS: dict[str, Callable[[Core, IsakmpSa, Header, Payloads], None]] = {
    "main_2": main_mode.main_2,
    "main_3": main_mode.main_3,
    "main_4": main_mode.main_4,
    "main_5": main_mode.main_5,
    "main_6": main_mode.main_6,
}
QUICK_HANDLERS: dict[str, Callable[[Core, IsakmpSa, QuickExchange, Payloads], None]] = {
    "quick_1": quick_mode.quick_1,
    "quick_2": quick_mode.quick_2,
    "quick_3": quick_mode.quick_3,
}
_STATUS = {Phase1.MM1_SENT: 2, Phase1.MM2_SENT: 3, Phase1.MM3_SENT: 4, Phase1.MM4_SENT: 5, Phase1.MM5_SENT: 6}


@dataclass(frozen=True)
class Datagram:
    """What arrived, and on which path."""

    data: bytes
    header: Header
    local: Address
    remote: Address


def receive(core: Core, data: bytes, local: Address, remote: Address) -> None:
    """Take one datagram without the non-ESP marker. Whatever it is, nothing is raised."""
    try:
        datagram = Datagram(data, Header.parse(data), local, remote)
    except DecodeError as error:
        _no_header(core, data, remote, error)
        return
    core.note("received", _name(datagram.header), len(data), remote)
    if datagram.header.next_payload == PayloadType.FRAGMENT:
        _fragment(core, datagram)
    else:
        _message(core, datagram)


def _fragment(core: Core, datagram: Datagram) -> None:
    """A piece of a message: who has an SA, or an address that is configured, may leave some here."""
    header, remote = datagram.header, datagram.remote
    sa = _find(core, datagram)
    peer = sa.peer if sa is not None else core.by_host.get(remote.host)
    if peer is None or peer.config.fragmentation == "off":
        reason = "fragment of a stranger" if peer is None else "fragmentation is off"
        core.drop(reason, _name(header), len(datagram.data), remote)
        if peer is not None:
            peer.fragment_drops[reason] += 1
        return
    try:
        whole = core.fragments.add(header, datagram.data, remote, core.now)
    except Rejected as error:
        core.drop(error.reason, error.detail or _name(header), len(datagram.data), remote)
        peer.fragment_drops[error.reason] += 1
        return
    if whole is None:
        due = core.now + MAX_AGE_S
        core.timers.set("fragments", due, "fragments expire", lambda: core.fragments.expire(core.now))
    else:
        datagram = Datagram(whole, Header.parse(whole), datagram.local, remote)
        core.note("received", f"{_name(datagram.header)} from fragments", len(whole), remote)
        _message(core, datagram)


def _message(core: Core, datagram: Datagram) -> None:
    sa = _find(core, datagram)
    if sa is None:
        _stranger(core, datagram)
    elif datagram.header.exchange == Exchange.MAIN:
        _main(core, sa, datagram)
    elif datagram.header.exchange == Exchange.QUICK:
        _quick(core, sa, datagram)
    elif datagram.header.exchange == Exchange.INFORMATIONAL:
        _informational(core, sa, datagram)
    else:
        core.drop("unsupported exchange", _name(datagram.header), len(datagram.data), datagram.remote)


def _name(header: Header) -> str:
    try:
        name = Exchange(header.exchange).name.lower()
    except ValueError:
        name = f"exchange {header.exchange}"
    return f"{name} {header.message_id:08x}"


def _no_header(core: Core, data: bytes, remote: Address, error: DecodeError) -> None:
    core.drop("no ISAKMP header", str(error), len(data), remote)
    peer = core.by_host.get(remote.host)
    if peer and error.rule == "major version 2" and not core.quiet("ike.version", remote.host):
        core.emit("ike.version", peer=peer, at=remote, version=2)


def _find(core: Core, datagram: Datagram) -> IsakmpSa | None:
    header = datagram.header
    sa = core.sas.get(header.initiator_cookie + header.responder_cookie)
    if sa is not None or header.responder_cookie == NO_COOKIE:
        return sa
    # The second message of an exchange of ours tells the responder's cookie. A refusal may come with one, too.
    return core.sas.get(header.initiator_cookie + NO_COOKIE)


# Messages without an SA


def _stranger(core: Core, datagram: Datagram) -> None:
    header, remote = datagram.header, datagram.remote
    peer = core.by_host.get(remote.host)
    begins = header.responder_cookie == NO_COOKIE and not header.encrypted
    if begins and header.exchange in (Exchange.MAIN, Exchange.AGGRESSIVE):
        _begins(core, peer, datagram)
        return
    core.drop("no SA", _name(header), len(datagram.data), remote)
    if peer and header.exchange == Exchange.QUICK and not core.quiet("ike.no_sa", remote.host):
        cookies = f"{header.initiator_cookie.hex()}:{header.responder_cookie.hex()}"
        core.emit("ike.no_sa", peer=peer, at=remote, cookies=cookies)


def _begins(core: Core, peer: Peer | None, datagram: Datagram) -> None:
    header, remote = datagram.header, datagram.remote
    if peer is None:
        core.drop("unknown peer", _name(header), len(datagram.data), remote)
        if not core.quiet("ike.unknown_peer", remote.host):
            core.emit("ike.unknown_peer", at=remote, remote=remote, evidence={"address": remote.host})
        return
    if header.exchange == Exchange.AGGRESSIVE:
        core.drop("aggressive mode", _name(header), len(datagram.data), remote)
        if not core.quiet("ike.mode.refused", remote.host):
            core.emit("ike.mode.refused", peer=peer, at=remote, mode="Aggressive")
        return
    _respond(core, peer, datagram)


def _respond(core: Core, peer: Peer, datagram: Datagram) -> None:
    header = datagram.header
    half_open = [sa for sa in peer.sas if sa.role is Role.RESPONDER and sa.state is Phase1.MM2_SENT]
    known = next((sa for sa in half_open if sa.initiator_cookie == header.initiator_cookie), None)
    if known is not None:
        if known.received == datagram.data:
            retransmit.answer_duplicate(core, known, "main 2")
        return
    if any(sa.initiator_cookie == header.initiator_cookie for sa in peer.sas):
        core.drop("late first message", _name(header), len(datagram.data), datagram.remote)
        return
    if len(half_open) >= MAX_HALF_OPEN_PER_PEER:
        lifecycle.forget(core, half_open[0])
        core.counters["half-open evicted"] += 1
    try:
        payloads = parse_payloads(header.next_payload, datagram.data[HEADER_LENGTH:])
        main_mode.respond(core, peer, datagram.data, header, payloads, datagram.local, datagram.remote)
    except DecodeError as error:
        core.drop("malformed", str(error), len(datagram.data), datagram.remote)


# Main mode


def _main(core: Core, sa: IsakmpSa, datagram: Datagram) -> None:
    header = datagram.header
    if datagram.remote.host != sa.remote.host:
        core.drop("foreign address", _name(header), len(datagram.data), datagram.remote)
        return
    if datagram.data == sa.received:
        retransmit.answer_duplicate(core, sa, "main")
        return
    try:
        row = main_mode_row(sa.role, sa.state)
    except UnexpectedMessage as error:
        core.drop("unexpected message", str(error), len(datagram.data), datagram.remote)
        return
    if row.encrypted != header.encrypted:
        core.drop("encryption flag", _name(header), len(datagram.data), datagram.remote)
        return
    _main_step(core, sa, datagram, row)


def _main_step(core: Core, sa: IsakmpSa, datagram: Datagram, row: Row) -> None:
    """Run the handler; if it fails, the SA is as it was before."""
    before = (sa.iv, sa.local, sa.remote)
    status = _STATUS[sa.state]
    try:
        payloads = _main_payloads(sa, datagram, row)
        if sa.role is Role.RESPONDER or row.encrypted:
            sa.local, sa.remote = datagram.local, datagram.remote
        MAIN_HANDLERS[row.handler](core, sa, datagram.header, payloads)
    except DecodeError as error:
        sa.iv, sa.local, sa.remote = before
        core.drop("malformed", str(error), len(datagram.data), datagram.remote)
        if not row.encrypted:
            phase1.malformed(core, sa, error, status)
        elif not sa.suspect_psk:
            informational.suspect_psk(core, sa, status, f"message {status} cannot be decrypted ({error})")
    except Fault as error:
        _main_fault(core, sa, error)
    else:
        if sa.state is not Phase1.DEAD:
            sa.state = row.following if isinstance(row.following, Phase1) else sa.state
            sa.received = datagram.data
            sa.resent = 0


def _main_payloads(sa: IsakmpSa, datagram: Datagram, row: Row) -> Payloads:
    if not row.encrypted:
        return parse_payloads(datagram.header.next_payload, datagram.data[HEADER_LENGTH:])
    payloads, _, sa.iv = channel.open_(sa, datagram.header, datagram.data, sa.iv)
    return payloads


def _main_fault(core: Core, sa: IsakmpSa, error: Fault) -> None:
    if error.notify is not None and sa.keys is not None:
        informational.send_notify(core, sa, 1, sa.cookies, error.notify)
    elif error.notify is not None:
        informational.send_clear_notify(core, sa, error.notify)
    lifecycle.fail_with(core, sa, error)


# Quick mode


def _quick(core: Core, sa: IsakmpSa, datagram: Datagram) -> None:
    header = datagram.header
    if not sa.usable or not header.encrypted or header.message_id == 0:
        core.drop("quick mode too early", _name(header), len(datagram.data), datagram.remote)
        return
    exchange = sa.quick.get(header.message_id)
    if exchange is not None and datagram.data == exchange.received:
        retransmit.answer_duplicate(core, exchange, "quick")
        return
    if exchange is None:
        exchange = _new_quick(core, sa, datagram)
        if exchange is None:
            return
    try:
        row = quick_mode_row(exchange.role, exchange.state)
        _quick_step(core, sa, exchange, datagram, row)
    except UnexpectedMessage as error:
        core.drop("unexpected message", str(error), len(datagram.data), datagram.remote)


def _new_quick(core: Core, sa: IsakmpSa, datagram: Datagram) -> QuickExchange | None:
    header = datagram.header
    if header.message_id in sa.used_ids:
        core.drop("replayed message id", _name(header), len(datagram.data), datagram.remote)
        return None
    if len(sa.quick) >= MAX_QUICK or len(sa.used_ids) >= MAX_USED_IDS:
        core.drop("too many exchanges", _name(header), len(datagram.data), datagram.remote)
        lifecycle.rekey(core, sa)
        return None
    _, proposal = channel.agreed(sa)
    iv = keys.exchange_iv(proposal.hash, sa.iv, header.message_id)
    return QuickExchange(header.message_id, Role.RESPONDER, Quick.START, _NO_SELECTOR, iv, core.spi(), core.now)


def _quick_step(core: Core, sa: IsakmpSa, exchange: QuickExchange, datagram: Datagram, row: Row) -> None:
    """Decrypt, verify, and only then change anything."""
    try:
        payloads, plain, iv = channel.open_(sa, datagram.header, datagram.data, exchange.iv)
    except DecodeError as error:
        core.drop("malformed", str(error), len(datagram.data), datagram.remote)
        return
    nonce = exchange.nonce_i if exchange.role is Role.INITIATOR else b""
    if row.handler != "quick_3" and not quick_mode.verify(sa, exchange.message_id, payloads, plain, nonce):
        core.drop("bad hash", _name(datagram.header), len(datagram.data), datagram.remote)
        return
    before, exchange.iv = exchange.iv, iv
    if row.handler == "quick_1":
        sa.quick[exchange.message_id] = exchange
        sa.used_ids.add(exchange.message_id)
    if row.handler != "quick_3":
        authentic(core, sa, datagram)
    try:
        QUICK_HANDLERS[row.handler](core, sa, exchange, payloads)
    except DecodeError as error:
        exchange.iv = before
        core.drop("malformed", str(error), len(datagram.data), datagram.remote)
        if row.handler != "quick_3":
            quick_mode.malformed(core, sa, exchange, error)
    except Fault as error:
        quick_mode.fault(core, sa, exchange, error)
    else:
        exchange.state = row.following if isinstance(row.following, Quick) else exchange.state
        exchange.received = datagram.data
        exchange.resent = 0


# Informational


def _informational(core: Core, sa: IsakmpSa, datagram: Datagram) -> None:
    header = datagram.header
    if header.encrypted:
        if sa.keys is None:
            core.drop("no keys yet", _name(header), len(datagram.data), datagram.remote)
        elif informational.receive_encrypted(core, sa, header, datagram.data) and sa.state is Phase1.ESTABLISHED:
            authentic(core, sa, datagram)
        return
    if datagram.remote.host != sa.remote.host:
        core.drop("foreign address", _name(header), len(datagram.data), datagram.remote)
        return
    try:
        payloads = parse_payloads(header.next_payload, datagram.data[HEADER_LENGTH:])
    except DecodeError as error:
        core.drop("malformed", str(error), len(datagram.data), datagram.remote)
        return
    informational.receive_clear(core, sa, header, payloads)


def authentic(core: Core, sa: IsakmpSa, datagram: Datagram) -> None:
    """A message has proven that it comes from the peer: it lives, and it may have moved."""
    dpd.heard(core, sa, core.now)
    lifecycle.check_octets(core, sa)
    if datagram.remote != sa.remote and sa.nat.encapsulate:
        core.emit("ike.natt.moved", sa=sa, side=Side.NONE, old=sa.remote, new=datagram.remote)
        sa.local, sa.remote = datagram.local, datagram.remote
        for pair in sa.peer.pairs:
            pairs.move(core, pair, sa.remote)
