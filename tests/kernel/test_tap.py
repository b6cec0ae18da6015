"""Our engine with the guest's kernel, and a strongSwan in a namespace of the host: two machines over a TAP device.

    lan --- site ----- card | tap-guest --- outer (bridge) --- gateway --- host
    10.71.1.10  192.0.2.1   |               192.0.2.2                      10.72.1.10
        in the guest        |               in namespaces of the host

The host's kernel need not have ESP: strongSwan carries it with kernel-libipsec, in UDP, as behind a NAT.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.guest.machine import Guest
from lab.net import LabError, Namespace, link, parse_ping, run
from lab.strongswan import Connection, StrongSwan
from lab.topology import (
    FAR_HOST,
    GATEWAY_LAN,
    GATEWAY_OUTER,
    GATEWAY_SUBNETS,
    LAN_HOST,
    SECRET,
    SITE_LAN,
    SITE_OUTER,
    SITE_SUBNETS,
)
from tests.kernel.conftest import CARD, INSIDE, LAB

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(900)]
PATIENCE_S = 240.0  # other suites run beside this one
FOLDER = "/tmp/tap"
LINES, PORT = 20_000, 7007
"""A megabyte and a quarter of numbered lines."""
SITE = f"""
    mkdir -p {FOLDER}
    ip netns add site; ip netns add lan
    ip link set {INSIDE} netns site
    ip link add lan netns site type veth peer name eth0 netns lan
    ip -n site link set lo up; ip -n site link set {INSIDE} up; ip -n site link set lan up
    ip -n lan link set lo up; ip -n lan link set eth0 up
    ip -n site address add {SITE_OUTER}/24 dev {INSIDE}; ip -n site address add {SITE_LAN[0]}/24 dev lan
    ip -n lan address add {LAN_HOST}/24 dev eth0; ip -n lan route add default via {SITE_LAN[0]}
    ip netns exec site sysctl -qw net.ipv4.ip_forward=1
"""
# Both ends send all lines and read all of the other's at once; what is printed is the digest of what has come.
_EXCHANGE = """
import hashlib, socket, sys, threading, time
host, role, port, lines = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if role == "serve":
    listener = socket.create_server((host, port))
    print("listening", file=sys.stderr, flush=True)
    listener.settimeout(200)
    sock = listener.accept()[0]
else:
    sock = socket.create_connection((host, port), timeout=60)
sock.settimeout(100)
def send():
    for number in range(lines):
        sock.sendall(b"%s %09d %s\\n" % (role.encode(), number, b"." * 46))
    sock.shutdown(socket.SHUT_WR)
thread = threading.Thread(target=send)
thread.start()
found = hashlib.sha256()
while data := sock.recv(65536):
    found.update(data)
thread.join()
print(found.hexdigest())
"""


def digest(role: str) -> str:
    """Of what an end of that role sends."""
    lines = (b"%s %09d %s\n" % (role.encode(), number, b"." * 46) for number in range(LINES))
    return hashlib.sha256(b"".join(lines)).hexdigest()


class Site:
    """The engine in the guest."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        peer = {"id": "gateway", "name": "Gateway", "remote": GATEWAY_OUTER, "psk": SECRET, "start": "traffic"}
        peer |= {"local_subnets": [SITE_SUBNETS[0]], "remote_subnets": [GATEWAY_SUBNETS[0]]}
        peer |= {"phase2": {"proposals": [{"encryption": "aes256gcm16"}]}}
        config = {"revision": 1, "dataplane": "kernel", "peers": [peer]}
        guest.put(f"{FOLDER}/config.json", json.dumps(config).encode())
        files = (
            "--config",
            f"{FOLDER}/config.json",
            "--control",
            f"{FOLDER}/control",
            "--journal",
            f"{FOLDER}/journal",
        )
        command = ("python3", "manage.py", "engine", *files, "--events", f"{FOLDER}/events")
        self.pid = guest.spawn("ip", "netns", "exec", "site", *command, log=f"{FOLDER}/log")

    def stop(self) -> None:
        self.guest.kill(self.pid, timeout=PATIENCE_S)

    def ctl(self, *arguments: str) -> str:
        command = ("python3", "manage.py", "ctl", "--control", f"{FOLDER}/control", "--json", *arguments)
        return self.guest.run(*command, timeout=PATIENCE_S).stdout

    def wait_event(self, code: str, count: int = 1) -> None:
        """:raises LabError: with the newest events and the log, if it does not happen ``count`` times."""
        deadline = time.monotonic() + PATIENCE_S
        text = ""
        while time.monotonic() < deadline:
            text = self.guest.shell(f"cat {FOLDER}/events 2>/dev/null || true")
            if text.count(f'"{code}"') >= count:
                return
            time.sleep(0.3)
        log = self.guest.shell(f"tail -n 20 {FOLDER}/log")
        raise LabError(f"{code} did not happen {count} times; {text[-3000:]}\n{log}")


@pytest.fixture
def host(gateway: Namespace) -> Iterator[Namespace]:
    """The host's half of the wire: the bridge, and a machine behind the gateway."""
    far = Namespace(LAB, "host")
    far.create()
    link(gateway, far, ("lan", "eth0"))
    gateway.run("ip", "link", "add", "outer", "type", "bridge")
    gateway.run("ip", "link", "set", CARD, "master", "outer")
    gateway.run("ip", "link", "set", "outer", "up")
    gateway.address("outer", f"{GATEWAY_OUTER}/24")
    gateway.address("lan", f"{GATEWAY_LAN[0]}/24")
    far.address("eth0", f"{FAR_HOST}/24")
    far.route("default", GATEWAY_LAN[0])
    yield far
    run("ip", "netns", "delete", far.name)
    gateway.run("ip", "link", "delete", "outer")


@pytest.fixture
def strongswan(gateway: Namespace, host: Namespace, tmp_path: Path) -> Iterator[StrongSwan]:
    nets = {"local_subnets": [GATEWAY_SUBNETS[0]], "remote_subnets": [SITE_SUBNETS[0]]}
    esp = "aes256gcm16-modp2048"
    connection = Connection(GATEWAY_OUTER, SITE_OUTER, SECRET, **nets, esp_proposals=esp)
    made = StrongSwan(gateway, tmp_path / "gateway", connection)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def site(guest: Guest, strongswan: StrongSwan) -> Iterator[Site]:
    guest.shell(SITE, timeout=PATIENCE_S)
    made = Site(guest)
    try:
        made.wait_event("engine.config.applied")
        yield made
    finally:
        made.stop()
        # The card goes back to the guest's first namespace.
        guest.shell("ip netns delete site; ip netns delete lan", timeout=PATIENCE_S)


def in_lan(guest: Guest, *command: str, **options: Any) -> str:
    return guest.run("ip", "netns", "exec", "lan", *command, timeout=PATIENCE_S, **options).stdout


def exchange(guest: Guest, host: Namespace, log: Path) -> None:
    """TCP from the guest's LAN to the far host; both ways at once, and nothing is altered."""
    guest.put(f"{FOLDER}/exchange.py", _EXCHANGE.encode())
    log.unlink(missing_ok=True)
    server = host.spawn(sys.executable, "-IS", "-c", _EXCHANGE, FAR_HOST, "serve", str(PORT), str(LINES), log=log)
    try:
        for _ in range(100):
            if "listening" in log.read_text():
                break
            time.sleep(0.1)
        client = ("python3", "-IS", f"{FOLDER}/exchange.py", FAR_HOST, "call", str(PORT), str(LINES))
        came = in_lan(guest, *client).strip()
        server.wait(60)
    finally:
        server.kill()
        server.wait(10)
    assert came == digest("serve") and log.read_text().split()[-1] == digest("call")


def test_strongswan_of_the_host(site: Site, strongswan: StrongSwan, gateway: Namespace, host: Namespace) -> None:
    """Traffic brings it up; data both ways; rekeyed from both ends under traffic, without a lost packet."""
    guest = site.guest
    first = parse_ping(in_lan(guest, "ping", "-q", "-c", "5", "-i", "0.2", "-W", "60", FAR_HOST))
    assert first.received == first.sent == 5, strongswan.log_tail()
    states = guest.shell("ip -n site xfrm state")
    assert states.count("encap type espinudp sport 4500 dport 4500") == 2 and "rfc4106(gcm(aes))" in states
    assert len(strongswan.children()) == 1
    exchange(guest, host, strongswan.directory / "exchange")
    assert host.ping(LAN_HOST, count=5).received == 5

    ping = ("ip", "netns", "exec", "lan", "ping", "-q", "-i", "0.05", "-W", "5", FAR_HOST)
    inward = guest.spawn(*ping, log=f"{FOLDER}/ping")
    outward = host.spawn("ping", "-q", "-i", "0.05", "-W", "5", LAN_HOST, log=strongswan.directory / "ping")
    site.ctl("rekey", "gateway", "--phase", "2")
    site.wait_event("ike.phase2.established", 4)
    strongswan.command("rekey", child="net1-1")
    site.wait_event("ike.phase2.established", 6)
    exchange(guest, host, strongswan.directory / "exchange")  # over the newest pair, while the echoes go on
    guest.kill(inward, 2)
    outward.send_signal(2)
    outward.wait(20)
    texts = guest.get(f"{FOLDER}/ping").decode(), (strongswan.directory / "ping").read_text()
    for result in map(parse_ping, texts):
        # The last one may still be on its way when it is told to end.
        assert result.sent > 40 and result.lost <= 1, (texts, strongswan.log_tail(40))
    spis = {child["spi-in"] for child in strongswan.children()}
    shown = json.loads(site.ctl("status"))
    assert shown["dataplane"] == "kernel (XFRM)" and shown["conditions"] == []
    newest = re.findall(r"spi 0x([0-9a-f]{8})", guest.shell("ip -n site xfrm policy list dir out"))
    assert newest and set(newest) <= spis, (newest, spis)
