"""One end of a tunnel without any negotiation: a data path with given keys, as a process in a namespace.

``python -m appliance.bench.esp_end JSON`` opens the data path, installs its SAs, says ``ready`` and then obeys lines of
JSON on its standard input until that ends: ``{"do": "install", "generation": G, "outbound": BOOL}``, ``{"do":
"remove", "generation": G}`` and ``{"do": "counters"}``. Each is answered by one line.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import resource
import sys
from dataclasses import asdict, dataclass
from typing import Any

from vpnengine.contract.algorithms import EspEncryption, EspIntegrity
from vpnengine.crypto.esp_suites import encryption_key_length, integrity_key_length
from vpnengine.crypto.secret import Secret
from vpnengine.dataplane.base import DataPlane, Policy
from vpnengine.dataplane.native_path import NativeDataPlane
from vpnengine.dataplane.udp import open_udp_socket
from vpnengine.dataplane.userspace import UserspaceDataPlane
from vpnengine.esp.sa import Address, EspKeys, EspTransform, IpsecSaPair, Selector

NATT_PORT = 4500
OUTER = {"site": "192.0.2.1", "gateway": "192.0.2.2"}
INNER = {"site": "10.71.0.0/16", "gateway": "10.72.0.0/16"}
FIRST = {"site": "10.71.0.1", "gateway": "10.72.0.1"}
OTHER = {"site": "gateway", "gateway": "site"}


@dataclass(frozen=True)
class EndConfig:
    """What one end is: ``role`` site or gateway, ``path`` a data path, ``seed`` of the keys (hexadecimal).

    ``encryption`` and ``integrity`` are the engine's names. With ``sas`` above 1 each address of the gateway from the
    first on has an SA pair of its own; otherwise one pair carries both subnets.
    """

    role: str
    path: str
    encryption: str
    integrity: str | None
    seed: str
    sas: int = 1

    def render(self) -> str:
        """The argument of the process."""
        return json.dumps(asdict(self))


def make(path: str, device: str) -> DataPlane:
    """A data path by the name that the measurement has for it; “no-cipher” is the native one without protection."""
    if path == "python":
        return UserspaceDataPlane(device)
    return NativeDataPlane(device, unprotected=path == "no-cipher")


class _Upcalls:
    """Nothing is negotiated, so nobody has to hear."""

    def ike(self, datagram: bytes, local: Address, remote: Address) -> None:
        """Ignored."""

    def acquire(self, peer_id: str, selector: Selector) -> None:
        """Ignored."""

    def soft_expired(self, spi_in: int) -> None:
        """Ignored."""

    def hard_expired(self, spi_in: int) -> None:
        """Ignored."""

    def moved(self, spi_in: int, remote: Address) -> None:
        """Ignored."""

    def restarted(self, part: str, count: int) -> None:
        """Ignored; it is among the conditions."""


class End:
    """The data path with its SAs."""

    def __init__(self, config: EndConfig) -> None:
        self._config = config
        self._transform = EspTransform(
            EspEncryption(config.encryption), EspIntegrity(config.integrity) if config.integrity else None
        )
        self.dataplane = make(config.path, "culvert0")
        self._selectors = self._make_selectors()

    def _make_selectors(self) -> list[Selector]:
        near, far = (ipaddress.IPv4Network(INNER[role]) for role in ("site", "gateway"))
        remotes = [far]
        if self._config.sas > 1:
            first = int(ipaddress.IPv4Address(FIRST["gateway"]))
            remotes = [ipaddress.IPv4Network((first + number, 32)) for number in range(self._config.sas)]
        rows = [Selector(near, remote) for remote in remotes]
        return rows if self._config.role == "site" else [row.mirrored() for row in rows]

    async def open(self) -> None:
        """Make the device, the policies and the first SAs."""
        await self.dataplane.open([open_udp_socket("0.0.0.0", NATT_PORT)], _Upcalls())
        self.dataplane.set_policies(
            Policy(f"p{number}", selector, acquire=False) for number, selector in enumerate(self._selectors)
        )
        await self.dataplane.settled()
        if self.dataplane.conditions():
            raise SystemExit("; ".join(self.dataplane.conditions()))
        self.install(0)

    def install(self, generation: int, outbound: bool = True) -> None:
        """Install one generation of all SAs."""
        for number in range(len(self._selectors)):
            self.dataplane.install(self._pair(number, generation), outbound)

    def remove(self, generation: int) -> None:
        """Remove it."""
        for number in range(len(self._selectors)):
            self.dataplane.remove(self._spi(number, generation, self._config.role))

    def _spi(self, number: int, generation: int, role: str) -> int:
        return 0x10000 + (generation * len(self._selectors) + number) * 2 + (role == "gateway")

    def _pair(self, number: int, generation: int) -> IpsecSaPair:
        mine, theirs = self._config.role, OTHER[self._config.role]
        spi_in, spi_out = self._spi(number, generation, mine), self._spi(number, generation, theirs)
        return IpsecSaPair(
            peer_id=f"p{number}",
            spi_in=spi_in,
            spi_out=spi_out,
            selector=self._selectors[number],
            transform=self._transform,
            keys_in=self._keys(spi_in),
            keys_out=self._keys(spi_out),
            local=Address(OUTER[mine], NATT_PORT),
            remote=Address(OUTER[theirs], NATT_PORT),
            udp=True,
        )

    def _keys(self, spi: int) -> EspKeys:
        integrity = self._transform.integrity
        return EspKeys(
            self._key(f"encryption {spi}", encryption_key_length(self._transform.encryption)),
            self._key(f"integrity {spi}", integrity_key_length(integrity)) if integrity else None,
        )

    def _key(self, label: str, octets: int) -> Secret:
        return Secret(hashlib.shake_256(f"{self._config.seed} {label}".encode()).digest(octets))

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out one line."""
        match order["do"]:
            case "install":
                self.install(order["generation"], order["outbound"])
            case "remove":
                self.remove(order["generation"])
            case "counters":
                rows = self.dataplane.counters().values()
                used = resource.getrusage(resource.RUSAGE_SELF)
                return {
                    "packets_in": sum(row.packets_in for row in rows),
                    "packets_out": sum(row.packets_out for row in rows),
                    "used": sum(1 for row in rows if row.packets_in or row.packets_out),
                    "drops": self.dataplane.drops(),
                    "cpu_s": used.ru_utime + used.ru_stime,
                }
            case other:
                raise SystemExit(f"there is no order {other!r}")
        return {}


async def serve(config: EndConfig) -> None:
    """Open, and obey until standard input ends."""
    end = End(config)
    await end.open()
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)
    try:
        while line := await reader.readline():
            print(json.dumps(end.obey(json.loads(line))), flush=True)
    finally:
        await end.dataplane.close()


if __name__ == "__main__":
    asyncio.run(serve(EndConfig(**json.loads(sys.argv[1]))))
