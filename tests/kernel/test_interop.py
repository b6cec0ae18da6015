"""The rows of the interoperability matrix that need a kernel with ESP: our engine and strongSwan, both in the guest."""

from __future__ import annotations

import pytest

from lab.interop.model import Outcome, Role, Scenario
from lab.interop.runner import rows
from lab.interop.table import kernel
from tests.kernel.suites import Suites

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(1200)]
ROWS = [
    pytest.param(scenario, role, marks=pytest.mark.row(scenario, role), id=f"{scenario.name}-{role.value}")
    for scenario, role in rows(kernel.ROWS)
]


@pytest.fixture(scope="module")
def outcomes(suites: Suites) -> dict[tuple[str, str], Outcome]:
    """What came of the rows that are asked for; one process in the guest runs them all."""
    return {(outcome.name, outcome.role): outcome for outcome in suites.outcomes()}


@pytest.mark.parametrize(("scenario", "role"), ROWS)
def test_row(outcomes: dict[tuple[str, str], Outcome], scenario: Scenario, role: Role) -> None:
    outcome = outcomes[scenario.name, role.value]
    assert outcome.result == "pass", outcome.reason
