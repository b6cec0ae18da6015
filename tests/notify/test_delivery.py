"""Deliveries to real servers: signed, repeated, given up, and without a secret in what is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from email import message_from_bytes
from email.header import decode_header, make_header
from typing import Any

import pytest
import standardwebhooks
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from django.utils import timezone

from dashboard.notify import delivery, services
from dashboard.notify.models import Channel, Delivery, MailServer
from dashboard.publish import services as publishing
from tests.notify.conftest import Hook
from tests.stack import free_port

pytestmark = pytest.mark.django_db
BODY = {
    "rule": "Nights",
    "trigger": "failed",
    "title": "A negotiation failed",
    "count": 3,
    "event": {"time": 1.0, "peer": "Zürich", "text": "no answer", "side": "path", "hint": "Ask the provider."},
}


def make_delivery(channel: Channel) -> Delivery:
    return Delivery.objects.create(
        organization_id=channel.organization_id, channel=channel, body=BODY, due=timezone.now()
    )


def send(row: Delivery) -> Delivery:
    Delivery.objects.filter(pk=row.pk).update(due=timezone.now())
    delivery.deliver(str(row.uuid))
    row.refresh_from_db()
    return row


@pytest.fixture
def webhook(appliance: Any, hook: Hook) -> tuple[Channel, str]:
    row = Channel(organization=appliance.site.organization, name="Hook", kind="webhook")
    return row, services.save_channel(row, hook.url)


def test_a_webhook_is_signed_as_the_specification_has_it(webhook: tuple[Channel, str], hook: Hook) -> None:
    channel, secret = webhook
    row = send(make_delivery(channel))
    assert (row.state, row.reason) == ("sent", "")
    headers, body = hook.got[0]
    payload = standardwebhooks.Webhook(secret).verify(body, headers)
    assert payload["event"]["text"] == "no answer"
    assert payload["text"].startswith("[Organization] A negotiation failed – Zürich")
    forged = body.replace(b"no answer", b"my answer")
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secret).verify(forged, headers)


def test_it_is_tried_again_and_then_given_up(webhook: tuple[Channel, str], hook: Hook) -> None:
    hook.answer = 500
    row = make_delivery(webhook[0])
    waits = []
    for _ in range(len(delivery.RETRIES) + 1):
        before = timezone.now()
        row = send(row)
        waits.append(round((row.due - before).total_seconds()))
    assert waits[:-1] == pytest.approx(list(delivery.RETRIES), abs=4)
    assert row.state == "dead"
    assert "answers 500" in row.reason
    hook.answer = 204
    services.again(row)
    assert send(row).state == "sent"
    idents = {headers["webhook-id"] for headers, _ in hook.got}
    assert idents == {str(row.uuid)}  # by which a receiver tells that it has it already


def test_what_is_sent_is_sent_once(webhook: tuple[Channel, str], hook: Hook) -> None:
    row = send(make_delivery(webhook[0]))
    delivery.deliver(str(row.uuid))
    send(row)
    assert len(hook.got) == 1


def test_redirects_are_not_followed(webhook: tuple[Channel, str], hook: Hook) -> None:
    hook.answer = 302
    row = send(make_delivery(webhook[0]))
    assert row.state == "pending"
    assert "redirects" in row.reason


def test_the_address_is_secret(webhook: tuple[Channel, str], hook: Hook, caplog: Any) -> None:
    hook.close()
    row = send(make_delivery(webhook[0]))
    assert row.state == "pending"
    stored = json.dumps(list(Channel.objects.values()), default=str) + row.reason + caplog.text
    assert "127.0.0.1" in stored
    assert "very-secret-token" not in stored
    assert "/hook" not in stored


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
def test_it_does_not_lead_back_to_the_appliance(appliance: Any, hook: Hook, settings: Any, host: str) -> None:
    settings.CULVERT_NOTIFY_LOOPBACK = False
    row = Channel(organization=appliance.site.organization, name="Hook", kind="webhook")
    services.save_channel(row, hook.url.replace("127.0.0.1", host))
    sent = send(make_delivery(row))
    assert sent.state == "pending"
    assert "address of this appliance" in sent.reason
    assert hook.got == []


class Mail:
    """A mail server with one user."""

    def __init__(self) -> None:
        self.got: list[tuple[list[str], bytes]] = []
        mail = self

        class Handler:
            async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
                mail.got.append((envelope.rcpt_tos, envelope.content))
                return "250 taken"

            async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
                if address.startswith("nobody"):
                    return "550 no such user"
                envelope.rcpt_tos.append(address)
                return "250 fine"

        def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
            known = (data.login, data.password) == (b"culvert", b"mail-password-9")
            return AuthResult(success=known, handled=False)

        self.port = free_port()
        self._controller = Controller(
            Handler(),
            hostname="127.0.0.1",
            port=self.port,
            authenticator=check,
            auth_required=True,
            auth_require_tls=False,
            loop=asyncio.new_event_loop(),
        )
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()


@pytest.fixture
def mail() -> Iterator[Mail]:
    server = Mail()
    yield server
    server.stop()


@pytest.fixture
def mail_channel(appliance: Any, mail: Mail) -> Channel:
    organization = appliance.site.organization
    server = MailServer(
        organization=organization, host="127.0.0.1", port=mail.port, security="none", username="culvert"
    )
    server.sender = "culvert@example.com"
    services.save_mail_server(server, "mail-password-9")
    return Channel.objects.create(organization=organization, name="Mail", kind="email", recipients=["ops@example.com"])


def test_mail_arrives(mail_channel: Channel, mail: Mail) -> None:
    row = send(make_delivery(mail_channel))
    assert (row.state, row.reason) == ("sent", "")
    recipients, content = mail.got[0]
    message = message_from_bytes(content)
    assert recipients == ["ops@example.com"]
    assert str(make_header(decode_header(message["subject"]))) == "[Organization] A negotiation failed – Zürich"
    text = message.get_payload(decode=True).decode()
    assert "Ask the provider." in text
    assert "3 times" in text
    assert str(row.uuid) in message["message-id"]


@pytest.mark.parametrize(
    ("changes", "recipient", "reason"),
    [
        ({"password": "wrong"}, "ops@example.com", "does not accept the user name and password (535)"),
        ({}, "nobody@example.com", "refuses the recipients nobody@example.com"),
        ({"security": "starttls"}, "ops@example.com", "does not offer what is needed"),
        ({"security": "tls"}, "ops@example.com", "TLS with"),
        ({"port": 1}, "ops@example.com", "does not answer as a mail server"),
        ({"host": "no-such-host.invalid"}, "ops@example.com", "does not resolve"),
    ],
)
def test_why_mail_does_not_arrive(
    mail_channel: Channel, mail: Mail, changes: dict[str, Any], recipient: str, reason: str
) -> None:
    server = MailServer.objects.get()
    password = changes.pop("password", "")
    for name, value in changes.items():
        setattr(server, name, value)
    services.save_mail_server(server, password)
    mail_channel.recipients = [recipient]
    mail_channel.save()
    row = send(make_delivery(mail_channel))
    assert row.state == "pending"
    assert reason in row.reason
    assert "mail-password-9" not in row.reason


def test_without_a_mail_server(appliance: Any) -> None:
    channel = Channel.objects.create(
        organization=appliance.site.organization, name="Mail", kind="email", recipients=["ops@example.com"]
    )
    assert "no mail server is set" in send(make_delivery(channel)).reason


def test_secrets_are_bound_to_their_rows(webhook: tuple[Channel, str]) -> None:
    channel, secret = webhook
    assert publishing.reveal_secret(channel.secret_version) == secret
    rows = json.dumps(list(Channel.objects.values()), default=str)
    assert secret not in rows
