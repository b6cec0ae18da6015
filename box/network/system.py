"""The programs that make files true. What they need is written first; nothing here decides anything."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Protocol

from box.contract.network import Network, WanMode
from box.network import files as names

COMMAND_S = 30.0


class CommandFailed(Exception):
    """A program refused; the text has its name and its last words."""


class System(Protocol):
    """What an applier asks of the machine."""

    def check(self, staged: Path) -> None:
        """Let the programs read the files below ``staged`` without using them.

        :raises CommandFailed: if one of them would not take its file.
        """

    def activate(self, root: Path, network: Network, gone: list[str]) -> None:
        """Use the files below ``root``; ``gone`` are devices of VLANs that are no more.

        :raises CommandFailed: if a program refuses.
        """


def run(*command: str, before: tuple[str, ...] = ()) -> None:
    """Run a command.

    :raises CommandFailed: if it is missing, does not end, or fails.
    """
    try:
        done = subprocess.run([*before, *command], capture_output=True, text=True, timeout=COMMAND_S, check=False)
    except FileNotFoundError:
        raise CommandFailed(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"{command[0]} did not end in {COMMAND_S:.0f} s") from None
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise CommandFailed(f"{command[0]}: {words[-1] if words else f'exit code {done.returncode}'}")


def check_files(staged: Path, before: tuple[str, ...] = ()) -> None:
    """nft and dnsmasq read their files; networkd has no such mode, and its units follow from checked values."""
    run("nft", "-c", "-f", str(staged / names.RULES), before=before)
    if (staged / names.DNSMASQ).exists():
        run("dnsmasq", "--test", "-C", str(staged / names.DNSMASQ), before=before)


class Systemd:
    """The appliance itself."""

    def check(self, staged: Path) -> None:
        """See `System`."""
        check_files(staged)

    def activate(self, root: Path, network: Network, gone: list[str]) -> None:
        """Rules first, so that no address is reachable before them; see `System`."""
        run("nft", "-f", str(root / names.RULES))
        run("sysctl", "-q", "-p", str(root / names.SYSCTL))
        run("hostnamectl", "hostname", "--transient", network.hostname)
        for device in gone:
            run("ip", "link", "delete", device)
        run("networkctl", "reload")
        for device in (network.wan.interface, *(name for _, name, _ in network.inside())):
            # An interface that is not there yet is configured when it comes.
            if Path("/sys/class/net", device).exists():
                run("networkctl", "reconfigure", device)
        _switch("culvert-dnsmasq.service", (root / names.DNSMASQ).exists())
        _switch("culvert-pppoe.service", network.wan.mode == WanMode.PPPOE)


def _switch(unit: str, wanted: bool) -> None:
    run("systemctl", "restart" if wanted else "stop", unit)
