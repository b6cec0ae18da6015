"""Transaction exchanges (draft-ietf-ipsec-isakmp-mode-cfg-05 section 3): request and reply, set and ack.

What they are about is the business of ``xauth`` and ``mode_config``.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence

from vpnengine.ikev1 import channel, keys, mode_config, retransmit, xauth
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.model import Answer, Datagram, IsakmpSa, Transaction
from vpnengine.ikev1.states import Phase1, Role, Step, UnexpectedMessage, transaction_row
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.configuration import ConfigType, Configuration, Item
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import Payloads, build_payloads, kinds_of
from vpnengine.isakmp.payloads import Hash

MAX_TRANSACTIONS = 16
_SENT = {ConfigType.REQUEST: Step.REQUEST_SENT, ConfigType.SET: Step.SET_SENT}


def begin(
    core: Core,
    sa: IsakmpSa,
    kind: ConfigType,
    items: Sequence[Item],
    answered: Callable[[Configuration], None],
    failed: Callable[[], None],
) -> None:
    """Send a request or a set, and repeat it until ``answered`` or ``failed`` is called."""
    _, proposal = channel.agreed(sa)
    number = core.message_id(sa)
    iv = keys.exchange_iv(proposal.hash, sa.iv, number)
    exchange = Transaction(number, Role.INITIATOR, _SENT[kind], iv)
    exchange.answered = answered
    sa.transactions[number] = exchange
    message = Configuration(kind, int.from_bytes(core.rng(2), "big"), tuple(items))
    _send(core, sa, exchange, message, f"configuration {kind.name.lower()}")

    def give_up() -> None:
        sa.transactions.pop(number, None)
        failed()

    retransmit.start(core, (sa.cookies, number), sa.peer.config.retransmit, exchange, give_up, sa)


def _send(core: Core, sa: IsakmpSa, exchange: Transaction, message: Configuration, what: str) -> None:
    phase1, proposal = channel.agreed(sa)
    first, rest = build_payloads([message])
    digest = keys.message_hash(proposal.hash, phase1, exchange.message_id, rest)
    head = bytes([first, 0]) + (len(digest) + 4).to_bytes(2, "big") + digest
    datagram, exchange.iv = channel.seal(
        sa, c.Exchange.TRANSACTION, exchange.message_id, c.PayloadType.HASH, head + rest, exchange.iv
    )
    exchange.reply = core.send(sa, datagram, what, (c.PayloadType.HASH, c.PayloadType.ATTRIBUTES))


def receive(core: Core, sa: IsakmpSa, datagram: Datagram) -> bool:
    """A transaction message after phase 1. Returns True if it was authentic."""
    header = datagram.header
    exchange = sa.transactions.get(header.message_id)
    if exchange is not None and datagram.data == exchange.received:
        retransmit.answer_duplicate(core, sa, exchange, "configuration")
        return False
    if exchange is None:
        exchange = _new(core, sa, datagram)
        if exchange is None:
            return False
    try:
        payloads, plain, iv = channel.open_(sa, header, datagram.data, exchange.iv)
        if not _authentic(sa, header.message_id, payloads, plain):
            core.drop("bad hash", header.name, len(datagram.data), datagram.remote)
            return False
        message = payloads.only(Configuration, "ATTRIBUTES")
        row = transaction_row(exchange.role, exchange.state, message.type)
        core.trace.is_step(f"configuration {ConfigType(message.type).name.lower()}", kinds_of(payloads.values))
    except (DecodeError, UnexpectedMessage) as error:
        core.drop("malformed", str(error), len(datagram.data), datagram.remote)
        return False
    exchange.iv, exchange.received, exchange.resent, exchange.state = iv, datagram.data, 0, row.following
    sa.used_ids.add(header.message_id)
    sa.transactions[header.message_id] = exchange
    sa.unconfirmed = False
    if exchange.role is Role.INITIATOR:
        _finish(core, sa, exchange, message)
    else:
        _answer(core, sa, exchange, message)
    return True


def _new(core: Core, sa: IsakmpSa, datagram: Datagram) -> Transaction | None:
    header = datagram.header
    if header.message_id in sa.used_ids:
        core.drop("replayed message id", header.name, len(datagram.data), datagram.remote)
        return None
    if len(sa.transactions) >= MAX_TRANSACTIONS:
        done = next((number for number, one in sa.transactions.items() if one.state is Step.DONE), None)
        if done is None:
            core.drop("too many exchanges", header.name, len(datagram.data), datagram.remote)
            return None
        del sa.transactions[done]
    _, proposal = channel.agreed(sa)
    iv = keys.exchange_iv(proposal.hash, sa.iv, header.message_id)
    return Transaction(header.message_id, Role.RESPONDER, Step.START, iv)


def _authentic(sa: IsakmpSa, message_id: int, payloads: Payloads, plain: bytes) -> bool:
    if not payloads.values or not isinstance(payloads.values[0], Hash):
        return False
    phase1, proposal = channel.agreed(sa)
    rest = plain[payloads.ends[0] : payloads.ends[-1]]
    return hmac.compare_digest(payloads.values[0].data, keys.message_hash(proposal.hash, phase1, message_id, rest))


def _finish(core: Core, sa: IsakmpSa, exchange: Transaction, message: Configuration) -> None:
    retransmit.cancel(core, (sa.cookies, exchange.message_id))
    exchange.reply = None
    if exchange.answered is not None:
        exchange.answered(message)


def _answer(core: Core, sa: IsakmpSa, exchange: Transaction, message: Configuration) -> None:
    if not message.is_xauth:
        xauth.implied(core, sa)
    subject = xauth if message.is_xauth else mode_config
    asked = message.type == ConfigType.REQUEST
    answer: Answer | None = subject.asked(core, sa, message) if asked else subject.told(core, sa, message)
    if answer is None:
        core.counters["dropped: unexpected configuration"] += 1
        return
    kind = ConfigType.REPLY if asked else ConfigType.ACK
    reply = Configuration(kind, message.identifier, tuple(answer.items))
    _send(core, sa, exchange, reply, f"configuration {kind.name.lower()}")
    if answer.then is not None and sa.state is not Phase1.DEAD:
        answer.then()
