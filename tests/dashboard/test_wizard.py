"""The five questions about a new peer."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.sessions.models import Session
from django.core import signing

from dashboard.audit.models import Change
from dashboard.fleet.models import Membership, Site
from dashboard.peerside import selectors as peerside
from dashboard.publish import services as publishing
from dashboard.sitevpn import sealed
from dashboard.sitevpn.models import Peer
from dashboard.sitevpn.presets import BY_KEY
from dashboard.sitevpn.wizard_forms import MAKERS, strong_secret
from dashboard.sitevpn.wizard_summary import legacy, summary
from tests.dashboard.test_dashboard import SECRET, isolated, make_peer, site, user

pytestmark = pytest.mark.django_db
__all__ = ["isolated", "site", "user"]
ADDRESS = "/vpn/peers/wizard/"
ANSWERS: dict[str, dict[str, str]] = {
    "maker": {"name": "Branch", "maker": "fortigate"},
    "address": {"reach": "address", "remote": "192.0.2.2"},
    "subnets": {"remote_subnets": "10.2.0.0/24\n10.3.0.0/24"},
    "secret": {"source": "typed", "secret": SECRET},
    "start": {"start": "traffic"},
}


@pytest.fixture
def browser(user: Any, site: Any, client: Any) -> Any:
    client.force_login(user)
    return client


def answer(browser: Any, step: str, **changes: str) -> Any:
    return browser.post(f"{ADDRESS}?step={step}", {**ANSWERS[step], **changes})


def go_to(browser: Any, last: str = "start", **changes: dict[str, str]) -> None:
    """Answer all questions up to and with ``last``."""
    for step in ANSWERS:
        answered = answer(browser, step, **changes.get(step, {}))
        assert answered.status_code == 302, re.findall(r'field-error">([^<]*)', answered.content.decode())
        if step == last:
            return


def step(browser: Any, query: str = "") -> str:
    return str(browser.get(ADDRESS + query).context["step"].key)


def text(answered: Any) -> str:
    return str(answered.content.decode())


def errors(answered: Any) -> dict[str, list[str]]:
    return {name: list(found) for name, found in answered.context["form"].errors.items()}


def test_five_answers_make_a_peer_and_lead_to_the_other_side(browser: Any, user: Any) -> None:
    for number, key in enumerate(ANSWERS):
        assert step(browser) == step(browser, "?step=summary") == key, "no question can be skipped"
        assert browser.get(ADDRESS).context["done"] == number
        assert answer(browser, key).status_code == 302
    page = text(browser.get(ADDRESS))
    assert "Policy: Strong (recommended)" in page and "Nothing in it is weak or dated" in page
    assert Peer.objects.count() == 0 and SECRET not in page
    reviewed = browser.post(ADDRESS + "?step=summary", {"change-review": "1"})
    assert "Peer “Branch”" in text(reviewed) and Peer.objects.count() == 0
    saved = browser.post(ADDRESS + "?step=summary", {"go": "save"})
    row = Peer.objects.get()
    assert saved.url == f"/vpn/peers/{row.uuid}/other-side/?vendor=fortigate"
    assert (row.name, row.remote, row.remote_subnets) == ("Branch", "192.0.2.2", ["10.2.0.0/24", "10.3.0.0/24"])
    assert (row.preset, row.start, row.exchange) == ("strong", "traffic", "main")
    assert publishing.reveal_secret(row.secret_version) == SECRET
    after = browser.get(saved.url)
    assert "config vpn ipsec phase1-interface" in text(after) and SECRET not in text(after)
    assert SECRET not in json.dumps([(c.before, c.after) for c in Change.objects.all()])
    assert step(browser) == "maker" and not browser.get(ADDRESS).context["begun"], "the draft is gone"


def test_a_draft_outlives_leaving_and_holds_the_secret_only_sealed(browser: Any, user: Any) -> None:
    go_to(browser, "secret")
    assert browser.get("/vpn/").status_code == 200
    assert step(browser) == "start"
    again = text(browser.get(ADDRESS + "?step=subnets"))
    assert "10.2.0.0/24\n10.3.0.0/24" in again
    kept = [row.get_decoded() for row in Session.objects.all()]
    assert SECRET not in str(kept) and SECRET not in "".join(row.session_data for row in Session.objects.all())
    ((draft,),) = [list(row["peer-wizard"].values()) for row in kept if "peer-wizard" in row]
    token = draft["secret"]["valid"]["sealed"]
    assert sealed.opened(token, user.pk) == SECRET and sealed.opened(token, user.pk + 1) == ""
    assert SECRET not in text(browser.get(ADDRESS + "?step=secret"))
    # Kept, if nobody says otherwise.
    assert browser.post(ADDRESS + "?step=secret", {"source": "keep"}).status_code == 302
    assert step(browser) == "start"


def test_a_secret_is_generated_here_and_shown_once(browser: Any) -> None:
    go_to(browser, "subnets")
    shown = answer(browser, "secret", source="generate", secret="")
    found = re.search(r'id="once" value="([^"]*)"', text(shown))
    assert found is not None and shown.headers["Cache-Control"] == "no-store"
    secret = found[1]
    assert re.fullmatch("[a-km-np-z2-9]{52}", secret)
    for query in ("", "?step=secret", "?step=start"):
        assert secret not in text(browser.get(ADDRESS + query))
    assert answer(browser, "start").status_code == 302
    assert "generated, 256 bits" in text(browser.get(ADDRESS))
    browser.post(ADDRESS + "?step=summary", {"go": "save"})
    assert publishing.reveal_secret(Peer.objects.get().secret_version) == secret


def test_generated_secrets_differ_and_suit_every_gateway() -> None:
    made = {strong_secret() for _number in range(200)}
    assert len(made) == 200 and all(re.fullmatch(r"[a-z2-9]{52}", one) for one in made)
    assert len(set("".join(made))) == 32, "all letters are used"


def test_a_secret_that_is_too_old_has_to_be_set_again(browser: Any) -> None:
    go_to(browser)
    late = signing.time.time() + timedelta(days=1, minutes=1).total_seconds()
    with patch("django.core.signing.time.time", return_value=late):
        page = browser.get(ADDRESS)
        assert page.context["step"].key == "secret" and "kept for one day, which is over" in text(page)
        saved = browser.post(ADDRESS + "?step=summary", {"go": "save"})
        assert saved.context["step"].key == "secret" and Peer.objects.count() == 0


def test_a_key_that_is_gone_asks_for_the_secret_again(browser: Any, settings: Any, tmp_path: Any) -> None:
    go_to(browser)
    settings.CULVERT_KEYRING = tmp_path / "another.json"
    assert step(browser) == "secret"


@pytest.mark.parametrize(
    ("key", "changes", "field", "rule"),
    [
        ("maker", {"name": ""}, "name", "required"),
        ("maker", {"name": "x" * 81}, "name", "at most 80"),
        ("maker", {"maker": ""}, "maker", "Choose what the other gateway is"),
        ("maker", {"maker": "enigma"}, "maker", "valid choice"),
        ("address", {"remote": ""}, "remote", "Enter the address"),
        ("address", {"remote": "no such host"}, "remote", "no such host"),
        ("address", {"remote": "192.0.2.0/24"}, "remote", "several addresses"),
        ("address", {"remote": "any"}, "remote", "several addresses"),
        ("address", {"reach": ""}, "reach", "required"),
        ("address", {"reach": "calls", "remote": "192.0.2.9-192.0.2.1"}, "remote", "192.0.2"),
        ("subnets", {"remote_subnets": ""}, "remote_subnets", "at least one"),
        ("subnets", {"remote_subnets": "10.2.0.1/24"}, "remote_subnets", "host bits"),
        ("subnets", {"remote_subnets": "10.1.0.128/25"}, "remote_subnets", "overlaps"),
        ("subnets", {"remote_subnets": "10.2.0.0/24\n" * 10_000}, "remote_subnets", "20000"),
        ("subnets", {"remote_subnets": "\u202eΩ<script>"}, "remote_subnets", "is not a subnet"),
        ("secret", {"secret": ""}, "secret", "Enter the secret"),
        ("secret", {"secret": "short"}, "secret", "at least 8"),
        ("secret", {"source": ""}, "source", "required"),
        ("secret", {"source": "generate"}, "source", "A secret was entered"),
        ("start", {"start": "never"}, "start", "valid choice"),
    ],
)
def test_bad_answers_name_the_field_and_the_rule_and_lose_nothing(
    key: str, changes: dict[str, str], field: str, rule: str, browser: Any
) -> None:
    before = [*ANSWERS][: [*ANSWERS].index(key)]
    if before:
        go_to(browser, before[-1])
    refused = answer(browser, key, **changes)
    assert refused.status_code == 200
    assert [*errors(refused)] == [field] and rule in " ".join(errors(refused)[field])
    for name, value in {**ANSWERS[key], **changes}.items():
        if name in ("secret", "source", "maker", "reach", "start"):
            continue
        assert refused.context["form"][name].value() == value
    if changes.get("secret") or (key == "secret" and changes.get("source") == "generate"):
        assert "Enter the secret again" in text(refused) and SECRET not in text(refused)
    # What was typed is still there when one comes back, unless it is far too much.
    back = browser.get(ADDRESS)
    assert back.context["step"].key == key
    for name, value in changes.items():
        if key in ("maker", "address", "subnets") and len(value) < 20_000:
            assert back.context["form"][name].value() == value


def test_names_and_subnets_of_other_peers_are_taken(browser: Any, site: Any) -> None:
    make_peer(site)
    assert "exists already" in errors(answer(browser, "maker", name="bRANCH"))["name"][0]
    go_to(browser, "address", maker={"name": "Second"}, address={"remote": "192.0.2.3"})
    assert "already goes to peer" in errors(answer(browser, "subnets"))["remote_subnets"][0]


def test_back_keeps_what_is_no_answer_yet(browser: Any) -> None:
    go_to(browser, "address")
    back = answer(browser, "subnets", remote_subnets="10.2.", go="back")
    assert back.url == ADDRESS + "?step=address"
    assert browser.get(ADDRESS).context["form"]["remote_subnets"].value() == "10.2."


def test_an_unknown_name_is_asked_about(browser: Any) -> None:
    go_to(browser, "maker")
    name = "vpn.example.invalid"
    refused = answer(browser, "address", remote=name)
    assert "does not resolve" in errors(refused)["remote"][0] and "unresolved_is_fine" in text(refused)
    assert answer(browser, "address", remote=name, unresolved_is_fine="on").status_code == 302
    assert step(browser) == "subnets"


def test_who_calls_us_begins(browser: Any) -> None:
    go_to(browser)
    assert answer(browser, "address", reach="calls", remote="").status_code == 302
    assert step(browser) == "start", "the answer from before is none any more"
    page = browser.get(ADDRESS)
    assert [key for key, _label in page.context["form"].fields["start"].choices] == ["responder"]
    assert errors(answer(browser, "start"))["start"]
    assert answer(browser, "start", start="responder").status_code == 302
    browser.post(ADDRESS + "?step=summary", {"go": "save"})
    assert (Peer.objects.get().remote, Peer.objects.get().start) == ("any", "responder")


def test_another_maker_makes_another_policy_and_looks_at_the_secret(browser: Any) -> None:
    go_to(browser)
    browser.post(ADDRESS + "?step=summary", {"go": "policy", "preset": "compatible"})
    assert browser.get(ADDRESS).context["summary"].choice.preset.key == "compatible"
    answer(browser, "maker", maker="aws")
    page = browser.get(ADDRESS)
    assert page.context["step"].key == "secret" and "AWS takes 8 to 64" in text(page)
    assert "keep" not in dict(page.context["form"].fields["source"].choices)
    assert "AWS takes" in errors(answer(browser, "secret"))["secret"][0]
    assert answer(browser, "secret", secret="letters.and_digits9").status_code == 302
    page = browser.get(ADDRESS)
    assert page.context["summary"].choice.preset.key == "aws", "what was chosen for the other maker is not taken over"
    assert "negotiates one pair" in text(page)


def test_legacy_choices_say_why(browser: Any) -> None:
    go_to(browser, maker={"maker": "asa"})
    page = text(browser.get(ADDRESS))
    assert "An ASA knows only SHA-1 in IKEv1" in page and "sha1: SHA-1 has collisions" in page
    browser.post(ADDRESS + "?step=summary", {"go": "policy", "preset": "compatible"})
    assert "no PFS: without perfect forward secrecy" in text(browser.get(ADDRESS))


def test_what_is_strong_is_called_so() -> None:
    assert {key for key, preset in BY_KEY.items() if legacy(preset)} == {"compatible", "asa"}


@pytest.mark.parametrize("maker", [key for key, _title in MAKERS])
def test_the_policy_proposed_is_one_that_the_gateway_can_have(maker: str, site: Any) -> None:
    answers = {
        "maker": maker,
        "name": "Branch",
        "remote": "192.0.2.2",
        "remote_subnets": ["10.2.0.0/24"],
        "start": "immediate",
    }
    found = summary(site, answers)
    assert found.blocks == () and found.problems == () and found.choice.recommended
    for other in found.others:
        side = peerside.other_side(found.peer, site.name, "")
        assert peerside.vendor(maker) is None or peerside.written(side, maker).text
        assert other.preset.key != found.choice.preset.key


def test_what_changes_meanwhile_is_refused_with_the_place_to_mend(browser: Any, site: Any) -> None:
    go_to(browser)
    make_peer(site)
    refused = browser.post(ADDRESS + "?step=summary", {"go": "save"})
    assert "A peer called “Branch” exists already" in text(refused) and 'href="?step=maker"' in text(refused)
    assert Peer.objects.count() == 1 and step(browser) == "summary"
    answer(browser, "maker", name="Second")
    refused = browser.post(ADDRESS + "?step=summary", {"go": "save"})
    assert "already goes to peer" in text(refused) and 'href="?step=subnets"' in text(refused)


def test_drafts_are_of_one_site_and_can_be_thrown_away(browser: Any, site: Any, user: Any) -> None:
    go_to(browser, "subnets")
    other = Site.objects.create(organization=site.organization, name="Other")
    place = f"{site.organization.uuid}/{{}}"
    browser.post("/switch/", {"place": place.format(other.uuid)})
    assert step(browser) == "maker"
    answer(browser, "maker", name="Theirs")
    browser.post("/switch/", {"place": place.format(site.uuid)})
    assert step(browser) == "secret"
    assert browser.post(ADDRESS, {"go": "discard"}).status_code == 302
    assert step(browser) == "maker" and not browser.get(ADDRESS).context["begun"]


def test_the_site_page_leads_here_for_who_may_edit(browser: Any, user: Any, site: Any) -> None:
    assert f'href="{ADDRESS}"' in text(browser.get("/vpn/"))
    Membership.objects.filter(user=user).update(role="read-only")
    assert f'href="{ADDRESS}"' not in text(browser.get("/vpn/"))
    assert browser.get(ADDRESS).status_code == 403


def test_queries_are_few(browser: Any, django_assert_max_num_queries: Any, site: Any) -> None:
    for number in range(5):
        make_peer(site, name=f"P{number}", remote=f"192.0.2.{number + 20}", remote_subnets=[f"10.{number + 50}.0.0/24"])
    go_to(browser)
    with django_assert_max_num_queries(30):
        browser.get(ADDRESS)
