"""The control socket: JSON lines over a unix stream socket.

A request is one line ``{"id": 1, "op": "status", …}``. Its answer is one line
``{"id": 1, "ok": true, "result": {…}}`` or
``{"id": 1, "ok": false, "error": "sentence", "problems": [{"field", "rule", "message"}]}``.
After ``{"op": "events", "after": N, "follow": true}`` has been answered with
``{"journal", "boot", "first", "last"}``, the engine writes ``{"id": 1, "event": {…}}`` lines
until the client closes; without ``follow`` it ends with ``{"id": 1, "end": true}``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from vpnengine.contract.problems import Problem

MAX_LINE = 64 * 1024 * 1024


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    id: int = 0


class Apply(_Request):
    """Replace the whole configuration; ``config`` is an ``EngineConfig`` document.

    The result is ``{"revision", "digest", "added": [peer ids], "changed": […], "removed": […], "unchanged": […]}``.
    With ``dry_run`` nothing changes: it is refused for the same reasons, and the result has besides them ``"effects"``,
    an item of ``contract.difference.PeerEffect`` for each peer that is not unchanged, and ``"left_out"``, the problems
    of peers that the data path cannot carry.
    """

    op: Literal["apply"]
    config: dict[str, Any] = Field(repr=False)
    dry_run: bool = False


class GetStatus(_Request):
    """Answered with an ``EngineStatus``."""

    op: Literal["status"]


class Initiate(_Request):
    """Bring up one peer (by id or name): all its selectors, or one as "local,remote".

    With ``wait_s`` the answer comes when the outcome is known, or after that many seconds:
    ``{"peer", "state": "up" | "failed" | "waiting", "failure": {"code", "text", "side", "hint", "evidence"}}``.
    Without it the answer is ``{"peer"}`` at once.
    """

    op: Literal["initiate"]
    peer: str
    selector: str | None = None
    wait_s: Annotated[float, Field(ge=0, le=300)] = 0


class Terminate(_Request):
    """Delete a peer's SAs and tell the peer."""

    op: Literal["terminate"]
    peer: str


class Rekey(_Request):
    """Replace phase 1, or every IPsec SA pair, of one peer now."""

    op: Literal["rekey"]
    peer: str
    phase: Literal[1, 2] = 2


class GetStats(_Request):
    """Answered with counters: ``{"datagrams": {…}, "drops": {…}, "negotiations": {…}, "loop_lag_ms": …}``."""

    op: Literal["stats"]


class GetTrace(_Request):
    """The messages and decisions of the last negotiations of one peer (by id or name), the oldest first.

    ``negotiation`` is an initiator cookie as events have it, and asks for that one alone. The result is
    ``{"peer": id, "negotiations": […]}`` with items of ``contract.trace.NegotiationTrace``.
    """

    op: Literal["trace"]
    peer: str
    negotiation: str | None = None


class GetCapture(_Request):
    """Whole messages of a peer's last negotiations; refused unless the engine was started to keep them.

    With ``secrets`` the keys that open them come with them; no other answer has any. The result is
    ``{"peer": id, "negotiations": […]}`` with items of ``contract.capture.CapturedNegotiation``.
    """

    op: Literal["capture"]
    peer: str
    negotiation: str | None = None
    secrets: bool = False


class Examine(_Request):
    """Find out why a tunnel that is up carries nothing: answered with a ``contract.diagnosis.Examination``.

    ``target`` is an inner address behind the peer that answers pings; empty chooses the first of its subnets. Some
    pings are sent to it through the tunnel; nothing is changed. It takes up to fifteen seconds.
    """

    op: Literal["examine"]
    peer: str
    target: str = Field(default="", max_length=64)


class GetEvents(_Request):
    """Read the journal after event ``after``; ``follow`` keeps the subscription open."""

    op: Literal["events"]
    after: Annotated[int, Field(ge=0)] = 0
    follow: bool = False


Request = Annotated[
    Apply | GetStatus | Initiate | Terminate | Rekey | GetStats | GetTrace | GetCapture | Examine | GetEvents,
    Field(discriminator="op"),
]
REQUEST: TypeAdapter[Request] = TypeAdapter(Request)


class Answer(BaseModel):
    """One answer line."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: int
    ok: bool
    result: Any = None
    error: str | None = None
    problems: tuple[Problem, ...] = ()
