"""Events: numbered records of what happened, with a stable code, fields and a text."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Side(StrEnum):
    """Where the fault lies: which side has something to mend."""

    LOCAL = "local"
    PEER = "peer"
    PATH = "path"
    UNKNOWN = "unknown"
    NONE = "none"


class Severity(StrEnum):
    """Severities in the order of RFC 5424 section 6.2.1, as far as they are used."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"
    INFO = "info"
    DEBUG = "debug"


class Cell(BaseModel):
    """One attribute of two proposals; an empty string is an absent attribute."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attribute: str
    ours: str
    theirs: str
    equal: bool


class Difference(BaseModel):
    """What this side accepts or offers against what the peer does: proposals, or the two ends of a tunnel.

    ``ours`` and ``theirs`` list them in words, the preferred ones first; ``nearest`` lays the two that
    differ least beside each other, and is empty if a side has none. ``offers`` does so with each of the first of
    ``theirs``, in their order, beside what is nearest to it here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    nearest: tuple[Cell, ...] = ()
    offers: tuple[tuple[Cell, ...], ...] = ()


class EventBody(BaseModel):
    """What the protocol core knows of an event.

    ``text`` is the classical line, ``hint`` a sentence that says what to change,
    ``evidence`` maps names to what was offered, accepted or observed; ``difference`` has proposals
    that do not fit, cell by cell. Addresses are
    ``ip[port]``; ``cookies`` is ``16 hex:16 hex``; SPIs are eight hex digits.
    ``negotiation`` joins the events of one phase 1 and its phase 2 exchanges.
    No field ever carries a secret.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    severity: Severity
    phase: Literal[0, 1, 2] = 0
    text: str
    peer_id: str | None = None
    peer: str | None = None
    local: str | None = None
    remote: str | None = None
    cookies: str | None = None
    spi_in: str | None = None
    spi_out: str | None = None
    selector_local: str | None = None
    selector_remote: str | None = None
    side: Side = Side.NONE
    hint: str | None = None
    evidence: dict[str, str] = Field(default_factory=dict)
    difference: Difference | None = None
    negotiation: str | None = None


class Event(EventBody):
    """An event as it stands in the journal.

    ``number`` grows by one over the whole journal, ``boot`` changes with each start of
    the engine, ``time`` is seconds since 1970 in UTC.
    """

    number: int
    boot: str
    time: float
