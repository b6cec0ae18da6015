"""NAT traversal: its versions, NAT-D payloads and what follows from them (RFC 3947, its drafts 02 and 03)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from vpnengine.contract.algorithms import IkeHash
from vpnengine.crypto.prf import digest, digest_size
from vpnengine.esp.sa import Address
from vpnengine.isakmp.constants import Encapsulation, PayloadType
from vpnengine.isakmp.payloads import NatD

KEEPALIVE = b"\xff"  # RFC 3948 section 2.3
KEEPALIVE_S = 20.0


@dataclass(frozen=True)
class Version:
    """One version of NAT traversal; the drafts have numbers of their own for payloads and modes."""

    name: str
    vendor: bytes
    draft: bool

    @property
    def nat_d(self) -> int:
        """The payload type of NAT-D."""
        return PayloadType.NAT_D_DRAFT if self.draft else PayloadType.NAT_D

    @property
    def nat_oa(self) -> int:
        """The payload type of NAT-OA."""
        return PayloadType.NAT_OA_DRAFT if self.draft else PayloadType.NAT_OA


RFC_3947 = Version("RFC 3947", bytes.fromhex("4a131c81070358455c5728f20e95452f"), False)
DRAFT_03 = Version("draft-ietf-ipsec-nat-t-ike-03", bytes.fromhex("7d9419a65310ca6f2c179d9215529d56"), True)
DRAFT_02 = Version("draft-ietf-ipsec-nat-t-ike-02", bytes.fromhex("cd60464335df21f87cfdb2fc68b6a448"), True)
# The draft's text had a line break inside the hashed string, and many took it literally.
DRAFT_02N = Version("draft-ietf-ipsec-nat-t-ike-02\\n", bytes.fromhex("90cb80913ebb696e086381b5ec427b1f"), True)
VERSIONS = (RFC_3947, DRAFT_03, DRAFT_02, DRAFT_02N)
_ALLOWED: dict[str, tuple[Version, ...]] = {
    "auto": VERSIONS,
    "force": VERSIONS,
    "rfc": (RFC_3947,),
    "drafts": (DRAFT_03, DRAFT_02, DRAFT_02N),
    "off": (),
}


def allowed(nat_traversal: str) -> tuple[Version, ...]:
    """The versions that the configuration allows, the preferred one first."""
    return _ALLOWED[nat_traversal]


def best(nat_traversal: str, vendors: Iterable[bytes]) -> Version | None:
    """The preferred one among the allowed versions that the peer has announced."""
    announced = set(vendors)
    return next((version for version in allowed(nat_traversal) if version.vendor in announced), None)


def encapsulation(version: Version | None, udp: bool, transport: bool) -> Encapsulation:
    """The mode that a phase 2 proposal names (RFC 2407 section 4.5, RFC 3947 section 5.1, drafts 02 and 03)."""
    if not udp:
        return Encapsulation.TRANSPORT if transport else Encapsulation.TUNNEL
    if version is not None and version.draft:
        return Encapsulation.UDP_TRANSPORT_DRAFT if transport else Encapsulation.UDP_TUNNEL_DRAFT
    return Encapsulation.UDP_TRANSPORT if transport else Encapsulation.UDP_TUNNEL


@dataclass(frozen=True)
class Nat:
    """Who is behind a NAT as the NAT-D payloads tell; ``forced`` if we pretend to be."""

    local: bool = False
    remote: bool = False
    forced: bool = False

    @property
    def encapsulate(self) -> bool:
        """True if ESP must go in UDP."""
        return self.local or self.remote or self.forced

    @property
    def name(self) -> str:
        """``none``, ``local``, ``remote`` or ``both``; a forced encapsulation is no NAT."""
        if self.local and self.remote:
            return "both"
        return "local" if self.local else "remote" if self.remote else "none"


NO_NAT = Nat()


@dataclass(frozen=True)
class Originals:
    """What the peer says of the addresses (NAT-OA): its own before translation, and ours as it sees it."""

    remote: str | None = None
    local: str | None = None


NO_ORIGINALS = Originals()


def nat_d_hash(hash_: IkeHash, cookies: bytes, address: Address) -> bytes:
    """HASH(CKY-I | CKY-R | IP | port) (RFC 3947 section 3.2)."""
    host = ipaddress.ip_address(address.host)
    return digest(hash_, cookies + host.packed + address.port.to_bytes(2, "big"))


def build_nat_d(
    hash_: IkeHash,
    cookies: bytes,
    local: Address,
    remote: Address,
    fake: Callable[[int], bytes] | None,
    kind: int = PayloadType.NAT_D,
) -> list[NatD]:
    """The destination first, then our own address.

    With ``fake`` our own hash is random octets: the peer then sees us behind a NAT and
    encapsulates in UDP, which is how a data path without raw ESP is served.
    """
    own = fake(digest_size(hash_)) if fake else nat_d_hash(hash_, cookies, local)
    return [NatD(nat_d_hash(hash_, cookies, remote), kind), NatD(own, kind)]


def detect(
    hash_: IkeHash, cookies: bytes, local: Address, remote: Address, payloads: Sequence[NatD], forced: bool
) -> Nat:
    """Compare the peer's NAT-D payloads with what we see (RFC 3947 section 3.2)."""
    if len(payloads) < 2:
        return Nat(forced=forced)
    behind = payloads[0].data != nat_d_hash(hash_, cookies, local)
    seen = nat_d_hash(hash_, cookies, remote)
    peer_behind = all(payload.data != seen for payload in payloads[1:])
    return Nat(behind, peer_behind, forced)
