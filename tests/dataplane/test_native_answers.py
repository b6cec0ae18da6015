"""ESP packets that have been printed, opened by the native data path."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

native: Any = pytest.importorskip("vpnengine.dataplane._native", reason="the native data path is not built here")

BACKENDS = ("best", "openssl")


@pytest.mark.parametrize("backend", BACKENDS)
def test_cbc_of_rfc_3602_section_4_case_5(backend: str) -> None:
    """The printed packet has no integrity; an ICV is added."""
    key = bytes.fromhex("90d382b410eeba7ad938c46cec1a82bf")
    packet = bytes.fromhex(
        "0000432100000001e96e8c08ab465763fd098d45dd3ff893"
        "f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856"
        "a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874a"
        "a269add047ad2d5913ac19b7cfbad4a6"
    )
    integrity = bytes(range(20))
    icv = hmac.digest(integrity, packet, hashlib.sha1)[:12]
    opener = native.EspOpener("aes128", "sha1", False, key, integrity, backend=backend)
    payload = bytes.fromhex("08000ebda70a00008e9c083db95b0700") + bytes(range(8, 0x38))
    assert opener.open([packet + icv]) == [(payload, 1)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_gcm_with_64_bit_numbers_of_draft_mcgrew_gcm_test(backend: str) -> None:
    """Case 1 of section 4: a 128-bit key, and an upper half in the additional data."""
    key = bytes.fromhex("4c80cdefbb5d10da906ac73c3613a6342e443b68")
    number = 0x8765432100000000
    packet = bytes.fromhex(
        "00004321000000004956ed7e3b244cfe"
        "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34"
        "cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce"
        "61bc17d768fd9732459018148f6cbe722fd04796562dfdb4"
    )
    plaintext = bytes.fromhex(
        "45000048699a000080114db7c0a80102c0a801010a9bf15638d3010000010000"
        "00000000045f736970045f756470037369700963796265726369747902646b00"
        "0021000101020201"
    )
    opener = native.EspOpener("aes128gcm16", None, True, key, b"", backend=backend)
    assert opener.advance(number - 1)
    assert opener.open([packet]) == [(plaintext[:-4], 1)]
    assert opener.top == number


@pytest.mark.parametrize("backend", BACKENDS)
def test_chacha20_poly1305_of_rfc_7634_appendix_a(backend: str) -> None:
    key = bytes(range(0x80, 0xA4))
    packet = bytes.fromhex(
        "01020304000000051011121314151617"
        "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6"
        "14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3"
        "cbec163fac469b502773f6fb94e664da9165b82829f641e0"
        "76aaa8266b7fb0f7b11b369907e1ad43"
    )
    inner = bytes.fromhex(
        "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a0b0c0d0e0f"
    ) + bytes(range(0x10, 0x38))
    opener = native.EspOpener("chacha20poly1305", None, False, key, b"", backend=backend)
    assert opener.open([packet], tunnel=True) == [(inner, 4)]
