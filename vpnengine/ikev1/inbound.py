"""What is done with a message that has come: find its SA, its row in the state tables, its handler."""

from __future__ import annotations

from collections.abc import Callable

from vpnengine.contract.events import Side
from vpnengine.esp.sa import Address, Selector
from vpnengine.ikev1 import (
    aggressive_mode,
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
    strangers,
    transaction,
)
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.faults import Fault, Unproven
from vpnengine.ikev1.fragmentation import MAX_AGE_S, Rejected
from vpnengine.ikev1.model import Datagram, IsakmpSa, QuickExchange
from vpnengine.ikev1.states import Phase1, Quick, Role, Row, UnexpectedMessage, phase1_row, quick_mode_row
from vpnengine.isakmp.constants import HEADER_LENGTH, Exchange, Flag, PayloadType
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import Header, Payloads, parse_payloads

MAX_QUICK = 64
MAX_USED_IDS = 65_536
HOLD_S = 1.0
_NEARLY_UP = {Phase1.AM2_SENT, Phase1.MM5_SENT}
_AUTHENTICATED = {Phase1.XAUTH, Phase1.ESTABLISHED}
_NO_SELECTOR = Selector(None, None)  # type: ignore[arg-type]

PHASE1_HANDLERS: dict[str, Callable[[Core, IsakmpSa, Header, Payloads], None]] = {
    "main_2": main_mode.main_2,
    "main_3": main_mode.main_3,
    "main_4": main_mode.main_4,
    "main_5": main_mode.main_5,
    "main_6": main_mode.main_6,
    "aggressive_2": aggressive_mode.aggressive_2,
    "aggressive_3": aggressive_mode.aggressive_3,
}
QUICK_HANDLERS: dict[str, Callable[[Core, IsakmpSa, QuickExchange, Payloads], None]] = {
    "quick_1": quick_mode.quick_1,
    "quick_2": quick_mode.quick_2,
    "quick_3": quick_mode.quick_3,
    "quick_4": quick_mode.quick_4,
}
_STATUS = {
    Phase1.MM1_SENT: 2,
    Phase1.MM2_SENT: 3,
    Phase1.MM3_SENT: 4,
    Phase1.MM4_SENT: 5,
    Phase1.MM5_SENT: 6,
    Phase1.AM1_SENT: 2,
    Phase1.AM2_SENT: 3,
}


def receive(core: Core, data: bytes, local: Address, remote: Address) -> None:
    """Take one datagram without the non-ESP marker. Whatever it is, nothing is raised."""
    try:
        datagram = Datagram(data, Header.parse(data), local, remote)
    except DecodeError as error:
        _no_header(core, data, remote, error)
        return
    core.trace.arrived(core.now, datagram.header, local, remote)
    core.trace.keep_arrived(core.now, data, local, remote)
    try:
        if datagram.header.next_payload == PayloadType.FRAGMENT:
            _fragment(core, datagram)
        else:
            _message(core, datagram)
    finally:
        core.trace.settle()


def _fragment(core: Core, datagram: Datagram) -> None:
    """A piece of a message: who has an SA, or an address that is configured, may leave some here."""
    header, remote = datagram.header, datagram.remote
    sa = _find(core, datagram)
    if sa is not None:
        core.trace.belongs(sa)
    core.trace.became("fragment")
    peer = sa.peer if sa is not None else core.roster.first(remote.host)
    if peer is None or peer.config.fragmentation == "off":
        reason = "fragment of a stranger" if peer is None else "fragmentation is off"
        core.drop(reason, header.name, len(datagram.data), remote)
        if peer is not None:
            peer.fragment_drops[reason] += 1
        return
    try:
        whole = core.fragments.add(header, datagram.data, remote, core.now)
    except Rejected as error:
        core.drop(error.reason, error.detail or header.name, len(datagram.data), remote)
        peer.fragment_drops[error.reason] += 1
        return
    if whole is None:
        due = core.now + MAX_AGE_S
        core.timers.set("fragments", due, "fragments expire", lambda: core.fragments.expire(core.now))
    else:
        datagram = Datagram(whole, Header.parse(whole), datagram.local, remote)
        core.trace.arrived(core.now, datagram.header, datagram.local, remote, "from fragments")
        _message(core, datagram)


def _message(core: Core, datagram: Datagram) -> None:
    sa = _find(core, datagram)
    if sa is None:
        strangers.receive(core, datagram)
        return
    core.trace.belongs(sa)
    if datagram.header.exchange in (Exchange.MAIN, Exchange.AGGRESSIVE):
        _phase1(core, sa, datagram)
    elif datagram.header.exchange == Exchange.QUICK:
        _quick(core, sa, datagram)
    elif datagram.header.exchange == Exchange.TRANSACTION:
        _transaction(core, sa, datagram)
    elif datagram.header.exchange == Exchange.INFORMATIONAL:
        _informational(core, sa, datagram)
    else:
        core.drop("unsupported exchange", datagram.header.name, len(datagram.data), datagram.remote)


def _no_header(core: Core, data: bytes, remote: Address, error: DecodeError) -> None:
    core.drop("no ISAKMP header", str(error), len(data), remote)
    peer = core.roster.first(remote.host)
    if peer and error.rule == "major version 2" and not core.quiet("ike.version", remote.host, peer):
        core.emit("ike.version", peer=peer, at=remote, version=2)


def _find(core: Core, datagram: Datagram) -> IsakmpSa | None:
    header = datagram.header
    sa = core.sas.get(header.initiator_cookie + header.responder_cookie)
    if sa is not None or header.responder_cookie == strangers.NO_COOKIE:
        return sa
    # The second message of an exchange of ours tells the responder's cookie. A refusal may come with one, too.
    return core.sas.get(header.initiator_cookie + strangers.NO_COOKIE)


# Main and aggressive mode


def _phase1(core: Core, sa: IsakmpSa, datagram: Datagram) -> None:
    header = datagram.header
    if datagram.remote.host != sa.remote.host:
        core.drop("foreign address", header.name, len(datagram.data), datagram.remote)
        return
    if datagram.data == sa.received:
        retransmit.answer_duplicate(core, sa, sa, header.name)
        return
    try:
        if header.exchange != sa.exchange:
            raise UnexpectedMessage(f"exchange {header.exchange} in an SA of exchange {sa.exchange}")
        row = phase1_row(sa.exchange, sa.role, sa.state)
    except UnexpectedMessage as error:
        core.drop("unexpected message", str(error), len(datagram.data), datagram.remote)
        return
    if row.encrypted not in (header.encrypted, None):
        core.drop("encryption flag", header.name, len(datagram.data), datagram.remote)
        return
    _phase1_step(core, sa, datagram, row)
    _take_early(core, sa)


def _phase1_step(core: Core, sa: IsakmpSa, datagram: Datagram, row: Row) -> None:
    """Run the handler; if it fails, the SA is as it was before."""
    before = (sa.iv, sa.local, sa.remote)
    step = row.handler.replace("_", " ")
    core.trace.is_step(step)
    state, status = sa.state, _STATUS[sa.state]
    try:
        payloads = _phase1_payloads(sa, datagram)
        core.trace.is_step(step, (payload.kind for payload in payloads.values))
        if sa.role is Role.RESPONDER or row.encrypted:
            sa.local, sa.remote = datagram.local, datagram.remote
        PHASE1_HANDLERS[row.handler](core, sa, datagram.header, payloads)
    except DecodeError as error:
        sa.iv, sa.local, sa.remote = before
        core.drop("malformed", str(error), len(datagram.data), datagram.remote)
        if isinstance(error, Unproven):
            return
        if not datagram.header.encrypted:
            phase1.malformed(core, sa, error, status)
        elif not sa.suspect_psk:
            informational.suspect_psk(core, sa, status, f"message {status} cannot be decrypted ({error})")
    except Fault as error:
        core.trace.became("refused", error.code)
        phase1.refuse(core, sa, error)
    else:
        if sa.state is state:
            sa.state = row.following if isinstance(row.following, Phase1) else sa.state
        if sa.state is not Phase1.DEAD:
            sa.received = datagram.data
            sa.resent = 0
        core.trace.raise_(sa)


def _phase1_payloads(sa: IsakmpSa, datagram: Datagram) -> Payloads:
    if not datagram.header.encrypted:
        return parse_payloads(datagram.header.next_payload, datagram.data[HEADER_LENGTH:])
    payloads, _, sa.iv = channel.open_(sa, datagram.header, datagram.data, sa.iv)
    return payloads


def _hold(core: Core, sa: IsakmpSa, datagram: Datagram) -> None:
    """Phase 1 is nearly finished, and the first message after it has overtaken its last one: keep one for a moment."""
    if sa.early is not None or sa.keys is None or not datagram.header.encrypted:
        core.drop("too early", datagram.header.name, len(datagram.data), datagram.remote)
        return
    sa.early = datagram
    core.trace.became("held", "it has overtaken the end of phase 1")
    core.timers.set(("early", sa.cookies), core.now + HOLD_S, "a held message", lambda: _drop_early(core, sa))


def _drop_early(core: Core, sa: IsakmpSa) -> None:
    if sa.early is not None:
        core.drop("too early", sa.early.header.name, len(sa.early.data), sa.early.remote)
        sa.early = None


def _take_early(core: Core, sa: IsakmpSa) -> None:
    early = sa.early
    if early is None or sa.state not in _AUTHENTICATED:
        return
    if sa.usable or early.header.exchange == Exchange.TRANSACTION:
        sa.early = None
        core.timers.cancel(("early", sa.cookies))
        core.trace.arrived(core.now, early.header, early.local, early.remote, "was held")
        _message(core, early)


# Transaction exchanges


def _transaction(core: Core, sa: IsakmpSa, datagram: Datagram) -> None:
    """Nothing of them is looked at before both ends have proven themselves in phase 1."""
    header = datagram.header
    if header.message_id and sa.state in _NEARLY_UP:
        _hold(core, sa, datagram)
    elif not header.encrypted or not header.message_id or sa.state not in _AUTHENTICATED:
        core.drop("transaction too early", header.name, len(datagram.data), datagram.remote)
    elif transaction.receive(core, sa, datagram):
        if sa.usable:
            authentic(core, sa, datagram)
        _take_early(core, sa)


# Quick mode


def _quick(core: Core, sa: IsakmpSa, datagram: Datagram) -> None:
    header = datagram.header
    if header.message_id and (sa.state in _NEARLY_UP or sa.state is Phase1.XAUTH):
        _hold(core, sa, datagram)
        return
    if not sa.usable or not header.encrypted or header.message_id == 0:
        core.drop("quick mode too early", header.name, len(datagram.data), datagram.remote)
        return
    exchange = sa.quick.get(header.message_id)
    if exchange is not None and datagram.data == exchange.received:
        retransmit.answer_duplicate(core, sa, exchange, "quick")
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
        core.drop("replayed message id", header.name, len(datagram.data), datagram.remote)
        return None
    unfinished = sum(exchange.state is not Quick.DONE for exchange in sa.quick.values())
    if unfinished >= MAX_QUICK or len(sa.used_ids) >= MAX_USED_IDS:
        core.drop("too many exchanges", header.name, len(datagram.data), datagram.remote)
        lifecycle.rekey(core, sa)
        return None
    _, proposal = channel.agreed(sa)
    iv = keys.exchange_iv(proposal.hash, sa.iv, header.message_id)
    return QuickExchange(header.message_id, Role.RESPONDER, Quick.START, _NO_SELECTOR, iv, core.spi(), core.now)


def _quick_step(core: Core, sa: IsakmpSa, exchange: QuickExchange, datagram: Datagram, row: Row) -> None:
    """Decrypt, verify, and only then change anything."""
    step = row.handler.replace("_", " ")
    core.trace.is_step(step)
    try:
        payloads, plain, iv = channel.open_(sa, datagram.header, datagram.data, exchange.iv)
    except DecodeError as error:
        core.drop("malformed", str(error), len(datagram.data), datagram.remote)
        return
    if row.handler != "quick_3" and not _verified(sa, exchange, payloads, plain, row):
        core.drop("bad hash", datagram.header.name, len(datagram.data), datagram.remote)
        return
    core.trace.is_step(step, (payload.kind for payload in payloads.values))
    before, exchange.iv = exchange.iv, iv
    exchange.commit |= bool(datagram.header.flags & Flag.COMMIT)
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
        core.trace.became("refused", error.code)
        quick_mode.fault(core, sa, exchange, error)
    else:
        exchange.state = row.following if isinstance(row.following, Quick) else exchange.state
        exchange.received = datagram.data
        exchange.resent = 0


def _verified(sa: IsakmpSa, exchange: QuickExchange, payloads: Payloads, plain: bytes, row: Row) -> bool:
    """Check HASH(1) or HASH(2). No document says which of the two a fourth message has."""
    nonces = {"quick_1": [b""], "quick_2": [exchange.nonce_i], "quick_4": [b"", exchange.nonce_i]}[row.handler]
    return any(quick_mode.verify(sa, exchange.message_id, payloads, plain, nonce) for nonce in nonces)


# Informational


def _informational(core: Core, sa: IsakmpSa, datagram: Datagram) -> None:
    header = datagram.header
    if header.encrypted:
        if sa.keys is None:
            core.drop("no keys yet", header.name, len(datagram.data), datagram.remote)
        elif informational.receive_encrypted(core, sa, header, datagram.data) and sa.state is Phase1.ESTABLISHED:
            authentic(core, sa, datagram)
        return
    if datagram.remote.host != sa.remote.host:
        core.drop("foreign address", header.name, len(datagram.data), datagram.remote)
        return
    try:
        payloads = parse_payloads(header.next_payload, datagram.data[HEADER_LENGTH:])
    except DecodeError as error:
        core.drop("malformed", str(error), len(datagram.data), datagram.remote)
        return
    informational.receive_clear(core, sa, header, payloads)


def authentic(core: Core, sa: IsakmpSa, datagram: Datagram) -> None:
    """A message has proven that it comes from the peer: it lives, has our last message, and may have moved."""
    sa.unconfirmed = False
    dpd.heard(core, sa, core.now)
    lifecycle.count_octets(core, sa, len(datagram.data))
    if datagram.remote != sa.remote and sa.nat.encapsulate:
        core.emit("ike.natt.moved", sa=sa, side=Side.NONE, old=sa.remote, new=datagram.remote)
        sa.local, sa.remote = datagram.local, datagram.remote
        for pair in sa.peer.pairs:
            pairs.move(core, pair, sa.remote)
