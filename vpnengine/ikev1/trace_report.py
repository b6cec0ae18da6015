"""A negotiation of the trace in the words of the contract."""

from __future__ import annotations

from vpnengine.contract.trace import NegotiationTrace, Outcome, TraceLine
from vpnengine.ikev1.states import Role
from vpnengine.ikev1.trace import Negotiation, TraceRecord, kind_name, last_step
from vpnengine.isakmp.constants import exchange_name


def report(negotiation: Negotiation, wall: float, natt_port: int) -> NegotiationTrace:
    """What was said in it. ``wall`` is the wall clock at monotonic time 0, in seconds since 1970."""
    cookies = f"{negotiation.initiator_cookie.hex()}:{negotiation.responder_cookie.hex()}"
    return NegotiationTrace(
        negotiation=negotiation.initiator_cookie.hex(),
        cookies=cookies,
        peer_id=negotiation.peer_id,
        role="initiator" if negotiation.role is Role.INITIATOR else "responder",
        exchange=exchange_name(negotiation.exchange),
        began=round(wall + negotiation.began, 6),
        outcome=_outcome(negotiation),
        stopped_after=last_step(negotiation),
        code=negotiation.code,
        hint=negotiation.hint,
        left_out=negotiation.left_out,
        lines=tuple(_line(record, negotiation.began, natt_port) for record in negotiation.records()),
    )


def _outcome(negotiation: Negotiation) -> Outcome:
    if negotiation.established:
        return "established"
    if negotiation.failed or (negotiation.ended and negotiation.code):
        return "failed"
    return "given up" if negotiation.ended else "under way"


def _line(record: TraceRecord, began: float, natt_port: int) -> TraceLine:
    at = round(record.at - began, 6)
    if record.what == "event":
        return TraceLine(at=at, fate="event", step=record.message, detail=record.detail)
    return TraceLine(
        at=at,
        fate=record.what,  # type: ignore[arg-type]
        step=record.message,
        message_id=f"{record.message_id:08x}",
        payloads=tuple(map(kind_name, record.kinds)),
        size=record.size,
        tries=record.tries,
        local=str(record.local),
        remote=str(record.remote),
        natt=record.local.port == natt_port,
        detail=record.detail,
    )
