"""The journal on a disk that is full."""

from __future__ import annotations

import errno
import json
import os
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
