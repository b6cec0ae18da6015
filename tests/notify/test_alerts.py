"""What becomes of events: deliveries, gathered and held; nothing twice, nothing of the past."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.utils import timezone

from dashboard.notify import alerts, triggers
from dashboard.notify.models import Channel, Delivery, PeerWatch, Progress, Quiet, Rule
from tests.notify.conftest import Happen
from vpnengine.contract.catalogue import CATALOGUE

pytestmark = pytest.mark.django_db


@pytest.fixture
def organization(appliance: Any) -> Any:
    alerts.step(appliance.site.organization_id)  # from here on it is watched
    return appliance.site.organization


def make_rule(organization: Any, *keys: str, peers: tuple[str, ...] = (), hold_s: int = 60, quiet_s: int = 300) -> Rule:
    channel, _ = Channel.objects.get_or_create(organization=organization, name="c", kind="email", recipients=["x@y.zz"])
    rule = Rule.objects.create(
        organization=organization,
        name=f"r{Rule.objects.count()}",
        triggers=list(keys),
        peers=list(peers),
        hold_s=hold_s,
        quiet_s=quiet_s,
    )
    rule.channels.add(channel)
    return rule


def told() -> list[tuple[str, int]]:
    return [(row.body["event"]["text"], row.body["count"]) for row in Delivery.objects.order_by("id")]


def test_what_was_before_is_not_told(appliance: Any, happen: Happen) -> None:
    happen(text="long ago")
    make_rule(appliance.site.organization, "failed")
    alerts.step(appliance.site.organization_id)
    happen(text="now")
    alerts.step(appliance.site.organization_id)
    assert told() == [("now", 1)]


def test_the_first_at_once_the_others_together(organization: Any, happen: Happen) -> None:
    make_rule(organization, "failed", quiet_s=300)
    start = timezone.now()
    for number in range(5):
        happen(text=f"failure {number}", peer_id="p1", peer="Berlin")
    happen(text="of another peer", peer_id="p2", peer="Oslo")
    alerts.step(organization.pk, start)
    assert told() == [("failure 0", 1), ("of another peer", 1)]
    alerts.step(organization.pk, start + timedelta(seconds=299))
    assert len(told()) == 2
    alerts.step(organization.pk, start + timedelta(seconds=301))
    assert told()[2:] == [("failure 4", 4)]
    # It went on being quiet: the next occasion within it is gathered, and after a time without any it is forgotten.
    alerts.step(organization.pk, start + timedelta(seconds=700))
    assert not Quiet.objects.exists()


def test_a_step_that_fails_is_repeated_whole(organization: Any, happen: Happen) -> None:
    make_rule(organization, "failed")
    make_rule(organization, "failed")
    happen(text="once")
    before = Progress.objects.get().seq
    with patch.object(alerts, "_watch", side_effect=OSError), pytest.raises(OSError):
        alerts.step(organization.pk)
    assert Progress.objects.get().seq == before
    assert told() == []
    alerts.step(organization.pk)
    assert told() == [("once", 1), ("once", 1)]


def test_only_what_was_asked_for(organization: Any, happen: Happen) -> None:
    make_rule(organization, "authentication", peers=("p1",))
    happen(text="another kind", peer_id="p1")
    happen("ike.phase1.hash_mismatch", text="of another peer", peer_id="p2")
    happen("ike.phase1.certificate.accepted", "info", "good news", peer_id="p1")
    happen("ike.phase1.certificate.expired", "error", "wanted", peer_id="p1")
    alerts.step(organization.pk)
    assert told() == [("wanted", 1)]


def test_every_trigger_has_codes_that_exist() -> None:
    for trigger in triggers.TRIGGERS:
        for code in trigger.codes:
            known = code == "log.gap" or any(row == code or row.startswith(code) for row in CATALOGUE)
            assert known, f"{trigger.key}: {code}"


def peer(up: bool, start: str = "immediate", failure: bool = False) -> dict[str, Any]:
    last = {"text": "no answer", "side": "path", "hint": "ask the provider"} if failure else None
    return {"id": "p1", "name": "Berlin", "start": start, "sas": [{"state": "mature"}] * up, "last_failure": last}


class Tunnels:
    """What the engine says of its only peer, and one step at a time."""

    def __init__(self, organization: Any) -> None:
        self.organization, self.now = organization, timezone.now()

    def look(self, row: dict[str, Any] | None, seconds: int = 0) -> None:
        self.now += timedelta(seconds=seconds)
        status = {"peers": [row]} if row else None
        with patch("dashboard.publish.services.read_status", return_value=status):
            alerts.step(self.organization.pk, self.now)


def titles() -> list[str]:
    return [row.body["trigger"] for row in Delivery.objects.order_by("id")]


def test_down_is_told_after_a_while_and_up_once(organization: Any) -> None:
    make_rule(organization, "peer-down", "peer-up", hold_s=60)
    tunnels = Tunnels(organization)
    tunnels.look(peer(up=True))
    tunnels.look(peer(up=False), 5)
    tunnels.look(peer(up=False), 59)
    assert titles() == []
    tunnels.look(peer(up=False, failure=True), 2)
    tunnels.look(peer(up=False), 100)
    assert titles() == ["peer-down"]
    assert "no answer" in told()[0][0]
    tunnels.look(None, 5)  # an engine that does not answer is no news of its tunnels
    tunnels.look(peer(up=True), 5)
    tunnels.look(peer(up=True), 5)
    assert titles() == ["peer-down", "peer-up"]


def test_a_short_break_and_an_idle_tunnel_are_not_told(organization: Any) -> None:
    make_rule(organization, "peer-down", "peer-up", hold_s=60)
    tunnels = Tunnels(organization)
    tunnels.look(peer(up=True))
    tunnels.look(peer(up=False), 10)
    tunnels.look(peer(up=True), 10)
    tunnels.look(peer(up=False, start="traffic"), 10)
    tunnels.look(peer(up=False, start="traffic"), 1000)
    assert titles() == []
    tunnels.look(peer(up=False, start="traffic", failure=True), 10)
    assert titles() == ["peer-down"]


def test_each_rule_waits_as_long_as_it_says(organization: Any) -> None:
    patient = make_rule(organization, "peer-down", "peer-up", hold_s=600)
    make_rule(organization, "peer-down", "peer-up", hold_s=0)
    tunnels = Tunnels(organization)
    tunnels.look(peer(up=True))
    tunnels.look(peer(up=False), 1)
    tunnels.look(peer(up=False), 1)
    tunnels.look(peer(up=True), 100)
    # The patient one has not heard that it was down, and need not hear that it is up again.
    assert [row.body["rule"] for row in Delivery.objects.all()] == ["r1", "r1"]
    tunnels.look(peer(up=False), 1)
    tunnels.look(peer(up=False), 700)
    assert patient.name in {row.body["rule"] for row in Delivery.objects.all()}


def test_a_peer_that_is_removed_is_forgotten(organization: Any) -> None:
    make_rule(organization, "peer-down")
    tunnels = Tunnels(organization)
    tunnels.look(peer(up=True))
    tunnels.look({**peer(up=True), "id": "p2"}, 1)
    assert [row.peer_id for row in PeerWatch.objects.all()] == ["p2"]
