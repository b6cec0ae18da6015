"""Finding rows quickly whatever is asked for.

The log is walked from one end in windows of sequence numbers. A window that is cheap makes the next one larger, and
when the time for one answer is used up the walk says how far it came. So a filter that finds plenty is answered by the
first window, one that an index serves by a few, and one that nothing serves never keeps anybody waiting.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import F, Func, Q, QuerySet, TextField
from django.db.models.expressions import Combinable, RawSQL
from django.db.models.functions import Cast

from dashboard.eventlog import schema
from dashboard.eventlog.filters import LogFilter, begins
from dashboard.eventlog.models import EventRow, EventSpan, EventType, row_id

HOUR = 3_600
BUDGET_S = 0.08
PATIENT_S = 1e6
FIRST_WINDOW, GROWTH = 4_000, 8
TRIGRAM = 3
MOST_TRIGRAMS = 16
# From this size on it pays to ask the index of texts first.
SEARCH_FROM = 20_000


@dataclass(frozen=True)
class Found:
    """Rows as ``(seq, JSON text)`` in the order of the walk, and the last number that was looked at.

    ``done``: everything in the walk's bounds has been looked at.
    """

    rows: list[tuple[int, str]]
    reached: int
    done: bool


@dataclass(frozen=True)
class Walk:
    """All events of one organization that a filter lets through. ``places``: the keys of the appliances asked for."""

    organization_id: int
    wanted: LogFilter
    places: frozenset[int] | None = None

    def down(self, below: int, down_to: int, limit: int, budget: float = BUDGET_S) -> Found:
        """The newest rows with ``down_to <= seq < below``."""
        return self._go(down_to, below - 1, limit, budget, newest=True)

    def up(self, above: int, up_to: int, limit: int, budget: float = BUDGET_S) -> Found:
        """The oldest rows with ``above < seq <= up_to``."""
        return self._go(above + 1, up_to, limit, budget, newest=False)

    def _go(self, low: int, high: int, limit: int, budget: float, newest: bool) -> Found:
        rows: list[tuple[int, str]] = []
        condition = self._condition()
        intervals = self._intervals(low, high) if condition is not None else []
        clock = _Clock(budget)
        for begin, end in reversed(intervals) if newest else intervals:
            at = end if newest else begin
            while begin <= at <= end:
                if clock.is_over and clock.looked:
                    return Found(rows, at + 1 if newest else at - 1, False)
                size = clock.window()
                window = (max(begin, at - size + 1), at) if newest else (at, min(end, at + size - 1))
                found = self._window(condition, *window, limit - len(rows), newest)
                clock.took(window[1] - window[0] + 1)
                rows += found
                if len(rows) >= limit:
                    return Found(rows, rows[-1][0], False)
                at = window[0] - 1 if newest else window[1] + 1
        return Found(rows, low if newest else high, True)

    def _window(self, condition: Q | None, low: int, high: int, limit: int, newest: bool) -> list[tuple[int, str]]:
        first, last = row_id(self.organization_id, low), row_id(self.organization_id, high)
        found = EventRow.objects.filter(id__gte=first, id__lte=last)
        if condition:
            found = found.filter(condition)
        found = self._texts(found, first, last)
        found = found.order_by("-id" if newest else "id")
        return list(found.values_list("seq", Cast("body", TextField()))[:limit])

    def _texts(self, found: QuerySet[EventRow], first: int, last: int) -> QuerySet[EventRow]:
        text = self.wanted.text
        if not text:
            return found
        found = found.filter(search__contains=text)
        if connection.vendor != "postgresql" and self._driver() == "search" and last - first >= SEARCH_FROM:
            ids = RawSQL(  # noqa: S611 - our own names, and parameters
                f"SELECT rowid FROM {schema.SEARCH} WHERE {schema.SEARCH} MATCH %s AND rowid BETWEEN %s AND %s",  # noqa: S608
                [trigrams(text), first, last],
            )
            found = found.filter(id__in=ids)
        return found

    def _condition(self) -> Q | None:
        """Everything but text and place; None if nothing can match."""
        wanted = self.wanted
        condition = Q()
        if wanted.since is not None:
            condition &= Q(time__gte=wanted.since)
        if wanted.until is not None:
            condition &= Q(time__lt=wanted.until)
        if wanted.negotiation:
            condition &= Q(negotiation=wanted.negotiation)
        for column, values in self._lists():
            if values is not None and not values:
                return None
            if values:
                condition &= one_of(column, values, self._driver())
        if wanted.excluded:
            excluded = sorted(code for code in codes() if begins(code, wanted.excluded))
            condition &= ~Q(code__in=excluded)
        return condition

    def _lists(self) -> list[tuple[str, list[Any] | None]]:
        wanted = self.wanted
        types = sorted(code for code in codes() if begins(code, wanted.types)) if wanted.types else None
        return [
            ("peer_id", sorted(wanted.peers) or None),
            ("appliance_id", None if self.places is None else sorted(self.places)),
            ("code", types),
            ("severity", sorted(wanted.severities) or None),
        ]

    def _driver(self) -> str:
        """The column whose index finds the fewest rows. SQLite keeps no statistics that would tell."""
        wanted = self.wanted
        if wanted.negotiation:
            return "negotiation"
        if wanted.peers:
            return "peer_id"
        if len(wanted.text) >= TRIGRAM:
            return "search"
        if self.places is not None:
            return "appliance_id"
        return "code" if wanted.types else "severity"

    def _intervals(self, low: int, high: int) -> list[tuple[int, int]]:
        """Where to look, ascending and apart: everywhere, or where the hours of the time range stand."""
        if low > high:
            return []
        if self.wanted.since is None and self.wanted.until is None:
            return [(low, high)]
        spans = EventSpan.objects.filter(organization_id=self.organization_id, last__gte=low, first__lte=high)
        if self.wanted.since is not None:
            spans = spans.filter(hour__gte=int(self.wanted.since // HOUR))
        if self.wanted.until is not None:
            spans = spans.filter(hour__lte=int(self.wanted.until // HOUR))
        found = spans.order_by("first").values_list("first", "last")
        return list(joined((max(low, first), min(high, last)) for first, last in found))


class _Clock:
    """How large the next window may be, so that the answer is in time."""

    def __init__(self, budget: float) -> None:
        self._began = self._before = time.monotonic()
        self._budget = budget
        self._size = FIRST_WINDOW
        self.looked = 0

    @property
    def is_over(self) -> bool:
        return time.monotonic() - self._began >= self._budget

    def window(self) -> int:
        return self._size

    def took(self, size: int) -> None:
        """A window of ``size`` numbers was looked through."""
        now = time.monotonic()
        spent, self._before = max(now - self._before, 1e-4), now
        self.looked += size
        left = self._budget - (now - self._began)
        self._size = max(FIRST_WINDOW, min(self._size * GROWTH, int(size * left / spent)))


def joined(intervals: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Intervals sorted by their beginning; those that touch become one."""
    held: tuple[int, int] | None = None
    for first, last in intervals:
        if first > last:
            continue
        if held and first <= held[1] + 1:
            held = (held[0], max(held[1], last))
            continue
        if held:
            yield held
        held = (first, last)
    if held:
        yield held


def trigrams(text: str) -> str:
    """The question to FTS5: a few trigrams that all have to be there, evenly chosen from the whole text."""
    every = [text[at : at + TRIGRAM] for at in range(len(text) - TRIGRAM + 1)]
    step = max(1, -(-len(every) // MOST_TRIGRAMS))
    chosen = sorted({*every[::step], every[-1]})
    return " AND ".join('"' + item.replace('"', '""') + '"' for item in chosen)


def codes() -> list[str]:
    """Every code that was ever written."""
    return list(EventType.objects.values_list("code", flat=True))


def one_of(column: str, values: list[Any], driver: str) -> Q:
    """``column IN values``; on SQLite its index is left alone unless it is the driver."""
    if connection.vendor == "postgresql" or column == driver:
        return Q(**{f"{column}__in": values})
    return Q(_in(column, values))


def _in(column: str, values: list[Any]) -> Any:
    from django.db.models.lookups import In

    return In(_Plain(F(column), output_field=EventRow._meta.get_field(column)), values)


class _Plain(Func, Combinable):
    """The column as a value: SQLite's unary plus, which no index is looked up for."""

    template = "+%(expressions)s"
    arity = 1
