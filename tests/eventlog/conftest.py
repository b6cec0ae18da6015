"""An organization, and its log filled as the writer fills it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from dashboard.eventlog import services
from dashboard.fleet import services as fleet
from dashboard.fleet.models import Appliance, Site

Fill = Callable[..., list[dict[str, Any]]]


def make_event(number: int, **changes: Any) -> dict[str, Any]:
    """One event of the engine, with everything that a filter looks at."""
    event = {"number": number, "boot": "b1", "time": 1_700_000_000.0 + number, "code": "ike.notify", "severity": "info"}
    event |= {"phase": 1, "text": f"event {number}", "peer_id": None, "peer": None, "side": "none", "evidence": {}}
    return event | {"negotiation": None} | changes


@pytest.fixture
def organization_user(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user(username="a", email="a@example.com", password="x")


@pytest.fixture
def home(organization_user: Any, db: None) -> Appliance:
    """The appliance of an organization of one site."""
    return fleet.create_organization(name="O", site_name="S", administrator_id=organization_user.pk)


def add_appliance(home: Appliance, site_name: str) -> Appliance:
    site = Site.objects.create(organization=home.site.organization, name=site_name)
    return Appliance.objects.create(site=site, name=f"{site_name} appliance")


def write(appliance: Appliance, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Commit events under the organization's next numbers; as they are live, with their numbers."""
    rows = services.append(appliance, events)
    return [
        {**event, "seq": row.seq, "appliance": str(appliance.uuid)} for event, row in zip(events, rows, strict=True)
    ]


@pytest.fixture
def now() -> float:
    return float(int(time.time()))
