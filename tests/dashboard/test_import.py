"""The page that reads the other gateway's configuration."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dashboard.peerside.catalogue import STRONGSWAN
from dashboard.peerside.facts import mirror
from dashboard.peerside.fit import fitted
from dashboard.publish import services as publishing
from dashboard.sitevpn import sealed
from dashboard.sitevpn.forms import PeerForm
from dashboard.sitevpn.models import Peer
from tests.dashboard.test_dashboard import isolated, site, user
from tests.peerside.test_renderers import OURS, THEIRS, gcm, peer

pytestmark = pytest.mark.django_db
__all__ = ["isolated", "site", "user"]
ADDRESS = "/vpn/peers/import/"
SECRET = "correct-horse-battery-staple-9"


@pytest.fixture
def browser(user: Any, client: Any) -> Any:
    client.force_login(user)
    client.raise_request_exception = False
    return client


def text_of(**changes: Any) -> str:
    found = fitted(mirror(peer(**changes), "Headquarters", OURS), STRONGSWAN)
    return found.text.replace("PASTE THE PRE-SHARED SECRET HERE", SECRET)


def filled(page: str) -> dict[str, Any]:
    """What the browser would send of the form that came back."""
    form = PeerForm(instance=Peer())
    sent: dict[str, Any] = {}
    for name in form.fields:
        value = re.search(rf'name="{name}"[^>]*value="([^"]*)"', page) or re.search(
            rf'value="([^"]*)"[^>]*name="{name}"', page
        )
        area = re.search(rf'<textarea name="{name}"[^>]*>\s*([^<]*)</textarea>', page)
        select = re.search(rf'<select name="{name}".*?</select>', page, re.DOTALL)
        chosen = re.findall(r'value="([^"]*)"\s+selected', select[0]) if select else []
        if select:
            sent[name] = chosen if "multiple" in select[0].partition(">")[0] else (chosen or [""])[0]
        elif area:
            sent[name] = area[1]
        elif value and 'type="checkbox"' not in value[0]:
            sent[name] = value[1]
    return {name: value for name, value in sent.items() if value not in ("", [])} | {"enabled": "on"}


def test_a_pasted_configuration_becomes_a_peer_and_its_secret_is_never_shown(
    site: Any, user: Any, browser: Any
) -> None:
    page = browser.post(ADDRESS, {"text": text_of(**gcm())}).content.decode()
    assert "Read from strongSwan" in page and SECRET not in page and 'action="/vpn/peers/new/"' in page
    assert Peer.objects.count() == 0
    sent = filled(page)
    assert sent["preset"] == "custom" and "Of 2 proposals for phase 1 the first was taken" in page
    saved = browser.post("/vpn/peers/new/", sent)
    assert saved.status_code == 302, re.findall(r'field-error">([^<]*)', saved.content.decode())
    row = Peer.objects.get()
    assert row.remote == THEIRS and row.remote_subnets == ["10.2.0.0/16"]
    assert publishing.reveal_secret(row.secret_version) == SECRET
    assert row.policy["phase2"]["lifetime_kb"] == 4_000_000


def test_a_policy_that_a_preset_has_is_called_by_its_name(site: Any, browser: Any) -> None:
    from dashboard.sitevpn.presets import BY_KEY

    page = browser.post(ADDRESS, {"text": text_of(**BY_KEY["strong"].policy())}).content.decode()
    assert re.search(r'value="strong"\s+selected', page)


def test_subnets_that_differ_from_ours_are_said(site: Any, browser: Any) -> None:
    page = browser.post(ADDRESS, {"text": text_of(local_subnets=["10.77.0.0/24"])}).content.decode()
    assert "The other side expects 10.77.0.0/24 here, and this site&#x27;s subnets in the VPN are 10.1.0.0/24" in page


def test_a_sealed_secret_is_for_one_user(user: Any) -> None:
    token = sealed.seal(SECRET, user.pk)
    assert SECRET not in token and sealed.opened(token, user.pk) == SECRET
    assert sealed.opened(token, user.pk + 1) == "" and sealed.opened(token + "x", user.pk) == ""
    assert sealed.opened("", user.pk) == "" and sealed.seal("", user.pk) == ""


@pytest.mark.parametrize(
    "text", ["nonsense <b>", "\x00\ud7ff\u202e", "connections {" * 500, "Ω" * 1000, "crypto map a 1 set peer \x1b"]
)
def test_garbage_stays_in_the_field_with_the_rule(text: str, site: Any, browser: Any) -> None:
    answer = browser.post(ADDRESS, {"text": text})
    assert answer.status_code == 200 and 'class="field-error"' in answer.content.decode()


def test_too_much_is_refused_clearly(site: Any, browser: Any) -> None:
    long = browser.post(ADDRESS, {"text": "x" * 300_000}).content.decode()
    assert "This has 300000 characters, and at most 262144 are read." in long
    for content_type in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=b"):
        body = b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\n' + b"x" * 50_000_000 + b"\r\n--b--\r\n"
        huge = browser.generic("POST", ADDRESS, body, content_type=content_type)
        assert huge.status_code == 413 and "too large: at most" in huge.content.decode()
    fields = browser.generic(
        "POST",
        ADDRESS,
        b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\n' + b"x" * 5_000_000 + b"\r\n--b--\r\n",
        content_type="multipart/form-data; boundary=b",
    )
    assert fields.status_code == 413 and "at most 2 MB" in fields.content.decode()
    broken = browser.generic("POST", ADDRESS, b"x", content_type="multipart/form-data")
    assert broken.status_code == 400 and "cannot be read" in broken.content.decode()
