"""The state tables: what may arrive in which state, what handles it, and where it leads.

Each row cites the section that defines it. A message that has no row for its state is
an error with a name (``UnexpectedMessage``), is counted, and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vpnengine.isakmp.configuration import ConfigType
from vpnengine.isakmp.constants import Exchange


class Role(StrEnum):
    """Who sent the first message of an exchange."""

    INITIATOR = "initiator"
    RESPONDER = "responder"


class Phase1(StrEnum):
    """States of an ISAKMP SA in main (MM) or aggressive mode (AM); the name says which message was sent last."""

    MM1_SENT = "MM1-sent"
    MM2_SENT = "MM2-sent"
    MM3_SENT = "MM3-sent"
    MM4_SENT = "MM4-sent"
    MM5_SENT = "MM5-sent"
    AM1_SENT = "AM1-sent"
    AM2_SENT = "AM2-sent"
    XAUTH = "xauth"
    ESTABLISHED = "established"
    DEAD = "dead"


class Quick(StrEnum):
    """States of a quick mode; the name says which message was sent last."""

    START = "start"
    QM1_SENT = "QM1-sent"
    QM2_SENT = "QM2-sent"
    DONE = "done"


class Step(StrEnum):
    """States of a transaction exchange."""

    START = "start"
    REQUEST_SENT = "request-sent"
    SET_SENT = "set-sent"
    DONE = "done"


@dataclass(frozen=True)
class Row:
    """One transition: ``handler`` deals with the message, ``following`` is the state after it succeeds.

    ``encrypted`` None means that the sender may choose.
    """

    handler: str
    following: Phase1 | Quick
    encrypted: bool | None
    source: str


@dataclass(frozen=True)
class TransactionRow:
    """One transition of a transaction exchange; its messages are always encrypted."""

    following: Step
    source: str


class UnexpectedMessage(LookupError):
    """No row lists this message in this state."""


_I, _R = Role.INITIATOR, Role.RESPONDER

MAIN_MODE: dict[tuple[Role, Phase1], Row] = {
    (_I, Phase1.MM1_SENT): Row("main_2", Phase1.MM3_SENT, False, "RFC 2409 section 5, HDR, SA"),
    (_R, Phase1.MM2_SENT): Row("main_3", Phase1.MM4_SENT, False, "RFC 2409 section 5.4, HDR, KE, Ni"),
    (_I, Phase1.MM3_SENT): Row("main_4", Phase1.MM5_SENT, False, "RFC 2409 section 5.4, HDR, KE, Nr"),
    (_R, Phase1.MM4_SENT): Row("main_5", Phase1.ESTABLISHED, True, "RFC 2409 section 5.4, HDR*, IDii, HASH_I"),
    (_I, Phase1.MM5_SENT): Row("main_6", Phase1.ESTABLISHED, True, "RFC 2409 section 5.4, HDR*, IDir, HASH_R"),
}

AGGRESSIVE_MODE: dict[tuple[Role, Phase1], Row] = {
    (_I, Phase1.AM1_SENT): Row(
        "aggressive_2", Phase1.ESTABLISHED, False, "RFC 2409 section 5.4, HDR, SA, KE, Nr, IDir, HASH_R"
    ),
    # Message 3 may be encrypted or not, at the sender's choice (RFC 2409 section 5.1).
    (_R, Phase1.AM2_SENT): Row("aggressive_3", Phase1.ESTABLISHED, None, "RFC 2409 section 5.4, HDR, HASH_I"),
}

PHASE1: dict[int, dict[tuple[Role, Phase1], Row]] = {
    Exchange.MAIN: MAIN_MODE,
    Exchange.AGGRESSIVE: AGGRESSIVE_MODE,
}

QUICK_MODE: dict[tuple[Role, Quick], Row] = {
    (_R, Quick.START): Row("quick_1", Quick.QM2_SENT, True, "RFC 2409 section 5.5, HDR*, HASH(1), SA, Ni"),
    (_I, Quick.QM1_SENT): Row("quick_2", Quick.DONE, True, "RFC 2409 section 5.5, HDR*, HASH(2), SA, Nr"),
    (_I, Quick.DONE): Row("quick_4", Quick.DONE, True, "RFC 2409 section 5.5 with RFC 2408 section 3.1, N/CONNECTED"),
    (_R, Quick.QM2_SENT): Row("quick_3", Quick.DONE, True, "RFC 2409 section 5.5, HDR*, HASH(3)"),
}


_MODE_CFG = "draft-ietf-ipsec-isakmp-mode-cfg-05 section 3.4"
TRANSACTION: dict[tuple[Role, Step, int], TransactionRow] = {
    (_I, Step.REQUEST_SENT, ConfigType.REPLY): TransactionRow(Step.DONE, f"{_MODE_CFG}, request/reply"),
    (_I, Step.SET_SENT, ConfigType.ACK): TransactionRow(Step.DONE, f"{_MODE_CFG}, set/ack"),
    (_R, Step.START, ConfigType.REQUEST): TransactionRow(Step.DONE, f"{_MODE_CFG}, request/reply"),
    (_R, Step.START, ConfigType.SET): TransactionRow(Step.DONE, f"{_MODE_CFG}, set/ack"),
    # XAUTH may go on under one message id (draft-ietf-ipsec-isakmp-xauth-06 section 3).
    (_R, Step.DONE, ConfigType.REQUEST): TransactionRow(Step.DONE, "draft-ietf-ipsec-isakmp-xauth-06 section 3"),
    (_R, Step.DONE, ConfigType.SET): TransactionRow(Step.DONE, "draft-ietf-ipsec-isakmp-xauth-06 section 3"),
}


def transaction_row(role: Role, state: Step, kind: int) -> TransactionRow:
    """The row for a message of a transaction exchange.

    :raises UnexpectedMessage: if none is expected in this state.
    """
    row = TRANSACTION.get((role, state, kind))
    if row is None:
        raise UnexpectedMessage(f"configuration message {kind} in state {state} as {role}")
    return row


def phase1_row(exchange: int, role: Role, state: Phase1) -> Row:
    """The row for a message of main or aggressive mode.

    :raises UnexpectedMessage: if none is expected in this state.
    """
    row = PHASE1.get(exchange, {}).get((role, state))
    if row is None:
        raise UnexpectedMessage(f"phase 1 message of exchange {exchange} in state {state} as {role}")
    return row


def quick_mode_row(role: Role, state: Quick) -> Row:
    """The row for a quick mode message.

    :raises UnexpectedMessage: if none is expected in this state.
    """
    row = QUICK_MODE.get((role, state))
    if row is None:
        raise UnexpectedMessage(f"quick mode message in state {state} as {role}")
    return row
