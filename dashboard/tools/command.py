"""The narrow way to the two programs: checked values in, an argument list out. There is no shell, and no free text.

A name is resolved here, so that the programs only ever get an address in its normal form. Nothing that somebody types
can be an option: what stands at the end, behind ``--``, is an address as ``ipaddress`` writes it.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import subprocess

MAX_COUNT = 10
MAX_HOPS = 20
MAX_NAME = 253
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class NotUsable(ValueError):
    """A target or source that cannot be used; the text is a sentence."""


def target(text: str) -> str:
    """A host name or an address, as it will be kept.

    :raises NotUsable: if it is neither, or an address that is not that of one host.
    """
    text = text.strip()
    if ":" in text or re.fullmatch(r"[0-9.]+", text):
        return str(_address(text))
    name = text.removesuffix(".")
    labels = name.split(".")
    if len(name) > MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdecimal():
        raise NotUsable("Enter a host name such as host.example.com, or an address.")
    return name.lower()


def _address(text: str) -> Address:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise NotUsable("This is not a whole IPv4 or IPv6 address.") from None
    if "%" in text or address.is_multicast or address.is_unspecified or text == "255.255.255.255":
        raise NotUsable("Enter the address of one host, not of a group, and without a zone.")
    return address


def own_addresses() -> list[str]:
    """The addresses of this host that a packet to others can come from."""
    try:
        said = subprocess.run(["ip", "-j", "address"], capture_output=True, timeout=5, check=True).stdout
        links = json.loads(said)
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
    rows = (row for link in links for row in link.get("addr_info", ()))
    return list(dict.fromkeys(row["local"] for row in rows if row.get("scope") == "global"))


def resolve(name: str, source: str) -> Address:
    """The first address of a target, of the same family as the source if there is one.

    :raises NotUsable: if there is none.
    """
    family = {4: socket.AF_INET, 6: socket.AF_INET6}[_address(source).version] if source else socket.AF_UNSPEC
    try:
        found = socket.getaddrinfo(name, None, family, socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        kind = f"IPv{_address(source).version} " if source else ""
        raise NotUsable(f"No {kind}address is known for {name}.") from None
    return _address(str(found[0][4][0]))


def arguments(kind: str, address: Address, source: str, count: int) -> list[str]:
    """The command for one run.

    :raises NotUsable: for a kind, a count or a source that is none.
    """
    if not 1 <= count <= MAX_COUNT:
        raise NotUsable(f"At most {MAX_COUNT} packets are sent.")
    own = str(_address(source)) if source else ""
    if kind == "ping":
        chosen = ["-I", own] if own else []
        return ["ping", "-n", "-c", str(count), "-W", "2", *chosen, "--", str(address)]
    if kind == "traceroute":
        chosen = ["-s", own] if own else []
        return ["traceroute", "-n", "-q", "1", "-w", "2", "-m", str(MAX_HOPS), *chosen, "--", str(address)]
    raise NotUsable("There is no such tool.")
