"""What a row of the matrix is, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.interop.run import Run

Settings = Mapping[str, Any]
Script = Callable[["Run"], None]


class Role(StrEnum):
    """What our engine is in the first exchange: whoever initiates begins."""

    INITIATOR = "initiator"
    RESPONDER = "responder"


BOTH = (Role.INITIATOR, Role.RESPONDER)


class Failed(Exception):
    """Something that must be seen is not there; the text says what."""


class Unable(Exception):
    """The peer or this machine cannot do it; the text says why."""


@dataclass(frozen=True)
class Finding:
    """What our event log must say of a broken tunnel: the code, the side to mend, and a part of the hint."""

    code: str
    side: str
    hint: str


@dataclass(frozen=True)
class Credentials:
    """What both ends prove themselves with: changes of our peer, of the peer's connection, and its secrets."""

    ours: Settings
    theirs: Settings
    secrets: tuple[Settings, ...]


@dataclass(frozen=True)
class Scenario:
    """One way to configure a tunnel.

    ``kin`` is the scenario of strongSwan's public test suite that it resembles. ``ours`` changes our
    peer, ``theirs`` the peer's connection and ``child`` each of its children, the latter two in the words
    of swanctl.conf. ``secrets`` and ``pools`` are the peer's; ``credentials`` makes them, with what both
    ends need, when the row is run. ``subnets`` is how many subnets each end has.
    ``found`` is what our log must say, by role, if the tunnel is broken. ``awaits`` names what keeps the
    row from being run; it is then skipped with that reason. A row of ``kernel`` is run in the booted guest, where
    both ends carry their packets in the kernel.
    """

    name: str
    kin: str
    script: Script
    roles: tuple[Role, ...] = BOTH
    kind: str = "direct"
    ours: Settings = field(default_factory=dict)
    theirs: Settings = field(default_factory=dict)
    child: Settings = field(default_factory=dict)
    secrets: tuple[Settings, ...] | None = None
    pools: tuple[Settings, ...] = ()
    credentials: Callable[[], Credentials] | None = None
    options: Settings = field(default_factory=dict)
    subnets: int = 1
    found: Mapping[Role, Finding] = field(default_factory=dict)
    awaits: str = ""
    fresh: bool = False
    kernel: bool = False


@dataclass(frozen=True)
class Outcome:
    """One row as it was run; ``result`` is ``pass``, ``fail`` or ``skip``."""

    name: str
    role: str
    peer: str
    result: str
    reason: str = ""
    seconds: float = 0.0
    kin: str = ""

    def document(self) -> dict[str, Any]:
        """For machines."""
        names = ("name", "role", "peer", "result", "reason", "kin")
        return {name: getattr(self, name) for name in names} | {"seconds": round(self.seconds, 2)}
