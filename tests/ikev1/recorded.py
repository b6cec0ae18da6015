"""Exchanges between two strongSwan 5.9.8, recorded in the lab: what was on the wire, and every key behind it."""

from __future__ import annotations

import ipaddress
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vpnengine.contract.algorithms import IkeEncryption, IkeHash
from vpnengine.crypto import ike_cipher
from vpnengine.crypto.secret import Secret
from vpnengine.esp.sa import Address
from vpnengine.ikev1 import keys, numbers
from vpnengine.isakmp.constants import HEADER_LENGTH, Exchange, IkeAttribute
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import Header, Payloads, parse_payloads
from vpnengine.isakmp.payloads import KeyExchangeData, Nonce
from vpnengine.isakmp.sa_payload import SecurityAssociation, Transform

DIRECTORY = Path(__file__).parent.parent / "data/ikev1-live"
LOG: dict[str, Any] = json.loads((DIRECTORY / "keys.json").read_text())
NAMES = tuple(LOG)
MISMATCH = "psk-mismatch"
INITIATOR = "172.31.2.1"
_ENHANCED_PACKET, _IPV4, _UDP = 6, 0x0800, 17


@dataclass(frozen=True)
class Datagram:
    """One UDP datagram."""

    source: Address
    destination: Address
    data: bytes

    @property
    def from_initiator(self) -> bool:
        return self.source.host == INITIATOR

    @property
    def isakmp(self) -> bytes | None:
        """The ISAKMP message inside, without the non-ESP marker (RFC 3948 section 2.2); None for ESP."""
        if self.source.port == 500:
            return self.data
        return self.data[4:] if self.data[:4] == bytes(4) else None


def datagrams(path: Path) -> Iterator[Datagram]:
    """The UDP datagrams of a little-endian pcapng file of Ethernet frames."""
    octets, position = path.read_bytes(), 0
    while position < len(octets):
        kind, length = struct.unpack_from("<II", octets, position)
        if kind == _ENHANCED_PACKET:
            captured = struct.unpack_from("<I", octets, position + 20)[0]
            frame = octets[position + 28 : position + 28 + captured]
            if struct.unpack_from("!H", frame, 12)[0] == _IPV4 and frame[23] == _UDP:
                yield _datagram(frame[14:])
        position += length


def _datagram(packet: bytes) -> Datagram:
    header = (packet[0] & 15) * 4
    source, destination, length = struct.unpack_from("!HHH", packet, header)
    hosts = [str(ipaddress.ip_address(packet[at : at + 4])) for at in (12, 16)]
    data = packet[header + 8 : header + length]
    return Datagram(Address(hosts[0], source), Address(hosts[1], destination), data)


@dataclass(frozen=True)
class Opened:
    """One message: its header, its payloads, and their octets in the clear with the padding."""

    datagram: Datagram
    message: bytes
    header: Header
    payloads: Payloads
    plain: bytes


class Recording:
    """One recorded exchange."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.datagrams = list(datagrams(DIRECTORY / f"{name}.pcapng"))
        self.cookies = bytes.fromhex("".join(LOG[name]["cookies"]))
        found = [(d, m) for d in self.datagrams if (m := d.isakmp) is not None]
        self.messages = list({message: (datagram, message) for datagram, message in found}.values())  # without repeats
        self.esp = [d for d in self.datagrams if d.isakmp is None]

    def logged(self, name: str) -> list[bytes]:
        """Every value that was logged under this name, in order."""
        return [bytes.fromhex(value) for what, value in LOG[self.name]["events"] if what == name]

    def one(self, name: str) -> bytes:
        """The first value of this name."""
        return self.logged(name)[0]

    @property
    def spis(self) -> tuple[int, int]:
        """What the initiator receives and sends with."""
        row = next(value for what, value in LOG[self.name]["events"] if what.startswith("ESP SPIs"))
        return int(row[0], 16), int(row[1], 16)

    @property
    def exchange(self) -> Exchange:
        return Exchange(Header.parse(self.messages[0][1]).exchange)

    @property
    def clear(self) -> list[Payloads]:
        """The payloads of the phase 1 messages in the clear."""
        headers = [(Header.parse(message), message) for _, message in self.messages]
        return [parse_payloads(h.next_payload, m[HEADER_LENGTH:]) for h, m in headers if not h.encrypted]

    @property
    def transform(self) -> Transform:
        """What was chosen for phase 1."""
        return self.clear[1].only(SecurityAssociation, "SA").proposals[0].transforms[0]

    @property
    def hash(self) -> IkeHash:
        number = self.transform.get(IkeAttribute.HASH)
        return next(h for h, n in numbers.HASH_NUMBERS.items() if n == number)

    @property
    def encryption(self) -> IkeEncryption:
        wanted = self.transform.get(IkeAttribute.ENCRYPTION), self.transform.get(IkeAttribute.KEY_LENGTH)
        return next(e for e, (n, bits) in numbers.IKE_CIPHERS.items() if (n, bits or None) == wanted)

    def of_phase1(self, kind: type[KeyExchangeData] | type[Nonce]) -> tuple[bytes, bytes]:
        """The initiator's and the responder's public value or nonce."""
        found = [value.data for payloads in self.clear if (value := payloads.first(kind)) is not None]
        return found[0], found[1]

    @property
    def shared(self) -> Secret:
        return Secret(self.one("shared Diffie Hellman secret"))

    @cached_property
    def keys(self) -> keys.Phase1Keys:
        """Derived by us from the recorded SKEYID: the pre-shared secret itself was not recorded."""
        return keys.phase1_keys(self.hash, self.encryption, Secret(self.one("SKEYID")), self.shared, self.cookies)

    @cached_property
    def opened(self) -> list[Opened]:
        """Every encrypted message, in order, each exchange with its own chain of IVs."""
        block = ike_cipher.block_length(self.encryption)
        phase1 = keys.phase1_iv(self.hash, self.encryption, *self.of_phase1(KeyExchangeData))
        chains = {0: phase1}
        found = []
        for datagram, message in self.messages:
            header, body = Header.parse(message), message[HEADER_LENGTH:]
            if not header.encrypted:
                continue
            iv = chains.get(header.message_id)
            if iv is None:
                iv = keys.exchange_iv(self.hash, chains[0], header.message_id)
            chains[header.message_id] = body[-block:]
            plain = ike_cipher.decrypt(self.encryption, self.keys.cipher, iv, body)
            try:
                payloads = parse_payloads(header.next_payload, plain)
            except DecodeError:
                if self.name == MISMATCH and not datagram.from_initiator:
                    continue  # its keys come from another secret, and were not logged
                raise
            found.append(Opened(datagram, message, header, payloads, plain))
        return found

    def of_exchange(self, exchange: Exchange) -> list[Opened]:
        """The encrypted messages of one exchange type."""
        return [message for message in self.opened if message.header.exchange == exchange]
