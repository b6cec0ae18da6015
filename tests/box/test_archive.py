"""Sealed files: what opens them, and with which words others are refused."""

from __future__ import annotations

import json

import pytest

from box import archive
from vpnengine.contract.problems import Refused

PASSPHRASE = "correct horse battery"
DOCUMENT = {"peers": [{"name": "Berlin", "psk": "a secret that nobody sees"}]}


@pytest.fixture(scope="module")
def sealed() -> bytes:
    return archive.seal(DOCUMENT, PASSPHRASE, {"organization": "ACME"})


def _problem(octets: bytes, passphrase: str = PASSPHRASE) -> tuple[str, str]:
    with pytest.raises(Refused) as refused:
        archive.unseal(octets, passphrase)
    [problem] = refused.value.problems
    return problem.field, problem.rule


def test_there_and_back(sealed: bytes) -> None:
    assert archive.unseal(sealed, PASSPHRASE) == DOCUMENT
    assert archive.about(sealed) == {"organization": "ACME"}
    assert b"secret" not in sealed and b"Berlin" not in sealed
    assert archive.seal(DOCUMENT, PASSPHRASE, {}) != archive.seal(DOCUMENT, PASSPHRASE, {})


def test_what_does_not_open(sealed: bytes) -> None:
    assert _problem(sealed, "correct horse batterY") == ("passphrase", "opens")
    line = sealed.index(b"\n")
    for cut in (line + 1, line + 20, len(sealed) - 1):
        assert _problem(sealed[:cut]) == ("passphrase", "opens")
    for place in (line + 1, len(sealed) - 1):
        changed = bytearray(sealed)
        changed[place] ^= 1
        assert _problem(bytes(changed)) == ("passphrase", "opens")
    assert _problem(sealed.replace(b"ACME", b"ACMF")) == ("passphrase", "opens")


def test_what_is_no_such_file(sealed: bytes) -> None:
    for octets in (b"", b"\n", b"{}\n", b"[1]\nx", b"PK\x03\x04" * 1000, sealed[:40], b'{"version": []}\n'):
        assert _problem(octets) == ("file", "format")
    header, _, rest = sealed.partition(b"\n")
    for change, rule in (
        ({"version": 2}, "version"),
        ({"scrypt": {"n": 40, "r": 8, "p": 1, "salt": ""}}, "header"),
        ({"scrypt": None}, "header"),
        ({"nonce": "AAAA"}, "header"),
    ):
        assert _problem(json.dumps(json.loads(header) | change).encode() + b"\n" + rest) == ("file", rule)


def test_a_short_passphrase() -> None:
    with pytest.raises(Refused, match="at least 12"):
        archive.seal(DOCUMENT, "short", {})
