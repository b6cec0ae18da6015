"""Fixtures of the tests with real peers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.rig import Rigs


@pytest.fixture
def rig() -> Iterator[Rigs]:
    """Call it to make a topology with a running engine; it is removed at the end."""
    rigs = Rigs()
    yield rigs
    rigs.close()
