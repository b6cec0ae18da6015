"""Large documents are read in slices, and as ``json`` reads them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpnengine.daemon.slices import loads

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
_ANY = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
)


@given(_ANY, st.sampled_from([None, 1]), st.booleans(), st.integers(1, 6))
def test_it_reads_what_json_reads(value: Any, indent: int | None, ascii_only: bool, levels: int) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert loads(text.encode("utf-8", "surrogatepass") if ascii_only else _encoded(text), levels) == value


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8
        return json.dumps(json.loads(text)).encode()


@given(_ANY, st.data(), st.integers(1, 6))
def test_what_json_refuses_is_refused(value: Any, data: st.DataObject, levels: int) -> None:
    text = json.dumps(value)
    at = data.draw(st.integers(0, len(text)))
    broken = text[:at] + data.draw(st.text('{}[],:"x 1\\', max_size=3)) + text[at + data.draw(st.integers(0, 2)) :]
    try:
        expected = json.loads(broken)
    except ValueError:
        with pytest.raises(ValueError):
            loads(broken.encode(), levels)
    else:
        assert loads(broken.encode(), levels) == expected


@pytest.mark.parametrize(
    "data", [b"", b" ", b"\xff\xfe", b"{", b'{"a"', b'{"a":}', b"[1,]", b'{"a":1,}', b"[1 2]", b"1 1"]
)
def test_half_a_document_is_none(data: bytes) -> None:
    with pytest.raises(ValueError):
        loads(data)


def test_deep_nesting_ends() -> None:
    with pytest.raises(RecursionError):
        loads(b"[" * 1_000_000)


def test_it_is_not_slow() -> None:
    document = json.dumps({"config": {"peers": [{"id": f"p{n}", "x": ["y"] * 20} for n in range(5000)]}}).encode()
    began = time.process_time()
    found = loads(document)
    assert len(found["config"]["peers"]) == 5000 and time.process_time() - began < 2
