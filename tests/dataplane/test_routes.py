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
