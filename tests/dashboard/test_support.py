"""The support bundle: it has what helps, and none of the secrets, wherever they were put."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from dashboard.api import keys
from dashboard.audit.models import Change
from dashboard.core import actor
from dashboard.eventlog import services as eventlog
from dashboard.fleet.models import Appliance
from dashboard.insight import live
from dashboard.notify import services as notify
from dashboard.notify.models import Channel, MailServer
from dashboard.publish.models import Revision
from dashboard.sitevpn import services as vpn
from dashboard.sitevpn.models import Peer
from dashboard.support import bundle
from dashboard.support.redaction import MARK, Scrubber
from tests.dashboard import test_dashboard as base
from tests.dashboard.test_authentication import CURVE, NEW, OWN, certified, fields
from tests.dashboard.test_dashboard import SECRET, FakeGateway
from tests.dashboard.test_insight import ENGINE, status_of
from tests.eventlog.conftest import make_event

pytestmark = pytest.mark.django_db
isolated, site, user = base.isolated, base.site, base.user
HOOK = "https://chat.example.com/services/T0001/B0002/kP9xVq2LmZ"
MAIL_PASSWORD = "mail, and nothing but mail"
XAUTH_PASSWORD = "the password of carol"
USER_PASSWORD = "the password of dave"
OLD_SECRET = "what it was before that"
PASTED: list[str] = []


class LeakyGateway(FakeGateway):
    """An engine whose answers repeat every secret that there is."""

    def request(self, op: str, **asked: Any) -> Any:
        super().request(op, **asked)
        if op == "stats":
            return {"datagrams": {"received": 4711}, "drops": {"; ".join(PASTED): 1}}
        return {"peer": asked["peer"], "negotiations": [{"negotiation": "cc" * 8, "lines": PASTED, "psk": "unknown"}]}


@pytest.fixture
def browser(site: Any, user: Any, settings: Any) -> Client:
    settings.CULVERT_ENGINE_GATEWAY = "tests.dashboard.test_support.LeakyGateway"
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def secrets(browser: Client, site: Any) -> dict[str, str]:
    """Known secrets of every kind, each kept by the page or service that is there for it."""
    xauth = {"xauth_role": "client", "xauth_user": "carol", "xauth_password": XAUTH_PASSWORD}
    assert browser.post(NEW, fields(secret=OLD_SECRET, **xauth)).status_code == 302
    vpn.save_peer(Peer.objects.get(), secret=SECRET, author_id=None)
    certificate = {"name": "Certified", "remote": "192.0.2.7", "remote_subnets": "10.7.0.0/24"}
    assert browser.post(NEW, certified(**certificate)).status_code == 302
    vpn.save_user(site.pk, "dave", USER_PASSWORD, None)
    of = site.organization
    channel = Channel(organization=of, name="Hook", kind="webhook")
    server = MailServer(organization=of, host="mail.example.com", username="culvert", sender="vpn@example.com")
    notify.save_mail_server(server, MAIL_PASSWORD)
    found = {
        "pre-shared secret": SECRET,
        "earlier pre-shared secret": OLD_SECRET,
        "private key": OWN.key_pem,
        "line of a private key": OWN.key_pem.splitlines()[2],
        "password of XAUTH": XAUTH_PASSWORD,
        "password of a user": USER_PASSWORD,
        "address of a webhook": HOOK,
        "end of a webhook's address": HOOK.removeprefix("https://chat.example.com/"),
        "signing secret": notify.save_channel(channel, HOOK),
        "mail password": MAIL_PASSWORD,
        "API key": keys.make(organization_id=of.pk, name="key", role="full", sites={}, days=None, by_id=None),
        "somebody else's private key": CURVE.key_pem,
    }
    PASTED[:] = found.values()
    return found


@pytest.fixture
def spread(secrets: dict[str, str], site: Any, monkeypatch: Any) -> dict[str, str]:
    """The same secrets in everything that people and engines write: comments, events, states, traces, names."""
    appliance = Appliance.objects.select_related("site__organization").get(site=site)
    events = [make_event(number, evidence={"said": text}) for number, text in enumerate(PASTED)]
    events += [make_event(100 + number, text=f"the peer says '{text}' to us") for number, text in enumerate(PASTED)]
    eventlog.append(appliance, events)
    problems = [{"field": "peers.0.psk", "rule": "x", "message": text} for text in PASTED]
    Revision.objects.update(comment=f"set {SECRET}", problems=problems)
    newest = Revision.objects.order_by("-number").first()
    newest.document["peers"][0]["name"] = f"Branch {MAIL_PASSWORD}"
    newest.save()
    peers = {str(peer.uuid): status_of(peer, last_failure={"text": " ".join(PASTED)}) for peer in Peer.objects.all()}
    said = live.Seen(ENGINE | {"conditions": list(PASTED)}, peers)
    monkeypatch.setattr(bundle, "every_peer", lambda uuid: said)
    return secrets


def unpacked(answer: Any) -> dict[str, bytes]:
    """The members of a bundle by their names, without the folder that all of them are in."""
    assert answer.status_code == 200, answer.content
    data = b"".join(answer.streaming_content)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        names = {member.name.split("/", 1)[0] for member in tar}
        assert len(names) == 1 and next(iter(names)) + ".tar.gz" in answer["Content-Disposition"]
        return {member.name.split("/", 1)[1]: tar.extractfile(member).read() for member in tar}


def download(browser: Client, site: Any) -> dict[str, bytes]:
    return unpacked(browser.post(reverse("support-bundle", args=[site.uuid])))


def test_no_secret_is_in_it_wherever_it_stood(browser: Client, site: Any, spread: dict[str, str]) -> None:
    files = download(browser, site)
    found = []
    for name, data in files.items():
        for kind, secret in spread.items():
            forms = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
            found += [f"{kind} in {name}" for form in forms if form.encode() in data]
    assert found == []
    # Not because nothing was put there: each of these had the secrets, and has the mark now.
    for name in ("events.jsonl", "appliance-1/counters.json", "appliance-1/engine.json", "appliance-1/peers.jsonl"):
        assert MARK.encode() in files[name], name
    assert f"set {MARK}" in files["appliance-1/history.json"].decode()
    assert len([name for name in files if name.startswith("appliance-1/traces/")]) == 2


def test_what_helps_is_in_it(browser: Client, site: Any, spread: dict[str, str]) -> None:
    files = download(browser, site)
    configuration = json.loads(files["appliance-1/configuration.json"])
    branch, certificate = configuration["peers"]
    assert branch["name"] == f"Branch {MARK}" and branch["remote"] == "192.0.2.2" and branch["psk"] == MARK
    assert branch["xauth"] == {"role": "client", "user": "carol", "password": MARK}
    assert certificate["private_key"] == MARK and "BEGIN CERTIFICATE" in certificate["certificate"]
    published = Revision.objects.order_by("-number").first().document["peers"][0]
    assert branch["phase1"] == published["phase1"] and "hash" in json.dumps(branch["phase1"])
    events = [json.loads(line) for line in files["events.jsonl"].splitlines()]
    assert len(events) == 2 * len(PASTED) and events[0]["seq"] == len(events) and events[0]["code"] == "ike.notify"
    assert events[0]["text"].startswith("the peer says '") and events[0]["text"].endswith("' to us")
    history = json.loads(files["appliance-1/history.json"])["revisions"]
    assert [row["number"] for row in history] == sorted((row["number"] for row in history), reverse=True)
    assert json.loads(files["appliance-1/engine.json"])["engine"]["dataplane"] == "native"
    peers = [json.loads(line) for line in files["appliance-1/peers.jsonl"].splitlines()]
    assert [peer["sas"][0]["spi_in"] for peer in peers] == ["0a0b0c0d"] * 2
    assert json.loads(files["appliance-1/counters.json"])["datagrams"] == {"received": 4711}
    trace = json.loads(files[f"appliance-1/traces/{Peer.objects.first().uuid}.json"])
    assert trace["negotiations"][0]["negotiation"] == "cc" * 8
    versions, host = json.loads(files["versions.json"]), json.loads(files["host.json"])
    assert versions["packages"]["Django"].startswith("5.2") and versions["database"] and versions["culvert"]
    assert host["kernel"] and host["memory"]["total"] > host["memory"]["available"] > 0 and host["disk"]["free"] > 0
    assert any(link["ifname"] == "lo" for link in host["addresses"])
    manifest = json.loads(files["manifest.json"])
    assert manifest["site"]["name"] == "S" and manifest["secrets_removed"] > 50
    assert {name: len(data) for name, data in files.items() if name != "manifest.json"} == manifest["members"]


def test_it_is_bounded_and_says_what_had_no_room(
    browser: Client, site: Any, spread: dict[str, str], monkeypatch: Any
) -> None:
    appliance = Appliance.objects.select_related("site__organization").get(site=site)
    eventlog.append(appliance, [make_event(1000 + number) for number in range(bundle.EVENTS + 10)])
    assert len(download(browser, site)["events.jsonl"].splitlines()) == bundle.EVENTS
    monkeypatch.setattr(bundle, "MAX_MEMBER", 3000)
    monkeypatch.setattr(bundle, "TRACES", 1)
    files = download(browser, site)
    assert all(len(data) <= 3000 for name, data in files.items() if name != "manifest.json")
    lines = files["events.jsonl"].splitlines()
    notes = json.loads(files["manifest.json"])["notes"]
    assert json.loads(lines[-1])["code"] == "ike.notify" and f"events.jsonl was cut after {len(lines)} lines" in notes
    assert any(note.startswith("appliance-1/configuration.json was left out") for note in notes)
    assert "appliance-1/traces has 1 peers; there are more" in notes


def test_an_engine_that_is_away_is_told(browser: Client, site: Any, secrets: dict[str, str]) -> None:
    FakeGateway.answer = FakeGateway.Unavailable("no engine answers")
    files = download(browser, site)
    notes = json.loads(files["manifest.json"])["notes"]
    assert any("counters.json could not be had: The engine does not answer" in note for note in notes)
    assert "appliance-1/configuration.json" in files


def test_each_download_is_in_the_change_log(browser: Client, site: Any, user: Any) -> None:
    answer = browser.post(reverse("support-bundle", args=[site.uuid]), REMOTE_ADDR="198.51.100.4")
    size = len(b"".join(answer.streaming_content))
    assert answer["Cache-Control"] == "no-store"
    row = Change.objects.order_by("-id").first()
    assert (row.kind, row.verb, row.name, row.address) == ("support bundle", "downloaded", "S", "198.51.100.4")
    assert row.user_id == user.pk and row.after["octets"] == size
    assert actor.present().user_id is None


def test_one_at_a_time(browser: Client, site: Any) -> None:
    cache.add(f"support-bundle:{site.organization_id}", 1, 60)
    answer = browser.post(reverse("support-bundle", args=[site.uuid]))
    assert answer.status_code == 429 and "being made already" in answer.content.decode()
    cache.clear()
    assert browser.post(reverse("support-bundle", args=[site.uuid])).status_code == 200
    assert browser.post(reverse("support-bundle", args=[site.uuid])).status_code == 200


def test_other_sites_events_stay_out(browser: Client, site: Any) -> None:
    other = site.organization.sites.create(name="Other")
    there = Appliance.objects.create(site=other, name="There")
    eventlog.append(Appliance.objects.select_related("site__organization").get(pk=there.pk), [make_event(1)])
    assert download(browser, site)["events.jsonl"] == b""
    assert len(download(browser, other)["events.jsonl"].splitlines()) == 1
    assert "host.json" not in download(browser, other)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"psk": ""}, {"psk": ""}),
        ({"psk": {"$secret": 4}}, {"psk": MARK}),
        ({"anything": {"$secret": 4}}, {"anything": MARK}),
        ({"has_secret": True, "hash": "sha256"}, {"has_secret": True, "hash": "sha256"}),
        ("x swordfish, swordfish", f"x {MARK}, {MARK}"),
        ("swordfis", "swordfis"),
        ("swordfishing", f"{MARK}ing"),
        ("swordfish and more", MARK),
        ({"swordfish": 1}, {MARK: 1}),
        ("redis://me:hidden@host/0", f"redis://{MARK}@host/0"),
        ("Bearer culvert_" + "a" * 43, f"Bearer {MARK}"),
        ("-----BEGIN EC PRIVATE KEY-----\ncut off", MARK),
    ],
)
def test_the_scrubber(value: Any, expected: Any) -> None:
    assert Scrubber(["swordfish", "swordfish and more", "ab"]).clean(value) == expected
