"""Going back: to any revision by a click, and to the last good one by itself if a new one is not confirmed."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard.audit import services as audit
from dashboard.fleet import selectors as fleet
from dashboard.fleet import services as fleet_services
from dashboard.publish import changes, sources
from dashboard.publish.models import Revision
from vpnengine.contract.problems import Problem, Refused

log = logging.getLogger(__name__)
SETTLED = Q(taken_back=None) & (Q(confirm_by=None) | Q(confirmed__isnull=False))
WAITING = Q(confirm_by__isnull=False, confirmed=None, taken_back=None)


class NothingToConfirm(Exception):
    """No revision waits for a confirmation any more: it was confirmed, or has gone back already."""


def newest(appliance_id: int) -> Revision | None:
    """The newest revision of an appliance."""
    return Revision.objects.filter(appliance_id=appliance_id).order_by("-number").first()


def unconfirmed(appliance_id: int) -> Revision | None:
    """The newest revision, if it still has to be confirmed."""
    row = Revision.objects.filter(appliance_id=appliance_id).defer("document", "rows").order_by("-number").first()
    return row if row and row.confirm_by and not row.confirmed and not row.taken_back else None


def last_good(appliance_id: int, before: int) -> Revision | None:
    """The newest revision before ``before`` that needs no confirmation any more and was not refused."""
    rows = Revision.objects.filter(SETTLED, appliance_id=appliance_id, number__lt=before, rows__isnull=False)
    return rows.exclude(state=Revision.State.REFUSED).order_by("-number").first()


def deadline(appliance_id: int, minutes: int, now: datetime) -> datetime | None:
    """Until when a new revision has to be confirmed.

    What is saved while another change waits waits with it: nobody can have tried the two apart.
    """
    if minutes:
        return now + timedelta(minutes=minutes)
    waiting = unconfirmed(appliance_id)
    return waiting.confirm_by if waiting else None


@transaction.atomic
def confirm(*, site_id: int, appliance_id: int, number: int) -> None:
    """Keep a revision for good.

    :raises NothingToConfirm: if it does not wait any more.
    """
    fleet_services.lock_site(site_id)
    row = unconfirmed(appliance_id)
    if row is None or row.number != number:
        raise NothingToConfirm
    Revision.objects.filter(WAITING, appliance_id=appliance_id).update(confirmed=timezone.now())
    _note(site_id, "confirmed", number)


@transaction.atomic
def restore(*, site_id: int, appliance_id: int, number: int, author_id: int | None) -> None:
    """Make everything as it was in a revision, secrets included, by publishing a new one.

    :raises Refused: if it was made before rows were kept, or is not valid any more; nothing changes then.
    :raises Revision.DoesNotExist: if there is no such revision.
    """
    fleet_services.lock_site(site_id)
    revision = Revision.objects.get(appliance_id=appliance_id, number=number)
    if revision.rows is None:
        message = _("Revision %(number)s was made by an older version, which kept no way back to it.")
        raise Refused([Problem(field="", rule="no_rows", message=message % {"number": number})])
    sources.put(site_id, revision.rows)
    _note(site_id, "restored", number)
    sources.republish(site_id, author_id, _("Revision %(number)s restored") % {"number": number})


def _note(site_id: int, verb: str, number: int) -> None:
    audit.record(
        organization_id=fleet.organization_id_of(site_id),
        site_id=site_id,
        kind="configuration",
        verb=verb,
        name=f"revision {number}",
        object_id="",
        before=None,
        after=None,
    )


def go_back_where_due() -> None:
    """Undo every change whose time has run out unconfirmed."""
    due = Revision.objects.filter(WAITING, confirm_by__lte=timezone.now()).values_list("appliance_id", flat=True)
    for appliance_id in sorted(set(due)):
        try:
            go_back(appliance_id)
        except (Refused, NothingToConfirm) as error:
            log.error("appliance %s could not go back: %s", appliance_id, error)


@transaction.atomic
def go_back(appliance_id: int, *, author_id: int | None = None, at_once: bool = False) -> None:
    """Restore the last good revision in place of an unconfirmed one; with ``at_once`` before its time has run out.

    :raises NothingToConfirm: if none waits, or there is none to go back to.
    """
    site_id = fleet.site_id_of(appliance_id)
    fleet_services.lock_site(site_id)
    row = unconfirmed(appliance_id)
    waiting = Revision.objects.filter(WAITING, appliance_id=appliance_id)
    if row is None:
        # A later revision waits for nothing: what came before it is kept or undone with it.
        waiting.update(confirmed=timezone.now())
        return
    if not at_once and row.confirm_by > timezone.now():
        return
    good = last_good(appliance_id, row.number)
    if good is None:
        raise NothingToConfirm
    words = _("Back to revision %(good)s: revision %(number)s was taken back")
    if not at_once:
        words = _("Back to revision %(good)s: revision %(number)s was not confirmed in time")
    comment = words % {"good": good.number, "number": row.number}
    waiting.update(taken_back=timezone.now())
    with changes.noted(changes.Note(comment=comment)):
        restore(site_id=site_id, appliance_id=appliance_id, number=good.number, author_id=author_id)
