"""The catalogue of event codes: text, severity, cause and what to do.

Texts follow the lines that administrators, SIEM parsers and runbooks know from
racoon; ``title``, ``cause``, ``here`` and ``there`` are the explanation. Each code is
listed once; a test compares the list with what the engine emits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vpnengine.contract.events import Severity, Side


@dataclass(frozen=True)
class Entry:
    """One event code.

    ``text`` is a ``str.format`` template over the event's arguments. ``here`` says what
    to change on this side, ``there`` what to ask of the other side.
    """

    code: str
    severity: Severity
    phase: int
    text: str
    title: str
    cause: str = ""
    here: str = ""
    there: str = ""
    side: Side = field(default=Side.NONE)


CATALOGUE: dict[str, Entry] = {}


def _add(*entries: Entry) -> None:
    for entry in entries:
        if entry.code in CATALOGUE:
            raise ValueError(f"event code {entry.code} is listed twice")
        CATALOGUE[entry.code] = entry


def register(*entries: Entry) -> None:
    """Add entries at import time; a code listed twice is a programming error."""
    _add(*entries)
