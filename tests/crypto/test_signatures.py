"""Signatures over a bare HASH: what we make is what a peer expects, and nothing else is accepted."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo, Prehashed
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import pki
from vpnengine.crypto.signatures import KeyKind, KeyProblem, PrivateKey, PublicKey, load_private_key

DIGEST = bytes(range(32))
SIZE = {KeyKind.RSA: 32, KeyKind.ECDSA_256: 32, KeyKind.ECDSA_384: 48, KeyKind.ECDSA_521: 64}
KINDS = {"rsa-2048": KeyKind.RSA, **{k: KeyKind(k) for k in ("ecdsa-256", "ecdsa-384", "ecdsa-521")}}
WIDTH = {"rsa-2048": 256, "ecdsa-256": 64, "ecdsa-384": 96, "ecdsa-521": 132}


@pytest.mark.parametrize("kind", KINDS)
def test_own_signatures_verify_and_have_one_length(kind: str) -> None:
    key = PrivateKey(pki.key(kind, "signer"))
    digest = bytes(SIZE[key.kind])
    assert key.kind is KINDS[kind]
    for number in range(20):
        signature = key.sign(digest[:-1] + bytes([number]))
        assert len(signature) == WIDTH[kind]
        assert key.public.verify(digest[:-1] + bytes([number]), signature)
        assert not key.public.verify(digest[:-1] + bytes([number + 1]), signature)
        assert not key.public.verify(digest, signature + b"\0")
        assert not key.public.verify(digest, b"\0" + signature[:-1])


def _forge(private: rsa.RSAPrivateKey, block: bytes) -> bytes:
    numbers = private.private_numbers()
    return pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n).to_bytes(256, "big")


def test_rsa_accepts_the_one_right_block_only() -> None:
    """Each block is signed with the private key, so that only its form decides."""
    private = pki.key("rsa-2048", "signer")
    public = PublicKey.load(private.public_key())
    right = b"\0\1" + b"\xff" * (256 - 3 - 32) + b"\0" + DIGEST
    assert public.verify(DIGEST, _forge(private, right))
    wrong = {
        "digest info": private.sign(DIGEST, PKCS1v15(), Prehashed(hashes.SHA256())),
        "short padding, garbage behind": _forge(private, b"\0\1" + b"\xff" * 8 + b"\0" + DIGEST + bytes(256 - 43)),
        "digest moved left": _forge(private, b"\0\1" + b"\xff" * 220 + b"\0" + DIGEST + b"\0"),
        "padding with a hole": _forge(private, right[:40] + b"\xfe" + right[41:]),
        "block type 2": _forge(private, b"\0\2" + right[2:]),
        "block type 0": _forge(private, b"\0\0" + right[2:]),
        "longer hash": _forge(private, b"\0\1" + b"\xff" * (256 - 3 - 33) + b"\0" + DIGEST + b"\0"),
        "shorter hash": _forge(private, b"\0\1" + b"\xff" * (256 - 3 - 31) + b"\0" + DIGEST[:31]),
    }
    for what, signature in wrong.items():
        assert not public.verify(DIGEST, signature), what
    n = private.public_key().public_numbers().n
    good = int.from_bytes(_forge(private, right), "big")
    assert not public.verify(DIGEST, (good + n).to_bytes(257, "big"))
    if good + n < 1 << 2048:
        assert not public.verify(DIGEST, (good + n).to_bytes(256, "big"))


def test_rsa_agrees_with_the_library() -> None:
    private = pki.key("rsa-2048", "signer")
    for size in (20, 32, 48, 64):
        signature = PrivateKey(private).sign(bytes(size))
        private.public_key().verify(signature, bytes(size), PKCS1v15(), NoDigestInfo())
        assert PublicKey.load(private.public_key()).verify(bytes(size), signature)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_garbage_is_no_signature(data: bytes) -> None:
    for kind in KINDS:
        public = PrivateKey(pki.key(kind, "signer")).public
        assert not public.verify(bytes(SIZE[public.kind]), data)


def test_ecdsa_refuses_zero_and_foreign_hash_lengths() -> None:
    key = PrivateKey(pki.key("ecdsa-256", "signer"))
    assert not key.public.verify(DIGEST, bytes(64))
    assert not key.public.verify(DIGEST + DIGEST, key.sign(DIGEST))


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (rsa.generate_private_key(65_537, 1_024), "1024 bits"),
        (rsa.generate_private_key(3, 2_048), "exponent 3"),
        (ec.generate_private_key(ec.SECP256K1()), "secp256k1"),
        (ed25519.Ed25519PrivateKey.generate(), "neither RSA nor ECDSA"),
    ],
)
def test_weak_and_foreign_keys_are_refused(key: object, words: str) -> None:
    with pytest.raises(KeyProblem, match=words):
        PublicKey.load(key.public_key())  # type: ignore[attr-defined]


def test_private_keys_are_read_and_not_shown() -> None:
    from cryptography.hazmat.primitives import serialization as s

    private = pki.key("ecdsa-384", "signer")
    forms = (s.PrivateFormat.PKCS8, s.PrivateFormat.TraditionalOpenSSL)
    for form in forms:
        pem = private.private_bytes(s.Encoding.PEM, form, s.NoEncryption()).decode()
        key = load_private_key(pem)
        assert key.kind is KeyKind.ECDSA_384 and repr(key) == "PrivateKey(ecdsa-384)"
    locked = private.private_bytes(s.Encoding.PEM, forms[0], s.BestAvailableEncryption(b"secret")).decode()
    for text, words in ((locked, "passphrase"), ("nonsense", "not a private key"), (pem[:60], "not a private key")):
        with pytest.raises(KeyProblem, match=words) as refused:
            load_private_key(text)
        assert pem[40:80] not in str(refused.value)
