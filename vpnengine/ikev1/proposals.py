"""Offering, accepting and comparing proposals of phase 1 and phase 2 (RFC 2409 section 5, RFC 2407 section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from vpnengine.contract.algorithms import DhGroup
from vpnengine.contract.events import Cell, Difference
from vpnengine.contract.policies import EspProposal, IkeProposal, Phase1Policy, Phase2Policy
from vpnengine.esp.sa import EspTransform
from vpnengine.ikev1 import lifetimes, numbers
from vpnengine.ikev1.lifetimes import Life
from vpnengine.ikev1.numbers import name_of
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.sa_payload import Attribute, Proposal, SecurityAssociation, Transform

MAX_COMPARED = 64
MAX_OFFERS = 8
_ESN = "64-bit"
_AH = "ah"
_PROTOCOLS = (c.Protocol.ESP, c.Protocol.AH)


@dataclass(frozen=True)
class Cells:
    """One proposal laid out as named cells, so that two can be compared cell by cell."""

    cells: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "-".join(value for _, value in self.cells if value)

    def distance(self, theirs: Cells) -> int:
        """In how many cells the two differ."""
        return sum(mine != other for mine, other in zip(self.cells, theirs.cells, strict=True))

    def rows(self, theirs: Cells) -> tuple[Cell, ...]:
        """Both proposals beside each other, cell by cell."""
        return tuple(
            Cell(attribute=name, ours=ours, theirs=other, equal=ours == other)
            for (name, ours), (_, other) in zip(self.cells, theirs.cells, strict=True)
        )


def compare(mine: Sequence[Cells], theirs: Sequence[Cells]) -> Difference:
    """Both lists, and cell by cell the pair that differs least; what comes first is preferred.

    Of a long list only the beginning is compared: the other side is not authenticated yet.
    """
    ours, others = _shortlist(mine), _shortlist(theirs)
    pairs = [(m, t) for m in ours for t in others]
    nearest = min(pairs, key=lambda pair: pair[0].distance(pair[1]), default=None)
    return Difference(
        ours=tuple(map(str, ours)),
        theirs=tuple(map(str, others)),
        nearest=nearest[0].rows(nearest[1]) if nearest else (),
        offers=tuple(min(ours, key=other.distance).rows(other) for other in others[:MAX_OFFERS]) if ours else (),
    )


def _shortlist(found: Sequence[Cells]) -> list[Cells]:
    return list(dict.fromkeys(found))[:MAX_COMPARED]


def mismatch_evidence(difference: Difference) -> dict[str, str]:
    """The same in words, for events."""
    evidence = {"accepted": ", ".join(difference.ours), "offered": ", ".join(difference.theirs)}
    if difference.nearest:
        evidence["nearest"] = "; ".join(
            f"{row.attribute}: here {row.ours or 'none'}, peer {row.theirs or 'none'}"
            for row in difference.nearest
            if not row.equal
        )
    return evidence


# Phase 1


def phase1_cells(transform: Transform) -> Cells:
    """What a phase 1 transform says, also if it names algorithms that we do not have."""
    number = transform.get(c.IkeAttribute.ENCRYPTION) or 0
    bits = transform.get(c.IkeAttribute.KEY_LENGTH)
    return Cells(
        (
            ("encryption", numbers.ike_cipher_name(number, bits)),
            ("hash", name_of(numbers.HASH_NAMES, transform.get(c.IkeAttribute.HASH), "hash")),
            ("group", name_of(numbers.GROUP_NAMES, transform.get(c.IkeAttribute.GROUP), "group")),
            ("authentication", name_of(numbers.METHOD_NAMES, transform.get(c.IkeAttribute.AUTHENTICATION), "method")),
        )
    )


def phase1_accepted(proposal: IkeProposal, method: int = c.AUTH_PSK) -> Cells:
    """The cells of a configured phase 1 proposal with an authentication method."""
    return Cells(
        (
            ("encryption", proposal.encryption.value),
            ("hash", proposal.hash.value),
            ("group", proposal.group.value),
            ("authentication", name_of(numbers.METHOD_NAMES, method, "method")),
        )
    )


def accepted_phase1(policy: Phase1Policy, methods: Sequence[int]) -> list[Cells]:
    """Everything that we accept for phase 1."""
    return [phase1_accepted(p, method) for method in methods for p in policy.proposals]


def offer_phase1(policy: Phase1Policy, methods: Sequence[int]) -> SecurityAssociation:
    """The SA payload of message 1: one proposal, a transform per authentication method and configured proposal."""
    rows = [(p, method) for method in methods for p in policy.proposals]
    life = lifetimes.attributes(lifetimes.of_policy(policy), lifetimes.PHASE1)
    transforms = tuple(
        Transform(number, c.KEY_IKE, (*_ike_attributes(p, method), *life)) for number, (p, method) in enumerate(rows, 1)
    )
    return SecurityAssociation((Proposal(1, c.Protocol.ISAKMP, b"", transforms),))


def _ike_attributes(proposal: IkeProposal, method: int) -> list[Attribute]:
    cipher, bits = numbers.IKE_CIPHERS[proposal.encryption]
    size = [Attribute(c.IkeAttribute.KEY_LENGTH, bits)] if bits else []
    return [
        Attribute(c.IkeAttribute.ENCRYPTION, cipher),
        *size,
        Attribute(c.IkeAttribute.HASH, numbers.HASH_NUMBERS[proposal.hash]),
        Attribute(c.IkeAttribute.GROUP, numbers.GROUP_NUMBERS[proposal.group]),
        Attribute(c.IkeAttribute.AUTHENTICATION, method),
    ]


@dataclass(frozen=True)
class Phase1Choice:
    """An agreed phase 1 proposal; ``offered`` is the life that the peer's transform states."""

    proposal: IkeProposal
    method: int
    offered: Life
    payload: SecurityAssociation


def choose_phase1(offer: SecurityAssociation, policy: Phase1Policy, methods: Sequence[int]) -> Phase1Choice | None:
    """The first of the peer's transforms that we accept, or None."""
    accepted = {phase1_accepted(p, method): (p, method) for method in methods for p in policy.proposals}
    for proposal in offer.proposals:
        if proposal.protocol != c.Protocol.ISAKMP:
            continue
        for transform in proposal.transforms:
            match = accepted.get(phase1_cells(transform))
            if match is None or transform.id != c.KEY_IKE:
                continue
            life = lifetimes.of_transform(transform, lifetimes.PHASE1)
            chosen = Proposal(proposal.number, proposal.protocol, proposal.spi, (transform,))
            return Phase1Choice(*match, life, SecurityAssociation((chosen,)))
    return None


def offered_phase1(offer: SecurityAssociation) -> list[Cells]:
    """Everything that the peer offers for phase 1."""
    return [phase1_cells(t) for p in offer.proposals for t in p.transforms]


# Phase 2


@dataclass(frozen=True)
class _EspOffer:
    """One combination that a policy allows."""

    proposal: EspProposal
    group: DhGroup | None
    mode: c.Encapsulation
    esn: bool

    @property
    def is_ah(self) -> bool:
        return self.proposal.protocol == "ah"

    @property
    def protocol(self) -> c.Protocol:
        return c.Protocol.AH if self.is_ah else c.Protocol.ESP

    @property
    def cells(self) -> Cells:
        integrity = self.proposal.integrity
        return Cells(
            (
                ("encryption", _AH if self.is_ah else self.proposal.encryption.value),
                ("integrity", integrity.value if integrity else ""),
                ("pfs", self.group.value if self.group else ""),
                ("mode", numbers.MODE_NAMES[self.mode]),
                ("sequence numbers", _ESN if self.esn else ""),
            )
        )

    def transform(self, number: int, life: Life) -> Transform:
        ident, bits = numbers.ESP_CIPHERS[self.proposal.encryption]
        if self.is_ah and self.proposal.integrity:
            ident, bits = numbers.AH_NUMBERS[self.proposal.integrity], None
        found = lifetimes.attributes(life, lifetimes.PHASE2)
        found.append(Attribute(c.EspAttribute.ENCAPSULATION, self.mode))
        if bits:
            found.append(Attribute(c.EspAttribute.KEY_LENGTH, bits))
        if self.proposal.integrity:
            authentication = numbers.INTEGRITY_NUMBERS[self.proposal.integrity]
            found.append(Attribute(c.EspAttribute.AUTHENTICATION, authentication))
        if self.group:
            found.append(Attribute(c.EspAttribute.GROUP, numbers.GROUP_NUMBERS[self.group]))
        if self.esn:
            found.append(Attribute(c.EspAttribute.EXTENDED_SEQUENCE, c.EXTENDED_SEQUENCE_64))
        return Transform(number, ident, tuple(found))


def _esp_offers(
    policy: Phase2Policy, groups: Sequence[DhGroup | None], modes: Sequence[c.Encapsulation]
) -> list[_EspOffer]:
    return [
        _EspOffer(proposal, group, mode, esn)
        for group in groups
        for mode in modes
        for esn in ((True, False) if policy.esn else (False,))
        for proposal in policy.proposals
        # A NAT changes what AH protects, and there is no AH in UDP.
        if proposal.protocol == "esp" or mode in (c.Encapsulation.TUNNEL, c.Encapsulation.TRANSPORT)
    ]


def phase2_cells(transform: Transform, protocol: int = c.Protocol.ESP) -> Cells:
    """What an ESP or AH transform says."""
    group = transform.get(c.EspAttribute.GROUP)
    authentication = transform.get(c.EspAttribute.AUTHENTICATION)
    mode = transform.get(c.EspAttribute.ENCAPSULATION) or c.Encapsulation.TUNNEL
    cipher = numbers.esp_cipher_name(transform.id, transform.get(c.EspAttribute.KEY_LENGTH))
    return Cells(
        (
            ("encryption", _AH if protocol == c.Protocol.AH else cipher),
            ("integrity", name_of(numbers.INTEGRITY_NAMES, authentication or None, "integrity")),
            ("pfs", name_of(numbers.GROUP_NAMES, group or None, "group")),
            ("mode", name_of(numbers.MODE_NAMES, mode, "mode")),
            ("sequence numbers", _sequence_numbers(transform.get(c.EspAttribute.EXTENDED_SEQUENCE))),
        )
    )


def _sequence_numbers(value: int | None) -> str:
    if value is None:
        return ""
    return _ESN if value == c.EXTENDED_SEQUENCE_64 else f"sequence{value}"


def offer_phase2(policy: Phase2Policy, spi: int, mode: c.Encapsulation) -> SecurityAssociation:
    """The SA payload of quick mode's first message: a transform per configured proposal, ESP and AH as alternatives.

    All of them have the same PFS group, as there is one KE payload (RFC 2409 section 5.5).
    """
    life = lifetimes.of_policy(policy)
    offers = _esp_offers(policy, [policy.pfs_group], [mode])
    found: list[Proposal] = []
    for protocol, run in groupby(offers, key=lambda offer: offer.protocol):
        transforms = tuple(offer.transform(number, life) for number, offer in enumerate(run, 1))
        found.append(Proposal(len(found) + 1, protocol, spi.to_bytes(4, "big"), transforms))
    return SecurityAssociation(tuple(found))


@dataclass(frozen=True)
class Phase2Choice:
    """An agreed ESP transform. ``offered`` is the life that the peer states, ``spi`` the sender's SPI."""

    transform: EspTransform
    group: DhGroup | None
    offered: Life
    spi: int
    proposal: Proposal


def choose_phase2(
    offer: SecurityAssociation,
    policy: Phase2Policy,
    modes: Sequence[c.Encapsulation],
    groups: Sequence[DhGroup | None],
) -> Phase2Choice | None:
    """The first ESP transform of the peer that we accept in one of ``modes`` with one of ``groups``, or None."""
    accepted = {mine.cells: mine for mine in _esp_offers(policy, groups, modes)}
    stated = [p.number for p in offer.proposals]
    for proposal in offer.proposals:
        # Proposals of one number belong together (ESP and IPComp, say); we offer and take ESP alone.
        if proposal.protocol not in _PROTOCOLS or len(proposal.spi) != 4 or stated.count(proposal.number) > 1:
            continue
        for transform in proposal.transforms:
            match = accepted.get(phase2_cells(transform, proposal.protocol))
            if match is not None:
                agreed = EspTransform(
                    match.proposal.encryption, match.proposal.integrity, match.esn, match.proposal.protocol
                )
                life = lifetimes.of_transform(transform, lifetimes.PHASE2)
                chosen = Proposal(proposal.number, proposal.protocol, proposal.spi, (transform,))
                return Phase2Choice(agreed, match.group, life, int.from_bytes(proposal.spi, "big"), chosen)
    return None


def offered_phase2(offer: SecurityAssociation) -> list[Cells]:
    """Everything that the peer offers for ESP and AH."""
    return [phase2_cells(t, p.protocol) for p in offer.proposals if p.protocol in _PROTOCOLS for t in p.transforms]


def bundled_with(offer: SecurityAssociation) -> list[str]:
    """The protocols that the peer wants together, such as ESP and IPComp, in each of its proposals; else empty."""
    protocols: dict[int, list[int]] = {}
    for proposal in offer.proposals:
        protocols.setdefault(proposal.number, []).append(proposal.protocol)
    if any(len(found) == 1 for found in protocols.values()):
        return []
    named: dict[int, str] = {c.Protocol.IPCOMP: "IPComp", c.Protocol.AH: "AH", c.Protocol.ESP: "ESP"}
    return list(dict.fromkeys(named[p] for found in protocols.values() for p in found if p in named))


def accepted_phase2(policy: Phase2Policy, mode: c.Encapsulation) -> list[Cells]:
    """Everything that we accept for ESP when the peer begins."""
    return [mine.cells for mine in _esp_offers(policy, policy.pfs_accepted, [mode])]


def own_phase2(policy: Phase2Policy, mode: c.Encapsulation) -> list[Cells]:
    """Everything that we offer for ESP when we begin: one PFS group alone."""
    return [mine.cells for mine in _esp_offers(policy, [policy.pfs_group], [mode])]


def with_spi(choice: Phase2Choice, spi: int) -> SecurityAssociation:
    """The responder's answer: the chosen transform under our own SPI."""
    chosen = choice.proposal
    return SecurityAssociation((Proposal(chosen.number, chosen.protocol, spi.to_bytes(4, "big"), chosen.transforms),))
