"""Reading a large JSON document without keeping every other thread of the process waiting.

``json.loads`` holds the interpreter for the whole document: 30 ms with ten thousand peers, and ten times as
much if they have certificates. Here the outer levels are walked in Python, between whose steps other threads
get their turn, and only what is in them is left to ``json``.
"""

from __future__ import annotations

import json
import re
from typing import Any

LEVELS = 4  # the request, its configuration, the list of peers, and each of them by itself
_SPACE = re.compile(r"[ \t\n\r]*")
_decode = json.JSONDecoder().raw_decode


def loads(data: bytes, levels: int = LEVELS) -> Any:
    """The document, as ``json.loads`` reads it.

    :raises ValueError: if it is none, or not UTF-8. :raises RecursionError: if it is nested too deeply.
    """
    text = data.decode()
    value, end = _value(text, _skip(text, 0), levels)
    if _skip(text, end) != len(text):
        raise ValueError(f"something follows the document, at {end}")
    return value


def free(rows: list[Any]) -> None:
    """Let go of rows one by one: thousands of them at once would hold the interpreter for tens of milliseconds."""
    while rows:
        rows.pop()


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _value(text: str, at: int, levels: int) -> tuple[Any, int]:
    head = text[at : at + 1]
    if levels > 1 and head == "{":
        return _object(text, at + 1, levels - 1)
    if levels > 1 and head == "[":
        return _array(text, at + 1, levels - 1)
    value, end = _decode(text, at)
    return value, end


def _object(text: str, at: int, levels: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    at = _skip(text, at)
    if text[at : at + 1] == "}":
        return found, at + 1
    while True:
        _expect(text, at, '"')
        key, at = _decode(text, at)
        at = _skip(text, at)
        _expect(text, at, ":")
        found[key], at = _value(text, _skip(text, at + 1), levels)
        at = _skip(text, at)
        if text[at : at + 1] == "}":
            return found, at + 1
        _expect(text, at, ",")
        at = _skip(text, at + 1)


def _array(text: str, at: int, levels: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    at = _skip(text, at)
    if text[at : at + 1] == "]":
        return found, at + 1
    while True:
        value, at = _value(text, at, levels)
        found.append(value)
        at = _skip(text, at)
        if text[at : at + 1] == "]":
            return found, at + 1
        _expect(text, at, ",")
        at = _skip(text, at + 1)


def _expect(text: str, at: int, what: str) -> None:
    if text[at : at + 1] != what:
        raise ValueError(f"{what} expected at {at}")
