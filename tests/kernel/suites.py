"""What runs inside the guest by the hundred: begun when it is up, in two lanes, one for each of its processors.

What has a strongSwan is in one lane, what has ``ip xfrm`` as the other end in the other. A test of this room waits for
the end of its part and reads what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from xml.etree import ElementTree

import pytest

from lab.guest.machine import Guest
from lab.interop.model import Outcome, Role, Scenario
from lab.interop.runner import run_in_guest

SECONDS, PATIENCE_S = 1100, 120.0
NAMESPACES = """
    ip netns add xa; ip netns add xb
    ip link add wire netns xa type veth peer name wire netns xb
    for n in xa xb; do ip -n $n link set lo up; ip -n $n link set wire up; done
    ip -n xa address add 192.0.2.1/24 dev wire; ip -n xb address add 192.0.2.2/24 dev wire
    ip -n xa address add 2001:db8::1/64 dev wire nodad; ip -n xb address add 2001:db8::2/64 dev wire nodad
    ip -n xa address add 10.91.1.1/32 dev lo; ip -n xb address add 10.91.2.1/32 dev lo
    ip -n xa address add 2001:db8:1::1/128 dev lo; ip -n xb address add 2001:db8:2::1/128 dev lo
    ip -n xb route add 10.0.0.0/8 dev wire src 10.91.2.1
    ip -n xb route add 2001:db8:1::/64 dev wire src 2001:db8:2::1
"""
"""``xa`` and ``xb``, each with outer and inner addresses; ``xa`` knows no way to the inner ones."""


class Suites:
    """Runs what the tests that were asked for need, each of them once."""

    def __init__(self, guest: Guest, items: Iterable[pytest.Item]) -> None:
        self._guest = guest
        self._files: set[str] = set()
        self._rows: set[tuple[str, str]] = set()
        self._asked_rows: list[tuple[Scenario, Role]] = []
        for item in items:
            self._ask(item)
        self._lanes = {name: ThreadPoolExecutor(1) for name in ("strongswan", "iproute2")}
        self._jobs: dict[str, Future[object]] = {}
        # The first namespace of all changes mounts, which two processes cannot do at once.
        guest.shell("ip netns add first; ip netns delete first", timeout=PATIENCE_S)
        inner = sorted(self._files - {"inside_engine"})
        if "inside_engine" in self._files:
            self._begin("strongswan", "engine", lambda: self._tests(["inside_engine"], ()))
        if inner:
            self._begin("iproute2", "path", lambda: self._in_namespaces(inner))
        if self._asked_rows:
            self._begin("strongswan", "rows", lambda: run_in_guest(self._guest, self._asked_rows))

    def file(self, name: str) -> None:
        """Every test of a file has passed, and none was left out.

        :raises AssertionError: with what those say that have not.
        """
        report = str(self._jobs["engine" if name == "inside_engine" else "path"].result())
        found = [case for case in ElementTree.fromstring(report).iter("testcase") if _file(case) == name]
        wrong = [f"{case.get('name')}: {part.text or part.get('message')}" for case in found for part in _wrong(case)]
        assert found and not wrong, "\n".join(wrong) or f"no test of {name} has run: {report[-2000:]}"

    def outcomes(self) -> list[Outcome]:
        """What came of the rows that were asked for."""
        found = self._jobs["rows"].result()
        assert isinstance(found, list)
        return found

    def close(self) -> None:
        """Wait for nothing more. The guest's end ends what still runs there."""
        for lane in self._lanes.values():
            lane.shutdown(wait=False, cancel_futures=True)

    def _ask(self, item: pytest.Item) -> None:
        marks = {mark.name: mark for mark in item.iter_markers()}
        if "inside" in marks:
            self._files.update(marks["inside"].args)
        if "row" in marks:
            row = marks["row"].args
            if (row[0].name, row[1].value) not in self._rows:
                self._rows.add((row[0].name, row[1].value))
                self._asked_rows.append(row)

    def _begin(self, lane: str, name: str, job: Callable[[], object]) -> None:
        self._jobs[name] = self._lanes[lane].submit(job)

    def _in_namespaces(self, files: list[str]) -> str:
        self._guest.shell(NAMESPACES, timeout=PATIENCE_S)
        try:
            return self._tests(files, ("ip", "netns", "exec", "xa"))
        finally:
            self._guest.shell("ip netns delete xa; ip netns delete xb")

    def _tests(self, files: list[str], prefix: tuple[str, ...]) -> str:
        """The report in JUnit's XML; one process for all, because under emulation each import is dear."""
        report = f"/tmp/report-{files[0]}.xml"
        command = (*prefix, "python3", "-m", "pytest", "-p", "no:django", "-q", "--tb=short", f"--junit-xml={report}")
        done = self._guest.run(*command, *(f"tests/kernel/{name}.py" for name in files), check=False, timeout=SECONDS)
        assert done.returncode in (0, 1), done.stdout[-4000:] + done.stderr[-2000:]
        return self._guest.get(report).decode()


def _file(case: ElementTree.Element) -> str:
    return (case.get("classname") or "").rpartition(".")[2]


def _wrong(case: ElementTree.Element) -> list[ElementTree.Element]:
    return [part for part in case if part.tag in ("failure", "error", "skipped")]
