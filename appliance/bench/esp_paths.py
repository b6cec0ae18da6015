"""The tunnels that are compared, each between the same two namespaces, and the two kinds of wire."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from appliance.bench.esp_end import FIRST, INNER, OTHER, OUTER, EndConfig
from appliance.bench.esp_tuning import tune
from appliance.bench.stack import BenchError, wait
from appliance.paths import ROOT
from lab.net import Namespace, link
from lab.strongswan import Connection, StrongSwan
from lab.topology import SECRET

WIRES = ("segmenting", "plain")
# The aim speaks of what OpenSSL gives charon, so nothing else is loaded that has ciphers.
PLUGINS = "random nonce openssl pem pkcs1 kernel-libipsec kernel-netlink socket-default vici updown"
START_S = 20.0
_TICK = os.sysconf("SC_CLK_TCK")
_SEGMENTATION = ("tx-udp-segmentation", "tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-ecn-segmentation")


@dataclass(frozen=True)
class Cipher:
    """One suite: the name in the figures, the engine's names, strongSwan's proposal."""

    name: str
    encryption: str
    integrity: str | None
    proposal: str
    family: str


CIPHERS = (
    Cipher("aes128gcm16", "aes128gcm16", None, "aes128gcm16", "gcm"),
    Cipher("aes256gcm16", "aes256gcm16", None, "aes256gcm16", "gcm"),
    Cipher("aes256-sha1", "aes256", "sha1", "aes256-sha1", "cbc"),
    Cipher("aes256-sha256", "aes256", "sha256", "aes256-sha256", "cbc"),
)
NO_CIPHER = Cipher("none", "null", None, "", "none")


@dataclass(frozen=True)
class Variant:
    """One row of the comparison."""

    path: str
    cipher: Cipher


def variants(native: bool, quick: bool) -> list[Variant]:
    """What is compared, in the order of a round."""
    ciphers = (CIPHERS[0], CIPHERS[2]) if quick else CIPHERS
    found = [Variant("plain", NO_CIPHER)]
    if native:
        found.append(Variant("no-cipher", NO_CIPHER))
    for cipher in ciphers:
        for path in ("native", "libipsec", "python"):
            if (path == "native" and not native) or (path == "python" and quick and cipher is not CIPHERS[0]):
                continue
            found.append(Variant(path, cipher))
    return found


class Ends:
    """The two namespaces and the wire between them."""

    def __init__(self, name: str) -> None:
        self.site, self.gateway = Namespace(name, "site"), Namespace(name, "gateway")

    def __getitem__(self, role: str) -> Namespace:
        return self.site if role == "site" else self.gateway

    def create(self) -> None:
        """Make them. No route leads to the inner subnets but through a tunnel."""
        self.site.create()
        self.gateway.create()
        link(self.site, self.gateway, ("wan", "wan"))
        for role in OUTER:
            self[role].address("wan", f"{OUTER[role]}/24")
            self[role].address("lo", f"{FIRST[role]}/16")

    def set_wire(self, wire: str) -> None:
        """Let the wire carry segments of the MTU's size, as a cable does, or whole super-packets.

        Without TCP segmentation the receiving end runs GRO, as a network card's driver does; with it veth
        passes what it gets. For the tunnels, whose packets are UDP, nothing else depends on it.
        """
        value = "off" if wire == "segmenting" else "on"
        for role in OUTER:
            pairs = [text for name in _SEGMENTATION for text in (name, value)]
            self[role].run("ethtool", "-K", "wan", *pairs, "gro", "on")


def cpu_s(pid: int) -> float:
    """Seconds of CPU of a process with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


class Tunnel:
    """A tunnel that is up: the address to reach, the processes that carry it."""

    def __init__(self, target: str, pids: list[int]) -> None:
        self.target = target
        self._pids = pids

    def cpu_s(self) -> float:
        """Seconds of CPU that both ends have used."""
        return sum(cpu_s(pid) for pid in self._pids)


class EndProcess:
    """``esp_end`` in a namespace."""

    def __init__(self, namespace: Namespace, config: EndConfig, log: Path) -> None:
        command = [sys.executable, "-m", "appliance.bench.esp_end", config.render()]
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [*namespace.exec_prefix(), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=ROOT,
                start_new_session=True,
            )
        self._orders, self._answers = cast(IO[str], self._process.stdin), cast(IO[str], self._process.stdout)
        self.pid = self._process.pid
        self._name = f"the {config.path} end at the {config.role}"

    def ready(self) -> None:
        """Wait for its first word."""
        self._line("ready")

    def _line(self, what: str) -> str:
        readable, _, _ = select.select([self._answers], [], [], START_S)
        line = self._answers.readline() if readable else ""
        if not line:
            raise BenchError(f"{self._name}: no answer to {what}; {self._log.read_text(errors='replace')[-600:]}")
        return line

    def order(self, **order: Any) -> dict[str, Any]:
        """Give an order and wait for its answer."""
        self._orders.write(json.dumps(order) + "\n")
        self._orders.flush()
        return dict(json.loads(self._line(order["do"])))

    def stop(self) -> None:
        """End it: its input ends."""
        with contextlib.suppress(BrokenPipeError):
            self._orders.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)


@contextmanager
def ours(ends: Ends, variant: Variant, directory: Path, sas: int = 1) -> Iterator[dict[str, EndProcess]]:
    """Both ends of one of our data paths."""
    seed = secrets.token_hex(16)
    processes: dict[str, EndProcess] = {}
    cipher = variant.cipher
    try:
        for role in OUTER:
            config = EndConfig(role, variant.path, cipher.encryption, cipher.integrity, seed, sas)
            processes[role] = EndProcess(ends[role], config, directory / f"{variant.path}-{role}.log")
        for process in processes.values():
            process.ready()
        yield processes
    finally:
        for process in processes.values():
            process.stop()


@contextmanager
def tunnel(ends: Ends, variant: Variant, directory: Path) -> Iterator[Tunnel]:
    """Bring a tunnel up, and down again."""
    if variant.path == "plain":
        yield Tunnel(OUTER["gateway"], [])
    elif variant.path == "libipsec":
        with _libipsec(ends, variant.cipher, directory) as found:
            yield found
    else:
        with ours(ends, variant, directory) as processes:
            yield Tunnel(FIRST["gateway"], [process.pid for process in processes.values()])


@contextmanager
def _libipsec(ends: Ends, cipher: Cipher, directory: Path) -> Iterator[Tunnel]:
    daemons = {role: _charon(ends, role, cipher, directory) for role in OUTER}
    try:
        for role, daemon in daemons.items():
            daemon.start()
            tune(ends[role], daemon)
        with daemons["site"].session() as vici:
            for _ in vici.initiate({"child": "net1-1", "ike": "site", "timeout": "10000"}):
                pass
        wait(lambda: len(daemons["gateway"].children()) == 1, 10, "the gateway's SA", pause=0.1)
        found = daemons["site"].children()[0]
        if suite_of(found) != cipher.proposal:
            raise BenchError(f"strongSwan has agreed on {suite_of(found)} instead of {cipher.proposal}")
        yield Tunnel(FIRST["gateway"], [daemon.pid for daemon in daemons.values()])
    finally:
        for daemon in daemons.values():
            daemon.stop()


def suite_of(child: dict[str, Any]) -> str:
    """The suite of a child SA, in the words of a proposal."""
    name = child["encr-alg"].lower().replace("_", "").replace("cbc", "")
    bits = child.get("encr-keysize", "")
    if "integ-alg" in child:
        integrity = {"HMAC_SHA1_96": "sha1", "HMAC_SHA2_256_128": "sha256"}.get(child["integ-alg"], child["integ-alg"])
        return f"{name}{bits}-{integrity}"
    return name.replace("aesgcm", f"aes{bits}gcm")


def _charon(ends: Ends, role: str, cipher: Cipher, directory: Path) -> StrongSwan:
    connection = Connection(
        local_address=OUTER[role],
        remote_address=OUTER[OTHER[role]],
        secret=SECRET,
        local_subnets=[INNER[role]],
        remote_subnets=[INNER[OTHER[role]]],
        esp_proposals=cipher.proposal,
    )
    daemon = StrongSwan(ends[role], directory / f"charon-{role}", connection, quiet=True)
    daemon.plugins = PLUGINS
    return daemon
