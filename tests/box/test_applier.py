"""Networks on trial, with the real networkd, nftables and dnsmasq in namespaces."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from box.contract.network import Network, parse_network
from box.network import files as names
from box.network.applier import Applier, Desired
from box.network.dnsmasq import LEASES
from box.network.service import Service, ask
from box.network.system import CommandFailed, check_files, run
from tests.box.documents import static
from vpnengine.contract.problems import Refused

NETWORKD = "/lib/systemd/systemd-networkd"
real = pytest.mark.skipif(os.geteuid() != 0 or not Path(NETWORKD).exists(), reason="needs root and systemd-networkd")


class Recorded:
    """A machine that remembers what it was given, and refuses if told to."""

    def __init__(self) -> None:
        self.active: list[str] = []
        self.gone: list[str] = []
        self.refuses = ""

    def check(self, staged: Path) -> None:
        assert (staged / names.RULES).exists()

    def activate(self, root: Path, network: Network, gone: list[str]) -> None:
        if network.hostname == self.refuses:
            raise CommandFailed("networkctl: it does not work")
        self.active.append(network.hostname)
        self.gone += gone


class Clock:
    """Monotonic seconds that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def _applier(tmp_path: Path, system: Any, clock: Clock) -> Applier:
    return Applier(tmp_path / "root", tmp_path / "state", system, clock)


def _files(tmp_path: Path) -> dict[str, str]:
    return {
        str(path.relative_to(tmp_path / "root")): path.read_text()
        for path in (tmp_path / "root").rglob("*")
        if path.is_file()
    }


def test_what_nobody_confirms_is_taken_back(tmp_path: Path) -> None:
    system, clock = Recorded(), Clock()
    applier = _applier(tmp_path, system, clock)
    applier.start(Desired(parse_network(static(hostname="first"))))
    before = _files(tmp_path)
    trial = applier.apply(static(hostname="second", vlans=[]), trial_s=60)
    assert trial and system.active == ["first", "second"] and system.gone == ["lan0.20"]
    assert f"{names.NETWORKD}/20-culvert-vlan-20.netdev" not in _files(tmp_path)
    with pytest.raises(Refused, match="on trial"):
        applier.apply(static(hostname="third"), trial_s=60)
    clock.now += 59
    assert not applier.tick() and applier.left_s == 1
    clock.now += 2
    assert applier.tick() and system.active[-1] == "first" and _files(tmp_path) == before
    with pytest.raises(Refused, match="not on trial any more"):
        applier.confirm(trial.ident)


def test_a_confirmed_one_survives_a_restart_and_a_trial_does_not(tmp_path: Path) -> None:
    system, clock = Recorded(), Clock()
    applier = _applier(tmp_path, system, clock)
    applier.start(Desired(parse_network(static(hostname="first"))))
    trial = applier.apply(static(hostname="second"), ["10.2.0.0/24"], trial_s=60)
    assert trial
    applier.confirm(trial.ident)
    applier.apply(static(hostname="third"), trial_s=60)
    again = _applier(tmp_path, system, clock)
    again.start()
    assert system.active[-1] == "second" and again.trial is None
    assert again.confirmed and again.confirmed.protected == ("10.2.0.0/24",)
    assert (tmp_path / "state/confirmed.json").stat().st_mode & 0o777 == 0o600


def test_what_a_program_refuses_changes_nothing(tmp_path: Path) -> None:
    system = Recorded()
    applier = _applier(tmp_path, system, Clock())
    applier.start(Desired(parse_network(static(hostname="first"))))
    before = _files(tmp_path)
    system.refuses = "second"
    with pytest.raises(Refused, match="does not work; everything is as it was"):
        applier.apply(static(hostname="second"), trial_s=60)
    assert _files(tmp_path) == before and system.active[-1] == "first" and applier.trial is None
    with pytest.raises(Refused, match=r"protected\.0"):
        applier.apply(static(), ["10.2.0.1/24"])
    with pytest.raises(Refused, match="30 to 900"):
        applier.apply(static(), trial_s=5)


@pytest.mark.parametrize("damage", ["{", '{"network": {}, "protected": []}', "[]"])
def test_a_damaged_document_is_set_aside(tmp_path: Path, damage: str) -> None:
    system = Recorded()
    (tmp_path / "state").mkdir()
    (tmp_path / "state/confirmed.json").write_text(damage)
    applier = _applier(tmp_path, system, Clock())
    applier.start(Desired(parse_network(static(hostname="default"))))
    assert system.active == ["default"]
    assert (tmp_path / "state/confirmed.json.unusable").read_text() == damage


async def test_the_socket(tmp_path: Path) -> None:
    clock = Clock()
    applier = _applier(tmp_path, Recorded(), clock)
    applier.start(Desired(parse_network(static(hostname="first"))))
    path, ready = tmp_path / "n.sock", asyncio.Event()
    task = asyncio.create_task(Service(applier, path).run(ready.set))
    try:
        await asyncio.wait_for(ready.wait(), 10)
        assert path.stat().st_mode & 0o777 == 0o600

        async def say(**request: Any) -> dict[str, Any]:
            return await asyncio.to_thread(ask, request, path)

        await say(op="apply", network=static(hostname="dry"), dry_run=True)
        assert (await say(op="status"))["network"]["hostname"] == "first"
        with pytest.raises(Refused, match=r"wan\.gateway"):
            await say(
                op="apply", network=static(wan={"interface": "wan0", "mode": "static"} | {"address": "1.2.3.4/8"})
            )
        tried = await say(op="apply", network=static(hostname="second"), trial_s=60)
        assert tried["left_s"] == 60 and tried["network"]["hostname"] == "second"
        await say(op="confirm", trial=tried["trial"])
        await say(op="apply", network=static(hostname="third"), trial_s=60)
        clock.now += 61
        for _ in range(100):
            if (await say(op="status"))["trial"] is None:
                break
            await asyncio.sleep(0.1)
        assert (await say(op="status"))["network"]["hostname"] == "second"
        with pytest.raises(Refused, match="op"):
            await say(op="explode")
        answer = Service(applier, path).answer(b"not json, and a secret")
        assert not answer["ok"] and "secret" not in json.dumps(answer)
    finally:
        task.cancel()


class InNamespace:
    """networkd, nft and dnsmasq of this host, in a network and mount namespace of their own."""

    def __init__(self, root: Path) -> None:
        setup = (
            "set -e; mount --make-rprivate /; mount -t tmpfs t /run; mkdir -p /run/systemd/network /run/systemd/netif; "
            "chown -R systemd-network:systemd-network /run/systemd/netif; mount -t sysfs -o ro s /sys; "
            f"mount --bind {root / names.NETWORKD} /run/systemd/network; "
            "ip link set lo up; echo ready; exec sleep 600"
        )
        (root / names.NETWORKD).mkdir(parents=True)
        self._holder = subprocess.Popen(["unshare", "-n", "-m", "sh", "-c", setup], stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout and self._holder.stdout.readline() == "ready\n"
        self.before = ("nsenter", "-t", str(self._holder.pid), "-n", "-m")
        self.pid = self._holder.pid
        self._parts: list[subprocess.Popen[bytes]] = []
        self._log = (root / "log").open("ab")

    def check(self, staged: Path) -> None:
        check_files(staged, self.before)

    def activate(self, root: Path, network: Network, gone: list[str]) -> None:
        run("nft", "-f", str(root / names.RULES), before=self.before)
        run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", before=("nsenter", "-t", str(self.pid), "-n"))
        self.stop_parts()
        # networkctl needs D-Bus; a networkd that starts anew keeps what was there, unlike one that reconfigures.
        run("ip", "address", "flush", "dev", "lan0", before=self.before)
        self._start(NETWORKD)
        self._wait_for(network.lan.address if network.lan else "")
        text = (root / names.DNSMASQ).read_text().replace(LEASES, str(root / "leases"))
        (root / "dnsmasq.conf").write_text(text)
        self._start("dnsmasq", "-k", "-C", str(root / "dnsmasq.conf"), "--user=root")

    def _start(self, *command: str) -> None:
        # dnsmasq has no device for the VLAN where the host's kernel has none; bind-dynamic waits for it.
        self._parts.append(subprocess.Popen([*self.before, *command], stdout=self._log, stderr=self._log))

    def _wait_for(self, address: str) -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            listed = subprocess.run([*self.before, "ip", "-br", "address"], capture_output=True, text=True, check=True)
            if f"{address} " in listed.stdout:
                return
            time.sleep(0.1)
        raise CommandFailed(f"networkd: {address} does not come")

    def stop_parts(self) -> None:
        for part in self._parts:
            part.send_signal(signal.SIGTERM)
        for part in self._parts:
            part.wait(10)
        self._parts.clear()

    def close(self) -> None:
        self.stop_parts()
        self._log.close()
        self._holder.kill()
        self._holder.wait(10)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[InNamespace]:
    system = InNamespace(tmp_path / "root")
    tag = f"{os.getpid() % 100000}"
    try:
        for name, address, way in (("wan", "192.0.2.1/24", ""), ("lan", "192.168.1.50/24", "192.168.1.1")):
            run("ip", "netns", "add", f"cvb{tag}{name}")
            run("ip", "link", "add", "p0", "netns", f"cvb{tag}{name}", "type", "veth", "peer", f"{name}0", "netns",
                str(system.pid))  # fmt: skip
            inside = ("ip", "-n", f"cvb{tag}{name}")
            run(*inside, "address", "add", address, "dev", "p0")
            run(*inside, "link", "set", "p0", "up")
            if way:
                run(*inside, "route", "add", "default", "via", way)
        yield system
    finally:
        system.close()
        for name in ("wan", "lan"):
            subprocess.run(["ip", "netns", "delete", f"cvb{tag}{name}"], check=False, capture_output=True)


def _at(name: str, *command: str) -> subprocess.CompletedProcess[str]:
    space = f"cvb{os.getpid() % 100000}{name}"
    return subprocess.run(
        ["ip", "netns", "exec", space, *command], capture_output=True, text=True, timeout=60, check=False
    )


def _reaches(address: str) -> bool:
    return _at("lan", "ping", "-c1", "-W2", "-i0.2", address).returncode == 0


LISTEN = """
from scapy.all import sniff, ICMP
for one in sniff(iface="p0", timeout=8, lfilter=lambda p: ICMP in p and p[ICMP].type == 8, count=2):
    print(one.sprintf("%IP.src% %IP.dst%"))
"""


@real
@pytest.mark.lab
def test_an_address_that_cuts_one_off_comes_back(place: InNamespace, tmp_path: Path) -> None:
    clock = Clock()
    applier = Applier(tmp_path / "root", tmp_path / "state", place, clock)
    applier.start(Desired(parse_network(static(vlans=[])), ("10.2.0.0/24",)))
    assert _reaches("192.168.1.1")
    offered = _at("lan", sys.executable, "-m", "box.dhcp_probe", "p0")
    assert offered.stdout == "192.168.1.1\n", offered.stderr + (tmp_path / "root/log").read_text()
    assert _at("wan", sys.executable, "-m", "box.dhcp_probe", "p0").stdout == "\n"
    # What goes out is translated; what belongs into a tunnel does not go out in clear.
    space = f"cvb{os.getpid() % 100000}wan"
    listener = subprocess.Popen(
        ["ip", "netns", "exec", space, sys.executable, "-c", LISTEN], stdout=subprocess.PIPE, text=True
    )
    time.sleep(3)
    assert not _reaches("10.2.0.1")
    assert _reaches("192.0.2.1")
    seen = listener.communicate(timeout=30)[0].split("\n")
    assert "192.0.2.10 192.0.2.1" in seen and not any("10.2.0.1" in line for line in seen)
    # The dashboard's port is open inside and shut outside.
    assert _at("wan", "ping", "-c1", "-W2", "192.0.2.10").returncode == 0
    other = {"interface": "lan0", "address": "172.20.0.1/24"}
    applier.apply(static(vlans=[], lan=other), trial_s=60)
    assert not _reaches("192.168.1.1")
    clock.now += 61
    assert applier.tick()
    assert _reaches("192.168.1.1")
