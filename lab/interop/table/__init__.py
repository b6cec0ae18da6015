"""Every scenario of the matrix, by subject."""

from __future__ import annotations

from lab.interop.model import Scenario
from lab.interop.table import algorithms, breakages, life, nat, path, psk

WORKING: tuple[Scenario, ...] = (*psk.ROWS, *algorithms.ROWS, *nat.ROWS, *life.ROWS, *path.ROWS)
BREAKAGES: tuple[Scenario, ...] = breakages.ROWS
SCENARIOS: tuple[Scenario, ...] = (*WORKING, *BREAKAGES)
