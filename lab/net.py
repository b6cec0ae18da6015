"""Network namespaces, links, addresses and pings.

Everything that is made carries the prefix ``cv-`` and the name of its topology, so that it
can be found and removed from another process, also after a crash.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

PREFIX = "cv-"
# Not below /run: each charon has a private one.
RUN = Path("/var/tmp/culvert-lab")
# An emulated machine, or a very busy one, needs longer for everything.
PATIENCE = float(os.environ.get("CULVERT_LAB_PATIENCE", "1"))
COMMAND_S = 30 * PATIENCE


class LabError(Exception):
    """The lab cannot do what is asked; the text says why."""


def run(*command: str, check: bool = True, timeout: float = COMMAND_S) -> subprocess.CompletedProcess[str]:
    """Run a command and return what it printed.

    :raises LabError: if it fails, with its own words.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except FileNotFoundError:
        raise LabError(f"{command[0]} is not installed; ./culvert lab installs what it needs") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(command)} did not end in {timeout} s") from None
    if check and done.returncode:
        raise LabError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done


@dataclass(frozen=True)
class PingResult:
    """What ``ping`` counted."""

    sent: int
    received: int

    @property
    def lost(self) -> int:
        """Packets without an answer."""
        return self.sent - self.received


class Namespace:
    """One host: a network namespace with its own addresses and routes."""

    def __init__(self, topology: str, role: str) -> None:
        self.role = role
        self.name = f"{PREFIX}{topology}-{role}"

    def create(self) -> None:
        """Make it, with loopback up and forwarding on."""
        run("ip", "netns", "add", self.name)
        self.run("ip", "link", "set", "lo", "up")
        self.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")

    def exec_prefix(self) -> list[str]:
        """What to put before a command to run it here."""
        return ["ip", "netns", "exec", self.name]

    def run(self, *command: str, check: bool = True, timeout: float = COMMAND_S) -> subprocess.CompletedProcess[str]:
        """Run a command here."""
        return run(*self.exec_prefix(), *command, check=check, timeout=timeout)

    def spawn(self, *command: str, log: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a command here in a process group of its own."""
        output = log.open("ab") if log else subprocess.DEVNULL
        return subprocess.Popen(
            [*self.exec_prefix(), *command], stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )

    def address(self, device: str, *addresses: str) -> None:
        """Add addresses to a device."""
        for text in addresses:
            extra = ["nodad"] if ":" in text else []
            self.run("ip", "address", "add", text, "dev", device, *extra)

    def route(self, destination: str, via: str) -> None:
        """Add a route."""
        self.run("ip", *(["-6"] if ":" in via else []), "route", "add", destination, "via", via)

    def ping(self, target: str, source: str | None = None, count: int = 3, interval: float = 0.2) -> PingResult:
        """Send pings and count the answers. It ends by itself."""
        wait = count * interval + 3
        command = ["ping", "-q", "-n", "-c", str(count), "-i", str(interval), "-w", str(int(wait) + 1), target]
        if source:
            command[1:1] = ["-I", source]
        done = self.run(*command, check=False, timeout=wait + 10)
        return parse_ping(done.stdout)

    def ping_in_background(self, target: str, source: str | None, count: int, interval: float) -> subprocess.Popen[str]:
        """Start a bounded ping; read its result with ``parse_ping``."""
        command = ["ping", "-q", "-n", "-c", str(count), "-i", str(interval), "-W", "1", target]
        if source:
            command[1:1] = ["-I", source]
        return subprocess.Popen([*self.exec_prefix(), *command], stdout=subprocess.PIPE, text=True)


def parse_ping(output: str) -> PingResult:
    """The last lines of ``ping -q``.

    :raises LabError: if they are not there.
    """
    match = re.search(r"(\d+) packets transmitted, (\d+) received", output)
    if not match:
        raise LabError(f"ping said: {output.strip() or 'nothing'}")
    return PingResult(int(match[1]), int(match[2]))


def link(one: Namespace, other: Namespace, names: tuple[str, str]) -> None:
    """Join two namespaces by a veth pair; ``names`` are the device names at the two ends."""
    run(
        *("ip", "link", "add", names[0], "netns", one.name, "type", "veth"),
        *("peer", "name", names[1], "netns", other.name),
    )
    one.run("ip", "link", "set", names[0], "up")
    other.run("ip", "link", "set", names[1], "up")


def existing(topology: str | None = None) -> list[str]:
    """Names of the lab's namespaces, of one topology or all."""
    found = json.loads(run("ip", "-json", "netns", "list").stdout or "[]")
    prefix = f"{PREFIX}{topology}-" if topology else PREFIX
    return [entry["name"] for entry in found if entry["name"].startswith(prefix)]


def destroy(topology: str) -> None:
    """End what runs in a topology's namespaces and remove them."""
    for name in existing(topology):
        for number in (signal.SIGTERM, signal.SIGKILL):
            pids = run("ip", "netns", "pids", name, check=False).stdout.split()
            for pid in pids:
                try:
                    os.kill(int(pid), number)
                except ProcessLookupError:
                    continue
            if pids:
                run("sleep", "0.3")
        run("ip", "netns", "delete", name, check=False)


def settle(nodes: list[Namespace]) -> None:
    """Tell each node the link addresses of its neighbours.

    The kernel has one neighbour table for all namespaces. Another topology with many addresses fills it, and then
    nobody is found any more; entries that are permanent are not counted.
    """
    known = {node.name: _addresses(node) for node in nodes}
    for node in nodes:
        lines = [
            f"neigh replace {address.ip} lladdr {link_address} dev {device} nud permanent"
            for device, _, own in known[node.name]
            for other in nodes
            if other is not node
            for _, link_address, address in known[other.name]
            if address.ip in own.network and link_address
        ]
        command = [*node.exec_prefix(), "ip", "-batch", "-"]
        subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, timeout=COMMAND_S, check=False)


def _addresses(node: Namespace) -> list[tuple[str, str, ipaddress.IPv4Interface | ipaddress.IPv6Interface]]:
    """(device, link address, address) of a node."""
    rows = json.loads(node.run("ip", "-json", "address").stdout)
    return [
        (row["ifname"], row.get("address", ""), ipaddress.ip_interface(f"{info['local']}/{info['prefixlen']}"))
        for row in rows
        if row["ifname"] != "lo"
        for info in row["addr_info"]
    ]
