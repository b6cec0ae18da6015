"""A TUN device that is taken down, or away, under the userspace data path; in a namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from appliance.paths import ROOT

pytestmark = pytest.mark.lab
_PROGRAM = """
import asyncio, os, socket, subprocess, sys, time
from tests.dataplane.test_lookup import selector, ipv4
from tests.dataplane.test_userspace import Told, PACKET
from vpnengine.dataplane import device, userspace
from vpnengine.dataplane.base import Policy
from vpnengine.dataplane.userspace import UserspaceDataPlane

NET = selector("10.1.0.0/24", "10.2.0.0/24")
device.WATCH_S = userspace.ACQUIRE_S = 0.1

def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True).stdout

async def acquires(told, path):
    told.calls.clear()
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(40):
        try:
            sender.sendto(b"x", ("10.2.0.1", 9))
        except OSError:
            pass
        await asyncio.sleep(0.05)
        if told.calls:
            return True
    return False

async def until(condition):
    for _ in range(100):
        if condition():
            return True
        await asyncio.sleep(0.05)
    return False

async def main():
    ip("link", "set", "lo", "up"), ip("address", "add", "10.1.0.1/24", "dev", "lo")
    path, told = UserspaceDataPlane("tun8"), Told()
    await path.open([], told)
    path.set_policies([Policy("p", NET, True)])
    await path.settled()
    print(await acquires(told, path), path.conditions())
    ip("link", "set", "tun8", "down")
    print(await until(path.conditions), path.conditions())
    ip("link", "set", "tun8", "up")
    print(await until(lambda: not path.conditions()), await acquires(told, path))
    before = time.process_time()
    ip("link", "del", "tun8")
    print(await until(lambda: path.drops()), await until(lambda: not path.conditions()), await acquires(told, path))
    real, userspace.open_tun = userspace.open_tun, refuse
    ip("link", "del", "tun8")
    print(await until(path.conditions), path.conditions())
    before = time.process_time()
    await asyncio.sleep(1)
    print(time.process_time() - before < 0.3, path.drops())
    userspace.open_tun = real
    print(await until(lambda: not path.conditions()), await acquires(told, path))
    await path.close()
    print(ip("link", "show", "tun8") or "closed")

def refuse(name):
    raise device.DataPlaneError("no device")

asyncio.run(main())
"""


def test_a_device_that_goes_is_told_of_and_comes_back() -> None:
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", _PROGRAM],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    down, gone = "the TUN device tun8 is down, so that nothing passes", "the TUN device tun8 was removed"
    lines = done.stdout.splitlines()
    assert len(lines) == 8, done.stderr
    assert lines[0] == "True ()"
    assert lines[1].startswith("True ") and down in lines[1]
    assert lines[2] == "True True" and lines[3] == "True True True"
    assert lines[4].startswith("True ") and gone in lines[4]
    assert lines[5].startswith("True ") and "'TUN: File descriptor in bad state': 2" in lines[5]
    assert lines[6:] == ["True True", "closed"]
