"""Runs in the guest, in ``xa``: TCP segment sizes are lowered both ways to what fits a tunnel."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.kernel.inside_tools import (
    INNER,
    NETS,
    OUTER,
    Told,
    at_peer,
    clean,
    make,
    ours,
    run,
    selector,
    sockets,
    until,
)
from vpnengine.contract.algorithms import EspEncryption as E
from vpnengine.contract.algorithms import EspIntegrity as I
from vpnengine.contract.kernel import KernelPolicy, RouteBased
from vpnengine.contract.outer import OuterPolicy
from vpnengine.dataplane.base import Policy
from vpnengine.dataplane.xfrm import segments
from vpnengine.dataplane.xfrm.dataplane import KernelDataPlane

__all__ = ["sockets"]
PORT = 7000
TCP_SAVE_SYN, TCP_SAVED_SYN, MSS = 27, 28, 2  # linux/tcp.h; the option's kind
ROUTED = KernelPolicy(route_based=RouteBased(interface="ipsec0", if_id=23, routes=(NETS[4][1],), mtu=1390))
# Prints the headers of the SYN as TCP has got it, behind the packet filter.
_LISTEN = f"""
import socket, sys
sock = socket.create_server((sys.argv[1], {PORT}), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
sock.setsockopt(socket.IPPROTO_TCP, {TCP_SAVE_SYN}, 1)
sock.settimeout(60)
print("listening", flush=True)
print(sock.accept()[0].getsockopt(socket.IPPROTO_TCP, {TCP_SAVED_SYN}, 200).hex())
"""
_CALL = f"import socket, sys; socket.create_connection((sys.argv[2], {PORT}), 60, (sys.argv[1], 0))"


@pytest_asyncio.fixture
async def path(sockets: list[socket.socket]) -> AsyncIterator[KernelDataPlane]:
    clean()
    made = KernelDataPlane()
    await made.open(sockets, Told())
    yield made
    await made.close()
    clean()
    assert not ours() and segments.TABLE not in run("nft", "list", "tables")


async def announced(inward: bool, version: int = 4) -> int:
    """The segment size of a connection's SYN as it comes to the other end of the tunnel: to ``xa`` if ``inward``."""
    near, far = INNER[version]
    caller, listener = (far, near) if inward else (near, far)
    beyond = ("ip", "netns", "exec", "xb")
    python = (sys.executable, "-ISc")
    there = await asyncio.create_subprocess_exec(
        *(() if inward else beyond), *python, _LISTEN, listener, stdout=asyncio.subprocess.PIPE
    )
    assert there.stdout is not None
    assert await there.stdout.readline() == b"listening\n"
    here = await asyncio.create_subprocess_exec(*(beyond if inward else ()), *python, _CALL, caller, listener)
    assert await here.wait() == 0
    options = bytes.fromhex((await there.stdout.readline()).decode())[(40 if version == 6 else 20) + 20 :]
    assert await there.wait() == 0
    # The first option of a SYN of Linux (RFC 9293 section 3.7.1).
    assert options[:2] == bytes((MSS, 4)), options.hex()
    return int.from_bytes(options[2:4])


async def have(path: KernelDataPlane, version: int = 4, kernel: KernelPolicy | None = None) -> None:
    path.set_policies([Policy("p", selector(version), True, "tunnel", kernel or KernelPolicy())])
    await path.settled()


async def written(path: KernelDataPlane, table: bool = True) -> None:
    await until(lambda: path._segments._task is None)
    assert (segments.TABLE in run("nft", "list", "tables")) == table


@pytest.mark.parametrize("version", [4, 6])
async def test_a_configured_size(path: KernelDataPlane, version: int) -> None:
    await have(path, version)
    pair = make(version=version, outer=version)
    pair = replace(pair, outer=OuterPolicy(mss=1200))
    path.install(pair)
    at_peer(pair)
    await written(path)
    assert await announced(False, version) == await announced(True, version) == 1200
    assert path.conditions() == ()
    path.remove(pair.spi_in)
    await written(path, False)


# 1500 octets outside, and what RFC 4303 puts around the packet.
CASES = {
    "gcm": (make(), 1446 - 40),
    "gcm in udp": (make(udp=True), 1438 - 40),
    "cbc": (make(E.AES256, I.SHA256), 1438 - 40),
    "ah": (make(E.NULL, I.SHA256, protocol="ah"), 1452 - 40),
}


@pytest.mark.parametrize("case", CASES)
def test_what_fits(case: str) -> None:
    pair, size = CASES[case]
    limit = segments.limit_of(pair)
    assert limit is not None and (limit.v4, limit.v6) == (size, size - 20)


async def test_what_fits_the_path(path: KernelDataPlane) -> None:
    await have(path)
    path.install(pair := make())
    at_peer(pair)
    await written(path)
    assert await announced(False) == await announced(True) == 1406
    # The new pair of a rekey says what counts; narrower since a router has told so.
    run("ip", "route", "add", OUTER[4][1], "dev", "wire", "mtu", "1400")
    try:
        path.install(narrow := make())
        at_peer(narrow)
        path.remove(pair.spi_in)
        await written(path)
        assert await announced(False) == await announced(True) == 1306
    finally:
        run("ip", "route", "delete", OUTER[4][1], "dev", "wire")


async def test_off_and_without_a_packet_filter(path: KernelDataPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    await have(path)
    off = replace(make(), outer=OuterPolicy(mss="off"))
    path.install(off)
    await written(path, False)
    monkeypatch.setattr(segments.shutil, "which", lambda name: None)
    path.install(replace(make(), outer=OuterPolicy(mss=1200)))
    (told,) = path.conditions()
    assert "“p”" in told and "segment" in told and "nftables" in told
    await written(path, False)


async def test_an_interface(path: KernelDataPlane) -> None:
    """Its MTU counts, and the SA is told behind it."""
    await have(path, kernel=ROUTED)
    pair = make(kernel=ROUTED)
    path.install(pair)
    at_peer(pair)
    await written(path)
    assert await announced(False) == await announced(True) == 1350


async def test_others_are_left_alone(path: KernelDataPlane) -> None:
    """Rules of somebody else stay, and connections outside of the tunnel keep their size."""
    run("nft", "add table inet strange; add chain inet strange c")
    await have(path)
    path.install(replace(make(), outer=OuterPolicy(mss=700)))
    await written(path)
    rows = json.loads(run("nft", "-j", "list", "table", "inet", segments.TABLE))["nftables"]
    assert all("reqid" in json.dumps(row) for row in rows if "rule" in row)
    await path.close()
    assert "strange" in run("nft", "list", "tables")
    run("nft", "delete", "table", "inet", "strange")
