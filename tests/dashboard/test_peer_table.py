"""The table of peers: filtered, sorted and paged by the database, and changed many at a time."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dashboard.audit.models import Change
from dashboard.publish.models import Revision
from dashboard.sitevpn.models import Peer
from tests.dashboard.test_dashboard import SECRET, isolated, make_peer, site, user
from tests.dashboard.test_policy import fields

pytestmark = pytest.mark.django_db
__all__ = ["isolated", "site", "user"]


@pytest.fixture
def browser(user: Any, client: Any) -> Any:
    client.force_login(user)
    return client


def names(browser: Any, query: str = "") -> list[str]:
    page = browser.get(f"/vpn/{query}").content.decode()
    return re.findall(r'data-label="Name"><a href="[^"]*">([^<]*)</a>', page)


def many(site: Any, count: int) -> None:
    first = make_peer(site, name="P00000", remote_subnets=["10.2.0.0/24"])
    Peer.objects.bulk_create(
        Peer(
            site=site,
            name=f"P{n:05}",
            remote=f"192.0.{n // 250}.{n % 250 + 1}",
            remote_subnets=[f"10.{16 + n // 256}.{n % 256}.0/24"],
            secret_version=first.secret_version,
            tags_text=" odd " if n % 2 else "",
        )
        for n in range(1, count)
    )


def test_search_sort_tag_and_pages(site: Any, browser: Any, django_assert_max_num_queries: Any) -> None:
    many(site, 130)
    assert names(browser) == [f"P{n:05}" for n in range(50)]
    assert names(browser, "?page=3") == [f"P{n:05}" for n in range(100, 130)]
    assert names(browser, "?sort=-name")[:2] == ["P00129", "P00128"]
    assert names(browser, "?q=10.16.77.") == ["P00077"]
    assert names(browser, "?q=192.0.0.12&sort=remote")[0] == "P00011"
    assert names(browser, "?tag=odd&page=2") == [f"P{n:05}" for n in range(101, 130, 2)]
    assert names(browser, "?q=nobody") == []
    assert "No peer is like that." in browser.get("/vpn/?q=nobody").content.decode()
    with django_assert_max_num_queries(16):
        browser.get("/vpn/?q=P&tag=odd&sort=-remote&page=2")


@pytest.mark.parametrize(
    "query", ["?page=x", "?page=99999999999999", "?page=-1", "?sort=secret_version", "?q=%00", "?q=%25_'", "?tag=%ff"]
)
def test_nonsense_in_the_address(query: str, site: Any, browser: Any) -> None:
    make_peer(site)
    assert browser.get(f"/vpn/{query}").status_code == 200


def test_ticked_peers_are_changed_together_and_published_once(site: Any, browser: Any) -> None:
    one, other = make_peer(site), make_peer(site, name="Other", remote="192.0.2.3", remote_subnets=["10.3.0.0/24"])
    before = Revision.objects.count()
    picked = {"peer": [str(one.uuid), str(other.uuid)], "action": "disable"}
    page = browser.post("/vpn/peers/bulk/", picked, follow=True).content.decode()
    assert "2 peers are disabled." in page and Revision.objects.count() == before + 1
    assert Revision.objects.order_by("-number")[0].document["peers"] == []
    one.refresh_from_db()
    assert not one.enabled and one.edit == 2
    record = Change.objects.order_by("-id")[0]
    assert record.verb == "disabled" and record.after["peers"] == ["Branch", "Other"]
    again = browser.post("/vpn/peers/bulk/", picked, follow=True).content.decode()
    assert "0 peers are disabled." in again and Revision.objects.count() == before + 1


def test_all_that_a_filter_finds_are_removed(site: Any, browser: Any) -> None:
    many(site, 60)
    browser.post("/vpn/peers/bulk/", {"all": "on", "tag": "odd", "action": "delete"})
    assert Peer.objects.count() == 30 and not Peer.objects.filter(tags_text=" odd ").exists()
    document = Revision.objects.order_by("-number")[0].document
    assert len(document["peers"]) == 30


def test_what_cannot_be_is_refused_whole(site: Any, browser: Any) -> None:
    one = make_peer(site, enabled=False)
    twin = make_peer(site, name="Twin", remote="192.0.2.3")
    picked = {"peer": [str(one.uuid), str(twin.uuid)], "action": "enable"}
    page = browser.post("/vpn/peers/bulk/", picked, follow=True).content.decode()
    assert "already goes to peer" in page
    one.refresh_from_db()
    assert not one.enabled
    for body, words in (
        ({"action": "disable"}, "Tick at least one peer first."),
        ({"action": "explode", "peer": str(one.uuid)}, "Choose enable, disable or delete."),
        ({"action": "disable", "peer": "nonsense"}, "is no peer"),
    ):
        assert words in browser.post("/vpn/peers/bulk/", body, follow=True).content.decode()


def test_a_strangers_peer_is_not_touched(site: Any, django_user_model: Any, client: Any) -> None:
    from dashboard.accounts import services as accounts
    from dashboard.fleet import services as fleet

    peer = make_peer(site)
    stranger = accounts.create_administrator(email="b@example.com", name="B", password="a-long-passphrase-8")
    fleet.create_organization(name="P", site_name="T", administrator_id=stranger.pk)
    client.force_login(stranger)
    client.post("/vpn/peers/bulk/", {"peer": str(peer.uuid), "action": "delete"})
    assert Peer.objects.filter(pk=peer.pk).exists()


def test_tags_of_the_form(site: Any, browser: Any) -> None:
    assert browser.post("/vpn/peers/new/", fields(tags="Retail, north retail")).status_code == 302
    peer = Peer.objects.get()
    assert peer.tags == ["retail", "north"]
    page = browser.get(f"/vpn/peers/{peer.uuid}/").content.decode()
    assert 'value="retail north"' in page and SECRET not in page
    refused = browser.post("/vpn/peers/new/", fields(name="Second", tags="x" * 40)).content.decode()
    assert "at most 16 tags of at most 32 characters" in refused and "x" * 40 in refused
