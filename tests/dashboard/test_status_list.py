"""The list of all peers, and what is kept of them: states, samples, sums."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.test import Client

from dashboard.fleet.models import Site
from dashboard.insight import live, services
from dashboard.insight.lists import PAGE, Filters
from dashboard.insight.models import PeerState, Sample
from dashboard.sitevpn.models import Peer
from tests.dashboard import test_dashboard as base
from tests.dashboard.test_dashboard import make_peer
from tests.dashboard.test_insight import DOWN, ENGINE, SA, failure, status_of

pytestmark = pytest.mark.django_db
isolated, site, user = base.isolated, base.site, base.user
T = 1_700_000_040.0


class FakeRedis(dict[str, Any]):
    """Keeps what is set; the real one is in tests/browser."""

    def __enter__(self) -> FakeRedis:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def set(self, key: str, value: str, ex: int) -> None:
        self[key] = value


@pytest.fixture
def told(monkeypatch: Any) -> dict[str, Any]:
    """What the agents say of each peer; ``engine`` of the engine."""
    said: dict[str, Any] = {"engine": ENGINE}
    redis = FakeRedis()
    monkeypatch.setattr(services, "client", lambda: redis)

    def peers() -> dict[str, Any]:
        return {ident: row for ident, row in said.items() if ident != "engine"}

    def seen(asked: dict[str, list[str]]) -> dict[str, live.Seen]:
        return {name: live.Seen(said["engine"], {i: said[i] for i in ids if i in said}) for name, ids in asked.items()}

    monkeypatch.setattr(services, "every_peer", lambda _: live.Seen(said["engine"], peers()))
    monkeypatch.setattr("dashboard.insight.lists.seen", seen)
    return said


@pytest.fixture
def client(user: Any) -> Client:
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def names(page: Any) -> list[str]:
    """The peers of a page, from the top."""
    return re.findall(r'<a href="/status/[0-9a-f-]+/">([^<]+)</a>', page.content.decode())


def test_a_peer_is_listed_as_soon_as_it_is_saved_and_follows_its_form(client: Client, site: Any, told: Any) -> None:
    peer = make_peer(site)
    assert names(client.get("/status/")) == ["Branch"]
    assert "not delivered" in client.get("/status/").content.decode()
    peer.name = "Renamed"
    peer.save()
    assert names(client.get("/status/rows/")) == ["Renamed"]
    peer.delete()
    assert "No peer is configured" in client.get("/status/").content.decode()


def test_what_needs_attention_comes_first_and_says_why(client: Client, site: Any, told: Any) -> None:
    rows = [
        make_peer(site, name=name, remote=f"192.0.2.{i + 2}", remote_subnets=[f"10.2.{i}.0/24"])
        for i, name in enumerate(("A", "B", "C"))
    ]
    told[str(rows[0].uuid)] = status_of(rows[0])
    told[str(rows[1].uuid)] = status_of(rows[1], phase1=DOWN, sas=[])
    told[str(rows[2].uuid)] = status_of(rows[2], phase1=DOWN, sas=[], last_failure=failure("ike.phase1.no_proposal"))
    services.observe(T)
    page = client.get("/status/")
    assert names(page) == ["C", "B", "A"]
    text = " ".join(page.content.decode().split())
    assert "No phase 1 proposal in common." in text and "1.2 kB / 5.7 kB" in text and ">native<" in text
    assert names(client.get("/status/?state=up")) == ["A"]
    assert names(client.get("/status/?state=down,waiting")) == ["C", "B"]
    assert names(client.get("/status/?state=nonsense&page=x")) == ["C", "B", "A"]
    assert names(client.get("/status/?q=10.2.1")) == ["B"]
    assert names(client.get("/status/?q=nothing")) == []
    told["engine"] = {"engine": "down"}
    services.observe(T + 3)
    assert set(PeerState.objects.values_list("state", flat=True)) == {"unknown"}


def test_since_is_when_the_state_began(site: Any, told: Any) -> None:
    peer = make_peer(site)
    told[str(peer.uuid)] = status_of(peer)
    services.observe(T)
    services.observe(T + 30)
    assert PeerState.objects.get().since == T
    told[str(peer.uuid)] = status_of(peer, phase1=DOWN, sas=[])
    services.observe(T + 60)
    assert PeerState.objects.get().since == T + 60


def many(site: Any, count: int) -> None:
    """Peers past the forms."""
    Peer.objects.bulk_create(
        Peer(site=site, name=f"Peer {n:05}", remote="192.0.2.9", remote_subnets=[f"10.{n // 200}.{n % 200}.0/24"])
        for n in range(count)
    )
    services.align()


def test_pages_are_few_queries_however_many_peers(
    client: Client, site: Any, told: Any, django_assert_max_num_queries: Any
) -> None:
    many(site, 3 * PAGE + 1)
    with django_assert_max_num_queries(12):
        page = client.get("/status/?page=2")
    assert names(page)[0] == f"Peer {PAGE:05}" and len(names(page)) == PAGE
    assert "Page 2 of 4" in page.content.decode()
    assert len(names(client.get("/status/?page=99"))) == 1


def test_other_organizations_and_sites_are_not_listed(client: Client, site: Any, told: Any) -> None:
    make_peer(site)
    other = Site.objects.create(organization=site.organization, name="Second")
    Peer.objects.create(site=other, name="There", remote="192.0.2.8", remote_subnets=["10.8.0.0/24"])
    from dashboard.accounts import services as accounts
    from dashboard.fleet import services as fleet

    stranger = accounts.create_administrator(email="b@example.com", name="B", password="a-long-passphrase-8")
    theirs = fleet.create_organization(name="P", site_name="T", administrator_id=stranger.pk).site
    Peer.objects.create(site=theirs, name="Foreign", remote="192.0.2.7", remote_subnets=["10.7.0.0/24"])
    assert sorted(names(client.get("/status/"))) == ["Branch", "There"]
    assert names(client.get(f"/status/?site={other.uuid}")) == ["There"]
    assert names(client.get(f"/status/?site={theirs.uuid}")) == []


def test_filters_survive_their_own_address() -> None:
    filters = Filters.of({"state": "down,up", "q": "a & b", "tag": "x", "page": "3"})
    assert filters.query(page=4) == "state=down%2Cup&tag=x&q=a+%26+b&page=4"
    assert Filters.of({"page": "-1"}).page == Filters.of({"page": "9" * 30}).page == 1


def sa(spi: str, received: int, sent: int) -> dict[str, Any]:
    return {
        **SA,
        "spi_in": spi,
        "bytes_in": received,
        "bytes_out": sent,
        "packets_in": received // 100,
        "packets_out": 1,
    }


def test_samples_are_what_was_carried_also_over_a_rekey(site: Any, told: Any) -> None:
    peer = make_peer(site)
    ident = str(peer.uuid)
    for seconds, sas in (
        (0, [sa("aa", 1000, 500)]),
        (10, [sa("aa", 3000, 500)]),
        (20, [sa("aa", 3000, 500)]),
        (30, [sa("aa", 3500, 500), sa("bb", 200, 700)]),
        (40, [sa("bb", 300, 700)]),
    ):
        told[ident] = status_of(peer, sas=sas)
        services.observe(T + seconds)
        services.observe(T + seconds + 3)
    rows = list(Sample.objects.order_by("at").values_list("at", "bytes_in", "bytes_out"))
    assert rows == [(T, 2000, 0), (T + 20, 700, 700), (T + 30, 100, 0)]


def test_samples_are_summed_up_and_dropped(site: Any, told: Any) -> None:
    make_peer(site)
    row = PeerState.objects.get()
    base_at = int(T) // 600 * 600
    Sample.objects.bulk_create(
        Sample(state=row, step=10, at=base_at + 10 * n, bytes_in=n, dropped=1) for n in range(60)
    )
    for minute in range(1, 11):
        services.roll_up(base_at + 60 * minute)
        services.roll_up(base_at + 60 * minute)
    sums = dict(Sample.objects.filter(step=60).values_list("at", "bytes_in"))
    assert sums == {base_at + 60 * m: sum(range(6 * m, 6 * m + 6)) for m in range(10)}
    assert list(Sample.objects.filter(step=600).values_list("at", "bytes_in", "dropped")) == [(base_at, 1770, 60)]
    services.roll_up(base_at + 2 * 86_400)
    assert set(Sample.objects.values_list("step", flat=True)) == {600}


def test_rows_of_peers_that_are_gone_go(site: Any) -> None:
    make_peer(site)
    PeerState.objects.create(organization=site.organization, site=site, peer=uuid.uuid4(), name="Ghost", remote="x")
    services.align()
    assert [row.name for row in PeerState.objects.all()] == ["Branch"]
