"""The rows of the interoperability matrix that need a kernel with ESP: our engine and strongSwan, both in the guest."""

from __future__ import annotations

import pytest

from lab.guest.machine import Guest
from lab.interop.model import Outcome
from lab.interop.runner import rows, run_in_guest
from lab.interop.table import kernel

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(600)]
ROWS = rows(kernel.ROWS)
IDS = [f"{scenario.name}-{role.value}" for scenario, role in ROWS]


@pytest.fixture(scope="module")
def outcomes(guest: Guest, request: pytest.FixtureRequest) -> dict[tuple[str, str], Outcome]:
    """What came of the rows that are asked for; one process in the guest runs them all."""
    asked = {item.callspec.params["number"] for item in request.session.items if item.function is test_row}
    found = run_in_guest(guest, [ROWS[number] for number in sorted(asked)])
    return {(outcome.name, outcome.role): outcome for outcome in found}


@pytest.mark.parametrize("number", range(len(ROWS)), ids=IDS)
def test_row(outcomes: dict[tuple[str, str], Outcome], number: int) -> None:
    scenario, role = ROWS[number]
    outcome = outcomes[scenario.name, role.value]
    assert outcome.result == "pass", outcome.reason
