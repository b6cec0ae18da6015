"""The data of a peer's graphs: what was carried, as rates and as rows, the events over it, and who may see it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from dashboard.eventlog import services as eventlog
from dashboard.insight import history, services
from dashboard.insight.models import PeerState, Sample
from tests.dashboard import test_dashboard as base
from tests.dashboard.test_dashboard import make_peer

pytestmark = pytest.mark.django_db
isolated, site, user = base.isolated, base.site, base.user
NOW = 1_700_000_405.0  # five seconds into a step of ten, past a step of 600 by 5
HOUR, DAY, WEEK = history.RANGES


@pytest.fixture
def client(client: Client, user: Any) -> Client:
    """Signed in."""
    client.force_login(user)
    return client


def carry(peer: Any, step: int, at: int, **counts: int) -> None:
    Sample.objects.create(state=PeerState.objects.get(peer=peer.uuid), step=step, at=at, **counts)


def keep(peer: Any, times: list[float], severity: str = "error") -> None:
    body = {"code": "ike.dpd.dead", "severity": severity, "text": "t", "peer_id": str(peer.uuid), "peer": peer.name}
    eventlog.append(peer.site.appliances.get(), [body | {"time": at} for at in times])


def drawn(peer: Any, asked: history.Range) -> dict[str, Any]:
    return history.history(peer.site.organization_id, peer.uuid, asked, NOW)


def test_rates_loss_and_rows_are_what_the_samples_say(site: Any) -> None:
    peer = make_peer(site)
    carry(peer, 10, 1_700_000_200, bytes_in=1_000, bytes_out=500, packets_in=75, packets_out=5, dropped=25)
    carry(peer, 10, 1_700_000_210, bytes_out=100, packets_out=1)
    carry(peer, 10, 1_700_000_400, bytes_in=1_000, packets_in=4)  # has lasted for five seconds
    found = drawn(peer, HOUR)
    curves = {at: tuple(found[name][i] for name in ("in", "out", "loss")) for i, at in enumerate(found["at"])}
    assert {at: values for at, values in curves.items() if values != (0, 0, None)} == {
        1_700_000_200: (800, 400, 25.0),
        1_700_000_210: (0, 80, None),
        1_700_000_400: (1_600, 0, 0.0),
    }
    assert len(found["at"]) == 360 and found["at"][0] >= NOW - 3_600 and not found["empty"]
    assert sum(row["bytes_in"] for row in found["rows"]) == 2_000
    assert [row["at"] for row in found["rows"][1:]] == [row["until"] for row in found["rows"][:-1]]
    assert next(row for row in found["rows"] if row["dropped"])["loss"] == 25.0


@pytest.mark.parametrize("asked", [DAY, WEEK], ids=["day", "week"])
def test_long_ranges_have_what_is_not_summed_up_yet_and_count_nothing_twice(site: Any, asked: history.Range) -> None:
    peer = make_peer(site)
    for back in range(0, 1_800, 10):
        carry(peer, 10, int(NOW) // 10 * 10 - back, bytes_in=10, packets_in=1)
    before = sum(row["bytes_in"] for row in drawn(peer, asked)["rows"])
    roll_up()
    after = sum(row["bytes_in"] for row in drawn(peer, asked)["rows"])
    assert before < after == 1_800


def roll_up() -> None:
    """Sum up everything that is complete, as the periodic run does over time; what is not is in fine samples only."""
    for at in range(int(NOW) - 2_400, int(NOW) + 1, 60):
        services._sum_up(10, 60, at // 60 * 60)
        services._sum_up(60, 600, at // 600 * 600)


def test_what_is_older_or_of_another_peer_is_not_drawn(site: Any) -> None:
    peer, other = make_peer(site), make_peer(site, name="Other", remote="192.0.2.77", remote_subnets=["10.9.0.0/24"])
    carry(peer, 10, int(NOW) // 10 * 10 - 3_610, bytes_in=1)
    carry(other, 10, int(NOW) // 10 * 10 - 100, bytes_in=1)
    found = drawn(peer, HOUR)
    assert found["empty"] and not any(found["in"]) and found["events"] == []


def test_events_of_the_peer_lie_over_it_and_are_bounded(site: Any) -> None:
    peer, other = make_peer(site), make_peer(site, name="Other", remote="192.0.2.77", remote_subnets=["10.9.0.0/24"])
    keep(peer, [NOW - 4_000, NOW - 90, NOW - 80])
    keep(peer, [NOW - 70], "info")
    keep(other, [NOW - 60])
    found = drawn(peer, HOUR)
    assert [event["seq"] for event in found["events"]] == [2, 3] and not found["left_out"]
    assert found["events"][0]["title"] and found["events"][0]["severity"] == "error"
    keep(peer, [NOW - 50 + n / 10 for n in range(history.MOST_EVENTS + 5)])
    found = drawn(peer, HOUR)
    assert len(found["events"]) == history.MOST_EVENTS and found["left_out"]
    assert found["events"][-1]["seq"] == 5 + history.MOST_EVENTS + 5


def test_the_page_keeps_its_range_in_the_address(client: Client, site: Any, settings: Any) -> None:
    settings.CULVERT_ENGINE_GATEWAY = "tests.dashboard.test_insight.TellingGateway"
    peer = make_peer(site)
    for query, chosen in (("", "hour"), ("?range=week", "week"), ("?range=<b>", "hour")):
        page = client.get(f"/status/{peer.uuid}/{query}").content.decode()
        assert f'data-range="{chosen}" data-state="loading"' in page, query
        assert page.count(f'data-range="{chosen}" aria-current="true"') == 1


def test_the_endpoint_is_scoped_bounded_and_names_its_rule(
    client: Client, site: Any, django_assert_max_num_queries: Any
) -> None:
    peer = make_peer(site)
    path = f"/status/{peer.uuid}/traffic/"
    for asked, most in (("hour", 361), ("day", 1_441), ("week", 1_009)):
        with django_assert_max_num_queries(14):
            answer = client.get(path, {"range": asked})
        found = answer.json()
        assert answer.status_code == 200 and found["range"] == asked
        assert len(found["at"]) == len(found["in"]) == len(found["out"]) == len(found["loss"]) <= most
    for bad in ("year", "", "0", "hour'--", "\x00"):
        answer = client.get(path, {"range": bad})
        assert answer.status_code == 400 and answer.json()["error"] == "range: It is one of hour, day, week.", bad
    assert client.post(path).status_code == 405
    assert Client().get(path).status_code == 302


def test_a_foreign_peer_has_no_traffic(client: Client, site: Any) -> None:
    from dashboard.accounts import services as accounts
    from dashboard.fleet import services as fleet
    from dashboard.sitevpn import services as vpn

    other = accounts.create_administrator(email="b@example.com", name="B", password="a-long-passphrase-8")
    theirs = fleet.create_organization(name="P", site_name="T", administrator_id=other.pk).site
    vpn.save_subnets(theirs.pk, [("10.7.0.0/24", "", True)], other.pk)
    assert client.get(f"/status/{make_peer(theirs).uuid}/traffic/").status_code == 404
