"""Questions about alerts and syslog, always of one organization: what is foreign does not exist."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404

from dashboard.notify.models import Channel, Delivery, MailServer, Rule, SyslogTarget

DELIVERIES = 50


def mail_server(organization_id: int) -> MailServer:
    """The mail server; an unsaved one if none is set."""
    row = MailServer.objects.filter(organization_id=organization_id).first()
    return row or MailServer(organization_id=organization_id)


def channels(organization_id: int) -> QuerySet[Channel]:
    """All channels."""
    return Channel.objects.filter(organization_id=organization_id).order_by("name")


def channel(organization_id: int, uuid: UUID) -> Channel:
    """:raises Http404: if there is none."""
    return get_object_or_404(Channel, organization_id=organization_id, uuid=uuid)


def rules(organization_id: int) -> QuerySet[Rule]:
    """All rules with their channels."""
    return Rule.objects.filter(organization_id=organization_id).order_by("name").prefetch_related("channels")


def rule(organization_id: int, uuid: UUID) -> Rule:
    """:raises Http404: if there is none."""
    return get_object_or_404(Rule, organization_id=organization_id, uuid=uuid)


def deliveries(organization_id: int, state: str = "") -> list[Delivery]:
    """The newest deliveries, of one state or all."""
    rows = Delivery.objects.filter(organization_id=organization_id).select_related("channel").order_by("-id")
    return list((rows.filter(state=state) if state else rows)[:DELIVERIES])


def dead_count(organization_id: int) -> int:
    """How many deliveries were given up."""
    return Delivery.objects.filter(organization_id=organization_id, state=Delivery.State.DEAD).count()


def delivery(organization_id: int, uuid: UUID) -> Delivery:
    """:raises Http404: if there is none."""
    return get_object_or_404(Delivery, organization_id=organization_id, uuid=uuid)


def syslog_targets(organization_id: int) -> list[SyslogTarget]:
    """All syslog servers."""
    return list(SyslogTarget.objects.filter(organization_id=organization_id).order_by("name"))


def syslog_target(organization_id: int, uuid: UUID) -> SyslogTarget:
    """:raises Http404: if there is none."""
    return get_object_or_404(SyslogTarget, organization_id=organization_id, uuid=uuid)
