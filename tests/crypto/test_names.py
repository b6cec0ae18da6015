"""Distinguished names: written in both orders, compared by their values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import pki
from vpnengine.contract.names import split_dn
from vpnengine.crypto.names import DistinguishedName

NAME = DistinguishedName.of(pki.name("gw, main", organizational_unit_name="A+B"))


@pytest.mark.parametrize(
    "text",
    [
        r"C=DE, O=Example, OU=A\+B, CN=gw\, main",
        r"CN=gw\2C main,OU=A\2BB,O=Example,C=DE",
        'c=de,o="EXAMPLE",ou="a+b",cn="GW,   main"',
        r"2.5.4.6=DE, OID.2.5.4.10=Example, OU=A\+B, CN=gw\, main",
        str(NAME),
    ],
)
def test_ways_to_write_it(text: str) -> None:
    assert NAME.is_written(text)


@pytest.mark.parametrize("text", ["C=DE", r"C=DE, O=Example, CN=gw\, main, OU=A\+B", "CN=gw"])
def test_other_names(text: str) -> None:
    assert not NAME.is_written(text)


@pytest.mark.parametrize("text", ["", "CN", "=x", "CN=", "FOO=x", "CN=a,", "CN=a\\", 'CN="a', r"CN=\FF", "3.1=x"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"“|escaped"):
        split_dn(text)


def test_der_round_trip_and_comparison() -> None:
    written = DistinguishedName.from_text(str(NAME))
    assert written.der == NAME.der and DistinguishedName.from_der(NAME.der).rdns == NAME.rdns
    assert NAME.same(DistinguishedName.from_text(str(NAME).replace("Example", "EXAMPLE")))
    assert not NAME.same(DistinguishedName.from_text("CN=gw"))


@given(st.text(min_size=1, max_size=30).filter(lambda text: text.strip() and "\0" not in text))
def test_any_value_survives_being_printed(value: str) -> None:
    try:
        name = DistinguishedName.of(pki.name(value))
    except ValueError:
        return
    assert name.is_written(str(name))


@given(st.binary(max_size=120))
def test_garbage_is_no_name(data: bytes) -> None:
    try:
        DistinguishedName.from_der(data)
    except ValueError:
        return
    assert DistinguishedName.from_der(data).der == data
