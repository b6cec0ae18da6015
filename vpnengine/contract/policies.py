"""What is offered and accepted, and how patient the engine is."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from vpnengine.contract.algorithms import DhGroup, EspEncryption, EspIntegrity, IkeEncryption, IkeHash
from vpnengine.contract.types import Model


class IkeProposal(Model):
    """One phase 1 proposal."""

    encryption: IkeEncryption
    hash: IkeHash
    group: DhGroup

    def __str__(self) -> str:
        return f"{self.encryption}-{self.hash}-{self.group}"


class EspProposal(Model):
    """One phase 2 transform; ``integrity`` is absent exactly for AEAD ciphers."""

    encryption: EspEncryption
    integrity: EspIntegrity | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.encryption.is_aead and self.integrity is not None:
            raise ValueError(f"{self.encryption.value} authenticates by itself; leave the integrity algorithm empty")
        if not self.encryption.is_aead and self.integrity is None:
            raise ValueError(f"{self.encryption.value} needs an integrity algorithm, such as sha256")
        return self

    def __str__(self) -> str:
        return f"{self.encryption}-{self.integrity}" if self.integrity else str(self.encryption)


class Phase1Policy(Model):
    """What is offered and accepted for the ISAKMP SA; ``lifetime_s`` in seconds."""

    proposals: Annotated[tuple[IkeProposal, ...], Field(min_length=1, max_length=32)] = (
        IkeProposal(encryption=IkeEncryption.AES256, hash=IkeHash.SHA256, group=DhGroup.MODP2048),
    )
    lifetime_s: Annotated[int, Field(ge=60, le=86_400)] = 28_800


class Phase2Policy(Model):
    """What is offered and accepted for IPsec SAs; ``lifetime_s`` in seconds."""

    proposals: Annotated[tuple[EspProposal, ...], Field(min_length=1, max_length=32)] = (
        EspProposal(encryption=EspEncryption.AES256GCM16),
        EspProposal(encryption=EspEncryption.AES256, integrity=EspIntegrity.SHA256),
    )
    pfs_group: DhGroup | None = DhGroup.MODP2048
    lifetime_s: Annotated[int, Field(ge=30, le=86_400)] = 3_600


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
