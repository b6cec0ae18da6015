"""NAT traversal: vendor ids, NAT-D payloads and what follows from them (RFC 3947)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vpnengine.contract.algorithms import IkeHash
from vpnengine.crypto.prf import digest, digest_size
from vpnengine.esp.sa import Address
from vpnengine.isakmp.payloads import NatD, VendorId

RFC_3947 = bytes.fromhex("4a131c81070358455c5728f20e95452f")
DPD_PREFIX = bytes.fromhex("afcad71368a1f1c96b8696fc7757")  # the version follows
DPD = DPD_PREFIX + b"\x01\x00"
KNOWN_VENDORS: tuple[tuple[bytes, str], ...] = (
    (RFC_3947, "RFC 3947"),
    (bytes.fromhex("7d9419a65310ca6f2c179d9215529d56"), "draft-ietf-ipsec-nat-t-ike-03"),
    (bytes.fromhex("cd60464335df21f87cfdb2fc68b6a448"), "draft-ietf-ipsec-nat-t-ike-02"),
    (bytes.fromhex("90cb80913ebb696e086381b5ec427b1f"), "draft-ietf-ipsec-nat-t-ike-02\\n"),
    (DPD_PREFIX, "DPD"),
    (bytes.fromhex("09002689dfd6b712"), "XAUTH"),
    (bytes.fromhex("12f5f28c457168a9702d9fe274cc"), "CISCO-UNITY"),
    (bytes.fromhex("4048b7d56ebce88525e7de7f00d6c2d3"), "FRAGMENTATION"),
    (bytes.fromhex("1d6e178f6c2c0be284985465450fe9d4"), "FORTIGATE"),
    (bytes.fromhex("7003cbc1097dbe9c2600ba6983bc8b35"), "racoon"),
)
KEEPALIVE = b"\xff"  # RFC 3948 section 2.3
KEEPALIVE_S = 20.0


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


def our_vendor_ids(nat_traversal: str) -> list[VendorId]:
    """The vendor ids of our first message."""
    return [VendorId(DPD)] if nat_traversal == "off" else [VendorId(RFC_3947), VendorId(DPD)]


def vendor_name(vendor: VendorId) -> str | None:
    """The name of a known vendor id. Ids match by prefix, as a version may follow."""
    return next((name for prefix, name in KNOWN_VENDORS if vendor.data.startswith(prefix)), None)


def nat_d_hash(hash_: IkeHash, cookies: bytes, address: Address) -> bytes:
    """HASH(CKY-I | CKY-R | IP | port) (RFC 3947 section 3.2)."""
    host = ipaddress.ip_address(address.host)
    return digest(hash_, cookies + host.packed + address.port.to_bytes(2, "big"))


def build_nat_d(
    hash_: IkeHash, cookies: bytes, local: Address, remote: Address, fake: Callable[[int], bytes] | None
) -> list[NatD]:
    """The destination first, then our own address.

    With ``fake`` our own hash is random octets: the peer then sees us behind a NAT and
    encapsulates in UDP, which is how a data path without raw ESP is served.
    """
    own = fake(digest_size(hash_)) if fake else nat_d_hash(hash_, cookies, local)
    return [NatD(nat_d_hash(hash_, cookies, remote)), NatD(own)]


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
