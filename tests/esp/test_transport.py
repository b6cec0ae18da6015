"""The reference transform in transport mode, and the checksums that a translator spoils."""

from __future__ import annotations

import ipaddress
import os
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vpnengine.contract.algorithms import EspEncryption, EspIntegrity
from vpnengine.crypto.secret import Secret
from vpnengine.esp.sa import EspKeys, EspTransform
from vpnengine.esp.transform import EspError, Inbound, Outbound
from vpnengine.esp.transport import TransportInbound, TransportOutbound, checksum

TRANSFORM = EspTransform(EspEncryption.AES256, EspIntegrity.SHA256)
KEYS = EspKeys(Secret(bytes(32)), Secret(bytes(range(32))))
PRIVATE, PUBLIC, SERVER = "10.70.0.2", "192.0.2.1", "192.0.2.2"


def pseudo(source: str, destination: str, protocol: int, payload: bytes) -> int:
    """The checksum over pseudo header and payload: 0 if the one inside is right."""
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    tail = (
        struct.pack("!HH", protocol, len(payload))
        if ":" not in source
        else struct.pack("!IHH", len(payload), 0, protocol)
    )
    return checksum(addresses + tail + payload)


def packet(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    if ":" in source:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + addresses + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0)
    return head[:10] + struct.pack("!H", checksum(head + addresses)) + addresses + payload


def segment(source: str, destination: str, protocol: int, data: bytes) -> bytes:
    """A UDP datagram or a TCP segment with a right checksum."""
    at = 6 if protocol == 17 else 16
    head = (
        struct.pack("!HHHH", 1701, 1701, 8 + len(data), 0)
        if protocol == 17
        else struct.pack("!HHIIHHHH", 1, 2, 3, 4, 5 << 12, 9, 0, 0)
    )
    found = head + data
    value = pseudo(source, destination, protocol, found) or (0xFFFF if protocol == 17 else 0)
    return found[:at] + struct.pack("!H", value) + found[at + 2 :]


def both() -> tuple[TransportOutbound, TransportInbound]:
    return TransportOutbound(7777, TRANSFORM, KEYS, os.urandom), TransportInbound(TRANSFORM, KEYS, os.urandom)


@pytest.mark.parametrize(("source", "destination"), [(PRIVATE, SERVER), ("fd00::1", "fd00::2")])
@pytest.mark.parametrize("protocol", [6, 17])
def test_round_trip_without_a_translator(source: str, destination: str, protocol: int) -> None:
    outbound, inbound = both()
    original = packet(source, destination, protocol, segment(source, destination, protocol, b"hello"))
    sealed = outbound.seal(original)
    assert b"hello" not in sealed
    assert inbound.open(sealed, source, destination) == original


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([6, 17]))
def test_checksums_are_right_behind_a_translator(data: bytes, protocol: int) -> None:
    outbound, inbound = both()
    sealed = outbound.seal(packet(PRIVATE, SERVER, protocol, segment(PRIVATE, SERVER, protocol, data)))
    opened = inbound.open(sealed, PUBLIC, SERVER, original=(PRIVATE, SERVER))
    assert opened is not None and checksum(opened[:20]) == 0
    assert opened[12:20] == ipaddress.ip_address(PUBLIC).packed + ipaddress.ip_address(SERVER).packed
    assert pseudo(PUBLIC, SERVER, protocol, opened[20:]) == 0


def test_a_udp_checksum_of_zero_stays() -> None:
    outbound, inbound = both()
    datagram = struct.pack("!HHHH", 1701, 1701, 9, 0) + b"x"
    opened = inbound.open(outbound.seal(packet(PRIVATE, SERVER, 17, datagram)), PUBLIC, SERVER, (PRIVATE, SERVER))
    assert opened is not None and opened[20:] == datagram


def test_without_nat_oa_the_checksum_is_wrong() -> None:
    """So that the test above could fail."""
    outbound, inbound = both()
    sealed = outbound.seal(packet(PRIVATE, SERVER, 17, segment(PRIVATE, SERVER, 17, b"data")))
    opened = inbound.open(sealed, PUBLIC, SERVER)
    assert opened is not None and pseudo(PUBLIC, SERVER, 17, opened[20:]) != 0


def test_fragments_and_nonsense_are_not_sealed() -> None:
    outbound, _ = both()
    whole = packet(PRIVATE, SERVER, 17, b"12345678")
    for wrong in (
        b"",
        b"\x45",
        whole[:-1],
        whole + b"x",
        whole[:6] + b"\x20\0" + whole[8:],
        whole[:6] + b"\0\5" + whole[8:],
    ):
        with pytest.raises(EspError):
            outbound.seal(wrong)


def test_modes_do_not_mix_and_replays_are_seen() -> None:
    outbound, inbound = both()
    sealed = outbound.seal(packet(PRIVATE, SERVER, 17, b"12345678"))
    with pytest.raises(EspError, match="not tunnel mode"):
        Inbound(TRANSFORM, KEYS, os.urandom).open(sealed)
    assert inbound.open(sealed, PRIVATE, SERVER)
    with pytest.raises(EspError, match="replayed"):
        inbound.open(sealed, PRIVATE, SERVER)
    dummy = Outbound(7777, TRANSFORM, KEYS, os.urandom)
    dummy.sequence = 9
    assert inbound.open(dummy.seal_payload(b"padding", 59), PRIVATE, SERVER) is None


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=90))
def test_garbage_is_dropped(data: bytes) -> None:
    with pytest.raises(EspError):
        both()[1].open(data, PRIVATE, SERVER, (PUBLIC, SERVER))
