"""Questions about revisions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from dashboard.publish.models import Outbox, Revision

ROWS_BACK = 50


def newest(appliance_id: int) -> Revision | None:
    """The newest revision of an appliance."""
    return Revision.objects.filter(appliance_id=appliance_id).order_by("-number").first()


def newest_head(appliance_id: int) -> Revision | None:
    """The same without the document, which may be large."""
    return heads(appliance_id).first()


def heads(appliance_id: int) -> QuerySet[Revision]:
    """All revisions of an appliance without their documents, the newest first."""
    rows = Revision.objects.filter(appliance_id=appliance_id).select_related("author")
    return rows.defer("document", "rows").order_by("-number")


def revision(appliance_id: int, number: int) -> Revision | None:
    """One revision with its document."""
    return Revision.objects.select_related("author").filter(appliance_id=appliance_id, number=number).first()


def waiting_reason(appliance_id: int) -> str:
    """Why the newest revision has not been delivered, if it has not."""
    row = Outbox.objects.filter(appliance_id=appliance_id).first()
    return row.reason if row else ""


def unconfirmed_at(site_id: int) -> Revision | None:
    """The newest revision of a site's first appliance, if it goes back unless it is confirmed."""
    rows = Revision.objects.filter(appliance__site_id=site_id).order_by("appliance_id", "-number")
    row = rows.defer("document", "rows").first()
    return row if row and row.confirm_by and not row.confirmed and not row.taken_back else None


@dataclass(frozen=True)
class Head:
    """Who made a revision, and when."""

    number: int
    author_name: str
    created: datetime


def rows_back(site_id: int, source: str, model: str, pk: int) -> Iterator[tuple[Head, dict[str, Any]]]:
    """One row as the newest revisions of a site had it, the newest first; at most ``ROWS_BACK`` revisions."""
    heads = Revision.objects.filter(appliance__site_id=site_id, rows__isnull=False).select_related("author")
    for revision in heads.defer("document").order_by("-pk")[:ROWS_BACK].iterator(chunk_size=1):
        rows = revision.rows.get(source, {}).get(model, [])
        found = next((row["fields"] for row in rows if row["pk"] == pk), None)
        if found is not None:
            author = revision.author
            name = (author.first_name or author.email) if author else "Culvert"
            yield Head(revision.number, name, revision.created), found
