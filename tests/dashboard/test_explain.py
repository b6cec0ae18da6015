"""What pages say beside events and forms: explanations, links to fields, refusals, subnets that are not saved yet."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from appliance.paths import ROOT
from dashboard.publish.models import Revision
from dashboard.sitevpn import explain
from dashboard.sitevpn.forms import PeerForm
from tests.dashboard.test_dashboard import isolated, make_peer, site, user  # noqa: F401 - fixtures
from vpnengine.contract.catalogue import CATALOGUE

pytestmark = pytest.mark.django_db
# What an administrator can mend in a form of ours.
MENDED_IN_A_FORM = {
    "engine.peer.unresolved",
    *(f"ike.phase1.{name}" for name in ("timeout", "psk_suspect", "hash_mismatch", "no_proposal", "refused")),
    *(f"ike.phase1.{name}" for name in ("bad_choice", "identity", "notify", "public_value")),
    *(
        f"ike.phase2.{name}"
        for name in ("timeout", "no_proposal", "selectors", "ids_returned", "refused", "bad_choice")
    ),
    *("ike.natt.disabled", "ike.aggressive.used"),
    "ike.unknown_peer",
    *(
        f"ike.phase1.certificate.{name}"
        for name in ("unknown_ca", "crl", "name", "own", "refused", "revoked", "missing")
    ),
    *("ike.phase1.dropped", "ike.xauth.refused", "ike.config.exhausted", "ike.config.split", "ike.config.none"),
}


@pytest.fixture
def browser(user: Any) -> Client:  # noqa: F811
    client = Client()
    client.force_login(user)
    return client


def test_places_are_on_the_pages() -> None:
    templates = ROOT / "dashboard/web/templates/sitevpn"
    pages = {
        "peer": "".join((templates / name).read_text() for name in ("peer.html", "policy.html", "certificates.html")),
        "site": (templates / "site.html").read_text(),
    }
    for label, place in explain.places().items():
        anchor = place["anchor"]
        assert f'id="{anchor}"' in pages[place["page"]] or anchor.removeprefix("id_") in PeerForm.base_fields, label


def test_advice_names_a_field_that_a_page_can_link() -> None:
    labels = explain.places()
    mute = [code for code in MENDED_IN_A_FORM if not any(label in CATALOGUE[code].here for label in labels)]
    assert mute == []


def test_the_catalogue_is_served(browser: Client) -> None:
    data = browser.get("/events/catalogue/").json()
    assert data["codes"].keys() == CATALOGUE.keys()
    assert data["codes"]["ike.phase1.psk_suspect"]["title"] == "The pre-shared secrets are probably different"
    assert data["codes"]["ike.phase1.psk_suspect"]["confidence"] == "probable"
    assert data["places"]["Pre-shared secret"] == {"page": "peer", "anchor": "id_secret"}
    assert Client().get("/events/catalogue/").status_code == 302


def test_subnets_are_checked_before_they_are_saved(site: Any, browser: Client) -> None:  # noqa: F811
    peer = make_peer(site)

    def problems(subnets: str, **fields: str) -> str:
        return " ".join(browser.post("/vpn/subnets/check/", {"subnets": subnets, **fields}).json()["problems"])

    assert "overlaps the local subnet 10.1.0.0/24" in problems("10.1.0.0/25")
    assert "already goes to peer “Branch”" in problems("10.2.0.0/24")
    assert problems("10.2.0.0/24", peer=str(peer.uuid)) == ""
    assert "Line 2" in problems("10.9.0.0/24\nnonsense")
    assert problems("10.9.0.0/24") == problems("") == problems("10.1.0.0/24", side="local") == ""
    for path in ("/vpn/subnets/check/",):
        assert browser.get(path).status_code == 405
        assert Client(enforce_csrf_checks=True).post(path).status_code == 403
    assert browser.post("/vpn/subnets/check/", {"subnets": "10.9.0.0/24", "peer": "nonsense"}).status_code == 404


def test_a_foreign_peer_is_not_checked(site: Any, django_user_model: Any) -> None:  # noqa: F811
    from dashboard.accounts import services as accounts
    from dashboard.fleet import services as fleet

    peer = make_peer(site)
    stranger = accounts.create_administrator(email="b@example.com", name="B", password="a-long-passphrase-8")
    fleet.create_organization(name="P", site_name="T", administrator_id=stranger.pk)
    client = Client()
    client.force_login(stranger)
    fields = {"subnets": "10.9.0.0/24", "peer": str(peer.uuid)}
    assert client.post("/vpn/subnets/check/", fields).status_code == 404
    assert "Revision" not in client.get("/vpn/state/").content.decode()


def test_a_refusal_leads_to_the_field(site: Any, browser: Client) -> None:  # noqa: F811
    peer = make_peer(site)
    problem = {"field": "peers.0.remote", "rule": "own_address", "message": "that is <us>"}
    Revision.objects.filter(number=2).update(state="refused", problems=[problem])
    page = browser.get("/vpn/state/").content.decode()
    assert f'href="/vpn/peers/{peer.uuid}/#id_remote"' in page and "That is &lt;us&gt;." in page
    assert page.strip() in browser.get("/vpn/").content.decode()


def test_an_action_that_no_worker_can_take_says_so(site: Any, browser: Client, settings: Any) -> None:  # noqa: F811
    peer = make_peer(site)
    answer = browser.post(f"/status/initiate/{peer.uuid}/")
    assert answer.status_code == 503 and "nothing was done" in answer.json()["error"]
