"""ESP ciphers and the window against what RFCs and NIST have published."""

from __future__ import annotations

from typing import NoReturn

import pytest

from tests.esp.vectors import blocks
from vpnengine.contract.algorithms import DhGroup, EspEncryption, EspIntegrity, IkeEncryption, IkeHash
from vpnengine.crypto import ike_cipher
from vpnengine.crypto.dh import InvalidPublicValue, KeyExchange
from vpnengine.crypto.esp_cipher import AuthenticationError, make_cipher
from vpnengine.crypto.esp_suites import encryption_key_length
from vpnengine.crypto.modp import PRIMES
from vpnengine.crypto.prf import prf
from vpnengine.crypto.secret import Secret

HEADER = bytes.fromhex("0000100100000001")


def no_randomness(count: int) -> NoReturn:
    raise AssertionError("this cipher needs no randomness")


@pytest.mark.parametrize("bits", [128, 192, 256])
def test_ctr_of_rfc_3686(bits: int) -> None:
    checked = 0
    for row in blocks(f"ciphers/AES/CTR/aes-{bits}-ctr.txt"):
        if "plaintext" not in row:
            continue
        counter = bytes.fromhex(row["iv"])
        assert counter[12:] == b"\0\0\0\1"
        key = Secret(bytes.fromhex(row["key"]) + counter[:4])
        cipher = make_cipher(EspEncryption(f"aes{bits}ctr"), EspIntegrity.SHA1, key, Secret(bytes(20)), no_randomness)
        sealed = cipher.seal(HEADER, int.from_bytes(counter[4:12], "big"), bytes.fromhex(row["plaintext"]))
        assert sealed[:8] == counter[4:12]
        assert sealed[8:-12].hex().upper() == row["ciphertext"]
        assert cipher.open(HEADER + sealed).hex().upper() == row["plaintext"]
        checked += 1
    assert checked == 3


@pytest.mark.parametrize("icv", [8, 12, 16])
@pytest.mark.parametrize("bits", [128, 192, 256])
def test_gcm_of_nist(bits: int, icv: int) -> None:
    checked = 0
    for row in blocks(f"ciphers/AES/GCM/gcmEncryptExtIV{bits}.rsp"):
        if "pt" not in row or row["ivlen"] != "96" or row["taglen"] != str(icv * 8):
            continue
        iv, additional = bytes.fromhex(row["iv"]), bytes.fromhex(row["aad"])
        key = Secret(bytes.fromhex(row["key"]) + iv[:4])
        cipher = make_cipher(EspEncryption(f"aes{bits}gcm{icv}"), None, key, None, no_randomness)
        sealed = cipher.seal(additional, int.from_bytes(iv[4:], "big"), bytes.fromhex(row["pt"]))
        assert sealed.hex() == iv[4:].hex() + row["ct"] + row["tag"]
        checked += 1
    assert checked > 100


def test_ccm_of_nist() -> None:
    checked = 0
    row: dict[str, str] = {}
    for block in blocks("ciphers/AES/CCM/VNT128.rsp"):  # what does not change is in blocks of its own
        row |= block
        if "payload" not in block or row["nlen"] != "11":
            continue
        nonce = bytes.fromhex(row["nonce"])
        key = Secret(bytes.fromhex(row["key"]) + nonce[:3])
        cipher = make_cipher(EspEncryption.AES128CCM16, None, key, None, no_randomness)
        additional = bytes.fromhex(row["adata"])[: int(row["alen"])]
        sealed = cipher.seal(additional, int.from_bytes(nonce[3:], "big"), bytes.fromhex(row["payload"]))
        assert sealed.hex() == nonce[3:].hex() + row["ct"]
        checked += 1
    assert checked == 10


@pytest.mark.parametrize("name", ["TCBCMMT1", "TCBCMMT2", "TCBCMMT3"])
def test_3des_of_nist(name: str) -> None:
    checked = 0
    for row in blocks(f"ciphers/3DES/CBC/{name}.rsp"):
        if "plaintext" not in row or ("key3" not in row and "keys" not in row):
            continue
        key = "".join(row.get(f"key{n}") or row["keys"] for n in (1, 2, 3))
        iv, plain, cipher = (bytes.fromhex(row[n]) for n in ("iv", "plaintext", "ciphertext"))
        secret = Secret(bytes.fromhex(key))
        assert ike_cipher.encrypt(IkeEncryption.TRIPLE_DES, secret, iv, plain) == cipher
        assert ike_cipher.decrypt(IkeEncryption.TRIPLE_DES, secret, iv, cipher) == plain
        sa = make_cipher(EspEncryption.TRIPLE_DES, EspIntegrity.SHA1, secret, Secret(bytes(20)), lambda _: iv)  # noqa: B023
        assert sa.seal(HEADER, 1, plain)[:-12] == iv + cipher
        checked += 1
    assert checked == 20


def test_camellia_as_openssl_has_it() -> None:
    sizes = []
    for row in blocks("ciphers/Camellia/camellia-cbc.txt"):
        if "plaintext" not in row:
            continue
        key, iv, plain, cipher = (bytes.fromhex(row[n]) for n in ("key", "iv", "plaintext", "ciphertext"))
        encryption = IkeEncryption(f"camellia{len(key) * 8}")
        assert ike_cipher.encrypt(encryption, Secret(key), iv, plain) == cipher
        assert ike_cipher.decrypt(encryption, Secret(key), iv, cipher) == plain
        sizes.append(len(key))
    assert sizes.count(16) == sizes.count(24) == sizes.count(32) == 4


@pytest.mark.parametrize("bits", [128, 192, 256])
def test_cbc_of_nist(bits: int) -> None:
    checked = 0
    for row in blocks(f"ciphers/AES/CBC/CBCMMT{bits}.rsp"):
        if "plaintext" not in row:
            continue
        key, iv, plain, cipher = (bytes.fromhex(row[n]) for n in ("key", "iv", "plaintext", "ciphertext"))
        encryption = IkeEncryption(f"aes{bits}")
        assert ike_cipher.encrypt(encryption, Secret(key), iv, plain) == cipher
        assert ike_cipher.decrypt(encryption, Secret(key), iv, cipher) == plain
        checked += 1
    assert checked == 20


@pytest.mark.parametrize(
    ("hash_", "path", "icv"),
    [
        ("md5", "HMAC/rfc-2202-md5.txt", 12),
        ("sha1", "HMAC/rfc-2202-sha1.txt", 12),
        ("sha256", "HMAC/rfc-4231-sha256.txt", 16),
        ("sha384", "HMAC/rfc-4231-sha384.txt", 24),
        ("sha512", "HMAC/rfc-4231-sha512.txt", 32),
    ],
)
def test_hmac_of_rfc_2202_and_4231(hash_: str, path: str, icv: int) -> None:
    rows = [row for row in blocks(path) if "md" in row]
    for row in rows:
        key, message, mac = (bytes.fromhex(row[n]) for n in ("key", "msg", "md"))
        assert prf(IkeHash(hash_), key, message)[: len(mac)] == mac
        if len(mac) >= icv:
            cipher = make_cipher(EspEncryption.NULL, EspIntegrity(hash_), Secret(b""), Secret(key), no_randomness)
            assert cipher.seal(message[:8], 1, message[8:]) == message[8:] + mac[:icv]
    assert len(rows) >= 6


def test_curve25519_of_rfc_7748() -> None:
    checked = 0
    for row in blocks("asymmetric/X25519/rfc7748.txt"):
        if row.get("count") not in ("1", "2"):
            continue
        exchange = KeyExchange(DhGroup.CURVE25519, int(row["input_scalar"], 16))
        assert exchange.shared(bytes.fromhex(row["input_u"])) == Secret(bytes.fromhex(row["output_u"]))
        checked += 1
    assert checked == 2


@pytest.mark.parametrize("point", [bytes(32), bytes([1]) + bytes(31), bytes(31), bytes(33)])
def test_a_bad_point_of_curve25519_is_refused(point: bytes) -> None:
    with pytest.raises(InvalidPublicValue):
        KeyExchange(DhGroup.CURVE25519).shared(point)


def test_primes_of_rfc_3526() -> None:
    names = ("modp1536", "modp2048", "modp3072", "modp4096", "modp6144", "modp8192")
    published = [int(row["p"], 16) for row in blocks("asymmetric/DH/rfc3526.txt") if "p" in row]
    assert published == [PRIMES[DhGroup(name)] for name in names]


def test_prime_of_group_2_is_the_one_of_rfc_2409() -> None:
    """RFC 2409 section 6.2 prints it; its ends are pi's digits and ones, and it is a safe prime."""
    prime = PRIMES[DhGroup.MODP1024]
    assert f"{prime:x}".startswith("ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd1")
    assert f"{prime:x}".endswith("49286651ece65381ffffffffffffffff")
    assert prime.bit_length() == 1024
    assert pow(2, prime - 1, prime) == 1 and pow(3, (prime - 1) // 2 - 1, (prime - 1) // 2) == 1


@pytest.mark.parametrize("group", ["modp1024", "modp1536", "curve25519", "ecp521"])
def test_both_ends_of_a_group_agree(group: str) -> None:
    mine, theirs = KeyExchange(DhGroup(group)), KeyExchange(DhGroup(group))
    assert mine.shared(theirs.public) == theirs.shared(mine.public)
    assert len(mine.public) == len(theirs.public)


@pytest.mark.parametrize(
    ("encryption", "integrity", "keys"),
    [
        ("aes128", None, (16, None)),
        ("aes128gcm8", "sha1", (20, 20)),
        ("aes128gcm8", None, (16, None)),
        ("3des", "md5", (16, 16)),
        ("null", None, (0, None)),
    ],
)
def test_what_does_not_belong_together_is_refused(
    encryption: str, integrity: str | None, keys: tuple[int, int | None]
) -> None:
    secret = Secret(bytes(keys[1])) if keys[1] is not None else None
    hmac = EspIntegrity(integrity) if integrity else None
    with pytest.raises(ValueError):
        make_cipher(EspEncryption(encryption), hmac, Secret(bytes(keys[0])), secret, no_randomness)


def test_a_short_packet_is_not_authentic() -> None:
    for encryption in EspEncryption:
        hmac = None if encryption.is_aead else EspIntegrity.SHA256
        key = Secret(bytes(range(encryption_key_length(encryption))))
        cipher = make_cipher(encryption, hmac, key, Secret(bytes(32)) if hmac else None, bytes)
        for length in range(8, 60):
            with pytest.raises(AuthenticationError):
                cipher.open(bytes(length))
