"""Routes into the tunnel device, in a namespace of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from appliance.paths import ROOT
from lab.net import Namespace, destroy

pytestmark = pytest.mark.lab
_PROGRAM = """
import asyncio, ipaddress, subprocess
from vpnengine.dataplane.routes import Routes, TABLE
from vpnengine.dataplane.tun import open_tun
from vpnengine.esp.sa import Selector

def selectors(*remotes):
    return [Selector(ipaddress.ip_network("10.1.0.0/24"), ipaddress.ip_network(remote)) for remote in remotes]

async def wish(*remotes):
    routes.set(selectors(*remotes))
    await routes.settled()
    shown = subprocess.run(["ip", "route", "show", "table", str(TABLE)], capture_output=True, text=True).stdout
    print("|".join(sorted(line.split()[0] for line in shown.splitlines())) or "none", "|", routes.problem or "fine")

async def main():
    subprocess.run(["ip", "address", "add", "10.1.0.7/32", "dev", "lo"], check=True)
    await wish("10.2.0.0/24", "10.3.0.0/24")
    shown = subprocess.run(["ip", "route", "show", "table", str(TABLE)], capture_output=True, text=True).stdout
    print(all("src 10.1.0.7" in line for line in shown.splitlines()))
    await wish("10.3.0.0/24")
    subprocess.run(["ip", "link", "set", "tun9", "down"], check=True)
    await wish("10.3.0.0/24", "10.4.0.0/24")
    subprocess.run(["ip", "link", "set", "tun9", "up"], check=True)
    await wish("10.3.0.0/24", "10.4.0.0/24")
    routes.close()
    print(subprocess.run(["ip", "rule"], capture_output=True, text=True).stdout.count(str(TABLE)))

tun = open_tun("tun9")
routes = Routes("tun9", 1400)
shown = subprocess.run(["ip", "-o", "link", "show", "tun9"], capture_output=True, text=True).stdout
print(" ".join(word for word in ("mtu 1400", "qlen 2000") if word in shown))
asyncio.run(main())
"""


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    name = f"routes{os.getpid() % 10000}"
    destroy(name)
    namespace = Namespace(name, "host")
    namespace.create()
    yield namespace
    destroy(name)


def test_routes_follow_the_wishes_and_refusals_are_said_until_they_are_mended(namespace: Namespace) -> None:
    done = namespace.run("env", f"PYTHONPATH={ROOT}", sys.executable, "-c", _PROGRAM)
    device, first, sources, fewer, refused, mended, rules = done.stdout.splitlines()
    assert device == "mtu 1400 qlen 2000"
    assert first == "10.2.0.0/24|10.3.0.0/24 | fine"
    assert sources == "True"
    assert fewer == "10.3.0.0/24 | fine"
    assert "cannot be set" in refused and "refused" in refused
    assert mended == "10.3.0.0/24|10.4.0.0/24 | fine"
    assert rules == "0"


_WIDE = """
import asyncio, ipaddress, subprocess, sys
from vpnengine.dataplane.routes import Routes
from vpnengine.dataplane.tun import open_tun
from vpnengine.esp.sa import Selector

def shown(*command):
    return subprocess.run(["ip", *command], capture_output=True, text=True).stdout

def get(*words):
    words = shown("-o", "route", "get", *words).split()
    return words[words.index("dev") + 1] if "dev" in words else "none"

def ways():
    print(" ".join([
        get("198.51.100.1", "from", "10.1.0.10", "iif", "lan"), get("198.51.100.1"), get("192.0.2.2"),
        get("198.51.100.1", "from", "192.0.2.1"), get("10.1.0.10"), get("10.1.0.9", "from", "10.1.0.10", "iif", "lan"),
        get("10.9.0.5", "from", "10.1.0.10", "iif", "lan"), get("10.2.0.5", "from", "10.1.0.10", "iif", "lan"),
        get("198.51.100.1", "from", "10.1.0.10", "iif", "lan", "mark", "0xC0DE"),
        get("2001:db8:9::1", "from", "fd01::10", "iif", "lan"), get("2001:db8:9::1"),
    ]))

def ours():
    both = shown("rule") + shown("-6", "rule")
    return sum(line.startswith(("220:", "221:")) for line in both.splitlines())

def left():
    return sum(len(shown(family, "route", "show", "table", table).splitlines())
               for family in ("-4", "-6") for table in ("220", "221"))

def selector(local, remote):
    return Selector(ipaddress.ip_network(local), ipaddress.ip_network(remote))

async def wish(*selectors):
    routes.set(selectors)
    await routes.settled()
    if routes.problem:
        print(routes.problem)

WIDE = (selector("10.1.0.0/24", "0.0.0.0/0"), selector("10.1.0.0/24", "10.2.0.0/24"), selector("fd01::/64", "::/0"))

async def main():
    ways()
    await wish(*WIDE)
    ways()
    print(ours())
    await wish(*WIDE)
    print(ours())
    await wish(WIDE[1])
    print(ours())
    await wish(selector("10.1.0.0/24", "10.0.0.0/8"))
    ways()
    await wish(*WIDE)

tun = open_tun("tun9")
routes = Routes("tun9", 1400, keep="adopt" in sys.argv)
if "adopt" in sys.argv:
    print(ours())
asyncio.run(main())
if "leave" not in sys.argv:
    routes.close()
    print(ours(), left())
"""


def test_a_far_end_that_is_everything_takes_what_comes_from_the_near_one_alone(namespace: Namespace) -> None:
    for line in (
        "link add wan type veth peer name wan-far",
        "link add lan type veth peer name lan-far",
        "link add other type veth peer name other-far",
        "link set wan up",
        "link set lan up",
        "link set other up",
        "link set wan-far up",
        "link set lan-far up",
        "link set other-far up",
        "address add 192.0.2.1/24 dev wan",
        "address add 10.1.0.1/24 dev lan",
        "address add 10.9.0.1/24 dev other",
        "route add default via 192.0.2.2",
        "-6 address add fd01::1/64 dev lan nodad",
        "-6 address add 2001:db8::1/64 dev wan nodad",
        "-6 route add default via 2001:db8::2",
    ):
        namespace.run("ip", *line.split())
    for setting in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
        namespace.run("sysctl", "-qw", f"{setting}=1")

    def program(*arguments: str) -> list[str]:
        return namespace.run("env", f"PYTHONPATH={ROOT}", sys.executable, "-c", _WIDE, *arguments).stdout.splitlines()

    before = "wan wan wan wan lan lan other wan wan wan wan"
    everything = "tun9 wan wan wan lan lan other tun9 wan tun9 wan"
    supernet = "wan wan wan wan lan lan other tun9 wan wan wan"
    # Two rules for each of the two wide selectors.
    assert program() == [before, everything, "4", "4", "0", supernet, "0 0"]
    # An engine that was killed leaves its rules; the next one removes them, or takes them over.
    program("leave")
    assert program() == [before, everything, "4", "4", "0", supernet, "0 0"]
    program("leave")
    assert program("adopt")[0] == "4"
    assert program()[-1] == "0 0"
