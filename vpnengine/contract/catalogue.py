"""The catalogue of event codes: text, severity, cause and what to do.

Texts follow the lines that administrators, SIEM parsers and runbooks know; ``title``,
``cause``, ``here`` and ``there`` are the explanation. Each code is listed once.
"""

from __future__ import annotations

from vpnengine.contract.codes import certificate, engine, phase1, phase2, remote_access
from vpnengine.contract.entry import Entry

__all__ = ["CATALOGUE", "Entry", "register"]

CATALOGUE: dict[str, Entry] = {}


def register(*entries: Entry) -> None:
    """Add entries at import time; a code listed twice is a programming error."""
    for entry in entries:
        if entry.code in CATALOGUE:
            raise ValueError(f"event code {entry.code} is listed twice")
        CATALOGUE[entry.code] = entry


register(*certificate.ENTRIES, *phase1.ENTRIES, *phase2.ENTRIES, *engine.ENTRIES, *remote_access.ENTRIES)
