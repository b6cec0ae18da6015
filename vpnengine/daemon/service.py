"""``Engine``: the asyncio shell around the protocol and the data path.

After anything happened it drains the protocol: messages to the sockets, effects to the data
path, events to the journal; then it arms one timer.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from vpnengine.contract.capture import CapturedNegotiation
from vpnengine.contract.catalogue import CATALOGUE
from vpnengine.contract.config import EngineConfig, PeerConfig, StartMode
from vpnengine.contract.events import Event, EventBody
from vpnengine.contract.problems import Problem, Refused
from vpnengine.contract.status import DataPathStatus, EngineStatus, PeerStatus
from vpnengine.contract.trace import NegotiationTrace
from vpnengine.crypto.random import system_random
from vpnengine.daemon import slices
from vpnengine.daemon.clock import Clock
from vpnengine.daemon.journal import Journal
from vpnengine.daemon.lag import LagMeter
from vpnengine.daemon.reconcile import Difference, Plan, make_plan
from vpnengine.daemon.reporting import Reporter
from vpnengine.daemon.resolver import Resolver
from vpnengine.daemon.trial import Trial, make_trial
from vpnengine.daemon.unusable import Unusable, unusable_event
from vpnengine.dataplane import udp
from vpnengine.dataplane.base import SLICE_S, DataPlane, DataPlaneError, Policy
from vpnengine.esp.sa import Address, Selector
from vpnengine.ikev1.endpoint import IkeEndpoint
from vpnengine.ikev1.interface import (
    Acquire,
    Command,
    Configure,
    Effect,
    HardExpired,
    InstallSa,
    MoveSa,
    PeerMoved,
    PoliciesChanged,
    Pursuit,
    RemoveSa,
    Resolve,
    Shutdown,
    Slept,
    SoftExpired,
    Traffic,
    Transmit,
)
from vpnengine.ikev1.natt import KEEPALIVE

log = logging.getLogger(__name__)

TRAFFIC_S = 1.0
# The collector stops everything: little at a time, and all of it seldom, see _apply.
GC_THRESHOLDS = (5_000, 5, 40_000)
SWITCH_S = 0.001  # how long the loop waits for a thread that computes, each time that it has waited for anything
ANY = ("0.0.0.0", "::")


class Engine:
    """One IKE daemon. ``bind`` are the local addresses to listen on.

    With ``keep_messages`` whole messages and the keys behind them stay in memory, for ``captured``.
    """

    def __init__(
        self,
        config: EngineConfig,
        dataplane: DataPlane,
        journal: Journal,
        bind: tuple[str, ...] = ANY,
        keep_messages: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or Clock()
        self.config = EngineConfig(listen=config.listen, dataplane=config.dataplane)
        self.digest = ""
        self.journal = journal
        self.listeners: list[Callable[[list[Event]], None]] = []
        self.applied_hook: Callable[[EngineConfig], None] | None = None
        self._first = config
        self._dataplane = dataplane
        self._bind = bind
        self._endpoint = IkeEndpoint(
            system_random, dataplane.capabilities.raw_esp, time.time, keep_messages, dataplane.reserve_spi
        )
        self._sockets: dict[tuple[int, int], socket.socket] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._drops: Counter[str] = Counter()
        self._started = self._clock.now()
        self._reporter = Reporter(self._endpoint, dataplane, self._clock)
        self._lag = LagMeter()
        self._peers: dict[str, PeerConfig] = {}
        self._policies: tuple[Policy, ...] = ()
        self._unusable: dict[str, Unusable] = {}
        self._applying = asyncio.Lock()
        self._resolver = Resolver(self._run)

    # Life

    async def start(self) -> None:
        """Open the sockets and the data path, then apply the first configuration.

        :raises DataPlaneError: with a sentence for the administrator.
        """
        gc.set_threshold(*GC_THRESHOLDS)
        sys.setswitchinterval(SWITCH_S)
        # Nothing that is applied through the control socket may come before, and be replaced by, the first one.
        async with self._applying:
            natt = self._open_sockets()
            await self._dataplane.open(natt, self)
            for work in (self.journal.sync_forever, self._watch_traffic, self._lag.run, self._resolver.run):
                self._spawn(work())
            self.emit("engine.started", dataplane=self._dataplane.capabilities.name)
            await self._apply([self._first])

    def _open_sockets(self) -> list[socket.socket]:
        listen = self.config.listen
        natt = []
        loop = asyncio.get_running_loop()
        for host in self._bind:
            for port in (listen.ike_port, listen.natt_port):
                try:
                    sock = udp.open_udp_socket(host, port)
                except (OSError, DataPlaneError):
                    # A host without IPv6 has no such socket; then IPv4 is enough.
                    if host == "::":
                        continue
                    raise
                self._sockets[(sock.family, port)] = sock
                if port == listen.natt_port:
                    natt.append(sock)
                else:
                    self._dataplane.exempt(sock)
                    loop.add_reader(sock, self._readable, sock)
        return natt

    async def stop(self) -> None:
        """Tell the peers, then remove everything."""
        self._dataplane.ending()
        self._run(Shutdown())
        self.emit("engine.stopped")
        for task in self._tasks:
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        await self._dataplane.close()
        loop = asyncio.get_running_loop()
        for sock in self._sockets.values():
            loop.remove_reader(sock)
            sock.close()
        self.journal.close()

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # In

    def _readable(self, sock: socket.socket) -> None:
        until = time.monotonic() + SLICE_S
        while time.monotonic() < until:
            try:
                data, local, remote = udp.receive(sock)
            except BlockingIOError:
                return
            except OSError as error:
                self._drops[f"receive: {error.strerror}"] += 1
                return
            self.ike(data, local, remote)

    def ike(self, datagram: bytes, local: Address, remote: Address) -> None:
        """An ISAKMP message has come, on either port."""
        try:
            self._endpoint.receive(datagram, local, remote, self._clock.now())
        except Exception:
            # The one edge where a bug must not end everybody's tunnels. The datagram itself is not logged.
            self._drops["engine bug"] += 1
            log.exception("a datagram from %s made the engine fail", remote)
        self._drain()

    def acquire(self, peer_id: str, selector: Selector) -> None:
        """The data path has a packet for a selector without an SA."""
        self._run(Acquire(peer_id, selector))

    def soft_expired(self, spi_in: int) -> None:
        """The data path wants a successor of a pair."""
        self._run(SoftExpired(spi_in))

    def hard_expired(self, spi_in: int) -> None:
        """A pair carries nothing more."""
        self._run(HardExpired(spi_in))

    def moved(self, spi_in: int, remote: Address) -> None:
        """An authentic ESP packet came from a new address."""
        self._run(PeerMoved(spi_in, remote))

    def restarted(self, part: str, count: int) -> None:
        """A part of the data path failed: told the first time, and then each time that the count has doubled."""
        if count & (count - 1) == 0:
            self.emit("engine.datapath.restarted", part=part, count=count)

    def _run(self, command: Command) -> None:
        self._endpoint.command(command, self._clock.now())
        self._drain()

    command = _run

    async def _watch_traffic(self) -> None:
        """Tell the protocol who has been heard, and how late it is if the machine has slept."""
        while True:
            await asyncio.sleep(TRAFFIC_S)
            still = self._clock.stood_still(TRAFFIC_S)
            if still:
                self.emit("engine.slept", seconds=round(still))
                self._run(Slept())
                self._due()
            counters = self._dataplane.counters().items()
            heard = {spi: self._clock.of_monotonic(c.last_in) for spi, c in counters if c.last_in is not None}
            if heard:
                self._run(Traffic(heard))

    # Out

    def _drain(self) -> None:
        # Messages first: ESP on a new SA must not overtake the message that makes the peer install it.
        for transmit in self._endpoint.transmits():
            self._transmit(transmit)
        for effect in self._endpoint.effects():
            try:
                self._effect(effect)
            except Exception:
                # The data path fails for one tunnel: the others keep their events and timers.
                self._drops["engine bug"] += 1
                log.exception("an effect of the kind %s failed", type(effect).__name__)
        self._publish(self._endpoint.events())
        self._arm()

    def _effect(self, effect: Effect) -> None:
        match effect:
            case InstallSa(pair, outbound):
                self._dataplane.install(pair, outbound)
            case RemoveSa(spi_in):
                self._dataplane.remove(spi_in)
            case MoveSa(spi_in, remote):
                self._dataplane.update_remote(spi_in, remote)
            case PoliciesChanged():
                self._set_policies()
            case Resolve(peer_id, host):
                self._ask(peer_id, host)

    def _ask(self, peer_id: str, host: str) -> None:
        peer = self._peers.get(peer_id)
        if peer is not None:
            self._resolver.ask(peer, host)

    def _set_policies(self) -> None:
        """What is configured, and what mode config has assigned."""
        self._dataplane.set_addresses(self._endpoint.own_addresses())
        assigned = [
            Policy(peer_id, selector, self._peers[peer_id].start is not StartMode.RESPONDER)
            for peer_id, selector in self._endpoint.assigned()
            if peer_id in self._peers
        ]
        self._dataplane.set_policies([*self._policies, *assigned] if assigned else self._policies)

    def _transmit(self, transmit: Transmit) -> None:
        port = transmit.local.port
        family = socket.AF_INET6 if ":" in transmit.remote.host else socket.AF_INET
        sock = self._sockets.get((family, port))
        if sock is None:
            self._drops["no socket"] += 1
            return
        data = transmit.payload
        if port == self.config.listen.natt_port and data != KEEPALIVE:
            data = udp.NON_ESP_MARKER + data
        try:
            udp.send(sock, data, transmit.local.host, transmit.remote)
        except OSError as error:
            self._drops[f"send: {error.strerror}"] += 1

    def _publish(self, bodies: list[EventBody]) -> None:
        if not bodies:
            return
        events = self.journal.append(bodies)
        for listener in self.listeners:
            listener(events)

    def emit(self, code: str, **arguments: object) -> None:
        """An event of the engine itself."""
        entry = CATALOGUE[code]
        self._publish([EventBody(code=code, severity=entry.severity, text=entry.text.format(**arguments))])

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        head = self._endpoint.next_timer()
        if head is not None:
            delay = max(0.0, head[0] - self._clock.now())
            self._timer = asyncio.get_running_loop().call_later(delay, self._due)

    def _due(self) -> None:
        self._timer = None
        try:
            self._endpoint.handle_timer(self._clock.now())
        except Exception:
            self._drops["engine bug"] += 1
            log.exception("a timer made the engine fail")
        self._drain()

    # Configuration

    async def apply(self, config: EngineConfig) -> Difference:
        """Make a validated configuration effective. An unchanged tunnel is not touched.

        What takes long with thousands of peers runs beside the loop.

        :raises Refused: if it needs a restart, a peer is this host itself, or a certificate cannot be used.
        """
        box = [config]
        del config  # thousands of rows that are there already are freed by the other thread, not here
        async with self._applying:
            return await self._apply(box)

    async def try_out(self, config: EngineConfig) -> Trial:
        """What ``apply`` would do now; nothing is changed. :raises Refused: for whatever ``apply`` would refuse."""
        box = [config]
        del config
        async with self._applying:
            plan = await asyncio.to_thread(self._plan, box, False)
            if plan.problems:
                raise Refused(list(plan.problems))
            return make_trial(self._endpoint, self.config, plan)

    async def _apply(self, box: list[EngineConfig]) -> Difference:
        plan = await asyncio.to_thread(self._plan, box)
        if plan.problems:
            raise Refused(list(plan.problems))
        if plan.effective:
            self._commit(plan)
            self.digest = plan.digest
            counts = {name: len(ids) for name, ids in plan.difference.as_dict().items()}
            await self._dataplane.settled()
            self.emit("engine.config.applied", revision=plan.config.revision, **counts)
            if self.applied_hook is not None:
                await asyncio.to_thread(self.applied_hook, plan.config)
            # The collector would go through every row again and again, for a quarter of a second with thousands
            # of them. They form no cycles: they are freed by their counts, frozen or not.
            gc.freeze()
        return plan.difference

    def _plan(self, box: list[EngineConfig], prepare: bool = True) -> Plan:
        """On another thread: whatever takes long and changes nothing. The document in the box is used up."""
        config = box.pop()
        plan = make_plan(self.config, config, self._dataplane.capabilities)
        if prepare and plan.effective and not plan.problems:
            self._dataplane.prepare(plan.policies)
        rows = list(config.peers)
        del config
        slices.free(rows)
        return plan

    def _commit(self, plan: Plan) -> None:
        """All of a configuration becomes effective, or nothing.

        :raises Refused: if the data path or the protocol fails; the configuration before is effective then.
        """
        before = self.config, self._peers, self._policies, self._unusable
        self.config, self._peers, self._policies = plan.config, plan.peers, plan.policies
        try:
            self._set_policies()
            self._run(Configure(plan.config, plan.changes))
        except Exception as error:
            self.config, self._peers, self._policies, self._unusable = before
            self._restore()
            log.exception("a configuration could not be made effective")
            message = f"the engine failed over it, and the configuration before stays: {error}"
            raise Refused([Problem(field="", rule="failed", message=message)]) from None
        self._unusable = self._told(plan)

    def _restore(self) -> None:
        """Undo what was done of a configuration that failed half way."""
        rows = tuple(self._peers.values())
        for step in (
            self._set_policies,
            lambda: self._run(Configure(self.config.model_copy(update={"peers": rows}))),
        ):
            try:
                step()
            except Exception:
                log.exception("the configuration before could not be restored in full")

    def _told(self, plan: Plan) -> dict[str, Unusable]:
        """Say which peers this data path cannot carry: once for each row."""
        found: dict[str, Unusable] = {}
        for peer in plan.config.peers if plan.unusable else ():
            problem = plan.unusable.get(peer.id)
            known = self._unusable.get(peer.id)
            if problem is None:
                continue
            if known is not None and known.peer is peer:
                found[peer.id] = known
                continue
            body = unusable_event(peer, problem)
            self._publish([body])
            found[peer.id] = Unusable(peer, problem, body, time.time())
        return found

    # Status

    async def status_json(self) -> str:
        """The present state as the JSON of an ``EngineStatus``, with the data path's counters."""
        conditions = [*self._dataplane.conditions()]
        if self.journal.write_errors:
            conditions.append("events cannot be written to the journal; check the disk")
        able = self._dataplane.capabilities
        head = EngineStatus(
            revision=self.config.revision,
            digest=self.digest,
            dataplane=able.name,
            data_path=DataPathStatus(
                name=able.name,
                raw_esp=able.raw_esp,
                transport=able.transport,
                ah=able.ah,
                passed_over=self._dataplane.passed_over,
            ),
            boot=self.journal.boot,
            uptime_s=round(self._clock.now() - self._started, 3),
            peers=(),
            drops=dict(self._drops) | self._dataplane.drops(),
            conditions=tuple(conditions),
        )
        return await self._reporter.status_json(head, [one.status() for one in self._unusable.values()])

    def peer_status(self, peer_id: str) -> PeerStatus:
        """The present state of one peer, with the data path's counters."""
        return self._reporter.peer_status(peer_id)

    def stats(self) -> dict[str, Any]:
        """Counters for machines."""
        return {
            "ike": self._endpoint.counters(),
            "drops": dict(self._drops) | self._dataplane.drops(),
            "loop_lag_ms": round(self._lag.last_ms, 3),
            "loop_lag_max_ms": round(self._lag.take_worst_ms(), 3),
            "sa_pairs": self._endpoint.pair_count,
            "events": self.journal.last,
            "journal_write_errors": self.journal.write_errors,
        }

    def negotiations(self, peer_id: str) -> list[NegotiationTrace]:
        """What the last negotiations of a peer said, the oldest first."""
        return self._endpoint.negotiations(peer_id, time.time() - self._clock.now())

    def captured(self, peer_id: str, secrets: bool) -> list[CapturedNegotiation]:
        """The whole messages of a peer's last negotiations.

        :raises Refused: if the engine was not started to keep them.
        """
        if not self._endpoint.keeps_messages:
            message = "no messages are kept; start the engine with --keep-messages, then negotiate again"
            raise Refused([Problem(field="", rule="not_kept", message=message)])
        return self._endpoint.captured(peer_id, secrets, time.time() - self._clock.now())

    def is_up(self, peer_id: str, selectors: Collection[Selector]) -> bool:
        """True if each of these selectors of a peer has an SA pair that both ends have agreed on."""
        return self._endpoint.is_up(peer_id, selectors)

    def pursued(self, peer_id: str) -> Pursuit:
        """What is being tried for a peer at present."""
        return self._endpoint.pursued(peer_id)

    def find_peer(self, name: str) -> str:
        """The id of a peer given by id or by name.

        :raises Refused: if there is none, or this data path cannot carry it.
        """
        for peer in self.config.peers:
            if name in (peer.id, peer.name):
                if peer.id in self._unusable:
                    raise Refused([self._unusable[peer.id].problem])
                return peer.id
        message = f"no peer is called “{name}”; ctl status lists them"
        raise Refused([Problem(field="peer", rule="unknown_peer", message=message)])
