"""Runs in the guest, in ``xa``: what only the kernel's data path can do for a peer, and what it says if it cannot."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from tests.kernel.inside_tools import (
    INNER,
    NETS,
    OUTER,
    Told,
    abandon,
    at_peer,
    clean,
    make,
    ours,
    ping,
    run,
    sockets,
    until,
)
from vpnengine.contract.kernel import KernelPolicy, Mark, RouteBased
from vpnengine.contract.outer import OuterPolicy
from vpnengine.dataplane.base import Policy
from vpnengine.dataplane.xfrm.counting import FEW
from vpnengine.dataplane.xfrm.dataplane import KernelDataPlane
from vpnengine.esp.sa import IpsecSaPair, Selector

__all__ = ["sockets"]
SO_MARK, SO_RCVMARK = 36, 75
ANYWHERE = Selector(ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("0.0.0.0/0"))
NEAR, FAR = NETS[4]
ROUTED = KernelPolicy(
    route_based=RouteBased(interface="ipsec0", if_id=23, addresses=("10.91.9.1/32",), routes=(FAR,), mtu=1390)
)
MARKED = KernelPolicy(mark=Mark(value=7, mask=0xFF))
ROW = Policy("p", ANYWHERE, True, "tunnel", ROUTED)


@pytest_asyncio.fixture
async def path(sockets: list[socket.socket]) -> AsyncIterator[KernelDataPlane]:
    clean()
    made = KernelDataPlane()
    await made.open(sockets, told := Told())
    made.told = told  # type: ignore[attr-defined]
    yield made
    await made.close()
    assert not ours() and "ipsec0" not in run("ip", "link")


async def have(path: KernelDataPlane, *policies: Policy) -> None:
    path.set_policies(policies)
    await path.settled()


def wide(kernel: KernelPolicy, **changes: Any) -> IpsecSaPair:
    return make(selector=ANYWHERE, kernel=kernel, **changes)


def at_narrow_peer(pair: IpsecSaPair) -> None:
    """The other end has policies for the two subnets only."""
    at_peer(replace(pair, selector=Selector(*map(ipaddress.ip_network, NETS[4]))))


def link(name: str) -> dict[str, Any]:
    return dict(json.loads(run("ip", "-d", "-j", "link", "show", name))[0])


async def test_a_route_based_peer_has_an_interface(path: KernelDataPlane) -> None:
    await have(path, ROW)
    assert path.conditions() == ()
    found = link("ipsec0")
    assert found["linkinfo"]["info_kind"] == "xfrm" and found["mtu"] == 1390 and "UP" in found["flags"]
    assert "10.91.9.1/32" in run("ip", "address", "show", "dev", "ipsec0")
    assert f"{FAR} dev ipsec0 proto 99 scope 253 src 10.91.9.1" in run("ip", "-N", "route", "show", "table", "220")
    # Nothing else is led anywhere, though the selector is everything.
    assert "wire" in run("ip", "route", "get", "192.0.2.2") and "default" not in run(
        "ip", "route", "show", "table", "220"
    )
    assert await ping(1, wait="0.3") == 0
    await path.told.wait("acquire", "p", ANYWHERE)  # type: ignore[attr-defined]
    pair = wide(ROUTED)
    path.install(pair)
    at_narrow_peer(pair)
    assert await ping(3) == 3
    shown = run("ip", "-s", "link", "show", "ipsec0")
    assert path.counters()[pair.spi_in].packets_in == 3 and re.search(r"RX:.*\n\s+252\s+3\b", shown), shown
    states = [state for state in run("ip", "xfrm", "state").split("\nsrc ") if "spi 0x00000000" not in state]
    assert "\n".join(states).count("if_id 0x17") == 2 and run("ip", "xfrm", "policy").count("if_id 0x17") == 3
    path.remove(pair.spi_in)
    await have(path)
    assert "ipsec0" not in run("ip", "link") and FAR not in run("ip", "route", "show", "table", "220")


async def test_two_peers_with_the_same_selectors_have_an_interface_each(path: KernelDataPlane) -> None:
    other = KernelPolicy(route_based=RouteBased(interface="ipsec1", if_id=24, routes=("10.77.0.0/16",)))
    await have(path, ROW, Policy("q", ANYWHERE, True, "tunnel", other))
    first, second = wide(ROUTED), wide(other, peer_id="q")
    for pair in (first, second):
        path.install(pair)
    at_narrow_peer(first)
    assert await ping(2) == 2
    assert await ping(2, ends=(INNER[4][0], "10.77.0.1"), wait="0.3") == 0
    counted = path.counters()
    assert counted[first.spi_in].packets_out == 2 and counted[second.spi_in].packets_out == 2
    await have(path, ROW)
    assert "ipsec1" not in run("ip", "link") and await ping(2) == 2


async def test_an_interface_and_its_traffic_outlive_a_killed_engine(sockets: list[socket.socket]) -> None:
    clean()
    first = KernelDataPlane()
    await first.open(sockets, Told())
    await have(first, ROW)
    pair = wide(ROUTED)
    first.install(pair)
    at_narrow_peer(pair)
    before = link("ipsec0")["ifindex"]
    assert await ping(2) == 2
    abandon(first)
    second = KernelDataPlane()
    await second.open(sockets, Told())
    assert await ping(2) == 2
    await have(second, ROW)
    assert await ping(2) == 2 and link("ipsec0")["ifindex"] == before
    await have(second)
    assert "ipsec0" not in run("ip", "link")
    await second.close()


async def test_interfaces_of_others_are_left_alone(path: KernelDataPlane) -> None:
    run("ip", "link", "add", "ipsec0", "type", "dummy")
    await have(path, ROW)
    assert any("ipsec0" in problem and "“dummy”" in problem for problem in path.conditions()), path.conditions()
    run("ip", "link", "delete", "ipsec0")
    run("ip", "link", "add", "ipsec0", "type", "xfrm", "if_id", "23")
    await have(path)
    await have(path, ROW)
    assert path.conditions() == ()
    await have(path)
    assert "ipsec0" in run("ip", "link")
    run("ip", "link", "delete", "ipsec0")


async def test_a_mark_leads_packets_to_a_peer(path: KernelDataPlane) -> None:
    run("ip", "route", "add", FAR, "via", OUTER[4][1], "src", INNER[4][0])
    try:
        await have(path, Policy("p", Selector(*map(ipaddress.ip_network, NETS[4])), True, "tunnel", MARKED))
        pair = make(kernel=MARKED)
        path.install(pair)
        at_peer(pair)
        seen: list[int] = []
        with marks_of_echoes(seen):
            assert "3 received" in run("ping", "-q", "-m", "7", "-c", "3", "-i", "0.1", "-I", INNER[4][0], INNER[4][1])
        counted = path.counters()[pair.spi_in]
        assert (counted.packets_out, counted.packets_in) == (3, 3)
        # Others with the same addresses are none of the peer's; over there they are refused.
        assert await ping(2, wait="0.3") == 0 and path.counters()[pair.spi_in].packets_out == 3
        path.remove(pair.spi_in)
        assert not re.search(r"spi 0x0*" + f"{pair.spi_out:x}", run("ip", "xfrm", "state"))
    finally:
        run("ip", "route", "delete", FAR)
        clean()


@contextlib.contextmanager
def marks_of_echoes(seen: list[int]) -> Any:
    """The marks of echo replies that have come out of the tunnel (SO_RCVMARK)."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVMARK, 1)
        sock.setblocking(False)
        yield
        with contextlib.suppress(BlockingIOError):
            while True:
                data, extra, _, _ = sock.recvmsg(2048, 512)
                if data[20] == 0:
                    seen += [struct.unpack("=I", value)[0] for _, kind, value in extra if kind == SO_MARK]
    assert seen and set(seen) == {7}


OUTSIDE = {"copied": (True, "copy"), "hidden": (False, "copy"), "df clear": (False, "clear")}


@pytest.mark.parametrize("case", OUTSIDE)
async def test_what_the_outer_header_shows(path: KernelDataPlane, case: str) -> None:
    copy_dscp, dont_fragment = OUTSIDE[case]
    await have(path, Policy("p", Selector(*map(ipaddress.ip_network, NETS[4])), True))
    outer = OuterPolicy(copy_dscp=copy_dscp, dont_fragment=dont_fragment)  # type: ignore[arg-type]
    pair = replace(make(), outer=outer)
    path.install(pair)
    at_peer(pair)
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003)) as sock:
        sock.bind(("wire", 0x0003))
        sock.settimeout(5)
        # DSCP EF with ECN capable (ECT(0)); -M do sets DF.
        run("ping", "-q", "-M", "do", "-Q", "0xba", "-c", "2", "-i", "0.1", "-I", INNER[4][0], INNER[4][1])
        packets = []
        while len(packets) < 2:
            data, source = sock.recvfrom(2048)
            if source[2] == socket.PACKET_OUTGOING and data[9] == 50 and data[12:16] == socket.inet_aton(OUTER[4][0]):
                packets.append(data)
    # ECN is carried outside in any case (RFC 6040), DSCP if it is asked for.
    assert {packet[1] for packet in packets} == {0xBA if copy_dscp else 0x02}
    assert {bool(packet[6] & 0x40) for packet in packets} == {dont_fragment == "copy"}
    clean()


async def test_what_the_kernel_cannot_do_outside_is_told(path: KernelDataPlane) -> None:
    await have(path, Policy("p", Selector(*map(ipaddress.ip_network, NETS[4])), True))
    path.install(replace(make(), outer=OuterPolicy(dont_fragment="set")))
    (told,) = path.conditions()
    assert "“p”" in told and "DF" in told
    path.install(make())
    assert path.conditions() == ()
    await have(path)


async def test_hardware_that_is_not_there_is_told(path: KernelDataPlane) -> None:
    kernel = KernelPolicy(offload="auto")
    await have(path, Policy("p", Selector(*map(ipaddress.ip_network, NETS[4])), True, "tunnel", kernel))
    pair = make(kernel=kernel)
    path.install(pair)
    at_peer(pair)
    assert await ping(2) == 2
    (told,) = path.conditions()
    assert "“p” without hardware: wire" in told
    assert "offload" not in run("ip", "xfrm", "state")
    path.install(replace(make(kernel=kernel), remote=pair.remote))
    assert len(path.conditions()) == 1
    clean()


async def test_many_pairs_are_counted_beside_the_loop(path: KernelDataPlane) -> None:
    await have(path, Policy("p", Selector(*map(ipaddress.ip_network, NETS[4])), True))
    pairs = [make() for _ in range(FEW + 1)]
    for pair in pairs:
        path.install(pair)
    at_peer(pairs[-1])
    assert await ping(3) == 3
    await until(lambda: path.counters()[pairs[-1].spi_in].packets_in == 3)
    assert path.counters()[pairs[-1].spi_in].packets_out == 3 and len(path.counters()) == FEW + 1
    clean()


async def test_the_kernel_chooses_spis_and_keeps_them(path: KernelDataPlane) -> None:
    await have(path, Policy("p", Selector(*map(ipaddress.ip_network, NETS[4])), True))
    spis = {path.reserve_spi(*OUTER[4], ah=False) for _ in range(20)}
    assert len(spis) == 20 and None not in spis and min(filter(None, spis)) > 255
    spi = spis.pop()
    assert spi is not None
    foreign = ("src", OUTER[4][1], "dst", OUTER[4][0], "proto", "esp", "spi", hex(spi), "mode", "tunnel")
    key = ("aead", "rfc4106(gcm(aes))", "0x" + "11" * 20, "128")
    # Nobody else gets it meanwhile, and the pair takes its place.
    refused = run("ip", "xfrm", "state", "add", *foreign, *key, check=False)
    assert refused == "" and f"0x{spi:08x}" in run("ip", "xfrm", "state")
    pair = make(spi_in=spi)
    path.install(pair)
    at_peer(pair)
    assert await ping(2) == 2 and path.counters()[spi].packets_in == 2
    path.remove(spi)
    # One that was not kept for long enough is added as any other.
    late = spis.pop()
    run("ip", "xfrm", "state", "delete", *foreign[:6], "spi", hex(late or 0), check=False)  # it may have gone by itself
    path.install(make(spi_in=late))
    assert f"0x{late:08x}" in run("ip", "xfrm", "state") and path.conditions() == ()
    ah = path.reserve_spi(*OUTER[6], ah=True)
    assert ah is not None and f"proto ah spi 0x{ah:08x}" in run("ip", "xfrm", "state")
    clean()
