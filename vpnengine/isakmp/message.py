"""ISAKMP messages: the header and the chain of payloads (RFC 2408 sections 3.1 and 3.2)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from vpnengine.isakmp.configuration import Configuration
from vpnengine.isakmp.constants import HEADER_LENGTH, VERSION_1_0, Flag, PayloadType, exchange_name
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.payloads import (
    CertificateData,
    CertificateRequest,
    Delete,
    Fragment,
    Hash,
    Identification,
    KeyExchangeData,
    NatD,
    NatOa,
    Nonce,
    Notification,
    Opaque,
    Payload,
    Signature,
    VendorId,
)
from vpnengine.isakmp.reader import Reader
from vpnengine.isakmp.sa_payload import SecurityAssociation

MAX_PAYLOADS = 64
MAX_MESSAGE = 65_535
_ENCRYPTION = int(Flag.ENCRYPTION)  # a plain number: each message is asked several times
_T = TypeVar("_T")

_PARSERS: dict[int, tuple[str, Callable[[Reader], Payload]]] = {
    PayloadType.SA: ("SA", SecurityAssociation.parse),
    PayloadType.KE: ("KE", KeyExchangeData.parse),
    PayloadType.ID: ("ID", Identification.parse),
    PayloadType.CERT: ("CERT", CertificateData.parse),
    PayloadType.CERT_REQUEST: ("CERT-REQUEST", CertificateRequest.parse),
    PayloadType.HASH: ("HASH", Hash.parse),
    PayloadType.SIGNATURE: ("SIGNATURE", Signature.parse),
    PayloadType.NONCE: ("NONCE", Nonce.parse),
    PayloadType.NOTIFICATION: ("NOTIFICATION", Notification.parse),
    PayloadType.DELETE: ("DELETE", Delete.parse),
    PayloadType.VENDOR_ID: ("VENDOR-ID", VendorId.parse),
    PayloadType.ATTRIBUTES: ("ATTRIBUTES", Configuration.parse),
    PayloadType.NAT_D: ("NAT-D", NatD.parse),
    PayloadType.NAT_OA: ("NAT-OA", NatOa.parse),
    PayloadType.NAT_D_DRAFT: ("NAT-D", NatD.parse_draft),
    PayloadType.NAT_OA_DRAFT: ("NAT-OA", NatOa.parse_draft),
    PayloadType.FRAGMENT: ("FRAGMENT", Fragment.parse),
}


@dataclass(frozen=True)
class Header:
    """The fixed header; ``length`` is that of the whole message in octets."""

    initiator_cookie: bytes
    responder_cookie: bytes
    next_payload: int
    version: int
    exchange: int
    flags: int
    message_id: int
    length: int = 0

    @classmethod
    def parse(cls, datagram: bytes) -> Header:
        """Read the header alone, so that a message can be refused before its payloads are looked at.

        :raises DecodeError: if it is short, of another major version, or its length is not the datagram's.
        """
        if len(datagram) < HEADER_LENGTH:
            raise DecodeError(0, "header", f"a header has {HEADER_LENGTH} octets, this datagram {len(datagram)}")
        header = cls(*struct.unpack("!8s8sBBBBII", datagram[:HEADER_LENGTH]))
        if header.version >> 4 != VERSION_1_0 >> 4:
            raise DecodeError(17, "header", f"major version {header.version >> 4}")
        if header.initiator_cookie == bytes(8):
            raise DecodeError(0, "header", "the initiator cookie is zero")
        if header.length != len(datagram):
            raise DecodeError(24, "header", f"length {header.length}, the datagram has {len(datagram)}")
        return header

    @property
    def encrypted(self) -> bool:
        """True if the payloads are encrypted."""
        return bool(self.flags & _ENCRYPTION)

    @property
    def name(self) -> str:
        """Exchange and message id, for people."""
        return f"{exchange_name(self.exchange)} {self.message_id:08x}"

    def build(self, body: bytes) -> bytes:
        """The message with this header before ``body``; the length is set."""
        return (
            struct.pack(
                "!8s8sBBBBII",
                self.initiator_cookie,
                self.responder_cookie,
                self.next_payload,
                self.version,
                self.exchange,
                self.flags,
                self.message_id,
                HEADER_LENGTH + len(body),
            )
            + body
        )


@dataclass(frozen=True)
class Payloads:
    """A parsed chain.

    ``raw[i]`` is the body of ``values[i]`` as received: hashes are computed over what the
    peer sent, not over what we would have sent. ``ends[i]`` is the offset after payload ``i``.
    """

    values: tuple[Payload, ...]
    raw: tuple[bytes, ...]
    ends: tuple[int, ...]

    def all(self, kind: type[_T]) -> list[_T]:
        """Every payload of this class, in order."""
        return [value for value in self.values if isinstance(value, kind)]

    def first(self, kind: type[_T]) -> _T | None:
        """The first payload of this class."""
        return next((value for value in self.values if isinstance(value, kind)), None)

    def only(self, kind: type[_T], name: str) -> _T:
        """The one payload of this class.

        :raises DecodeError: if it is missing or doubled.
        """
        found = self.all(kind)
        if len(found) != 1:
            raise DecodeError(0, name, "is missing" if not found else f"stands {len(found)} times")
        return found[0]

    def body_of(self, kind: type[Any]) -> bytes:
        """The received body of the first payload of this class; empty if there is none."""
        return next((raw for value, raw in zip(self.values, self.raw, strict=True) if isinstance(value, kind)), b"")


def parse_payloads(first: int, data: bytes) -> Payloads:
    """Parse a chain that starts with type ``first``; octets after its end are padding.

    :raises DecodeError: naming offset, payload and rule. No other exception leaves it.
    """
    values: list[Payload] = []
    raw: list[bytes] = []
    ends: list[int] = []
    reader = Reader(data, "payload")
    kind = first
    while kind:
        if len(values) == MAX_PAYLOADS:
            raise reader.fail(f"more than {MAX_PAYLOADS} payloads")
        following = reader.u8("next payload")
        reader.u8("reserved")
        length = reader.u16("payload length")
        if length < 4:
            raise reader.fail(f"a payload length of {length}")
        start = reader.pos
        raw.append(reader.take(length - 4, "payload"))
        values.append(_parse_one(kind, data, start, reader.pos))
        ends.append(reader.pos)
        kind = following
    return Payloads(tuple(values), tuple(raw), tuple(ends))


def _parse_one(kind: int, data: bytes, start: int, end: int) -> Payload:
    known = _PARSERS.get(kind)
    if known is None:
        return Opaque(kind, data[start:end])
    name, parse = known
    return parse(Reader(data, name, start, end))


def kinds_of(payloads: Sequence[Payload]) -> tuple[int, ...]:
    """Their types, in order."""
    return tuple(int(payload.kind) for payload in payloads)


def build_payloads(payloads: Sequence[Payload]) -> tuple[int, bytes]:
    """The type of the first payload and the whole chain."""
    parts = []
    for index, payload in enumerate(payloads):
        following = payloads[index + 1].kind if index + 1 < len(payloads) else PayloadType.NONE
        body = payload.body()
        parts.append(struct.pack("!BBH", following, 0, len(body) + 4) + body)
    return (payloads[0].kind if payloads else PayloadType.NONE), b"".join(parts)
