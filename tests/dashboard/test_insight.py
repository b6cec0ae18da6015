"""The page of a peer: its light, the explanation with links, differences cell by cell, and accepting an offer."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client

from dashboard.eventlog import storage
from dashboard.insight import diagnosis, hints, live
from dashboard.insight.light import STATES, light
from dashboard.publish.models import Revision
from dashboard.sitevpn import acceptance
from dashboard.sitevpn.forms import PeerForm
from tests.dashboard import test_dashboard as base
from tests.dashboard.test_dashboard import FakeGateway, make_peer
from vpnengine.contract.config import parse_config
from vpnengine.contract.problems import Refused

pytestmark = pytest.mark.django_db
isolated, site, user = base.isolated, base.site, base.user
ENGINE = {"engine": "up", "revision": 1, "dataplane": "native", "data_path": {"name": "native"}, "conditions": []}
SA = {
    "state": "mature",
    "spi_in": "0a0b0c0d",
    "spi_out": "01020304",
    "local": "10.1.0.0/24",
    "remote": "10.2.0.0/24",
    "encryption": "aes256gcm16",
    "integrity": None,
    "pfs_group": "modp2048",
    "esn": False,
    "encapsulation": "udp-tunnel",
    "bytes_in": 1234,
    "bytes_out": 5678,
    "packets_in": 12,
    "packets_out": 56,
    "replayed": 0,
    "failed": 0,
    "age_s": 75.0,
    "rekey_in_s": 3200.0,
    "expires_in_s": 3500.0,
    "limit_bytes": None,
}
UP = {"state": "established", "age_s": 80.0, "role": "initiator", "exchange": "main", "initiator_cookie": "aa" * 8}
UP |= {"responder_cookie": "bb" * 8, "encryption": "aes256", "hash": "sha256", "group": "modp2048", "nat": "none"}
UP |= {"local": "192.0.2.1[4500]", "remote": "192.0.2.2[4500]", "rekey_in_s": None, "expires_in_s": 28000.0}
DOWN = dict.fromkeys(UP) | {"state": "down"}


def status_of(peer: Any, **changes: Any) -> dict[str, Any]:
    row = {"id": str(peer.uuid), "name": peer.name, "remote": peer.remote, "start": peer.start, "phase1": UP}
    row |= {"sas": [SA], "selectors": [["10.1.0.0/24", "10.2.0.0/24"]], "last_failure": None, "clients": []}
    return row | {"assigned": None} | changes


def failure(code: str, time: float = 1_700_000_000.0) -> dict[str, Any]:
    return {"time": time, "code": code, "side": "local", "text": "no suitable proposal found.", "hint": ""}


def cell(attribute: str, ours: str, theirs: str) -> dict[str, Any]:
    return {"attribute": attribute, "ours": ours, "theirs": theirs, "equal": ours == theirs}


PHASE1 = [
    cell("encryption", "aes256", "aes128"),
    cell("hash", "sha256", "sha256"),
    cell("group", "modp2048", "modp3072"),
]
PHASE1.append(cell("authentication", "psk", "psk"))


@pytest.fixture
def said(monkeypatch: Any) -> dict[str, Any]:
    """What the agent has told of each peer."""
    told: dict[str, Any] = {}

    def seen(asked: dict[str, list[str]]) -> dict[str, live.Seen]:
        return {name: live.Seen(ENGINE, {i: told[i] for i in ids if i in told}) for name, ids in asked.items()}

    monkeypatch.setattr("dashboard.insight.selectors.seen", seen)
    return told


class TellingGateway(FakeGateway):
    """Answers ``trace`` with a negotiation that the engine has told of."""

    def request(self, op: str, **fields: Any) -> Any:
        super().request(op, **fields)
        lines = [
            {
                "at": 0.0,
                "fate": "received",
                "step": "main 1",
                "size": 180,
                "payloads": ["SA", *["VENDOR-ID"] * 2],
            },
            {"at": 0.001, "fate": "event", "step": "ike.phase1.no_proposal", "detail": "no suitable proposal found."},
            {"at": 0.002, "fate": "resent", "step": "main 2", "size": 56, "tries": 1, "natt": True},
        ]
        one = {"negotiation": "cc" * 8, "cookies": "cc:dd", "peer_id": "p", "role": "responder", "exchange": "main"}
        one |= {"began": 1_700_000_000.0, "outcome": "failed", "stopped_after": "main 1", "lines": lines, "left_out": 0}
        return {"negotiations": [one | {"code": "ike.phase1.no_proposal", "hint": None}]}


@pytest.fixture(autouse=True)
def told(settings: Any, isolated: None) -> None:
    settings.CULVERT_ENGINE_GATEWAY = "tests.dashboard.test_insight.TellingGateway"


@pytest.fixture
def client(user: Any) -> Client:
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def keep_event(peer: Any, code: str, rows: list[list[dict[str, Any]]], seq: int = 7) -> None:
    difference = {"ours": ["a"], "theirs": ["b"], "nearest": rows[0], "offers": rows}
    body = {"seq": seq, "code": code, "time": 1_700_000_000.5, "difference": difference, "evidence": {"offered": "x"}}
    appliance = peer.site.appliances.get()
    body |= {"severity": "error", "text": "t", "peer_id": str(peer.uuid), "peer": peer.name}
    row = storage.row(body, peer.site.organization_id, appliance.pk, str(appliance.uuid), seq)
    storage.insert(connection, [row])


def test_the_light_has_shape_word_and_reason_in_every_state(site: Any) -> None:
    peer = make_peer(site)
    two = [["10.1.0.0/24", "10.2.0.0/24"], ["10.1.0.0/24", "10.3.0.0/24"]]
    quiet = {"phase1": DOWN, "sas": []}
    cases: list[tuple[dict[str, Any] | None, dict[str, Any] | None, str, str]] = [
        (status_of(peer), ENGINE, "up", "One pair"),
        (status_of(peer, last_failure=failure("ike.phase1.timeout")), ENGINE, "degraded", "does not answer"),
        (status_of(peer, start="immediate", selectors=two), ENGINE, "degraded", "1 of 2"),
        (status_of(peer, start="traffic", selectors=two), ENGINE, "up", "One pair"),
        (
            status_of(peer, **quiet, last_failure=failure("ike.phase1.no_proposal")),
            ENGINE,
            "down",
            "No phase 1 proposal",
        ),
        (status_of(peer, phase1={**DOWN, "state": "negotiating"}, sas=[]), ENGINE, "negotiating", "being negotiated"),
        (status_of(peer, sas=[]), ENGINE, "negotiating", "no IPsec SA"),
        (status_of(peer, **quiet, start="traffic"), ENGINE, "waiting", "traffic needs it"),
        (status_of(peer, **quiet, start="responder"), ENGINE, "waiting", "peer to begin"),
        (status_of(peer, **quiet, start="immediate"), ENGINE, "down", "at all times"),
        (None, ENGINE, "pending", "does not have"),
        (None, None, "unknown", "ten seconds"),
        (None, {"engine": "down"}, "unknown", "engine is down"),
    ]
    for status, engine, state, reason in cases:
        found = light(status, engine)
        assert (found.state, reason in found.reason) == (state, True), found
        assert found.shape and found.word and found.rank == STATES.index(state)
    assert light(None, None, enabled=False).state == "off"


def test_what_differs_is_marked_and_masks_are_named() -> None:
    assert [(p.text, p.marked) for p in hints.contrast("10.1.0.0/24", "10.1.0.0/25") if p.marked] == [("/24", True)]
    assert [p.text for p in hints.contrast("10.1.2.0/24", "10.1.3.0/24") if p.marked] == ["2"]
    assert "".join(p.text for p in hints.contrast("10.1.2.0/24", "10.1.3.0/24")) == "10.1.2.0/24"
    assert hints.contrast("aes128", "aes256")[0].marked and not hints.contrast("aes128", "aes128")[0].marked
    assert hints.remark("10.1.0.0/24", "10.1.0.0/25") == "the masks differ by one bit"
    assert "8 bits" in hints.remark("10.1.0.0/24", "10.1.0.0/16")
    assert hints.remark("10.1.0.0/16", "10.1.4.0/24") == "one contains the other"
    assert hints.remark("10.1.0.0/24", "10.9.0.0/24") == "another subnet"
    assert hints.remark("any", "10.9.0.0/24") == ""


def test_labels_in_a_hint_lead_to_their_fields(site: Any) -> None:
    peer = make_peer(site)
    pieces = hints.linked("Change Phase 1 here, or compare the field Pre-shared secret.", str(peer.uuid))
    urls = {piece.text: piece.url for piece in pieces if piece.url}
    assert urls == {
        "Phase 1": f"/vpn/peers/{peer.uuid}/#phase1",
        "Pre-shared secret": f"/vpn/peers/{peer.uuid}/#id_secret",
    }
    assert hints.filled("Change it to “{got}”.", {"received": "gw"}) == "Change it to “gw”."


def test_accepting_a_proposal_adds_it_and_keeps_the_others(site: Any) -> None:
    peer = make_peer(site)
    wanted = {"encryption": "aes128", "hash": "sha256", "group": "modp3072"}
    done = acceptance.accept_proposal(peer, 1, wanted, weak_is_fine=False, author_id=None)
    assert done.name == "aes128-sha256-modp3072" and not done.is_weak
    document = Revision.objects.order_by("-number").first().document
    found = document["peers"][0]["phase1"]["proposals"]
    assert found[-1] == wanted and len(found) == 3
    # Twice is once.
    acceptance.accept_proposal(peer, 1, wanted, weak_is_fine=False, author_id=None)
    assert len(peer.policy["phase1"]["proposals"]) == 3


def test_a_weak_proposal_has_to_be_accepted_knowingly(site: Any) -> None:
    peer = make_peer(site)
    wanted = {"encryption": "3des", "integrity": "sha1", "pfs": "modp1024"}
    with pytest.raises(Refused, match="modp1024"):
        acceptance.accept_proposal(peer, 2, wanted, weak_is_fine=False, author_id=None)
    peer.refresh_from_db()
    assert peer.preset == "strong" and Revision.objects.count() == 2
    done = acceptance.accept_proposal(peer, 2, wanted, weak_is_fine=True, author_id=None)
    assert len(done.weaknesses) == 2
    peer.refresh_from_db()
    assert peer.policy["legacy"] and peer.policy["phase2"]["pfs_group"] == "modp1024"
    assert peer.policy["phase2"]["pfs_also"] == ["modp2048"]
    with pytest.raises(Refused, match="des"):
        acceptance.proposal(peer, 2, wanted | {"encryption": "des"})


def test_without_pfs_is_accepted_too(site: Any) -> None:
    peer = make_peer(site)
    wanted = {"encryption": "aes256gcm16", "integrity": "", "pfs": ""}
    acceptance.accept_proposal(peer, 2, wanted, weak_is_fine=False, author_id=None)
    assert peer.policy["phase2"]["pfs_group"] is None and peer.policy["phase2"]["pfs_also"] == ["modp2048"]
    assert len(peer.policy["phase2"]["proposals"]) == 2
    document = Revision.objects.order_by("-number").first().document
    document["peers"][0]["psk"] = "a secret of enough length"
    assert None in parse_config(document).peers[0].phase2.pfs_accepted


def test_what_was_accepted_survives_the_form(site: Any) -> None:
    peer = make_peer(site)
    wanted = {"encryption": "aes128", "hash": "sha256", "group": "modp3072"}
    acceptance.accept_proposal(peer, 1, wanted, weak_is_fine=False, author_id=None)
    form = PeerForm(instance=peer)
    data = {name: form[name].value() for name in form.fields if form[name].value() is not None}
    data |= {"remote_subnets": "10.2.0.0/24", "secret": ""}
    bound = PeerForm(data, instance=peer)
    assert bound.is_valid(), bound.errors
    assert [wanted == row for row in bound.instance.policy["phase1"]["proposals"]] == [False, False, True]


def test_offers_say_what_accepting_does_and_what_cannot_be(site: Any) -> None:
    peer = make_peer(site)
    other = [cell("encryption", "aes256", "3des"), cell("hash", "sha256", "md5"), cell("group", "modp2048", "modp1024")]
    other.append(cell("authentication", "psk", "psk"))
    strange = [*PHASE1[:3], cell("authentication", "psk", "rsa-sig")]
    difference = {"nearest": PHASE1, "offers": [other, PHASE1, strange]}
    found = diagnosis.offers(peer, "ike.phase1.no_proposal", difference)
    assert [offer.index for offer in found] == [1, 0, 2] and found[0].is_nearest
    assert found[0].accepts == "aes128-sha256-modp3072" and not found[0].weaknesses
    assert len(found[1].weaknesses) == 3
    assert "authentication" in found[2].why_not and not found[2].accepts
    selectors = [
        cell("local subnet", "10.1.0.0/24", "10.1.0.0/24"),
        cell("remote subnet", "10.2.0.0/24", "10.2.0.0/25"),
    ]
    row = diagnosis.offers(peer, "ike.phase2.selectors", {"nearest": selectors})[0]
    assert row.accepts == "10.2.0.0/25 instead of 10.2.0.0/24"
    assert row.cells[1]["remark"] == "the masks differ by one bit"
    swapped = [cell("local subnet", "10.1.0.0/24", "10.9.0.0/24"), selectors[1]]
    assert not diagnosis.offers(peer, "ike.phase2.selectors", {"nearest": swapped})[0].accepts


def test_the_page_explains_and_accepts(client: Client, site: Any, said: dict[str, Any]) -> None:
    peer = make_peer(site)
    said[str(peer.uuid)] = status_of(peer, phase1=DOWN, sas=[], last_failure=failure("ike.phase1.no_proposal"))
    keep_event(peer, "ike.phase1.no_proposal", [PHASE1])
    page = client.get(f"/status/{peer.uuid}/").content.decode()
    for text in ("main 1 · SA, 2 VENDOR-ID", "56 octets, again (2), 4500, NAT-T", "failed after main 1"):
        assert text in page, text
    for text in (
        "No phase 1 proposal in common",
        "Certain",
        "#phase1",
        "<mark>aes128</mark>",
        "Accept this: aes128-sha256",
    ):
        assert text in " ".join(page.split()), text
    answer = client.post(f"/status/{peer.uuid}/accept/", {"seq": "7", "offer": "0"}, follow=True)
    assert "aes128-sha256-modp3072 is accepted in phase 1" in answer.content.decode()
    peer.refresh_from_db()
    assert peer.preset == "custom"
    for bad in ({}, {"seq": "x", "offer": "0"}, {"seq": "7", "offer": "9"}, {"seq": "8", "offer": "0"}):
        answer = client.post(f"/status/{peer.uuid}/accept/", bad, follow=True)
        assert "is not kept any more" in answer.content.decode(), bad


def test_weak_without_the_tick_changes_nothing(client: Client, site: Any, said: dict[str, Any]) -> None:
    peer = make_peer(site)
    weak = [cell("encryption", "aes256", "3des"), *PHASE1[1:]]
    keep_event(peer, "ike.phase1.no_proposal", [weak])
    said[str(peer.uuid)] = status_of(peer, phase1=DOWN, sas=[], last_failure=failure("ike.phase1.no_proposal"))
    answer = client.post(f"/status/{peer.uuid}/accept/", {"seq": "7", "offer": "0"}, follow=True)
    assert "Tick that you accept it" in answer.content.decode()
    peer.refresh_from_db()
    assert peer.preset == "strong"
    client.post(f"/status/{peer.uuid}/accept/", {"seq": "7", "offer": "0", "weak": "on"})
    peer.refresh_from_db()
    assert peer.policy["legacy"] is True


def test_a_subnet_is_taken_over(client: Client, site: Any, said: dict[str, Any]) -> None:
    peer = make_peer(site)
    row = [cell("local subnet", "10.1.0.0/24", "10.1.0.0/24"), cell("remote subnet", "10.2.0.0/24", "10.2.0.0/25")]
    keep_event(peer, "ike.phase2.selectors", [[*row, cell("protocol and ports", "", "")]])
    said[str(peer.uuid)] = status_of(peer, sas=[], last_failure=failure("ike.phase2.selectors"))
    page = client.get(f"/status/{peer.uuid}/diagnosis/").content.decode()
    assert "<mark>/25</mark>" in page and "the masks differ by one bit" in page
    client.post(f"/status/{peer.uuid}/accept/", {"seq": "7", "offer": "0"})
    peer.refresh_from_db()
    assert peer.remote_subnets == ["10.2.0.0/25"]


def test_facts_are_shown_and_queries_are_few(
    client: Client,
    site: Any,
    said: dict[str, Any],
    django_assert_max_num_queries: Any,
) -> None:
    peer = make_peer(site)
    said[str(peer.uuid)] = status_of(peer)
    with django_assert_max_num_queries(9):
        page = client.get(f"/status/{peer.uuid}/facts/").content.decode()
    for text in ("0a0b0c0d", "aes256-sha256-modp2048", "1.2 kB, 12", "53 min 20 s", "native", "none seen"):
        assert text in page, text


def test_an_engine_that_is_away_is_said(client: Client, site: Any, said: dict[str, Any]) -> None:
    peer = make_peer(site)
    FakeGateway.answer = FakeGateway.Unavailable("gone")
    page = client.get(f"/status/{peer.uuid}/").content.decode()
    assert "The engine does not answer" in page and "not delivered" in page


def test_foreign_peers_do_not_exist(client: Client, site: Any) -> None:
    from dashboard.accounts import services as accounts
    from dashboard.fleet import services as fleet

    other = accounts.create_administrator(email="b@example.com", name="B", password="a-long-passphrase-8")
    theirs = fleet.create_organization(name="P", site_name="T", administrator_id=other.pk).site
    from dashboard.sitevpn import services as vpn

    vpn.save_subnets(theirs.pk, [("10.7.0.0/24", "", True)], other.pk)
    peer = make_peer(theirs)
    for path in ("", "facts/", "diagnosis/"):
        assert client.get(f"/status/{peer.uuid}/{path}").status_code == 404
    assert client.post(f"/status/{peer.uuid}/accept/", {"seq": "7", "offer": "0"}).status_code == 404
