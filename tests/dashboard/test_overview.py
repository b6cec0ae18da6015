"""The overview for one peer and for a thousand, and the doctor's answer on a peer's page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from dashboard.insight import services, topology
from dashboard.insight.models import PeerState
from tests.dashboard import test_dashboard as base
from tests.dashboard import test_status_list as listed
from tests.dashboard.test_dashboard import FakeGateway, make_peer
from tests.dashboard.test_insight import DOWN, ENGINE, failure, status_of
from vpnengine.contract.problems import Problem, Refused

pytestmark = pytest.mark.django_db
isolated, site, user = base.isolated, base.site, base.user
told, client = listed.told, listed.client
VERDICT = {"code": "return", "title": "Nothing comes back", "side": "peer", "sure": "probable", "text": "3 went out."}
VERDICT |= {"here": "Compare Private subnets.", "there": "Let answers through."}
STEP = {"name": "counters", "title": "Counters each way", "result": "bad", "text": "3 and 0", "evidence": ["x"]}


class Answering(FakeGateway):
    """Answers ``examine``."""

    def request(self, op: str, **fields: Any) -> Any:
        super().request(op, **fields)
        return {"peer": "p", "source": "s", "target": "t", "steps": [STEP | {"seconds": 0}], "verdict": VERDICT}


def boxes(page: str) -> list[tuple[float, float, float, float]]:
    """Every peer that is drawn: x, y, width, height."""
    found = re.findall(r'<title>.*?</title><rect x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"', page)
    return [tuple(map(float, row)) for row in found]  # type: ignore[misc]


def test_it_says_what_needs_attention_and_why(client: Client, site: Any, told: Any) -> None:
    assert "No peer is configured" in client.get("/overview/").content.decode()
    assert client.get("/")["Location"] == "/vpn/"
    rows = [
        make_peer(site, name=name, remote=f"192.0.2.{i}", remote_subnets=[f"10.2.{i}.0/24"])
        for i, name in ((2, "A"), (3, "B"))
    ]
    told[str(rows[0].uuid)] = status_of(rows[0])
    told[str(rows[1].uuid)] = status_of(rows[1], phase1=DOWN, sas=[], last_failure=failure("ike.phase1.timeout"))
    services.observe(listed.T)
    assert client.get("/")["Location"] == "/overview/"
    page = " ".join(client.get("/overview/").content.decode().split())
    attention = page.split("Needs attention")[1].split("Topology")[0]
    assert "The peer does not answer." in attention and ">B<" in attention and ">A<" not in attention
    assert len(boxes(page)) == 2 and "A: up." in page and "B: down." in page
    table = page.split("The same as a table")[1]
    assert table.count("/status/") == 2
    told[str(rows[1].uuid)] = status_of(rows[1])
    services.observe(listed.T + 3)
    assert "Nothing: every tunnel is up" in client.get("/overview/map/").content.decode()


@pytest.mark.parametrize("count", [1, 24, 25, 1000])
def test_no_two_peers_are_drawn_in_one_place(
    client: Client, site: Any, told: Any, count: int, django_assert_max_num_queries: Any
) -> None:
    told["engine"] = ENGINE
    listed.many(site, count)
    with django_assert_max_num_queries(10):
        page = client.get("/overview/map/").content.decode()
    found = boxes(page)
    height = float(re.search(r'viewBox="0 0 960 (\d+)"', page)[1])  # type: ignore[index]
    assert len(found) == count
    assert all(x >= 200 and x + w <= topology.WIDTH and y >= 0 and y + h <= height for x, y, w, h in found)
    cells = set()
    for x, y, w, h in found:
        covered = {(i, j) for i in range(int(x), int(x + w), 11) for j in range(int(y), int(y + h), 11)}
        assert not covered & cells
        cells |= covered


def test_more_than_can_be_drawn_is_said(client: Client, site: Any, told: Any) -> None:
    listed.many(site, topology.MAX_PEERS + 5)
    page = client.get("/overview/map/").content.decode()
    assert len(boxes(page)) == topology.MAX_PEERS and "5 not drawn" in page
    assert PeerState.objects.count() == topology.MAX_PEERS + 5


def test_the_doctor_is_asked_and_its_verdict_shown(client: Client, site: Any, told: Any, settings: Any) -> None:
    peer = make_peer(site)
    settings.CULVERT_ENGINE_GATEWAY = "tests.dashboard.test_overview.Answering"
    page = client.post(f"/status/{peer.uuid}/examine/", {"target": "10.2.0.9"}).content.decode()
    for text in ("Nothing comes back", "Counters each way", "#id_remote_subnets", "Let answers through.", "probable"):
        assert text in page, text
    assert FakeGateway.seen[-1] == {"peer": str(peer.uuid), "target": "10.2.0.9"}
    FakeGateway.answer = Refused([Problem(field="target", rule="address", message="“x” is no IP address")])
    assert "“x” is no IP address." in client.post(f"/status/{peer.uuid}/examine/", {"target": "x"}).content.decode()
    FakeGateway.answer = FakeGateway.Unavailable("gone")
    assert "does not answer" in client.post(f"/status/{peer.uuid}/examine/").content.decode()
