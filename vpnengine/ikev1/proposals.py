"""Offering, accepting and comparing proposals of phase 1 and phase 2 (RFC 2409 section 5, RFC 2407 section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vpnengine.contract.algorithms import DhGroup, EspEncryption, EspIntegrity, IkeEncryption, IkeHash
from vpnengine.contract.policies import EspProposal, IkeProposal, Phase1Policy, Phase2Policy
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.sa_payload import Attribute, Proposal, SecurityAssociation, Transform

ENCRYPTION_NAMES = {1: "des", 5: "3des", 7: "aes", 8: "camellia"}
HASH_NUMBERS = {IkeHash.SHA1: 2, IkeHash.SHA256: 4, IkeHash.SHA384: 5, IkeHash.SHA512: 6}
HASH_NAMES = {1: "md5", **{number: name.value for name, number in HASH_NUMBERS.items()}}
GROUP_NUMBERS = {
    DhGroup.MODP2048: 14,
    DhGroup.MODP3072: 15,
    DhGroup.MODP4096: 16,
    DhGroup.MODP6144: 17,
    DhGroup.MODP8192: 18,
    DhGroup.ECP256: 19,
    DhGroup.ECP384: 20,
    DhGroup.ECP521: 21,
}
GROUP_NAMES = {1: "modp768", 2: "modp1024", 5: "modp1536", 31: "curve25519"} | {
    number: name.value for name, number in GROUP_NUMBERS.items()
}
METHOD_NAMES = {
    1: "psk",
    3: "rsa-signature",
    9: "ecdsa-256",
    10: "ecdsa-384",
    11: "ecdsa-521",
    64221: "hybrid-rsa",
    65001: "xauth-psk",
    65005: "xauth-rsa",
}
ESP_NAMES = {2: "des", 3: "3des", 11: "null", 12: "aes", 13: "aesctr", 18: "aesgcm8", 19: "aesgcm12", 20: "aesgcm16"}
INTEGRITY_NUMBERS = {EspIntegrity.SHA1: 2, EspIntegrity.SHA256: 5, EspIntegrity.SHA384: 6, EspIntegrity.SHA512: 7}
INTEGRITY_NAMES = {1: "md5"} | {number: name.value for name, number in INTEGRITY_NUMBERS.items()}
MODE_NAMES = {
    1: "tunnel",
    2: "transport",
    3: "udp-tunnel",
    4: "udp-transport",
    61443: "udp-tunnel",
    61444: "udp-transport",
}
IKE_KEY_BITS = {IkeEncryption.AES128: 128, IkeEncryption.AES192: 192, IkeEncryption.AES256: 256}
_AES_CBC, _IKE_AES, _GCM16 = 12, 7, 20


@dataclass(frozen=True)
class Cells:
    """One proposal laid out as named cells, so that two can be compared cell by cell."""

    cells: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "-".join(value for _, value in self.cells if value)

    def differences(self, other: Cells) -> list[tuple[str, str, str]]:
        """(cell, ours, theirs) wherever they differ."""
        theirs = dict(other.cells)
        return [(name, value, theirs.get(name, "")) for name, value in self.cells if theirs.get(name, "") != value]


def nearest(mine: Sequence[Cells], theirs: Sequence[Cells]) -> tuple[Cells, Cells] | None:
    """The pair with the fewest differing cells."""
    pairs = [(len(m.differences(t)), i, m, t) for i, m in enumerate(mine) for t in theirs]
    if not pairs:
        return None
    _, _, best_mine, best_theirs = min(pairs, key=lambda row: (row[0], row[1]))
    return best_mine, best_theirs


def mismatch_evidence(mine: Sequence[Cells], theirs: Sequence[Cells]) -> dict[str, str]:
    """Evidence of a failed match: both lists, the nearest pair, and its differing cells."""
    evidence = {"accepted": ", ".join(map(str, mine)), "offered": ", ".join(dict.fromkeys(map(str, theirs)))}
    if best := nearest(mine, theirs):
        rows = best[0].differences(best[1])
        evidence["nearest"] = "; ".join(
            f"{name}: here {ours or 'none'}, peer {other or 'none'}" for name, ours, other in rows
        )
    return evidence


# Phase 1


def phase1_cells(transform: Transform) -> Cells:
    """What a phase 1 transform says, also if it names algorithms that we do not have."""
    number = transform.get(c.IkeAttribute.ENCRYPTION) or 0
    bits = transform.get(c.IkeAttribute.KEY_LENGTH)
    return Cells(
        (
            ("encryption", ENCRYPTION_NAMES.get(number, f"cipher{number}") + (str(bits) if bits else "")),
            ("hash", _name(HASH_NAMES, transform.get(c.IkeAttribute.HASH), "hash")),
            ("group", _name(GROUP_NAMES, transform.get(c.IkeAttribute.GROUP), "group")),
            ("authentication", _name(METHOD_NAMES, transform.get(c.IkeAttribute.AUTHENTICATION), "method")),
        )
    )


def phase1_accepted(proposal: IkeProposal, method: int = c.AUTH_PSK) -> Cells:
    """The cells of a configured phase 1 proposal with an authentication method."""
    return Cells(
        (
            ("encryption", proposal.encryption.value),
            ("hash", proposal.hash.value),
            ("group", proposal.group.value),
            ("authentication", _name(METHOD_NAMES, method, "method")),
        )
    )


def accepted_phase1(policy: Phase1Policy, methods: Sequence[int]) -> list[Cells]:
    """Everything that we accept for phase 1."""
    return [phase1_accepted(p, method) for method in methods for p in policy.proposals]


def offer_phase1(policy: Phase1Policy, methods: Sequence[int]) -> SecurityAssociation:
    """The SA payload of message 1: one proposal, a transform per authentication method and configured proposal."""
    rows = [(p, method) for method in methods for p in policy.proposals]
    transforms = tuple(
        Transform(
            number,
            c.KEY_IKE,
            (
                Attribute(c.IkeAttribute.ENCRYPTION, _IKE_AES),
                Attribute(c.IkeAttribute.KEY_LENGTH, IKE_KEY_BITS[p.encryption]),
                Attribute(c.IkeAttribute.HASH, HASH_NUMBERS[p.hash]),
                Attribute(c.IkeAttribute.GROUP, GROUP_NUMBERS[p.group]),
                Attribute(c.IkeAttribute.AUTHENTICATION, method),
                Attribute(c.IkeAttribute.LIFE_TYPE, c.LIFE_SECONDS),
                Attribute(c.IkeAttribute.LIFE_DURATION, policy.lifetime_s),
            ),
        )
        for number, (p, method) in enumerate(rows, 1)
    )
    return SecurityAssociation((Proposal(1, c.Protocol.ISAKMP, b"", transforms),))


@dataclass(frozen=True)
class Phase1Choice:
    """An agreed phase 1 proposal; ``lifetime_s`` is the shorter of the two sides', None if the peer gave none."""

    proposal: IkeProposal
    method: int
    lifetime_s: int | None
    payload: SecurityAssociation


def choose_phase1(offer: SecurityAssociation, policy: Phase1Policy, methods: Sequence[int]) -> Phase1Choice | None:
    """The first of the peer's transforms that we accept, or None."""
    accepted = {str(phase1_accepted(p, method)): (p, method) for method in methods for p in policy.proposals}
    for proposal in offer.proposals:
        if proposal.protocol != c.Protocol.ISAKMP:
            continue
        for transform in proposal.transforms:
            match = accepted.get(str(phase1_cells(transform)))
            if match is None or transform.id != c.KEY_IKE:
                continue
            seconds = transform.lifetimes(c.IkeAttribute.LIFE_TYPE, c.IkeAttribute.LIFE_DURATION).get(c.LIFE_SECONDS)
            chosen = Proposal(proposal.number, proposal.protocol, proposal.spi, (transform,))
            return Phase1Choice(*match, seconds or None, SecurityAssociation((chosen,)))
    return None


def offered_phase1(offer: SecurityAssociation) -> list[Cells]:
    """Everything that the peer offers for phase 1."""
    return [phase1_cells(t) for p in offer.proposals for t in p.transforms]


# Phase 2


def phase2_cells(transform: Transform) -> Cells:
    """What an ESP transform says."""
    bits = transform.get(c.EspAttribute.KEY_LENGTH)
    cipher = ESP_NAMES.get(transform.id, f"cipher{transform.id}")
    size = str(bits) if bits else ""
    name = cipher.replace("aes", f"aes{size}", 1) if cipher.startswith("aes") else cipher + size
    group = transform.get(c.EspAttribute.GROUP)
    authentication = transform.get(c.EspAttribute.AUTHENTICATION)
    return Cells(
        (
            ("encryption", name),
            ("integrity", _name(INTEGRITY_NAMES, authentication, "integrity") if authentication else ""),
            ("pfs", _name(GROUP_NAMES, group, "group") if group else ""),
            ("mode", _name(MODE_NAMES, transform.get(c.EspAttribute.ENCAPSULATION) or c.Encapsulation.TUNNEL, "mode")),
        )
    )


def phase2_accepted(proposal: EspProposal, pfs: DhGroup | None, mode: c.Encapsulation) -> Cells:
    """The cells of a configured phase 2 proposal."""
    return Cells(
        (
            ("encryption", proposal.encryption.value),
            ("integrity", proposal.integrity.value if proposal.integrity else ""),
            ("pfs", pfs.value if pfs else ""),
            ("mode", MODE_NAMES[mode]),
        )
    )


def offer_phase2(policy: Phase2Policy, spi: int, mode: c.Encapsulation) -> SecurityAssociation:
    """The SA payload of quick mode's first message: one ESP proposal, a transform per configured one."""
    transforms = [_esp_transform(n, p, policy, mode) for n, p in enumerate(policy.proposals, 1)]
    proposal = Proposal(1, c.Protocol.ESP, spi.to_bytes(4, "big"), tuple(transforms))
    return SecurityAssociation((proposal,))


def _esp_transform(number: int, proposal: EspProposal, policy: Phase2Policy, mode: c.Encapsulation) -> Transform:
    attributes = [
        Attribute(c.EspAttribute.LIFE_TYPE, c.LIFE_SECONDS),
        Attribute(c.EspAttribute.LIFE_DURATION, policy.lifetime_s),
        Attribute(c.EspAttribute.ENCAPSULATION, mode),
        Attribute(c.EspAttribute.KEY_LENGTH, int(proposal.encryption.value[3:6])),
    ]
    if proposal.integrity:
        attributes.append(Attribute(c.EspAttribute.AUTHENTICATION, INTEGRITY_NUMBERS[proposal.integrity]))
    if policy.pfs_group:
        attributes.append(Attribute(c.EspAttribute.GROUP, GROUP_NUMBERS[policy.pfs_group]))
    return Transform(number, _GCM16 if proposal.encryption.is_aead else _AES_CBC, tuple(attributes))


@dataclass(frozen=True)
class Phase2Choice:
    """An agreed ESP transform. ``spi`` is the sender's SPI."""

    encryption: EspEncryption
    integrity: EspIntegrity | None
    lifetime_s: int | None
    spi: int
    proposal: Proposal


def choose_phase2(
    offer: SecurityAssociation, policy: Phase2Policy, modes: Sequence[c.Encapsulation]
) -> Phase2Choice | None:
    """The first ESP transform of the peer that we accept in one of ``modes``, or None."""
    accepted = {str(phase2_accepted(p, policy.pfs_group, mode)): p for mode in modes for p in policy.proposals}
    numbers = [p.number for p in offer.proposals]
    for proposal in offer.proposals:
        # Proposals of one number belong together (ESP and IPComp, say); we offer and take ESP alone.
        if proposal.protocol != c.Protocol.ESP or len(proposal.spi) != 4 or numbers.count(proposal.number) > 1:
            continue
        for transform in proposal.transforms:
            match = accepted.get(str(phase2_cells(transform)))
            if match is None:
                continue
            lifetimes = transform.lifetimes(c.EspAttribute.LIFE_TYPE, c.EspAttribute.LIFE_DURATION)
            chosen = Proposal(proposal.number, proposal.protocol, proposal.spi, (transform,))
            spi = int.from_bytes(proposal.spi, "big")
            return Phase2Choice(match.encryption, match.integrity, lifetimes.get(c.LIFE_SECONDS) or None, spi, chosen)
    return None


def offered_phase2(offer: SecurityAssociation) -> list[Cells]:
    """Everything that the peer offers for ESP."""
    return [phase2_cells(t) for p in offer.proposals if p.protocol == c.Protocol.ESP for t in p.transforms]


def accepted_phase2(policy: Phase2Policy, mode: c.Encapsulation) -> list[Cells]:
    """Everything that we accept for ESP."""
    return [phase2_accepted(p, policy.pfs_group, mode) for p in policy.proposals]


def _name(names: dict[int, str], number: int | None, what: str) -> str:
    if number is None:
        return ""
    return names.get(number, f"{what}{number}")


def with_spi(choice: Phase2Choice, spi: int) -> SecurityAssociation:
    """The responder's answer: the chosen transform under our own SPI."""
    chosen = choice.proposal
    return SecurityAssociation((Proposal(chosen.number, chosen.protocol, spi.to_bytes(4, "big"), chosen.transforms),))
