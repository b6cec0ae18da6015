"""Questions about revisions."""

from __future__ import annotations

from django.db.models import QuerySet

from dashboard.publish.models import Outbox, Revision


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
