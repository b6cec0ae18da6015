"""The topologies.

    direct:   lan ---- site ================ gateway ---- host
              10.71.1.10   192.0.2.1  192.0.2.2   10.72.1.10

    nat:      lan ---- site ---- router ==== gateway ---- host
                       10.70.0.2     192.0.2.1 (masquerade)

    wire:     as direct, over a wire that can be made bad (``lab.wire``)

    direct6:  as direct, with 2001:db8::1 and 2001:db8::2 outside and the IPv6 subnets inside

    double-nat: lan ---- site ---- router ==== far-router ---- gateway ---- host
                         10.70.0.2   192.0.2.1   192.0.2.2   10.73.0.2     (both translate, both lead IKE inwards)

    shared-nat: as nat, with a second site, 10.70.0.3 (node ``second``), behind the same router

    two-sites: lan ---- site ================ gateway ---- host, with our engine at both ends

``site`` is where our engine runs, ``gateway`` is a strongSwan (or a second engine). Second
subnets, 10.71.2.0/24 and 10.72.2.0/24, stand on the loopback devices of site and gateway. The LANs have IPv6
beside: fd71:1::/64 and fd72:1::/64.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from lab.net import RUN, LabError, Namespace, destroy, existing, link, settle
from lab.outside import GATEWAY_OUTER, NAT_INNER, OUTSIDES, SITE_OUTER, wire
from lab.strongswan import Connection, StrongSwan
from lab.wire import Wire

__all__ = ["GATEWAY_OUTER", "NAT_INNER", "SITE_OUTER", "Topology", "running", "state_directory"]

SITE_SUBNETS = ("10.71.1.0/24", "10.71.2.0/24")
GATEWAY_SUBNETS = ("10.72.1.0/24", "10.72.2.0/24")
LAN_HOST, FAR_HOST = "10.71.1.10", "10.72.1.10"
SITE_LAN, GATEWAY_LAN = ("10.71.1.1", "10.71.2.1"), ("10.72.1.1", "10.72.2.1")
SITE_SUBNETS6, GATEWAY_SUBNETS6 = ("fd71:1::/64",), ("fd72:1::/64",)
LAN_HOST6, FAR_HOST6 = "fd71:1::10", "fd72:1::10"
SITE_LAN6, GATEWAY_LAN6 = "fd71:1::1", "fd72:1::1"
SECRET = "a-lab-secret-of-enough-length"  # noqa: S105 - for the lab alone
NAMES = ("direct", "direct6", "wire", "nat", "double-nat", "shared-nat", "two-sites", "demo")


@dataclass
class Topology:
    """One topology; a context manager that removes everything at its end."""

    kind: str
    name: str = ""
    subnets: int = 1
    with_peer: bool = True
    strongswan: StrongSwan | None = None
    charon: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, Namespace] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in NAMES:
            raise LabError(f"there is no topology “{self.kind}”; there are {', '.join(NAMES)}")
        self.name = self.name or self.kind
        self.outside = OUTSIDES.get(self.kind, OUTSIDES["direct"])
        roles = ["lan", "site", "gateway", "host", *self.outside.roles]
        self.nodes = {role: Namespace(self.name, role) for role in roles}
        self.directory = RUN / self.name
        self.wire = Wire(self.nodes["wire"], self.directory) if "wire" in self.nodes else None

    @property
    def site(self) -> Namespace:
        """Where our engine runs."""
        return self.nodes["site"]

    @property
    def gateway(self) -> Namespace:
        """Where the peer runs."""
        return self.nodes["gateway"]

    @property
    def lan(self) -> Namespace:
        """A host behind the site."""
        return self.nodes["lan"]

    @property
    def host(self) -> Namespace:
        """A host behind the gateway."""
        return self.nodes["host"]

    @property
    def site_address(self) -> str:
        """The address that our engine has."""
        return self.outside.site

    def up(self) -> None:
        """Make namespaces, links and routes, and start the gateway's strongSwan."""
        destroy(self.name)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        for node in self.nodes.values():
            node.create()
        wire(self.kind, self.nodes)
        self._wire_inside()
        settle(list(self.nodes.values()))
        if self.wire is not None:
            self.wire.start()
        if self.kind != "two-sites" and self.with_peer:
            self.strongswan = StrongSwan(self.gateway, self.directory / "gateway", self.connection())
            self.strongswan.options = self.charon
            self.strongswan.start()

    def _wire_inside(self) -> None:
        link(self.lan, self.site, ("eth0", "lan"))
        link(self.gateway, self.host, ("lan", "eth0"))
        self.lan.address("eth0", f"{LAN_HOST}/24", f"{LAN_HOST6}/64")
        self.host.address("eth0", f"{FAR_HOST}/24", f"{FAR_HOST6}/64")
        self.site.address("lan", f"{SITE_LAN[0]}/24", f"{SITE_LAN6}/64")
        self.gateway.address("lan", f"{GATEWAY_LAN[0]}/24", f"{GATEWAY_LAN6}/64")
        self.nodes.get("second", self.site).address("lo", f"{SITE_LAN[1]}/24")
        self.gateway.address("lo", f"{GATEWAY_LAN[1]}/24")
        self.lan.route("default", SITE_LAN[0])
        self.host.route("default", GATEWAY_LAN[0])
        self.lan.route("default", SITE_LAN6)
        self.host.route("default", GATEWAY_LAN6)

    def _subnets(self, node: str) -> list[str]:
        """What is behind one end: IPv6 where IPv6 is outside."""
        v6 = self.kind == "direct6"
        if node == "gateway":
            return list(GATEWAY_SUBNETS6 if v6 else GATEWAY_SUBNETS[: self.subnets])
        return list(SITE_SUBNETS6 if v6 else SITE_SUBNETS[: self.subnets])

    def connection(self, **changes: Any) -> Connection:
        """The gateway's configuration that fits ``engine_config``."""
        fields: dict[str, Any] = {
            "local_address": self.outside.gateway,
            "remote_address": self.outside.peer_of_gateway,
            "secret": SECRET,
            "local_subnets": self._subnets("gateway"),
            "remote_subnets": self._subnets("site"),
            # Behind the router the site names itself by its private address.
            "remote_id": "%any" if self.outside.translated else None,
        }
        return Connection(**{**fields, **changes})

    def engine_config(self, node: str = "site", **changes: Any) -> dict[str, Any]:
        """The ``EngineConfig`` document for the engine at ``site`` (or at ``gateway`` in two-sites)."""
        at_site = node == "site"
        peer: dict[str, Any] = {
            "id": "gateway" if at_site else "site",
            "name": "Gateway" if at_site else "Site",
            "remote": self.outside.peer_of_site if at_site else self.outside.peer_of_gateway,
            "psk": SECRET,
            "local_subnets": self._subnets("site" if at_site else "gateway"),
            "remote_subnets": self._subnets("gateway" if at_site else "site"),
            "start": "traffic",
        }
        return {
            "revision": 1,
            "dataplane": os.environ.get("CULVERT_DATAPLANE") or "userspace",
            "peers": [peer | changes],
        }

    def down(self) -> None:
        """Remove everything."""
        if self.wire is not None:
            self.wire.stop()
        if self.strongswan is not None:
            self.strongswan.stop()
        destroy(self.name)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Topology:
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()


def running() -> list[str]:
    """Names of the topologies that are up."""
    return sorted({name.removeprefix("cv-").rpartition("-")[0] for name in existing()})


def state_directory(name: str) -> Path:
    """Where a topology keeps its files."""
    return RUN / name
