"""Hints as pages show them: the names of fields become links, and proposals that do not fit are laid side by side."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from dashboard.sitevpn import explain

_OTHER_NAMES = {"got": "received"}


@dataclass(frozen=True)
class Piece:
    """A part of a sentence; ``url`` is where it leads, ``marked`` that it is what differs."""

    text: str
    url: str = ""
    marked: bool = False


def linked(hint: str, peer: str) -> list[Piece]:
    """A hint in pieces: each label of a form's field leads to that field, of the peer with this id."""
    places = explain.places()
    labels = sorted(places, key=len, reverse=True)
    parts = re.split(f"({'|'.join(map(re.escape, labels))})", hint)
    return [Piece(part, _address(places[part], peer) if part in places else "") for part in parts if part]


def _address(place: dict[str, str], peer: str) -> str:
    page = reverse("sitevpn") if place["page"] == "site" else reverse("peer", args=[peer])
    return f"{page}#{place['anchor']}"


def filled(sentence: str, evidence: dict[str, str]) -> str:
    """A sentence of the catalogue with what the event saw in place of its placeholders."""
    return re.sub(r"\{(\w+)\}", lambda found: evidence.get(_OTHER_NAMES.get(found[1], found[1]), "…"), sentence)


def contrast(value: str, other: str) -> list[Piece]:
    """A value in pieces; what the other value has differently is marked: of subnets the mask or the octets."""
    if value == other:
        return [Piece(value or _("none"))]
    mine, theirs = _network(value), _network(other)
    if mine is None or theirs is None or mine.version != theirs.version:
        return [Piece(value or _("none"), marked=True)]
    address, _slash, mask = value.partition("/")
    pieces = _octets(address, other.partition("/")[0])
    return [*pieces, Piece(f"/{mask}", marked=mine.prefixlen != theirs.prefixlen)]


def _octets(mine: str, theirs: str) -> list[Piece]:
    pieces: list[Piece] = []
    others = re.split(r"([.:])", theirs)
    for index, part in enumerate(re.split(r"([.:])", mine)):
        pieces.append(Piece(part, marked=index >= len(others) or part != others[index]))
    return pieces


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text) if "/" in text else None
    except ValueError:
        return None


def remark(ours: str, theirs: str) -> str:
    """What is odd about two subnets, in words; empty if nothing is known."""
    mine, other = _network(ours), _network(theirs)
    if mine is None or other is None or mine.version != other.version or mine == other:
        return ""
    if mine.network_address == other.network_address:
        bits = abs(mine.prefixlen - other.prefixlen)
        if bits == 1:
            return _("the masks differ by one bit")
        return _("the same address, other masks: they differ by %d bits") % bits
    if mine.overlaps(other):
        return _("one contains the other")
    return _("another subnet")


def cells(row: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One comparison for a page: each attribute with both values in pieces, and a remark."""
    return [
        {
            "attribute": cell["attribute"],
            "ours": contrast(cell["ours"], cell["theirs"]),
            "theirs": contrast(cell["theirs"], cell["ours"]),
            "equal": cell["equal"],
            "remark": "" if cell["equal"] else remark(cell["ours"], cell["theirs"]),
        }
        for cell in row
    ]
