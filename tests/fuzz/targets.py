"""What is fuzzed: each target takes any octets, and no octets may make it raise, hang or grow.

``./culvert fuzz TARGET`` runs one under atheris; ``test_corpus.py`` runs the saved corpus in every test.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable

from tests.ikev1.pair import LEFT, RIGHT, Address, Network, document, mirrored, peer_row
from vpnengine.contract.algorithms import EspEncryption, EspIntegrity
from vpnengine.crypto.secret import Secret
from vpnengine.daemon.control_server import _parse
from vpnengine.dataplane.lookup import allows_inbound
from vpnengine.esp.sa import EspKeys, EspTransform, Selector
from vpnengine.esp.transform import EspError, Inbound, Outbound
from vpnengine.ikev1 import channel, keys
from vpnengine.ikev1.interface import InitiatePeer
from vpnengine.ikev1.model import IsakmpSa, make_peer
from vpnengine.isakmp.constants import Exchange, PayloadType
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import Header, build_payloads, parse_payloads

MAX_SAS = 400
FRESH_EVERY = 500
MESSAGES = 200  # before a fresh peering: message ids are remembered for the life of an ISAKMP SA
_EXCHANGES = (Exchange.INFORMATIONAL, Exchange.QUICK, Exchange.TRANSACTION, Exchange.MAIN)


def message(data: bytes) -> None:
    """Header and payloads: a value or ``DecodeError``; what was parsed can be built again."""
    for first, chain in ((data[0] if data else 0, data[1:]), (data[16] if len(data) > 16 else 0, data[28:])):
        try:
            Header.parse(data)
        except DecodeError as error:
            assert error.rule
        try:
            payloads = parse_payloads(first, chain)
        except DecodeError as error:
            assert error.rule and error.offset >= 0
        else:
            again, body = build_payloads(payloads.values)
            assert parse_payloads(again, body).values == payloads.values


def _responder() -> Network:
    """Our engine with a peer at an address, and one that may be anywhere and use aggressive mode."""
    anybody = mirrored(peer_row(id="any", name="Anybody"))
    anybody |= {"id": "any", "name": "Anybody", "remote": "any", "exchange": "aggressive"}
    anybody |= {"local_subnets": ["10.8.0.0/24"], "remote_subnets": ["10.9.0.0/24"]}
    return Network(document(peer_row()), document(mirrored(peer_row()), anybody))


class _Datagrams:
    """Unauthenticated datagrams to an engine that keeps its state from one to the next."""

    def __init__(self) -> None:
        self._network = _responder()
        self._count = itertools.count()

    def __call__(self, data: bytes) -> None:
        """The first octet chooses who has sent the rest, and where to."""
        if not data:
            return
        network, chosen = self._network, data[0]
        source = LEFT if chosen & 1 else f"198.51.100.{chosen >> 2}"
        port = 4500 if chosen & 2 else 500
        network.right.endpoint.receive(data[1:], Address(RIGHT, port), Address(source, port), network.now)
        network.now += 0.01
        network.drain(network.right)
        network.flying.clear()
        network.sent.clear()
        network.right.events.clear()
        if next(self._count) % FRESH_EVERY == 0:
            network.now += 60
            network.right.endpoint.handle_timer(network.now)
        core = network.right.endpoint._core
        assert len(core.sas) <= MAX_SAS and not network.right.installed


class _Authentic:
    """A peer that knows the keys and sends whatever it likes under them."""

    def __init__(self) -> None:
        self._left = MESSAGES
        self._begin()

    def _begin(self) -> None:
        self._network = Network(document(peer_row()), document(mirrored(peer_row())))
        self._network.command(self._network.left, InitiatePeer("right"))
        assert self._network.run(10, lambda: self._network.pairs_agree(1))
        self._left = MESSAGES

    def __call__(self, data: bytes) -> None:
        """Exchange, first payload type, flags of the hash, then a chain of payloads."""
        if len(data) < 3:
            return
        sas = self._network.left.endpoint._core.sas
        self._left -= 1
        if not self._left or not self._network.right.endpoint._core.sas:
            self._begin()
            sas = self._network.left.endpoint._core.sas
        sa = next(iter(sas.values()))
        datagram = self._sealed(sa, _EXCHANGES[data[0] % len(_EXCHANGES)], data[1], data[2] & 1 == 0, data[3:])
        node = self._network.right
        node.endpoint.receive(datagram, Address(RIGHT, 500), Address(LEFT, 500), self._network.now)
        self._network.now += 0.01
        node.events += node.endpoint.events()
        node.endpoint.transmits()
        node.endpoint.effects()
        node.events.clear()
        core = node.endpoint._core
        assert len(core.sas) <= MAX_SAS and len(core.pairs) <= MAX_SAS

    def _sealed(self, sa: IsakmpSa, exchange: Exchange, first: int, hashed: bool, chain: bytes) -> bytes:
        phase1, proposal = channel.agreed(sa)
        number = int.from_bytes(os.urandom(4), "big") or 1
        iv = keys.exchange_iv(proposal.hash, sa.iv, number)
        if not hashed:
            return channel.seal(sa, exchange, number, first, chain, iv)[0]
        digest = keys.message_hash(proposal.hash, phase1, number, chain)
        head = bytes([first, 0]) + (len(digest) + 4).to_bytes(2, "big") + digest
        return channel.seal(sa, exchange, number, PayloadType.HASH, head + chain, iv)[0]


class _Esp:
    """ESP packets: arbitrary ones, and arbitrary contents under the right keys."""

    def __init__(self) -> None:
        gcm = EspTransform(EspEncryption.AES128GCM16, None), EspKeys(Secret(bytes(20)), None)
        cbc = (
            EspTransform(EspEncryption.AES128, EspIntegrity.SHA256),
            EspKeys(Secret(bytes(16)), Secret(bytes(32))),
        )
        self._selector: Selector = make_peer(document(peer_row()).peers[0]).selectors[0]
        self._inbound = [Inbound(*suite, os.urandom) for suite in (gcm, cbc)]
        self._outbound = [Outbound(1, *suite, os.urandom) for suite in (gcm, cbc)]

    def __call__(self, data: bytes) -> None:
        for inbound, outbound in zip(self._inbound, self._outbound, strict=True):
            for packet in (data, self._around(outbound, data)):
                try:
                    inner = inbound.open(packet)
                except EspError as error:
                    assert error.reason
                else:
                    if inner is not None:
                        allows_inbound(self._selector, inner)

    def _around(self, outbound: Outbound, data: bytes) -> bytes:
        """An authentic packet whose protected part is ``data``: padding, next header and all."""
        outbound.sequence += 1
        header = (1).to_bytes(4, "big") + outbound.sequence.to_bytes(4, "big")
        block = outbound._cipher.block
        return header + outbound._cipher.seal(header, outbound.sequence, data + bytes(-len(data) % block))


def control(data: bytes) -> None:
    """A line of the control socket: a request or a refusal."""
    _parse(data)


TARGETS: dict[str, Callable[[], Callable[[bytes], None]]] = {
    "message": lambda: message,
    "datagram": _Datagrams,
    "authentic": _Authentic,
    "esp": _Esp,
    "control": lambda: control,
}
