"""Diffie-Hellman and secrets: what NIST published, and the corners that random values seldom meet."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.esp.vectors import blocks
from vpnengine.contract.algorithms import DhGroup, IkeHash
from vpnengine.crypto.dh import InvalidPublicValue, KeyExchange, public_length
from vpnengine.crypto.modp import GENERATOR, PRIMES
from vpnengine.crypto.prf import prf
from vpnengine.crypto.secret import Secret

NIST = "asymmetric/ECDH/KASValidityTest_ECCStaticUnified_NOKC_ZZOnly"
# The headings of the file, the last one first: each stays in every row that follows it.
CURVES = {"ee - sha512": DhGroup.ECP521, "ed - sha384": DhGroup.ECP384, "ec - sha256": DhGroup.ECP256}


def nist_rows(role: str) -> list[tuple[DhGroup, dict[str, str]]]:
    """The rows of the curves that IKE has."""
    rows = []
    for row in blocks(f"{NIST}_{role}.fax"):
        group = next((group for heading, group in CURVES.items() if heading in row), None)
        if group is not None and "dsiut" in row:
            rows.append((group, row))
    return rows


def point(row: dict[str, str], name: str, group: DhGroup) -> bytes:
    size = public_length(group) // 2
    return b"".join(int(row[f"qs{name}{axis}"], 16).to_bytes(size, "big") for axis in "xy")


@pytest.mark.parametrize("role", ["init", "resp"])
def test_ecdh_of_nist(role: str) -> None:
    """Each row is right, or wrong in the way that it says."""
    seen: dict[tuple[str, str], int] = {}
    for group, row in nist_rows(role):
        verdict = row["result"].split(" - ")[0]
        seen[group.value, verdict] = seen.get((group.value, verdict), 0) + 1
        if verdict == "F (7":  # this end's private key is no key, which it never makes
            continue
        exchange = KeyExchange(group, int(row["dsiut"], 16))
        if verdict in ("F (1", "F (2"):  # the other end's point is not on the curve
            with pytest.raises(InvalidPublicValue):
                exchange.shared(point(row, "cavs", group))
            continue
        z = int(row["z"], 16).to_bytes(public_length(group) // 2, "big")
        agreed = exchange.shared(point(row, "cavs", group)) == Secret(z)
        # The other verdicts are about this end's key or the result: something does not go together.
        assert (agreed and exchange.public == point(row, "iut", group)) == verdict.startswith("P")
    for group in CURVES.values():
        assert seen[group.value, "P (0"] >= 10
        assert seen[group.value, "P (13"] >= 1, "a result that begins with zeros"


@pytest.mark.parametrize("group", list(PRIMES))
def test_modp_is_the_power(group: DhGroup) -> None:
    prime, size = PRIMES[group], public_length(group)
    mine, theirs = 0x1234567890ABCDEF << 160 | 3, 0xFEDCBA0987654321 << 180 | 5
    exchange = KeyExchange(group, mine)
    assert exchange.public == pow(GENERATOR, mine, prime).to_bytes(size, "big")
    peer = pow(GENERATOR, theirs, prime).to_bytes(size, "big")
    assert exchange.shared(peer) == Secret(pow(GENERATOR, mine * theirs, prime).to_bytes(size, "big"))


def test_values_that_begin_with_zeros_keep_their_length() -> None:
    """A shared value or public value a bit shorter than the prime is padded, or one tunnel in 256 fails."""
    prime, private = PRIMES[DhGroup.MODP1024], 1 << 300 | 77
    exchange = KeyExchange(DhGroup.MODP1024, private)
    for other in range(1 << 200, (1 << 200) + 5_000):
        if pow(GENERATOR, private * other, prime) >> 1016 == 0:
            break
    else:
        raise AssertionError("no short value found")
    shared = exchange.shared(pow(GENERATOR, other, prime).to_bytes(128, "big"))
    assert len(shared) == 128 and shared.reveal()[0] == 0
    assert KeyExchange(DhGroup.MODP1024, 5).public == bytes(127) + bytes([32])


@pytest.mark.parametrize("group", list(PRIMES))
def test_degenerate_modp_values_are_refused(group: DhGroup) -> None:
    exchange, size, prime = KeyExchange(group, 12345), public_length(group), PRIMES[group]
    for value in (0, 1, prime - 1, prime, prime + 1, (1 << size * 8) - 1):
        with pytest.raises(InvalidPublicValue):
            exchange.shared(value.to_bytes(size, "big"))
    for length in (0, 1, size - 1, size + 1):
        with pytest.raises(InvalidPublicValue, match=f"needs {size}"):
            exchange.shared(b"\2" * length)


@pytest.mark.parametrize("group", list(CURVES.values()))
@given(data=st.data())
def test_what_is_no_point_is_refused(group: DhGroup, data: st.DataObject) -> None:
    exchange, size = KeyExchange(group, 12345), public_length(group)
    octets = data.draw(st.sampled_from([bytes(size), b"\xff" * size]) | st.binary(min_size=size, max_size=size))
    with pytest.raises(InvalidPublicValue):  # random octets hit the curve with a chance of 2^-256 or less
        exchange.shared(octets)
    with pytest.raises(InvalidPublicValue, match=f"needs {size}"):
        exchange.shared(octets[1:])


KEY = b"an octet string that must not be seen"


@pytest.mark.parametrize(
    "show", [repr, str, "{}".format, "%s".__mod__, lambda s: repr([s]), lambda s: repr({"key": s}), ascii]
)
def test_a_secret_is_not_printed(show: Any) -> None:
    assert "octet" not in show(Secret(KEY))
    assert show(Secret(KEY)) == show(Secret(b"other")), "not even its length"


@pytest.mark.parametrize(
    "leave", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, hash, bytes, lambda s: {s}, lambda s: s + b""]
)
def test_a_secret_does_not_leave(leave: Any) -> None:
    with pytest.raises(TypeError) as failure:
        leave(Secret(KEY))
    assert "octet string" not in str(failure.value)


def test_a_secret_in_a_traceback() -> None:
    with pytest.raises(TypeError) as failure:
        prf_of_nothing: Any = None
        prf_of_nothing + Secret(KEY)
    assert "octet string" not in str(failure.value)
    with pytest.raises(AttributeError):
        Secret(KEY).__dict__  # noqa: B018


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_secrets_are_compared_by_value(one: bytes, two: bytes) -> None:
    assert (Secret(one) == Secret(two)) == (one == two)
    assert Secret(one) != one and Secret(one).reveal() == one and len(Secret(one)) == len(one)


def test_the_prf_takes_either_kind_of_key() -> None:
    assert all(prf(hash_, KEY, b"data") == prf(hash_, Secret(KEY), b"data") for hash_ in IkeHash)
