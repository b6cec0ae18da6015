"""Which messages a row must show, in their order, as charon logs them with their payloads."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lab.interop.model import Role
from lab.interop.rig import eventually, require
from lab.interop.run import Run

STARTS, ANSWERS, WE, THEY = "initiator", "responder", "we", "they"
PATIENCE_S = 2.0


@dataclass(frozen=True)
class Message:
    """Who sends it (the ``initiator`` or ``responder`` of phase 1, or ``we``, ``they``), its kind, its payloads.

    ``kind`` is such as ``ID_PROT request``; ``payloads`` a regular expression for the beginning of charon's list,
    which has a blank behind each payload.
    """

    sender: str
    kind: str
    payloads: str

    def pattern(self, role: Role) -> str:
        """A line of charon's log, when our engine has that role."""
        starters = {STARTS: Role.INITIATOR, ANSWERS: Role.RESPONDER}
        ours = self.sender == WE or starters.get(self.sender) is role
        verb = "parsed" if ours else "generating"
        return rf"{verb} {self.kind} \d+ \[ {self.payloads}"


Exchanges = tuple[Message, ...]


def _exchange(sender: str, kind: str, *payloads: str) -> Exchanges:
    """Messages that take turns; whoever does not begin answers."""
    other = {STARTS: ANSWERS, ANSWERS: STARTS, WE: THEY, THEY: WE}[sender]
    turns = ((sender, "request"), (other, "response"))
    return tuple(Message(turns[n % 2][0], f"{kind} {turns[n % 2][1]}", text) for n, text in enumerate(payloads))


def main(third: str = "KE No ", fourth: str = "KE No ", fifth: str = "ID HASH ", sixth: str = "ID HASH ") -> Exchanges:
    """The six messages of main mode."""
    return _exchange(STARTS, "ID_PROT", "SA V ", "SA V ", third, fourth, fifth, sixth)


def aggressive(second: str = "SA KE No ID ", third: str = "") -> Exchanges:
    """The three messages of aggressive mode."""
    return _exchange(STARTS, "AGGRESSIVE", "SA KE No ID V ", second, third)


def quick(sender: str = STARTS, first: str = "HASH SA No KE ID ID ", second: str = "HASH SA No KE ID ID ") -> Exchanges:
    """The three messages of quick mode."""
    return _exchange(sender, "QUICK_MODE", first, second, r"HASH \]")


def transaction(sender: str, request: str, reply: str) -> Exchanges:
    """A request and its reply (XAUTH, Mode Config)."""
    return _exchange(sender, "TRANSACTION", f"HASH {request}", f"HASH {reply}")


def refusal(sender: str, name: str, protected: bool = True) -> Exchanges:
    """A notification that refuses something, in charon's short words."""
    return (Message(sender, "INFORMATIONAL_V1 request", ("HASH " if protected else "") + rf"N\({name}\) "),)


def login(server: str) -> Exchanges:
    """The server asks for user and password, and tells the outcome."""
    asked = transaction(server, r"CPRQ\(X_USER X_PWD\) ", r"CPRP\(X_USER X_PWD\) ")
    return asked + transaction(server, r"CPS\(X_STATUS\) ", r"CPA\(X_STATUS\) ")


def seen(run: Run) -> None:
    """What the row's options demand of charon's log since the row began.

    ``messages``: these, in this order; ``counts``: how many of a kind there are in all; ``log``: what matches, in any
    order; ``never``: what does not; ``events``: codes that our own log must have.

    :raises Failed: with the first one that is not there.
    """
    options = run.scenario.options
    for pattern in _of(options.get("log", ()), run.role):
        found = eventually(lambda p=pattern: re.search(p, run.peer_log()) is not None, PATIENCE_S)
        require(found, f"the peer's log has no “{pattern}”")
    for pattern in _of(options.get("never", ()), run.role):
        require(re.search(pattern, run.peer_log()) is None, f"the peer's log has “{pattern}”")
    codes = {event["code"] for event in run.events()} if "events" in options else set()
    for code in options.get("events", ()):
        require(code in codes, f"{code} did not happen; {run.story()}")
    wanted = [m.pattern(run.role) for m in options.get("messages", ())]
    eventually(lambda: missing(run.peer_log(), wanted) is None, PATIENCE_S)
    lost = missing(run.peer_log(), wanted)
    require(lost is None, f"the peer's log has no “{lost}” at its place; messages: {_summary(run.peer_log())}")
    for kind, count in options.get("counts", {}).items():
        lines = re.findall(rf"(?:parsed|generating) {kind} (?:request|response) \d+", run.peer_log())
        require(len(lines) == count, f"{len(lines)} messages of {kind}, {count} are wanted")


def _of(value: object, role: Role) -> tuple:  # type: ignore[type-arg]
    found = value.get(role, ()) if isinstance(value, dict) else value
    return (found,) if isinstance(found, str) else tuple(found)  # type: ignore[arg-type]


def missing(log: str, patterns: list[str]) -> str | None:
    """The first pattern that is not found behind the one before it."""
    at = 0
    for pattern in patterns:
        match = re.compile(pattern).search(log, at)
        if match is None:
            return pattern
        at = match.end()
    return None


def _summary(log: str) -> str:
    return "; ".join(re.findall(r"(?:parsed|generating) \w+ (?:request|response) \d+ \[[^\]]*\]", log))
