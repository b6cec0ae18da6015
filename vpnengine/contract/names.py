"""Distinguished names as administrators write them: ``C=DE, O=Example, CN=gw.example.com``.

Both orders are in use: that of the certificate (country first) and that of RFC 4514
(common name first). The text is only split here; which order it has, its user finds out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# RFC 4514 section 3, RFC 4519, and the short forms that other gateways print.
ATTRIBUTES = {
    "CN": "2.5.4.3",
    "SN": "2.5.4.4",
    "SERIALNUMBER": "2.5.4.5",
    "C": "2.5.4.6",
    "L": "2.5.4.7",
    "ST": "2.5.4.8",
    "STREET": "2.5.4.9",
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "T": "2.5.4.12",
    "TITLE": "2.5.4.12",
    "D": "2.5.4.13",
    "DESCRIPTION": "2.5.4.13",
    "POSTALCODE": "2.5.4.17",
    "N": "2.5.4.41",
    "NAME": "2.5.4.41",
    "G": "2.5.4.42",
    "GN": "2.5.4.42",
    "GIVENNAME": "2.5.4.42",
    "I": "2.5.4.43",
    "INITIALS": "2.5.4.43",
    "DNQUALIFIER": "2.5.4.46",
    "DC": "0.9.2342.19200300.100.1.25",
    "UID": "0.9.2342.19200300.100.1.1",
    "E": "1.2.840.113549.1.9.1",
    "EMAIL": "1.2.840.113549.1.9.1",
    "EMAILADDRESS": "1.2.840.113549.1.9.1",
    "UNSTRUCTUREDNAME": "1.2.840.113549.1.9.2",
}
MAX_RDNS = 32
_OID = re.compile(r"^(?:OID\.)?([0-2](?:\.(?:0|[1-9]\d{0,9})){1,20})$")

Rdn = tuple[tuple[str, str], ...]


def split_dn(text: str) -> tuple[Rdn, ...]:
    """The relative distinguished names of ``text`` in its order, each a tuple of (OID, value).

    A backslash takes the next character as it is, or two hexadecimal digits as an octet of
    UTF-8 (RFC 4514 section 2.4); a value in double quotes may hold commas.

    :raises ValueError: with a sentence.
    """
    rdns = [tuple(_attribute(part) for part in _split(rdn, "+")) for rdn in _split(text, ",")]
    if len(rdns) > MAX_RDNS:
        raise ValueError(f"a distinguished name has at most {MAX_RDNS} parts")
    return tuple(rdns)


def _split(text: str, separator: str) -> Iterator[str]:
    part, quoted, escaped = "", False, False
    for character in text:
        if escaped or character == "\\":
            escaped = not escaped
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            yield part
            part = ""
            continue
        part += character
    if quoted or escaped:
        raise ValueError(f"“{text}” ends within a quotation or after a backslash")
    yield part


def _attribute(text: str) -> tuple[str, str]:
    kind, equals, value = text.partition("=")
    kind, value = kind.strip(), value.strip()
    if not equals or not kind or not value:
        raise ValueError(f"“{text.strip()}” is not of the form CN=value; write a name like C=DE, O=Example, CN=gw")
    found = _OID.match(kind.upper())
    oid = found[1] if found else ATTRIBUTES.get(kind.upper())
    if oid is None:
        raise ValueError(f"“{kind}” is no known attribute of a distinguished name, such as CN, O, OU or C")
    return oid, _unescape(value)


def _unescape(value: str) -> str:
    if len(value) > 1 and value.startswith('"') and value.endswith('"'):
        value = value[1:-1]
    octets = b""
    for found in re.finditer(r"\\([0-9A-Fa-f]{2})|\\(.)|(.)", value, re.DOTALL):
        octets += bytes.fromhex(found[1]) if found[1] else (found[2] or found[3]).encode()
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise ValueError("an escaped octet in the distinguished name is not UTF-8") from None
