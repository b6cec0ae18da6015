"""What the tests inside the guest share: the peer's end in ``xb``, made by iproute2, and pairs for both ends."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import itertools
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from vpnengine.contract.algorithms import EspEncryption as E
from vpnengine.contract.algorithms import EspIntegrity as I
from vpnengine.crypto.esp_suites import encryption_key_length, icv_length, integrity_key_length
from vpnengine.crypto.secret import Secret
from vpnengine.dataplane import udp
from vpnengine.dataplane.xfrm.algorithms import cipher_name, integrity_name
from vpnengine.dataplane.xfrm.dataplane import KernelDataPlane
from vpnengine.esp.sa import Address, EspKeys, EspTransform, IpsecSaPair, Selector

OUTER = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
INNER = {4: ("10.91.1.1", "10.91.2.1"), 6: ("2001:db8:1::1", "2001:db8:2::1")}
NETS = {4: ("10.91.1.0/24", "10.91.2.0/24"), 6: ("2001:db8:1::/64", "2001:db8:2::/64")}
NATT = 4500
_spis = itertools.count(0x1000)


def run(*command: str, check: bool = True) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=check).stdout


def peer(*command: str, check: bool = True) -> str:
    return run("ip", "-n", "xb", *command, check=check)


async def ping(count: int = 3, version: int = 4, ends: tuple[str, str] | None = None, wait: str = "3") -> int:
    """How many of ``count`` echoes come back."""
    source, target = ends or INNER[version]
    command = ("ping", "-q", "-c", str(count), "-i", "0.05", "-W", wait, "-I", source, target)
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    found = re.search(r"(\d+) received", out.decode())
    return int(found[1]) if found else 0


class Flood:
    """Echoes every 50 ms until it ends, however slow the machine is: ``sent`` and ``received`` count them then."""

    sent = received = 0

    async def __aenter__(self) -> Flood:
        source, target = INNER[4]
        command = ("ping", "-q", "-i", "0.05", "-W", "3", "-I", source, target)
        self._process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        out, _ = await self._process.communicate()
        counted = re.search(r"(\d+) packets transmitted, (\d+) received", out.decode())
        assert counted is not None, out
        self.sent, self.received = int(counted[1]), int(counted[2])


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for it."""
    for _ in range(int(seconds * 20)):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come to pass")


class Told:
    """What the data path has told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.on_acquire: Callable[[str, Selector], None] | None = None

    def ike(self, datagram: bytes, local: Address, remote: Address) -> None:
        self.calls.append(("ike", datagram, remote))

    def acquire(self, peer_id: str, selector: Selector) -> None:
        self.calls.append(("acquire", peer_id, selector))
        if self.on_acquire is not None:
            self.on_acquire(peer_id, selector)

    def soft_expired(self, spi_in: int) -> None:
        self.calls.append(("soft", spi_in))

    def hard_expired(self, spi_in: int) -> None:
        self.calls.append(("hard", spi_in))

    def moved(self, spi_in: int, remote: Address) -> None:
        self.calls.append(("moved", spi_in, remote))

    def restarted(self, part: str, count: int) -> None:
        self.calls.append(("restarted", part, count))

    async def wait(self, *call: Any, seconds: float = 10) -> None:
        for _ in range(int(seconds * 20)):
            if call in self.calls:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{call} is not among {self.calls}")


def selector(version: int = 4) -> Selector:
    return Selector(*(ipaddress.ip_network(net) for net in NETS[version]))


def make(cipher: E = E.AES128GCM16, integrity: I | None = None, version: int = 4, **changes: Any) -> IpsecSaPair:
    """A pair with fresh SPIs and keys."""
    transform = EspTransform(cipher, integrity, changes.pop("esn", False), changes.pop("protocol", "esp"))

    def keys() -> EspKeys:
        own = Secret(os.urandom(integrity_key_length(integrity))) if integrity else None
        return EspKeys(Secret(os.urandom(encryption_key_length(cipher))), own)

    outer = OUTER[changes.pop("outer", 4)]
    pair = IpsecSaPair(
        peer_id="p",
        spi_in=next(_spis),
        spi_out=next(_spis),
        selector=selector(version),
        transform=transform,
        keys_in=keys(),
        keys_out=keys(),
        local=Address(outer[0], NATT),
        remote=Address(outer[1], NATT),
        udp=False,
    )
    return replace(pair, **changes)


def algorithms(pair: IpsecSaPair, keys: EspKeys) -> list[str]:
    transform = pair.transform
    bits = str(icv_length(transform.encryption, transform.integrity) * 8)
    cipher, key = cipher_name(transform.encryption), keys.encryption.reveal().hex()
    if transform.integrity is None:
        return ["aead", cipher, "0x" + key, bits]
    assert keys.integrity is not None
    auth = ["auth-trunc", integrity_name(transform.integrity), "0x" + keys.integrity.reveal().hex(), bits]
    return auth if transform.protocol == "ah" else [*auth, "enc", cipher, "0x" + key if key else ""]


def at_peer(pair: IpsecSaPair, outbound: bool = True, port: int = NATT, sent: int = 0) -> None:
    """The mirror of a pair in ``xb``; with ``outbound`` the peer sends on it from now on, ``sent`` packets so far."""
    ends = (pair.remote.host, pair.local.host), (pair.local.host, pair.remote.host)
    proto, mode = pair.transform.protocol, pair.mode
    window = ["replay-window", str(pair.replay_window), *(["flag", "esn"] if pair.transform.esn else [])]
    for (source, target), spi, keys, sends in (
        (ends[0], pair.spi_in, pair.keys_in, True),
        (ends[1], pair.spi_out, pair.keys_out, False),
    ):
        ports = [str(port), str(NATT)] if sends else [str(NATT), str(port)]
        encap = ["encap", "espinudp", *ports, "0.0.0.0"] if pair.udp else []
        state = ["src", source, "dst", target, "proto", proto, "spi", str(spi), "reqid", "7", "mode", mode]
        oseq = ["replay-oseq", str(sent)] if sends and sent else []
        unspecified = ["flag", "af-unspec"] if mode == "tunnel" else []
        unspecified += ["flag", "align4"] if proto == "ah" else []
        peer("xfrm", "state", "add", *state, *window, *oseq, *unspecified, *algorithms(pair, keys), *encap)
    if outbound:
        near, far = str(pair.selector.local), str(pair.selector.remote)
        ids = ["reqid", "7", "mode", mode]
        there = ["tmpl", "src", ends[0][0], "dst", ends[0][1], "proto", proto, "spi", str(pair.spi_in), *ids]
        back = ["tmpl", "src", ends[1][0], "dst", ends[1][1], "proto", proto, *ids]
        if pair.udp and mode == "transport":
            back += ["level", "use"]  # the socket over there is not exempt from the policy
        peer("xfrm", "policy", "update", "src", far, "dst", near, "dir", "out", *there)
        peer("xfrm", "policy", "update", "src", near, "dst", far, "dir", "in", *back)


def clean() -> None:
    peer("xfrm", "state", "flush")
    peer("xfrm", "policy", "flush")


def ours() -> str:
    """What is left of us in the kernel; what it keeps of an acquire goes by itself."""
    lines = (run("ip", "xfrm", "state") + run("ip", "xfrm", "policy")).splitlines()
    found = (line for line in lines if re.search(r"reqid 1[0-9]{9}|priority 1129[0-9]{6}", line))
    return "\n".join(line for line in found if "spi 0x00000000" not in line)


@contextlib.contextmanager
def peer_natt(version: int = 4, port: int = NATT) -> Iterator[None]:
    """A socket in ``xb`` for which its kernel takes ESP in UDP."""
    family = "AF_INET6" if version == 6 else "AF_INET"
    program = f"import socket,time; s=socket.socket(socket.{family},2); s.setsockopt(17,100,2); s.bind(('',{port}))"
    program += "; print(1,flush=True); time.sleep(60)"
    process = subprocess.Popen(("ip", "netns", "exec", "xb", "python3", "-ISc", program), stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield
    process.kill()
    process.wait()


def abandon(path: KernelDataPlane) -> None:
    """What is left when a process is killed: no more reading, and everything in the kernel as it is."""
    loop = asyncio.get_running_loop()
    for reader in (path._tun, path._events, *path._sockets):
        loop.remove_reader(reader)  # type: ignore[arg-type]
    assert path._events is not None and path._netlink is not None and path._routes is not None
    path._events.close()
    path._netlink.close()
    os.close(path._tun)
    for timer in path._timers:
        timer.cancel()


def at_peer_sends(pair: IpsecSaPair) -> None:
    near, far = str(pair.selector.local), str(pair.selector.remote)
    ends = ["src", pair.remote.host, "dst", pair.local.host]
    template = ["tmpl", *ends, "proto", "esp", "spi", str(pair.spi_in), "reqid", "7", "mode", "tunnel"]
    peer("xfrm", "policy", "update", "src", far, "dst", near, "dir", "out", *template)


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    made = [udp.open_udp_socket(host, NATT) for host in ("0.0.0.0", "::")]
    yield made
    for sock in made:
        sock.close()
