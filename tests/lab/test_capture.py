"""Messages and ESP with a real strongSwan, captured and read with the secrets of the engine."""

from __future__ import annotations

import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.engine import ROOT, EngineProcess
from lab.topology import FAR_HOST, SECRET
from tests.lab.rig import Rig
from vpnengine.contract.algorithms import EspEncryption, EspIntegrity
from vpnengine.contract.capture import CapturedNegotiation
from vpnengine.contract.problems import Refused
from vpnengine.crypto.secret import Secret
from vpnengine.daemon.client import ControlClient
from vpnengine.esp.captured import CapturedEsp, esp_of
from vpnengine.esp.sa import EspKeys, EspTransform

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]
# Prints each IP packet that passes, in hexadecimal; it ends by itself.
SNIFF = """
import socket, time
sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
sock.settimeout(0.2)
end = time.monotonic() + 5
print("ready", flush=True)
while time.monotonic() < end:
    try:
        data = sock.recv(65535)
    except TimeoutError:
        continue
    print(data.hex(), flush=True)
"""


def ask(engine: EngineProcess, secrets: bool) -> list[CapturedNegotiation]:
    with ControlClient(engine.control, 10) as client:
        found = client.request("capture", peer="Gateway", secrets=secrets)["negotiations"]
    return [CapturedNegotiation.model_validate(one) for one in found]


def ctl(engine: EngineProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), "ctl", "--control", str(engine.control), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_nothing_is_kept_unless_the_owner_wants_it(rig: Callable[..., Rig], tmp_path: Path) -> None:
    topology, engine = rig("direct")
    assert topology.lan.ping(FAR_HOST, count=2).lost == 0
    with pytest.raises(Refused, match="--keep-messages"):
        ask(engine, True)
    done = ctl(engine, "capture", "Gateway", "--pcapng", str(tmp_path / "a.pcapng"), "--with-secrets")
    assert done.returncode == 1 and "--keep-messages" in done.stderr and list(tmp_path.iterdir()) == []


def test_captured_esp_of_strongswan_is_read(rig: Callable[..., Rig], tmp_path: Path) -> None:
    topology, engine = rig("direct")
    engine.stop()
    engine.options = ("--keep-messages",)
    engine.start()
    output = topology.directory / "sniffed"
    sniffer = topology.site.spawn(sys.executable, "-c", SNIFF, log=output)
    while not output.exists() or "ready" not in output.read_text():
        time.sleep(0.05)
    assert topology.lan.ping(FAR_HOST, count=5).lost == 0
    sniffer.wait(20)
    reader = CapturedEsp()
    for one in (row for negotiation in ask(engine, True) for row in negotiation.esp):
        integrity = Secret(bytes.fromhex(one.integrity_key)) if one.integrity_key else None
        kind = EspIntegrity(one.integrity) if one.integrity else None
        transform = EspTransform(EspEncryption(one.encryption), kind, one.esn)
        reader.add(int(one.spi, 16), transform, EspKeys(Secret(bytes.fromhex(one.encryption_key)), integrity))
    sealed = {packet for line in output.read_text().split()[1:] if (packet := esp_of(bytes.fromhex(line)))}
    opened = [reader.open(packet) for packet in sealed]
    assert len({packet.spi for packet in opened}) == 2
    pings = [packet.inner for packet in opened if packet.inner[9] == 1]
    kinds = sorted(inner[(inner[0] & 15) * 4] for inner in pings)
    assert kinds == [0] * 5 + [8] * 5  # answers and questions (RFC 792)


def test_the_command_writes_files_for_their_owner(rig: Callable[..., Rig], tmp_path: Path) -> None:
    topology, engine = rig("direct")
    engine.stop()
    engine.options = ("--keep-messages",)
    engine.start()
    assert topology.lan.ping(FAR_HOST, count=2).lost == 0
    assert all(one.encryption_key == "" and one.esp == () for one in ask(engine, False))
    path = tmp_path / "a.pcapng"
    done = ctl(engine, "capture", "Gateway", "--pcapng", str(path), "--with-secrets")
    assert done.returncode == 0 and "hold keys" in done.stderr and "9 messages" in done.stdout
    files = [path, *sorted((tmp_path / "a.pcapng.secrets").iterdir())]
    assert [file.name for file in files] == ["a.pcapng", "esp_sa", "ikev1_decryption_table"]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    (one,) = ask(engine, True)
    assert files[2].read_text() == f"{one.negotiation},{one.encryption_key}\n"
    everything = "".join(file.read_text(errors="replace") for file in files) + engine.log_tail(100)
    assert SECRET not in everything and one.encryption_key not in engine.log_tail(100)
