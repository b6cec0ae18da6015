"""Questions about revisions."""

from __future__ import annotations

from dashboard.publish.models import Outbox, Revision


def newest(appliance_id: int) -> Revision | None:
    """The newest revision of an appliance."""
    return Revision.objects.filter(appliance_id=appliance_id).order_by("-number").first()


def waiting_reason(appliance_id: int) -> str:
    """Why the newest revision has not been delivered, if it has not."""
    row = Outbox.objects.filter(appliance_id=appliance_id).first()
    return row.reason if row else ""
