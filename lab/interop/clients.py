"""Other people's programs beside strongSwan: ike-scan asks who is there, vpnc is a client of Cisco's concentrators."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from lab.interop import checks, pki
from lab.interop.model import Failed, Unable
from lab.interop.rig import eventually, require
from lab.interop.run import Run
from lab.topology import LAN_HOST, SECRET, SITE_LAN, SITE_OUTER, SITE_SUBNETS

BANNER, DOMAIN = "Welcome to the lab", "lab.example"
USER, PASSWORD, GROUP, ADDRESS = "carol", "the-password-of-carol", "group", "10.72.9.1"
_VPNC = f"""IPSec gateway {SITE_OUTER}
IPSec ID {GROUP}
IPSec secret {SECRET}
IKE DH Group dh5
Perfect Forward Secrecy nopfs
NAT Traversal Mode force-natt
Xauth username {USER}
Xauth password {PASSWORD}
Local Port 500
Interface name vpnc0
No Detach
"""
_SCRIPT = f"""#!/bin/sh
[ "$reason" = connect ] || exit 0
env > "$0.env"
ip address add "$INTERNAL_IP4_ADDRESS/32" dev "$TUNDEV"
ip link set "$TUNDEV" up
ip route add {SITE_LAN[0]}/32 dev "$TUNDEV"
ip route add {LAN_HOST}/32 dev "$TUNDEV"
"""


def _program(name: str) -> None:
    if shutil.which(name) is None:
        raise Unable(f"{name} is not installed (Debian package {name})")


def _version(text: str, name: str) -> str:
    found = re.search(rf"{name} (?:version )?([0-9][\w.]*)", text)
    return f"{name} {found[1] if found else ''}".strip()


def scanned(run: Run) -> None:
    """ike-scan sees one handshake for a proposal that fits, and a refusal for one that does not."""
    _program("ike-scan")
    node = run.rig.topology.gateway
    fits = node.run("ike-scan", "--sport=0", "--multiline", "--trans=7/256,4,1,14", SITE_OUTER).stdout
    run.peer_version = _version(fits, "ike-scan")
    require("1 returned handshake" in fits and "Group=14:modp2048" in fits, f"no handshake: {fits}")
    refused = node.run("ike-scan", "--sport=0", "--trans=5,1,1,1", SITE_OUTER).stdout
    require("NO-PROPOSAL-CHOSEN" in refused, f"no refusal: {refused}")
    event = run.wait_event("ike.phase1.no_proposal")
    require("3des" in (event["hint"] or ""), f"the hint does not name what was offered: {event['hint']}")


def scanned_aggressively(run: Run) -> None:
    """Nobody gets a hash to crack where aggressive mode is not configured, whatever identity is tried."""
    _program("ike-scan")
    command = ("ike-scan", "--sport=0", "--aggressive", f"--id={GROUP}", "--trans=7/256,4,1,14", "--dhgroup=14")
    answer = run.rig.topology.gateway.run(*command, "--retry=1", "--timeout=300", SITE_OUTER).stdout
    run.peer_version = _version(answer, "ike-scan")
    require("0 returned handshake" in answer, f"aggressive mode was answered: {answer}")
    run.wait_event("ike.mode.refused")


def vpnc_comes_in(run: Run) -> None:
    """vpnc logs a user in, gets an address, and its packets go both ways."""
    _vpnc_comes_in(run, "IKE Authmode psk\n", ("ike.aggressive.used",))


def vpnc_believes_a_certificate(run: Run) -> None:
    """vpnc in its hybrid mode: we prove ourselves with a certificate of the CA that it is given."""
    path = run.rig.topology.directory / "ca.pem"
    path.write_text(pki.authority())
    _vpnc_comes_in(run, f"IKE Authmode hybrid\nCA-File {path}\n", ())


def vpnc_is_told(run: Run) -> None:
    """vpnc gets the split list, the banner and the domain, and reaches the subnet."""
    _vpnc_comes_in(run, "IKE Authmode psk\n", ("ike.aggressive.used",))
    text = (run.rig.topology.directory / "vpnc-script.env").read_text()
    network = ipaddress.IPv4Network(SITE_SUBNETS[0])
    wanted = {
        "CISCO_SPLIT_INC": "1",
        "CISCO_SPLIT_INC_0_ADDR": str(network.network_address),
        "CISCO_SPLIT_INC_0_MASK": str(network.netmask),
        "CISCO_BANNER": BANNER,
        "CISCO_DEF_DOMAIN": DOMAIN,
    }
    told = dict(line.partition("=")[::2] for line in text.splitlines() if line.startswith("CISCO_"))
    for name, value in wanted.items():
        checks.same(name, value, told.get(name))


def _vpnc_comes_in(run: Run, mode: str, expected: tuple[str, ...]) -> None:
    _program("vpnc")
    rig = run.rig
    rig.gateway.stop()
    with _vpnc(run, mode) as node:
        run.wait_event("ike.config.leased")
        run.wait_event("ike.phase2.established", 2)
        require(eventually(lambda: node.ping(LAN_HOST, source=ADDRESS, count=1).received == 1, 5), "no echo from vpnc")
        for name, target, source in (("gateway", LAN_HOST, ADDRESS), ("lan", ADDRESS, None)):
            result = rig.topology.nodes[name].ping(target, source=source, count=4, interval=0.05)
            require(result.lost == 0, f"{result.lost} of {result.sent} echoes from {name} are lost")
        sas = run.sas()
        checks.same("SA pairs", len(sas), 1)
        checks.same("the client's address", sas[0]["remote"], f"{ADDRESS}/32")
        require(sas[0]["packets_in"] >= 9, f"only {sas[0]['packets_in']} packets came in")
    run.wait_event("ike.phase1.peer_deleted")
    checks.complaints(run.events(), expected)


@contextlib.contextmanager
def _vpnc(run: Run, mode: str) -> Iterator[object]:
    directory: Path = run.rig.topology.directory
    script, conf, log = directory / "vpnc-script", directory / "vpnc.conf", directory / "vpnc.log"
    script.write_text(_SCRIPT)
    script.chmod(0o755)
    conf.write_text(f"{_VPNC}{mode}Script {script}\n")
    conf.chmod(0o600)
    node = run.rig.topology.gateway
    run.peer_version = _version(node.run("vpnc", "--version").stdout, "vpnc")
    process = node.spawn("vpnc", "--non-inter", str(conf), log=log)
    try:
        yield node
    except Failed as error:
        raise Failed(f"{error}; vpnc: {log.read_text()[-300:]}") from None
    finally:
        process.terminate()
        process.wait(5)
