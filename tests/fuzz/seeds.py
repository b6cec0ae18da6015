"""Makes the first corpus: whole exchanges of two engines, and the classical malformed messages."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

from tests.fuzz.targets import TARGETS
from tests.ikev1.pair import LEFT, Network, document, mirrored, peer_row
from vpnengine.ikev1.interface import InitiatePeer, RekeyPeer, TerminatePeer

CORPUS = Path(__file__).parent / "corpus"


def exchanges() -> list[bytes]:
    """Everything that one side sends: main mode, aggressive mode, quick mode, deletes."""
    found = []
    for exchange in ("main", "aggressive"):
        row = peer_row(exchange=exchange)
        network = Network(document(row), document(mirrored(row)))
        network.command(network.left, InitiatePeer("right"))
        network.run(10, lambda network=network: network.pairs_agree(1))
        network.command(network.left, RekeyPeer("right", 2))
        network.run(2)
        network.command(network.left, TerminatePeer("right"))
        found += [transmit.payload for source, transmit in network.sent if source == LEFT]
    return found


def malformed(message: bytes) -> list[bytes]:
    """Lengths of 0, huge and overlapping, loops of next-payload, wrong cookies, flags, exchange types."""
    found = [message[:16] + bytes([kind]) + message[17:] for kind in range(34)]
    found += [message[:18] + bytes([kind]) + message[19:] for kind in (0, 3, 4, 5, 6, 32, 33, 243, 255)]
    found += [message[:19] + bytes([flags]) + message[20:] for flags in (1, 2, 4, 8, 255)]
    found += [message[:24] + struct.pack("!I", length) + message[28:] for length in (0, 27, 28, 0xFFFFFFFF)]
    found += [message[:30] + struct.pack("!H", length) + message[32:] for length in (0, 3, 4, 8, 0xFFFF)]
    found += [message[:28] + bytes([kind]) + message[29:] for kind in (1, 2, 3, 13, 255)]
    return [*found, *(message[:length] for length in range(0, len(message), 5))]


def chains() -> list[bytes]:
    """Payload chains as an authentic peer may send them: notifications, deletes, SA proposals, identities."""
    notify = struct.pack("!BBHIBBH", 0, 0, 12, 1, 1, 0, 24578)
    delete = struct.pack("!BBHIBBH", 0, 0, 16, 1, 3, 4, 1) + bytes(4)
    probe = struct.pack("!BBHIBBH", 0, 0, 32, 1, 1, 16, 36136) + bytes(20)
    identity = struct.pack("!BBHBBH", 0, 0, 16, 4, 0, 0) + bytes((10, 1, 0, 0, 255, 255, 255, 0))
    attributes = struct.pack("!BBHBBH", 0, 0, 8, 1, 0, 7)
    heads = ((0, 11, notify), (0, 12, delete), (0, 11, probe), (1, 5, identity), (2, 14, attributes))
    return [bytes((exchange, first, 0)) + chain for exchange, first, chain in heads]


def write() -> None:
    """Write the seeds, each under the name of its hash."""
    messages = exchanges()
    hostile = [case for message in messages[:2] for case in malformed(message)]
    seeds = {
        "message": [*messages, *hostile],
        "datagram": [bytes([n % 4]) + data for n, data in enumerate([*messages, *hostile])],
        "authentic": chains(),
        "esp": [bytes(24), b"\1" * 40, b"\x45" + bytes(19) + b"\0\4", b"\x60" + bytes(39) + b"\0\x29"],
        "control": [
            b'{"op":"status","id":1}',
            b'{"op":"events","after":3}',
            b'{"op":"trace","peer":"p"}',
            b'{"op":"capture","peer":"p","secrets":true}',
            b'{"op":"apply","config":{"peers":[]}}',
        ],
    }
    assert seeds.keys() == TARGETS.keys()
    for name, rows in seeds.items():
        directory = CORPUS / name
        directory.mkdir(parents=True, exist_ok=True)
        for data in rows:
            (directory / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


if __name__ == "__main__":
    write()
