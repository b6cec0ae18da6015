"""Changing whom to tell what."""

from __future__ import annotations

import base64
import contextlib
import secrets
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from django.db import models, transaction
from django.utils import timezone

from dashboard.audit import services as audit
from dashboard.core import keyring
from dashboard.eventlog import selectors as eventlog
from dashboard.notify import syslog
from dashboard.notify.models import Channel, Delivery, MailServer, Rule, SyslogTarget
from dashboard.publish import services as publishing

_KINDS: dict[type[models.Model], str] = {
    MailServer: "mail server",
    Channel: "alert channel",
    Rule: "alert rule",
    SyslogTarget: "syslog server",
    Delivery: "alert message",
}


def _save(row: Any, columns: tuple[str, ...] | None = None) -> None:
    """Save, with its record in the change log."""
    before = audit.snapshot(type(row).objects.get(pk=row.pk)) if row.pk else None
    row.save(update_fields=columns if row.pk else None)
    _note(row, "changed" if before else "added", before, audit.snapshot(row))


def _note(row: Any, verb: str, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
    audit.record(
        organization_id=row.organization_id,
        kind=_KINDS[type(row)],
        verb=verb,
        name=str(row),
        object_id=row.uuid,
        before=before,
        after=after,
    )


@transaction.atomic
def save_mail_server(row: MailServer, password: str) -> None:
    """Save; an empty password keeps the one before, and no user name needs none."""
    if password:
        owner = f"mail:{row.uuid}"
        row.password_version = publishing.store_secret(password, owner)
        row.password_fingerprint = keyring.fingerprint(password, owner)
    if not row.username:
        row.password_version, row.password_fingerprint = None, ""
    _save(row)


@transaction.atomic
def save_channel(row: Channel, url: str) -> str:
    """Save; an empty address keeps the one before. A new webhook's signing secret, which is shown this once."""
    shown = ""
    if row.kind == Channel.Kind.WEBHOOK:
        if url:
            row.host = urlsplit(url).hostname or ""
            row.url_version = publishing.store_secret(url, f"webhook:{row.uuid}")
        if row.secret_version is None:
            shown = _new_secret(row)
    _save(row)
    return shown


@transaction.atomic
def renew_secret(row: Channel) -> str:
    """Give a webhook another signing secret, which is shown this once."""
    secret = _new_secret(row)
    _save(row)
    return secret


def _new_secret(row: Channel) -> str:
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
    owner = f"webhook:{row.uuid}"
    row.secret_version = publishing.store_secret(secret, owner)
    row.secret_fingerprint = keyring.fingerprint(secret, owner)
    return secret


@transaction.atomic
def save_rule(row: Rule, channels: Iterable[Channel]) -> None:
    """Save a rule with the channels that it uses."""
    before = _rule(Rule.objects.get(pk=row.pk)) if row.pk else None
    row.save()
    row.channels.set(channels)
    _note(row, "changed" if before else "added", before, _rule(row))


def _rule(row: Rule) -> dict[str, Any]:
    return audit.snapshot(row) | {"channels": sorted(row.channels.values_list("name", flat=True))}


@transaction.atomic
def test_channel(row: Channel, user: str) -> Delivery:
    """Send a message that says it is a test."""
    event = {
        "time": timezone.now().timestamp(),
        "code": "test",
        "severity": "info",
        "side": "none",
        "peer": "",
        "text": f"{user} wants to know whether messages arrive here",
        "hint": "",
    }
    body = {"rule": "test", "trigger": "test", "title": "This is a test", "count": 1, "event": event}
    delivery = Delivery.objects.create(organization_id=row.organization_id, channel=row, body=body, due=timezone.now())
    _note(delivery, "sent", None, {"channel": row.name})
    _poke_later(delivery)
    return delivery


def _poke_later(delivery: Delivery) -> None:
    transaction.on_commit(lambda: poke(delivery))


def poke(delivery: Delivery) -> None:
    """Ask a worker to send now. If that fails, the sweep finds it."""
    from dashboard.notify.tasks import deliver

    with contextlib.suppress(Exception):  # whatever the broker has
        deliver.apply_async(args=[str(delivery.uuid)], retry=False)


@transaction.atomic
def again(row: Delivery) -> None:
    """Try a dead delivery anew, with all its attempts."""
    _note(row, "sent again", {"state": row.state}, {"state": Delivery.State.PENDING})
    row.state, row.attempts, row.due, row.reason = Delivery.State.PENDING, 0, timezone.now(), ""
    row.save()
    _poke_later(row)


@transaction.atomic
def save_syslog(row: SyslogTarget) -> None:
    """Save; a new server gets what happens from now on."""
    if row.pk is None:
        _, row.seq = eventlog.bounds(row.organization_id)
    row.problem = ""
    _save(row, (*SYSLOG_FIELDS, "problem"))


SYSLOG_FIELDS = ("name", "enabled", "host", "port", "protocol", "ca", "severity", "facility")


def test_syslog(row: SyslogTarget, user: str) -> None:
    """Send a line that says it is a test.

    :raises Unreachable, OSError: if the server does not take it.
    """
    event: dict[str, Any] = {
        "time": timezone.now().timestamp(),
        "severity": "info",
        "code": "test",
        "text": f"{user} wants to know whether lines arrive here",
    }
    sender = syslog.connect(row.protocol, row.host, row.port, row.ca)
    try:
        sender.send([syslog.line(event, "culvert", row.facility)])
    finally:
        sender.close()


@transaction.atomic
def delete(row: Channel | Rule | SyslogTarget) -> None:
    """Remove a row; what is on its way by a channel goes with it."""
    _note(row, "removed", audit.snapshot(row), {})
    row.delete()


@transaction.atomic
def discard(row: Delivery) -> None:
    """Forget a delivery."""
    _note(row, "discarded", audit.snapshot(row), {})
    row.delete()
