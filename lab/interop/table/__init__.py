"""Every scenario of the matrix, by subject."""

from __future__ import annotations

from lab.interop.model import Scenario
from lab.interop.table import (
    aggressive,
    algorithms,
    breakages,
    certs,
    clients,
    kernel,
    life,
    nat,
    path,
    psk,
    remote,
    selectors,
    unity,
)

WORKING: tuple[Scenario, ...] = (
    *psk.ROWS,
    *aggressive.ROWS,
    *certs.ROWS,
    *algorithms.ROWS,
    *selectors.ROWS,
    *remote.ROWS,
    *unity.ROWS,
    *nat.ROWS,
    *life.ROWS,
    *clients.ROWS,
    *path.ROWS,
)
BREAKAGES: tuple[Scenario, ...] = (
    *breakages.ROWS,
    *aggressive.BREAKAGES,
    *certs.BREAKAGES,
    *selectors.BREAKAGES,
    *remote.BREAKAGES,
)
SCENARIOS: tuple[Scenario, ...] = (*WORKING, *BREAKAGES, *kernel.ROWS)
