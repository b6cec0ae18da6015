"""``python -m box COMMAND``: what the units of the image call (docs/box.md)."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from vpnengine.contract.problems import Refused

STATE = Path("/var/lib/culvert")


def main(arguments: list[str] | None = None) -> int:
    """0 done, 1 refused or failed, 2 wrong use."""
    parser = argparse.ArgumentParser(prog="python -m box", description=__doc__)
    parser.add_argument("--state", type=Path, default=STATE, help="what the box keeps (default: %(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    network = commands.add_parser("network", help="apply the networks, and serve the socket that changes them")
    network.add_argument("--group", default="", help="the group that may use the socket beside root")
    certificate = commands.add_parser("certificate", help="make or renew the certificate; exit code 0")
    certificate.add_argument("--name", action="append", default=[], help="a further host name or address")
    certificate.add_argument("--group", default="", help="the group that may read certificate and key")
    console = commands.add_parser("console", help="the menu, on this terminal")
    console.add_argument("--socket", type=Path, default=Path("/run/culvert/network.sock"))
    console.add_argument("--claim", type=Path, default=Path("/run/culvert/claim"), help="the file with the claim code")
    unattended = commands.add_parser("unattended", help="use what cloud-init or systemd was given, once")
    unattended.add_argument("--seed", type=Path, help="where the disk “cidata” is mounted")
    unattended.add_argument("--output", type=Path, default=Path("/run/culvert"), help="where results go")
    options = parser.parse_args(arguments)
    command = {"network": _network, "certificate": _certificate, "console": _console, "unattended": _unattended}[
        options.command
    ]
    try:
        return command(options)
    except Refused as refused:
        for problem in refused.problems:
            sys.stderr.write(f"box: {problem.field}: {problem.message}\n".replace(": :", ":"))
    except OSError as error:
        sys.stderr.write(f"box: {error}\n")
    return 1


def _network(options: argparse.Namespace) -> int:
    from box.contract.network import parse_network
    from box.network import default
    from box.network.applier import Applier, Desired
    from box.network.service import SOCKET, Service
    from box.network.system import CommandFailed, Systemd

    applier = Applier(Path("/"), options.state / "network", Systemd())
    given = options.state / "network" / "given.json"
    document = json.loads(given.read_text()) if given.exists() else default.document(default.interfaces())
    try:
        applier.start(Desired(parse_network(document)) if document else None)
    except (CommandFailed, Refused) as problem:
        # The socket is served all the same: the console mends it from there.
        sys.stderr.write(f"box: the networks could not be applied: {problem}\n")
    asyncio.run(Service(applier, SOCKET, options.group).run(lambda: notify("READY=1")))
    return 0


def _certificate(options: argparse.Namespace) -> int:
    from box import certificates

    directory = options.state / "tls"
    made = certificates.ensure(directory, [*addresses(), socket.gethostname(), *options.name])
    if options.group:
        import shutil

        shutil.chown(directory, group=options.group)
        directory.chmod(0o750)
        for path in certificates.paths(directory):
            shutil.chown(path, group=options.group)
            path.chmod(0o640)
    said = {"fingerprint": made.fingerprint, "not_after": made.not_after.isoformat(), "renewed": made.is_new}
    print(json.dumps(said | {"names": made.names, "paths": [str(path) for path in certificates.paths(directory)]}))
    return 0


def _console(options: argparse.Namespace) -> int:
    from box import console

    return console.main(options.state, options.socket, options.claim)


def _unattended(options: argparse.Namespace) -> int:
    """Files for others: the networks to begin with, root's keys, and the claim for ``manage.py claim``."""
    from box import unattended

    place = os.environ.get("CREDENTIALS_DIRECTORY")
    found = unattended.gather(Path(place) if place else None, options.seed)
    for name in unattended.write(found, options.output, options.state):
        print(f"box: {name} is used")
    return 0


def addresses() -> list[str]:
    """Every address of the machine by which somebody else may know it."""
    listed = subprocess.run(["ip", "-j", "address"], capture_output=True, text=True, timeout=10, check=True).stdout
    found = [row["local"] for link in json.loads(listed) for row in link["addr_info"] if "local" in row]
    return [text for text in found if not (ipaddress.ip_address(text).is_loopback or text.startswith("fe80:"))]


def notify(state: str) -> None:
    """Tell systemd (sd_notify(3)); nothing without it."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if place:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.connect(place.replace("@", "\0", 1) if place.startswith("@") else place)
            connection.send(state.encode())


if __name__ == "__main__":
    sys.exit(main())
