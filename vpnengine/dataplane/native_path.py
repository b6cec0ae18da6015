"""The native userspace data path: threads in Rust carry the packets, this class keeps their tables.

Which pair a selector's traffic goes to, and what a pair may carry, is decided here as in the Python reference; the
threads look up the outcome (``docs/dataplane.md``).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import TYPE_CHECKING

from vpnengine.contract.algorithms import EspEncryption
from vpnengine.dataplane.base import Capabilities, DataPlane, DataPlaneError, Policy, SaCounters, Upcalls
from vpnengine.dataplane.device import Device
from vpnengine.dataplane.tun import sentence
from vpnengine.dataplane.udp import MARK
from vpnengine.esp.sa import Address, IpsecSaPair, Selector
from vpnengine.esp.spans import ends

if TYPE_CHECKING:
    from vpnengine.dataplane._native import NativePath, Policies

log = logging.getLogger(__name__)

MTU = 1400  # room for UDP, ESP, IV, padding and ICV in 1500 octets, with any transform
UNAVAILABLE = (
    "the native data path is not built, so that packets are carried in Python, which is slower; "
    "run ./culvert engine once with a network, or install a Rust compiler"
)

SelectorRow = tuple[int, int, int, int, int, int, int, int]


def load() -> ModuleType | None:
    """The native module; None where it has not been built."""
    try:
        from vpnengine.dataplane import _native
    except ImportError:
        return None
    return _native


@dataclass(frozen=True)
class NativePair:
    """The parameters of one pair as the native module takes them; keys are KEYMAT's octets."""

    spi_in: int
    spi_out: int
    encryption: str
    integrity: str | None
    esn: bool
    key_in: bytes
    key_out: bytes
    integrity_in: bytes
    integrity_out: bytes
    replay_window: int
    local: str
    remote: tuple[str, int]
    udp: bool
    soft: int | None
    hard: int | None
    admits: list[SelectorRow]
    copy_dscp: bool
    df: str
    fragment: str
    mss: int | None  # 0 is what fits, None as announced
    device_mtu: int

    def __repr__(self) -> str:
        return f"NativePair({self.spi_in:#010x})"


@dataclass
class _Sa:
    """One installed pair; ``carries`` are the policies whose traffic it takes when it sends."""

    pair: IpsecSaPair
    sending: bool = False
    carries: tuple[Selector, ...] = ()


@dataclass
class _Tables:
    """What is looked up of some policies, here and by the threads (``native``).

    ``before`` are the numbers that they build upon, ``last`` the newest one.
    """

    policies: tuple[Policy, ...]
    before: dict[Policy, int]
    last: int
    native: Policies
    numbers: dict[Policy, int] = field(default_factory=dict)
    by_number: dict[int, Policy] = field(default_factory=dict)
    of_selector: dict[Selector, list[int]] = field(default_factory=dict)
    by_peer: dict[str, dict[Selector, None]] = field(default_factory=dict)
    fresh: set[int] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    """Peers that have other selectors than before."""


class NativeDataPlane(DataPlane):
    """TUN with offload, ESP with and without UDP, in threads of their own.

    ``unprotected`` is for measurements: a pair of NULL without integrity, which RFC 4303 forbids, is carried as it is.

    :raises DataPlaneError: if the native module has not been built.
    """

    capabilities = Capabilities(name="userspace (native)", raw_esp=True)

    def __init__(self, device: str = "culvert0", unprotected: bool = False) -> None:
        native = load()
        if native is None:
            raise DataPlaneError(UNAVAILABLE)
        self._name, self._unprotected = device, unprotected
        self._native: NativePath = native.NativePath(time.monotonic(), unprotected)
        self._make_native: type[Policies] = native.Policies
        self._device = Device(device, MTU, self._attach, self._native.close_device, self._native.device_gone)
        self._upcalls: Upcalls | None = None
        self._failed: dict[str, int] = {}
        self._policies: tuple[Policy, ...] = ()
        self._native_policies: Policies = self._make_native([])
        self._numbers: dict[Policy, int] = {}
        self._by_number: dict[int, Policy] = {}
        self._of_selector: dict[Selector, list[int]] = {}
        self._last_number = 0
        self._prepared: _Tables | None = None
        self._by_peer: dict[str, dict[Selector, None]] = {}
        self._by_spi: dict[int, _Sa] = {}
        self._larval: dict[int, _Sa] = {}
        self._by_selector: dict[Selector, list[_Sa]] = {}

    async def open(self, natt_sockets: Iterable[socket.socket], upcalls: Upcalls) -> None:
        """Make the device and start the threads."""
        self._device.open()
        self.start(natt_sockets, upcalls, MARK)

    def start(self, natt_sockets: Iterable[socket.socket], upcalls: Upcalls, mark: int | None = None) -> None:
        """Start the threads and listen to what they tell, without a device of our own.

        With a ``mark`` they carry ESP without UDP as well, which needs the right to raw sockets.
        """
        self._upcalls = upcalls
        library = self._native.start([sock.fileno() for sock in natt_sockets], mark)
        asyncio.get_running_loop().add_reader(self._native.event_fd(), self.drain)
        log.info("the native data path carries packets; ciphers by %s", library)

    def _attach(self) -> None:
        try:
            tcp, udp = self._native.open_device(self._name)
        except OSError as error:
            raise DataPlaneError(sentence(error, self._name)) from None
        log.info("device %s: segmentation offload for TCP %s, for UDP %s", self._name, tcp, udp)

    async def close(self) -> None:
        """End the threads; remove the device, its routes and rules; forget SAs with their keys, and what waits."""
        if self._upcalls is not None:
            asyncio.get_running_loop().remove_reader(self._native.event_fd())
        self._native.stop()
        await self._device.close()
        for table in (self._by_spi, self._larval, self._by_selector, self._by_peer, self._numbers, self._by_number):
            table.clear()
        self._native_policies = self._make_native([])
        self._of_selector, self._policies, self._upcalls = {}, (), None

    # Policies

    def prepare(self, policies: tuple[Policy, ...]) -> None:
        """Number the policies and make their tables."""
        self._prepared = self._tables(policies)

    def set_policies(self, policies: Iterable[Policy]) -> None:
        """Make exactly these policies effective."""
        wanted = tuple(policies)
        prepared, self._prepared = self._prepared, None
        if wanted is self._policies or (prepared is None and wanted == self._policies):
            return
        fits = prepared is not None and prepared.policies is wanted and prepared.before is self._numbers
        tables = prepared if prepared is not None and fits else self._tables(wanted)
        larval = {selector for sa in self._larval.values() for selector in self._carried(sa.pair)}
        self._policies, self._numbers, self._by_number = wanted, tables.numbers, tables.by_number
        self._of_selector, self._by_peer, self._last_number = tables.of_selector, tables.by_peer, tables.last
        self._native_policies = tables.native
        self._native.set_policies(tables.native)
        for spi, sa in self._by_spi.items():
            if sa.pair.peer_id in tables.changed:
                self._native.set_admits(spi, self._admitted(sa.pair))
        # A fresh policy begins without a pair and without any that is larval: only where there is one it is told.
        for policy in map(self._by_number.__getitem__, tables.fresh):
            if policy.selector in self._by_selector:
                self._direct(policy)
        larval |= {selector for sa in self._larval.values() for selector in self._carried(sa.pair)}
        self._count_larval(larval)
        self._device.route(tables.of_selector)

    def _tables(self, wanted: tuple[Policy, ...]) -> _Tables:
        """Number the policies, those that stay as before. Changes nothing here."""
        tables = _Tables(wanted, self._numbers, self._last_number, self._native_policies)
        rows = []
        for policy in wanted:
            if policy in tables.numbers:
                continue
            number = self._numbers.get(policy)
            if number is None:
                tables.last = number = tables.last + 1
                tables.fresh.add(number)
            tables.numbers[policy] = number
            tables.by_number[number] = policy
            tables.of_selector.setdefault(policy.selector, []).append(number)
            tables.by_peer.setdefault(policy.peer_id, {})[policy.selector] = None
            rows.append((number, _row(policy.selector), policy.acquire))
        tables.native = self._make_native(rows, self._native_policies)
        before, after = self._by_peer, tables.by_peer
        tables.changed = {peer for peer in before.keys() | after.keys() if before.get(peer) != after.get(peer)}
        return tables

    def _direct(self, policy: Policy) -> None:
        """Traffic of the policy goes to its newest pair."""
        sas = self._by_selector.get(policy.selector)
        self._native.set_sending(self._numbers[policy], sas[-1].pair.spi_in if sas else None)

    def _direct_selectors(self, selectors: Iterable[Selector]) -> None:
        for selector in selectors:
            for number in self._of_selector.get(selector, ()):
                self._direct(self._by_number[number])

    def _count_larval(self, selectors: Iterable[Selector]) -> None:
        counts: dict[Selector, int] = {}
        for sa in self._larval.values():
            for selector in self._carried(sa.pair):
                counts[selector] = counts.get(selector, 0) + 1
        for selector in selectors:
            for number in self._of_selector.get(selector, ()):
                self._native.set_larval(number, counts.get(selector, 0))

    def set_addresses(self, addresses: Iterable[str]) -> None:
        """Give the device these addresses, and no others of ours."""
        self._device.set_addresses(addresses)

    async def settled(self) -> None:
        """Return when the routes stand."""
        await self._device.settled()

    def conditions(self) -> tuple[str, ...]:
        """What is wrong with the device, its routes or a thread."""
        failed = [
            f"the {worker} thread of the data path failed {count} times and goes on; the log says where"
            for worker, count in self._failed.items()
        ]
        return (*self._device.conditions(), *failed)

    # SAs

    def install(self, pair: IpsecSaPair, outbound: bool = True) -> None:
        """Install a pair, or let an installed one send as well; its octet limits may be new."""
        sa = self._by_spi.get(pair.spi_in)
        if sa is not None:
            sa.pair = pair
            self._native.set_limits(pair.spi_in, pair.soft_bytes, pair.hard_bytes)
        else:
            self._native.add(self._native_pair(pair))
            sa = self._by_spi[pair.spi_in] = self._larval[pair.spi_in] = _Sa(pair)
        if outbound and not sa.sending:
            sa.sending = True
            self._larval.pop(pair.spi_in, None)
            sa.carries = self._carried(pair)
            for selector in sa.carries:
                self._by_selector.setdefault(selector, []).append(sa)
            self._direct_selectors(sa.carries)
        self._count_larval(self._carried(pair))

    def _native_pair(self, pair: IpsecSaPair) -> NativePair:
        transform, keys_in, keys_out = pair.transform, pair.keys_in, pair.keys_out
        bare = transform.encryption is EspEncryption.NULL and transform.integrity is None
        return NativePair(
            spi_in=pair.spi_in,
            spi_out=pair.spi_out,
            encryption="none" if bare and self._unprotected else transform.encryption.value,
            integrity=transform.integrity.value if transform.integrity else None,
            esn=transform.esn,
            key_in=keys_in.encryption.reveal(),
            key_out=keys_out.encryption.reveal(),
            integrity_in=keys_in.integrity.reveal() if keys_in.integrity else b"",
            integrity_out=keys_out.integrity.reveal() if keys_out.integrity else b"",
            replay_window=pair.replay_window,
            local=pair.local.host,
            remote=(pair.remote.host, pair.remote.port),
            udp=pair.udp,
            soft=pair.soft_bytes,
            hard=pair.hard_bytes,
            admits=self._admitted(pair),
            copy_dscp=pair.outer.copy_dscp,
            df=pair.outer.dont_fragment,
            fragment=pair.outer.fragment,
            mss={"auto": 0, "off": None}[size] if isinstance(size := pair.outer.mss, str) else size,
            device_mtu=MTU,
        )

    def _carried(self, pair: IpsecSaPair) -> tuple[Selector, ...]:
        """The policies whose traffic a pair carries: its own, or those that a wider selector contains."""
        rows = self._by_peer.get(pair.peer_id, {})
        return (pair.selector,) if pair.selector in rows else tuple(row for row in rows if pair.selector.covers(row))

    def _admitted(self, pair: IpsecSaPair) -> list[SelectorRow]:
        """What may come in: the same; in transport mode behind a NAT the pair names other addresses than a policy."""
        return [_row(selector) for selector in self._carried(pair) or (pair.selector,)]

    def remove(self, spi_in: int) -> None:
        """Remove a pair; outbound traffic falls back to the next newest."""
        was_larval = self._larval.pop(spi_in, None) is not None
        sa = self._by_spi.pop(spi_in, None)
        if sa is None:
            return
        for selector in sa.carries:
            sending = self._by_selector[selector]
            sending.remove(sa)
            if not sending:
                del self._by_selector[selector]
        self._direct_selectors(sa.carries)
        self._native.remove(spi_in)
        if was_larval:
            self._count_larval(self._carried(sa.pair))

    def update_remote(self, spi_in: int, remote: Address) -> None:
        """Send to another outer address from now on."""
        sa = self._by_spi.get(spi_in)
        if sa is not None:
            sa.pair = replace(sa.pair, remote=remote)
            self._native.set_remote(spi_in, remote.host, remote.port)

    def counters(self) -> dict[int, SaCounters]:
        """Counters by inbound SPI."""
        return {spi: SaCounters(*row) for spi, row in self._native.counters()}

    def drops(self) -> dict[str, int]:
        """Dropped packets by reason."""
        return {
            reason if errno is None else f"{reason}: {os.strerror(errno)}": count
            for reason, errno, count in self._native.drops()
        }

    # Upcalls

    def drain(self) -> None:
        """Hand on what the threads have told."""
        for event in self._native.take_events():
            if self._upcalls is not None:
                self._hand_on(event, self._upcalls)

    def _hand_on(self, event: tuple[object, ...], upcalls: Upcalls) -> None:
        match event:
            case ("ike", bytes(datagram), (str(local), int(local_port)), (str(remote), int(remote_port))):
                upcalls.ike(datagram, Address(local, local_port), Address(remote, remote_port))
            case ("acquire", int(number)):
                policy = self._by_number.get(number)
                if policy is not None:
                    upcalls.acquire(policy.peer_id, policy.selector)
            case ("soft", int(spi)) if spi in self._by_spi:
                upcalls.soft_expired(spi)
            case ("hard", int(spi)) if spi in self._by_spi:
                upcalls.hard_expired(spi)
            case ("moved", int(spi), (str(host), int(port))) if spi in self._by_spi:
                upcalls.moved(spi, Address(host, port))
            case ("failed", str(worker), str(text)):
                self._failed[worker] = self._failed.get(worker, 0) + 1
                log.error("the %s thread of the data path failed: %s", worker, text)
                upcalls.restarted(worker, self._failed[worker])


def _row(selector: Selector) -> SelectorRow:
    version, local_first, local_last = ends(selector.local)
    _, remote_first, remote_last = ends(selector.remote)
    rest = (selector.protocol, selector.local_port, selector.remote_port)
    return version, local_first, local_last, remote_first, remote_last, *rest
