"""The policy database against a kernel that only takes note: what is sent, and in which order things come right."""

from __future__ import annotations

import errno
import ipaddress
from collections.abc import Sequence
from dataclasses import replace

from vpnengine.dataplane.base import Policy
from vpnengine.dataplane.xfrm import messages as m
from vpnengine.dataplane.xfrm import spd
from vpnengine.dataplane.xfrm.netlink import Netlink, Request
from vpnengine.dataplane.xfrm.policies import Serving, reqid_of
from vpnengine.dataplane.xfrm.spd import PolicyDatabase, Row, row_of
from vpnengine.esp.sa import Selector


class Notes(Netlink):
    """What a kernel would have been asked for."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.error = 0

    def send_all(self, requests: Sequence[Request]) -> list[int]:
        self.requests += requests
        return [self.error] * len(requests)

    def take(self) -> list[int]:
        kinds, self.requests = [request.kind for request in self.requests], []
        return kinds


class Bench:
    def __init__(self) -> None:
        self.notes = Notes()
        self.serving: dict[Row, Serving] = {}
        self.left: list[Row] = []
        self.spd = PolicyDatabase(self.notes, self.serving.get, self.left.append)

    async def have(self, *policies: Policy) -> None:
        self.spd.prepare(policies)
        self.spd.set(policies)
        await self.spd.settled()


def policy(number: int, local: str = "10.1.0.0/24", remote: str = "", peer: str = "") -> Policy:
    far = remote or f"10.2.{number}.0/24"
    return Policy(peer or f"p{number}", Selector(ipaddress.ip_network(local), ipaddress.ip_network(far)), True)


MANY = tuple(policy(number) for number in range(100))


async def test_only_what_changes_is_sent() -> None:
    bench = Bench()
    await bench.have(*MANY)
    assert bench.notes.take() == [m.UPDPOLICY] * 300 and set(bench.spd.rows) == set(map(row_of, MANY))
    await bench.have(*(replace(row) for row in MANY))
    assert bench.notes.take() == []
    await bench.have(*MANY[1:], replace(MANY[0], acquire=False))
    assert bench.notes.take() == [m.UPDPOLICY]  # the outbound one, which blocks now
    bench.serving[row_of(MANY[5])] = Serving(
        reqid_of(*row_of(MANY[5])), spi_out=0x1234, local="192.0.2.1", remote="192.0.2.2"
    )
    bench.spd.serve([row_of(MANY[5])])
    assert bench.notes.take() == [m.UPDPOLICY]
    await bench.have(*MANY[:50])
    assert bench.notes.take().count(m.DELPOLICY) == 150 and len(bench.left) >= 50


async def test_a_row_that_goes_is_not_brought_back_by_who_serves_it() -> None:
    bench = Bench()
    await bench.have(*MANY)
    bench.notes.take()
    gone = MANY[spd.AT_ONCE + 10 :]
    bench.spd.set(MANY[: spd.AT_ONCE + 10])
    # They are still there, as their turn has not come; many of them are to be served by something else meanwhile.
    bench.spd.serve(map(row_of, gone))
    await bench.spd.settled()
    assert set(bench.spd.rows) == set(map(row_of, MANY)) - set(map(row_of, gone))
    last = {(request.body[:56], request.body[60]): request.kind for request in bench.notes.requests}
    assert m.UPDPOLICY not in last.values()


async def test_a_selector_that_goes_to_another_peer_is_never_without_policies() -> None:
    bench = Bench()
    await bench.have(policy(1))
    bench.notes.take()
    await bench.have(policy(1, peer="q"))
    assert bench.notes.take() == [m.UPDPOLICY] * 3 and set(bench.spd.peers) == {"q"}  # type: ignore[call-overload]


async def test_the_lan_stays_out_of_tunnels_to_everywhere_as_long_as_there_is_one() -> None:
    bench = Bench()
    wide = [policy(number, remote="0.0.0.0/0", peer=f"w{number}") for number in (1, 2)]
    wide[1] = replace(wide[1], selector=wide[1].selector._replace(protocol=6))
    await bench.have(*wide)
    assert bench.notes.take() == [m.UPDPOLICY] * 9
    bench.spd.serve(map(row_of, wide * 20))
    await bench.spd.settled()
    await bench.have(wide[0])
    assert bench.notes.take() == [m.DELPOLICY] * 3
    await bench.have()
    assert bench.notes.take() == [m.DELPOLICY] * 6


async def test_what_the_kernel_refuses_is_told_until_it_takes_it() -> None:
    bench = Bench()
    bench.notes.error = errno.EINVAL
    await bench.have(policy(1))
    assert bench.spd.problem is not None and "refused 3" in bench.spd.problem
    bench.notes.error = 0
    await bench.have(policy(1), policy(2))
    assert bench.spd.problem is None
