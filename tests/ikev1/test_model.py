"""Two engines under a random course of events, against a model that knows only what must come of it.

The network loses, doubles, reorders and delays; either end is commanded, configured anew, cut off, or
restarted, and time passes. The model remembers what is configured. Whenever the network has been good for a
while, there has to be what follows from that, and nothing else: one pair per selector that both ends have, with
the same SPIs and keys at both, and nothing at all where the secrets differ.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.ikev1.pair import Network, Node, document, mirrored, peer_row
from vpnengine.contract.catalogue import CATALOGUE
from vpnengine.ikev1.endpoint import IkeEndpoint
from vpnengine.ikev1.interface import (
    Acquire,
    Configure,
    HardExpired,
    InitiatePeer,
    RekeyPeer,
    SoftExpired,
    TerminatePeer,
)
from vpnengine.ikev1.model import IsakmpSa, Peer
from vpnengine.ikev1.states import Phase1, Quick, Role

SIDES = ["left", "right"]
SUBNETS = [("10.1.0.0/24", "10.2.0.0/24"), ("10.1.1.0/24", "10.2.1.0/24"), ("10.1.2.0/24", "10.2.2.0/24")]
SECRETS = ["one secret that both ends know", "another secret, after a change"]
PHASE1_S, PHASE2_S = 900, 400
DPD = {"interval_s": 10, "timeout_s": 30}
SLOWEST_S = 2.0  # how late a message may be
FORGOTTEN_S = 150.0  # by then dead peer detection, every retransmission and every pause has ended
CONTACT_S = 5.0  # long before dead peer detection could find out that an end was restarted
SURPLUS_S = 140.0  # what both ends have begun at once is one pair by then

side = st.sampled_from(SIDES)


@dataclass
class Wanted:
    """What the model knows of one end: its configuration."""

    start: str
    subnets: frozenset[int] = frozenset({0})
    secret: int = 0
    window: int = 64


@dataclass
class Path:
    """What becomes of datagrams: percentages of loss and of doubles, the most delay, and whom nothing reaches."""

    loss: int = 0
    double: int = 0
    delay: float = 0.01
    cut: set[str] = field(default_factory=set)


class Tunnel(RuleBasedStateMachine):
    """The course of events."""

    def __init__(self) -> None:
        super().__init__()
        self.path = Path()
        self.wanted = {"left": Wanted("traffic"), "right": Wanted("responder")}
        self.before: dict[str, Counter[str]] = {name: Counter() for name in SIDES}
        self.checked = dict.fromkeys(SIDES, 0)
        self.revision = 1
        self.unheard = (
            False  # a delete may have been lost: nothing answers it, so what it meant may stay at the other end
        )
        self.ended = False  # somebody has ended the tunnel at the left end, and not asked for it again

    # Set-up

    @initialize(seed=st.integers(0, 2**16), start=st.sampled_from(["traffic", "immediate"]))
    def begin(self, seed: int, start: str) -> None:
        self.wanted["left"].start = start
        self.network = Network(self._document("left"), self._document("right"), seed=seed)
        self.network.fate = self._fate
        self.initiate("left")
        self.network.run(5)

    def _document(self, name: str) -> Any:
        wanted = self.wanted[name]
        chosen = [SUBNETS[number] for number in sorted(wanted.subnets)]
        row = peer_row(
            selectors=[{"local": local, "remote": remote} for local, remote in chosen],
            psk=SECRETS[wanted.secret],
            phase1={"lifetime_s": PHASE1_S},
            phase2={"lifetime_s": PHASE2_S, "pfs_group": None},
            dpd=DPD,
            replay_window=wanted.window,
        )
        del row["local_subnets"], row["remote_subnets"]
        if name == "right":
            flipped = [{"local": remote, "remote": local} for local, remote in chosen]
            row = mirrored(row | {"local_subnets": [], "remote_subnets": []}, selectors=flipped)
            del row["local_subnets"], row["remote_subnets"]
        self.revision += 1
        return document(row | {"start": wanted.start}, revision=self.revision)

    def _fate(self, number: int, source: str, transmit: Any) -> list[float]:
        path, rng = self.path, self.network.random
        if path.cut or rng.randrange(100) < path.loss:
            return []
        copies = 2 if rng.randrange(100) < path.double else 1
        return [0.01 + rng.random() * path.delay for _ in range(copies)]

    def node(self, name: str) -> Node:
        return self.network.left if name == "left" else self.network.right

    def peer(self, name: str) -> Peer:
        return next(iter(self.node(name).endpoint._core.peers.values()))

    def _command(self, name: str, command: Any) -> None:
        self.network.command(self.node(name), command)

    # What happens

    @rule(name=side)
    def initiate(self, name: str) -> None:
        self.ended &= name != "left"
        self._command(name, InitiatePeer(self.peer(name).id))

    @rule(name=side, number=st.integers(0, 2))
    def traffic(self, name: str, number: int) -> None:
        selectors = self.peer(name).selectors
        self._command(name, Acquire(self.peer(name).id, selectors[number % len(selectors)]))

    @rule(name=side)
    def delete(self, name: str) -> None:
        self.ended |= name == "left"
        self._command(name, TerminatePeer(self.peer(name).id))

    @rule(name=side, phase=st.sampled_from([1, 2]))
    def rekey(self, name: str, phase: Any) -> None:
        self._command(name, RekeyPeer(self.peer(name).id, phase))

    @rule(phase=st.sampled_from([1, 2]))
    def rekey_at_once(self, phase: Any) -> None:
        for name in SIDES:
            self.rekey(name, phase)

    @rule(name=side, hard=st.booleans())
    def octets_used(self, name: str, hard: bool) -> None:
        for spi in list(self.node(name).installed)[:1]:
            self._command(name, HardExpired(spi) if hard else SoftExpired(spi))

    @rule(name=side, subnets=st.frozensets(st.integers(0, 2), min_size=1))
    def other_subnets(self, name: str, subnets: frozenset[int]) -> None:
        self.wanted[name].subnets = subnets
        self.unheard = self.unheard or self._bad()
        self._command(name, Configure(self._document(name)))

    @rule(name=side, secret=st.integers(0, 1), window=st.sampled_from([64, 128]))
    def other_settings(self, name: str, secret: int, window: int) -> None:
        self.wanted[name].secret, self.wanted[name].window = secret, window
        self.unheard = self.unheard or self._bad()
        self._command(name, Configure(self._document(name)))

    @rule(name=side)
    def restart(self, name: str) -> None:
        node = self.node(name)
        wall = self.network
        node.endpoint = IkeEndpoint(wall.random.randbytes, True, lambda: wall.wall + wall.now)
        node.installed, node.outbound = {}, []
        self.before[name] = Counter()
        self._command(name, Configure(self._document(name)))

    @precondition(lambda self: self._expected())
    @rule(name=side)
    def restart_and_call(self, name: str) -> None:
        """Whoever has lost its memory says so in its first phase 1: what the other end has of before goes at once."""
        self.path = Path()
        self.initiate(name)
        self.network.run(20)
        other = self.node("right" if name == "left" else "left")
        before, old = set(other.installed), set(other.endpoint._core.sas)
        self.restart(name)
        self.initiate(name)
        self.network.run(CONTACT_S)
        first = self._first_phase1(name)
        if first is None or first.role is not Role.INITIATOR:
            return  # the other end has begun in the same moment, and was answered
        kept = before & set(other.installed), old & {k for k, sa in other.endpoint._core.sas.items() if sa.established}
        assert kept == (set(), set()), (name, kept, self._story())

    def _first_phase1(self, name: str) -> IsakmpSa | None:
        """What has been established first since that end was restarted."""
        found = [sa for sa in self.node(name).endpoint._core.sas.values() if sa.established is not None]
        return min(found, key=lambda sa: sa.established or 0.0, default=None)

    @rule(
        loss=st.sampled_from([0, 10, 30]), double=st.sampled_from([0, 15]), delay=st.sampled_from([0.0, 0.3, SLOWEST_S])
    )
    def weather(self, loss: int, double: int, delay: float) -> None:
        self.path.loss, self.path.double, self.path.delay = loss, double, delay

    @rule(name=side)
    def vanish(self, name: str) -> None:
        self.path.cut.add(name)

    @precondition(lambda self: self.path.cut)
    @rule()
    def come_back(self) -> None:
        self.path.cut.clear()

    @rule(seconds=st.sampled_from([0.05, 1.0, 5.0, 12.0, 45.0, 300.0]))
    def pass_time(self, seconds: float) -> None:
        self.network.run(seconds)

    @rule()
    def calm(self) -> None:
        self.expect_what_is_configured()

    # What must hold

    def _expected(self) -> set[tuple[str, str]]:
        """The selectors that have to be up, as the left end has them."""
        left, right = self.wanted["left"], self.wanted["right"]
        if left.secret != right.secret:
            return set()
        return {SUBNETS[number] for number in left.subnets & right.subnets}

    def _bad(self) -> bool:
        return bool(self.path.cut or self.path.loss)

    def expect_what_is_configured(self) -> None:
        """The network is good, and both ends are there: after a while there is what is configured, and no more."""
        self.path = Path()
        self.network.run(FORGOTTEN_S)
        self._expect_nothing_foreign()
        if self.unheard:
            self.network.run(PHASE2_S)
            self.unheard = False
        if self.wanted["left"].start != "immediate" or self.ended:
            self.initiate("left")
            self.network.run(10)
        self.network.run(SURPLUS_S)
        expected, context = self._expected(), self._story()
        live = {name: self._live(name) for name in SIDES}
        assert {key for key, _ in live["left"]} == expected, context
        assert {key[::-1] for key, _ in live["right"]} == expected, context
        assert len(live["left"]) == len(live["right"]) == len(expected), context
        self._expect_twins(context)
        self._expect_little_that_lingers(context)
        self._expect_nothing_unfinished(context)
        alive = [{sa.name for sa in self.peer(name).sas if sa.usable} for name in SIDES]
        if expected:
            assert alive[0] & alive[1] and all(1 <= len(names) <= 2 for names in alive), (alive, context)

    def _expect_nothing_foreign(self) -> None:
        """No end has a pair that its own configuration does not know (any more)."""
        for name, wanted in self.wanted.items():
            own = {SUBNETS[number] if name == "left" else SUBNETS[number][::-1] for number in wanted.subnets}
            assert {key for key, _ in self._live(name)} <= own, (name, self._story())

    def _live(self, name: str) -> list[tuple[tuple[str, str], int]]:
        pairs = [pair for pair in self.peer(name).pairs if not pair.replaced]
        return [((p.params.selector.local_text, p.params.selector.remote_text), p.params.spi_in) for p in pairs]

    def _expect_twins(self, context: Any) -> None:
        """Each end's pairs are the other's, under the same SPIs and keys."""
        for name, other in (SIDES, SIDES[::-1]):
            there = self.node(other).installed
            for pair in self.peer(name).pairs:
                params = pair.params
                twin = there.get(params.spi_out)
                if twin is None and pair.replaced:
                    continue  # it lingers here alone
                assert twin is not None and pair.confirmed, context
                assert (twin.spi_out, twin.keys_in, twin.keys_out) == (params.spi_in, params.keys_out, params.keys_in)
                assert twin.selector == params.selector.mirrored() and twin.transform == params.transform

    def _expect_little_that_lingers(self, context: Any) -> None:
        """What was replaced goes soon."""
        for name in SIDES:
            timers = self.node(name).endpoint._core.timers
            for pair in (pair for pair in self.peer(name).pairs if pair.replaced):
                ends = timers.when(("expire", pair.timer))
                assert ends is not None and ends - self.network.now <= 30, (name, pair.surplus, context)

    def _expect_nothing_unfinished(self, context: Any) -> None:
        if self.wanted["left"].secret != self.wanted["right"].secret:
            return  # they go on trying
        for name in SIDES:
            unfinished = [sa.state for sa in self.peer(name).sas if sa.state is not Phase1.ESTABLISHED]
            quick = [e.state for sa in self.peer(name).sas for e in sa.quick.values() if e.state is not Quick.DONE]
            asked = self.peer(name).wanted.keys()
            if self.wanted["left"].subnets == self.wanted["right"].subnets:
                assert not unfinished and not quick and not asked, context

    def _story(self) -> dict[str, Any]:
        return {name: [event.text for event in self.node(name).events[-12:]] for name in SIDES}

    @invariant()
    def the_data_path_has_what_the_protocol_has(self) -> None:
        if not hasattr(self, "network"):
            return
        for name in SIDES:
            node, core = self.node(name), self.node(name).endpoint._core
            assert node.installed.keys() == core.pairs.keys(), name
            assert set(node.outbound) <= node.installed.keys()
            held = [pair.params.spi_in for peer in core.peers.values() for pair in peer.pairs]
            assert sorted(held) == sorted(core.pairs), name

    @invariant()
    def nothing_outlives_its_lifetime(self) -> None:
        if not hasattr(self, "network"):
            return
        now = self.network.now
        for name in SIDES:
            core = self.node(name).endpoint._core
            for _, pair in core.pairs.values():
                assert pair.expires >= now - 0.001, (name, pair.role)
            for sa in core.sas.values():
                assert sa.state is not Phase1.DEAD
                assert (sa.expires or now) >= now - 0.001
                assert any(core.timers.when((kind, sa.cookies)) for kind in ("expire", "half-open")) or any(
                    core.timers.when(("retransmit", sa.cookies)) for _ in (0,)
                ), (name, sa.state)

    @invariant()
    def nothing_grows_without_bound(self) -> None:
        if not hasattr(self, "network"):
            return
        for name in SIDES:
            core = self.node(name).endpoint._core
            assert len(core.sas) <= 40 and len(core.pairs) <= 60, (name, len(core.sas), len(core.pairs))
            assert sum(len(peer.sas) for peer in core.peers.values()) == len(core.sas)
            assert len(core.timers._entries) < 400 and len(core.timers._heap) < 1000
            assert len(core.responding) <= len(core.sas) and not core.decoys

    @invariant()
    def counters_only_grow_and_events_are_known(self) -> None:
        if not hasattr(self, "network"):
            return
        for name in SIDES:
            node = self.node(name)
            counters = Counter(node.endpoint.counters())
            assert all(counters[key] >= count for key, count in self.before[name].items()), name
            self.before[name] = counters
            for event in node.events[self.checked[name] :]:
                assert event.code in CATALOGUE
                assert not any(secret in event.model_dump_json() for secret in SECRETS)
            self.checked[name] = len(node.events)

    def teardown(self) -> None:
        if hasattr(self, "network"):
            self.expect_what_is_configured()


TestTunnel = Tunnel.TestCase
TestTunnel.settings = settings(
    max_examples=40,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # to shrink 20 steps would take longer than a test may
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def test_a_change_withdraws_what_is_under_way() -> None:
    """A quick mode of ours for a selector that has gone, and an answer of ours whose phase 1 has gone."""
    course = Tunnel()
    course.begin(seed=668, start="immediate")
    course.vanish(name="right")
    course.other_subnets(name="left", subnets=frozenset({2}))
    course.rekey(name="right", phase=1)
    course.come_back()
    course.other_subnets(name="right", subnets=frozenset({0, 2}))
    course.other_subnets(name="left", subnets=frozenset({0, 1, 2}))
    course.rekey(name="left", phase=1)
    course.rekey(name="right", phase=2)
    course.vanish(name="right")
    course.other_subnets(name="left", subnets=frozenset({1}))
    course.calm()
    course.nothing_outlives_its_lifetime()
    course.the_data_path_has_what_the_protocol_has()
