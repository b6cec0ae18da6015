"""The replay window and 64-bit sequence numbers, against a plain model and across every boundary."""

from __future__ import annotations

import hmac

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from vpnengine.contract.algorithms import EspEncryption, EspIntegrity
from vpnengine.crypto.esp_suites import encryption_key_length, integrity_key_length
from vpnengine.crypto.random import system_random
from vpnengine.crypto.secret import Secret
from vpnengine.esp.replay import ReplayWindow
from vpnengine.esp.sa import EspKeys, EspTransform
from vpnengine.esp.transform import EspError, Inbound, Outbound

PACKET = bytes([0x45, 0, 0, 28]) + bytes(24)
EVERY = [
    EspTransform(encryption, integrity, esn)
    for encryption in EspEncryption
    for integrity in ((None,) if encryption.is_aead else EspIntegrity)
    for esn in (False, True)
]


def name(transform: EspTransform) -> str:
    return f"{transform.encryption}-{transform.integrity}-{'esn' if transform.esn else 'plain'}"


def ends(transform: EspTransform, window: int = 64) -> tuple[Outbound, Inbound]:
    integrity = transform.integrity
    hmac = Secret(bytes(range(integrity_key_length(integrity)))) if integrity else None
    keys = EspKeys(Secret(bytes(range(encryption_key_length(transform.encryption)))), hmac)
    return Outbound(0x1001, transform, keys, system_random), Inbound(transform, keys, system_random, window)


@pytest.mark.parametrize("transform", EVERY, ids=name)
def test_a_packet_goes_through_once_and_unchanged_only(transform: EspTransform) -> None:
    out, inside = ends(transform)
    sealed = out.seal(PACKET)
    for index in range(8, len(sealed)):
        with pytest.raises(EspError):
            inside.open(sealed[:index] + bytes([sealed[index] ^ 1]) + sealed[index + 1 :])
    assert inside.open(sealed) == PACKET
    with pytest.raises(EspError, match="replayed"):
        inside.open(sealed)


@pytest.mark.parametrize("transform", [t for t in EVERY if t.esn], ids=name)
def test_the_upper_half_is_protected_and_not_sent(transform: EspTransform) -> None:
    out, inside = ends(transform)
    plain_out, _ = ends(EspTransform(transform.encryption, transform.integrity))
    assert len(out.seal(PACKET)) == len(plain_out.seal(PACKET))
    out.sequence = inside.window.top = (5 << 32) - 3
    for _ in range(6):
        assert inside.open(out.seal(PACKET)) == PACKET
    assert inside.window.top == (5 << 32) + 3
    out.sequence = (6 << 32) + 3  # the lower half is a repetition, the upper one cannot be guessed
    with pytest.raises(EspError):
        inside.open(out.seal(PACKET))


def test_where_the_upper_half_is_protected() -> None:
    """HMAC covers it after the ciphertext (RFC 4303 section 2.8), AEAD has it after the SPI (RFC 4106 section 5)."""
    high = bytes.fromhex("00000007")
    out, _ = ends(EspTransform(EspEncryption.AES128, EspIntegrity.SHA256, True))
    out.sequence = 7 << 32
    sealed = out.seal(PACKET)
    assert sealed[:8].hex() == "0000100100000001"
    mac = hmac.digest(bytes(range(32)), sealed[:-16] + high, "sha256")
    assert sealed[-16:] == mac[:16]
    out, _ = ends(EspTransform(EspEncryption.AES128GCM16, None, True))
    out.sequence = 7 << 32
    sealed = out.seal(PACKET)
    key, salt = bytes(range(16)), bytes(range(16, 20))
    plain = AESGCM(key).decrypt(salt + sealed[8:16], sealed[16:], sealed[:4] + high + sealed[4:8])
    assert plain.startswith(PACKET)


def test_32_bit_numbers_end_and_64_bit_ones_go_on() -> None:
    for esn in (False, True):
        out, _ = ends(EspTransform(EspEncryption.AES128GCM16, None, esn))
        out.sequence = 0xFFFFFFFE
        assert out.nearly_exhausted is not esn
        out.seal(PACKET)
        if esn:
            assert out.seal(PACKET)[4:8] == bytes(4)
        else:
            with pytest.raises(EspError, match="exhausted"):
                out.seal(PACKET)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 1 << 40), st.sampled_from([32, 64, 1024, 4096]), st.integers(-4095, 1 << 31))
def test_the_upper_half_is_found_again(top: int, size: int, step: int) -> None:
    window = ReplayWindow(size)
    window.top = top
    sent = top + max(step, 1 - size)
    if sent > 0:
        assert window.infer(sent & 0xFFFFFFFF) == sent


def test_a_number_before_the_first_is_never_acceptable() -> None:
    window = ReplayWindow(64)
    assert window.infer(0xFFFFFFFF) < 0 and not window.acceptable(window.infer(0xFFFFFFFF))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([32, 64, 100, 4096]), st.lists(st.integers(1, 6000), max_size=300))
def test_the_window_is_the_model(size: int, numbers: list[int]) -> None:
    window, seen, top = ReplayWindow(size), set(), 0
    for number in numbers:
        fresh = number not in seen and number > top - size
        assert window.acceptable(number) == fresh
        if fresh:
            window.commit(number)
            seen.add(number)
            top = max(top, number)


@pytest.mark.parametrize("size", [0, 31, 4097])
def test_absurd_windows_are_refused(size: int) -> None:
    with pytest.raises(ValueError):
        ReplayWindow(size)
