"""What is done in a row, and what must be seen."""

from __future__ import annotations

import json

from lab.interop import checks
from lab.interop.model import Failed, Finding
from lab.interop.rig import eventually, require
from lab.interop.run import Run
from lab.topology import SECRET


def tunnel(run: Run) -> None:
    """Both ends agree on every SA, packets go both ways and are counted alike, the log tells it as it should."""
    count = run.scenario.options.get("pairs", run.scenario.subnets**2)
    run.begin()
    run.wait_up(count, run.scenario.options.get("seconds", 8.0))
    checks.texts(run.events(), count)
    agreement(run)
    run.echo()
    checks.counters(run.sas(), run.rig.gateway.children())
    checks.complaints(run.events())


def agreement(run: Run) -> None:
    """Both ends say the same of the ISAKMP SA and of each pair."""
    status = run.status()
    theirs = run.peer_sa()
    checks.phase1(status["phase1"], theirs)
    require(status["phase1"]["role"] == run.role, f"our role is {status['phase1']['role']}")
    checks.pairs(run.sas(), run.rig.gateway.children())
    for name, wanted in run.scenario.options.get("see", {}).items():
        seen = status["phase1"].get(name) if name in status["phase1"] else run.sas()[0].get(name)
        require(seen == wanted, f"{name} is {seen}, {wanted} is wanted")


def broken(run: Run) -> None:
    """The tunnel does not come up, and our log says why, whose fault it is, and what to change."""
    finding = run.scenario.found[run.role]
    run.begin()
    expect(run, finding)
    require(not run.sas() or run.scenario.options.get("comes up", False), "the tunnel is up nevertheless")


def expect(run: Run, finding: Finding, seconds: float = 10.0) -> None:
    """An event with this code, side and hint.

    :raises Failed: if there is none.
    """
    found: list[str] = []

    def seen() -> bool:
        events = [event for event in run.events() if event["code"] == finding.code]
        found[:] = [f"side {e['side']}, hint “{e['hint']}”" for e in events]
        return any(e["side"] == finding.side and finding.hint in (e["hint"] or "") for e in events)

    if eventually(seen, seconds):
        return
    if found:
        raise Failed(f"{finding.code} says {found[-1]}; wanted: side {finding.side}, “{finding.hint}”")
    raise Failed(f"{finding.code} did not happen; {run.story()}")


def no_secret(run: Run) -> None:
    """No event and no line of our log carries the secret."""
    text = json.dumps(run.events()) + run.rig.engine.log_tail(200)
    require(SECRET not in text, "a secret is in the events or in the log")
    bugs = run.rig.control.request("stats")["drops"].get("engine bug", 0)
    require(not bugs, f"the engine failed inside: {run.rig.engine.log_tail(6)}")
