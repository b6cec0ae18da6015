"""What of our row another maker's gateway can do; the rest is said, with what to choose instead."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, replace

from dashboard.peerside.facts import OtherSide
from dashboard.peerside.vendors import Vendor
from vpnengine.contract.identity import Identity, IdentityType
from vpnengine.contract.policies import EspProposal, IkeProposal


@dataclass(frozen=True)
class Fitted:
    """``text`` is the configuration, empty if ``blocks`` says why there is none; ``notes`` are worth knowing."""

    side: OtherSide
    notes: tuple[str, ...]
    blocks: tuple[str, ...]
    text: str = ""


def fitted(side: OtherSide, vendor: Vendor) -> Fitted:
    """The configuration for one kind of gateway."""
    notes: list[str] = []
    blocks: list[str] = []
    for step in (_shape, _phase1, _phase2, _identities, _addresses, _selectors, _lifetimes):
        side = step(side, vendor, notes, blocks)
    text = "" if blocks else vendor.render(side, vendor)
    return Fitted(side, (*notes, *vendor.always), tuple(blocks), text)


def _shape(side: OtherSide, vendor: Vendor, notes: list[str], blocks: list[str]) -> OtherSide:
    can: tuple[tuple[bool, bool, str], ...] = (
        (
            side.users,
            False,
            "This peer has users or assigned addresses (XAUTH, Mode Config): what the other side needs is a client, "
            "not a gateway.",
        ),
        (
            side.authentication != "psk",
            vendor.certificates and side.authentication in ("rsa", "ecdsa"),
            f"Certificates are not written here for {vendor.title}. Choose “Pre-shared secret” under Authentication, "
            "or take the text for strongSwan as a model.",
        ),
        (
            side.exchange == "aggressive",
            vendor.aggressive,
            f"{vendor.title} does no aggressive mode. Choose “Main mode” under Phase 1 mode.",
        ),
        (
            side.mode == "transport",
            vendor.transport,
            f"Transport mode is not possible with {vendor.title}. Choose “Tunnel” as the mode.",
        ),
    )
    blocks += [sentence for asked, able, sentence in can if asked and not able]
    if side.esn and not vendor.esn:
        notes.append(f"64-bit sequence numbers (ESN) are left out for {vendor.title}; both sides then use 32-bit ones.")
        side = replace(side, esn=False)
    return side


def _phase1(side: OtherSide, vendor: Vendor, notes: list[str], blocks: list[str]) -> OtherSide:
    def able(one: IkeProposal) -> bool:
        return one.encryption in vendor.ike_encryption and one.hash in vendor.hashes and one.group in vendor.groups

    found = [one for one in side.ike if able(one)]
    if not found:
        blocks.append(_nothing("phase 1", vendor, [str(one) for one in side.ike]))
        return side
    _say_left_out(notes, vendor, "Phase 1", [str(one) for one in side.ike if one not in found])
    if vendor.one_hash:
        found = _first_like(found, lambda one: one.hash, notes, vendor, "hash")
    if side.exchange == "aggressive":
        found = [one for one in found if one.group == found[0].group]
    if vendor.one_ike and len(found) > 1:
        notes.append(f"{vendor.title} takes one proposal for phase 1: the first, {found[0]}.")
        found = found[:1]
    return replace(side, ike=tuple(found))


def _phase2(side: OtherSide, vendor: Vendor, notes: list[str], blocks: list[str]) -> OtherSide:
    def able(one: EspProposal) -> bool:
        if one.protocol == "ah":
            return vendor.ah and one.integrity in vendor.integrity
        return one.encryption in vendor.esp_encryption and (one.integrity is None or one.integrity in vendor.integrity)

    found = [one for one in side.esp if able(one)]
    if not found:
        blocks.append(_nothing("phase 2", vendor, [str(one) for one in side.esp]))
        return side
    _say_left_out(notes, vendor, "Phase 2", [str(one) for one in side.esp if one not in found])
    if any(one.protocol != found[0].protocol for one in found):
        found = [one for one in found if one.protocol == found[0].protocol]
    if vendor.one_esp and len(found) > 1:
        notes.append(f"{vendor.title} takes one proposal for phase 2: the first, {found[0]}.")
        found = found[:1]
    if side.pfs and side.pfs not in vendor.pfs_groups:
        blocks.append(
            f"{vendor.title} has no PFS group {side.pfs}; it has {_list(vendor.pfs_groups)}. Choose one of these as "
            "PFS group here, in a custom policy."
        )
    if side.pfs is None and vendor.pfs_needed:
        blocks.append(
            f"{vendor.title} always asks for perfect forward secrecy. Choose a PFS group here, in a custom policy: "
            "modp2048 is group 14."
        )
    return replace(side, esp=tuple(found))


def _nothing(phase: str, vendor: Vendor, ours: list[str]) -> str:
    return (
        f"{vendor.title} can do none of what is chosen here for {phase} ({', '.join(ours)}). {vendor.advice} "
        "Both sides must have the same, so change the policy of this peer first."
    )


def _say_left_out(notes: list[str], vendor: Vendor, phase: str, left: list[str]) -> None:
    if left:
        notes.append(f"{phase}: {', '.join(left)} is left out, because {vendor.title} does not know it.")


def _first_like(
    found: list[IkeProposal], what: Callable[[IkeProposal], object], notes: list[str], vendor: Vendor, word: str
) -> list[IkeProposal]:
    same = [one for one in found if what(one) == what(found[0])]
    if len(same) < len(found):
        notes.append(f"{vendor.title} takes one {word} for phase 1: that of the first proposal, {found[0]}.")
    return same


def _list(names: object) -> str:
    return ", ".join(map(str, names))  # type: ignore[call-overload]


def _identities(side: OtherSide, vendor: Vendor, notes: list[str], blocks: list[str]) -> OtherSide:
    for end, able, whose in (
        (side.local_identity, vendor.local_identities, "the other gateway's"),
        (side.remote_identity, vendor.remote_identities, "this site's"),
    ):
        if end is None:
            continue
        if end.type not in able and not _is_address_of(end, side):
            blocks.append(
                f"{vendor.title} cannot have {whose} identity of type {end.type.value}. Choose "
                f"{' or '.join(sorted(able)) or 'none, so that addresses name the two ends'} under Identities."
            )
        bad = sorted({c for c in end.value if not c.isprintable() or c in vendor.quotes or ord(c) > 126})
        if bad:
            blocks.append(
                f"The configuration of {vendor.title} cannot hold {whose} identity “{end.value}”: it has "
                f"{' '.join(bad)!r}. Choose letters, digits, dots and dashes."
            )
    return side


def _is_address_of(identity: Identity, side: OtherSide) -> bool:
    """An identity that is the end's own address anyway needs no words."""
    return identity.type in (IdentityType.IPV4, IdentityType.IPV6) and identity.value in (
        side.local_address,
        side.remote_address,
    )


def _addresses(side: OtherSide, vendor: Vendor, notes: list[str], blocks: list[str]) -> OtherSide:
    if not side.remote_address:
        notes.append("The public address of this site is not known yet: enter it under “This site's address”.")
    elif not _is_ip(side.remote_address) and not vendor.host_names:
        blocks.append(f"{vendor.title} needs this site's address as a number. Enter it instead of the name.")
    six = any(":" in text for pair in side.pairs for text in (pair.local, pair.remote)) or ":" in side.remote_address
    if six and not vendor.ipv6:
        blocks.append(f"{vendor.title} carries no IPv6 in IKEv1 tunnels. Use IPv4 subnets for this peer.")
    return side


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _selectors(side: OtherSide, vendor: Vendor, notes: list[str], blocks: list[str]) -> OtherSide:
    if any(pair.protocol for pair in side.pairs) and not vendor.ports:
        blocks.append(
            f"{vendor.title} cannot restrict a tunnel to a protocol or ports. Enter private subnets instead of "
            "selectors."
        )
    elif any("-" in pair.local + pair.remote for pair in side.pairs) and not vendor.ranges:
        blocks.append(f"{vendor.title} takes subnets, not ranges of addresses. Enter selectors with subnets.")
    if len(side.pairs) > vendor.pairs:
        blocks.append(
            f"{vendor.title} negotiates {'one pair' if vendor.pairs == 1 else f'{vendor.pairs} pairs'} of subnets, and "
            f"here are {len(side.pairs)}. Enter one subnet on each side that holds the others, such as a /16, or one "
            "peer per pair."
        )
    if not side.pairs:
        blocks.append("No pair of subnets is of the same IP version, so that there is nothing to protect.")
    return side


def _lifetimes(side: OtherSide, vendor: Vendor, notes: list[str], blocks: list[str]) -> OtherSide:
    for name, (least, most), phase in (
        ("ike_lifetime", vendor.ike_lifetime, "phase 1"),
        ("esp_lifetime", vendor.esp_lifetime, "phase 2"),
    ):
        wanted = getattr(side, name)
        taken = min(max(wanted, least), most)
        if taken != wanted:
            allowed = f"{least} s only" if least == most else f"{least} to {most} s"
            notes.append(
                f"{vendor.title} allows {allowed} as the lifetime of {phase}: {taken} s is written instead of "
                f"{wanted}. The tunnel works all the same; the shorter one counts."
            )
            side = replace(side, **{name: taken})
    if side.esp_lifetime_kb and not vendor.kilobytes:
        notes.append("The lifetime in kilobytes is kept by this side alone, which negotiates anew in time.")
    return side
