"""Reading captured ESP: any suite, any order, both encapsulations."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpnengine.contract.algorithms import EspEncryption, EspIntegrity
from vpnengine.crypto.esp_suites import encryption_key_length, integrity_key_length
from vpnengine.crypto.secret import Secret
from vpnengine.esp.captured import CapturedEsp, esp_of
from vpnengine.esp.sa import EspKeys, EspTransform
from vpnengine.esp.transform import EspError, Outbound

SPI = 0xC0FFEE11
INNER = bytes([0x45, 0, 0, 24]) + bytes(16) + b"ping"


def sealed(transform: EspTransform, count: int = 1, start: int = 0) -> tuple[CapturedEsp, list[bytes]]:
    rng = random.Random(7).randbytes
    integrity = Secret(rng(integrity_key_length(transform.integrity))) if transform.integrity else None
    keys = EspKeys(Secret(rng(encryption_key_length(transform.encryption))), integrity)
    out = Outbound(SPI, transform, keys, rng)
    out.sequence = start
    packets = [out.seal(INNER) for _ in range(count)]
    reader = CapturedEsp()
    reader.add(SPI, transform, keys)
    return reader, packets


@pytest.mark.parametrize("encryption", list(EspEncryption), ids=lambda e: e.value)
def test_every_suite_in_any_order_and_again(encryption: EspEncryption) -> None:
    transform = EspTransform(encryption, None if encryption.is_aead else EspIntegrity.SHA256)
    reader, packets = sealed(transform, 5)
    for index in (4, 0, 2, 2, 1, 3):
        opened = reader.open(packets[index])
        assert (opened.spi, opened.sequence, opened.protocol, opened.inner) == (SPI, index + 1, 4, INNER)


def test_long_sequence_numbers_go_over() -> None:
    reader, packets = sealed(EspTransform(EspEncryption.AES128GCM16, None, esn=True), 4, start=(1 << 32) - 2)
    # The last one has the lower half 0; the upper half has to be found.
    first = (1 << 32) - 1
    assert [reader.open(packet).sequence for packet in packets] == [first, first + 1, first + 2, first + 3]


def test_what_is_not_ours_has_a_reason() -> None:
    reader, (packet,) = sealed(EspTransform(EspEncryption.AES256, EspIntegrity.SHA1))
    broken = packet[:-1] + bytes([packet[-1] ^ 1])
    for octets, reason in ((broken, "not authentic"), (b"\1" + packet[1:], "no keys"), (packet[:20], "too short")):
        with pytest.raises(EspError) as caught:
            reader.open(octets)
        assert caught.value.reason == reason


def ip(protocol: int, body: bytes) -> bytes:
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + bytes(8) + body


def test_esp_is_found_in_ip_and_in_udp() -> None:
    _, (packet,) = sealed(EspTransform(EspEncryption.AES128GCM16, None))
    udp = struct.pack("!HHHH", 4500, 4500, 8 + len(packet), 0)
    assert esp_of(ip(50, packet)) == packet == esp_of(ip(17, udp + packet))
    assert esp_of(struct.pack("!IHBB", 6 << 28, len(packet), 50, 64) + bytes(32) + packet) == packet
    assert esp_of(ip(50, packet) + b"ethernet padding") == packet
    assert esp_of(ip(17, udp + bytes(4) + packet)) is None  # an ISAKMP message
    assert esp_of(ip(17, struct.pack("!HHHH", 53, 53, 8 + len(packet), 0) + packet)) is None
    assert esp_of(ip(6, packet)) is None


@given(st.binary(max_size=80))
def test_nothing_else_is_raised(octets: bytes) -> None:
    reader, _ = sealed(EspTransform(EspEncryption.AES128, EspIntegrity.SHA256))
    found = esp_of(octets)
    for packet in (octets, SPI.to_bytes(4, "big") + octets, found or b""):
        with pytest.raises(EspError):
            reader.open(packet)
