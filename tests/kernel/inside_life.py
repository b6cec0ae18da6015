"""Runs in the guest, in ``xa``: what the kernel's data path leaves alone, and what it finds when it starts."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest

from tests.kernel.inside_tools import (
    Told,
    abandon,
    at_peer,
    clean,
    make,
    ours,
    ping,
    run,
    selector,
    sockets,
)
from vpnengine.dataplane.base import Policy
from vpnengine.dataplane.xfrm import adoption, host
from vpnengine.dataplane.xfrm.dataplane import KernelDataPlane

__all__ = ["sockets"]


async def test_only_ours_is_flushed(sockets: list[socket.socket]) -> None:
    foreign = [
        "src",
        "198.51.100.1",
        "dst",
        "198.51.100.2",
        "proto",
        "esp",
        "spi",
        "0x77",
        "reqid",
        "5",
        "mode",
        "tunnel",
    ]
    run("ip", "xfrm", "state", "add", *foreign, "aead", "rfc4106(gcm(aes))", "0x" + "11" * 20, "128")
    there = ["src", "10.50.0.0/16", "dst", "10.60.0.0/16", "dir", "out"]
    run("ip", "xfrm", "policy", "add", *there, "tmpl", *foreign[:6], "reqid", "5", "mode", "tunnel")
    path = KernelDataPlane()
    await path.open(sockets, Told())
    path.set_policies([Policy("p", selector(), True)])
    path.install(make())
    assert ours()
    await path.close()
    assert (
        not ours() and "spi 0x00000077" in run("ip", "xfrm", "state") and "10.50.0.0/16" in run("ip", "xfrm", "policy")
    )
    assert "culvert0" not in run("ip", "link") and "220" not in run("ip", "rule")
    run("ip", "xfrm", "state", "flush")
    run("ip", "xfrm", "policy", "flush")


async def test_the_remains_of_a_killed_engine_carry_on(
    sockets: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vpnengine.dataplane.xfrm.dataplane.LINGER_S", 0.3)
    clean()
    rows = [Policy("p", selector(4), True), Policy("gone", selector(6), True)]
    first = KernelDataPlane()
    await first.open(sockets, Told())
    first.set_policies(rows)
    await first.settled()
    pair, other = make(), replace(make(), selector=selector(6), peer_id="gone")
    first.install(pair)
    first.install(other)
    at_peer(pair)
    assert await ping(2) == 2
    flood = asyncio.create_task(ping(80))
    abandon(first)
    second, heard = KernelDataPlane(), Told()
    await second.open(sockets, heard)
    second.set_policies(rows[:1])
    await second.settled()
    states = run("ip", "xfrm", "state")
    assert f"spi 0x{pair.spi_in:08x}" in states and f"spi 0x{other.spi_in:08x}" not in states
    await heard.wait("acquire", "p", selector(4))
    new = make()
    second.install(new, outbound=False)
    at_peer(new)
    second.install(new)
    await asyncio.sleep(0.6)
    assert f"spi 0x{pair.spi_in:08x}" not in run("ip", "xfrm", "state")
    assert await flood == 80
    assert second.counters()[new.spi_in].packets_out > 0
    await second.close()
    clean()


async def test_nobody_replaces_the_remains(sockets: list[socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vpnengine.dataplane.xfrm.dataplane.ADOPTED_S", 0.5)
    first = KernelDataPlane()
    await first.open(sockets, Told())
    first.set_policies([Policy("p", selector(4), True)])
    first.install(make())
    abandon(first)
    second, heard = KernelDataPlane(), Told()
    await second.open(sockets, heard)
    second.set_policies([Policy("p", selector(4), True)])
    assert "proto esp" in run("ip", "xfrm", "state")
    await asyncio.sleep(0.8)
    assert "proto esp" not in run("ip", "xfrm", "state")
    heard.calls.clear()
    assert await ping(1, wait="0.3") == 0
    await heard.wait("acquire", "p", selector(4))
    await second.close()
    assert not ours() and adoption.ADOPTED_S > 60


def test_the_probe() -> None:
    before = run("ip", "xfrm", "state")
    assert host.problem() is None and run("ip", "xfrm", "state") == before
