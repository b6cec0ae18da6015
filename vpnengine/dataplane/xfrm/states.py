"""The two states of an SA pair as requests to the kernel."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from vpnengine.contract.kernel import KernelPolicy
from vpnengine.dataplane.udp import MARK
from vpnengine.dataplane.xfrm import algorithms, structs
from vpnengine.dataplane.xfrm import messages as m
from vpnengine.dataplane.xfrm.netlink import Received, Request
from vpnengine.dataplane.xfrm.structs import Flow, Lifetime, Replay, SaId
from vpnengine.esp.sa import IpsecSaPair, Network, Selector
from vpnengine.esp.spans import networks

OLD_WINDOW = 32  # what the old kind of replay state holds
SENDING_WINDOW = 32  # a sender has no window, and the kernel wants one with 64-bit sequence numbers
LAST_S = 90_000  # a state that nobody removes, past the longest life that can be configured
SOFT_PACKETS, HARD_PACKETS = 0xF0000000, 0xFFFFFFFE  # of 32-bit sequence numbers (RFC 4303 section 3.3.3)
_FULL_MASK = 0xFFFFFFFF
# What a dump says of a state: see structs.pack_sa.
_DUMPED = struct.Struct("=16s4sB3x16s64xQQQQIIIIIHB")


@dataclass(frozen=True)
class Extras:
    """What a state may have besides what was negotiated.

    ``mark`` is (value, mask) of the packets that it serves: an outbound state has it, an inbound one gives it to what
    it opens. ``if_id`` is that of an xfrm interface, ``output_mark`` what outer packets are marked with, ``offload``
    the index of the device that does the cryptography.
    """

    mark: tuple[int, int] = (0, 0)
    if_id: int = 0
    output_mark: int = MARK
    offload: int | None = None

    def of_state(self, inbound: bool) -> list[tuple[str, bytes]]:
        """As attributes of the state of one direction."""
        found = identifying((0, 0) if inbound else self.mark, self.if_id)
        given = self.mark if inbound else (self.output_mark, _FULL_MASK)
        if given[0]:
            found.append(("SET_MARK", struct.pack("=I", given[0])))
            found.append(("SET_MARK_MASK", struct.pack("=I", given[1])))
        if self.offload is not None:
            found.append(("OFFLOAD_DEV", struct.pack("=iB3x", self.offload, 2 if inbound else 0)))
        return found


NO_EXTRAS = Extras()


def extras_of(kernel: KernelPolicy, offload: int | None = None) -> Extras:
    """What a peer is configured for."""
    return Extras(mark_of(kernel), kernel.if_id, offload=offload)


def mark_of(kernel: KernelPolicy) -> tuple[int, int]:
    """(value, mask), zeros for none."""
    return (kernel.mark.value, kernel.mark.mask) if kernel.mark else (0, 0)


def identifying(mark: tuple[int, int], if_id: int) -> list[tuple[str, bytes]]:
    """Mark and interface id, which the kernel tells states and policies apart by; zeros are left out."""
    found = []
    if mark != (0, 0):
        found.append(("MARK", struct.pack("=II", *mark)))
    if if_id:
        found.append(("IF_ID", struct.pack("=I", if_id)))
    return found


def protocol(pair: IpsecSaPair) -> int:
    """50 or 51."""
    return structs.AH if pair.transform.protocol == "ah" else structs.ESP


def mode(pair: IpsecSaPair) -> int:
    """The kernel's number of the mode."""
    return structs.TRANSPORT if pair.mode == "transport" else structs.TUNNEL


def identity(pair: IpsecSaPair, inbound: bool) -> SaId:
    """What finds the state of one direction."""
    if inbound:
        return SaId(pair.local.host, pair.spi_in, protocol(pair))
    return SaId(pair.remote.host, pair.spi_out, protocol(pair))


def addition(
    pair: IpsecSaPair,
    inbound: bool,
    reqid: int,
    *,
    extras: Extras | None = None,
    replay: Replay | None = None,
    update: bool = False,
) -> Request:
    """Add the state of one direction, or update it; ``replay`` are the sequence numbers to go on with.

    ``extras`` are by default what the pair's peer is configured for.
    """
    source = pair.remote if inbound else pair.local
    tunnel = pair.mode == "tunnel"
    esn_kind = pair.transform.esn or (inbound and pair.replay_window > OLD_WINDOW)
    body = structs.pack_sa(
        identity(pair, inbound),
        source.host,
        lifetime=_lifetime(pair, inbound),
        selector=bytes(structs.SELECTOR_SIZE) if tunnel else _selector(pair, inbound),
        reqid=reqid,
        mode=mode(pair),
        replay_window=pair.replay_window if inbound and not esn_kind else 0,
        flags=_flags(pair, inbound),
    )
    attributes = algorithms.attributes(pair.transform, pair.keys_in if inbound else pair.keys_out)
    if pair.udp:
        attributes.append(("ENCAP", _encap(pair, inbound)))
        if inbound:
            attributes.append(("MTIMER_THRESH", struct.pack("=I", 1)))  # a MAPPING a second, not one a packet
    if esn_kind:
        window = pair.replay_window if inbound else SENDING_WINDOW
        attributes.append(("REPLAY_ESN_VAL", structs.pack_replay_esn(window, replay)))
    elif replay is not None:
        bitmap = replay.bitmap[0] if replay.bitmap else 0
        attributes.append(("REPLAY_VAL", struct.pack("=III", replay.sent, replay.received, bitmap)))
    if tunnel and not inbound and not pair.outer.copy_dscp:
        attributes.append(("SA_EXTRA_FLAGS", struct.pack("=I", m.EXTRA_DONT_ENCAP_DSCP)))
    attributes += (extras or extras_of(pair.kernel)).of_state(inbound)
    return Request(m.UPDSA if update else m.NEWSA, body, attributes)


def _flags(pair: IpsecSaPair, inbound: bool) -> int:
    """The kernel copies DF out of IPv4 and counts IPv6 as having it; told to look for no path MTU it clears it.

    It pads AH to 8 octets unless told that over IPv4 it is padded to 4 (RFC 4302 section 3.3.3.2.1)."""
    padded = pair.transform.protocol == "ah" and ":" not in pair.local.host
    flags = m.STATE_ALIGN4 if padded else 0
    flags |= m.STATE_ESN if pair.transform.esn else 0
    flags |= m.STATE_NOPMTUDISC if not inbound and pair.mode == "tunnel" and pair.outer.dont_fragment == "clear" else 0
    return flags | (m.STATE_AF_UNSPEC if pair.mode == "tunnel" else 0)


def _lifetime(pair: IpsecSaPair, inbound: bool) -> Lifetime:
    numbered = not inbound and not pair.transform.esn
    return Lifetime(
        pair.soft_bytes,
        pair.hard_bytes,
        SOFT_PACKETS if numbered else None,
        HARD_PACKETS if numbered else None,
        hard_seconds=LAST_S,
    )


def _selector(pair: IpsecSaPair, inbound: bool) -> bytes:
    """In transport mode a state says whom it is for; behind a NAT the addresses on this side of it count."""
    local, remote = (networks(span)[0] for span in (pair.selector.local, pair.selector.remote))
    if pair.udp and (pair.original_local or pair.original_remote):
        return bytes(structs.SELECTOR_SIZE)
    return flow_of(pair.selector, local, remote, outbound=not inbound).pack()


def flow_of(selector: Selector, local: Network, remote: Network, outbound: bool) -> Flow:
    """One pair of networks of a selector in the direction of the packets."""
    if outbound:
        return Flow(local, remote, selector.protocol, selector.local_port, selector.remote_port)
    return Flow(remote, local, selector.protocol, selector.remote_port, selector.local_port)


def _encap(pair: IpsecSaPair, inbound: bool) -> bytes:
    original = pair.original_remote if inbound else pair.original_local
    source, destination = (pair.remote, pair.local) if inbound else (pair.local, pair.remote)
    return structs.pack_encap(source.port, destination.port, original if pair.mode == "transport" else None)


def removal(identity: SaId, mark: tuple[int, int] = (0, 0)) -> Request:
    """Remove a state; one with a mark is found by it."""
    return Request(m.DELSA, identity.pack(), identifying(mark, 0))


def removal_of(pair: IpsecSaPair, inbound: bool) -> Request:
    """Remove the state of one direction."""
    return removal(identity(pair, inbound), (0, 0) if inbound else mark_of(pair.kernel))


class Dumped(NamedTuple):
    """A state as the kernel tells of it. Octets are of inner packets."""

    identity: SaId
    reqid: int
    octets: int
    packets: int
    added: int
    replayed: int
    failed: int
    source: str
    mark: tuple[int, int] = (0, 0)
    offloaded: bool = False

    def removal(self) -> Request:
        """Remove it."""
        return removal(self.identity, self.mark)


def dumped(message: Received) -> Dumped:
    """Read a state; its keys are not touched."""
    destination, spi, number, source, octets, packets, added, _, _, replayed, failed, _, reqid, family, _ = (
        _DUMPED.unpack_from(message.body, structs.SELECTOR_SIZE)
    )
    return Dumped(
        SaId(structs.host(destination, family), int.from_bytes(spi, "big"), number),
        reqid,
        octets,
        packets,
        added,
        replayed,
        failed,
        structs.host(source, family),
        mark_in(message),
        "OFFLOAD_DEV" in message.attributes,
    )


def mark_in(message: Received) -> tuple[int, int]:
    """The mark of a state or policy, zeros for none."""
    mark = message.attributes.get("MARK")
    value, mask = struct.unpack("=II", mark) if mark else (0, 0)
    return value, mask


def replay_of(message: Received) -> Replay | None:
    """The sequence numbers in the answer to ``GETAE``."""
    esn = message.attributes.get("REPLAY_ESN_VAL")
    if esn is not None:
        return structs.unpack_replay_esn(esn)
    old = message.attributes.get("REPLAY_VAL")
    if old is None:
        return None
    sent, received, bitmap = struct.unpack("=III", old)
    return Replay(sent, received, (bitmap,))


def question(pair: IpsecSaPair, inbound: bool) -> Request:
    """Ask for the sequence numbers of one direction."""
    mark = (0, 0) if inbound else mark_of(pair.kernel)
    return Request(m.GETAE, structs.pack_aevent(identity(pair, inbound)), identifying(mark, 0))


def look(pair: IpsecSaPair, inbound: bool) -> Request:
    """Ask for the state of one direction."""
    mark = (0, 0) if inbound else mark_of(pair.kernel)
    return Request(m.GETSA, identity(pair, inbound).pack(), identifying(mark, 0))


def spi_request(identity: SaId, source: str, mode: int, reqid: int, lowest: int, highest: int) -> Request:
    """Let the kernel choose an inbound SPI that no state of this host uses."""
    body = structs.pack_sa(identity, source, lifetime=Lifetime(0, 0, 0, 0), mode=mode, reqid=reqid) + struct.pack(
        "=II", lowest, highest
    )
    return Request(m.ALLOCSPI, body)
