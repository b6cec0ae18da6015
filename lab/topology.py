"""The topologies.

    direct:   lan ---- site ================ gateway ---- host
              10.71.1.10   192.0.2.1  192.0.2.2   10.72.1.10

    nat:      lan ---- site ---- router ==== gateway ---- host
                       10.70.0.2     192.0.2.1 (masquerade)

    two-sites: lan ---- site ================ gateway ---- host, with our engine at both ends

``site`` is where our engine runs, ``gateway`` is a strongSwan (or a second engine). Second
subnets, 10.71.2.0/24 and 10.72.2.0/24, stand on the loopback devices of site and gateway.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from lab.net import RUN, LabError, Namespace, destroy, existing, link
from lab.strongswan import Connection, StrongSwan

SITE_OUTER, GATEWAY_OUTER = "192.0.2.1", "192.0.2.2"
NAT_INNER, NAT_ROUTER = "10.70.0.2", "10.70.0.1"
SITE_SUBNETS = ("10.71.1.0/24", "10.71.2.0/24")
GATEWAY_SUBNETS = ("10.72.1.0/24", "10.72.2.0/24")
LAN_HOST, FAR_HOST = "10.71.1.10", "10.72.1.10"
SITE_LAN, GATEWAY_LAN = ("10.71.1.1", "10.71.2.1"), ("10.72.1.1", "10.72.2.1")
SECRET = "a-lab-secret-of-enough-length"  # noqa: S105 - for the lab alone
NAMES = ("direct", "nat", "two-sites", "demo")


@dataclass
class Topology:
    """One topology; a context manager that removes everything at its end."""

    kind: str
    name: str = ""
    subnets: int = 1
    strongswan: StrongSwan | None = None
    nodes: dict[str, Namespace] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in NAMES:
            raise LabError(f"there is no topology “{self.kind}”; there are {', '.join(NAMES)}")
        self.name = self.name or self.kind
        roles = ["lan", "site", "gateway", "host"] + (["router"] if self.kind == "nat" else [])
        self.nodes = {role: Namespace(self.name, role) for role in roles}
        self.directory = RUN / self.name

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
        return NAT_INNER if self.kind == "nat" else SITE_OUTER

    def up(self) -> None:
        """Make namespaces, links and routes, and start the gateway's strongSwan."""
        destroy(self.name)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        for node in self.nodes.values():
            node.create()
        self._wire_outside()
        self._wire_inside()
        if self.kind != "two-sites":
            self.strongswan = StrongSwan(self.gateway, self.directory / "gateway", self.connection())
            self.strongswan.start()

    def _wire_outside(self) -> None:
        if self.kind != "nat":
            link(self.site, self.gateway, ("wan", "wan"))
            self.site.address("wan", f"{SITE_OUTER}/24", "2001:db8::1/64")
            self.gateway.address("wan", f"{GATEWAY_OUTER}/24", "2001:db8::2/64")
            return
        router = self.nodes["router"]
        link(self.site, router, ("wan", "in"))
        link(router, self.gateway, ("out", "wan"))
        self.site.address("wan", f"{NAT_INNER}/24")
        router.address("in", f"{NAT_ROUTER}/24")
        router.address("out", f"{SITE_OUTER}/24")
        self.gateway.address("wan", f"{GATEWAY_OUTER}/24")
        self.site.route("default", NAT_ROUTER)
        for command in ("add table ip nat", "add chain ip nat post { type nat hook postrouting priority 100 ; }"):
            router.run("nft", *command.split(" "))
        router.run("nft", "add rule ip nat post oifname out masquerade")

    def _wire_inside(self) -> None:
        link(self.lan, self.site, ("eth0", "lan"))
        link(self.gateway, self.host, ("lan", "eth0"))
        self.lan.address("eth0", f"{LAN_HOST}/24")
        self.host.address("eth0", f"{FAR_HOST}/24")
        self.site.address("lan", f"{SITE_LAN[0]}/24")
        self.gateway.address("lan", f"{GATEWAY_LAN[0]}/24")
        self.site.address("lo", f"{SITE_LAN[1]}/24")
        self.gateway.address("lo", f"{GATEWAY_LAN[1]}/24")
        self.lan.route("default", SITE_LAN[0])
        self.host.route("default", GATEWAY_LAN[0])

    def connection(self, **changes: Any) -> Connection:
        """The gateway's configuration that fits ``engine_config``."""
        fields: dict[str, Any] = {
            "local_address": GATEWAY_OUTER,
            "remote_address": SITE_OUTER,
            "secret": SECRET,
            "local_subnets": list(GATEWAY_SUBNETS[: self.subnets]),
            "remote_subnets": list(SITE_SUBNETS[: self.subnets]),
            # Behind the router the site names itself by its private address.
            "remote_id": "%any" if self.kind == "nat" else None,
        }
        return Connection(**{**fields, **changes})

    def engine_config(self, node: str = "site", **changes: Any) -> dict[str, Any]:
        """The ``EngineConfig`` document for the engine at ``site`` (or at ``gateway`` in two-sites)."""
        at_site = node == "site"
        mine, theirs = SITE_SUBNETS[: self.subnets], GATEWAY_SUBNETS[: self.subnets]
        peer: dict[str, Any] = {
            "id": "gateway" if at_site else "site",
            "name": "Gateway" if at_site else "Site",
            "remote": GATEWAY_OUTER if at_site else SITE_OUTER,
            "psk": SECRET,
            "local_subnets": list(mine if at_site else theirs),
            "remote_subnets": list(theirs if at_site else mine),
            "start": "traffic",
        }
        return {"revision": 1, "dataplane": "userspace", "peers": [peer | changes]}

    def down(self) -> None:
        """Remove everything."""
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
