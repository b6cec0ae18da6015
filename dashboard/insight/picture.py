"""The ladder of a negotiation as a picture: where each arrow, label and note stands, in units of the SVG's viewBox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from vpnengine.contract.ladder import Ending, Rung, begun, ending, mode, rungs
from vpnengine.contract.trace import NegotiationTrace

WIDTH = 680
LEFT, RIGHT = 96, 660  # the two life lines: this side, and the peer
_TOP, _MESSAGE, _EVENT, _FOOT = 34, 44, 22, 46
_MOST_FIRST, _MOST_LAST = 44, 12
_LABEL, _EVENT_LABEL = 86, 92  # characters that fit between the lines


@dataclass(frozen=True)
class Row:
    """One rung where it is drawn; ``kind`` is a class of the styles, ``above`` and ``below`` stand at the arrow."""

    y: int
    rung: Rung
    kind: str
    time: str
    above: str
    below: str
    x1: int
    x2: int


@dataclass(frozen=True)
class Picture:
    """One negotiation, drawn; ``table`` has every rung, also those that the picture leaves out."""

    trace: NegotiationTrace
    title: str
    begun: str
    rows: list[Row]
    table: list[Rung]
    left_out: int
    end: Ending
    end_y: int
    height: int
    width: int = WIDTH
    left: int = LEFT
    right: int = RIGHT

    @property
    def ok(self) -> bool:
        """True if it came up."""
        return self.trace.outcome == "established"

    @property
    def middle(self) -> int:
        """Halfway between the two lines."""
        return (LEFT + RIGHT) // 2

    @property
    def span(self) -> int:
        """The distance of the two lines."""
        return RIGHT - LEFT


def draw(document: dict[str, Any]) -> Picture:
    """The picture of a ``NegotiationTrace`` document."""
    trace = NegotiationTrace.model_validate(document)
    every = rungs(trace)
    shown = every
    if len(every) > _MOST_FIRST + _MOST_LAST:
        shown = [*every[:_MOST_FIRST], *every[-_MOST_LAST:]]
    rows: list[Row] = []
    y = _TOP
    for rung in shown:
        after_message = bool(rows) and rows[-1].kind != "decision"
        y += _MESSAGE if rung.direction else _EVENT + (10 if after_message else 0)
        rows.append(_row(rung, y))
    end_y = y + _FOOT
    return Picture(
        trace=trace,
        title=mode(trace),
        begun=begun(trace),
        rows=rows,
        table=every,
        left_out=len(every) - len(shown) + trace.left_out,
        end=ending(trace),
        end_y=end_y,
        height=end_y + 28,
    )


def _row(rung: Rung, y: int) -> Row:
    if not rung.direction:
        return Row(y, rung, "decision", seconds(rung.at), _cut(rung.detail, _EVENT_LABEL), "", LEFT, RIGHT)
    outwards = rung.direction == "out"
    kind = "lost" if rung.lost else "again" if rung.repeated else "message"
    x1, x2 = (LEFT, RIGHT) if outwards else (RIGHT, LEFT)
    above = _cut(f"{rung.step} · {rung.payloads}" if rung.payloads else rung.step, _LABEL)
    port = "4500, NAT-T" if rung.natt else ""
    below = ", ".join(
        part for part in (_("%d octets") % rung.size if rung.size else "", rung.note, port, rung.detail) if part
    )
    return Row(y, rung, kind, seconds(rung.at), above, _cut(below, _LABEL), x1, x2)


def seconds(at: float) -> str:
    """A time since the beginning, such as ``+0.013 s``."""
    return f"+{at:.3f} s" if at < 100 else f"+{at:.0f} s"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
