"""Gathering what `box.diagnosis` judges and the console shows; each question has a limit in time, and may fail."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from box import dhcp_probe
from box.diagnosis import Facts, Port
from box.network import default
from box.network.service import SOCKET, ask

QUESTION_S = 5.0
PROBE_S = 30.0
# What the clock needs anyway.
NAME = "pool.ntp.org"
CLAIM = Path("/run/culvert/claim")


@dataclass(frozen=True)
class Seen:
    """Everything that the console shows. ``network`` is the document in force, None if the service is away."""

    facts: Facts
    network: dict[str, Any] | None
    claim: str
    fingerprint: str
    version: str
    trial: str = ""
    left_s: float = 0.0


class Probes:
    """Questions that take seconds, asked beside the menu: do names resolve, is there another DHCP server inside?"""

    def __init__(self) -> None:
        self.names_resolve: bool | None = None
        self.lan_dhcp = ""

    def start(self, seen: Callable[[], Facts]) -> None:
        """Ask again and again, for as long as the program lives."""
        threading.Thread(target=self._ask, args=(seen,), daemon=True).start()

    def _ask(self, seen: Callable[[], Facts]) -> None:
        while True:
            facts = seen()
            self.names_resolve = bool(_run("getent", "ahosts", NAME)) if facts.gateway_answers else None
            self.lan_dhcp = self._foreign(facts)
            time.sleep(PROBE_S)

    @staticmethod
    def _foreign(facts: Facts) -> str:
        lan, wan = facts.port(facts.lan), facts.port(facts.wan)
        # It is asked only when it would explain something.
        if lan is None or not lan.carrier or wan is None or wan.addresses:
            return ""
        mine = {address.partition("/")[0] for address in lan.addresses}
        try:
            return next((server for server in dhcp_probe.servers(lan.name) if server not in mine), "")
        except OSError:
            return ""


def gather(state: Path, sock: Path = SOCKET, claim: Path = CLAIM, probes: Probes | None = None) -> Seen:
    """Look at the machine, which takes a second or two where something is wrong."""
    try:
        said = ask({"op": "status"}, sock, QUESTION_S)
    except (OSError, ValueError):
        said = {}
    network = said.get("network")
    wan, lan = (network or {}).get("wan") or {}, (network or {}).get("lan") or {}
    device = "ppp0" if wan.get("mode") == "pppoe" else wan.get("interface", "")
    gateway = _gateway(device)
    facts = Facts(
        ports=_ports(device),
        wan=device,
        lan=lan.get("interface", ""),
        wan_mode=wan.get("mode", "dhcp"),
        gateway=gateway,
        gateway_answers=_answers(gateway) if gateway else None,
        names_resolve=probes.names_resolve if probes else None,
        lan_dhcp=probes.lan_dhcp if probes else "",
        now=datetime.now(UTC),
        is_synchronized=_synchronized(),
        data=_data(state),
        data_percent=_percent(state),
        failed_units=_failed(),
    )
    trial, left = said.get("trial") or "", said.get("left_s", 0.0)
    return Seen(facts, network, _text(claim), _fingerprint(state), _text(Path("/usr/lib/culvert/version")), trial, left)


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=QUESTION_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _links(text: str) -> list[dict[str, Any]]:
    try:
        return list(json.loads(text or "[]"))
    except ValueError:
        return []


def _ports(wan: str) -> tuple[Port, ...]:
    names = set(default.interfaces()) | ({"ppp0"} if wan == "ppp0" else set())
    found = []
    for link in _links(_run("ip", "-j", "address")):
        if link.get("ifname") not in names:
            continue
        rows = [row for row in link.get("addr_info", []) if row.get("scope") == "global"]
        addresses = tuple(f"{row['local']}/{row['prefixlen']}" for row in rows)
        found.append(Port(link["ifname"], "LOWER_UP" in link.get("flags", []), addresses))
    return tuple(sorted(found, key=lambda port: port.name))


def _gateway(wan: str) -> str:
    for route in _links(_run("ip", "-j", "route", "show", "default")):
        if route.get("dev") == wan:
            return str(route.get("gateway", ""))
    return ""


def _answers(gateway: str) -> bool | None:
    """By ARP rather than ping, which many routers leave unanswered."""
    _run("ping", "-c1", "-W1", gateway)
    for row in _links(_run("ip", "-j", "neighbour", "show", gateway)):
        return "lladdr" in row
    return None


def _synchronized() -> bool | None:
    said = _run("timedatectl", "show", "-p", "NTPSynchronized", "--value").strip()
    return {"yes": True, "no": False}.get(said)


def _data(state: Path) -> str:
    # fsck at boot leaves its verdict here, when it could not repair.
    if Path("/run/culvert/data-corrupt").exists():
        return "corrupt"
    if not state.is_dir():
        return "missing"
    return "read-only" if os.statvfs(state).f_flag & os.ST_RDONLY else "ok"


def _percent(state: Path) -> int:
    try:
        used = shutil.disk_usage(state)
    except OSError:
        return 0
    return round(100 * used.used / used.total) if used.total else 0


def _failed() -> tuple[str, ...]:
    lines = _run("systemctl", "list-units", "--failed", "--plain", "--no-legend", "culvert*").splitlines()
    return tuple(line.split()[0] for line in lines if line.split())


def _fingerprint(state: Path) -> str:
    from cryptography import x509

    from box import certificates

    try:
        return certificates.fingerprint(
            x509.load_pem_x509_certificates(certificates.paths(state / "tls")[0].read_bytes())[0]
        )
    except (OSError, ValueError):
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
