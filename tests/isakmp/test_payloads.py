"""Each payload by itself: the smallest one that is valid, every octet of it wrong, cut short, and lengths that lie."""

from __future__ import annotations

import time

import pytest

from vpnengine.isakmp import constants as c
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import MAX_PAYLOADS, Header, build_payloads, parse_payloads
from vpnengine.isakmp.payloads import (
    MAX_SPIS,
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
from vpnengine.isakmp.sa_payload import Attribute, Proposal, SecurityAssociation, Transform

TRANSFORM = Transform(1, 1, (Attribute(1, 7), Attribute(12, 86_400, 4)))
SA = SecurityAssociation((Proposal(1, c.Protocol.ISAKMP, b"", (TRANSFORM,)),))
SAMPLES: dict[str, Payload] = {
    "SA": SA,
    "SA with an SPI": SecurityAssociation((Proposal(1, c.Protocol.ESP, b"\1\2\3\4", (TRANSFORM,)),) * 2),
    "KE": KeyExchangeData(b"\x42"),
    "ID": Identification(c.IdType.IPV4_ADDR, 17, 500, b"\xc0\0\2\1"),
    "CERT": CertificateData(c.CertEncoding.X509_SIGNATURE, b"\x30\0"),
    "CERT-REQUEST": CertificateRequest(c.CertEncoding.X509_SIGNATURE, b""),
    "HASH": Hash(bytes(20)),
    "SIGNATURE": Signature(bytes(64)),
    "NONCE": Nonce(bytes(8)),
    "NOTIFICATION": Notification(c.Protocol.ISAKMP, bytes(16), c.Notify.R_U_THERE, b"\0\0\0\1"),
    "DELETE": Delete(c.Protocol.ESP, (b"\1\2\3\4", b"\5\6\7\x08")),
    "VENDOR-ID": VendorId(bytes(16)),
    "NAT-D": NatD(bytes(20)),
    "NAT-D of the drafts": NatD(bytes(20), c.PayloadType.NAT_D_DRAFT),
    "NAT-OA": NatOa("192.0.2.1"),
    "NAT-OA with IPv6": NatOa("2001:db8::1"),
    "FRAGMENT": Fragment(1, 1, True, b"\0"),
    "unknown": Opaque(200, b"\1\2\3"),
}
every_sample = pytest.mark.parametrize("name", SAMPLES)


def parsed(kind: int, data: bytes) -> tuple[Payload, ...] | DecodeError:
    """What the parser says; nothing but a ``DecodeError`` may leave it, and it points into the data."""
    try:
        return parse_payloads(kind, data).values
    except DecodeError as error:
        assert 0 <= error.offset <= len(data) and error.payload and error.rule
        return error


@every_sample
def test_round_trip(name: str) -> None:
    kind, chain = build_payloads([SAMPLES[name]])
    found = parse_payloads(kind, chain)
    assert found.values == (SAMPLES[name],)
    assert found.raw == (chain[4:],) and found.ends == (len(chain),)


@every_sample
def test_every_octet_can_be_anything(name: str) -> None:
    """What is still a chain of payloads builds to octets that parse to the same values."""
    kind, chain = build_payloads([SAMPLES[name], VendorId(b"after")])
    for position in range(len(chain)):
        for value in range(256):
            changed = chain[:position] + bytes([value]) + chain[position + 1 :]
            values = parsed(kind, changed)
            if isinstance(values, DecodeError):
                continue
            first, again = build_payloads(values)
            assert parse_payloads(first, again).values == values


@every_sample
def test_cut_short_at_each_octet(name: str) -> None:
    kind, chain = build_payloads([SAMPLES[name]])
    for length in range(len(chain)):
        error = parsed(kind, chain[:length])
        assert isinstance(error, DecodeError), length
        # The same with the stated length made to fit: the body itself is too short, or another valid body.
        if length >= 4:
            fitting = chain[:2] + length.to_bytes(2, "big") + chain[4:length]
            values = parsed(kind, fitting)
            assert isinstance(values, DecodeError) or values != (SAMPLES[name],)


# How few octets a body may have; one less is refused.
@pytest.mark.parametrize(
    ("kind", "least"),
    [
        (c.PayloadType.SA, 8 + 8 + 8),
        (c.PayloadType.KE, 1),
        (c.PayloadType.ID, 4),
        (c.PayloadType.CERT, 1),
        (c.PayloadType.CERT_REQUEST, 1),
        (c.PayloadType.HASH, 1),
        (c.PayloadType.SIGNATURE, 1),
        (c.PayloadType.NONCE, 8),
        (c.PayloadType.NOTIFICATION, 8),
        (c.PayloadType.DELETE, 8),
        (c.PayloadType.NAT_D, 1),
        (c.PayloadType.NAT_OA, 8),
        (c.PayloadType.FRAGMENT, 5),
    ],
)
def test_bodies_that_are_too_small(kind: int, least: int) -> None:
    for size in range(least):
        for octet in (b"\0", b"\1", b"\xff"):
            data = b"\0\0" + (size + 4).to_bytes(2, "big") + octet * size
            assert isinstance(parsed(kind, data), DecodeError), (size, octet)


@every_sample
@pytest.mark.parametrize("length", [0, 1, 2, 3, 0x7FFF, 0x8000, 0xFFFF])
def test_lengths_that_lie(name: str, length: int) -> None:
    kind, chain = build_payloads([SAMPLES[name]])
    error = parsed(kind, chain[:2] + length.to_bytes(2, "big") + chain[4:])
    assert isinstance(error, DecodeError) and error.payload == "payload"


@every_sample
def test_a_payload_that_reaches_into_the_next_one(name: str) -> None:
    """One octet more takes it from the chain: the next header is read from the wrong place."""
    kind, chain = build_payloads([SAMPLES[name], Hash(bytes(3)), Nonce(bytes(8))])
    size = len(chain) - 7 - 12
    for more in range(1, len(chain) - size + 1):
        values = parsed(kind, chain[:2] + (size + more).to_bytes(2, "big") + chain[4:])
        assert isinstance(values, DecodeError) or values[0] != SAMPLES[name]


def sa_with(position: int, octets: bytes) -> bytes:
    """The SA sample with octets replaced; 0 is the first octet after the payload's generic header."""
    _, chain = build_payloads([SA])
    at = position + 4
    return chain[:at] + octets + chain[at + len(octets) :]


PROPOSAL, TRANSFORM_AT, ATTRIBUTES = 8, 16, 24


@pytest.mark.parametrize(
    ("position", "octets", "words"),
    [
        (0, b"\0\0\0\2", "DOI 2"),
        (4, b"\0\0\0\3", "situation 3"),
        (PROPOSAL, b"\2", "octet|proposal"),
        (PROPOSAL, b"\3", "payload type 3 among the proposals"),
        (PROPOSAL + 2, b"\0\0", "payload length of 0"),
        (PROPOSAL + 2, b"\0\3", "payload length of 3"),
        (PROPOSAL + 2, b"\xff\xff", "are left"),
        (PROPOSAL + 6, b"\xff", "SPI needs 255"),
        (PROPOSAL + 7, b"\0", "without transforms"),
        (PROPOSAL + 7, b"\2", "2 transforms stated, 1 found"),
        (TRANSFORM_AT, b"\3", "left"),
        (TRANSFORM_AT, b"\2", "payload type 2 among the transforms"),
        (TRANSFORM_AT + 2, b"\0\0", "payload length of 0"),
        (TRANSFORM_AT + 2, b"\xff\xff", "are left"),
        (ATTRIBUTES + 4 + 2, b"\0\0", "attribute of 0 octets"),
        (ATTRIBUTES + 4 + 2, b"\xff\xff", "attribute of 65535 octets"),
        (ATTRIBUTES + 4 + 2, b"\0\5", "attribute value needs 5"),
        (ATTRIBUTES + 4 + 2, b"\0\3", "attribute type needs 2"),
    ],
)
def test_broken_proposals(position: int, octets: bytes, words: str) -> None:
    with pytest.raises(DecodeError, match=words):
        parse_payloads(c.PayloadType.SA, sa_with(position, octets))


def test_numbers_are_bounded() -> None:
    """More than the limits is refused, not taken in part."""
    many = [VendorId(b"x")] * MAX_PAYLOADS
    kind, chain = build_payloads(many)
    assert len(parse_payloads(kind, chain).values) == MAX_PAYLOADS
    for broken in (
        [*many, VendorId(b"x")],
        [SecurityAssociation(SA.proposals * 33)],
        [SecurityAssociation((Proposal(1, 1, b"", (Transform(1, 1, (Attribute(1, 1),) * 33),)),))],
        [Delete(c.Protocol.ESP, (b"\0\0\0\1",) * (MAX_SPIS + 1))],
        [Nonce(bytes(257))],
    ):
        kind, chain = build_payloads(broken)
        assert isinstance(parsed(kind, chain), DecodeError)


@pytest.mark.parametrize("header", [b"\1\0\0\4", b"\x0d\0\0\4", b"\2\0\0\4", b"\xc8\0\0\4"])
def test_the_longest_datagram_is_refused_quickly(header: bytes) -> None:
    """64 KB of the smallest payloads, or of proposals inside one."""
    octets = header * 16_383
    begun = time.process_time()
    assert isinstance(parsed(200, octets), DecodeError)
    sa = b"\0\0\xff\xff\0\0\0\1\0\0\0\1" + octets
    assert isinstance(parsed(c.PayloadType.SA, sa[:0xFFFF]), DecodeError)
    assert time.process_time() - begun < 0.2


def test_deletes_whose_sizes_multiply_to_something_else() -> None:
    for size, count, octets in ((0, 5, b"x"), (4, 0, b"\0\0\0\1"), (255, 255, b"x" * 255), (4, 2, b"x" * 7)):
        body = b"\0\0\0\1\3" + bytes([size]) + count.to_bytes(2, "big") + octets
        error = parsed(c.PayloadType.DELETE, b"\0\0" + (len(body) + 4).to_bytes(2, "big") + body)
        assert isinstance(error, DecodeError) and "SPIs" in error.rule


HEADER = Header(b"\1" * 8, b"\2" * 8, c.PayloadType.HASH, 0x10, c.Exchange.MAIN, 0, 0)


def test_headers() -> None:
    message = HEADER.build(bytes(10))
    assert Header.parse(message) == Header(*list(vars(HEADER).values())[:7], length=38)
    for length in range(28):
        with pytest.raises(DecodeError, match="28 octets"):
            Header.parse(message[:length])
    for length in (28, 37):
        with pytest.raises(DecodeError, match="length 38"):
            Header.parse(message[:length])
    with pytest.raises(DecodeError, match="length 38"):
        Header.parse(message + b"\0")
    for position, value, words in ((17, 0x20, "major version 2"), (17, 0, "major version 0")):
        with pytest.raises(DecodeError, match=words):
            Header.parse(message[:position] + bytes([value]) + message[position + 1 :])
    with pytest.raises(DecodeError, match="cookie"):
        Header.parse(bytes(8) + message[8:])
    assert Header.parse(message[:17] + b"\x1f" + message[18:]).version == 0x1F, "minor versions are compatible"


def test_every_octet_of_a_header_can_be_anything() -> None:
    message = HEADER.build(bytes(10))
    for position in range(28):
        for value in range(256):
            try:
                header = Header.parse(message[:position] + bytes([value]) + message[position + 1 :])
            except DecodeError:
                continue
            assert header.length == len(message) and header.name
