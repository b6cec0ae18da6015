"""What a tunnel protects: pairs of subnets, or selectors with ranges, protocol and ports (RFC 4301 section 4.4.1.1)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from vpnengine.contract.types import Model, Subnet, subnet

PROTOCOLS = {"any": 0, "icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "icmpv6": 58, "sctp": 132}
PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}
WITH_PORTS = frozenset({6, 17, 33, 132, 136})  # TCP, UDP, DCCP, SCTP, UDP-Lite
MAX_SELECTORS = 1024
_EXAMPLE = "as 0.0.0.0/0 and ::/0 do"
Key = tuple[str, str, int, int, int]
Bounds = tuple[int, int, int]
"""IP version, first and last address as integers."""


def _span(text: str) -> str:
    first, dash, last = (part.strip() for part in text.partition("-"))
    if not dash:
        return subnet(text)
    try:
        low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
    except ValueError:
        raise ValueError(f"“{text}” is no range; write it like 10.1.0.10-10.1.0.20") from None
    if low.version != high.version or int(low) > int(high):
        raise ValueError(f"“{text}” is no range: the first address comes before the last, both IPv4 or both IPv6")
    return f"{low}-{high}"


def _protocol(value: Any) -> Any:
    if isinstance(value, str) and not value.isdigit():
        if value.lower() not in PROTOCOLS:
            raise ValueError(f"“{value}” is no known protocol; use a number or one of {', '.join(PROTOCOLS)}")
        return PROTOCOLS[value.lower()]
    return value


Span = Annotated[str, AfterValidator(_span)]
Protocol = Annotated[int, BeforeValidator(_protocol), Field(ge=0, le=255)]
Port = Annotated[int, Field(ge=0, le=65_535)]


@lru_cache(4096)
def bounds(text: str) -> Bounds:
    """The first and last address of a validated subnet or range."""
    first, dash, last = text.partition("-")
    if dash:
        low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
        return low.version, int(low), int(high)
    network = ipaddress.ip_network(text)
    return network.version, int(network.network_address), int(network.broadcast_address)


def overlap(one: str, other: str) -> bool:
    """True if the two have an address in common."""
    a, b = bounds(one), bounds(other)
    return a[0] == b[0] and a[1] <= b[2] and b[1] <= a[2]


def collide(local: str, remote: str) -> bool:
    """True if nothing but addresses could tell the two ends of a tunnel apart, and these do not.

    Ends with an address in common are fine if one is everything beside: a far end that is wider than the near one
    (0.0.0.0/0 or a supernet: what is inside the near one stays there), or all addresses here and some of them there.
    """
    mine, theirs = bounds(local), bounds(remote)
    if not overlap(local, remote) or _is_wider(theirs, mine):
        return False
    return not (_is_wider(mine, theirs) and _is_everything(mine))


def _is_wider(one: Bounds, other: Bounds) -> bool:
    return one != other and one[0] == other[0] and one[1] <= other[1] and other[2] <= one[2]


def _is_everything(one: Bounds) -> bool:
    return one[1:] == (0, (1 << (32 if one[0] == 4 else 128)) - 1)


class SelectorConfig(Model):
    """One selector. ``local`` and ``remote`` are subnets or ranges; ``protocol`` 0 and ports 0 mean any."""

    local: Span
    remote: Span
    protocol: Protocol = 0
    local_port: Port = 0
    remote_port: Port = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bounds(self.local)[0] != bounds(self.remote)[0]:
            raise ValueError("remote: both ends of a selector are IPv4, or both are IPv6")
        if (self.local_port or self.remote_port) and self.protocol not in WITH_PORTS:
            raise ValueError("protocol: ports need a protocol that has them, such as tcp or udp")
        return self

    @property
    def key(self) -> Key:
        """What it says, as a tuple: much faster to compare and to hash than the model."""
        return self.local, self.remote, self.protocol, self.local_port, self.remote_port

    def __str__(self) -> str:
        if not self.protocol:
            return f"{self.local}, {self.remote}"
        name = PROTOCOL_NAMES.get(self.protocol, str(self.protocol))
        return f"{self.local}, {self.remote}, {name} {self.local_port} to {self.remote_port}"


class Protected(Model):
    """The fields of a peer that say what its tunnel protects.

    Either ``local_subnets`` and ``remote_subnets`` (every pair of them is a selector), or
    ``selectors``. ``accept_wider`` are limits for a peer that asks for more than is configured,
    as gateways do that merge neighbouring subnets: what it asks for has to lie within one of
    them and to contain a configured selector.
    """

    local_subnets: Annotated[tuple[Subnet, ...], Field(max_length=256)] = ()
    remote_subnets: Annotated[tuple[Subnet, ...], Field(max_length=256)] = ()
    selectors: Annotated[tuple[SelectorConfig, ...], Field(max_length=MAX_SELECTORS)] = ()
    accept_wider: Annotated[tuple[SelectorConfig, ...], Field(max_length=64)] = ()

    def may_overlap(self) -> bool:
        """True if both ends may have the same addresses, because something else leads packets into the tunnel."""
        return False

    def assigned_field(self) -> str | None:
        """The field that is left empty because its subnet, one address, is assigned when the tunnel comes up."""
        return None

    @model_validator(mode="after")
    def _check_protected(self) -> Self:
        assigned = self.assigned_field()
        if assigned is not None and (self.selectors or self.accept_wider or getattr(self, assigned)):
            raise ValueError(f"{assigned}: leave this and the selectors empty; mode config assigns the address")
        self._check_overlapping_ends()
        if self.selectors:
            if self.local_subnets or self.remote_subnets:
                raise ValueError("selectors: list either selectors or local and remote subnets, not both")
            if len(set(self.selectors)) < len(self.selectors):
                raise ValueError("selectors: list each selector once")
            return self
        for field in ("local_subnets", "remote_subnets"):
            if not getattr(self, field) and field != assigned:
                raise ValueError(f"{field}: enter at least one subnet")
            _check_overlaps(field, getattr(self, field))
        for mine in self.local_subnets if not self.may_overlap() else ():
            for theirs in self.remote_subnets:
                if collide(mine, theirs):
                    raise ValueError(
                        f"remote_subnets: {theirs} overlaps the local subnet {mine}; "
                        f"the two ends need different subnets, or the far one contains the whole near one, {_EXAMPLE}"
                    )
        return self

    def _check_overlapping_ends(self) -> None:
        # The limits in accept_wider lead no packet anywhere: they meet gateways that propose everything.
        for index, row in enumerate(self.selectors if not self.may_overlap() else ()):
            try:
                check_ends(row)
            except ValueError as error:
                raise ValueError(f"selectors.{index}.remote: {error}") from None

    def protected(self) -> Iterator[SelectorConfig]:
        """Every selector. Subnets of different IP versions make none."""
        yield from self.selectors
        for mine in self.local_subnets:
            for theirs in self.remote_subnets:
                if bounds(mine)[0] == bounds(theirs)[0]:
                    # The parts are validated already, and there may be many pairs.
                    yield SelectorConfig.model_construct(
                        local=mine, remote=theirs, protocol=0, local_port=0, remote_port=0
                    )


def check_ends(selector: SelectorConfig) -> None:
    """Nothing but addresses leads packets into most tunnels, so that each is on one side.

    :raises ValueError: with a sentence about ``remote``.
    """
    if collide(selector.local, selector.remote):
        raise ValueError(
            f"{selector.remote} overlaps {selector.local}; the two ends need different addresses, or the far one "
            f"contains the whole near one, {_EXAMPLE}"
        )


def check_hosts(protected: Protected) -> None:
    """Transport mode is between two hosts.

    :raises ValueError: naming the field with something larger.
    """
    field = "selectors" if protected.selectors else "remote_subnets"
    for selector in protected.protected():
        for text in (selector.local, selector.remote):
            if len(set(bounds(text)[1:])) > 1:
                raise ValueError(f"{field}: transport mode is between two hosts; {text} is more than one address")


def _check_overlaps(field: str, subnets: tuple[str, ...]) -> None:
    for index, one in enumerate(subnets):
        for other in subnets[index + 1 :]:
            if overlap(one, other):
                raise ValueError(f"{field}: {one} and {other} overlap; list each address once")
