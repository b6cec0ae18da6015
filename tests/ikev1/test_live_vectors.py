"""Recorded exchanges of two strongSwan: our parser, key derivation, hashes and decryption give what theirs gave."""

from __future__ import annotations

import ipaddress

import pytest

from tests.ikev1.recorded import LOG, MISMATCH, NAMES, Opened, Recording
from vpnengine.contract.algorithms import DhGroup, EspEncryption, EspIntegrity
from vpnengine.crypto import ike_cipher
from vpnengine.crypto.secret import Secret
from vpnengine.esp.sa import Address, EspTransform
from vpnengine.esp.transform import EspError, Inbound
from vpnengine.ikev1 import keys, natt, numbers
from vpnengine.isakmp.constants import AUTH_RSA, EspAttribute, Exchange, IkeAttribute, PayloadType
from vpnengine.isakmp.message import Header, build_payloads, parse_payloads
from vpnengine.isakmp.payloads import Hash, Identification, KeyExchangeData, NatD, Nonce, Opaque
from vpnengine.isakmp.sa_payload import SecurityAssociation

COMPLETE = tuple(name for name in NAMES if name != MISMATCH)


@pytest.fixture(scope="module", params=NAMES)
def any_recording(request: pytest.FixtureRequest) -> Recording:
    return Recording(request.param)


@pytest.fixture(scope="module", params=COMPLETE)
def recording(request: pytest.FixtureRequest) -> Recording:
    """One that came to an end."""
    return Recording(request.param)


def test_every_message_is_built_as_it_came(any_recording: Recording) -> None:
    """Parsed payloads give the same octets again, so nothing in them is lost."""
    chains = [(Header.parse(m), m[28:]) for _, m in any_recording.messages]
    chains = [(h, body) for h, body in chains if not h.encrypted]
    chains += [(opened.header, opened.plain) for opened in any_recording.opened]
    for header, body in chains:
        payloads = parse_payloads(header.next_payload, body)
        first, built = build_payloads(payloads.values)
        assert (first, built) == (header.next_payload, body[: payloads.ends[-1]])
        assert not any(body[payloads.ends[-1] :]), "padding"
        assert header.build(body)[:24] == any_recording_header(any_recording, header)


def any_recording_header(recording: Recording, header: Header) -> bytes:
    return next(m[:24] for _, m in recording.messages if Header.parse(m) == header)


def test_what_is_not_known_to_the_parser(any_recording: Recording) -> None:
    """Only attributes of the transaction exchange may be opaque."""
    everything = [v for o in any_recording.opened for v in o.payloads.values]
    everything += [v for p in any_recording.clear for v in p.values]
    assert {v.kind for v in everything if isinstance(v, Opaque)} <= {PayloadType.ATTRIBUTES}


def test_skeyid_family(any_recording: Recording) -> None:
    derived = any_recording.keys
    for name in ("SKEYID", "SKEYID_d", "SKEYID_a", "SKEYID_e"):
        assert getattr(derived, name.lower()).reveal() == any_recording.one(name)
    assert derived.cipher.reveal() == any_recording.one("encryption key Ka")
    if any_recording.transform.get(IkeAttribute.AUTHENTICATION) == AUTH_RSA:
        nonces = any_recording.of_phase1(Nonce)
        assert keys.skeyid_signature(any_recording.hash, any_recording.shared, nonces) == derived.skeyid


def test_ka_is_expanded_for_3des_with_sha1() -> None:
    recording = Recording("aggr-psk-3des-sha1-modp1024")
    assert len(recording.one("SKEYID_e")) == 20 and len(recording.keys.cipher) == 24


def test_ivs(any_recording: Recording) -> None:
    """The first IV, the first of each exchange, and the last block of every message as the next one."""
    block = ike_cipher.block_length(any_recording.encryption)
    publics = any_recording.of_phase1(KeyExchangeData)
    assert keys.phase1_iv(any_recording.hash, any_recording.encryption, *publics) == any_recording.one("initial IV")
    last = any_recording.one("initial IV")
    for opened in any_recording.opened:
        number = opened.header.message_id
        logged = any_recording.logged(f"next IV for MID {number}")
        if number:
            first = keys.exchange_iv(any_recording.hash, last, number)
            assert first in logged or any(o.message[-block:] == first for o in any_recording.opened)
        else:
            last = opened.message[-block:]
        assert opened.message[-block:] in logged or _is_last(any_recording, opened)


def _is_last(recording: Recording, opened: Opened) -> bool:
    """The IV after the last message of an exchange, or of phase 1, is not always logged."""
    return [o for o in recording.opened if o.header.message_id == opened.header.message_id][-1] is opened


@pytest.mark.parametrize("end", ["I", "R"])
def test_hash_i_and_hash_r(recording: Recording, end: str) -> None:
    order = 1 if end == "I" else -1
    publics = recording.of_phase1(KeyExchangeData)[::order]
    cookies = b"".join((recording.cookies[:8], recording.cookies[8:])[::order])
    body = recording.clear[0].body_of(SecurityAssociation) + _identity(recording, end == "I")
    digest = keys.auth_hash(recording.hash, recording.keys, publics, cookies, body)
    assert digest == recording.one(f"HASH_{end}")
    assert publics[0] + publics[1] + cookies + body == recording.one(f"HASH_{end} data")


def _identity(recording: Recording, initiator: bool) -> bytes:
    """The body of an end's phase 1 ID payload."""
    if recording.exchange is Exchange.AGGRESSIVE:
        return recording.clear[0 if initiator else 1].body_of(Identification)
    found = [o for o in recording.of_exchange(Exchange.MAIN) if o.datagram.from_initiator is initiator]
    return found[0].payloads.body_of(Identification)


def test_hashes_after_phase_1(recording: Recording) -> None:
    """Quick, informational and transaction exchanges: each HASH payload is what we compute."""
    quick = recording.of_exchange(Exchange.QUICK)
    nonces = tuple(o.payloads.only(Nonce, "").data for o in quick[:2])
    checked = 0
    for opened in recording.opened:
        if opened.header.exchange in (Exchange.MAIN, Exchange.AGGRESSIVE):
            continue
        number, payloads = opened.header.message_id, opened.payloads
        rest = opened.plain[payloads.ends[0] : payloads.ends[-1]]
        if opened is quick[2]:
            expected = keys.quick_hash_3(recording.hash, recording.keys, number, (nonces[0], nonces[1]))
        else:
            parts = (nonces[0], rest) if opened is quick[1] else (rest,)
            expected = keys.message_hash(recording.hash, recording.keys, number, *parts)
        assert payloads.only(Hash, "").data == expected
        checked += 1
    assert checked >= 5


def test_nat_d(any_recording: Recording) -> None:
    """Of the two hashes the first is of the destination; libipsec makes up its own address."""
    cookies, hash_ = any_recording.cookies, any_recording.hash
    for chunk, digest in zip(any_recording.logged("natd_chunk"), any_recording.logged("natd_hash"), strict=True):
        address = Address(str(ipaddress.ip_address(chunk[16:20])), int.from_bytes(chunk[20:], "big"))
        assert natt.nat_d_hash(hash_, cookies, address) == digest
    # Main mode has them before the float to port 4500, message 3 of aggressive mode after it.
    third = any_recording.opened[0] if any_recording.exchange is Exchange.AGGRESSIVE else None
    sent = [(500, p.all(NatD)) for p in any_recording.clear if p.first(NatD)]
    sent = [(4500, third.payloads.all(NatD)), *sent] if third else sent
    hosts = ("172.31.2.2", "172.31.2.1")
    for (port, payloads), (local, remote) in zip(sent, (hosts, hosts[::-1]), strict=True):
        found = natt.detect(hash_, cookies, Address(local, port), Address(remote, port), payloads, forced=False)
        assert (found.local, found.remote) == (False, True)


def esp_transform(recording: Recording) -> tuple[EspTransform, DhGroup | None]:
    """What the responder of the quick mode chose."""
    answer = recording.of_exchange(Exchange.QUICK)[1].payloads.only(SecurityAssociation, "")
    chosen = answer.proposals[0].transforms[0]
    wanted = chosen.id, chosen.get(EspAttribute.KEY_LENGTH)
    encryption = next(EspEncryption(e) for e, number in numbers.ESP_CIPHERS.items() if number == wanted)
    hmac = chosen.get(EspAttribute.AUTHENTICATION)
    integrity = next((EspIntegrity(i) for i, number in numbers.INTEGRITY_NUMBERS.items() if number == hmac), None)
    group = chosen.get(EspAttribute.GROUP)
    return EspTransform(encryption, integrity), next((g for g, n in numbers.GROUP_NUMBERS.items() if n == group), None)


def sa_keys(recording: Recording, spi: int) -> keys.EspKeys:
    quick = recording.of_exchange(Exchange.QUICK)
    nonces = quick[0].payloads.only(Nonce, "").data, quick[1].payloads.only(Nonce, "").data
    transform, group = esp_transform(recording)
    shared = Secret(recording.one("DH secret")) if group else None
    return keys.esp_keys(recording.hash, recording.keys, transform, spi, nonces, shared)


def test_esp_keys(recording: Recording) -> None:
    received, sent = recording.spis
    for spi, end in ((sent, "initiator"), (received, "responder")):
        ours = sa_keys(recording, spi)
        assert ours.encryption.reveal() == recording.one(f"encryption {end} key")
        logged = recording.logged(f"integrity {end} key")
        assert ([ours.integrity.reveal()] if ours.integrity else []) == logged


def test_esp_packets_open(recording: Recording) -> None:
    """Three datagrams to a UDP echo server and its answers, each accepted once, and not at all with a bit changed."""
    transform, _ = esp_transform(recording)
    ends = {spi: Inbound(transform, sa_keys(recording, spi), bytes) for spi in recording.spis}
    inside = []
    assert len(recording.esp) == 6
    for datagram in recording.esp:
        inbound = ends[int.from_bytes(datagram.data[:4], "big")]
        for position in (3, 7, 9, len(datagram.data) // 2, len(datagram.data) - 1):
            wrong = bytearray(datagram.data)
            wrong[position] ^= 1
            if position != 3:  # the SPI only chooses the SA where there is no ICV over it
                with pytest.raises(EspError):
                    inbound.open(bytes(wrong))
        packet = inbound.open(datagram.data)
        assert packet is not None and packet[9] == 17 and int.from_bytes(packet[2:4], "big") == len(packet)
        inside.append((packet[12:16], packet[20:22], packet[28:]))
        with pytest.raises(EspError, match="replayed"):
            inbound.open(datagram.data)
    assert [data for _, _, data in inside[::2]] == [data for _, _, data in inside[1::2]]
    assert len({host for host, _, _ in inside}) == 2


def test_a_wrong_secret_gives_garbage() -> None:
    """Message 5 opens under the initiator's keys alone, and HASH_I in it is the initiator's."""
    recording = Recording(MISMATCH)
    fifth = recording.of_exchange(Exchange.MAIN)[0]
    assert fifth.payloads.only(Hash, "").data == recording.one("HASH_I")
    assert not [o for o in recording.opened if not o.datagram.from_initiator]


def test_the_log_is_whole() -> None:
    assert len(LOG) == 8 and len(COMPLETE) == 7
