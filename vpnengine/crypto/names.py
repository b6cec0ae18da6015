"""Distinguished names: DER, text, and comparison by the values of their parts (RFC 5280 section 7.1)."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from cryptography import x509

from vpnengine.contract.names import ATTRIBUTES, Rdn, split_dn

_SHORT = {oid: name for name, oid in reversed(ATTRIBUTES.items())}
_SPECIAL = frozenset(',+"\\<>;=')


@dataclass(frozen=True)
class DistinguishedName:
    """A name as it stands in a certificate: ``der``, and its parts as (OID, value) in the same order."""

    der: bytes
    rdns: tuple[Rdn, ...]

    @classmethod
    def from_der(cls, der: bytes) -> DistinguishedName:
        """:raises ValueError: if the octets are not the DER of a name."""
        return cls.of(x509.Name.from_bytes(der), der)

    @classmethod
    def of(cls, name: x509.Name, der: bytes | None = None) -> DistinguishedName:
        """The name of a parsed certificate."""
        rdns = tuple(tuple((a.oid.dotted_string, _text(a.value)) for a in rdn) for rdn in name.rdns)
        return cls(name.public_bytes() if der is None else der, rdns)

    @classmethod
    def from_text(cls, text: str) -> DistinguishedName:
        """The DER of a written name, in the order in which it is written.

        :raises ValueError: with a sentence.
        """
        rdns = split_dn(text)
        name = x509.Name(
            x509.RelativeDistinguishedName(x509.NameAttribute(x509.ObjectIdentifier(oid), value) for oid, value in rdn)
            for rdn in rdns
        )
        return cls(name.public_bytes(), rdns)

    def __str__(self) -> str:
        return ", ".join("+".join(f"{_SHORT.get(oid, oid)}={_escape(v)}" for oid, v in rdn) for rdn in self.rdns)

    def same(self, other: DistinguishedName) -> bool:
        """True if both have the same parts in the same order; case and repeated spaces do not count."""
        return _comparable(self.rdns) == _comparable(other.rdns)

    def is_written(self, text: str) -> bool:
        """True if ``text`` means this name, in the order of the certificate or in that of RFC 4514.

        :raises ValueError: if it is no distinguished name.
        """
        written, mine = _comparable(split_dn(text)), _comparable(self.rdns)
        return mine in (written, written[::-1])


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.hex()


def _escape(value: str) -> str:
    """RFC 4514 section 2.4; what cannot be printed becomes the octets of its UTF-8."""
    text = "".join(
        "\\" + c if c in _SPECIAL else c if c.isprintable() else "".join(f"\\{octet:02X}" for octet in c.encode())
        for c in value
    )
    return "\\ " + text[1:] if text.startswith(" ") else text


def _comparable(rdns: tuple[Rdn, ...]) -> list[frozenset[tuple[str, str]]]:
    return [frozenset((oid, _fold(value)) for oid, value in rdn) for rdn in rdns]


def _fold(value: str) -> str:
    """RFC 4518 in short: compatibility forms, case and runs of white space are alike."""
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())
