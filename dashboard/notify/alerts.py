"""From events and tunnel states to deliveries. Everything of one step is one transaction: a crash repeats it whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from dashboard.eventlog import selectors as eventlog
from dashboard.fleet import selectors as fleet
from dashboard.notify import triggers
from dashboard.notify.models import Delivery, PeerWatch, Progress, Quiet, Rule
from dashboard.publish import services as publishing

_SHOWN = ("seq", "time", "code", "severity", "side", "peer", "text", "hint")


@dataclass(frozen=True)
class Occasion:
    """Something that a rule asks for; more of the same ``key`` within the rule's quiet time is told together."""

    trigger: triggers.Trigger
    peer_id: str
    event: dict[str, Any]

    @property
    def key(self) -> str:
        """What counts as the same."""
        return f"{self.trigger.key}:{self.peer_id}"


def step(organization_id: int, now: datetime | None = None) -> int:
    """Judge what happened in an organization since the last time; how many deliveries came of it."""
    now = now or timezone.now()
    with transaction.atomic():
        rules = list(Rule.objects.filter(organization_id=organization_id, enabled=True).prefetch_related("channels"))
        events = _new_events(organization_id, bool(rules))
        told = 0
        for rule in rules:
            occasions = [row for event in events if (row := _occasion(rule, event))]
            told += sum(_tell(rule, occasion, now) for occasion in occasions)
        told += _watch(organization_id, rules, now)
        return told + _end_of_quiet(organization_id, now)


def _new_events(organization_id: int, wanted: bool) -> list[dict[str, Any]]:
    """The next events, which are judged with this; what happened before alerts were looked at is not told."""
    _, last = eventlog.bounds(organization_id)
    progress, is_new = Progress.objects.select_for_update().get_or_create(
        organization_id=organization_id, defaults={"seq": last}
    )
    if is_new or progress.seq == last:
        return []
    events = eventlog.after(organization_id, progress.seq) if wanted else []
    progress.seq = events[-1]["seq"] if events else last
    progress.save()
    return events


def _occasion(rule: Rule, event: dict[str, Any]) -> Occasion | None:
    peer_id = event.get("peer_id") or ""
    if rule.peers and peer_id not in rule.peers:
        return None
    trigger = triggers.of_event(event, rule.triggers)
    return Occasion(trigger, peer_id, {name: event.get(name) for name in _SHOWN}) if trigger else None


def _tell(rule: Rule, occasion: Occasion, now: datetime) -> int:
    """The first one at once; those within the quiet time are counted."""
    quiet, is_new = Quiet.objects.get_or_create(
        rule=rule, key=occasion.key, defaults={"until": now + timedelta(seconds=rule.quiet_s)}
    )
    if is_new or not rule.quiet_s:
        return _deliver(rule, occasion.trigger, occasion.event, 1, now)
    quiet.count += 1
    quiet.last = occasion.event
    quiet.save()
    return 0


def _end_of_quiet(organization_id: int, now: datetime) -> int:
    """What was counted is told with its number, and it is quiet again; after a time without any it is forgotten."""
    told = 0
    rows = Quiet.objects.filter(rule__organization_id=organization_id, until__lte=now)
    for quiet in rows.select_related("rule").prefetch_related("rule__channels"):
        trigger = triggers.BY_KEY.get(quiet.key.partition(":")[0])
        if not quiet.count or trigger is None or not quiet.rule.enabled:
            quiet.delete()
            continue
        told += _deliver(quiet.rule, trigger, quiet.last, quiet.count, now)
        quiet.count, quiet.until = 0, now + timedelta(seconds=quiet.rule.quiet_s)
        quiet.save()
    return told


def _deliver(rule: Rule, trigger: triggers.Trigger, event: dict[str, Any], count: int, now: datetime) -> int:
    body = {"rule": rule.name, "trigger": trigger.key, "title": trigger.title, "count": count, "event": event}
    channels = [channel for channel in rule.channels.all() if channel.enabled]
    for channel in channels:
        Delivery.objects.create(organization_id=rule.organization_id, channel=channel, body=body, due=now)
    return len(channels)


def _watch(organization_id: int, rules: list[Rule], now: datetime) -> int:
    """Compare the tunnels with what they were."""
    wanted = [rule for rule in rules if {triggers.DOWN, triggers.UP} & set(rule.triggers)]
    if not wanted:
        PeerWatch.objects.filter(appliance__site__organization_id=organization_id).delete()
        return 0
    told = 0
    for appliance in fleet.appliances_of_organization(organization_id):
        status = publishing.read_status(appliance.uuid)
        if status is None:
            continue  # an appliance that does not answer says nothing of its tunnels
        watched = {row.peer_id: row for row in PeerWatch.objects.filter(appliance=appliance)}
        for peer in status["peers"]:
            told += _look(appliance.pk, peer, watched.pop(peer["id"], None), wanted, now)
        PeerWatch.objects.filter(pk__in=[row.pk for row in watched.values()]).delete()
    return told


def _look(appliance_id: int, peer: dict[str, Any], row: PeerWatch | None, rules: list[Rule], now: datetime) -> int:
    up = any(sa["state"] in ("mature", "rekeyed") for sa in peer["sas"])
    if row is None:
        if up:  # one that has never been up is no news: its failures are events
            PeerWatch.objects.create(appliance_id=appliance_id, peer_id=peer["id"], up=True, since=now)
        return 0
    told = 0
    if row.up != up:
        if up:
            told = _tell_state(peer, triggers.UP, [rule for rule in rules if rule.pk in row.told], row, now)
        row.up, row.since, row.told = up, now, []
        row.save()
    elif not up and (peer["start"] == "immediate" or peer.get("last_failure")):
        waited = [r for r in rules if r.pk not in row.told and now - row.since >= timedelta(seconds=r.hold_s)]
        if waited:
            told = _tell_state(peer, triggers.DOWN, waited, row, now)
            row.told = [*row.told, *(rule.pk for rule in waited)]
            row.save()
    return told


def _tell_state(peer: dict[str, Any], key: str, rules: list[Rule], row: PeerWatch, now: datetime) -> int:
    failure = peer.get("last_failure") or {}
    down = key == triggers.DOWN
    seconds = int((now - row.since).total_seconds())
    event = {
        "time": now.timestamp(),
        "code": key,
        "severity": "error" if down else "notice",
        "peer": peer["name"],
        "side": failure.get("side", "unknown") if down else "none",
        "text": f"the tunnel to {peer['name']} is {'down' if down else 'up again'}, after {seconds} seconds",
        "hint": failure.get("hint", "") if down else "",
    }
    if down and failure:
        event["text"] = f"the tunnel to {peer['name']} has been down for {seconds} seconds: {failure['text']}"
    told = 0
    for rule in rules:
        if key in rule.triggers and (not rule.peers or peer["id"] in rule.peers):
            told += _deliver(rule, triggers.BY_KEY[key], event, 1, now)
    return told
