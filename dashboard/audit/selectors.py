"""Questions about the change log of one organization."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, time
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date

from dashboard.audit.models import Change

PAGE = 100
FILTERS = ("q", "who", "kind", "verb", "via", "since", "until")


class BadFilter(ValueError):
    """A filter that means nothing; the text is a sentence, ``field`` its name."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


def changes(organization_id: int, filters: Mapping[str, str], before: int | None = None) -> QuerySet[Change]:
    """The changes that match, newest first; ``before`` is the id of the last one of the page before.

    :raises BadFilter: naming the filter.
    """
    rows = Change.objects.filter(organization_id=organization_id)
    for name in ("kind", "verb", "via"):
        if filters.get(name):
            rows = rows.filter(**{name: filters[name]})
    if filters.get("who"):
        rows = rows.filter(who__icontains=filters["who"])
    if filters.get("q"):
        text = filters["q"]
        rows = rows.filter(Q(name__icontains=text) | Q(object_id__icontains=text) | Q(address__icontains=text))
    if filters.get("since"):
        rows = rows.filter(time__gte=_moment("since", filters["since"], time.min))
    if filters.get("until"):
        rows = rows.filter(time__lte=_moment("until", filters["until"], time.max))
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return rows.order_by("-id")


def _moment(field: str, text: str, at: time) -> datetime:
    try:
        day = parse_date(text)
    except ValueError:
        day = None
    if day is None:
        raise BadFilter(field, f"{field} is a day like 2026-01-31")
    return timezone.make_aware(datetime.combine(day, at))


def kinds(organization_id: int) -> list[str]:
    """The kinds of object that have been changed."""
    return sorted(Change.objects.filter(organization_id=organization_id).values_list("kind", flat=True).distinct())


def as_json(row: Change) -> dict[str, Any]:
    """A change as exports and the API have it."""
    return {
        "id": row.pk,
        "time": row.time.isoformat(),
        "who": row.who,
        "address": row.address,
        "via": row.via,
        "verb": row.verb,
        "kind": row.kind,
        "objectId": row.object_id,
        "name": row.name,
        "before": row.before,
        "after": row.after,
    }


def differences(row: Change) -> Iterator[tuple[str, str, str]]:
    """(field, before, after) in words."""
    for name in {**row.before, **row.after}:
        label = name.removesuffix("_id").removesuffix("_version").replace("_", " ")
        yield label, _words(row.before.get(name)), _words(row.after.get(name))


def _words(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_words(item) for item in value) or "—"
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_words(item)}" for key, item in value.items()) or "—"
    return str(value)
