"""Where an administrator may let the dashboard connect to.

Whoever may enter an address could otherwise reach what listens on the appliance for itself alone.
"""

from __future__ import annotations

import ipaddress
import socket

from django.conf import settings


class Unreachable(Exception):
    """A server cannot be used; the text says why, and contains nothing secret."""


def addresses(host: str, port: int) -> list[str]:
    """The addresses of a host that may be connected to.

    :raises Unreachable: if its name does not resolve, or leads to this appliance or a link.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable(f"the name “{host}” does not resolve") from None
    rows = list(dict.fromkeys(str(row[4][0]) for row in found))
    allowed = [row for row in rows if may(row)]
    if not allowed:
        raise Unreachable(f"“{host}” is an address of this appliance or of its link; nothing is sent there")
    return allowed


def may(address: str) -> bool:
    """True for an address of another machine."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = mapped or parsed
    if parsed.is_loopback and settings.CULVERT_NOTIFY_LOOPBACK:
        return True
    return not (parsed.is_loopback or parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified)
