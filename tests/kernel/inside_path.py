"""Runs in the guest, in ``xa``: the kernel's data path through its interface, against ``ip xfrm`` in ``xb``.

The other end is iproute2's, so that both ends are not wrong in the same way. See ``test_xfrm.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from tests.kernel.inside_tools import (
    INNER,
    NATT,
    NETS,
    OUTER,
    Flood,
    Told,
    at_peer,
    at_peer_sends,
    clean,
    make,
    ours,
    peer,
    peer_natt,
    ping,
    run,
    selector,
    sockets,
    until,
)
from vpnengine.contract.algorithms import EspEncryption as E
from vpnengine.contract.algorithms import EspIntegrity as I
from vpnengine.dataplane.base import Policy
from vpnengine.dataplane.xfrm.dataplane import KernelDataPlane
from vpnengine.esp.sa import Address, IpsecSaPair, Selector

__all__ = ["sockets"]


@pytest_asyncio.fixture
async def path(sockets: list[socket.socket]) -> AsyncIterator[KernelDataPlane]:
    """An open data path with a policy for either version; ``told`` is what it says."""
    clean()
    made = KernelDataPlane()
    await made.open(sockets, told := Told())
    made.told = told  # type: ignore[attr-defined]
    made.set_policies([Policy("p", selector(version), True) for version in (4, 6)])
    await made.settled()
    yield made
    await made.close()
    assert not ours()


def told(path: KernelDataPlane) -> Told:
    return path.told  # type: ignore[attr-defined,no-any-return]


CASES: dict[str, dict[str, Any]] = {
    "gcm16": {"cipher": E.AES256GCM16},
    "gcm12": {"cipher": E.AES192GCM12},
    "gcm8": {"cipher": E.AES128GCM8},
    "ccm": {"cipher": E.AES128CCM16},
    "ctr": {"cipher": E.AES128CTR, "integrity": I.SHA256},
    "cbc-sha1": {"cipher": E.AES128, "integrity": I.SHA1},
    "cbc-sha512": {"cipher": E.AES256, "integrity": I.SHA512},
    "camellia-sha384": {"cipher": E.CAMELLIA256, "integrity": I.SHA384},
    "3des-md5": {"cipher": E.TRIPLE_DES, "integrity": I.MD5},
    "null": {"cipher": E.NULL, "integrity": I.SHA256},
    "esn-4096": {"esn": True, "replay_window": 4096},
    "window-128": {"replay_window": 128},
    "udp": {"udp": True},
    "udp-cbc": {"cipher": E.AES256, "integrity": I.SHA256, "udp": True},
    "ah": {"cipher": E.NULL, "integrity": I.SHA256, "protocol": "ah"},
    "ipv6-in-ipv4": {"version": 6},
    "ipv4-in-ipv6": {"outer": 6},
    "ipv6-udp": {"version": 6, "outer": 6, "udp": True},
}


@pytest.mark.parametrize("case", CASES)
async def test_packets_cross(path: KernelDataPlane, case: str) -> None:
    pair = make(**CASES[case])
    path.install(pair, outbound=False)
    at_peer(pair)
    encap = peer_natt(CASES[case].get("outer", 4)) if pair.udp else contextlib.nullcontext()
    with encap:
        path.install(pair)
        assert await ping(3, CASES[case].get("version", 4)) == 3, f"{run('cat', '/proc/net/xfrm_stat')} {path.drops()}"
    counted = path.counters()[pair.spi_in]
    # ping has a header of 8 octets and 56 of data; the kernel counts what it opens and seals.
    size = 104 if CASES[case].get("version") == 6 else 84
    assert (counted.packets_in, counted.packets_out) == (3, 3)
    assert (counted.bytes_in, counted.bytes_out) == (3 * size, 3 * size)
    assert counted.last_in is not None and counted.failed == 0 and path.conditions() == ()
    path.remove(pair.spi_in)
    clean()


def hosts(udp_: bool = False) -> dict[str, Any]:
    local, remote = (ipaddress.ip_network(f"{end}/32") for end in OUTER[4])
    return {"selector": Selector(local, remote), "mode": "transport", "udp": udp_}


@pytest.mark.parametrize("case", ["esp", "udp", "ah"])
async def test_transport_mode(path: KernelDataPlane, case: str) -> None:
    kind: dict[str, Any] = hosts(case == "udp")
    if case == "ah":
        kind |= {"cipher": E.NULL, "integrity": I.SHA256, "protocol": "ah"}
    pair = make(**kind)
    path.set_policies([Policy("p", pair.selector, True, "transport")])
    await path.settled()
    path.install(pair)
    at_peer(pair)
    with peer_natt() if pair.udp else contextlib.nullcontext():
        assert await ping(3, ends=OUTER[4]) == 3
        # IKE of both ends passes beside it.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            path.exempt(sock)
            sock.connect((OUTER[4][1], 9))
            sock.send(b"in clear")
    counted = path.counters()[pair.spi_in]
    assert counted.packets_out == 3 <= counted.packets_in  # it may say that nobody listens
    clean()


async def test_the_first_packet_waits_for_its_tunnel(path: KernelDataPlane) -> None:
    run("sysctl", "-qw", "net.core.xfrm_acq_expires=1")  # the path has set 5, which is long to wait
    pair = make()

    def bring_up(peer_id: str, row: Selector) -> None:
        at_peer(pair)
        asyncio.get_running_loop().call_later(0.5, path.install, pair)

    told(path).on_acquire = bring_up
    assert await ping(2) == 2
    assert told(path).calls == [("acquire", "p", selector())]
    path.remove(pair.spi_in)
    await asyncio.sleep(1.5)
    assert await ping(1, wait="0.3") == 0  # nothing leaves in clear, and the engine is asked again
    assert told(path).calls[:2] == [("acquire", "p", selector())] * 2
    clean()


async def test_what_only_the_peer_may_begin_is_blocked(path: KernelDataPlane) -> None:
    path.set_policies([Policy("p", selector(), False)])
    assert await ping(2, wait="0.3") == 0
    assert told(path).calls == [] and path.drops()["no SA"] == 2
    pair = make()
    path.install(pair)
    at_peer(pair)
    assert await ping(2) == 2
    clean()


async def test_rekeying_under_traffic_loses_nothing(path: KernelDataPlane) -> None:
    old, new = make(), make(E.AES256, I.SHA256)
    path.install(old)
    at_peer(old)

    def carried(pair: IpsecSaPair) -> bool:
        counted = path.counters()[pair.spi_in]
        return counted.packets_in > 10 < counted.packets_out

    async with Flood() as flood:
        await until(lambda: carried(old))
        path.install(new, outbound=False)
        at_peer(new)
        path.install(new)
        await until(lambda: carried(new))
        path.remove(old.spi_in)
        before = path.counters()[new.spi_in].packets_in
        await until(lambda: path.counters()[new.spi_in].packets_in > before + 10)
    # The last one may have been on its way when it ended.
    assert flood.sent - flood.received <= 1
    clean()


async def test_outbound_falls_back_to_the_next_newest(path: KernelDataPlane) -> None:
    old, new = make(), make()
    for pair in (old, new):
        path.install(pair)
        at_peer(pair)
    assert await ping(2) == 2
    path.remove(new.spi_in)
    at_peer_sends(old)
    assert await ping(2) == 2
    assert path.counters()[old.spi_in].packets_out == 2
    clean()


async def test_octet_limits(path: KernelDataPlane) -> None:
    pair = make(soft_bytes=150, hard_bytes=900)  # the kernel looks before it adds a packet of 84
    path.install(pair)
    at_peer(pair)
    assert await ping(3) == 3
    await told(path).wait("soft", pair.spi_in)
    assert ("hard", pair.spi_in) not in told(path).calls
    path.install(replace(pair, hard_bytes=400))  # the peer has said so; the engine passes it on
    assert await ping(5, wait="0.3") < 5
    await told(path).wait("hard", pair.spi_in)
    assert told(path).calls.count(("soft", pair.spi_in)) == 1
    path.remove(pair.spi_in)
    clean()


async def test_a_lost_event_is_made_up_for(path: KernelDataPlane) -> None:
    pair = make()
    path.install(pair)
    run(
        "ip", "xfrm", "state", "delete", "src", OUTER[4][1], "dst", OUTER[4][0], "proto", "esp", "spi", str(pair.spi_in)
    )
    path._resynchronize()
    await told(path).wait("hard", pair.spi_in)
    assert told(path).calls == [("hard", pair.spi_in)]
    path.remove(pair.spi_in)


async def test_the_peer_moves(path: KernelDataPlane) -> None:
    pair = make(udp=True)
    path.install(pair)
    at_peer(pair, port=4599)
    with peer_natt(port=4599):
        ends = ("-I", INNER[4][1], INNER[4][0])
        run("ip", "netns", "exec", "xb", "ping", "-q", "-c", "2", "-i", "0.1", "-W", "0.3", *ends, check=False)
        await told(path).wait("moved", pair.spi_in, Address(OUTER[4][1], 4599))
        path.update_remote(pair.spi_in, Address(OUTER[4][1], 4599))
        assert await ping(3) == 3
    clean()
    # Now to another host: the sequence numbers go on.
    other = Address("192.0.2.3", 4599)
    peer("address", "add", "192.0.2.3/24", "dev", "wire")
    before = path.counters()[pair.spi_in].packets_out
    path.update_remote(pair.spi_in, other)
    at_peer(replace(pair, remote=other), port=4599, sent=100)
    with peer_natt(port=4599):
        assert await ping(3) == 3
    shown = peer(
        "-s", "xfrm", "state", "get", "src", OUTER[4][0], "dst", "192.0.2.3", "proto", "esp", "spi", str(pair.spi_out)
    )
    assert max(int(number, 16) for number in re.findall(r"\bseq (0x[0-9a-f]+)", shown)) >= before + 3
    peer("address", "del", "192.0.2.3/24", "dev", "wire")
    clean()


async def test_what_the_selector_does_not_cover_stays_outside(path: KernelDataPlane) -> None:
    pair = make()
    path.install(pair)
    at_peer(pair)
    peer("address", "add", "10.99.0.1/32", "dev", "lo")
    ends = ["tmpl", "src", OUTER[4][1], "dst", OUTER[4][0], "proto", "esp", "reqid", "7", "mode", "tunnel"]
    peer("xfrm", "policy", "update", "src", "10.99.0.0/24", "dst", NETS[4][0], "dir", "out", *ends)
    command = (
        "ip",
        "netns",
        "exec",
        "xb",
        "ping",
        "-q",
        "-c",
        "2",
        "-i",
        "0.1",
        "-W",
        "0.3",
        "-I",
        "10.99.0.1",
        INNER[4][0],
    )
    assert " 0 received" in run(*command, check=False)
    assert path.drops()["selector"] == 2
    # Nor does anything come in that was not in a tunnel at all.
    clean()
    run("ip", "netns", "exec", "xb", "ping", "-q", "-c", "1", "-W", "0.3", "-I", INNER[4][1], INNER[4][0], check=False)
    assert path.drops()["selector"] == 3
    peer("address", "del", "10.99.0.1/32", "dev", "lo")


async def test_ike_reaches_the_engine(path: KernelDataPlane) -> None:
    program = f"import socket; socket.socket(2,2).sendto(bytes(4)+b'ike',('{OUTER[4][0]}',{NATT}))"
    run("ip", "netns", "exec", "xb", "python3", "-ISc", program)
    for _ in range(40):
        if told(path).calls:
            break
        await asyncio.sleep(0.05)
    assert told(path).calls[0][:2] == ("ike", b"ike")


async def test_everything_goes_to_the_peer_but_not_the_lan(path: KernelDataPlane) -> None:
    everything = Selector(ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("0.0.0.0/0"))
    path.set_policies([Policy("p", everything, True)])
    await path.settled()
    assert await ping(2, ends=OUTER[4]) == 2
    assert told(path).calls == []
    assert await ping(1, ends=(OUTER[4][0], "198.51.100.7"), wait="0.3") == 0
    await told(path).wait("acquire", "p", everything)


async def test_assigned_addresses_are_sources(path: KernelDataPlane) -> None:
    path.set_addresses(["10.77.0.5"])
    row = Selector(ipaddress.ip_network("10.77.0.5/32"), ipaddress.ip_network(NETS[4][1]))
    path.set_policies([Policy("p", row, True)])
    await path.settled()
    pair = make(selector=row)
    path.install(pair)
    at_peer(pair)
    assert "src 10.77.0.5" in run("ip", "route", "get", INNER[4][1])
    assert await ping(2, ends=("10.77.0.5", INNER[4][1])) == 2
    clean()
