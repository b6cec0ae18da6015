"""Running rows: grouped by topology, so that one is made for many rows."""

from __future__ import annotations

import contextlib
import fnmatch
import itertools
import time
from collections.abc import Iterable, Iterator

from lab.interop import scripts
from lab.interop.model import Failed, Outcome, Role, Scenario, Unable
from lab.interop.rig import Rig
from lab.interop.run import Run
from lab.net import LabError

Row = tuple[Scenario, Role]


def rows(scenarios: Iterable[Scenario], only: str | None = None, role: str | None = None) -> list[Row]:
    """Scenario and role of each row; ``only`` is a shell pattern or a part of the name or kin."""
    found = [(s, r) for s in scenarios for r in s.roles if role in (None, r.value) and _matches(s, only)]
    # One topology after the other, and among its rows those together that need other settings of either daemon.
    return sorted(
        found, key=lambda row: (row[0].kind, *(str(row[0].options.get(n, "")) for n in ("charon", "data path")))
    )


def _matches(scenario: Scenario, only: str | None) -> bool:
    if only is None:
        return True
    names = (scenario.name, scenario.kin)
    return any(fnmatch.fnmatch(name, only) or only in name for name in names)


def run_row(rig: Rig, scenario: Scenario, role: Role) -> Outcome:
    """Run one row; nothing is raised but what ends the whole run."""
    began = time.monotonic()
    result, reason = "pass", ""
    run = Run(rig, scenario, role)
    try:
        run.prepare()
        scenario.script(run)
        scripts.no_secret(run)
        reason = str(scenario.options.get("remark", ""))
    except Unable as error:
        result, reason = "skip", str(error)
    except (Failed, LabError) as error:
        result, reason = "fail", str(error)
    peer = run.peer_version or _version(rig)
    return Outcome(scenario.name, role.value, peer, result, reason, time.monotonic() - began, scenario.kin)


def _version(rig: Rig) -> str:
    with contextlib.suppress(Exception):
        return rig.gateway.version()
    return "strongSwan"


def skipped(scenario: Scenario, role: Role) -> Outcome:
    """A row that cannot be run yet."""
    return Outcome(scenario.name, role.value, "strongSwan", "skip", scenario.awaits, 0.0, scenario.kin)


def run_rows(wanted: list[Row]) -> Iterator[Outcome]:
    """Run rows and yield what comes of each."""
    for kind, group in itertools.groupby(wanted, key=lambda row: row[0].kind):
        listed = list(group)
        runnable = [row for row in listed if not row[0].awaits]
        yield from (skipped(*row) for row in listed if row[0].awaits)
        if not runnable:
            continue
        with Rig(kind) as rig:
            for scenario, role in runnable:
                yield run_row(rig, scenario, role)
