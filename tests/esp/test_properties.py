"""What holds for every transform in tunnel mode, whatever the packet."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.esp.test_sequence_numbers import EVERY, ends
from vpnengine.esp.sa import EspTransform
from vpnengine.esp.transform import NEXT_DUMMY, NEXT_IPV4, NEXT_IPV6, EspError

TRANSFORMS = st.sampled_from(EVERY)


def packet(version: int, size: int, seed: bytes) -> bytes:
    """An IP packet with ``size`` octets after its fixed header, made of a repeated seed."""
    body = (seed * (size // len(seed) + 1))[:size]
    if version == 4:
        return struct.pack("!BBHHHBBH", 0x45, 0, 20 + size, 0, 0, 64, 17, 0) + bytes(8) + body
    return struct.pack("!IHBB", 6 << 28, size, 17, 64) + bytes(32) + body


SIZES = st.one_of(st.integers(0, 300), st.integers(0, 65515), st.just(65515))
PACKETS = st.builds(packet, st.sampled_from([4, 6]), SIZES, st.binary(min_size=1, max_size=40))
SMALL = st.builds(packet, st.sampled_from([4, 6]), st.integers(0, 200), st.binary(min_size=1, max_size=40))


@settings(max_examples=300, deadline=None)
@given(TRANSFORMS, st.lists(PACKETS, min_size=1, max_size=3))
def test_what_is_sealed_opens_once(transform: EspTransform, packets: list[bytes]) -> None:
    out, inside = ends(transform)
    sealed = [out.seal(one) for one in packets]
    assert [inside.open(one) for one in sealed] == packets
    for one in sealed:
        with pytest.raises(EspError, match="replayed"):
            inside.open(one)


@settings(max_examples=400, deadline=None)
@given(TRANSFORMS, SMALL, st.data())
def test_an_altered_octet_is_refused(transform: EspTransform, original: bytes, data: st.DataObject) -> None:
    """The SPI finds the SA and is authenticated too; nothing that is refused moves the window."""
    out, inside = ends(transform)
    sealed = bytearray(out.seal(original))
    at, flip = data.draw(st.integers(0, len(sealed) - 1)), data.draw(st.integers(1, 255))
    sealed[at] ^= flip
    with pytest.raises(EspError):
        inside.open(bytes(sealed))
    assert inside.window.top == 0
    sealed[at] ^= flip
    assert inside.open(bytes(sealed)) == original


@pytest.mark.parametrize("transform", EVERY, ids=lambda t: f"{t.encryption}-{t.integrity}-{t.esn}")
def test_cut_short_at_any_length_is_refused(transform: EspTransform) -> None:
    out, inside = ends(transform)
    sealed = out.seal(packet(4, 40, b"x"))
    for length in range(len(sealed)):
        with pytest.raises(EspError):
            inside.open(sealed[:length])
    assert inside.open(sealed) == packet(4, 40, b"x")


@settings(max_examples=200, deadline=None)
@given(TRANSFORMS, SMALL, st.binary(max_size=300))
def test_tfc_padding_is_cut_off(transform: EspTransform, original: bytes, padding: bytes) -> None:
    out, inside = ends(transform)
    following = NEXT_IPV4 if original[0] >> 4 == 4 else NEXT_IPV6
    assert inside.open(out.seal_payload(original + padding, following)) == original


@settings(max_examples=100, deadline=None)
@given(TRANSFORMS, st.binary(max_size=300))
def test_dummy_packets_carry_nothing_and_count_for_replay(transform: EspTransform, octets: bytes) -> None:
    out, inside = ends(transform)
    sealed = out.seal_payload(octets, NEXT_DUMMY)
    assert inside.open(sealed) is None
    with pytest.raises(EspError, match="replayed"):
        inside.open(sealed)


@settings(max_examples=200, deadline=None)
@given(TRANSFORMS, st.binary(max_size=80), st.integers(0, 255))
def test_authentic_nonsense_is_an_esp_error_or_a_packet(transform: EspTransform, octets: bytes, following: int) -> None:
    out, inside = ends(transform)
    try:
        opened = inside.open(out.seal_payload(octets, following))
    except EspError:
        return
    assert opened is None if following == NEXT_DUMMY else opened is not None and octets.startswith(opened)
