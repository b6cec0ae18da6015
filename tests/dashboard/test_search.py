"""One box, the right page: what is found, how fast with thousands, and what is not found by strangers."""

from __future__ import annotations

import json
import time
from typing import Any
from unittest.mock import patch

import pytest
from django.test import Client
from django.urls import reverse

from dashboard.fleet.models import Appliance
from dashboard.search import services as searching
from dashboard.search.models import Entry
from dashboard.search.services import Word
from dashboard.sitevpn import services as vpn
from dashboard.sitevpn.models import Peer
from tests.dashboard.role_samples import World, make_world

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def isolated(settings: Any, tmp_path: Any) -> None:
    settings.CULVERT_KEYRING = tmp_path / "keyring.json"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


@pytest.fixture
def world() -> World:
    return make_world()


def client_of(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def found(client: Client, query: str) -> list[tuple[str, str]]:
    with patch("dashboard.search.selectors.client", return_value=Redis()):
        hits = client.get("/search/results/", {"q": query}).json()["hits"]
    return [(hit["kind"], hit["title"]) for hit in hits if hit["kind"] not in ("Event Log", "Event code", "Page")]


class Redis:
    """What the agent has said last."""

    def get(self, key: str) -> bytes | None:
        appliance = Appliance.objects.get(site__peers__name="Branch")
        if not key.endswith(str(appliance.uuid)):
            return None
        peer = Peer.objects.get(name="Branch")
        sas = [{"spi_in": "c0ffee42", "spi_out": "0badcafe"}]
        phase1 = {"initiator_cookie": "00112233aabbccdd"}
        rows = [
            {
                "id": "99999999-0000-0000-0000-000000000000",
                "name": "Other",
                "phase1": {},
                "sas": [{"spi_in": "11111111"}],
            },
            {"id": str(peer.uuid), "name": "Branch", "phase1": phase1, "sas": sas},
        ]
        return json.dumps({"engine": "up", "peers": rows}).encode()


@pytest.mark.parametrize(
    ("query", "hits"),
    [
        ("branch", [("Peer", "Branch")]),
        ("  BRAN ", [("Peer", "Branch")]),
        ("anch", [("Peer", "Branch")]),
        ("192.0.2.2", [("Peer", "Branch")]),
        ("192.0.2", [("Peer", "Branch")]),
        ("10.2.0.77", [("Peer", "Branch")]),
        ("10.2.0.128/25", [("Peer", "Branch")]),
        ("10.2.0.0/24", [("Peer", "Branch")]),
        ("10.1.0.9", [("Local subnet", "10.1.0.0/24")]),
        ("road", [("VPN user", "road")]),
        ("c0ffee42", [("Peer", "Branch")]),
        ("0x0BADCAFE", [("Peer", "Branch")]),
        ("00112233aabbccdd", [("Peer", "Branch")]),
        ("00112233aabbccdd:ffffffffffffffff", [("Peer", "Branch")]),
        ("deadbeef", []),
        ("10.99.0.1", []),
        ("%", []),
        ("_ranch", []),
        ("", []),
    ],
)
def test_what_leads_where(world: World, query: str, hits: list[tuple[str, str]]) -> None:
    assert found(client_of(world.users["Organization: full"]), query) == hits


def test_events_codes_cookies_and_pages(world: World) -> None:
    client = client_of(world.users["Organization: full"])
    hits = client.get("/search/results/", {"q": "ike.phase1.psk"}).json()["hits"]
    assert ("Event code", "/events/?code=ike.phase1.psk_suspect") in [(hit["kind"], hit["url"]) for hit in hits]
    assert hits[-1]["url"] == "/events/?q=ike.phase1.psk"
    hits = client.get("/search/results/", {"q": "administr"}).json()["hits"]
    assert ("Page", "/administrators/") in [(hit["kind"], hit["url"]) for hit in hits]
    with patch("dashboard.search.selectors.client", return_value=Redis()):
        hits = client.get("/search/results/", {"q": "ffeeddccbbaa0011"}).json()["hits"]
    assert "/events/?negotiation=ffeeddccbbaa0011" in [hit["url"] for hit in hits]


def test_the_page_works_without_a_script_and_leads_to_the_site(world: World) -> None:
    client = client_of(world.users["Organization: full"])
    client.post("/switch/", {"place": f"{world.site.organization.uuid}/{world.other_site.uuid}"})
    page = client.get("/search/", {"q": "<branch>"}).content.decode()
    assert "&lt;branch&gt;" in page and "<branch>" not in page
    answer = client.get("/search/", {"q": "branch"})
    (hit,) = (hit for hit in answer.context["hits"] if hit.kind == "Peer")
    assert hit.detail == "at S" and hit.url in answer.content.decode()
    assert client.get(hit.url).url == reverse("status-peer", args=[world.peer.uuid])
    assert client.session["site"] == str(world.site.uuid)


def test_strangers_find_nothing(world: World) -> None:
    for user in (world.stranger, world.elsewhere):
        client = client_of(user)
        for query in ("branch", "192.0.2.2", "10.2.0.77", "10.1.0.9", "road", "c0ffee42", "00112233aabbccdd"):
            assert found(client, query) == [], (user, query)
        url = reverse("search-open", args=[world.site.uuid, "peer", world.peer.uuid])
        assert client.get(url).status_code == 404
    assert found(client_of(world.users["Site: monitor-only"]), "branch") == [("Peer", "Branch")]


def test_the_index_follows_every_change(world: World) -> None:
    client = client_of(world.users["Organization: full"])
    world.peer.name, world.peer.remote_subnets = "Depot", ["10.50.0.0/16"]
    vpn.save_peer(world.peer, author_id=None)
    assert found(client, "branch") == [] and found(client, "10.2.0.77") == []
    assert found(client, "depot") == found(client, "10.50.7.7") == [("Peer", "Depot")]
    vpn.delete_peer(world.peer, None)
    assert found(client, "depot") == []


def test_with_twenty_thousand_peers(world: World, django_assert_max_num_queries: Any) -> None:
    words = []
    for n in range(20_000):
        target = f"00000000-0000-0000-0000-{n:012}"
        words += [
            Word("peer", f"Branch {n}", f"Branch {n}", target),
            Word("address", f"198.{18 + n // 65536}.{n // 256 % 256}.{n % 256}", f"Branch {n}", target),
            Word("subnet", f"10.{n // 256}.{n % 256}.0/24", f"Branch {n}", target),
        ]
    searching.reindex(world.site.pk, words)
    assert Entry.objects.count() == 60_000
    client = client_of(world.users["Organization: full"])
    worst = 0.0
    for query in ("branch 19999", "10.77.9.5", "198.18.77.9", "branch", "9999", "nothing at all", "10.77.0.0/16"):
        with django_assert_max_num_queries(14):
            began = time.perf_counter()
            hits = found(client, query)
            worst = max(worst, time.perf_counter() - began)
        assert len(hits) <= 8 and (hits or query in ("nothing at all", "10.77.0.0/16")), query
    assert found(client, "10.77.9.5") == [("Peer", "Branch 19721")]
    assert worst < 1, "an order of magnitude above what it takes on an idle machine"
    began = time.perf_counter()
    searching.reindex(world.site.pk, words[3:])
    assert Entry.objects.count() == 59_997 and time.perf_counter() - began < 20
