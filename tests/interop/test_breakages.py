"""A real peering broken in every way of the table: our log names the code, the side to mend, and what to change."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.interop.model import Role, Scenario
from lab.interop.rig import Rig
from lab.interop.runner import rows, run_row
from lab.interop.table import BREAKAGES
from vpnengine.contract.catalogue import CATALOGUE

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]
ROWS = rows(BREAKAGES)


@pytest.mark.parametrize(("scenario", "role"), ROWS, ids=[f"{s.name}-{r.value}" for s, r in ROWS])
def test_breakage(rig_of: Callable[[str], Rig], scenario: Scenario, role: Role) -> None:
    if scenario.awaits:
        pytest.skip(scenario.awaits)
    outcome = run_row(rig_of(scenario.kind), scenario, role)
    assert outcome.result == "pass", outcome.reason


def test_there_are_enough_ways_to_break_it() -> None:
    assert len({scenario.name for scenario, _ in ROWS}) >= 25


def test_every_finding_is_about_a_code_with_advice() -> None:
    for scenario, role in ROWS:
        entry = CATALOGUE[scenario.found[role].code]
        assert entry.here and entry.there and scenario.found[role].hint
        assert entry.confidence is not None, f"{entry.code} does not say how sure it is"
