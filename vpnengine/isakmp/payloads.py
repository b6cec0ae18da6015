"""ISAKMP payloads as values (RFC 2408 section 3, RFC 2407 section 4.6).

Each class parses the body of its payload, that is what follows the generic header, and
builds it again with ``body()``.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import ClassVar, Protocol

from vpnengine.isakmp.constants import DOI_IPSEC, IdType, PayloadType
from vpnengine.isakmp.reader import Reader

MAX_SPIS = 256
NONCE_MIN, NONCE_MAX = 8, 256  # RFC 2409 section 5


class Payload(Protocol):
    """Anything with a payload type and a body."""

    @property
    def kind(self) -> int:
        """The payload type on the wire."""

    def body(self) -> bytes:
        """The octets after the generic header."""


@dataclass(frozen=True)
class Opaque:
    """A payload whose body is just octets, known by its type only."""

    type: int
    data: bytes

    @property
    def kind(self) -> int:
        """The payload type on the wire."""
        return self.type

    def body(self) -> bytes:
        """The octets after the generic header."""
        return self.data


@dataclass(frozen=True)
class _Octets:
    data: bytes
    kind: ClassVar[int]

    def body(self) -> bytes:
        """The octets after the generic header."""
        return self.data


@dataclass(frozen=True)
class KeyExchangeData(_Octets):
    """Key exchange payload: the public value (RFC 2408 section 3.7)."""

    kind: ClassVar[int] = PayloadType.KE

    @classmethod
    def parse(cls, reader: Reader) -> KeyExchangeData:
        """:raises DecodeError: if it is empty."""
        if not reader.left:
            raise reader.fail("the public value is empty")
        return cls(reader.rest())


@dataclass(frozen=True)
class Hash(_Octets):
    """Hash payload (RFC 2408 section 3.11)."""

    kind: ClassVar[int] = PayloadType.HASH

    @classmethod
    def parse(cls, reader: Reader) -> Hash:
        """:raises DecodeError: if it is empty."""
        if not reader.left:
            raise reader.fail("the hash is empty")
        return cls(reader.rest())


@dataclass(frozen=True)
class Signature(_Octets):
    """Signature payload (RFC 2408 section 3.12)."""

    kind: ClassVar[int] = PayloadType.SIGNATURE

    @classmethod
    def parse(cls, reader: Reader) -> Signature:
        """:raises DecodeError: if it is empty."""
        if not reader.left:
            raise reader.fail("the signature is empty")
        return cls(reader.rest())


@dataclass(frozen=True)
class _Encoded:
    """One octet that names an encoding, then data in it."""

    encoding: int
    data: bytes
    kind: ClassVar[int]

    def body(self) -> bytes:
        """The octets after the generic header."""
        return bytes([self.encoding]) + self.data


@dataclass(frozen=True)
class CertificateData(_Encoded):
    """Certificate payload (RFC 2408 section 3.9); ``encoding`` is a ``CertEncoding`` or unknown."""

    kind: ClassVar[int] = PayloadType.CERT

    @classmethod
    def parse(cls, reader: Reader) -> CertificateData:
        """:raises DecodeError: if it has no encoding or no data."""
        encoding = reader.u8("certificate encoding")
        if not reader.left:
            raise reader.fail("the certificate is empty")
        return cls(encoding, reader.rest())


@dataclass(frozen=True)
class CertificateRequest(_Encoded):
    """Certificate request payload (RFC 2408 section 3.10): the DER name of a CA, or nothing if any CA will do."""

    kind: ClassVar[int] = PayloadType.CERT_REQUEST

    @classmethod
    def parse(cls, reader: Reader) -> CertificateRequest:
        """:raises DecodeError: if it has no encoding."""
        return cls(reader.u8("certificate encoding"), reader.rest())


@dataclass(frozen=True)
class Nonce(_Octets):
    """Nonce payload, 8 to 256 octets (RFC 2409 section 5)."""

    kind: ClassVar[int] = PayloadType.NONCE

    @classmethod
    def parse(cls, reader: Reader) -> Nonce:
        """:raises DecodeError: if its length is out of range."""
        if not NONCE_MIN <= reader.left <= NONCE_MAX:
            raise reader.fail(f"a nonce has {NONCE_MIN} to {NONCE_MAX} octets, this one {reader.left}")
        return cls(reader.rest())


@dataclass(frozen=True)
class VendorId(_Octets):
    """Vendor ID payload (RFC 2408 section 3.16)."""

    kind: ClassVar[int] = PayloadType.VENDOR_ID

    @classmethod
    def parse(cls, reader: Reader) -> VendorId:
        """Any octets are a vendor id."""
        return cls(reader.rest())


@dataclass(frozen=True)
class NatD:
    """NAT-D payload: a hash of an address and port (RFC 3947 section 3.2). ``kind`` tells RFC and drafts apart."""

    data: bytes
    kind: int = PayloadType.NAT_D

    @classmethod
    def parse(cls, reader: Reader, kind: int = PayloadType.NAT_D) -> NatD:
        """:raises DecodeError: if it is empty."""
        if not reader.left:
            raise reader.fail("the hash is empty")
        return cls(reader.rest(), kind)

    @classmethod
    def parse_draft(cls, reader: Reader) -> NatD:
        """The same under the number of the drafts."""
        return cls.parse(reader, PayloadType.NAT_D_DRAFT)

    def body(self) -> bytes:
        """The octets after the generic header."""
        return self.data


@dataclass(frozen=True)
class NatOa:
    """NAT-OA payload: an original address, numeric, as text (RFC 3947 section 5.2)."""

    host: str
    kind: int = PayloadType.NAT_OA

    @classmethod
    def parse(cls, reader: Reader, kind: int = PayloadType.NAT_OA) -> NatOa:
        """:raises DecodeError: if it is no IPv4 or IPv6 address."""
        number = reader.u8("ID type")
        reader.take(3, "reserved")
        size = {IdType.IPV4_ADDR: 4, IdType.IPV6_ADDR: 16}.get(IdType(number)) if number in (1, 5) else None
        if size is None or reader.left != size:
            raise reader.fail(f"ID type {number} with {reader.left} octets is no address")
        return cls(str(ipaddress.ip_address(reader.rest())), kind)

    @classmethod
    def parse_draft(cls, reader: Reader) -> NatOa:
        """The same under the number of the drafts."""
        return cls.parse(reader, PayloadType.NAT_OA_DRAFT)

    def body(self) -> bytes:
        """The octets after the generic header."""
        address = ipaddress.ip_address(self.host)
        kind = IdType.IPV4_ADDR if address.version == 4 else IdType.IPV6_ADDR
        return bytes((kind, 0, 0, 0)) + address.packed


@dataclass(frozen=True)
class Fragment:
    """A piece of an ISAKMP message, as Cisco and others send it; ``number`` counts from 1."""

    id: int
    number: int
    last: bool
    data: bytes
    kind: ClassVar[int] = PayloadType.FRAGMENT

    @classmethod
    def parse(cls, reader: Reader) -> Fragment:
        """:raises DecodeError: if it has no data, or the number 0."""
        ident, number, flags = reader.u16("fragment ID"), reader.u8("fragment number"), reader.u8("flags")
        if not number:
            raise reader.fail("fragments are numbered from 1")
        if not reader.left:
            raise reader.fail("a fragment without data")
        return cls(ident, number, bool(flags & 1), reader.rest())

    def body(self) -> bytes:
        """The octets after the generic header."""
        return struct.pack("!HBB", self.id, self.number, self.last) + self.data


@dataclass(frozen=True)
class Identification:
    """Identification payload (RFC 2407 section 4.6.2); ``type`` is an ``IdType`` or unknown."""

    type: int
    protocol: int
    port: int
    data: bytes
    kind: ClassVar[int] = PayloadType.ID

    @classmethod
    def parse(cls, reader: Reader) -> Identification:
        """:raises DecodeError: if the fixed part is cut short."""
        return cls(reader.u8("ID type"), reader.u8("protocol ID"), reader.u16("port"), reader.rest())

    def body(self) -> bytes:
        """The octets after the generic header."""
        return struct.pack("!BBH", self.type, self.protocol, self.port) + self.data


@dataclass(frozen=True)
class Notification:
    """Notification payload (RFC 2408 section 3.14)."""

    protocol: int
    spi: bytes
    type: int
    data: bytes = b""
    doi: int = DOI_IPSEC
    kind: ClassVar[int] = PayloadType.NOTIFICATION

    @classmethod
    def parse(cls, reader: Reader) -> Notification:
        """:raises DecodeError: if the SPI is longer than the payload."""
        doi, protocol, size = reader.u32("DOI"), reader.u8("protocol ID"), reader.u8("SPI size")
        number = reader.u16("notify message type")
        return cls(protocol, reader.take(size, "SPI"), number, reader.rest(), doi)

    def body(self) -> bytes:
        """The octets after the generic header."""
        return struct.pack("!IBBH", self.doi, self.protocol, len(self.spi), self.type) + self.spi + self.data


@dataclass(frozen=True)
class Delete:
    """Delete payload: SPIs of the sender that are gone (RFC 2408 section 3.15)."""

    protocol: int
    spis: tuple[bytes, ...]
    doi: int = DOI_IPSEC
    kind: ClassVar[int] = PayloadType.DELETE

    @classmethod
    def parse(cls, reader: Reader) -> Delete:
        """:raises DecodeError: if the SPIs do not fill the payload exactly, or are too many."""
        doi, protocol, size = reader.u32("DOI"), reader.u8("protocol ID"), reader.u8("SPI size")
        count = reader.u16("number of SPIs")
        if count > MAX_SPIS:
            raise reader.fail(f"{count} SPIs, at most {MAX_SPIS} are taken")
        if size * count != reader.left:
            raise reader.fail(f"{count} SPIs of {size} octets do not fill {reader.left} octets")
        return cls(protocol, tuple(reader.take(size, "SPI") for _ in range(count)), doi)

    def body(self) -> bytes:
        """The octets after the generic header; all SPIs have one length."""
        size = len(self.spis[0]) if self.spis else 0
        return struct.pack("!IBBH", self.doi, self.protocol, size, len(self.spis)) + b"".join(self.spis)
