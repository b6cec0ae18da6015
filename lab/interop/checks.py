"""What both ends say of a tunnel, compared value by value."""

from __future__ import annotations

from typing import Any

from lab.interop.model import Failed

# A peer that allows weak algorithms is warned of them each time; that is no complaint about the tunnel.
_WEAK = ("ike.phase1.weak", "ike.phase2.weak")
_HASHES = {"SHA1": "sha1", "SHA2_256": "sha256", "SHA2_384": "sha384", "SHA2_512": "sha512", "MD5": "md5"}
_INTEGRITY = {
    "HMAC_SHA1_96": "sha1",
    "HMAC_SHA2_256_128": "sha256",
    "HMAC_SHA2_384_192": "sha384",
    "HMAC_SHA2_512_256": "sha512",
    "HMAC_MD5_96": "md5",
}


def cipher(sa: dict[str, Any]) -> str:
    """charon's cipher in our words: ``AES_GCM_16`` of 256 bits is ``aes256gcm16``."""
    if sa.get("protocol") == "AH":
        return "null"
    name, bits = sa["encr-alg"], sa.get("encr-keysize", "")
    if name.startswith("3DES"):
        return "3des"
    family, _, mode = name.partition("_")
    mode = "" if mode == "CBC" else mode.replace("_", "").lower()
    return f"{family.lower()}{bits}{mode}"


def group(name: str | None) -> str | None:
    """charon's group in our words: ``MODP_2048`` is ``modp2048``."""
    if not name:
        return None
    family, _, rest = name.lower().partition("_")
    return family + rest.replace("_", "s")


def span(text: str) -> str:
    """A selector as both write it: charon has ``..`` in ranges, and the host's own names for protocols and ports."""
    return text.replace("..", "-").replace("ipv6-icmp", "icmpv6").replace("/l2f]", "/1701]")


def same(what: str, ours: Any, theirs: Any) -> None:
    """:raises Failed: if the two ends disagree."""
    if ours != theirs:
        raise Failed(f"{what}: {ours} here, {theirs} at the peer")


def phase1(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """The ISAKMP SA: cookies, transform, roles, addresses."""
    same("initiator cookie", ours["initiator_cookie"], theirs["initiator-spi"])
    same("responder cookie", ours["responder_cookie"], theirs["responder-spi"])
    same("phase 1 encryption", ours["encryption"], cipher(theirs))
    same("phase 1 hash", ours["hash"], _HASHES.get(theirs["prf-alg"].removeprefix("PRF_HMAC_"), theirs["prf-alg"]))
    same("phase 1 group", ours["group"], group(theirs["dh-group"]))
    same("initiator", ours["role"] == "initiator", theirs.get("initiator") != "yes")
    same("peer's port", ours["remote"].rpartition("[")[2].rstrip("]"), theirs["local-port"])


def pair(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """One pair of IPsec SAs: SPIs, transform, selector."""
    same("outbound SPI", ours["spi_out"], theirs["spi-in"])
    same("phase 2 encryption", ours["encryption"], cipher(theirs))
    integrity = theirs.get("integ-alg")
    same("phase 2 integrity", ours["integrity"], _INTEGRITY.get(integrity, integrity) if integrity else None)
    same("PFS group", ours["pfs_group"], group(theirs.get("dh-group")))
    same("encapsulation in UDP", ours["encapsulation"].startswith("udp"), theirs.get("encap") == "yes")
    same("local subnet", span(ours["local"]), span(theirs["remote-ts"][0]))
    same("remote subnet", span(ours["remote"]), span(theirs["local-ts"][0]))


def pairs(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    """Every pair has its counterpart, and nothing is left over."""
    same("number of SA pairs", len(ours), len(theirs))
    by_spi = {child["spi-out"]: child for child in theirs}
    for sa in ours:
        if sa["spi_in"] not in by_spi:
            raise Failed(f"the peer has no SA with our SPI {sa['spi_in']}; it has {', '.join(by_spi)}")
        pair(sa, by_spi[sa["spi_in"]])


def counters(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    """What one end sent is what the other received, octet by octet."""
    by_spi = {child["spi-out"]: child for child in theirs}
    for sa in ours:
        child = by_spi[sa["spi_in"]]
        same("octets to the peer", sa["bytes_out"], int(child["bytes-in"]))
        same("octets from the peer", sa["bytes_in"], int(child["bytes-out"]))


def texts(events: list[dict[str, Any]], count: int, expected: tuple[str, ...] = ()) -> None:
    """The classical lines of a tunnel that comes up, and no complaint."""
    lines = [event["text"] for event in events]
    up = [line for line in lines if line.startswith("ISAKMP-SA established ") and " spi:" in line]
    same("lines “ISAKMP-SA established”", len(up), 1)
    sas = [line for line in lines if line.startswith("IPsec-SA established: ESP/") and " spi=" in line]
    same("lines “IPsec-SA established”", len(sas), 2 * count)
    complaints(events, expected)


def complaints(events: list[dict[str, Any]], expected: tuple[str, ...] = ()) -> None:
    """:raises Failed: if an event says that something is wrong, which the row does not expect."""
    allowed = (*_WEAK, *expected)
    bad = [event for event in events if event["severity"] in ("error", "warning") and event["code"] not in allowed]
    if bad:
        raise Failed(f"unexpected event {bad[0]['code']}: {bad[0]['text']} ({bad[0]['hint']})")
