"""Whole messages: kept only if the owner wants it, and readable with the secrets that come on demand."""

from __future__ import annotations

import os
import random
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.utils import rdpcap

from appliance.cli import capture, pcapng
from tests.ikev1.pair import LEFT, PSK, RIGHT, Network, document, mirrored, peer_row
from vpnengine.contract.algorithms import EspEncryption, EspIntegrity, IkeEncryption, IkeHash
from vpnengine.contract.capture import CapturedMessage, CapturedNegotiation, EspSecrets
from vpnengine.crypto import ike_cipher
from vpnengine.crypto.prf import digest
from vpnengine.crypto.secret import Secret
from vpnengine.esp.captured import CapturedEsp, esp_of
from vpnengine.esp.sa import EspKeys, EspTransform
from vpnengine.esp.transform import Outbound
from vpnengine.ikev1 import kept
from vpnengine.ikev1.interface import InitiatePeer, RekeyPeer, TerminatePeer
from vpnengine.isakmp.constants import HEADER_LENGTH
from vpnengine.isakmp.message import Header, parse_payloads
from vpnengine.isakmp.payloads import Hash, Identification, KeyExchangeData


def up(keep: bool = True, **changes: Any) -> Network:
    row = peer_row(**changes)
    network = Network(document(row), document(mirrored(row)), raw_esp=False, keep=keep)
    network.command(network.left, InitiatePeer("right"))
    assert network.run(60, lambda: network.pairs_agree(1))
    return network


def captured(network: Network, secrets: bool) -> list[CapturedNegotiation]:
    return network.left.endpoint.captured("right", secrets, wall=1_800_000_000.0)


def reader_of(found: list[CapturedNegotiation]) -> CapturedEsp:
    reader = CapturedEsp()
    for one in (row for negotiation in found for row in negotiation.esp):
        reader.add(int(one.spi, 16), transform_of(one), keys_of(one))
    return reader


def transform_of(one: EspSecrets) -> EspTransform:
    return EspTransform(EspEncryption(one.encryption), EspIntegrity(one.integrity) if one.integrity else None, one.esn)


def keys_of(one: EspSecrets) -> EspKeys:
    integrity = Secret(bytes.fromhex(one.integrity_key)) if one.integrity_key else None
    return EspKeys(Secret(bytes.fromhex(one.encryption_key)), integrity)


def test_without_the_flag_nothing_is_kept() -> None:
    network = up(keep=False)
    assert not network.left.endpoint.keeps_messages and captured(network, True) == []
    found = network.left.endpoint._core.trace.negotiations("right")
    assert found and all(one.kept is None for one in found)


def test_secrets_come_only_if_they_are_asked_for() -> None:
    network = up()
    (without,) = captured(network, False)
    assert without.encryption_key == "" and without.esp == ()
    (with_them,) = captured(network, True)
    assert len(bytes.fromhex(with_them.encryption_key)) == 32 and len(with_them.esp) == 2
    for secret in (with_them.encryption_key, *(one.encryption_key for one in with_them.esp)):
        assert secret not in without.model_dump_json() and secret not in repr(with_them)
        said = str(network.left.endpoint.negotiations("right")) + str(network.left.endpoint.trace())
        assert secret not in said + str(network.left.events)
    assert PSK not in with_them.model_dump_json() and PSK.encode().hex() not in with_them.model_dump_json()


def test_messages_are_those_of_the_wire_in_its_order() -> None:
    network = up()
    (one,) = captured(network, False)
    assert [message.data for message in one.messages] == [transmit.payload.hex() for _, transmit in network.sent]
    assert [message.source for message in one.messages] == [host for host, _ in network.sent]
    assert [message.natt for message in one.messages] == [False] * 4 + [True] * 5
    assert one.messages[0].at == 1_800_001_000.0


def test_the_key_opens_message_5() -> None:
    network = up()
    (one,) = captured(network, True)
    messages = [bytes.fromhex(message.data) for message in one.messages]
    publics = [
        parse_payloads(Header.parse(m).next_payload, m[HEADER_LENGTH:]).only(KeyExchangeData, "KE").data
        for m in messages[2:4]
    ]
    status = network.left.endpoint.peer_statuses(network.now)[0].phase1
    iv = digest(IkeHash(status.hash), publics[0] + publics[1])[:16]
    key = Secret(bytes.fromhex(one.encryption_key))
    plain = ike_cipher.decrypt(IkeEncryption(status.encryption), key, iv, messages[4][HEADER_LENGTH:])
    found = parse_payloads(Header.parse(messages[4]).next_payload, plain)
    assert found.first(Identification) is not None and found.first(Hash) is not None


@pytest.mark.parametrize("proposal", [{"encryption": "aes256gcm16"}, {"encryption": "aes128", "integrity": "sha256"}])
def test_esp_of_the_tunnel_is_read_with_the_keys(proposal: dict[str, str]) -> None:
    """Also of a pair that has been replaced since."""
    network = up(phase2={"proposals": [proposal]})
    packets = []
    for _ in range(2):
        for node in (network.left, network.right):
            pair = node.installed[node.outbound[-1]]
            seal = Outbound(pair.spi_out, pair.transform, pair.keys_out, random.Random(3).randbytes).seal
            inner = bytes(IP(src="10.1.0.1", dst="10.2.0.1") / ICMP() / node.host.encode())
            packets.append((inner, bytes(IP() / UDP(sport=4500, dport=4500) / seal(inner))))
        network.command(network.left, RekeyPeer("right", 2))
        network.run(30)
    reader = reader_of(captured(network, True))
    for inner, packet in reversed(packets):
        found = esp_of(packet)
        assert found is not None and reader.open(found).inner == inner


def test_the_file_is_a_capture_and_ours_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = up()
    path = tmp_path / "peer.pcapng"
    path.write_text("older, longer, and readable by all" * 1000)
    path.chmod(0o644)
    documents = [one.model_dump(mode="json") for one in captured(network, True)]
    assert capture.write(path, documents, True) == 0
    packets = rdpcap(str(path))
    assert len(packets) == 9 and float(packets[0].time) == 1_800_001_000.0
    for packet, (host, transmit) in zip(packets, network.sent, strict=True):
        again = IP(bytes(packet))
        assert (again.src, again.dport) == (host, transmit.remote.port)
        marker = bytes(4) if transmit.local.port == 4500 else b""
        assert bytes(again[UDP].payload) == marker + transmit.payload
        sums = again.chksum, again[UDP].chksum
        del again.chksum, again[UDP].chksum
        computed = IP(bytes(again))
        assert sums == (computed.chksum, computed[UDP].chksum)
    secrets = tmp_path / "peer.pcapng.secrets"
    assert [stat.S_IMODE(p.stat().st_mode) for p in (path, secrets)] == [0o600, 0o700]
    assert {p.name: stat.S_IMODE(p.stat().st_mode) for p in secrets.iterdir()} == {
        "ikev1_decryption_table": 0o600,
        "esp_sa": 0o600,
    }
    said = capsys.readouterr()
    assert "hold keys" in said.err and documents[0]["encryption_key"] not in said.out + said.err


def test_without_secrets_there_is_no_second_file(tmp_path: Path) -> None:
    documents = [one.model_dump(mode="json") for one in captured(up(), False)]
    capture.write(tmp_path / "a.pcapng", documents, False)
    assert [p.name for p in tmp_path.iterdir()] == ["a.pcapng"]


def test_ipv6_packets_have_checksums() -> None:
    ends = {"source": "2001:db8::1", "destination": "2001:db8::2", "source_port": 500, "destination_port": 500}
    message = CapturedMessage(at=1.0, natt=False, data="0102030405", **ends)  # type: ignore[arg-type]
    packet = IPv6(pcapng.ip_packet(message))
    value = packet[UDP].chksum
    del packet[UDP].chksum
    assert value == IPv6(bytes(packet))[UDP].chksum


def test_what_is_kept_is_bounded_and_keeps_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MAX_OCTETS", 8_000)
    network = up()
    begun = [message.data for message in captured(network, False)[0].messages]
    for _ in range(30):
        network.command(network.left, RekeyPeer("right", 2))
        network.run(15)
    (one,) = captured(network, True)
    assert sum(len(message.data) // 2 for message in one.messages) <= 8_000 and one.left_out > 0
    assert [message.data for message in one.messages[: len(begun)]] == begun
    assert len(one.esp) <= 2 * kept.MAX_PAIRS
    for _ in range(10):
        network.command(network.left, TerminatePeer("right"))
        network.run(1)
        network.command(network.left, InitiatePeer("right"))
        network.run(5)
    assert len(captured(network, True)) == 8


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_wireshark_reads_it(tmp_path: Path) -> None:
    network = up()
    documents = [one.model_dump(mode="json") for one in captured(network, True)]
    pair = network.left.installed[network.left.outbound[0]]
    esp = Outbound(pair.spi_out, pair.transform, pair.keys_out, random.Random(3).randbytes)
    sealed = esp.seal(bytes(IP(src="10.1.0.1", dst="10.2.0.1") / ICMP()))
    ends = {"source": LEFT, "destination": RIGHT, "source_port": 4500, "destination_port": 4500}
    packet = CapturedMessage(at=1_800_002_000.0, natt=False, data=sealed.hex(), **ends)  # type: ignore[arg-type]
    documents[0]["messages"].append(packet.model_dump())
    capture.write(tmp_path / "a.pcapng", documents, True)
    home = tmp_path / ".config/wireshark"
    shutil.copytree(tmp_path / "a.pcapng.secrets", home)
    command = ["tshark", "-r", str(tmp_path / "a.pcapng"), "-V", "-o", "esp.enable_encryption_decode:TRUE"]
    environment = dict(os.environ) | {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / ".config")}
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert f"Identification Data:{RIGHT}" in said and "Identification Data:10.2.0.0/255.255.255.0" in said
    assert "Echo (ping) request" in said
