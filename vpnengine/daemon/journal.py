"""The numbered event journal on disk.

Events are JSON lines in segment files that are named after their first number. Numbers go on
over restarts; a line that a crash has torn is cut off. What ``append`` returned is written;
what ``synced`` covers has also reached the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from vpnengine.contract.events import Event, EventBody

SEGMENT_BYTES = 1 << 20
TOTAL_BYTES = 256 << 20
SYNC_PAUSE_S = 0.01
MAX_UNWRITTEN = 4_096
RETRY_S = 1.0
MAX_FULL = 16
_SUFFIX = ".jsonl"


class Journal:
    """One directory of segments, written by one process."""

    def __init__(self, directory: Path, segment_bytes: int = SEGMENT_BYTES, total_bytes: int = TOTAL_BYTES) -> None:
        """:raises OSError: if the directory cannot be made or read."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self.boot = uuid.uuid4().hex
        self.id = self._identify()
        self.write_errors = 0
        self._segment_bytes, self._total_bytes = segment_bytes, total_bytes
        self._unwritten: list[tuple[int, bytes]] = []
        self._gap = False
        self._retry_at = 0.0
        self._fd = -1
        self._full: list[int] = []  # segments that are not synced to their end yet
        self._new_file = False
        self._size = 0
        self.last = self._recover()
        self.synced = self.last
        self._wakeup = asyncio.Event()
        self._advanced = asyncio.Event()

    def _identify(self) -> str:
        path = self.directory / "id"
        with contextlib.suppress(FileNotFoundError):
            if found := path.read_text().strip():
                return found
        made = uuid.uuid4().hex
        with path.open("w") as file:
            file.write(made)
            file.flush()
            os.fsync(file.fileno())
        return made

    def _segments(self) -> list[tuple[int, Path]]:
        found = [(int(p.stem), p) for p in self.directory.glob(f"*{_SUFFIX}") if p.stem.isdigit()]
        return sorted(found)

    def _recover(self) -> int:
        """The last whole number; what follows it in the file is cut off."""
        segments = self._segments()
        if not segments:
            return 0
        first, path = segments[-1]
        data = path.read_bytes()
        end, last = 0, first - 1
        for line in data.splitlines(keepends=True):
            try:
                number = Event.model_validate_json(line).number
            except ValidationError:
                break
            if not line.endswith(b"\n") or number != last + 1:
                break
            end, last = end + len(line), number
        if end < len(data):
            os.truncate(path, end)
        self._open(path)
        return last

    def _open(self, path: Path) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Only now: a number that is closed twice may be another file's the second time.
        if self._fd >= 0:
            self._full.append(self._fd)
        if len(self._full) > MAX_FULL:
            _sync_and_close([self._full.pop(0)])
        self._fd, self._new_file = fd, True
        self._size = os.fstat(self._fd).st_size

    @property
    def first(self) -> int:
        """The oldest number that is still there; one more than ``last`` if there is none."""
        segments = self._segments()
        return segments[0][0] if segments and self.last >= segments[0][0] else self.last + 1

    def append(self, bodies: Sequence[EventBody]) -> list[Event]:
        """Number and write events.

        A disk that refuses does not stop the VPN: the events wait in memory, bounded, and are
        written with the next ones.
        """
        now = time.time()
        events = []
        for body in bodies:
            self.last += 1
            # The body is validated already; its fields are only numbered here.
            events.append(Event.model_construct(number=self.last, boot=self.boot, time=now, **body.__dict__))
        self._unwritten += [(event.number, event.model_dump_json().encode() + b"\n") for event in events]
        if time.monotonic() >= self._retry_at:
            self._write()
        if len(self._unwritten) > MAX_UNWRITTEN:
            del self._unwritten[:-MAX_UNWRITTEN]
            self._gap = True
        return events

    def _write(self) -> None:
        if not self._unwritten:
            return
        lines = b"".join(line for _, line in self._unwritten)
        try:
            # Numbers in a segment have no gaps: what follows lost events begins another one.
            if self._fd < 0 or self._size >= self._segment_bytes or self._gap:
                self._open(self.directory / f"{self._unwritten[0][0]:020d}{_SUFFIX}")
                self._gap = False
                self._trim()
            self._write_all(lines)
        except OSError:
            self.write_errors += 1
            self._retry_at = time.monotonic() + RETRY_S
            return
        self._unwritten.clear()
        self._wakeup.set()

    def _write_all(self, data: bytes) -> None:
        """Write everything or nothing: half a line would hide what follows."""
        view = memoryview(data)
        done = 0
        try:
            while done < len(data):
                done += os.write(self._fd, view[done:])
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += done

    def _trim(self) -> None:
        segments = self._segments()
        total = sum(path.stat().st_size for _, path in segments)
        for _, path in segments[:-1]:
            if total <= self._total_bytes:
                return
            total -= path.stat().st_size
            path.unlink()

    async def sync_forever(self) -> None:
        """Bring to the disk what has been written, many events at a time."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wakeup.wait()
            self._wakeup.clear()
            reached = self.last - len(self._unwritten)
            await loop.run_in_executor(None, self._hand_out())
            self.synced = max(self.synced, reached)
            self._advanced.set()
            self._advanced = asyncio.Event()
            # A negotiation makes two dozen events within milliseconds: they share a few syncs.
            await asyncio.sleep(SYNC_PAUSE_S)

    def _hand_out(self) -> Callable[[], None]:
        """What brings all that is written to the disk; it may run on another thread, and later than ``close``."""
        full, self._full = self._full, []
        # A descriptor of its own: this one may be closed, and its number be another file's, before the sync.
        if self._fd >= 0:
            full.append(os.dup(self._fd))
        new_file, self._new_file = self._new_file, False
        return lambda: _sync(full, self.directory if new_file else None)

    async def wait_beyond(self, number: int) -> None:
        """Return when an event above ``number`` has reached the disk."""
        while self.synced <= number:
            await self._advanced.wait()

    def read(self, after: int, limit: int = 500) -> list[str]:
        """Up to ``limit`` synced events with numbers above ``after``, as JSON lines, in order."""
        segments = self._segments()
        lines: list[str] = []
        for index, (_, _path) in enumerate(segments):
            following = segments[index + 1][0] if index + 1 < len(segments) else None
            if following is not None and following <= after + 1:
                continue
            for number, line in self._lines(*segments[index]):
                if number > self.synced or len(lines) >= limit:
                    return lines
                if number > after:
                    lines.append(line)
        return lines

    def _lines(self, first: int, path: Path) -> Iterator[tuple[int, str]]:
        # Lines are numbered without gaps from the file's name on, so that none needs to be parsed.
        try:
            with path.open(encoding="utf-8") as file:
                for offset, line in enumerate(file):
                    yield first + offset, line.rstrip("\n")
        except FileNotFoundError:
            return

    def close(self) -> None:
        """Write what is left, and sync it."""
        self._write()
        self._hand_out()()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self.synced = self.last


def _sync(segments: Sequence[int], directory: Path | None) -> None:
    """Sync and close segments, the oldest first; then the directory that names them, if it has a new one."""
    _sync_and_close(segments)
    if directory is not None:
        fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        with contextlib.suppress(OSError):
            os.fsync(fd)
        os.close(fd)


def _sync_and_close(segments: Sequence[int]) -> None:
    for fd in segments:
        with contextlib.suppress(OSError):
            os.fdatasync(fd)
        os.close(fd)
