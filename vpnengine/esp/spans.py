"""Addresses that one end of a selector covers: a subnet, or a range that is none (RFC 4301 section 4.4.1.1)."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import NamedTuple

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AddressRange(NamedTuple):
    """From ``first`` to ``last``, both included, of one IP version. Make it with ``make_span``."""

    first: IpAddress
    last: IpAddress

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.first.version

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


Span = Network | AddressRange


def ends(span: Span) -> tuple[int, int, int]:
    """IP version, first and last address as integers."""
    if isinstance(span, AddressRange):
        return span.version, int(span.first), int(span.last)
    return span.version, int(span.network_address), int(span.broadcast_address)


def make_span(first: IpAddress, last: IpAddress) -> Span:
    """The range; as a subnet if it fills one exactly, so that equal meanings are equal values.

    :raises ValueError: if the two are of different versions, or in the wrong order.
    """
    if first.version != last.version or int(first) > int(last):
        raise ValueError("no range")
    size = int(last) - int(first) + 1
    if size & (size - 1) == 0 and int(first) % size == 0:
        prefix = first.max_prefixlen - (size.bit_length() - 1)
        network: Network = ipaddress.ip_network(f"{first}/{prefix}")
        return network
    return AddressRange(first, last)


@lru_cache(4096)
def parse_span(text: str) -> Span:
    """A subnet, or ``first-last``.

    :raises ValueError: if it is neither.
    """
    first, dash, last = text.partition("-")
    if dash:
        return make_span(ipaddress.ip_address(first.strip()), ipaddress.ip_address(last.strip()))
    network: Network = ipaddress.ip_network(text)
    return network


def networks(span: Span) -> list[Network]:
    """The fewest subnets that make up the span."""
    if not isinstance(span, AddressRange):
        return [span]
    return list(ipaddress.summarize_address_range(span.first, span.last))


def contains(span: Span, version: int, address: int) -> bool:
    """True if the address, as an integer, lies in the span."""
    family, first, last = ends(span)
    return family == version and first <= address <= last


def covers(span: Span, other: Span) -> bool:
    """True if every address of ``other`` lies in ``span``."""
    (family, first, last), (version, low, high) = ends(span), ends(other)
    return family == version and first <= low and high <= last


def is_everything(span: Span) -> bool:
    """True of 0.0.0.0/0 and ::/0."""
    return not isinstance(span, AddressRange) and not span.prefixlen


def address_in(address: IpAddress, span: Span) -> bool:
    """True if the address lies in the span."""
    return contains(span, address.version, int(address))
