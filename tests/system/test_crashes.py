"""Kill -9 of every part under load: everything comes back, no event is lost or doubled."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.topology import FAR_HOST, GATEWAY_OUTER, GATEWAY_SUBNETS, SECRET, SITE_SUBNETS, Topology
from tests.stack import Stack, eventually
from vpnengine.daemon.client import ControlClient, EngineUnavailable

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]
PARTS = ("redis", "web", "worker", "beat", "agent", "writer", "engine")
_POPULATE = """
from dashboard.accounts import services as accounts
from dashboard.fleet import services as fleet
from dashboard.sitevpn import services as vpn
from dashboard.sitevpn.models import Peer
user = accounts.create_administrator(email="a@example.com", name="A", password="a-long-passphrase-7")
site = fleet.create_organization(name="O", site_name="S", administrator_id=user.pk).site
vpn.save_subnets(site.pk, [("{mine}", "", True)], user.pk)
peer = Peer(site=site, name="Branch", remote="{remote}", remote_subnets=["{theirs}"], start="immediate")
vpn.save_peer(peer, secret="{secret}", author_id=user.pk)
"""


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[tuple[Topology, Stack]]:
    with Topology("direct", name=f"k{os.getpid() % 10000}") as topology:
        stack = Stack(tmp_path / "state", topology.site.name)
        stack.start()
        try:
            yield topology, stack
        finally:
            stack.stop()


def in_django(stack: Stack, program: str) -> str:
    """Run a program with the dashboard's settings, as an administrator's request would."""
    import subprocess
    import sys

    from appliance.paths import ROOT

    environment = {**os.environ, **stack.environment, "CULVERT_STATE": str(stack.state.directory)}
    command = [sys.executable, str(ROOT / "manage.py"), "shell", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def populate(stack: Stack) -> None:
    in_django(
        stack,
        _POPULATE.format(mine=SITE_SUBNETS[0], theirs=GATEWAY_SUBNETS[0], remote=GATEWAY_OUTER, secret=SECRET),
    )


def rekey(stack: Stack) -> None:
    """Load: every rekeying makes several events."""
    try:
        with ControlClient(stack.state.control, timeout=5) as client:
            client.request("rekey", peer="Branch", phase=2)
    except EngineUnavailable:
        pass


def journal(stack: Stack) -> list[tuple[str, int, str]]:
    with ControlClient(stack.state.control) as client:
        client.request("events", after=0, follow=False)
        return [(e["boot"], e["number"], e["text"]) for e in client.lines()]


def test_every_part_may_be_killed(rig: tuple[Topology, Stack]) -> None:
    topology, stack = rig
    populate(stack)
    assert eventually(lambda: topology.lan.ping(FAR_HOST, count=1).received, 20)
    for part in PARTS:
        for _ in range(3):
            rekey(stack)
            time.sleep(0.2)
        stack.kill(part)
        for _ in range(3):
            rekey(stack)
            time.sleep(0.3)
        assert eventually(lambda: topology.lan.ping(FAR_HOST, count=1).received, 30), part
        assert f"{part} ended by signal 9" in stack.said()

    def same() -> bool:
        rows = stack.rows("SELECT body->>'boot', body->>'number', body->>'text' FROM eventlog_eventrow ORDER BY seq")
        return rows == journal(stack)

    assert eventually(same, 30), stack.said()
    numbers = [row[0] for row in stack.rows("SELECT seq FROM eventlog_eventrow ORDER BY seq")]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) > 50
    saved = json.loads(stack.state.applied.read_text())
    assert saved["peers"][0]["psk"] == SECRET and saved["revision"] == 2


def test_a_push_survives_the_loss_of_redis_and_worker(rig: tuple[Topology, Stack]) -> None:
    topology, stack = rig
    populate(stack)
    assert eventually(lambda: topology.lan.ping(FAR_HOST, count=1).received, 20)
    stack.kill("redis")
    stack.kill("worker")
    in_django(
        stack,
        "from dashboard.sitevpn import services as vpn\nfrom dashboard.sitevpn.models import Peer\n"
        "peer = Peer.objects.get(); peer.name = 'Renamed'; vpn.save_peer(peer, secret='', author_id=None)",
    )
    state = "SELECT state FROM publish_revision ORDER BY number DESC LIMIT 1"
    assert eventually(lambda: stack.rows(state) == [("applied",)], 40), stack.said()
    with ControlClient(stack.state.control) as client:
        assert client.request("status")["peers"][0]["name"] == "Renamed"


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    with Topology("direct", name=f"c{os.getpid() % 10000}") as topology:
        stack = Stack(tmp_path / "state", topology.site.name)
        stack.start()
        pids = [stack.pid(part) for part in PARTS]
        assert stack.stop() == 0
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
        assert "culvert0" not in topology.site.run("ip", "link").stdout


def test_a_second_start_on_the_same_state_is_refused(tmp_path: Path) -> None:
    with Topology("direct", name=f"d{os.getpid() % 10000}") as topology:
        stack, twin = (Stack(tmp_path / "state", topology.site.name) for _ in range(2))
        twin.output = tmp_path / "twin.out"
        stack.start()
        try:
            with pytest.raises(AssertionError, match=r"another ./culvert up uses"):
                twin.start()
        finally:
            stack.stop()
