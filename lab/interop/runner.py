"""Running rows: grouped by topology, so that one is made for many rows."""

from __future__ import annotations

import contextlib
import fnmatch
import itertools
import json
import os
import time
from collections.abc import Iterable, Iterator

from lab.guest.machine import Guest
from lab.interop import messages, scripts
from lab.interop.model import Failed, Outcome, Role, Scenario, Unable
from lab.interop.rig import Rig
from lab.interop.run import Run
from lab.net import LabError

Row = tuple[Scenario, Role]
INSIDE = "CULVERT_LAB_INSIDE"
IN_GUEST_S, IN_GUEST_ROW_S = 300.0, 30.0


def rows(scenarios: Iterable[Scenario], only: str | None = None, role: str | None = None) -> list[Row]:
    """Scenario and role of each row; ``only`` is a shell pattern or a part of the name or kin."""
    found = [(s, r) for s in scenarios for r in s.roles if role in (None, r.value) and _matches(s, only)]
    # One topology after the other, and among its rows those together that need other settings of either daemon.
    return sorted(
        found,
        key=lambda row: (
            row[0].kernel,
            row[0].kind,
            *(str(row[0].options.get(n, "")) for n in ("charon", "data path")),
        ),
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
        messages.seen(run)
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


def run_in_guest(guest: Guest, wanted: list[Row]) -> list[Outcome]:
    """Run rows in a booted guest, all in one process there.

    :raises LabError: if that process fails as a whole.
    """
    names = [f"{scenario.name}:{role.value}" for scenario, role in wanted]
    done = guest.run(
        *("python3", "-m", "lab.interop.inside", *names),
        timeout=IN_GUEST_S + IN_GUEST_ROW_S * len(wanted),
        env={INSIDE: "1", "CULVERT_LAB_PATIENCE": "10"},
    )
    return [Outcome(**json.loads(line)) for line in done.stdout.splitlines()]


def run_rows(wanted: list[Row]) -> Iterator[Outcome]:
    """Run rows and yield what comes of each."""
    inside = os.environ.get(INSIDE) == "1"
    elsewhere = [] if inside else [row for row in wanted if row[0].kernel]
    here = [row for row in wanted if row not in elsewhere]
    for (kernel, kind), group in itertools.groupby(here, key=lambda row: (row[0].kernel, row[0].kind)):
        listed = list(group)
        runnable = [row for row in listed if not row[0].awaits]
        yield from (skipped(*row) for row in listed if row[0].awaits)
        if not runnable:
            continue
        with Rig(kind, kernel) as rig:
            for scenario, role in runnable:
                yield run_row(rig, scenario, role)
    if elsewhere:
        yield from _elsewhere(elsewhere)


def _elsewhere(wanted: list[Row]) -> list[Outcome]:
    """What comes of the rows of the guest; without a guest they are skipped, which says why."""
    with contextlib.ExitStack() as stack:
        try:
            guest = stack.enter_context(Guest())
        except LabError as error:
            reason = f"no guest: {error}"
            return [
                Outcome(s.name, role.value, "strongSwan (kernel)", "skip", reason, 0.0, s.kin) for s, role in wanted
            ]
        return run_in_guest(guest, wanted)
