"""Whole messages and the secrets behind them, for an owner who has started the engine with ``--keep-messages``.

Otherwise there is no ``Kept`` anywhere, and an SA's secrets end with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from vpnengine.contract.capture import CapturedMessage, CapturedNegotiation, EspSecrets
from vpnengine.crypto.secret import Secret
from vpnengine.esp.sa import Address, EspKeys, IpsecSaPair

MAX_OCTETS = 256 * 1024  # of one negotiation
FIRST = 12  # messages that are never pushed out: without phase 1 nothing after it can be read
MAX_PAIRS = 16


class KeptMessage(NamedTuple):
    """One datagram without the non-ESP marker."""

    at: float
    source: Address
    destination: Address
    data: bytes


@dataclass(slots=True, eq=False)
class Kept:
    """What is kept of one negotiation."""

    messages: list[KeptMessage] = field(default_factory=list)
    octets: int = 0
    left_out: int = 0
    cipher: Secret | None = None
    pairs: list[IpsecSaPair] = field(default_factory=list)

    def add(self, message: KeptMessage) -> int:
        """Keep a message; the oldest after the first ones make room. Returns by how many octets it has grown."""
        before = self.octets
        self.messages.append(message)
        self.octets += len(message.data)
        while self.octets > MAX_OCTETS and len(self.messages) > FIRST:
            self.octets -= len(self.messages.pop(FIRST).data)
            self.left_out += 1
        return self.octets - before

    def add_pair(self, pair: IpsecSaPair) -> None:
        """Keep the keys of a pair."""
        self.pairs.append(pair)
        del self.pairs[:-MAX_PAIRS]

    def report(self, negotiation: str, wall: float, natt_port: int, secrets: bool) -> CapturedNegotiation:
        """In the words of the contract; the one way by which secrets leave. ``wall`` is the clock at time 0."""
        messages = tuple(_message(message, wall, natt_port) for message in self.messages)
        found = CapturedNegotiation(negotiation=negotiation, messages=messages, left_out=self.left_out)
        if not secrets:
            return found
        esp = tuple(one for pair in self.pairs for one in _both(pair))
        key = self.cipher.reveal().hex() if self.cipher else ""
        return found.model_copy(update={"encryption_key": key, "esp": esp})


def _message(message: KeptMessage, wall: float, natt_port: int) -> CapturedMessage:
    return CapturedMessage(
        at=round(wall + message.at, 6),
        source=message.source.host,
        source_port=message.source.port,
        destination=message.destination.host,
        destination_port=message.destination.port,
        natt=natt_port in (message.source.port, message.destination.port),
        data=message.data.hex(),
    )


def _both(pair: IpsecSaPair) -> tuple[EspSecrets, EspSecrets]:
    there = _one(pair, pair.spi_out, pair.keys_out, pair.local.host, pair.remote.host)
    return _one(pair, pair.spi_in, pair.keys_in, pair.remote.host, pair.local.host), there


def _one(pair: IpsecSaPair, spi: int, keys: EspKeys, source: str, destination: str) -> EspSecrets:
    transform = pair.transform
    return EspSecrets(
        protocol=transform.protocol,
        source=source,
        destination=destination,
        spi=f"{spi:08x}",
        encryption=transform.encryption.value,
        integrity=transform.integrity.value if transform.integrity else None,
        esn=transform.esn,
        encryption_key=keys.encryption.reveal().hex(),
        integrity_key=keys.integrity.reveal().hex() if keys.integrity else "",
    )
