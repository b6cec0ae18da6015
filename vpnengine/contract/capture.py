"""Messages as they went over the wire, and if so asked the secrets that open them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CapturedMessage(_Model):
    """One ISAKMP message or fragment, in hexadecimal and without the non-ESP marker.

    ``at`` is in seconds since 1970; ``natt`` is True if the marker goes before it (RFC 3948 section 2.2).
    """

    at: float
    source: str
    source_port: int
    destination: str
    destination_port: int
    natt: bool
    data: str


class EspSecrets(_Model):
    """One SA in one direction, with its keys in hexadecimal; for AES-GCM and the like salt or nonce follow the key."""

    protocol: Literal["esp", "ah"]
    source: str
    destination: str
    spi: str
    encryption: str
    integrity: str | None
    esn: bool
    encryption_key: str = Field(repr=False)
    integrity_key: str = Field(repr=False)


class CapturedNegotiation(_Model):
    """One ISAKMP SA. ``encryption_key`` opens its encrypted messages; it and ``esp`` are empty unless asked for."""

    negotiation: str
    messages: tuple[CapturedMessage, ...]
    left_out: int
    encryption_key: str = Field(default="", repr=False)
    esp: tuple[EspSecrets, ...] = ()
