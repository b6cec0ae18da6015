"""What is offered and accepted, and how patient the engine is."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, model_validator

from vpnengine.contract.algorithms import (
    Algorithm,
    DhGroup,
    EspEncryption,
    EspIntegrity,
    IkeEncryption,
    IkeHash,
    not_refused,
)
from vpnengine.contract.types import Model

_Refusing = BeforeValidator(not_refused)
Group = Annotated[DhGroup, _Refusing]
Kilobytes = Annotated[int, Field(ge=1_000, le=0xFFFFFFFF)]


class IkeProposal(Model):
    """One phase 1 proposal."""

    encryption: Annotated[IkeEncryption, _Refusing]
    hash: IkeHash
    group: Group

    def __str__(self) -> str:
        return f"{self.encryption}-{self.hash}-{self.group}"


class EspProposal(Model):
    """One phase 2 transform; ``integrity`` is absent exactly for AEAD ciphers.

    ``protocol`` “ah” is for peers that ask for the authentication header (RFC 4302); it has no encryption.
    """

    encryption: Annotated[EspEncryption, _Refusing]
    integrity: EspIntegrity | None = None
    protocol: Literal["esp", "ah"] = "esp"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.encryption.is_aead and self.integrity is not None:
            raise ValueError(f"{self.encryption.value} authenticates by itself; leave the integrity algorithm empty")
        if self.protocol == "ah" and self.encryption is not EspEncryption.NULL:
            raise ValueError("AH does not encrypt; choose “null” as its encryption, or ESP as its protocol")
        if not self.encryption.is_aead and self.integrity is None:
            raise ValueError(f"{self.encryption.value} needs an integrity algorithm, such as sha256")
        return self

    def __str__(self) -> str:
        name = "ah" if self.protocol == "ah" else str(self.encryption)
        return f"{name}-{self.integrity}" if self.integrity else name


class Phase1Policy(Model):
    """What is offered and accepted for the ISAKMP SA.

    ``lifetime_s`` in seconds; ``lifetime_kb``, in units of 1000 octets of IKE messages, None is no limit.
    """

    proposals: Annotated[tuple[IkeProposal, ...], Field(min_length=1, max_length=32)] = (
        IkeProposal(encryption=IkeEncryption.AES256, hash=IkeHash.SHA256, group=DhGroup.MODP2048),
    )
    lifetime_s: Annotated[int, Field(ge=60, le=86_400)] = 28_800
    lifetime_kb: Kilobytes | None = None


class Phase2Policy(Model):
    """What is offered and accepted for IPsec SAs.

    ``pfs_group`` is offered, and with the groups of ``pfs_also`` it is accepted when the peer begins. With
    ``esn`` 64-bit sequence numbers (RFC 4304) are offered first, and 32-bit ones after them. ``lifetime_s`` in
    seconds; ``lifetime_kb``, in units of 1000 octets of inner packets in either direction, None is no limit.
    Transport ``mode`` protects traffic between two hosts themselves, which the selectors name.
    """

    proposals: Annotated[tuple[EspProposal, ...], Field(min_length=1, max_length=32)] = (
        EspProposal(encryption=EspEncryption.AES256GCM16),
        EspProposal(encryption=EspEncryption.AES256, integrity=EspIntegrity.SHA256),
    )
    pfs_group: Group | None = DhGroup.MODP2048
    pfs_also: Annotated[tuple[Group, ...], Field(max_length=16)] = ()
    esn: bool = False
    mode: Literal["tunnel", "transport"] = "tunnel"
    lifetime_s: Annotated[int, Field(ge=30, le=86_400)] = 3_600
    lifetime_kb: Kilobytes | None = None

    @property
    def pfs_accepted(self) -> tuple[DhGroup | None, ...]:
        """The groups that are accepted when the peer begins, the preferred one first."""
        return tuple(dict.fromkeys((self.pfs_group, *self.pfs_also)))


class DpdPolicy(Model):
    """Dead peer detection (RFC 3706); ``interval_s`` 0 turns our probes off."""

    interval_s: Annotated[int, Field(ge=0, le=3_600)] = 10
    timeout_s: Annotated[int, Field(ge=1, le=86_400)] = 40

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.interval_s and self.timeout_s <= self.interval_s:
            raise ValueError("the timeout must be longer than the interval")
        return self


class RetransmitPolicy(Model):
    """How often and how long an unanswered message is sent again."""

    first_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    factor: Annotated[float, Field(ge=1, le=4)] = 1.8
    tries: Annotated[int, Field(ge=1, le=12)] = 5


class Weak(NamedTuple):
    """A weak algorithm in a policy; ``field`` is its path below the peer."""

    field: str
    algorithm: Algorithm


def weak_choices(phase1: Phase1Policy, phase2: Phase2Policy) -> list[Weak]:
    """Every weak algorithm that the two policies name."""
    found = []
    for number, ike in enumerate(phase1.proposals):
        found += [Weak(f"phase1.proposals.{number}.{name}", getattr(ike, name)) for name in type(ike).model_fields]
    for number, esp in enumerate(phase2.proposals):
        names = ("integrity",) if esp.protocol == "ah" else ("encryption", "integrity")
        found += [Weak(f"phase2.proposals.{number}.{name}", getattr(esp, name)) for name in names]
    found += [Weak("phase2.pfs_group", group) for group in (phase2.pfs_group,) if group]
    found += [Weak("phase2.pfs_also", group) for group in phase2.pfs_also]
    return [weak for weak in found if weak.algorithm is not None and weak.algorithm.weakness]
