"""Sending what is due.

A delivery is claimed for a while before it is sent: a worker that dies leaves it to the next.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import smtplib
import ssl
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import certifi
import httpcore
from django.core.mail import EmailMessage, get_connection
from django.utils import timezone

from dashboard.notify.models import Channel, Delivery, MailServer
from dashboard.notify.targets import Unreachable, addresses
from dashboard.publish import services as publishing

log = logging.getLogger(__name__)
LEASE = timedelta(seconds=120)
TIMEOUT_S = 20.0
# Seconds between attempts; after the last one, eleven hours later, a delivery is dead.
RETRIES = (5, 30, 120, 600, 1800, 3600, 3 * 3600, 6 * 3600)


def deliver(uuid: str) -> None:
    """Send one delivery if it is due. Safe to call as often as you like."""
    now = timezone.now()
    due = Delivery.objects.filter(uuid=uuid, state=Delivery.State.PENDING, due__lte=now)
    if not due.update(due=now + LEASE):
        return
    row = Delivery.objects.select_related("channel", "organization").get(uuid=uuid)
    row.attempts += 1
    try:
        SENDERS[row.channel.kind](row)
    except Unreachable as error:
        _failed(row, str(error))
    except Exception as error:
        log.exception("a delivery of the kind %s failed", row.channel.kind)
        _failed(row, f"an internal error ({type(error).__name__}); the log of the worker has more")
    else:
        row.state, row.reason, row.finished = Delivery.State.SENT, "", timezone.now()
    row.save(update_fields=["attempts", "state", "reason", "finished", "due"])


def _failed(row: Delivery, reason: str) -> None:
    row.reason = reason[:300]
    if row.attempts > len(RETRIES):
        row.state, row.finished = Delivery.State.DEAD, timezone.now()
    else:
        row.due = timezone.now() + timedelta(seconds=RETRIES[row.attempts - 1])


def due() -> list[str]:
    """What should be sent now."""
    rows = Delivery.objects.filter(state=Delivery.State.PENDING, due__lte=timezone.now()).order_by("due")
    return [str(uuid) for uuid in rows.values_list("uuid", flat=True)[:200]]


# What is said


def subject(body: dict[str, Any], organization: str) -> str:
    """One line, without line breaks."""
    event = body["event"]
    where = f" – {event['peer']}" if event.get("peer") else ""
    return " ".join(f"[{organization}] {body['title']}{where}".split())


def text(body: dict[str, Any]) -> str:
    """The alert in words."""
    event = body["event"]
    when = datetime.fromtimestamp(event["time"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = [body["title"] + ".", "", f"{when}  {event['text']}"]
    if body["count"] > 1:
        lines.append(f"It happened {body['count']} times since the last message; this is the newest.")
    if event.get("hint"):
        lines += ["", f"What to do: {event['hint']}"]
    if event.get("side") not in (None, "", "none"):
        sides = {"local": "this side", "peer": "the peer's side", "path": "the path between the two"}
        lines += ["", f"To be mended on: {sides.get(event['side'], 'a side that is not known yet')}."]
    lines += ["", f"Sent by the alert rule “{body['rule']}”."]
    return "\n".join(lines)


def document(row: Delivery) -> bytes:
    """What a webhook gets; ``text`` is what chat programs show."""
    body = row.body
    payload = {
        "type": "alert",
        "id": str(row.uuid),
        "organization": row.organization.name,
        "text": f"{subject(body, row.organization.name)}: {body['event']['text']}",
        **{name: body[name] for name in ("rule", "trigger", "title", "count", "event")},
    }
    return json.dumps(payload).encode()


# E-mail


def _send_mail(row: Delivery) -> None:
    server = MailServer.objects.filter(organization_id=row.organization_id).first()
    if server is None:
        raise Unreachable("no mail server is set: enter one under Alerts")
    addresses(server.host, server.port)
    password = publishing.reveal_secret(server.password_version) if server.password_version else ""
    connection = get_connection(
        "django.core.mail.backends.smtp.EmailBackend",
        host=server.host,
        port=server.port,
        username=server.username,
        password=password,
        use_tls=server.security == MailServer.Security.STARTTLS,
        use_ssl=server.security == MailServer.Security.TLS,
        timeout=TIMEOUT_S,
    )
    message = EmailMessage(
        subject(row.body, row.organization.name),
        text(row.body),
        server.sender,
        row.channel.recipients,
        connection=connection,
        # The same on every attempt: a mail program can tell that two are one.
        headers={"Message-ID": f"<{row.uuid}@culvert.invalid>", "Auto-Submitted": "auto-generated"},
    )
    try:
        message.send()
    except (smtplib.SMTPException, OSError) as error:
        raise Unreachable(_mail_reason(server, error)) from None


def _mail_reason(server: MailServer, error: Exception) -> str:
    where = f"{server.host}:{server.port}"
    match error:
        case smtplib.SMTPAuthenticationError():
            return f"{where} does not accept the user name and password ({error.smtp_code})"
        case smtplib.SMTPRecipientsRefused():
            return f"{where} refuses the recipients " + ", ".join(error.recipients)
        case smtplib.SMTPSenderRefused():
            return f"{where} refuses the sender {error.sender} ({error.smtp_code})"
        case smtplib.SMTPNotSupportedError():
            return f"{where} does not offer what is needed: {error}"
        case ssl.SSLCertVerificationError():
            return f"the certificate of {server.host} is not accepted: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS with {where} fails; is “{server.get_security_display()}” right for this port?"
        case smtplib.SMTPResponseException():
            return f"{where} answers {error.smtp_code}"
    return f"{where} does not answer as a mail server: {getattr(error, 'strerror', None) or type(error).__name__}"


# Webhooks


class _Checked(httpcore.SyncBackend):
    """Connects only where ``addresses`` allows, and to the very address that was judged."""

    def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return super().connect_tcp(addresses(host, port)[0], port, *args, **kwargs)


def signature(secret: str, ident: str, stamp: int, body: bytes) -> str:
    """HMAC-SHA-256 as the Standard Webhooks specification has it; ``secret`` is ``whsec_`` and Base64."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{ident}.{stamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def _send_webhook(row: Delivery) -> None:
    url, secret = _webhook(row.channel)
    body, stamp = document(row), int(time.time())
    headers = {
        "content-type": "application/json",
        "user-agent": "Culvert",
        "webhook-id": str(row.uuid),
        "webhook-timestamp": str(stamp),
        "webhook-signature": signature(secret, str(row.uuid), stamp, body),
    }
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT_S)
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    host = urlsplit(url).hostname
    try:
        with httpcore.ConnectionPool(ssl_context=context, network_backend=_Checked()) as pool:
            request = pool.stream("POST", url, headers=headers, content=body, extensions={"timeout": timeouts})
            with request as response:
                status = response.status
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
        raise Unreachable(f"{host} cannot be reached: {_plain(error)}") from None
    if not 200 <= status < 300:
        raise Unreachable(f"{host} answers {status} instead of a 2xx; redirects are not followed")


def _webhook(channel: Channel) -> tuple[str, str]:
    if channel.url_version is None or channel.secret_version is None:
        raise Unreachable("the webhook has no address: enter it again")
    return publishing.reveal_secret(channel.url_version), publishing.reveal_secret(channel.secret_version)


def _plain(error: Exception) -> str:
    """The system's words; an error of a library could repeat the address."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {cause.verify_message}"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return {httpcore.ConnectTimeout: "it does not answer", httpcore.ReadTimeout: "it does not answer in time"}.get(
        type(error), "the connection failed"
    )


SENDERS = {Channel.Kind.EMAIL: _send_mail, Channel.Kind.WEBHOOK: _send_webhook}
