"""The security association payload with its proposals and transforms (RFC 2408 sections 3.3 to 3.6)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from vpnengine.isakmp.constants import DOI_IPSEC, SIT_IDENTITY_ONLY, PayloadType
from vpnengine.isakmp.reader import Reader

MAX_PROPOSALS = 32
MAX_TRANSFORMS = 255
MAX_ATTRIBUTES = 32
MAX_ATTRIBUTE = 32  # octets of one value; durations have been seen in 4 and 8
_BASIC = 0x8000


@dataclass(frozen=True)
class Attribute:
    """One data attribute. A value of up to 16 bits is sent in the basic (TV) form (RFC 2408 section 3.3).

    ``size`` is the length of the variable (TLV) form, 0 for the basic one.
    """

    type: int
    value: int
    size: int = 0

    @classmethod
    def parse(cls, reader: Reader) -> Attribute:
        """:raises DecodeError: if it is cut short, or its value is empty or longer than ``MAX_ATTRIBUTE`` octets."""
        kind = reader.u16("attribute type")
        if kind & _BASIC:
            return cls(kind & ~_BASIC, reader.u16("attribute value"))
        size = reader.u16("attribute length")
        if not 1 <= size <= MAX_ATTRIBUTE:
            raise reader.fail(f"an attribute of {size} octets")
        return cls(kind, int.from_bytes(reader.take(size, "attribute value"), "big"), size)

    def build(self) -> bytes:
        """The attribute on the wire; values over 16 bits take four octets unless ``size`` says otherwise."""
        size = self.size or (4 if self.value > 0xFFFF else 0)
        if not size:
            return struct.pack("!HH", self.type | _BASIC, self.value)
        return struct.pack("!HH", self.type, size) + self.value.to_bytes(size, "big")


@dataclass(frozen=True)
class Transform:
    """Transform payload (RFC 2408 section 3.6)."""

    number: int
    id: int
    attributes: tuple[Attribute, ...]

    @classmethod
    def parse(cls, reader: Reader) -> Transform:
        """:raises DecodeError: on a broken attribute, or too many."""
        number, ident = reader.u8("transform number"), reader.u8("transform ID")
        reader.u16("reserved")
        attributes: list[Attribute] = []
        while reader.left:
            if len(attributes) == MAX_ATTRIBUTES:
                raise reader.fail(f"more than {MAX_ATTRIBUTES} attributes")
            attributes.append(Attribute.parse(reader))
        return cls(number, ident, tuple(attributes))

    def body(self) -> bytes:
        """The octets after the generic header."""
        return struct.pack("!BBH", self.number, self.id, 0) + b"".join(a.build() for a in self.attributes)

    def get(self, kind: int) -> int | None:
        """The value of the first attribute of this type."""
        return next((a.value for a in self.attributes if a.type == kind), None)

    def lifetimes(self, type_attribute: int, value_attribute: int) -> dict[int, int]:
        """Durations by life type: each duration belongs to the life type before it (RFC 2407 section 4.5)."""
        found: dict[int, int] = {}
        life_type: int | None = None
        for attribute in self.attributes:
            if attribute.type == type_attribute:
                life_type = attribute.value
            elif attribute.type == value_attribute and life_type is not None:
                found.setdefault(life_type, attribute.value)
        return found


@dataclass(frozen=True)
class Proposal:
    """Proposal payload (RFC 2408 section 3.5)."""

    number: int
    protocol: int
    spi: bytes
    transforms: tuple[Transform, ...]

    @classmethod
    def parse(cls, reader: Reader) -> Proposal:
        """:raises DecodeError: if it has no transform, or their number is not the one it states."""
        number, protocol = reader.u8("proposal number"), reader.u8("protocol ID")
        size, count = reader.u8("SPI size"), reader.u8("number of transforms")
        spi = reader.take(size, "SPI")
        if not count:
            raise reader.fail("a proposal without transforms")
        bodies = _chain(reader, PayloadType.TRANSFORM, "transform", MAX_TRANSFORMS)
        if len(bodies) != count:
            raise reader.fail(f"{count} transforms stated, {len(bodies)} found")
        return cls(number, protocol, spi, tuple(Transform.parse(body) for body in bodies))

    def body(self) -> bytes:
        """The octets after the generic header."""
        head = struct.pack("!BBBB", self.number, self.protocol, len(self.spi), len(self.transforms)) + self.spi
        return head + _link(PayloadType.TRANSFORM, [t.body() for t in self.transforms])


@dataclass(frozen=True)
class SecurityAssociation:
    """SA payload (RFC 2408 section 3.4, RFC 2407 section 4.6.1)."""

    proposals: tuple[Proposal, ...]
    doi: int = DOI_IPSEC
    situation: int = SIT_IDENTITY_ONLY
    kind: ClassVar[int] = PayloadType.SA

    @classmethod
    def parse(cls, reader: Reader) -> SecurityAssociation:
        """:raises DecodeError: on a foreign DOI or situation, or a broken proposal."""
        doi, situation = reader.u32("DOI"), reader.u32("situation")
        if doi != DOI_IPSEC:
            raise reader.fail(f"DOI {doi}; only the IPsec DOI (1) is known")
        if situation != SIT_IDENTITY_ONLY:
            raise reader.fail(f"situation {situation}; only SIT_IDENTITY_ONLY (1) is known")
        bodies = _chain(reader, PayloadType.PROPOSAL, "proposal", MAX_PROPOSALS)
        return cls(tuple(Proposal.parse(body) for body in bodies), doi, situation)

    def body(self) -> bytes:
        """The octets after the generic header."""
        head = struct.pack("!II", self.doi, self.situation)
        return head + _link(PayloadType.PROPOSAL, [p.body() for p in self.proposals])


def _chain(reader: Reader, kind: int, name: str, most: int) -> list[Reader]:
    """The bodies of a run of payloads of one kind that fills the reader exactly."""
    bodies: list[Reader] = []
    more = kind
    while more:
        if more != kind:
            raise reader.fail(f"payload type {more} among the {name}s")
        if len(bodies) == most:
            raise reader.fail(f"more than {most} {name}s")
        start = reader.pos
        more = reader.u8("next payload")
        reader.u8("reserved")
        length = reader.u16("payload length")
        if length < 4:
            raise reader.fail(f"a payload length of {length}")
        reader.take(length - 4, name)
        bodies.append(Reader(reader.data, name, start + 4, reader.pos))
    if reader.left:
        raise reader.fail(f"{reader.left} octets after the last {name}")
    return bodies


def _link(kind: int, bodies: list[bytes]) -> bytes:
    parts = []
    for index, body in enumerate(bodies):
        more = kind if index + 1 < len(bodies) else 0
        parts.append(struct.pack("!BBH", more, 0, len(body) + 4) + body)
    return b"".join(parts)
