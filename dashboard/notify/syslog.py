"""Syslog lines (RFC 5424) and their ways to a server: UDP (RFC 5426), TCP (RFC 6587) and TLS (RFC 5425)."""

from __future__ import annotations

import fcntl
import socket
import ssl
import struct
import termios
import time
from datetime import UTC, datetime
from typing import Any, Protocol

from dashboard.notify.targets import Unreachable, addresses

TIMEOUT_S = 10.0
SEVERITIES = {"error": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7}
FACILITIES = {16 + number: f"local{number}" for number in range(8)}
SD_ID = "culvert@32473"  # RFC 5612's number for examples: Culvert has none of its own
_FIELDS = ("seq", "peer", "side", "negotiation", "phase")
_MAX_UDP = 2048  # what RFC 5424 section 6.1 says receivers should be able to take


def line(event: dict[str, Any], hostname: str, facility: int) -> bytes:
    """One event as a syslog message, without framing (RFC 5424 section 6)."""
    priority = facility * 8 + SEVERITIES.get(event["severity"], 6)
    stamp = datetime.fromtimestamp(event["time"], UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    names = [_name(hostname, 255), "culvert", _name(event.get("boot"), 128), _name(event["code"], 32)]
    header = " ".join([f"<{priority}>1", stamp, *names])
    text = f"Site-to-site VPN: {event['text']}"
    message = text.encode()
    if not text.isascii():
        message = b"\xef\xbb\xbf" + message  # section 6.4: UTF-8 begins with the byte order mark
    return b" ".join([header.encode(), _structured(event).encode(), message])


def _name(value: Any, limit: int) -> str:
    """A header field: printable ASCII without spaces, or the dash for none."""
    text = "".join(sign if "!" <= sign <= "~" else "_" for sign in str(value or ""))[:limit]
    return text or "-"


def _structured(event: dict[str, Any]) -> str:
    """The fields that a search wants (section 6.3)."""
    rows = [(name, event.get(name)) for name in _FIELDS]
    told = [f'{name}="{_escaped(value)}"' for name, value in rows if value not in (None, "")]
    return f"[{' '.join([SD_ID, *told])}]"


def _escaped(value: Any) -> str:
    return str(value).replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


class Sender(Protocol):
    """An open way to a server."""

    def send(self, lines: list[bytes]) -> None:
        """Send all of them; return when the server's machine has them, as far as the protocol can tell.

        :raises OSError: if it does not take them.
        """

    def close(self) -> None:
        """Give it up."""


class _Udp:
    def __init__(self, host: str, port: int) -> None:
        address = addresses(host, port)[0]
        self._socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((address, port))

    def send(self, lines: list[bytes]) -> None:
        for row in lines:
            self._socket.send(row[:_MAX_UDP])

    def close(self) -> None:
        self._socket.close()


class _Stream:
    """Each message after its length (RFC 6587 section 3.4.1, which RFC 5425 prescribes as well)."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream

    def send(self, lines: list[bytes]) -> None:
        # A server that has gone away has said so by ending its half, and our first bytes would still be accepted.
        self._stream.setblocking(False)
        try:
            if not self._stream.recv(1024):
                raise ConnectionResetError("the server ended the connection")
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        finally:
            self._stream.settimeout(TIMEOUT_S)
        self._stream.sendall(b"".join(b"%d %s" % (len(row), row) for row in lines))
        self._confirmed()

    def _confirmed(self) -> None:
        """Wait until the server's machine has acknowledged every octet: what the kernel still holds could be lost."""
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end:
            (held,) = struct.unpack("i", fcntl.ioctl(self._stream.fileno(), termios.TIOCOUTQ, b"\0" * 4))
            if held == 0:
                return
            time.sleep(0.01)
        raise TimeoutError("the server does not acknowledge what was sent")

    def close(self) -> None:
        self._stream.close()


def connect(protocol: str, host: str, port: int, ca: str) -> Sender:
    """Open a way to a server; ``ca`` is a PEM text, or empty for the authorities that the system trusts.

    :raises Unreachable: with the reason in words.
    """
    if protocol == "udp":
        return _Udp(host, port)
    try:
        plain = socket.create_connection((addresses(host, port)[0], port), timeout=TIMEOUT_S)
    except OSError as error:
        raise Unreachable(f"{host}:{port} does not answer: {error.strerror or error}") from None
    if protocol == "tcp":
        return _Stream(plain)
    try:
        context = ssl.create_default_context(cadata=ca or None)
        stream = context.wrap_socket(plain, server_hostname=host)
    except (OSError, ValueError) as error:
        plain.close()
        raise Unreachable(_tls_reason(host, error)) from None
    return _Stream(stream)


def _tls_reason(host: str, error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {host} is not accepted: {error.verify_message}"
    return f"TLS with {host} fails: {getattr(error, 'reason', None) or error}"
