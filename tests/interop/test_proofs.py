"""``docs/proofs.md`` names rows and tests; each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

from lab.interop.table import SCENARIOS

TESTS = Path(__file__).resolve().parent.parent
PAGE = TESTS.parent / "docs" / "proofs.md"


def _named() -> list[str]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return [name for line in lines for name in re.findall(r"`([^`]+)`", line.partition(" | ")[2]) if "…" not in name]


def test_every_row_that_is_named_is_one() -> None:
    rows = {name for name in _named() if "::" not in name}
    assert len(rows) > 60
    assert rows <= {scenario.name for scenario in SCENARIOS}, rows - {scenario.name for scenario in SCENARIOS}


def test_every_test_that_is_named_is_one() -> None:
    tests = {name for name in _named() if "::" in name}
    assert len(tests) > 40
    missing = [t for t in tests if not _there(*t.split("::"))]
    assert not missing, missing


def _there(file: str, function: str) -> bool:
    path = TESTS / file
    return path.exists() and re.search(rf"def {function}\(", path.read_text()) is not None
