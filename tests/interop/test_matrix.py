"""Each row of the interoperability matrix, against a real peer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.interop.model import Role, Scenario
from lab.interop.rig import Rig
from lab.interop.runner import rows, run_row
from lab.interop.table import SCENARIOS, WORKING

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]
ROWS = rows(WORKING)


@pytest.mark.parametrize(("scenario", "role"), ROWS, ids=[f"{s.name}-{r.value}" for s, r in ROWS])
def test_row(rig_of: Callable[[str], Rig], scenario: Scenario, role: Role) -> None:
    if scenario.awaits:
        pytest.skip(scenario.awaits)
    outcome = run_row(rig_of(scenario.kind), scenario, role)
    if outcome.result == "skip":
        pytest.skip(outcome.reason)
    assert outcome.result == "pass", outcome.reason


def test_every_row_has_a_name_of_its_own() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))
