"""ESP of the native data path against the Python reference and scapy: all transforms, both libraries, both ways."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import Raw

from tests.esp.test_properties import PACKETS, SMALL
from tests.esp.test_scapy import HMACS
from tests.esp.test_scapy import SUITES as SCAPY_SUITES
from tests.esp.test_sequence_numbers import EVERY, name
from vpnengine.contract.algorithms import EspEncryption, EspIntegrity
from vpnengine.crypto.esp_suites import encryption_key_length, integrity_key_length
from vpnengine.crypto.random import system_random
from vpnengine.crypto.secret import Secret
from vpnengine.esp.sa import EspKeys, EspTransform
from vpnengine.esp.transform import NEXT_DUMMY, NEXT_IPV4, NEXT_IPV6, EspError, Inbound, Outbound

native: Any = pytest.importorskip("vpnengine.dataplane._native", reason="the native data path is not built here")

SPI = 0x1001
BACKENDS = ("best", "openssl")
LONG_START = (1 << 33) + 5


class Ends:
    """Both ends of one SA, each made natively and in Python."""

    def __init__(self, transform: EspTransform, backend: str, window: int = 64, used: int = 0) -> None:
        integrity = transform.integrity
        key = bytes(range(3, 3 + encryption_key_length(transform.encryption)))
        hmac = bytes(range(90, 90 + integrity_key_length(integrity))) if integrity else b""
        keys = EspKeys(Secret(key), Secret(hmac) if integrity else None)
        names = transform.encryption.value, integrity.value if integrity else None, transform.esn
        self.sealer = native.EspSealer(SPI, *names, key, hmac, backend=backend, used=used)
        self.opener = native.EspOpener(*names, key, hmac, backend=backend, window=window)
        self.out = Outbound(SPI, transform, keys, system_random)
        self.inside = Inbound(transform, keys, system_random, window)
        self.out.sequence = used
        if used:
            self.inside.window.commit(used)
            assert self.opener.advance(used)


def following(packet: bytes) -> int:
    return NEXT_IPV4 if packet[0] >> 4 == 4 else NEXT_IPV6


def reference(ends: Ends, packet: bytes) -> tuple[bytes, int] | str:
    """What the Python reference makes of a packet, said as the native one says it."""
    try:
        opened = ends.inside.open(packet)
    except EspError as error:
        return error.reason
    return "dummy" if opened is None else (opened, following(opened))


TRANSFORMS = st.sampled_from(EVERY)


@settings(max_examples=250, deadline=None)
@given(TRANSFORMS, st.sampled_from(BACKENDS), st.lists(PACKETS, min_size=1, max_size=4), st.booleans())
def test_each_opens_what_the_other_seals(
    transform: EspTransform, backend: str, packets: list[bytes], late: bool
) -> None:
    ends = Ends(transform, backend, used=LONG_START if late and transform.esn else 0)
    for packet in packets:
        [sealed] = ends.sealer.seal([packet], following(packet))
        assert ends.inside.open(sealed) == packet
    sealed = [ends.out.seal(packet) for packet in packets]
    assert ends.opener.open(sealed, tunnel=True) == [(packet, following(packet)) for packet in packets]
    assert ends.opener.open(sealed) == ["replayed"] * len(packets)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("transform", EVERY, ids=name)
def test_every_transform_in_a_batch_of_many_sizes(transform: EspTransform, backend: str) -> None:
    ends = Ends(transform, backend, window=128)
    packets = [
        bytes([0x45, 0]) + (20 + size).to_bytes(2, "big") + bytes(16 + size) for size in (*range(66), 1400, 9000)
    ]
    packets.append(b"\x45\0\xff\xff" + bytes(65531))
    sealed = ends.sealer.seal(packets, NEXT_IPV4)
    assert [ends.inside.open(one) for one in sealed] == packets
    ours = [ends.out.seal(packet) for packet in packets]
    assert [len(one) for one in sealed] == [len(one) for one in ours]
    assert ends.opener.open(ours, tunnel=True) == [(packet, NEXT_IPV4) for packet in packets]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("transform", EVERY, ids=name)
def test_a_packet_altered_in_any_octet_is_refused(transform: EspTransform, backend: str) -> None:
    ends = Ends(transform, backend)
    packet = bytes([0x45, 0, 0, 45]) + bytes(41)
    sealed = ends.out.seal(packet)
    forged = [sealed[:at] + bytes([sealed[at] ^ 1 << at % 8]) + sealed[at + 1 :] for at in range(len(sealed))]
    cut = [sealed[:length] for length in range(len(sealed))]
    outcomes = ends.opener.open(forged + cut)
    assert set(outcomes) <= {"not authentic", "too short", "replayed"}
    assert ends.opener.top == 0
    assert ends.opener.open([sealed], tunnel=True) == [(packet, NEXT_IPV4)]


@settings(max_examples=250, deadline=None)
@given(TRANSFORMS, st.sampled_from(BACKENDS), st.binary(max_size=120), st.integers(0, 255))
def test_both_say_the_same_of_authentic_nonsense(
    transform: EspTransform, backend: str, octets: bytes, protocol: int
) -> None:
    ends = Ends(transform, backend)
    packet = ends.out.seal_payload(octets, protocol)
    assert ends.opener.open([packet], tunnel=True) == [reference(ends, packet)]
    assert ends.opener.open([packet], tunnel=True) == [reference(ends, packet)] == ["replayed"]


@settings(max_examples=100, deadline=None)
@given(TRANSFORMS, st.sampled_from(BACKENDS), SMALL, st.binary(max_size=200))
def test_padding_against_traffic_analysis_is_cut_off(
    transform: EspTransform, backend: str, packet: bytes, padding: bytes
) -> None:
    ends = Ends(transform, backend)
    [sealed] = ends.sealer.seal([packet + padding], following(packet))
    assert ends.inside.open(sealed) == packet
    assert ends.opener.open([sealed], tunnel=True) == [(packet, following(packet))]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([t for t in EVERY if t.encryption in (EspEncryption.AES128GCM16, EspEncryption.NULL)]),
    st.sampled_from([32, 64, 100, 4096]),
    st.integers(1, 1 << 34),
    st.lists(st.lists(st.integers(-5000, 200), max_size=6), max_size=8),
)
def test_both_windows_let_the_same_packets_in(
    transform: EspTransform, window: int, start: int, batches: list[list[int]]
) -> None:
    """Batches with copies inside, around any place, and across the halves of 64-bit numbers."""
    if not transform.esn:
        start %= 1 << 31
    ends = Ends(transform, "best", window, max(start, 1))
    for batch in batches:
        packets = []
        for offset in batch:
            ends.out.sequence = max(ends.inside.window.top + offset - 1, 0)
            packets.append(ends.out.seal_payload(b"", NEXT_DUMMY))
        assert [isinstance(one, tuple) for one in ends.opener.open(packets)] == [
            reference(ends, packet) == "dummy" for packet in packets
        ]
        assert ends.opener.top == ends.inside.window.top


def test_copies_in_one_batch_go_in_once() -> None:
    ends = Ends(EspTransform(EspEncryption.AES256, EspIntegrity.SHA256), "best")
    sealed = ends.out.seal_payload(b"x", 4)
    assert ends.opener.open([sealed, sealed, sealed]) == [(b"x", 4), "replayed", "replayed"]


@pytest.mark.parametrize(("esn", "last"), [(False, (1 << 32) - 1), (True, (1 << 64) - 1)])
def test_sequence_numbers_end(esn: bool, last: int) -> None:
    ends = Ends(EspTransform(EspEncryption.AES128GCM16, None, esn), "best", used=last - 2)
    assert len(ends.sealer.seal([b"a", b"b", b"c", b"d"], 4)) == 2
    assert ends.sealer.seal([b"e"], 4) == []


@pytest.mark.parametrize("encryption", ["aes128", "camellia256", "3des"])
def test_ivs_of_cbc_are_never_the_same(encryption: str) -> None:
    ends = Ends(EspTransform(EspEncryption(encryption), EspIntegrity.SHA256), "best")
    sealed = ends.sealer.seal([b""] * 2000, 4)
    assert len({one[8:16] for one in sealed}) == len(sealed)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("encryption", "integrity", "theirs"), SCAPY_SUITES)
@pytest.mark.parametrize("size", [0, 15, 1372, 9000])
def test_scapy_opens_and_is_opened(
    encryption: EspEncryption, integrity: EspIntegrity | None, theirs: str, size: int, backend: str
) -> None:
    key = system_random(encryption_key_length(encryption))
    hmac = system_random(integrity_key_length(integrity)) if integrity else b""
    outer = IP(src="192.0.2.1", dst="192.0.2.2")
    other = SecurityAssociation(
        ESP, spi=SPI, crypt_algo=theirs, crypt_key=key, auth_algo=HMACS[integrity] if integrity else None,
        auth_key=hmac or None, tunnel_header=outer,
    )  # fmt: skip
    inner = bytes(IP(src="10.1.0.1", dst="10.2.0.1") / UDP(sport=1, dport=2) / Raw(system_random(size)))
    names = encryption.value, integrity.value if integrity else None, False

    [sealed] = native.EspSealer(SPI, *names, key, hmac, backend=backend).seal([inner], NEXT_IPV4)
    assert bytes(other.decrypt(IP(bytes(outer / ESP(sealed))))) == inner

    theirs_sealed = bytes(other.encrypt(IP(inner))[ESP])
    opener = native.EspOpener(*names, key, hmac, backend=backend)
    assert opener.open([theirs_sealed], tunnel=True) == [(inner, NEXT_IPV4)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("aes128gcm16", "sha1", False, bytes(20), bytes(20)), "integrity: this cipher authenticates by itself"),
        (("aes128", None, False, bytes(16), b""), "integrity: this cipher needs an integrity algorithm"),
        (("des", "sha1", False, bytes(8), bytes(20)), "encryption: there is no algorithm 'des'"),
        (("aes128", "sha1", False, bytes(17), bytes(20)), "encryption key: it has 16 octets, not 17"),
        (("aes128", "sha1", False, bytes(16), bytes(16)), "integrity key: it has 20 octets, not 16"),
    ],
)
def test_what_does_not_belong_together_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        native.EspOpener(*arguments)
    with pytest.raises(ValueError, match=f"^{message}$"):
        native.EspSealer(SPI, *arguments)
