"""The settings of an organization: name, time zone, how long events are kept; and times in that zone everywhere."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.template import Context, Template
from django.utils import timezone

from dashboard.accounts import services as accounts
from dashboard.audit.models import Change
from dashboard.eventlog import retention
from dashboard.fleet import services as fleet
from dashboard.fleet.models import Organization, Site
from dashboard.sitevpn import services as vpn

pytestmark = pytest.mark.django_db
NOON = datetime.datetime(2026, 7, 1, 12, 0, 0, tzinfo=datetime.UTC)
GOOD = {"name": "O", "time_zone": "Europe/Zurich", "event_days": "30", "event_rows": "5000"}


@pytest.fixture
def site(client: Any, settings: Any, tmp_path: Any) -> Any:
    settings.CULVERT_KEYRING = tmp_path / "keyring.json"
    user = accounts.create_administrator(email="a@example.com", name="Ada", password="a-long-passphrase-7")
    client.force_login(user)
    return fleet.create_organization(name="O", site_name="S", administrator_id=user.pk).site


def test_what_is_saved_counts_and_is_noted(client: Any, site: Any) -> None:
    assert client.post("/organization/", GOOD).status_code == 302
    row = Organization.objects.get(pk=site.organization_id)
    assert (row.time_zone, row.event_days, row.event_rows) == ("Europe/Zurich", 30, 5000)
    assert retention.kept(row.pk) == retention.Kept(rows=5000, days=30, own=True)
    change = Change.objects.get(kind="organization", verb="changed")
    assert change.after["event_days"] == 30 and change.before.get("event_days") is None
    client.post("/organization/", GOOD | {"event_days": "", "event_rows": ""})
    assert retention.kept(row.pk).own is False


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"event_rows": "999"}, "event_rows", "from 1000 to 10000000"),
        ({"event_rows": "10000001"}, "event_rows", "from 1000 to 10000000"),
        ({"event_days": "0"}, "event_days", "from 1 to 3650"),
        ({"event_days": "-3"}, "event_days", "from 1 to 3650"),
        ({"event_days": "x"}, "event_days", "whole number"),
        ({"time_zone": "Mars/Olympus"}, "time_zone", "valid choice"),
        ({"name": ""}, "name", "required"),
    ],
)
def test_what_is_out_of_bounds_is_refused(client: Any, site: Any, changes: Any, field: str, rule: str) -> None:
    answer = client.post("/organization/", GOOD | changes)
    assert answer.status_code == 400 and rule in str(answer.context["form"].errors[field])
    assert Organization.objects.get(pk=site.organization_id).event_days is None


def test_the_limits_of_the_system_are_the_most(client: Any, site: Any, settings: Any) -> None:
    settings.CULVERT_EVENT_DAYS, settings.CULVERT_EVENT_ROWS = 10, 2_000
    assert client.post("/organization/", GOOD).status_code == 400
    Organization.objects.update(event_days=30, event_rows=5_000)
    assert retention.kept(site.organization_id) == retention.Kept(rows=2_000, days=10, own=True)


def test_the_zone_of_the_site_and_else_of_the_organization(client: Any, site: Any) -> None:
    vpn.save_subnets(site.pk, [("10.1.0.0/24", "", True)], None)
    Organization.objects.update(time_zone="Asia/Kathmandu")
    page = client.get("/changelog/").content.decode()
    assert 'data-zone="Asia/Kathmandu"' in page and "UTC+05:45</time>" in page and ' UTC">' in page
    Site.objects.update(time_zone="Asia/Tokyo")
    for address in ("/changelog/", "/configuration/", "/configuration/1/", "/signins/", "/administrators/"):
        page = client.get(address).content.decode()
        assert 'data-zone="Asia/Tokyo"' in page
        assert "JST</time>" in page or address in ("/signins/", "/administrators/"), address
    Site.objects.update(time_zone="Mars/Olympus")
    assert 'data-zone="Asia/Kathmandu"' in client.get("/changelog/").content.decode()
    assert timezone.get_current_timezone_name() == "UTC"


def test_a_time_names_its_zone_and_utc() -> None:
    text = "{% when at %}|{% when at 'day' %}|{% when seconds 'clock' %}|{% when none %}"
    template = Template("{% load moments %}" + text)
    with timezone.override("Europe/Zurich"):
        shown = template.render(Context({"at": NOON, "seconds": NOON.timestamp(), "none": None}))
    full, day, clock, none = shown.split("|")
    head = '<time datetime="2026-07-01T12:00:00+00:00" title="2026-07-01 12:00:00 UTC">'
    assert full == f"{head}2026-07-01 14:00:00 CEST</time>"
    assert (day, clock, none) == (f"{head}2026-07-01</time>", f"{head}14:00:00 CEST</time>", "")
