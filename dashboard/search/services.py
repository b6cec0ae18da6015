"""Keeping the index: after each change of a site's rows only what differs is written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django.db import transaction

from dashboard.fleet import selectors as fleet
from dashboard.search.models import Entry

BATCH = 500


class Word(NamedTuple):
    """One way to something: see ``Entry``."""

    kind: str
    key: str
    title: str
    target: str


@transaction.atomic
def reindex(site_id: int, words: Iterable[Word]) -> None:
    """Make a site's entries exactly these."""
    wanted = {Word(word.kind, word.key.casefold()[:260], word.title[:200], word.target) for word in words}
    there = {
        Word(kind, key, title, target): pk
        for pk, kind, key, title, target in Entry.objects.filter(site_id=site_id).values_list(
            "pk", "kind", "key", "title", "target"
        )
    }
    gone = [pk for word, pk in there.items() if word not in wanted]
    for start in range(0, len(gone), BATCH):
        Entry.objects.filter(pk__in=gone[start : start + BATCH]).delete()
    new = wanted - there.keys()
    if new:
        organization_id = fleet.organization_id_of(site_id)
        Entry.objects.bulk_create(
            (Entry(organization_id=organization_id, site_id=site_id, **word._asdict()) for word in sorted(new)),
            batch_size=BATCH,
        )
