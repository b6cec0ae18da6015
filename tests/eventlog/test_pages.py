"""The pages of the Event Log ask the database a bounded number of times, whatever is filtered."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from dashboard.fleet.models import Appliance
from tests.eventlog.conftest import add_appliance, make_event, write

pytestmark = pytest.mark.django_db
MOST = 14  # five of them say who asks


@pytest.fixture
def browser(home: Appliance, organization_user: Any) -> Client:
    client = Client()
    client.force_login(organization_user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


@pytest.mark.parametrize(
    "address",
    [
        "/events/",
        "/events/?peer=00000000-0000-4000-8000-000000000001&site=x&appliance=y",
        "/events/choices/?kind=site&q=1",
        "/events/rows/",
        "/events/rows/?severity=error&type=ike&not=ike.dpd&q=event&from=-9000d",
        "/events/rows/?at=2023-11-14T22:20Z&q=nothing+like+it",
        "/events/rows/?appliance=00000000-0000-4000-8000-000000000001",
    ],
)
def test_queries(browser: Client, home: Appliance, address: str, django_assert_max_num_queries: Any) -> None:
    for number in range(5):
        write(add_appliance(home, f"Site {number}"), [make_event(n) for n in range(200)])
    with django_assert_max_num_queries(MOST):
        assert browser.get(address).status_code == 200
