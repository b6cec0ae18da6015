"""Whatever can be said is built and parsed to the same, and whatever is parsed can be said again."""

from __future__ import annotations

import ipaddress

from hypothesis import given, settings
from hypothesis import strategies as st

from vpnengine.isakmp import constants as c
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import Header, build_payloads, parse_payloads
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
    Payload,
    Signature,
    VendorId,
)
from vpnengine.isakmp.sa_payload import Attribute, Proposal, SecurityAssociation, Transform

octet, word, long = st.integers(0, 255), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
some, many = st.binary(min_size=1, max_size=40), st.binary(max_size=40)


def attributes() -> st.SearchStrategy[Attribute]:
    """Both forms; the variable one with a value that fits its size."""
    kind = st.integers(0, 0x7FFF)
    basic = st.builds(Attribute, kind, word)
    variable = st.integers(1, 32).flatmap(
        lambda size: st.builds(Attribute, kind, st.integers(0, (1 << size * 8) - 1), st.just(size))
    )
    return basic | variable


transforms = st.builds(Transform, octet, octet, st.lists(attributes(), max_size=6).map(tuple))
proposals = st.builds(
    Proposal, octet, octet, st.binary(max_size=20), st.lists(transforms, min_size=1, max_size=4).map(tuple)
)
kinds = st.sampled_from([c.PayloadType.NAT_D, c.PayloadType.NAT_D_DRAFT])
original = st.sampled_from([c.PayloadType.NAT_OA, c.PayloadType.NAT_OA_DRAFT])
spis = st.integers(1, 16).flatmap(
    lambda size: st.lists(st.binary(min_size=size, max_size=size), min_size=1, max_size=9).map(tuple)
)
payloads: st.SearchStrategy[Payload] = st.one_of(
    st.builds(SecurityAssociation, st.lists(proposals, min_size=1, max_size=4).map(tuple)),
    st.builds(KeyExchangeData, some),
    st.builds(Identification, octet, octet, word, many),
    st.builds(CertificateData, octet, some),
    st.builds(CertificateRequest, octet, many),
    st.builds(Hash, some),
    st.builds(Signature, some),
    st.builds(Nonce, st.binary(min_size=8, max_size=256)),
    st.builds(Notification, octet, st.binary(max_size=255), word, many, long),
    st.builds(Delete, octet, spis, long),
    st.builds(VendorId, many),
    st.builds(NatD, some, kinds),
    st.builds(NatOa, (st.ip_addresses(v=4) | st.ip_addresses(v=6)).map(str), original),
    st.builds(Fragment, word, st.integers(1, 255), st.booleans(), some),
)
chains = st.lists(payloads, min_size=1, max_size=8)


@settings(max_examples=300, deadline=None)
@given(chains, st.binary(max_size=15))
def test_a_chain_survives(values: list[Payload], padding: bytes) -> None:
    """The padding after the last payload is left alone, whatever it is."""
    first, body = build_payloads(values)
    found = parse_payloads(first, body + padding)
    assert found.values == tuple(values)
    assert [value.body() for value in values] == list(found.raw)
    assert found.ends[-1] == len(body)


cookies = st.binary(min_size=8, max_size=8)
headers = st.builds(Header, cookies.filter(any), cookies, octet, st.integers(0x10, 0x1F), octet, octet, long)


@given(headers, many)
def test_a_header_survives(header: Header, body: bytes) -> None:
    found = Header.parse(header.build(body))
    assert found.build(body) == header.build(body) and found.length == 28 + len(body)


@settings(max_examples=500, deadline=None)
@given(chains, st.data())
def test_mutations_leave_the_parser_total(values: list[Payload], data: st.DataObject) -> None:
    """Cut, doubled, swapped and overwritten pieces: a value that builds again, or a ``DecodeError``."""
    first, chain = build_payloads(values)
    octets = bytearray(chain)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(octets)))
        end = data.draw(st.integers(start, len(octets)))
        piece = data.draw(st.sampled_from(["cut", "double", "fill", "insert"]))
        match piece:
            case "cut":
                del octets[start:end]
            case "double":
                octets[start:start] = octets[start:end]
            case "fill":
                octets[start:end] = bytes([data.draw(octet)]) * (end - start)
            case _:
                octets[start:start] = data.draw(many)
    try:
        found = parse_payloads(data.draw(st.just(first) | octet), bytes(octets))
    except DecodeError as error:
        assert 0 <= error.offset <= len(octets)
        return
    kind, again = build_payloads(found.values)
    assert parse_payloads(kind, again).values == found.values


@given(st.integers(0, 255), st.binary(max_size=20))
def test_original_addresses_are_addresses_only(kind: int, octets: bytes) -> None:
    body = bytes([kind, 0, 0, 0]) + octets
    chain = b"\0\0" + (len(body) + 4).to_bytes(2, "big") + body
    right = {1: 4, 5: 16}.get(kind) == len(octets)
    try:
        (value,) = parse_payloads(c.PayloadType.NAT_OA, chain).values
    except DecodeError:
        assert not right
        return
    assert right and isinstance(value, NatOa) and ipaddress.ip_address(value.host).packed == octets


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(1, 1 << 40)), max_size=5))
def test_lifetimes_belong_to_the_type_before_them(rows: list[tuple[int, int]]) -> None:
    """The first of each type counts; a duration without a type is nobody's."""
    listed = [Attribute(12, 99, 4)]
    expected: dict[int, int] = {}
    for kind, value in rows:
        listed += [Attribute(11, kind), Attribute(12, value, 8)]
        expected.setdefault(kind, value)
    chain = build_payloads([SecurityAssociation((Proposal(1, 1, b"", (Transform(1, 1, tuple(listed)),)),))])
    sa = parse_payloads(*chain).only(SecurityAssociation, "SA")
    assert sa.proposals[0].transforms[0].lifetimes(11, 12) == expected
