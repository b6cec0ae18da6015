"""The pages of alerts and syslog: what was typed is kept, what is wrong is named, what is secret is not shown."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from dashboard.audit.models import Change
from dashboard.notify import services
from dashboard.notify.models import Channel, Delivery, MailServer, Rule, SyslogTarget
from dashboard.publish import services as publishing
from dashboard.sitevpn import services as vpn
from dashboard.sitevpn.models import Peer

pytestmark = pytest.mark.django_db
URL = "https://hooks.example.com/services/T000/very-secret-token"


@pytest.fixture
def client(user: Any, appliance: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(response: Any) -> str:
    return str(response.content.decode())


def test_from_a_channel_to_a_rule(client: Client, appliance: Any) -> None:
    assert "nobody is told of anything" in text(client.get("/alerts/"))
    page = client.post("/alerts/channels/new/", {"name": "Chat", "kind": "webhook", "enabled": "on", "url": URL})
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", text(page))
    assert secret and page["cache-control"] == "no-store"
    channel = Channel.objects.get()
    assert publishing.reveal_secret(channel.url_version) == URL
    for address in ("/alerts/", f"/alerts/channels/{channel.uuid}/"):
        shown = text(client.get(address))
        assert "hooks.example.com" in shown
        assert "very-secret-token" not in shown and secret[0] not in shown
    vpn.save_subnets(appliance.site_id, [("10.1.0.0/24", "", True)], None)
    peer = Peer(site=appliance.site, name="Zürich", remote="192.0.2.2", remote_subnets=["10.2.0.0/24"])
    vpn.save_peer(peer, secret="a secret of enough length", author_id=None)
    data = {"name": "Nights", "enabled": "on", "triggers": ["failed"], "channels": [channel.pk]}
    data |= {"peers": "zürich\n", "hold_s": 60, "quiet_s": 300}
    assert client.post("/alerts/rules/new/", data).status_code == 302
    rule = Rule.objects.get()
    assert (rule.peers, list(rule.channels.all())) == ([str(peer.uuid)], [channel])
    assert "Zürich" in text(client.get(f"/alerts/rules/{rule.uuid}/"))
    client.post(f"/alerts/channels/{channel.uuid}/test/")
    assert Delivery.objects.get().body["trigger"] == "test"
    before = channel.secret_fingerprint
    assert "whsec_" in text(client.post(f"/alerts/channels/{channel.uuid}/secret/"))
    channel.refresh_from_db()
    assert channel.secret_fingerprint != before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"url": ""}, "Enter the address that alerts are sent to."),
        ({"url": "ftp://x.example/"}, "beginning with https://"),
        ({"url": "https://u:p@x.example/"}, "Leave user name and password out"),
        ({"url": "https://x.example:99999/"}, "no address of a web server"),
        ({"url": "https://x.example/ä"}, "%XX"),
        ({"kind": "email"}, "Enter at least one e-mail address."),
        ({"kind": "email", "recipients": "ops@example.com, nonsense"}, "“nonsense” is no e-mail address."),
        ({"kind": "email", "recipients": "\n".join(f"a{n}@example.com" for n in range(21))}, "At most 20 addresses"),
        ({"name": ""}, "This field is required."),
        ({"kind": "pigeon"}, "pigeon"),
    ],
)
def test_a_channel_that_is_refused(client: Client, changes: dict[str, Any], message: str) -> None:
    data = {"name": "Chat of the night shift", "kind": "webhook", "enabled": "on", "url": URL, "recipients": ""}
    page = client.post("/alerts/channels/new/", data | changes)
    assert page.status_code == 400
    assert message in text(page)
    if "name" not in changes:
        assert "Chat of the night shift" in text(page)
    assert not Channel.objects.exists()


def test_a_rule_that_is_refused(client: Client, appliance: Any) -> None:
    Rule.objects.create(organization=appliance.site.organization, name="Nights")
    data = {"name": "nights", "triggers": ["nonsense"], "peers": "Atlantis", "hold_s": -1, "quiet_s": "x"}
    page = text(client.post("/alerts/rules/new/", data))
    for part in ("already the name", "nonsense", "no peer “Atlantis”", "greater than or equal to 0", "whole number"):
        assert part in page
    assert "make one first" in page


def test_the_mail_server(client: Client) -> None:
    data = {"host": "mail.example.com", "port": 587, "security": "starttls", "username": "u", "sender": "c@example.com"}
    client.post("/alerts/mail-server/", data | {"password": "mail-password-9"})
    row = MailServer.objects.get()
    assert publishing.reveal_secret(row.password_version) == "mail-password-9"
    client.post("/alerts/mail-server/", data | {"port": 465})
    row.refresh_from_db()
    assert (row.port, publishing.reveal_secret(row.password_version)) == (465, "mail-password-9")
    page = text(client.get("/alerts/mail-server/"))
    assert "mail-password-9" not in page and row.password_fingerprint in page
    page = text(client.post("/alerts/mail-server/", data | {"host": "a b", "port": 70000, "sender": "x"}))
    assert "neither an IP address nor a host name" in page and "at most 65535" in page


def test_syslog(client: Client) -> None:
    assert "No server yet." in text(client.get("/syslog/"))
    data = {"name": "SIEM", "enabled": "on", "host": "siem.example.com", "port": 6514, "protocol": "tls"}
    data |= {"severity": "notice", "facility": 17}
    assert client.post("/syslog/new/", data).status_code == 302
    row = SyslogTarget.objects.get()
    assert (row.facility, row.severity) == (17, "notice")
    page = text(client.post(f"/syslog/{row.uuid}/", data | {"ca": "nonsense", "port": 0}))
    assert "A port is at least 1." in page and "nonsense" in page
    SyslogTarget.objects.update(problem="it does not answer")
    assert "it does not answer" in text(client.get("/syslog/"))
    client.post(f"/syslog/{row.uuid}/", data | {"host": "127.0.0.1", "port": 1})
    page = text(client.post(f"/syslog/{row.uuid}/test/", follow=True))
    assert "The test failed: 127.0.0.1:1 does not answer" in page
    client.post(f"/syslog/{row.uuid}/delete/")
    assert not SyslogTarget.objects.exists()


def test_what_was_given_up_can_be_sent_again(client: Client, appliance: Any) -> None:
    channel = Channel(organization=appliance.site.organization, name="Chat", kind="webhook")
    services.save_channel(channel, URL)
    row = services.test_channel(channel, "A")
    Delivery.objects.update(state="dead", reason="it answers 500")
    page = text(client.get("/alerts/?state=dead"))
    assert "1 message could not be delivered." in page and "it answers 500" in page
    client.post(f"/alerts/deliveries/{row.uuid}/again/")
    assert Delivery.objects.get().state == "pending"
    Delivery.objects.update(state="dead")
    client.post(f"/alerts/deliveries/{row.uuid}/delete/")
    assert not Delivery.objects.exists()


def test_every_change_is_in_the_change_log(client: Client, appliance: Any) -> None:
    channel = {"name": "Chat", "kind": "webhook", "enabled": "on", "url": URL}
    client.post("/alerts/channels/new/", channel)
    row = Channel.objects.get()
    client.post(f"/alerts/channels/{row.uuid}/", channel | {"enabled": "", "url": ""})
    client.post(f"/alerts/channels/{row.uuid}/secret/")
    rule = {"name": "Nights", "triggers": ["failed"], "channels": [row.pk], "hold_s": 60, "quiet_s": 300}
    client.post("/alerts/rules/new/", rule)
    client.post(f"/alerts/rules/{Rule.objects.get().uuid}/delete/")
    client.post(f"/alerts/channels/{row.uuid}/delete/")
    rows = list(Change.objects.filter(kind__startswith="alert").order_by("id"))
    assert [(row.kind, row.verb) for row in rows] == [
        ("alert channel", "added"),
        ("alert channel", "changed"),
        ("alert channel", "changed"),
        ("alert rule", "added"),
        ("alert rule", "removed"),
        ("alert channel", "removed"),
    ]
    assert (rows[1].before, rows[1].after) == ({"enabled": True}, {"enabled": False})
    assert rows[3].after["channels"] == ["Chat"]
    assert all("very-secret" not in f"{row.before}{row.after}" and "whsec" not in f"{row.after}" for row in rows)


def test_few_queries(client: Client, appliance: Any, django_assert_max_num_queries: Any) -> None:
    organization = appliance.site.organization
    channels = [
        Channel.objects.create(organization=organization, name=f"c{n}", kind="email", recipients=["a@example.com"])
        for n in range(10)
    ]
    for n in range(10):
        Rule.objects.create(organization=organization, name=f"r{n}", triggers=["failed"]).channels.add(*channels)
        services.test_channel(channels[n], "A")
    with django_assert_max_num_queries(16):
        client.get("/alerts/")
