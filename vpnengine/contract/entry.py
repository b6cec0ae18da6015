"""One row of the event catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vpnengine.contract.events import Severity, Side


class Confidence(StrEnum):
    """How sure it is that ``cause`` and ``side`` of an entry are right.

    ``certain``: this end has seen it itself. ``probable``: what was seen has one usual cause, but others too, or it
    was told by a message that proves nothing. ``possible``: several causes look the same from here.
    """

    CERTAIN = "certain"
    PROBABLE = "probable"
    POSSIBLE = "possible"


@dataclass(frozen=True)
class Entry:
    """One event code.

    ``text`` is a ``str.format`` template over the event's arguments. ``here`` says what
    to change on this side, ``there`` what to ask of the other side. An ``advisory`` warns of
    something that works: it is not kept as the peer's last failure. Every warning and error has a
    ``confidence``.
    """

    code: str
    severity: Severity
    phase: int
    text: str
    title: str
    cause: str = ""
    here: str = ""
    there: str = ""
    side: Side = Side.NONE
    advisory: bool = False
    confidence: Confidence | None = None
