"""The whole filtered Event Log as a file: ``/live/export``, and how far it is: ``/live/export/progress``.

A file is made of short questions by number, oldest row first, so that ten million rows need no more memory than a few
hundred, and a client that reads slowly holds nothing but its connection. The file ends at the newest event of the
moment at which it was asked for. One that could not be finished is broken off, so that nobody takes it for whole.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from appliance import streams
from appliance.streams import Refused, ask
from dashboard.accounts.access import Access
from dashboard.eventlog import export, filters
from dashboard.eventlog import selectors as eventlog
from dashboard.eventlog.filters import LogFilter

PATHS = ("/live/export", "/live/export/progress", "/live/export/stop")
ROWS = 1_000
BUDGET_S = 0.25
# Files that one organization can be given at once, and of how many it is remembered how far they came.
AT_ONCE = 8
REMEMBERED = 200
PROGRESS_S = 0.4
PATIENCE_S = 15.0
# Exports leave room for pages.
_turn = asyncio.Semaphore(2)


class Unwanted(Exception):
    """Whoever asked for the file has thought better of it."""


@dataclass
class Progress:
    """How far a file is; ``state`` is running, done or broken. A running one ends when it is ``unwanted``."""

    organization_id: int
    rows: int = 0
    octets: int = 0
    part: float = 0.0
    state: str = "running"
    unwanted: bool = False
    began: float = field(default_factory=time.monotonic)

    def said(self) -> dict[str, Any]:
        """For the page."""
        return {
            "rows": self.rows,
            "octets": self.octets,
            "percent": round(100 * self.part, 1),
            "state": self.state,
            "seconds": round(time.monotonic() - self.began, 1),
        }


_known: OrderedDict[tuple[int, str], Progress] = OrderedDict()


async def application(
    path: str, access: Access, query: dict[str, list[str]], key: str, receive: Any, send: Any
) -> None:
    """Serve a file, or how far it is."""
    organization = access.organization
    ident = _ident(query, path != "/live/export")
    if path.endswith("/stop"):
        # Only whoever began it knows the name, so no other site can have it stopped.
        if (organization.pk, ident) in _known:
            _known[organization.pk, ident].unwanted = True
        await streams.answer(send, 204, "application/json", b"")
        return
    if path.endswith("/progress"):
        stream = _progress(organization.pk, ident)
        await streams.serve(stream, {"content-type": "text/event-stream"}, key, receive, send)
        return
    kind = _kind(query)
    wanted = filters.parse(query)
    running = [p for p in _known.values() if p.organization_id == organization.pk and p.state == "running"]
    if len(running) >= AT_ONCE:
        raise Refused(429, f"{AT_ONCE} exports are under way already; wait until one of them has ended.")
    progress = Progress(organization.pk)
    ident = ident or f"unnamed-{time.monotonic_ns()}"
    if (organization.pk, ident) in _known:
        raise Refused(400, "Another export has this name.", "id")
    _known[organization.pk, ident] = progress
    _forget()
    try:
        stream = _file(access, wanted, kind, progress)
        name = f"culvert-events-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{kind}"
        head = {"content-type": export.NAMES[kind], "content-disposition": f'attachment; filename="{name}"'}
        await streams.serve(stream, head, key, receive, send, whole=True)
    finally:
        if progress.state == "running":
            progress.state = "broken"


def _forget() -> None:
    for name in [name for name, progress in _known.items() if progress.state != "running"]:
        if len(_known) <= REMEMBERED:
            return
        del _known[name]


def _ident(query: dict[str, list[str]], is_needed: bool) -> str:
    ident = query.get("id", [""])[0]
    if (ident or is_needed) and not re.fullmatch("[A-Za-z0-9-]{8,40}", ident):
        raise Refused(400, "An export is named by 8 to 40 letters, digits and dashes.", "id")
    return ident


def _kind(query: dict[str, list[str]]) -> str:
    kind = query.get("format", ["csv"])[0]
    if kind not in export.NAMES:
        raise Refused(400, f"The format is one of: {', '.join(export.NAMES)}.", "format")
    return kind


async def _file(access: Access, wanted: LogFilter, kind: str, progress: Progress) -> AsyncIterator[bytes]:
    writer = export.Writer(kind)
    organization_id = access.organization.pk
    visible = await ask(lambda: access.appliance_ids)
    first, last = await ask(eventlog.bounds, organization_id)
    at, lowest = first - 1, first
    yield writer.begin()
    while at < last:
        if progress.unwanted:
            raise Unwanted
        async with _turn:
            page, (first, _) = await ask(_read, organization_id, wanted, at, last, visible)
        rows = page.rows
        if first > at + 1:
            # Retention was at work meanwhile: what may be there in part is not given at all.
            cut = min(first - 1, last)
            rows = [export.gap(at + 1, cut, time.time()), *(row for row in rows if json.loads(row)["seq"] > cut)]
        chunk = writer.rows(rows)
        at = max(page.reached, at + 1, min(first - 1, last))
        progress.rows, progress.part = writer.count, (at - lowest + 1) / (last - lowest + 1)
        progress.octets += len(chunk)
        if chunk:
            yield chunk
    yield writer.end()
    progress.part, progress.state = 1.0, "done"


def _read(
    organization_id: int, wanted: LogFilter, above: int, last: int, visible: set[int] | None
) -> tuple[Any, tuple[int, int]]:
    """A page, and the bounds after it was read: what retention cut before that is known to be missing."""
    page = eventlog.newer(organization_id, wanted, above, visible, limit=ROWS, budget=BUDGET_S, up_to=last)
    return page, eventlog.bounds(organization_id)


async def _progress(organization_id: int, ident: str) -> AsyncIterator[bytes]:
    """Until the file has ended; a file that nobody has begun is waited for, but not for ever."""
    patience = time.monotonic() + PATIENCE_S
    while True:
        progress = _known.get((organization_id, ident))
        said = progress.said() if progress else {"state": "waiting"}
        if progress is None and time.monotonic() > patience:
            said = {"state": "unknown"}
        yield f"event: progress\ndata: {json.dumps(said)}\n\n".encode()
        if said["state"] in ("done", "broken", "unknown"):
            return
        await asyncio.sleep(PROGRESS_S)
