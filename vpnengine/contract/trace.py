"""What a negotiation said: its messages, and the decisions about them, one line each."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Outcome = Literal["under way", "established", "failed", "given up"]
Fate = Literal["sent", "resent", "received", "repeated", "held", "fragment", "dropped", "refused", "event"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TraceLine(_Model):
    """One message, or one decision.

    ``at`` is in seconds since the negotiation began, ``size`` in octets of the whole ISAKMP message. ``step`` is the
    message's place in its exchange, such as ``main 3``; of an event it is the code. ``tries`` counts how often the
    message had been sent before; ``natt`` is True on the NAT-T port (RFC 3947). ``detail`` is why a message was
    dropped or refused, or the text of an event. Of encrypted messages the payloads' kinds are known, never their
    contents.
    """

    at: float
    fate: Fate
    step: str
    message_id: str = ""
    payloads: tuple[str, ...] = ()
    size: int = 0
    tries: int = 0
    local: str = ""
    remote: str = ""
    natt: bool = False
    detail: str = ""


class NegotiationTrace(_Model):
    """One ISAKMP SA and all exchanges under it.

    ``negotiation`` is the initiator cookie, as events have it; ``began`` is in seconds since 1970. ``stopped_after`` is
    the last message of phase 1 that made it go on, ``code`` the last warning or error, ``hint`` what to change here.
    ``left_out`` counts lines that there was no room for.
    """

    negotiation: str
    cookies: str
    peer_id: str
    role: Literal["initiator", "responder"]
    exchange: str
    began: float
    outcome: Outcome
    stopped_after: str
    code: str | None
    hint: str | None
    left_out: int
    lines: tuple[TraceLine, ...]
