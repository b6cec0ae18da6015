"""The rows of an export: CSV that no spreadsheet takes for formulas, JSON, and JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

COLUMNS = ("seq", "time", "severity", "code", "phase", "peer", "text", "side", "hint", "local", "remote", "cookies")
COLUMNS += ("spi_in", "spi_out", "selector_local", "selector_remote", "negotiation", "appliance", "peer_id", "boot")
COLUMNS += ("number", "evidence")
# What makes a spreadsheet calculate: OWASP, CSV Injection. Full-width forms count, because some normalize them.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
NAMES = {
    "csv": "text/csv; charset=utf-8; header=present",
    "json": "application/json",
    "jsonl": "application/x-ndjson",
}


def neutral(value: Any) -> str:
    """A cell: what could be a formula is marked as text with an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


class Writer:
    """Turns rows, JSON texts of events, into pieces of a file. ``end`` makes it whole."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.count = 0

    def begin(self) -> bytes:
        """What stands before the first row."""
        if self.kind == "csv":
            # The mark tells spreadsheets that it is UTF-8.
            return b"\xef\xbb\xbf" + self._lines([COLUMNS])
        return b'{"events":[' if self.kind == "json" else b""

    def rows(self, bodies: Iterable[str]) -> bytes:
        """Some rows."""
        bodies = list(bodies)
        begun = self.count > 0
        self.count += len(bodies)
        if not bodies:
            return b""
        if self.kind == "csv":
            return self._lines([neutral(value) for value in _cells(json.loads(body))] for body in bodies)
        if self.kind == "json":
            return (("," if begun else "") + ",\n".join(bodies)).encode()
        return ("\n".join(bodies) + "\n").encode()

    def end(self) -> bytes:
        """What stands after the last row; a JSON document says how many there were."""
        return f'],"count":{self.count}}}\n'.encode() if self.kind == "json" else b""

    @staticmethod
    def _lines(rows: Iterable[Iterable[str]]) -> bytes:
        file = io.StringIO()
        csv.writer(file).writerows(rows)
        return file.getvalue().encode()


def _cells(event: dict[str, Any]) -> list[Any]:
    return [_when(event["time"]) if name == "time" else event.get(name) for name in COLUMNS]


def _when(time: float) -> str:
    try:
        return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return str(time)


def gap(first: int, last: int, time: float) -> str:
    """A row that says what retention cut off while the export was under way."""
    text = f"events {first} to {last} are no longer kept"
    row = {
        "seq": last,
        "time": time,
        "severity": "warning",
        "code": "log.gap",
        "phase": 0,
        "text": text,
        "side": "local",
    }
    return json.dumps(row, separators=(",", ":"))
