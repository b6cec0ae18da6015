"""The networks of an appliance: WAN, LAN, VLANs and the services that it gives them.

A document is complete: what it does not name is not there. Addresses are text in their canonical form.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator

from vpnengine.contract.problems import Problem, Refused, problems_of
from vpnengine.contract.types import Model

_Interface4 = ipaddress.IPv4Interface
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# A lease below two minutes keeps clients busy with nothing else; a week is what guests are gone after.
MIN_LEASE_S, MAX_LEASE_S = 120, 604_800
MAX_VLANS = 32


def _ipv4_interface(text: str) -> str:
    try:
        found = ipaddress.IPv4Interface(text.strip())
    except ValueError:
        raise ValueError(f"“{text}” is not an address with its prefix; write it like 192.168.1.1/24") from None
    if "/" not in text:
        raise ValueError(f"“{text}” lacks the length of its prefix; write it like {found.ip}/24")
    _check_usable(found.ip)
    network = found.network
    if network.prefixlen < 31 and found.ip in (network.network_address, network.broadcast_address):
        raise ValueError(f"{found.ip} names the network or everybody in it; choose an address between them")
    return str(found)


def _ipv6_interface(text: str) -> str:
    try:
        found = ipaddress.IPv6Interface(text.strip())
    except ValueError:
        raise ValueError(f"“{text}” is not an IPv6 address with its prefix; write it like fd00:1::1/64") from None
    if "/" not in text:
        raise ValueError(f"“{text}” lacks the length of its prefix; write it like {found.ip}/64")
    _check_usable(found.ip)
    return str(found)


def _check_usable(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if address.is_multicast or address.is_unspecified or address.is_loopback:
        raise ValueError(f"{address} cannot be an interface's address; choose a unicast address")


def _ipv4(text: str) -> str:
    try:
        found = ipaddress.IPv4Address(text.strip())
    except ValueError:
        raise ValueError(f"“{text}” is not an IPv4 address; write it like 192.168.1.1") from None
    _check_usable(found)
    return str(found)


def _ipv6(text: str) -> str:
    try:
        found = ipaddress.IPv6Address(text.strip())
    except ValueError:
        raise ValueError(f"“{text}” is not an IPv6 address; write it like 2001:db8::1") from None
    _check_usable(found)
    return str(found)


def _ip(text: str) -> str:
    return _ipv6(text) if ":" in text else _ipv4(text)


def _name(text: str) -> str:
    text = text.strip().lower().rstrip(".")
    if len(text) > 253 or not all(_LABEL.fullmatch(label) for label in text.split(".")):
        raise ValueError(f"“{text}” is not a name; letters, digits and dashes, with dots between, like branch.example")
    return text


def _label(text: str) -> str:
    text = text.strip().lower()
    if not _LABEL.fullmatch(text):
        raise ValueError(f"“{text}” is not a host name; up to 63 letters, digits and dashes, like culvert-berlin")
    return text


def _device(text: str) -> str:
    # IFNAMSIZ is 16 with its zero, and a VLAN puts a dot and four digits behind the name.
    if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_-]{0,9}", text):
        raise ValueError(f"“{text}” is not an interface; its name has up to 10 letters and digits, like enp1s0")
    return text


Interface4 = Annotated[str, AfterValidator(_ipv4_interface)]
Interface6 = Annotated[str, AfterValidator(_ipv6_interface)]
Address4 = Annotated[str, AfterValidator(_ipv4)]
Address6 = Annotated[str, AfterValidator(_ipv6)]
Address = Annotated[str, AfterValidator(_ip)]
Name = Annotated[str, AfterValidator(_name)]
HostLabel = Annotated[str, AfterValidator(_label)]
Device = Annotated[str, AfterValidator(_device)]


class WanMode(StrEnum):
    """How the WAN gets its IPv4 address."""

    DHCP = "dhcp"
    STATIC = "static"
    PPPOE = "pppoe"


class Wan(Model):
    """The way out. ``mtu`` in octets, 0 for the interface's own; ``ipv6_auto`` listens to router advertisements."""

    interface: Device
    mode: WanMode = WanMode.DHCP
    address: Interface4 | None = None
    gateway: Address4 | None = None
    ipv6_auto: bool = True
    address6: Interface6 | None = None
    gateway6: Address6 | None = None
    dns: tuple[Address, ...] = Field(default=(), max_length=4)
    mtu: int = 0
    pppoe_user: str = Field(default="", max_length=128)
    pppoe_password: SecretStr = SecretStr("")

    @property
    def device(self) -> str:
        """The interface that has the WAN's address."""
        return "ppp0" if self.mode == WanMode.PPPOE else self.interface

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_mode()
        if self.address6 and self.ipv6_auto:
            raise ValueError("address6: is entered, and also learned from the router; choose one of them")
        if self.gateway6 and not self.address6:
            raise ValueError("gateway6: needs an IPv6 address of the WAN beside it")
        if self.mtu and not 576 <= self.mtu <= 9216:
            raise ValueError("mtu: is between 576 and 9216 octets, or 0 for the interface's own")
        if self.mtu and self.mtu < 1280 and (self.ipv6_auto or self.address6):
            raise ValueError("mtu: is at least 1280 octets where there is IPv6 (RFC 8200, section 5)")
        return self

    def _check_mode(self) -> None:
        static = self.mode == WanMode.STATIC
        if static and not self.address:
            raise ValueError("address: is needed for a static WAN, like 192.0.2.10/24")
        if static and not self.gateway:
            raise ValueError("gateway: is needed for a static WAN; without it nothing finds the way out")
        if not static and (self.address or self.gateway):
            field = "address" if self.address else "gateway"
            raise ValueError(f"{field}: belongs to a static WAN only; leave it empty, or choose static")
        if self.address and self.gateway:
            mine, gateway = ipaddress.IPv4Interface(self.address), ipaddress.IPv4Address(self.gateway)
            if gateway not in mine.network:
                raise ValueError(f"gateway: {gateway} is not in {mine.network}, the WAN's subnet")
            if gateway == mine.ip:
                raise ValueError("gateway: is the WAN's own address; enter the provider's router")
        if static and not self.dns:
            raise ValueError("dns: is needed for a static WAN: at least one server that resolves names")
        if self.mode == WanMode.PPPOE:
            _check_pppoe("pppoe_user", self.pppoe_user)
            _check_pppoe("pppoe_password", self.pppoe_password.get_secret_value())
        elif self.pppoe_user or self.pppoe_password.get_secret_value():
            raise ValueError("pppoe_user: belongs to PPPoE only")


def _check_pppoe(field: str, text: str) -> None:
    if not text:
        raise ValueError(f"{field}: is needed for PPPoE; your provider has given it to you")
    # pppd reads its secrets line by line, in quotes.
    if any(ord(letter) < 32 or letter in '"\\' for letter in text):
        raise ValueError(f"{field}: has a quote, a backslash or a control character, which pppd cannot read")


class DhcpServer(Model):
    """Addresses for clients: from ``first`` to ``last``, each for ``lease_s`` seconds; no ``dns`` means the box."""

    first: Address4
    last: Address4
    lease_s: int = Field(default=43_200, ge=MIN_LEASE_S, le=MAX_LEASE_S)
    dns: tuple[Address4, ...] = Field(default=(), max_length=3)


class Lan(Model):
    """A network behind the appliance; with ``address6`` it is announced by router advertisements."""

    address: Interface4
    address6: Interface6 | None = None
    dhcp: DhcpServer | None = None

    @property
    def network(self) -> ipaddress.IPv4Network:
        """Its IPv4 subnet."""
        return ipaddress.IPv4Interface(self.address).network

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.address6 and ipaddress.IPv6Interface(self.address6).network.prefixlen != 64:
            raise ValueError(
                "address6: has a prefix of 64 bits, so that clients can give themselves addresses (RFC 4862)"
            )
        if self.dhcp:
            self._check_dhcp(self.dhcp)
        return self

    def _check_dhcp(self, dhcp: DhcpServer) -> None:
        mine, network = ipaddress.IPv4Interface(self.address), self.network
        first, last = ipaddress.IPv4Address(dhcp.first), ipaddress.IPv4Address(dhcp.last)
        for field, address in (("first", first), ("last", last)):
            if address not in network:
                raise ValueError(f"dhcp.{field}: {address} is not in {network}, the subnet of this network")
            if network.prefixlen < 31 and address in (network.network_address, network.broadcast_address):
                raise ValueError(f"dhcp.{field}: {address} names the network or everybody in it")
        if first > last:
            raise ValueError(f"dhcp.last: {last} is below {first}; write the lower address first")
        if first <= mine.ip <= last:
            raise ValueError(f"dhcp.first: {first} to {last} holds {mine.ip}, which is the appliance's own address")


class LanPort(Lan):
    """The untagged network of the LAN port."""

    interface: Device


class Vlan(Lan):
    """A tagged network of the LAN port (IEEE 802.1Q); an ``isolated`` one reaches the WAN and nothing else."""

    vlan: int = Field(ge=1, le=4094)
    name: str = Field(max_length=40, pattern=r"^[^\x00-\x1f]+$")
    isolated: bool = False


class Network(Model):
    """All networks of one appliance. ``nat`` is for what goes to the WAN outside of tunnels."""

    hostname: HostLabel = "culvert"
    domain: Name = "culvert.internal"
    wan: Wan
    lan: LanPort | None = None
    vlans: tuple[Vlan, ...] = Field(default=(), max_length=MAX_VLANS)
    nat: bool = True
    dns_forwarder: bool = True
    dashboard_on_wan: bool = False
    ssh: bool = False

    def inside(self) -> Iterator[tuple[str, str, Lan]]:
        """The networks behind the appliance: (field, device, network)."""
        if self.lan:
            yield "lan", self.lan.interface, self.lan
            for number, vlan in enumerate(self.vlans):
                yield f"vlans.{number}", f"{self.lan.interface}.{vlan.vlan}", vlan

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.lan and self.lan.interface == self.wan.interface:
            raise ValueError("lan.interface: is the WAN's too; each needs an interface of its own")
        if self.vlans and not self.lan:
            raise ValueError("vlans: need a LAN port to be on; choose an interface for the LAN")
        seen: dict[int, int] = {}
        for number, vlan in enumerate(self.vlans):
            if vlan.vlan in seen:
                raise ValueError(f"vlans.{number}.vlan: {vlan.vlan} is there twice; each tag names one network")
            seen[vlan.vlan] = number
        self._check_overlap()
        for field, _, inside in self.inside():
            if inside.dhcp and not inside.dhcp.dns and not self.dns_forwarder:
                raise ValueError(f"{field}.dhcp.dns: is needed, since the appliance itself forwards no DNS")
        return self

    def _check_overlap(self) -> None:
        pairs = [(field, inside) for field, _, inside in self.inside()]
        for version in ("address", "address6"):
            taken = [("wan", getattr(self.wan, version))]
            for field, inside in pairs:
                mine = getattr(inside, version)
                for other, theirs in taken:
                    if mine and theirs and _net(mine).overlaps(_net(theirs)):
                        raise ValueError(f"{field}.{version}: {_net(mine)} overlaps {_net(theirs)} of {_title(other)}")
                taken.append((field, mine))


def _net(text: str) -> Any:
    return ipaddress.ip_interface(text).network


def _title(field: str) -> str:
    kind, _, number = field.partition(".")
    return f"VLAN row {int(number) + 1}" if number else f"the {kind.upper()}"


def parse_network(document: Any) -> Network:
    """Validate a decoded JSON document.

    :raises Refused: with every problem found, each naming its field; never a secret.
    """
    try:
        return Network.model_validate(document)
    except ValidationError as error:
        raise Refused([_placed(problem) for problem in problems_of(error)]) from None


def _placed(problem: Problem) -> Problem:
    """Move a ``field: sentence`` prefix of a cross-field message into the field's path."""
    match = re.match(r"^([a-z][a-z0-9_.]*): (.*)$", problem.message, re.DOTALL)
    if not match:
        return problem
    return Problem(field=".".join(filter(None, (problem.field, match[1]))), rule=problem.rule, message=match[2])


def document_of(network: Network) -> dict[str, Any]:
    """The document with its secret in clear: for the box's socket and files that only root reads."""
    document = network.model_dump(mode="json")
    document["wan"]["pppoe_password"] = network.wan.pppoe_password.get_secret_value()
    return document
