"""The journal on a disk that is full."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from vpnengine.contract.events import EventBody, Severity
from vpnengine.daemon import journal as journal_module
from vpnengine.daemon.journal import Journal


def body(number: int) -> EventBody:
    return EventBody(code="engine.started", severity=Severity.INFO, text=f"event {number}")


def numbers(journal: Journal) -> list[int]:
    journal.synced = journal.last
    return [int(json.loads(line)["number"]) for line in journal.read(0, 1_000_000)]


def refuse(*_: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


async def test_events_wait_in_memory_but_not_without_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "MAX_UNWRITTEN", 50)
    monkeypatch.setattr(journal_module, "RETRY_S", 0.0)
    journal = Journal(tmp_path / "journal")
    journal.append([body(1)])
    with monkeypatch.context() as full:
        full.setattr(journal_module.os, "write", refuse)
        for number in range(2, 201):
            journal.append([body(number)])
        assert journal.write_errors and len(journal._unwritten) <= 50
    journal.append([body(201)])
    found = numbers(journal)
    assert found[0] == 1 and found[-1] == 201
    assert found[1:] == list(range(151, 202))
    journal.close()
    again = Journal(tmp_path / "journal")
    assert again.last == 201
    again.close()


async def test_a_segment_that_cannot_be_made_leaves_no_foreign_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A descriptor that is closed twice may be somebody else's socket the second time."""
    monkeypatch.setattr(journal_module, "RETRY_S", 0.0)
    journal = Journal(tmp_path / "journal", segment_bytes=100)
    journal.append([body(1)])
    with monkeypatch.context() as full:
        full.setattr(journal_module.os, "open", refuse)
        journal.append([body(2)])
    foreign = os.open("/dev/null", os.O_RDONLY)
    try:
        journal.append([body(3)])
        os.fstat(foreign)
    finally:
        os.close(foreign)
    assert numbers(journal) == [1, 2, 3]
    journal.close()


async def test_a_disk_that_refuses_is_not_tried_for_every_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try writes all that waits: a flood of events would be a flood of tries."""
    journal = Journal(tmp_path / "journal")
    journal.append([body(1)])
    with monkeypatch.context() as full:
        full.setattr(journal_module.os, "write", refuse)
        for number in range(2, 200):
            journal.append([body(number)])
    assert journal.write_errors < 10
    journal.close()
    assert numbers(journal) == list(range(1, 200))


class PowerCut:
    """Knows what a power cut would leave: octets that a sync has covered, in files whose directory was synced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.safe: dict[int, int] = {}
        self.files: set[int] = set()
        self._fdatasync, self._fsync = os.fdatasync, os.fsync
        monkeypatch.setattr(journal_module.os, "fdatasync", self.fdatasync)
        monkeypatch.setattr(journal_module.os, "fsync", self.fsync)

    def fdatasync(self, fd: int) -> None:
        size = os.fstat(fd)
        time.sleep(0.002)  # a disk takes its time, and the journal goes on meanwhile
        self._fdatasync(fd)
        self.safe[size.st_ino] = max(size.st_size, self.safe.get(size.st_ino, 0))

    def fsync(self, fd: int) -> None:
        if Path(f"/proc/self/fd/{fd}").is_dir():
            self.files |= {entry.inode() for entry in os.scandir(f"/proc/self/fd/{fd}")}
        self._fsync(fd)

    def last(self, directory: Path) -> int:
        """The newest number before which nothing would be missing."""
        last = 0
        for path in sorted(directory.glob("*.jsonl")):
            data = path.read_bytes()[: self.safe.get(path.stat().st_ino, 0)]
            if path.stat().st_ino not in self.files:
                return last
            for line in data.splitlines(keepends=True):
                if not line.endswith(b"\n") or json.loads(line)["number"] != last + 1:
                    return last
                last += 1
        return last


async def test_what_is_said_to_be_synced_outlives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments are so small that each of them is full, and another one begun, while it is being synced."""
    cut = PowerCut(monkeypatch)
    journal = Journal(tmp_path / "journal", segment_bytes=600)
    task = asyncio.create_task(journal.sync_forever())
    seen = 0
    for number in range(1, 301):
        journal.append([body(number)])
        await asyncio.sleep(0.001 if number % 7 else 0)
        seen = journal.synced
        assert cut.last(journal.directory) >= seen
    async with asyncio.timeout(5):
        await journal.wait_beyond(299)
    assert cut.last(journal.directory) == 300 and seen > 0
    assert len(os.listdir("/proc/self/fd")) < 100
    task.cancel()
    journal.close()


async def test_closing_syncs_every_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = PowerCut(monkeypatch)
    journal = Journal(tmp_path / "journal", segment_bytes=600)
    before = len(os.listdir("/proc/self/fd"))
    journal.append([body(1)])
    for number in range(2, 100):
        journal.append([body(number)])
    journal.close()
    assert cut.last(journal.directory) == 99
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_journal_whose_id_was_torn_gets_another_one(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "id").write_text("")
    first = Journal(tmp_path / "journal").id
    assert first and Journal(tmp_path / "journal").id == first
