"""What the console finds wrong, and its menu in a real terminal."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pexpect
import pytest

from appliance.paths import ROOT
from box import certificates
from box.contract.network import parse_network
from box.diagnosis import Facts, Port, diagnose
from box.network.applier import Applier, Desired
from box.network.service import Service
from tests.box.documents import static
from tests.box.test_applier import Recorded

GOOD = Facts(
    ports=(Port("eth0", True, ("192.0.2.10/24",)), Port("eth1", True, ("192.168.1.1/24",))),
    wan="eth0",
    lan="eth1",
    gateway="192.0.2.1",
    gateway_answers=True,
    names_resolve=True,
    is_synchronized=True,
)
BARE = (Port("eth0", True), GOOD.ports[1])
WRONG = {
    "no-port": replace(GOOD, ports=()),
    "one-port": replace(GOOD, ports=GOOD.ports[:1], lan=""),
    "lan-missing": replace(GOOD, ports=GOOD.ports[:1]),
    "wan-missing": replace(GOOD, wan="eth7"),
    "wan-no-carrier": replace(GOOD, ports=(Port("eth0"), GOOD.ports[1])),
    "wan-no-address": replace(GOOD, ports=BARE),
    "swapped": replace(GOOD, ports=BARE, lan_dhcp="192.168.178.1"),
    "overlap": replace(GOOD, ports=(GOOD.ports[0], Port("eth1", True, ("192.0.2.129/25",)))),
    "no-gateway": replace(GOOD, gateway="", gateway_answers=None),
    "gateway-silent": replace(GOOD, gateway_answers=False),
    "no-dns": replace(GOOD, names_resolve=False),
    "clock": replace(GOOD, now=datetime(1970, 1, 1, tzinfo=UTC)),
    "clock-unsynchronized": replace(GOOD, is_synchronized=False),
    "data-full": replace(GOOD, data_percent=97),
    "data-corrupt": replace(GOOD, data="corrupt"),
    "data-missing": replace(GOOD, data="missing"),
    "data-read-only": replace(GOOD, data="read-only"),
    "units": replace(GOOD, failed_units=("culvert-engine.service",)),
}


@pytest.mark.parametrize("key", WRONG)
def test_one_thing_that_is_wrong_is_one_finding(key: str) -> None:
    [finding] = diagnose(WRONG[key])
    assert finding.key == key and finding.text.endswith(".") and finding.advice.endswith(".")


def test_in_order_and_the_gravest_first() -> None:
    assert diagnose(GOOD) == []
    both = diagnose(replace(GOOD, names_resolve=False, data="corrupt"))
    assert [finding.key for finding in both] == ["data-corrupt", "no-dns"]


@pytest.fixture
def applier(tmp_path: Path) -> Iterator[Applier]:
    """A network service at ``tmp_path/n.sock``."""
    made = Applier(tmp_path / "root", tmp_path / "network", Recorded())
    made.start(Desired(parse_network(static())))
    loop, ready = asyncio.new_event_loop(), threading.Event()
    task = loop.create_task(Service(made, tmp_path / "n.sock").run(ready.set))

    def serve() -> None:
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            pass
        finally:
            loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert ready.wait(10)
    yield made
    loop.call_soon_threadsafe(task.cancel)
    thread.join(10)


@pytest.fixture
def terminal(tmp_path: Path, applier: Applier) -> Iterator[pexpect.spawn]:
    (tmp_path / "claim").write_text("dead-beef-0123-4567\n")
    made = certificates.ensure(tmp_path / "tls", ["192.168.1.1"])
    environment = os.environ | {
        "TERM": "vt220",
        "CULVERT_CONSOLE_REBOOT": f"touch {tmp_path / 'rebooted'}",
        "CULVERT_CONSOLE_SHELL": "/bin/echo this-is-the-shell",
    }
    arguments = ["-m", "box", "--state", str(tmp_path), "console", "--socket", str(tmp_path / "n.sock")]
    child = pexpect.spawn(
        sys.executable,
        [*arguments, "--claim", str(tmp_path / "claim")],
        env=environment,
        cwd=str(ROOT),
        timeout=40,
        encoding="utf-8",
        dimensions=(40, 100),
    )
    child.fingerprint = made.fingerprint
    try:
        yield child
    finally:
        child.close(force=True)


DOWN, ENTER, ESC = "\x1b[B", "\r", "\x1b"


def _choose(terminal: pexpect.spawn, steps: int) -> None:
    for _ in range(steps):
        terminal.send(DOWN)
        time.sleep(0.1)
    terminal.send(ENTER)


def test_the_menu_says_what_there_is(terminal: pexpect.spawn) -> None:
    terminal.expect("Dashboard +https://192.168.1.1/")
    terminal.expect_exact(terminal.fingerprint[:40])
    terminal.expect("dead-beef-0123-4567")
    # The ports of the document are not those of this machine, and the console says what to do.
    terminal.expect("Set WAN")
    terminal.expect("Shell")
    _choose(terminal, 4)
    terminal.expect("this-is-the-shell")
    terminal.expect("Reboot")


def test_a_factory_reset_wants_the_word(terminal: pexpect.spawn, tmp_path: Path) -> None:
    terminal.expect("Shell")
    _choose(terminal, 2)
    terminal.expect("Type RESET")
    terminal.send("reset")
    _choose(terminal, 1)
    terminal.expect("Nothing was reset")
    assert not (tmp_path / "factory-reset").exists() and not (tmp_path / "rebooted").exists()
    _choose(terminal, 2)
    terminal.expect("Type RESET")
    terminal.send("RESET")
    _choose(terminal, 1)
    terminal.expect("erased at the next start")
    assert (tmp_path / "factory-reset").exists() and (tmp_path / "rebooted").exists()


def test_a_static_wan_is_refused_then_set_and_kept(terminal: pexpect.spawn, applier: Applier) -> None:
    terminal.expect("Shell")
    _choose(terminal, 1)
    terminal.expect("DNS servers")
    for text in ("198.51.100.2/24", "10.0.0.1"):
        terminal.send(text + DOWN)
    terminal.send("198.51.100.53")
    _choose(terminal, 1)
    terminal.expect("wan.gateway")
    assert applier.trial is None
    _choose(terminal, 1)
    terminal.expect("DNS servers")
    for text in ("198.51.100.2/24", "198.51.100.1"):
        terminal.send(text + DOWN)
    terminal.send("198.51.100.53, 9.9.9.9")
    _choose(terminal, 1)
    terminal.expect("Keep the change")
    assert applier.trial and applier.trial.desired.network.wan.dns == ("198.51.100.53", "9.9.9.9")
    time.sleep(0.5)
    terminal.send(DOWN * 0 + "\x1b[A" * 6)
    time.sleep(0.3)
    terminal.send(ENTER)
    terminal.expect("The change is kept")
    assert applier.trial is None and applier.confirmed
    assert applier.confirmed.network.wan.address == "198.51.100.2/24"
