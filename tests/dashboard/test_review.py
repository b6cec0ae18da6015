"""What a change would do, before it is saved; and the pages of the history."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.accounts import services as accounts
from dashboard.fleet import services as fleet
from dashboard.publish import drift, history, review
from dashboard.publish.difference import MAX_CHANGES, between
from dashboard.publish.impact import impacts
from dashboard.publish.models import Outbox, Revision
from dashboard.sitevpn import services as vpn
from dashboard.sitevpn.models import Peer
from vpnengine.contract.problems import Problem, Refused

pytestmark = pytest.mark.django_db
SECRET = "a secret of enough length"
OTHER = "another secret of enough length"


class Gateway:
    """Stands for the engine where only its answer matters; the real one is in tests/browser."""

    class Unavailable(Exception):
        """No engine."""

    answer: Any = None
    seen: list[tuple[str, dict[str, Any]]] = []

    def request(self, op: str, **fields: Any) -> Any:
        Gateway.seen.append((op, fields))
        if isinstance(Gateway.answer, Exception):
            raise Gateway.answer
        return Gateway.answer or {}


@pytest.fixture(autouse=True)
def isolated(settings: Any, tmp_path: Any) -> None:
    settings.CULVERT_KEYRING = tmp_path / "keyring.json"
    settings.CULVERT_ENGINE_GATEWAY = "tests.dashboard.test_review.Gateway"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    Gateway.answer, Gateway.seen = None, []


@pytest.fixture
def appliance(client: Any) -> Any:
    user = accounts.create_administrator(email="a@example.com", name="Ada", password="a-long-passphrase-7")
    made = fleet.create_organization(name="O", site_name="S", administrator_id=user.pk)
    vpn.save_subnets(made.site.pk, [("10.1.0.0/24", "", True)], user.pk)
    peer = Peer(site=made.site, name="Branch", remote="192.0.2.2", remote_subnets=["10.2.0.0/24"], start="immediate")
    vpn.save_peer(peer, secret=SECRET, author_id=user.pk)
    client.force_login(user)
    return made


def posted(client: Any, **changes: str) -> dict[str, str]:
    """The form of the peer as the page has it, with changes."""
    form = client.get(f"/vpn/peers/{Peer.objects.get().uuid}/").context["form"]
    data = {name: form[name].value() for name in form.fields}
    data["remote_subnets"] = (
        "\n".join(data["remote_subnets"]) if isinstance(data["remote_subnets"], list) else data["remote_subnets"]
    )
    return {name: value for name, value in data.items() if value not in (None, False)} | changes


def document(**changes: Any) -> dict[str, Any]:
    row = {
        "id": "branch",
        "name": "Branch",
        "remote": "192.0.2.2",
        "local_subnets": ["10.1.0.0/24"],
        "remote_subnets": ["10.2.0.0/24"],
        "psk": {"$secret": 1},
        "start": "immediate",
    }
    return {"peers": [row | changes]}


def said(before: Any, after: Any) -> list[tuple[str, str, str]]:
    return [(one.field, one.before, one.after) for one in between(before, after, lambda a, b: a + b == 3).changes]


def test_fields_are_called_by_name_and_secrets_are_not_told() -> None:
    base = document()
    assert said(base, document(remote="192.0.2.9")) == [("Public address", "192.0.2.2", "192.0.2.9")]
    assert said(base, document(psk={"$secret": 7})) == [("Pre-shared secret", "(secret)", "(another secret)")]
    assert said(base, document(psk={"$secret": 2})) == [], "the same secret entered again"
    assert said(base, document(dpd={"interval_s": 10})) == [], "what is only written differently"
    assert (
        said(base, document(phase1={"proposals": [{"encryption": "aes128", "hash": "sha256", "group": "ecp256"}]}))[0][
            2
        ]
        == "aes128-sha256-ecp256"
    )
    assert said(base, {"peers": []}) == [("", "there", "removed")]


def test_the_same_change_of_many_peers_is_said_once_and_the_rest_is_counted() -> None:
    def many(subnet: str, **more: Any) -> dict[str, Any]:
        rows = [document(id=f"p{n}", name=f"P{n:03}", local_subnets=[subnet]) for n in range(500)]
        return {"peers": [row["peers"][0] | more for row in rows]}

    found = between(many("10.1.0.0/24"), many("10.8.0.0/24"), lambda a, b: False)
    assert [one.subject for one in found.changes] == ["Peer “P000”, Peer “P001”, Peer “P002” and 497 more"]
    assert len(found.peers) == 500 and found.same == 0
    different = {
        "peers": [row | {"remote": f"198.51.100.{n % 250}"} for n, row in enumerate(many("10.1.0.0/24")["peers"])]
    }
    found = between({"peers": []}, different, lambda a, b: False)
    assert len(found.changes) == MAX_CHANGES and found.more == 300


def test_words_about_a_tunnel_follow_the_engines_rules() -> None:
    def words(after: dict[str, Any]) -> str:
        return impacts(between(document(), after, lambda a, b: False))[0].words

    assert words(document(name="New")) == "is not interrupted"
    assert "no traffic for about 3 s" in words(document(phase2={"lifetime_s": 1800}))
    assert words(document(psk={"$secret": 9})).startswith("goes down and is negotiated anew at once")
    assert words(document(psk={"$secret": 9}, start="responder")).startswith("goes down until the other gateway")
    assert words(document(remote_subnets=["10.3.0.0/24"])).startswith("only the IPsec SAs of subnets that go")
    assert words({"peers": []}) == "goes down for good"


def test_a_review_saves_nothing_and_asks_the_engine_what_it_would_do(client: Any, appliance: Any) -> None:
    peer = Peer.objects.get()
    Gateway.answer = {"effects": [{"peer": str(peer.uuid), "pairs": 2, "took_s": 0.3}], "left_out": []}
    data = posted(client, secret=OTHER, name="Renamed") | {"change-review": "1", "change-comment": "Why"}
    answer = client.post(f"/vpn/peers/{peer.uuid}/", data, headers={"X-Requested-With": "fetch"})
    text = answer.content.decode()
    assert answer["X-Culvert-Review"] == "yes" and "<html" not in text
    assert "Pre-shared secret" in text and "(another secret)" in text and "no traffic for about 1 s" in text
    assert "The engine has checked this and would accept it." in text
    assert SECRET not in text and OTHER not in text
    op, fields = Gateway.seen[-1]
    assert op == "apply" and fields["dry_run"] is True and fields["config"]["peers"][0]["psk"] == OTHER
    assert Peer.objects.get().name == "Branch" and Revision.objects.count() == 2
    assert list(client.get("/vpn/").context["messages"]) == [], "nothing was saved, and nobody says so"

    Gateway.answer = Refused([Problem(field="peers.0.remote", rule="own_address", message="this is the appliance")])
    answer = client.post(f"/vpn/peers/{peer.uuid}/", data)
    assert "would refuse" in answer.content.decode() and "this is the appliance" in answer.content.decode()
    Gateway.answer = Gateway.Unavailable("nobody answers")
    assert "could not be asked" in client.post(f"/vpn/peers/{peer.uuid}/", data).content.decode()


def test_a_review_of_a_form_that_is_wrong_shows_the_form(client: Any, appliance: Any) -> None:
    data = posted(client, remote_subnets="nonsense") | {"change-review": "1"}
    answer = client.post(f"/vpn/peers/{Peer.objects.get().uuid}/", data)
    assert answer["X-Culvert-Review"] == "no" and "is not a subnet" in answer.content.decode()


def test_comment_and_trial_go_with_what_is_saved(client: Any, appliance: Any) -> None:
    data = posted(client, name="Renamed") | {"change-comment": "  For\nthe move ", "change-confirm": "5"}
    assert client.post(f"/vpn/peers/{Peer.objects.get().uuid}/", data).status_code == 302
    row = history.newest(appliance.pk)
    assert row is not None and row.comment == "For the move" and row.confirm_by is not None
    page = client.get("/status/").content.decode()
    assert f"Revision {row.number} is on trial" in page and "Keep it" in page
    assert client.post(f"/configuration/{row.number}/confirm/", {"next": "/status/"}).url == "/status/"
    assert "on trial" not in client.get("/status/").content.decode()
    # A made-up number of minutes asks for nothing; an address elsewhere is not gone to.
    client.post(f"/vpn/peers/{Peer.objects.get().uuid}/", posted(client, name="Again") | {"change-confirm": "9999"})
    assert history.unconfirmed(appliance.pk) is None
    assert client.post("/configuration/1/confirm/", {"next": "https://example.com/"}).url == "/configuration/"


def test_pages_of_the_history(client: Any, appliance: Any, django_assert_max_num_queries: Any) -> None:
    peer = Peer.objects.get()
    for number in range(40):
        peer.name = f"Branch {number}"
        vpn.save_peer(peer, author_id=None)
    with django_assert_max_num_queries(14):
        page = client.get("/configuration/").content.decode()
    assert page.count('name="from"') == 30 and "Page 1 of 2" in page
    page = client.get("/configuration/2/").content.decode()
    assert "Peer “Branch”" in page and "Restore revision 2" in page and SECRET not in page
    page = client.get("/configuration/compare/?from=2&to=42").content.decode()
    assert "Branch 39" in page
    assert client.get("/configuration/compare/?from=2").url == "/configuration/"
    assert client.get("/configuration/compare/?from=2&to=4200").status_code == 404
    assert client.get("/configuration/4200/").status_code == 404
    assert client.post("/configuration/2/restore/").status_code == 302
    assert Peer.objects.get().name == "Branch" and history.newest(appliance.pk).number == 43


def test_drift_says_why(appliance: Any) -> None:
    row = history.newest(appliance.pk)
    assert row is not None
    row.state, row.digest = "applied", "abc"

    def state(status: Any, waiting: str = "") -> tuple[str, str]:
        found = drift.drift_of(row, status, waiting)
        return found.state, found.words

    assert state({"revision": 2, "digest": "abc"}) == ("none", "The engine runs the newest revision, 2.")
    assert state({"revision": 2, "digest": "xyz"})[0] == "drift"
    assert "another document under the number 2" in state({"revision": 2, "digest": "xyz"})[1]
    assert "runs revision 1 instead of 2" in state({"revision": 1, "digest": "abc"})[1]
    assert state(None)[0] == "unknown"
    row.state = "pending"
    assert state({"revision": 1})[0] == "coming"
    assert state({"revision": 1}, "the socket is gone") == (
        "drift",
        "The engine still runs revision 1; revision 2 is on its way. the socket is gone",
    )
    row.state = "refused"
    assert "because it refused revision 2" in state({"revision": 1})[1]


def test_a_review_leaves_no_trace(appliance: Any, client: Any) -> None:
    before = (Revision.objects.count(), Outbox.objects.count())
    client.post("/vpn/peers/new/", {"change-review": "1"})
    assert (Revision.objects.count(), Outbox.objects.count()) == before
    assert review.same_secret(1, 99) is False


def fetched(client: Any, address: str, data: dict[str, Any]) -> Any:
    return client.post(address, data | {"change-review": "1"}, headers={"X-Requested-With": "fetch"})


def test_every_form_that_publishes_is_reviewed(client: Any, appliance: Any) -> None:
    """None of them changes a row, and each says what becomes of the tunnel."""
    peer = Peer.objects.get()
    user = vpn.save_user(appliance.site.pk, "road", SECRET, None)
    revisions = Revision.objects.count()
    management = {"subnets-TOTAL_FORMS": 1, "subnets-INITIAL_FORMS": 0, "subnets-0-subnet": "10.8.0.0/24"}
    for address, data, words in (
        ("/vpn/peers/bulk/", {"peer": str(peer.uuid), "action": "disable"}, "goes down for good"),
        ("/vpn/peers/bulk/", {"all": "on", "action": "delete"}, "goes down for good"),
        (f"/vpn/peers/{peer.uuid}/delete/", {}, "goes down for good"),
        ("/vpn/", management | {"subnets-0-in_vpn": "on"}, "Local subnets"),
        ("/vpn/users/", {"user_name": "second", "user_password": SECRET}, "VPN user “second”"),
        (f"/vpn/users/{user.uuid}/delete/", {}, "VPN user “road”"),
    ):
        answer = fetched(client, address, data)
        assert answer.headers["X-Culvert-Review"] == "yes" and words in answer.content.decode(), address
    assert Revision.objects.count() == revisions and Peer.objects.get().enabled
    assert vpn.VpnUser.objects.count() == 1 and vpn.LocalSubnet.objects.get().subnet == "10.1.0.0/24"


def test_a_review_of_nothing_says_so(client: Any, appliance: Any) -> None:
    peer = Peer.objects.get()
    for data, words in (
        ({"peer": str(peer.uuid), "action": "enable"}, "Nothing would change"),
        ({"action": "disable"}, "Tick at least one peer first."),
    ):
        answer = fetched(client, "/vpn/peers/bulk/", data)
        assert answer.headers["X-Culvert-Review"] == "nothing" and words in answer.content.decode()
    # What was said in the dialog is not said again on the next page.
    assert "Tick at least" not in client.get("/vpn/").content.decode()
