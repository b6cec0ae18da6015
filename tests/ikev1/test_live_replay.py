"""Recorded exchanges, each end in turn played by our engine: it says what strongSwan said, and agrees on its keys."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ikev1.recorded import MISMATCH, NAMES, Recording
from tests.ikev1.replay import Replay, has_user, is_certified, row, with_user
from tests.ikev1.test_live_vectors import sa_keys
from tests.ikev1.test_vectors_rsa import VECTOR
from vpnengine.crypto.secret import Secret
from vpnengine.esp.transform import Inbound
from vpnengine.ikev1 import keys
from vpnengine.ikev1.interface import TerminatePeer
from vpnengine.isakmp.configuration import Configuration
from vpnengine.isakmp.constants import HEADER_LENGTH, Exchange, PayloadType
from vpnengine.isakmp.message import Header, parse_payloads
from vpnengine.isakmp.payloads import Nonce
from vpnengine.isakmp.sa_payload import SecurityAssociation

REPLAYED = [name for name in NAMES if name != MISMATCH]


@pytest.fixture(params=REPLAYED)
def recording(request: pytest.FixtureRequest) -> Recording:
    return Recording(request.param)


def changes(recording: Recording, end: str) -> dict[str, Any]:
    if has_user(recording):
        return with_user(recording, end)
    if not is_certified(recording):
        return {}
    return {
        "authentication": "rsa",
        "psk": None,
        "certificate": VECTOR[end],
        "private_key": VECTOR[f"{end}_key"],
        "trusted_cas": [VECTOR["ca"]],
    }


@pytest.mark.parametrize("end", ["initiator", "responder"])
def test_an_exchange_ends_in_the_recorded_keys(monkeypatch: pytest.MonkeyPatch, recording: Recording, end: str) -> None:
    replay = Replay(monkeypatch, recording, end, **changes(recording, end))
    replay.run()
    received, sent = recording.spis if end == "initiator" else recording.spis[::-1]
    assert list(replay.node.installed) == [received], replay.node.codes()
    pair = replay.node.installed[received]
    assert (pair.spi_in, pair.spi_out, pair.udp) == (received, sent, True)
    assert pair.keys_in == sa_keys(recording, received) and pair.keys_out == sa_keys(recording, sent)
    assert pair.remote.port == 4500
    replay.wait(1)
    assert replay.node.outbound == [received]
    assert not [event for event in replay.node.events if event.severity == "error"]


PLAIN = ("main-psk-modp2048-aes256-sha256", "main-psk-aes128-sha512-ecp256-ctr", "main-psk-pfs-gcm")


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize(("end", "same"), [("initiator", (1, 2)), ("responder", (1, 2, 3))])
def test_messages_are_the_recorded_ones(
    monkeypatch: pytest.MonkeyPatch, name: str, end: str, same: tuple[int, ...]
) -> None:
    """Octet by octet: 3 and 5 of main mode; 4 and 6 of main mode and 2 of quick mode.

    The first message has other vendor ids, but the SA payload, which the hashes cover, is the same.
    """
    recording = Recording(name)
    replay = Replay(monkeypatch, recording, end)
    replay.run()
    theirs = [m for d, m in recording.messages if d.source.host == replay.node.host]
    for number in same:
        assert replay.sent[number] == theirs[number], number
    chains = [parse_payloads(PayloadType.SA, messages[0][HEADER_LENGTH:]) for messages in (replay.sent, theirs)]
    assert chains[0].body_of(SecurityAssociation) == chains[1].body_of(SecurityAssociation)


USERS = ("xauth-psk-modecfg-pull", "xauth-psk-modecfg-push")


@pytest.mark.parametrize("name", USERS)
@pytest.mark.parametrize("end", ["initiator", "responder"])
def test_a_user_and_an_address_are_told_as_recorded(monkeypatch: pytest.MonkeyPatch, name: str, end: str) -> None:
    """XAUTH octet by octet, but for a block of padding that strongSwan adds where none is needed; the same address."""
    recording = Recording(name)
    replay = Replay(monkeypatch, recording, end, **changes(recording, end))
    replay.run()
    ours = [m for m in replay.sent if Header.parse(m).exchange == Exchange.TRANSACTION]
    said = [o for o in recording.of_exchange(Exchange.TRANSACTION) if o.datagram.source.host == replay.node.host]
    assert len(ours) == len(said) == 3
    for mine, theirs in zip(ours, said, strict=True):
        assert Header.parse(mine).message_id == theirs.header.message_id
        if theirs.payloads.only(Configuration, "").is_xauth:
            assert theirs.message[HEADER_LENGTH:].startswith(mine[HEADER_LENGTH:])
    replay.wait(1)
    (status,) = replay.node.endpoint.peer_statuses(replay.now)
    assert status.phase1 is not None and status.phase1.state == "established"
    assert status.sas[0].state == "mature"
    if end == "initiator":
        assert status.assigned == "10.201.200.1"
        assert {"ike.xauth.accepted", "ike.config.assigned"} <= set(replay.node.codes())
        assert replay.node.last("ike.config.assigned").evidence["DNS"] == "9.9.9.9"
        return
    assert [(client.name, client.address) for client in status.clients] == [("bob", "10.201.200.1")]
    assert {"ike.xauth.passed", "ike.config.leased"} <= set(replay.node.codes())


@pytest.mark.parametrize("name", USERS)
def test_another_password_ends_a_recorded_login(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The recorded client shows what it has shown; the engine knows the user by another password."""
    recording = Recording(name)
    replay = Replay(monkeypatch, recording, "responder", **changes(recording, "responder"))
    replay.node.endpoint._core.users._passwords = {b"bob": Secret(b"something else")}
    for number in (0, 2, 4, 7):
        replay.deliver(number)
    assert "ike.xauth.failed" in replay.node.codes() and "ike.phase1.established" not in replay.node.codes()
    assert not replay.node.installed


@pytest.mark.parametrize("name", [*PLAIN, *USERS, "aggr-psk-3des-sha1-modp1024", "main-rsa-cert"])
def test_recorded_deletes_take_it_all_down(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    recording = Recording(name)
    replay = Replay(monkeypatch, recording, "responder", **changes(recording, "responder"))
    replay.run()
    received, _ = recording.spis[::-1]
    keys_in = replay.node.installed[received].keys_in
    inbound = Inbound(replay.node.installed[received].transform, keys_in, bytes)
    packets = [d.data for d in recording.esp if d.from_initiator]
    assert [inbound.open(packet) is not None for packet in packets] == [True] * 3
    last = len(recording.messages) - 1
    replay.deliver(last - 1)
    assert not replay.node.installed
    replay.deliver(last)
    assert "ike.phase1.peer_deleted" in replay.node.codes()
    (peer,) = replay.node.endpoint.peer_statuses(replay.now)
    assert peer.phase1 is None or peer.phase1.state != "established"


@pytest.mark.parametrize("name", PLAIN)
def test_our_deletes_begin_like_theirs(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Same keys, IVs and payloads; strongSwan only adds a block of padding where none is needed."""
    recording = Recording(name)
    replay = Replay(monkeypatch, recording, "initiator")
    replay.run()
    replay.wait(1)
    # The IV of an exchange comes from the last block of phase 1, which is the responder's own.
    replay.command(TerminatePeer("peer"))
    theirs = [m for _, m in recording.messages][-2:]
    for ours, recorded in zip(replay.sent[-2:], theirs, strict=True):
        assert Header.parse(ours).message_id == Header.parse(recorded).message_id
        assert recorded[HEADER_LENGTH:].startswith(ours[HEADER_LENGTH:])


def test_a_message_of_another_secret_is_suspected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The responder holds another secret: it cannot read message 5, says so once, and installs nothing."""
    good = Recording("main-psk-modp2048-aes256-sha256")
    recording = Recording(MISMATCH)
    monkeypatch.setattr("tests.ikev1.replay.row", lambda _, end: row(good, end))
    monkeypatch.setattr("tests.ikev1.replay.Randomness", lambda _, end: Randomness(recording))
    replay = Replay(monkeypatch, recording, "responder")
    monkeypatch.setattr(keys, "skeyid_psk", lambda *_: Secret(bytes(range(32))))
    replay.deliver(0)
    replay.deliver(2)
    monkeypatch.setattr(replay, "_chained", lambda header, message: message)
    replay.deliver(4)
    replay.deliver(4)
    assert replay.node.codes().count("ike.phase1.psk_suspect") == 1
    assert not replay.node.installed
    event = replay.node.last("ike.phase1.psk_suspect")
    assert "Pre-shared secret" in (event.hint or "")


class Randomness:
    """The cookie and nonce of a responder, then fixed octets."""

    def __init__(self, recording: Recording) -> None:
        self._cookie, self._nonce = recording.cookies[8:], [recording.of_phase1(Nonce)[1]]

    def __call__(self, count: int) -> bytes:
        if count == 32 and self._nonce:
            return self._nonce.pop()
        return self._cookie if count == 8 else b"\x55" * count
