"""One engine against the recorded messages of the other end, with the recorded randomness and Diffie-Hellman values.

The engine then says what strongSwan said, as far as the protocol leaves no choice. The pre-shared secret was not
recorded, so SKEYID is put in its place. Where our message is another one than the recorded (vendor ids, say), what
follows it in the same chain of IVs is encrypted again under the IV that the engine expects.
"""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pytest

from tests.ikev1.pair import Node
from tests.ikev1.recorded import Opened, Recording
from tests.ikev1.test_live_vectors import esp_transform
from vpnengine.contract.algorithms import DhGroup
from vpnengine.contract.config import parse_config
from vpnengine.crypto import ike_cipher
from vpnengine.crypto.secret import Secret
from vpnengine.ikev1 import authentication, keys, lifecycle, numbers, phase1, quick_mode
from vpnengine.ikev1.endpoint import IkeEndpoint
from vpnengine.ikev1.interface import (
    Command,
    Configure,
    InitiatePeer,
    InstallSa,
    RemoveSa,
    Resolve,
    Resolved,
    Transmit,
)
from vpnengine.isakmp.configuration import Configuration
from vpnengine.isakmp.constants import AUTH_RSA, Exchange, IkeAttribute
from vpnengine.isakmp.message import Header
from vpnengine.isakmp.payloads import KeyExchangeData, NatD, Nonce

HOSTS = {"initiator": "172.31.2.1", "responder": "172.31.2.2"}
NAMES = {"initiator": "cli.r2", "responder": "srv.r2"}
SUBNETS = {"initiator": "10.201.0.1/32", "responder": "10.200.0.0/16"}
LIFETIMES = 15_840, 3_960
USER, PASSWORD = b"bob", b"xpw"
SHARED: dict[str, Any] = {
    "xauth": {"users": [{"name": USER.decode(), "password": "replaced below"}]},
    "pools": [{"name": "vips", "addresses": "10.201.200.0/24", "dns": ["9.9.9.9"]}],
}
RECORDED = 1_795_560_000.0  # 2026-11-24, when the certificates were new


def row(recording: Recording, end: str) -> dict[str, Any]:
    """The peer as the engine at ``end`` configures it, from what was agreed."""
    other = "responder" if end == "initiator" else "initiator"
    transform, pfs = esp_transform(recording)
    group = recording.transform.get(IkeAttribute.GROUP)
    ike = {
        "encryption": recording.encryption.value,
        "hash": recording.hash.value,
        "group": next(g.value for g, n in numbers.GROUP_NUMBERS.items() if n == group),
    }
    esp = {"encryption": transform.encryption.value} | (
        {"integrity": transform.integrity.value} if transform.integrity else {}
    )
    return {
        "id": "peer",
        "name": "Peer",
        "remote": HOSTS[other],
        "psk": "not the secret that was used",
        "exchange": recording.exchange.name.lower(),
        "legacy": True,
        "local_identity": {"type": "fqdn", "value": NAMES[end]},
        "remote_identity": {"type": "fqdn", "value": NAMES[other]},
        "local_subnets": [SUBNETS[end]],
        "remote_subnets": [SUBNETS[other]],
        "start": "responder",
        "phase1": {"proposals": [ike], "lifetime_s": LIFETIMES[0]},
        "phase2": {"proposals": [esp], "pfs_group": pfs, "lifetime_s": LIFETIMES[1]},
    }


class Randomness:
    """The recorded values in the order in which they are asked for, by their size; made-up ones after them."""

    def __init__(self, recording: Recording, end: str) -> None:
        ours = 0 if end == "initiator" else 1
        quick = recording.of_exchange(Exchange.QUICK)
        self._queues: dict[int, list[bytes]] = defaultdict(list)
        self._add(recording.cookies[:8] if end == "initiator" else recording.cookies[8:])
        self._add(recording.of_phase1(Nonce)[ours])
        self._add(fake_nat_d(recording, end))
        for begun in begun_transactions(recording, end):
            self._add(begun.header.message_id.to_bytes(4, "big"))
            self._add(begun.payloads.only(Configuration, "").identifier.to_bytes(2, "big"))
        if end == "initiator":
            self._add(quick[0].header.message_id.to_bytes(4, "big"))
        self._add(recording.spis[ours].to_bytes(4, "big"))
        self._add(quick[ours].payloads.only(Nonce, "").data)
        if end == "initiator":
            for opened in recording.of_exchange(Exchange.INFORMATIONAL):
                self._add(opened.header.message_id.to_bytes(4, "big"))
        self._others = random.Random(1)

    def _add(self, value: bytes) -> None:
        self._queues[len(value)].append(value)

    def __call__(self, count: int) -> bytes:
        queue = self._queues[count]
        return queue.pop(0) if queue else self._others.randbytes(count)


def begun_transactions(recording: Recording, end: str) -> list[Opened]:
    """The first message of each transaction exchange that this end has begun."""
    found: dict[int, Opened] = {}
    for opened in recording.of_exchange(Exchange.TRANSACTION):
        found.setdefault(opened.header.message_id, opened)
    return [opened for opened in found.values() if opened.datagram.from_initiator == (end == "initiator")]


def fake_nat_d(recording: Recording, end: str) -> bytes:
    """What an end made up for its own address; strongSwan's data path needs UDP just as ours does."""
    sent = [p for p in recording.clear if p.first(NatD)]
    if recording.exchange is Exchange.AGGRESSIVE:
        sent.insert(0, recording.opened[0].payloads)
    return sent[0 if end == "initiator" else 1].all(NatD)[1].data


def install(monkeypatch: pytest.MonkeyPatch, recording: Recording, end: str) -> None:
    """Put the recorded Diffie-Hellman values and SKEYID where the engine makes its own."""
    publics = [recording.of_phase1(KeyExchangeData)]
    secrets = [recording.shared]
    if recording.logged("DH secret"):
        quick = recording.of_exchange(Exchange.QUICK)
        publics.append(tuple(o.payloads.only(KeyExchangeData, "").data for o in quick[:2]))  # type: ignore[arg-type]
        secrets.append(Secret(recording.one("DH secret")))
    ours = 0 if end == "initiator" else 1

    class RecordedExchange:
        def __init__(self, group: DhGroup) -> None:
            both = publics.pop(0)
            self.public, self._peer, self._shared = both[ours], both[1 - ours], secrets.pop(0)

        def shared(self, peer_public: bytes) -> Secret:
            assert peer_public == self._peer
            return self._shared

    def skeyid(hash_: object, psk: Secret, nonces: tuple[bytes, bytes]) -> Secret:
        assert nonces == recording.of_phase1(Nonce)
        return Secret(recording.one("SKEYID"))

    monkeypatch.setattr(phase1, "KeyExchange", RecordedExchange)
    monkeypatch.setattr(quick_mode, "KeyExchange", RecordedExchange)
    monkeypatch.setattr(keys, "skeyid_psk", skeyid)
    # strongSwan's initiator had been told to keep what it has, so it does not say INITIAL-CONTACT.
    monkeypatch.setattr(lifecycle, "is_first_contact", lambda peer: False)


class Replay:
    """The engine at one end of a recording."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, recording: Recording, end: str, **changes: Any) -> None:
        self.recording, self.end, self.now = recording, end, 1000.0
        install(monkeypatch, recording, end)
        endpoint = IkeEndpoint(Randomness(recording, end), False, lambda: RECORDED)
        self.node = Node(HOSTS[end], endpoint)
        self.sent: list[bytes] = []
        self._block = ike_cipher.block_length(recording.encryption)
        publics = recording.of_phase1(KeyExchangeData)
        first = keys.phase1_iv(recording.hash, recording.encryption, *publics)
        self._ivs = {0: first}
        self.command(Configure(parse_config({"revision": 1, "peers": [row(recording, end) | changes], **SHARED})))
        # The recorded password is shorter than a configuration may have it.
        endpoint._core.users._passwords = {USER: Secret(PASSWORD)}

    def command(self, command: Command) -> None:
        self.node.endpoint.command(command, self.now)
        self._drain()

    def initiate(self) -> None:
        self.command(InitiatePeer("peer"))

    def wait(self, seconds: float) -> None:
        """Let the timers of this time run."""
        end = self.now + seconds
        while (timer := self.node.endpoint.next_timer()) is not None and timer[0] <= end:
            self.now = max(self.now, timer[0])
            self.node.endpoint.handle_timer(self.now)
            self._drain()
        self.now = end

    def _drain(self) -> None:
        for transmit in self.node.endpoint.transmits():
            self._note(transmit)
        self.node.events += self.node.endpoint.events()
        for effect in self.node.endpoint.effects():
            match effect:
                case InstallSa(pair, outbound):
                    self.node.installed[pair.spi_in] = pair
                    if outbound:
                        self.node.outbound.append(pair.spi_in)
                case RemoveSa(spi_in):
                    self.node.installed.pop(spi_in, None)
                case Resolve(peer_id, host):
                    self.command(Resolved(peer_id, host, self.node.host, host))

    def _note(self, transmit: Transmit) -> None:
        self.sent.append(transmit.payload)
        header = Header.parse(transmit.payload)
        if header.encrypted:
            self._ivs[header.message_id] = transmit.payload[-self._block :]

    def deliver(self, number: int) -> None:
        """Hand over the recorded message of this number, from 0."""
        datagram, message = self.recording.messages[number]
        assert datagram.source.host != self.node.host
        header = Header.parse(message)
        if header.encrypted:
            message = self._chained(header, message)
        self.node.endpoint.receive(message, datagram.destination, datagram.source, self.now)
        self._drain()

    def _chained(self, header: Header, message: bytes) -> bytes:
        number = header.message_id
        opened = next(o for o in self.recording.opened if o.message == message)
        iv = self._ivs.get(number) or keys.exchange_iv(self.recording.hash, self._ivs[0], number)
        body = ike_cipher.encrypt(self.recording.encryption, self.recording.keys.cipher, iv, opened.plain)
        self._ivs[number] = body[-self._block :]
        return header.build(body)

    def run(self) -> None:
        """The whole recording up to the third message of quick mode: each message is ours, or is delivered."""
        last = max(n for n, (_, m) in enumerate(self.recording.messages) if Header.parse(m).exchange == Exchange.QUICK)
        if self.end == "initiator":
            self.initiate()
        for number, (datagram, _) in enumerate(self.recording.messages[: last + 1]):
            if datagram.source.host == self.node.host:
                self.wait(0.06)  # after aggressive mode the first quick mode waits 50 ms
            else:
                self.deliver(number)


def with_user(recording: Recording, end: str) -> dict[str, Any]:
    """What the row of an exchange with XAUTH and Mode Config says in addition."""
    way = "push" if recording.name.endswith("push") else "pull"
    if end == "initiator":
        login = {"role": "client", "user": USER.decode(), "password": PASSWORD.decode()}
        return {"xauth": login, "mode_config": {"role": "client", "way": way}, "local_subnets": []}
    pool = {"role": "server", "way": way, "pool": "vips"}
    return {"xauth": {"role": "server"}, "mode_config": pool, "remote_subnets": []}


def has_user(recording: Recording) -> bool:
    method = recording.transform.get(IkeAttribute.AUTHENTICATION)
    return authentication.METHODS[method or 0].client is not None


def is_certified(recording: Recording) -> bool:
    return recording.transform.get(IkeAttribute.AUTHENTICATION) == AUTH_RSA
