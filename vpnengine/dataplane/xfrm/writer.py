"""States of pairs on their way into the kernel and out of it."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import time
from collections.abc import Container
from typing import NamedTuple

from vpnengine.dataplane.udp import MARK
from vpnengine.dataplane.xfrm import segments, states, structs
from vpnengine.dataplane.xfrm.netlink import Netlink, Request, XfrmError
from vpnengine.dataplane.xfrm.policies import REQIDS
from vpnengine.dataplane.xfrm.sad import Sa
from vpnengine.dataplane.xfrm.structs import SaId
from vpnengine.esp.sa import IpsecSaPair

SEQUENCE_GAP = 64  # numbers that the old state may have used while its sequence moves to another address
LOWEST, HIGHEST = 0x100, 0xFFFFFFFF  # SPIs (RFC 4303 section 2.1)
ROUTE_S = 10.0  # how long it is believed which device leads to a peer
_MOST = 1000


class Device(NamedTuple):
    """A network device."""

    name: str
    number: int


class StateWriter:
    """Adds, changes and removes the states of pairs.

    ``refused`` is what the kernel has refused, until it accepts again.
    """

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink
        self._reserved: dict[SaId, None] = {}
        self._devices: dict[tuple[str, str], tuple[float, Device | None]] = {}
        self._software: dict[str, str] = {}
        self._unheeded: dict[str, str] = {}
        self.refused: str | None = None

    def problems(self, peers: Container[str]) -> tuple[str, ...]:
        """What the kernel or a network card has refused, and what it cannot do for one of these peers; sentences."""
        told = [
            text for notes in (self._software, self._unheeded) for peer_id, text in notes.items() if peer_id in peers
        ]
        return (*((self.refused,) if self.refused else ()), *told)

    def reserve(self, local: str, remote: str, ah: bool) -> int | None:
        """Let the kernel choose an SPI: it keeps it for a few seconds, for the state that follows.

        None if it refuses.
        """
        protocol = structs.AH if ah else structs.ESP
        asked = SaId(local, 0, protocol)
        request = states.spi_request(asked, remote, structs.TUNNEL, REQIDS.start, LOWEST, HIGHEST)
        try:
            spi = states.dumped(self._netlink.ask(request)).identity.spi
        except XfrmError:
            return None
        if len(self._reserved) >= _MOST:
            del self._reserved[next(iter(self._reserved))]
        self._reserved[SaId(local, spi, protocol)] = None
        return spi

    def add(self, sa: Sa, inbound: bool) -> None:
        """Add the state of one direction.

        :raises XfrmError: if the kernel refuses.
        """
        self._note(sa.pair)
        device = self._device(sa.pair) if sa.pair.kernel.offload != "off" else None
        try:
            if device is None or not self._add_offloaded(sa, inbound, device):
                self._add(sa, inbound, None)
        except XfrmError as error:
            self.refused = f"the kernel refused an SA ({error.strerror}); it may lack the algorithm"
            raise
        self.refused = None

    def _add_offloaded(self, sa: Sa, inbound: bool, device: Device) -> bool:
        """True if the state stands, whoever does its cryptography."""
        try:
            self._add(sa, inbound, device.number)
        except XfrmError as error:
            self._in_software(sa.pair.peer_id, f"{device.name} says “{error.strerror}”")
            return False
        taken = states.dumped(self._netlink.ask(states.look(sa.pair, inbound))).offloaded
        self._in_software(sa.pair.peer_id, "" if taken else f"{device.name} takes no ESP of this kind")
        return True

    def _add(self, sa: Sa, inbound: bool, offload: int | None) -> None:
        """An inbound state takes the place of the one with which the kernel keeps its SPI, while that is there."""
        extras = states.extras_of(sa.pair.kernel, offload)
        identity = states.identity(sa.pair, inbound)
        if inbound and identity in self._reserved:
            try:
                self._netlink.send(states.addition(sa.pair, True, sa.reqid, extras=extras, update=True))
            except XfrmError as error:
                if error.errno != errno.ESRCH:
                    raise
                del self._reserved[identity]
            else:
                del self._reserved[identity]
                return
        self._netlink.send(states.addition(sa.pair, inbound, sa.reqid, extras=extras))

    def update(self, sa: Sa) -> None:
        """Both states are to be as the pair is now; their numbers go on.

        :raises XfrmError: if the kernel refuses.
        """
        for inbound in (True, False) if sa.sending else (True,):
            self._send(states.addition(sa.pair, inbound, sa.reqid, update=True))

    def remove(self, pair: IpsecSaPair) -> None:
        """Remove both."""
        self._netlink.send_all([states.removal_of(pair, inbound) for inbound in (True, False)])

    def move_inbound(self, sa: Sa, old: IpsecSaPair) -> None:
        """A state's outer address cannot be changed: make a new one that goes on with the numbers of the old one."""
        replay = states.replay_of(self._netlink.ask(states.question(old, True)))
        errors = self._netlink.send_all(
            [states.removal_of(old, True), states.addition(sa.pair, True, sa.reqid, replay=replay)]
        )
        if any(errors):
            self.refused = f"the kernel refused to move an SA: {os.strerror(max(errors))}"

    def move_outbound(self, sa: Sa, old: IpsecSaPair) -> None:
        """The same for the other direction; the old state goes on until it is removed.

        :raises XfrmError: if the kernel refuses.
        """
        replay = states.replay_of(self._netlink.ask(states.question(old, False)))
        if replay is not None:
            replay = replay._replace(sent=replay.sent + SEQUENCE_GAP)
        self._send(states.addition(sa.pair, False, sa.reqid, replay=replay))

    def _note(self, pair: IpsecSaPair) -> None:
        """The kernel copies DF or clears it, and looks at no TCP segments unless there is a packet filter for it."""
        wishes = ["to set DF outside"] if pair.outer.dont_fragment == "set" else []
        without = isinstance(pair.outer.mss, int) and not segments.available()
        wishes += ["to lower TCP segment sizes"] if without else []
        if wishes and pair.mode == "tunnel":
            wish = f"peer “{pair.peer_id}” is configured {' and '.join(wishes)}"
            remedy = "use the native data path" + (", or install nftables for the latter" if without else "")
            self._unheeded[pair.peer_id] = f"{wish}, which the kernel's IPsec cannot do; {remedy}"
        else:
            self._unheeded.pop(pair.peer_id, None)

    def _send(self, request: Request) -> None:
        try:
            self._netlink.send(request)
        except XfrmError as error:
            self.refused = f"the kernel refused an SA ({error.strerror}); it may lack the algorithm"
            raise
        self.refused = None

    # Hardware

    def _device(self, pair: IpsecSaPair) -> Device | None:
        ends = pair.local.host, pair.remote.host
        known, now = self._devices.get(ends), time.monotonic()
        if known is None or now - known[0] > ROUTE_S:
            if len(self._devices) >= _MOST:
                self._devices.clear()
            known = self._devices[ends] = now, device_towards(*ends)
        if known[1] is None:
            self._in_software(pair.peer_id, f"no route leads to {ends[1]}")
        return known[1]

    def _in_software(self, peer_id: str, why: str) -> None:
        if why:
            self._software[peer_id] = f"the kernel encrypts for peer “{peer_id}” without hardware: {why}"
        else:
            self._software.pop(peer_id, None)


def device_towards(local: str, remote: str) -> Device | None:
    """The device that leads from one outer end to the other; None if there is none."""
    command = ["ip", "-json", "route", "get", remote, "from", local, "mark", str(MARK)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        name = str(json.loads(done.stdout)[0]["dev"])
        return Device(name, socket.if_nametoindex(name))
    except (ValueError, LookupError, OSError):
        return None
