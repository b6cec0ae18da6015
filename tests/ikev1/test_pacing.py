"""Many tunnels wanted at once: they begin in order, some at a time, and the dead do not starve the living."""

from __future__ import annotations

import heapq
import random
from typing import Any

from tests.ikev1.pair import LEFT, document, mirrored, peer_row
from vpnengine.ikev1.endpoint import IkeEndpoint
from vpnengine.ikev1.interface import Configure, Resolve, Resolved, Transmit
from vpnengine.ikev1.pacing import MAX_BUSY

DELAY_S = 0.01


def rows(count: int) -> list[dict[str, Any]]:
    """Peers that are all wanted at once."""
    return [
        peer_row(id=f"p{n}", name=f"P{n}", remote=f"198.51.100.{n + 1}", start="immediate")
        | {"remote_subnets": [f"10.2.{n}.0/24"]}
        for n in range(count)
    ]


class Star:
    """One endpoint in the middle, and as many around it as are alive, under a virtual clock."""

    def __init__(self, configured: list[dict[str, Any]], living: list[dict[str, Any]]) -> None:
        self.now = 1000.0
        self.rng = random.Random(1).randbytes
        self.begun: dict[str, float] = {}
        self.flying: list[tuple[float, int, str, Transmit]] = []
        self.count = 0
        self.nodes = {LEFT: self._endpoint()}
        self.hub = self.nodes[LEFT]
        for row in living:
            self.nodes[row["remote"]] = self._endpoint()
            self.command(row["remote"], Configure(document(mirrored(row))))
        self.command(LEFT, Configure(document(*configured)))

    def _endpoint(self) -> IkeEndpoint:
        return IkeEndpoint(self.rng, True, lambda: self.now, False)

    def command(self, host: str, command: Any) -> None:
        self.nodes[host].command(command, self.now)
        self.drain(host)

    def drain(self, host: str) -> None:
        node = self.nodes[host]
        node.events()
        for transmit in node.transmits():
            self.count += 1
            if host == LEFT:
                self.begun.setdefault(transmit.remote.host, self.now)
            if transmit.remote.host in self.nodes:
                heapq.heappush(self.flying, (self.now + DELAY_S, self.count, host, transmit))
        for effect in node.effects():
            if isinstance(effect, Resolve):
                self.command(host, Resolved(effect.peer_id, effect.host, host, effect.host))

    def run(self, seconds: float) -> None:
        """Run for virtual seconds. Bounded in steps."""
        end = self.now + seconds
        for _ in range(50_000):
            timers = [(t[0], host) for host, node in self.nodes.items() if (t := node.next_timer()) is not None]
            timer = min(timers, default=(float("inf"), ""))
            arrival = self.flying[0][0] if self.flying else float("inf")
            if min(arrival, timer[0]) > end:
                self.now = end
                return
            self.now = max(self.now, min(arrival, timer[0]))
            if arrival <= timer[0]:
                _, _, _, transmit = heapq.heappop(self.flying)
                host = transmit.remote.host
                self.nodes[host].receive(transmit.payload, transmit.remote, transmit.local, self.now)
            else:
                host = timer[1]
                self.nodes[host].handle_timer(self.now)
            self.drain(host)
        raise AssertionError("no end")

    def up(self) -> set[str]:
        return {peer.id for peer in self.hub.peer_statuses(self.now) if any(sa.state == "mature" for sa in peer.sas)}


def test_no_more_than_the_places_begin_and_they_begin_in_order() -> None:
    all_rows = rows(MAX_BUSY * 2 + 10)
    hosts = [row["remote"] for row in all_rows]
    star = Star(all_rows, [])
    star.run(0.5)
    assert list(star.begun) == hosts[:MAX_BUSY]
    # Nobody answers: at the first retransmission each place goes to the next in the queue.
    star.run(5)
    assert list(star.begun)[: MAX_BUSY * 2] == hosts[: MAX_BUSY * 2]
    star.run(10)
    assert list(star.begun) == hosts
    waves = sorted(set(star.begun.values()))
    assert len(waves) == 3
    assert max(list(star.begun.values()).count(wave) for wave in waves) == MAX_BUSY


def test_a_removed_peer_in_the_queue_does_nothing() -> None:
    all_rows = rows(MAX_BUSY + 3)
    star = Star(all_rows, [])
    gone = all_rows.pop(MAX_BUSY)
    star.command(LEFT, Configure(document(*all_rows, revision=2)))
    star.run(20)
    assert list(star.begun) == [row["remote"] for row in all_rows] and gone["remote"] not in star.begun


def test_a_peer_in_the_queue_that_is_replaced_begins_with_what_it_is_now() -> None:
    all_rows = rows(MAX_BUSY + 3)
    star = Star(all_rows, [])
    old = all_rows.pop(MAX_BUSY)
    star.command(LEFT, Configure(document(*all_rows, revision=2)))
    all_rows.append(old | {"remote": "198.51.100.250"})
    star.command(LEFT, Configure(document(*all_rows, revision=3)))
    star.run(20)
    assert "198.51.100.250" in star.begun and old["remote"] not in star.begun
    assert len(star.begun) == len(all_rows)


def test_200_peers_that_answer_all_come_up() -> None:
    all_rows = rows(200)
    star = Star(all_rows, all_rows)
    star.run(3)
    assert star.up() == {row["id"] for row in all_rows}
    # Each place is used again as soon as it is free.
    assert star.hub.counters()["phase 1 established"] == 200


def test_the_dead_do_not_starve_the_living() -> None:
    all_rows = rows(MAX_BUSY * 2 + 20)
    living = all_rows[-20:]
    star = Star(all_rows, living)
    star.run(1)
    assert not star.up()
    # Two waves of dead peers each give their places away at their first retransmission.
    star.run(15)
    assert star.up() == {row["id"] for row in living}
