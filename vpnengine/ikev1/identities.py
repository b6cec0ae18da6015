"""Identities of phase 1 and subnets of phase 2 as identification payloads (RFC 2407 section 4.6.2)."""

from __future__ import annotations

import ipaddress

from vpnengine.contract.identity import Identity, IdentityType
from vpnengine.crypto.names import DistinguishedName
from vpnengine.esp.spans import AddressRange, IpAddress, Network, Span, make_span
from vpnengine.isakmp.constants import IdType
from vpnengine.isakmp.payloads import Identification

_TEXT_TYPES = {
    IdentityType.FQDN: IdType.FQDN,
    IdentityType.USER_FQDN: IdType.USER_FQDN,
    IdentityType.KEY_ID: IdType.KEY_ID,
}
_ADDRESS_TYPES = {IdType.IPV4_ADDR: 4, IdType.IPV6_ADDR: 16}
_PAIRS = {
    IdType.IPV4_ADDR_SUBNET,
    IdType.IPV6_ADDR_SUBNET,
    IdType.IPV4_ADDR_RANGE,
    IdType.IPV6_ADDR_RANGE,
}
_NAMES = {
    IdType.IPV4_ADDR: "ipv4",
    IdType.IPV6_ADDR: "ipv6",
    IdType.FQDN: "fqdn",
    IdType.USER_FQDN: "user-fqdn",
    IdType.KEY_ID: "key-id",
    IdType.DER_ASN1_DN: "dn",
}


def build_identity(identity: Identity | None, local_host: str) -> Identification:
    """Our ID payload; without a configured identity it is our address."""
    if identity is None:
        return address_identity(local_host)
    if identity.type is IdentityType.DN:
        return name_identity(DistinguishedName.from_text(identity.value))
    if identity.type in _TEXT_TYPES:
        return Identification(_TEXT_TYPES[identity.type], 0, 0, identity.value.encode())
    return address_identity(identity.value)


def address_identity(host: str) -> Identification:
    """An address as ID_IPV4_ADDR or ID_IPV6_ADDR."""
    address = ipaddress.ip_address(host)
    kind = IdType.IPV4_ADDR if address.version == 4 else IdType.IPV6_ADDR
    return Identification(kind, 0, 0, address.packed)


def name_identity(name: DistinguishedName) -> Identification:
    """A distinguished name as ID_DER_ASN1_DN."""
    return Identification(IdType.DER_ASN1_DN, 0, 0, name.der)


def identity_name(payload: Identification) -> DistinguishedName | None:
    """The distinguished name that an identity holds; None if it is none."""
    if payload.type != IdType.DER_ASN1_DN:
        return None
    try:
        return DistinguishedName.from_der(payload.data)
    except ValueError:
        return None


def describe_identity(payload: Identification) -> str:
    """The identity as text with its type, such as ``fqdn gw.example.com``."""
    name = (
        _NAMES.get(IdType(payload.type), f"type {payload.type}") if payload.type in _NAMES else f"type {payload.type}"
    )
    size = _ADDRESS_TYPES.get(IdType(payload.type)) if payload.type in _NAMES else None
    if size is not None and len(payload.data) == size:
        return f"{name} {ipaddress.ip_address(payload.data)}"
    if distinguished := identity_name(payload):
        return f"{name} {distinguished}"
    text = payload.data.decode("utf-8", "replace")
    return f"{name} {text if text.isprintable() else payload.data.hex()}"


def same_identity(payload: Identification, expected: Identity) -> bool:
    """True if the peer is who we expect: type and value are equal; names ignore case."""
    if expected.type is IdentityType.DN:
        distinguished = identity_name(payload)
        return distinguished is not None and distinguished.is_written(expected.value)
    wanted = build_identity(expected, "0.0.0.0")
    if payload.type != wanted.type:
        return False
    if payload.type in (IdType.FQDN, IdType.USER_FQDN):
        return payload.data.lower() == wanted.data.lower()
    return payload.data == wanted.data


def span_identity(span: Span, protocol: int = 0, port: int = 0) -> Identification:
    """One end of a selector for quick mode, in the plainest type: address, subnet, range."""
    v4 = span.version == 4
    if isinstance(span, AddressRange):
        kind = IdType.IPV4_ADDR_RANGE if v4 else IdType.IPV6_ADDR_RANGE
        return Identification(kind, protocol, port, span.first.packed + span.last.packed)
    if span.prefixlen == span.max_prefixlen:
        kind = IdType.IPV4_ADDR if v4 else IdType.IPV6_ADDR
        return Identification(kind, protocol, port, span.network_address.packed)
    kind = IdType.IPV4_ADDR_SUBNET if v4 else IdType.IPV6_ADDR_SUBNET
    return Identification(kind, protocol, port, span.network_address.packed + span.netmask.packed)


def identity_span(payload: Identification) -> Span | None:
    """The addresses that a quick mode ID means, by whatever type it is written; None if it is none."""
    try:
        if payload.type in (IdType.IPV4_ADDR, IdType.IPV6_ADDR):
            host = _addresses(payload, 1)[0]
            return make_span(host, host)
        if payload.type not in _PAIRS:
            return None
        first, second = _addresses(payload, 2)
        if payload.type in (IdType.IPV4_ADDR_SUBNET, IdType.IPV6_ADDR_SUBNET):
            network: Network = ipaddress.ip_network(f"{first}/{_prefix(second)}")
            return network
        return make_span(first, second)
    except ValueError:
        return None


def describe_span(payload: Identification) -> str:
    """A quick mode ID as text, with protocol and port if it names them."""
    span = identity_span(payload)
    text = str(span) if span else f"ID type {payload.type} {payload.data.hex()[:64]}"
    return text if not (payload.protocol or payload.port) else f"{text} protocol {payload.protocol} port {payload.port}"


def _addresses(payload: Identification, count: int) -> list[IpAddress]:
    """:raises ValueError: if the data has another length."""
    size = 4 if payload.type in (IdType.IPV4_ADDR, IdType.IPV4_ADDR_SUBNET, IdType.IPV4_ADDR_RANGE) else 16
    if len(payload.data) != size * count:
        raise ValueError("wrong length")
    return [ipaddress.ip_address(payload.data[i * size : (i + 1) * size]) for i in range(count)]


def _prefix(mask: IpAddress) -> int:
    """:raises ValueError: if the mask has holes."""
    bits = mask.max_prefixlen
    value = int(mask)
    ones = bits - (value ^ ((1 << bits) - 1)).bit_length()
    if value != ((1 << bits) - 1) ^ ((1 << (bits - ones)) - 1):
        raise ValueError("the mask has holes")
    return ones
