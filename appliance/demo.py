"""The demo: a real strongSwan gateway, a peer row that points to it, and traffic."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import time

from appliance.launcher.supervisor import say
from appliance.paths import state
from lab.topology import FAR_HOST, GATEWAY_OUTER, GATEWAY_SUBNETS, SECRET, SITE_SUBNETS, Topology
from vpnengine.daemon.client import ControlClient, EngineUnavailable

EMAIL = "demo@example.com"
WAIT_S = 60.0


class Demo:
    """Everything stands in network namespaces; the host's own network is not touched."""

    def __init__(self) -> None:
        self._topology = Topology("demo")
        self._traffic: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """The topology's name."""
        return self._topology.name

    @property
    def prefix(self) -> list[str]:
        """What runs the engine in the site's namespace."""
        return self._topology.site.exec_prefix()

    def up(self) -> None:
        """Make the network; what a killed run has left is removed first."""
        self._topology.up()

    def down(self) -> None:
        """Remove the network and end the traffic."""
        if self._traffic is not None:
            self._traffic.terminate()
            self._traffic.wait(5)
        self._topology.down()

    async def populate(self, began: float) -> None:
        """Make the organization through the services that the forms use, and send traffic."""
        password = await asyncio.to_thread(_populate)
        if password:
            say(f"sign in as {EMAIL} with the password {password}")
        self._traffic = self._topology.lan.spawn("ping", "-q", "-i", "0.5", FAR_HOST)
        seconds = await _first_sa(began)
        if seconds is None:
            say(f"there is no IPsec SA after {WAIT_S:.0f} s; the peer's page and {state().log}/engine.log say why")
        else:
            say(f"the first IPsec SA is up, {seconds:.1f} s after the command")
        say("break it: change the peer's pre-shared secret in the form; mend it: enter " + SECRET)
        say("or kill the gateway's network: ./culvert lab exec demo gateway -- ip link set wan down (and up again)")


def _populate() -> str | None:
    """The password of a new demo administrator; None if the state directory has one already."""
    from dashboard.accounts import services as accounts
    from dashboard.accounts.models import User
    from dashboard.fleet import services as fleet
    from dashboard.sitevpn import services as vpn
    from dashboard.sitevpn.models import Peer

    password = f"demo-{secrets.token_urlsafe(9)}"
    existing = User.objects.filter(email=EMAIL).first()
    if existing is not None:
        existing.set_password(password)
        existing.save()
        return password
    user = accounts.create_administrator(email=EMAIL, name="Demo", password=password)
    appliance = fleet.create_organization(name="Demo organization", site_name="Demo site", administrator_id=user.pk)
    vpn.save_subnets(appliance.site_id, [(SITE_SUBNETS[0], "Office", True)], user.pk)
    peer = Peer(
        site=appliance.site,
        name="Branch gateway (strongSwan)",
        remote=GATEWAY_OUTER,
        remote_subnets=[GATEWAY_SUBNETS[0]],
        preset="strong",
    )
    vpn.save_peer(peer, secret=SECRET, author_id=user.pk)
    return password


async def _first_sa(began: float) -> float | None:
    """Seconds from the command (``began``, by the wall clock) to the first mature SA; None if it is not in time."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if await asyncio.to_thread(_has_sa):
            return time.time() - began
        await asyncio.sleep(0.1)
    return None


def _has_sa() -> bool:
    try:
        with ControlClient(state().control) as client:
            peers = client.request("status")["peers"]
            return any(sa["state"] == "mature" for peer in peers for sa in peer["sas"])
    except EngineUnavailable:
        return False
