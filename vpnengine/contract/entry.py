"""One row of the event catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from vpnengine.contract.events import Severity, Side


@dataclass(frozen=True)
class Entry:
    """One event code.

    ``text`` is a ``str.format`` template over the event's arguments. ``here`` says what
    to change on this side, ``there`` what to ask of the other side. An ``advisory`` warns of
    something that works: it is not kept as the peer's last failure.
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
