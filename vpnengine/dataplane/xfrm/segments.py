"""TCP segment sizes that fit the tunnels, lowered by rules of nftables in a table of our own.

The kernel's IPsec looks at no TCP segments, its packet filter does: a packet that an SA takes, or has brought, is told
by the SA's request id. It lowers a size and never raises one. In ``postrouting`` also those of an xfrm interface show
their SA, and in ``prerouting`` those that came by one still do.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Iterable
from typing import NamedTuple

from vpnengine.crypto.esp_suites import SUITES, icv_length
from vpnengine.dataplane.udp import MARK
from vpnengine.esp.sa import IpsecSaPair

TABLE = "culvert_mss"
DELAY_S = 0.2  # changes within this time are written together
COMMAND_S = 30.0
_IP_MTU, _IPV6_MTU = 14, 24  # linux/in.h, linux/in6.h
_IPV4, _IPV6, _UDP, _TCP = 20, 40, 8, 20
_ESP, _TRAILER, _AH = 8, 2, 12
_ANY_PORT = 4500
_SYN = "tcp flags & (syn | rst) == syn tcp option maxseg size set"


class Limit(NamedTuple):
    """The largest segments inside of a pair, in octets, by IP version; ``fitting``: less if the path turns narrower."""

    v4: int
    v6: int
    fitting: bool


def available() -> bool:
    """True if there is a packet filter to write rules for."""
    return shutil.which("nft") is not None


def inner_mtu(path: int, pair: IpsecSaPair) -> int:
    """The largest inner packet whose ESP or AH packet has at most ``path`` octets (RFC 4303 section 2, RFC 4302)."""
    v6 = ":" in pair.remote.host
    transform = pair.transform
    room = path - (_IPV6 if v6 else _IPV4) - (_UDP if pair.udp else 0)
    icv = icv_length(transform.encryption, transform.integrity)
    if transform.protocol == "ah":
        unit = 8 if v6 else 4
        return room - -(-(_AH + icv) // unit) * unit
    suite = SUITES[transform.encryption]
    room -= _ESP + suite.iv + icv
    return room // suite.align * suite.align - _TRAILER


def limit_of(pair: IpsecSaPair) -> Limit | None:
    """What its peer's configuration wants; None if nothing is to be lowered, or the path is not known."""
    wish = pair.outer.mss
    if pair.mode != "tunnel" or wish == "off":
        return None
    if wish != "auto":
        return Limit(wish, wish, False)
    path = path_mtu(pair)
    if path is None:
        return None
    inside = inner_mtu(path, pair)
    if pair.kernel.route_based is not None:
        inside = min(inside, pair.kernel.route_based.mtu)
    return Limit(max(inside - _IPV4 - _TCP, 1), max(inside - _IPV6 - _TCP, 1), True)


def path_mtu(pair: IpsecSaPair) -> int | None:
    """What the kernel knows of the path between a pair's outer ends; nothing is sent."""
    v6 = ":" in pair.remote.host
    family = socket.AF_INET6 if v6 else socket.AF_INET
    level, option = (socket.IPPROTO_IPV6, _IPV6_MTU) if v6 else (socket.IPPROTO_IP, _IP_MTU)
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
            sock.bind((pair.local.host, 0))
            sock.connect((pair.remote.host, pair.remote.port or _ANY_PORT))
            return sock.getsockopt(level, option)
    except OSError:
        return None


def ruleset(limits: dict[int, Limit]) -> str:
    """Text for ``nft -f``: the whole table for these request ids, or no table for none. Pure."""
    # To delete what is not there would be refused; to add what is there is not.
    gone = f"table inet {TABLE} {{}}\ndelete table inet {TABLE}\n"
    if not limits:
        return gone
    by_limit: dict[Limit, list[int]] = {}
    for reqid, limit in sorted(limits.items()):
        by_limit.setdefault(limit, []).append(reqid)
    chains = [
        f"chain {hook} {{\ntype filter hook {hook} priority mangle;\n{_rules(by_limit, direction)}\n}}"
        for hook, direction in (("prerouting", "in"), ("postrouting", "out"))
    ]
    return f"{gone}table inet {TABLE} {{\n" + "\n".join(chains) + "\n}\n"


def _rules(by_limit: dict[Limit, list[int]], direction: str) -> str:
    lines = []
    for limit, reqids in by_limit.items():
        ours = f"ipsec {direction} reqid {{ {', '.join(map(str, reqids))} }}"
        lines += [f"meta nfproto ipv4 {ours} {_SYN} {limit.v4}", f"meta nfproto ipv6 {ours} {_SYN} {limit.v6}"]
        # What routers have told since; of what comes in, the kernel does not know which way it will answer.
        lines += [f"{ours} {_SYN} rt mtu"] if limit.fitting and direction == "out" else []
    return "\n".join(lines)


class SegmentSizes:
    """Keeps the table equal to what the sending pairs want. ``problem`` is what nft says against it."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self._limits: dict[int, dict[int, Limit | None]] = {}
        self._written: dict[int, Limit] | None = None
        self._task: asyncio.Task[None] | None = None

    def add(self, reqid: int, pair: IpsecSaPair) -> None:
        """A pair begins to send; the newest of a request id says what counts."""
        self._limits.setdefault(reqid, {})[pair.spi_in] = limit_of(pair)
        self.write()

    def remove(self, reqid: int, spi_in: int) -> None:
        """A pair has gone."""
        pairs = self._limits.get(reqid, {})
        if pairs.pop(spi_in, None) is not None and not pairs:
            del self._limits[reqid]
        self.write()

    def write(self) -> None:
        """Write what has changed, in a moment and on another thread."""
        if self._task is None and available() and self._wanted() != self._written:
            self._task = asyncio.get_running_loop().create_task(self._write())

    def _wanted(self) -> dict[int, Limit]:
        newest = ((reqid, next(reversed(pairs.values()))) for reqid, pairs in self._limits.items() if pairs)
        return {reqid: limit for reqid, limit in newest if limit is not None}

    async def _write(self) -> None:
        try:
            while (wanted := self._wanted()) != self._written:
                await asyncio.sleep(DELAY_S)
                wanted = self._wanted()
                said = await asyncio.to_thread(_nft, ruleset(wanted))
                self.problem = f"TCP segment sizes cannot be lowered: nft says “{said}”" if said else None
                self._written = wanted
        finally:
            self._task = None

    async def close(self) -> None:
        """Remove the table."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._limits.clear()
        if available():
            await asyncio.to_thread(_nft, ruleset({}))
        self._written = None


def _nft(text: str) -> str | None:
    """What nft says if it refuses."""
    command = ("nft", "-f", "-")
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return _first(done.stderr.splitlines()) if done.returncode else None


def _first(lines: Iterable[str]) -> str:
    return next((line for line in lines if line.strip()), "it failed")
