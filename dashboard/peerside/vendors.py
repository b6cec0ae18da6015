"""What each maker's gateway can do, as tables: our name of an algorithm to its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dashboard.peerside.facts import OtherSide
from vpnengine.contract.identity import IdentityType

ALL_IDENTITIES = frozenset(IdentityType) - {IdentityType.DN}
# Diffie-Hellman groups by the number that most makers use (RFC 2409, RFC 3526, RFC 5903, RFC 8031).
GROUP_NUMBERS = {
    "modp1024": 2,
    "modp1536": 5,
    "modp2048": 14,
    "modp3072": 15,
    "modp4096": 16,
    "modp6144": 17,
    "modp8192": 18,
    "ecp256": 19,
    "ecp384": 20,
    "ecp521": 21,
    "curve25519": 31,
}


def groups(*numbers: int, prefix: str = "") -> dict[str, str]:
    """The groups with these numbers, as ``prefix`` and number."""
    return {name: f"{prefix}{number}" for name, number in GROUP_NUMBERS.items() if number in numbers}


@dataclass(frozen=True)
class Vendor:
    """One kind of gateway.

    The five tables map our names to its own; what is missing, it cannot do. ``one_ike`` and ``one_esp``: it takes one
    proposal only; ``one_hash``: several, with one hash. Lifetimes are (least, most) in seconds. ``pairs`` is how many
    pairs of subnets it can negotiate. ``advice`` says what to choose if nothing of a policy fits.
    """

    key: str
    title: str
    file: str
    where: str
    render: Callable[[OtherSide, Vendor], str]
    ike_encryption: Mapping[str, str]
    hashes: Mapping[str, str]
    groups: Mapping[str, str]
    esp_encryption: Mapping[str, str]
    integrity: Mapping[str, str]
    advice: str
    pfs: Mapping[str, str] = field(default_factory=dict)
    one_ike: bool = False
    one_esp: bool = False
    one_hash: bool = False
    pfs_needed: bool = False
    ike_lifetime: tuple[int, int] = (60, 86_400)
    esp_lifetime: tuple[int, int] = (120, 86_400)
    kilobytes: bool = False
    pairs: int = 1024
    local_identities: frozenset[IdentityType] = ALL_IDENTITIES
    remote_identities: frozenset[IdentityType] = ALL_IDENTITIES
    aggressive: bool = True
    certificates: bool = False
    transport: bool = False
    ah: bool = False
    esn: bool = False
    ports: bool = False
    ranges: bool = False
    ipv6: bool = True
    host_names: bool = True
    quotes: str = '"\\'
    """Characters that no text in this format can have."""
    always: tuple[str, ...] = ()
    """What is to be known whatever the policy is."""

    @property
    def pfs_groups(self) -> Mapping[str, str]:
        """The groups of PFS, which mostly are those of phase 1."""
        return self.pfs or self.groups
