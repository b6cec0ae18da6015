"""Services, pages and rules of the dashboard."""

from __future__ import annotations

import re
from typing import Any
from unittest.mock import patch

import pytest
from django.test import Client

from appliance.paths import ROOT
from dashboard.accounts import services as accounts
from dashboard.core import keyring
from dashboard.fleet import services as fleet
from dashboard.publish import services as publishing
from dashboard.publish.models import Outbox, Revision
from dashboard.sitevpn import services as vpn
from dashboard.sitevpn.forms import parse_subnets
from dashboard.sitevpn.models import Peer
from vpnengine.contract.problems import Problem, Refused

pytestmark = pytest.mark.django_db
SECRET = "a secret of enough length"


class FakeGateway:
    """Stands for the engine where only its answer matters; the real one is in tests/browser and tests/system."""

    class Unavailable(Exception):
        """No engine."""

    answer: Any = None
    seen: list[dict[str, Any]] = []

    def request(self, op: str, **fields: Any) -> Any:
        FakeGateway.seen.append(fields)
        if isinstance(FakeGateway.answer, Exception):
            raise FakeGateway.answer
        return {}


@pytest.fixture(autouse=True)
def isolated(settings: Any, tmp_path: Any) -> None:
    settings.CULVERT_KEYRING = tmp_path / "keyring.json"
    settings.CULVERT_ENGINE_GATEWAY = "tests.dashboard.test_dashboard.FakeGateway"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    FakeGateway.answer, FakeGateway.seen = None, []


@pytest.fixture
def user() -> Any:
    return accounts.create_administrator(email="a@example.com", name="A", password="a-long-passphrase-7")


@pytest.fixture
def site(user: Any) -> Any:
    site = fleet.create_organization(name="O", site_name="S", administrator_id=user.pk).site
    vpn.save_subnets(site.pk, [("10.1.0.0/24", "", True)], user.pk)
    return site


def make_peer(site: Any, **changes: Any) -> Peer:
    fields = {"name": "Branch", "remote": "192.0.2.2", "remote_subnets": ["10.2.0.0/24"]} | changes
    return vpn.save_peer(Peer(site=site, **fields), secret=SECRET, author_id=None)


def deliver(revision: Revision) -> None:
    with patch("dashboard.publish.services.client"):
        publishing.deliver(str(revision.appliance.uuid))


def test_a_save_makes_a_revision_without_the_secret(site: Any) -> None:
    peer = make_peer(site)
    revision = Revision.objects.order_by("-number").first()
    assert revision.number == 2 and revision.state == "pending"
    assert SECRET not in str(revision.document)
    assert revision.document["peers"][0]["psk"] == {"$secret": peer.secret_version}
    assert Outbox.objects.count() == 1


def test_what_is_refused_leaves_nothing(site: Any) -> None:
    with pytest.raises(Refused) as refused:
        make_peer(site, remote_subnets=["10.1.0.0/25"])
    assert "overlaps" in str(refused.value)
    assert Peer.objects.count() == 0 and Revision.objects.count() == 1


def test_names_are_unique_whatever_their_case(site: Any) -> None:
    make_peer(site)
    with pytest.raises(Refused, match="exists already"):
        make_peer(site, name="BRANCH", remote_subnets=["10.3.0.0/24"])


def test_two_administrators_edit_one_peer(site: Any) -> None:
    peer = make_peer(site)
    first, second = Peer.objects.get(pk=peer.pk), Peer.objects.get(pk=peer.pk)
    vpn.save_peer(first, secret="", author_id=None, expected_edit=1)
    with pytest.raises(vpn.EditConflict):
        vpn.save_peer(second, secret="", author_id=None, expected_edit=1)


def test_delivery_is_level_triggered(site: Any) -> None:
    make_peer(site)
    revision = Revision.objects.order_by("-number").first()
    deliver(revision)
    deliver(revision)
    revision.refresh_from_db()
    assert revision.state == "applied" and not Outbox.objects.exists()
    assert FakeGateway.seen[0]["config"]["peers"][0]["psk"] == SECRET
    assert Revision.objects.get(number=1).state == "superseded"


def test_a_refusal_is_kept_with_its_reason(site: Any) -> None:
    make_peer(site)
    FakeGateway.answer = Refused([Problem(field="peers.0.remote", rule="own_address", message="that is us")])
    revision = Revision.objects.order_by("-number").first()
    deliver(revision)
    revision.refresh_from_db()
    assert revision.state == "refused" and revision.problems[0]["message"] == "that is us"


def test_an_engine_that_is_away_is_tried_again(site: Any) -> None:
    make_peer(site)
    FakeGateway.answer = FakeGateway.Unavailable("no engine answers")
    revision = Revision.objects.order_by("-number").first()
    deliver(revision)
    revision.refresh_from_db()
    assert revision.state == "pending"
    assert Outbox.objects.get().reason == "no engine answers" and Outbox.objects.get().attempts == 1


def test_a_secret_belongs_to_its_owner() -> None:
    sealed = keyring.seal(SECRET, "peer:1")
    assert SECRET not in sealed and keyring.reveal(sealed, "peer:1") == SECRET
    with pytest.raises(keyring.KeyringError):
        keyring.reveal(sealed, "peer:2")
    assert keyring.fingerprint(SECRET, "peer:1") != keyring.fingerprint(SECRET + "x", "peer:1")


def test_the_claim_is_used_once() -> None:
    code = accounts.issue_claim()
    fields = {
        "name": "A",
        "email": "a@example.com",
        "password": "a-long-passphrase-7",
        "organization": "O",
        "site": "S",
    }
    with pytest.raises(accounts.ClaimRefused, match="not the code"):
        accounts.claim(code="0000-0000-0000-0000", **fields)
    accounts.claim(code=code, **fields)
    assert accounts.issue_claim() is None
    with pytest.raises(accounts.ClaimRefused):
        accounts.claim(code=code, **{**fields, "email": "b@example.com"})


def test_pages_need_a_sign_in(site: Any) -> None:
    peer = make_peer(site)
    closed = ["/", "/vpn/", "/vpn/peers/new/", f"/vpn/peers/{peer.uuid}/", "/status/", "/events/", "/events/rows/"]
    for path in closed:
        answer = Client().get(path)
        assert answer.status_code == 302 and "/account/login/" in answer["Location"], path
    assert Client().get("/health/").status_code == 200


def test_foreign_objects_do_not_exist(site: Any, django_user_model: Any) -> None:
    peer = make_peer(site)
    stranger = accounts.create_administrator(email="b@example.com", name="B", password="a-long-passphrase-8")
    fleet.create_organization(name="P", site_name="T", administrator_id=stranger.pk)
    browser = Client()
    browser.force_login(stranger)
    assert browser.get(f"/vpn/peers/{peer.uuid}/").status_code == 404
    assert browser.post(f"/vpn/peers/{peer.uuid}/delete/").status_code == 404
    assert browser.post(f"/status/terminate/{peer.uuid}/").status_code == 404
    assert "Branch" not in browser.get("/vpn/").content.decode()


def test_headers_and_no_secret_on_pages(site: Any, user: Any) -> None:
    peer = make_peer(site)
    browser = Client()
    browser.force_login(user)
    for path in ("/vpn/", f"/vpn/peers/{peer.uuid}/", "/events/", "/status/"):
        answer = browser.get(path)
        assert answer.status_code == 200
        assert "script-src 'self';" in answer["Content-Security-Policy"]
        assert answer["X-Frame-Options"] == "DENY"
        assert SECRET not in answer.content.decode()


def test_templates_have_nothing_inline() -> None:
    for path in (ROOT / "dashboard").rglob("*.html"):
        text = re.sub(r"\{[%#].*?[%#]\}", "", path.read_text())  # a tag's own arguments are no attributes
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=", text), path


def test_pages_ask_the_database_little(site: Any, user: Any, django_assert_max_num_queries: Any) -> None:
    for number in range(20):
        make_peer(site, name=f"P{number}", remote=f"192.0.2.{number + 2}", remote_subnets=[f"10.{number + 2}.0.0/24"])
    browser = Client()
    browser.force_login(user)
    for path in ("/vpn/", "/events/", "/events/rows/", "/status/"):
        with django_assert_max_num_queries(12):
            browser.get(path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("10.0.0.1/24", "the subnet is 10.0.0.0/24"),
        ("nonsense", "Line 1"),
        ("10.0.0.0/24\n\n10.0.0.0/33", "Line 3"),
        ("\n".join(f"10.{n // 256}.{n % 256}.0/24" for n in range(300)), "at most 256"),
    ],
)
def test_subnets_name_the_line(text: str, sentence: str) -> None:
    from django.core.exceptions import ValidationError

    with pytest.raises(ValidationError) as error:
        parse_subnets(text)
    assert sentence in str(error.value)
