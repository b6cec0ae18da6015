"""The networks between the sites: a plain link, or one with address translators on it."""

from __future__ import annotations

from dataclasses import dataclass

from lab.net import Namespace, link
from lab.wire import LEFT, RIGHT, without_offload

SITE_OUTER, GATEWAY_OUTER = "192.0.2.1", "192.0.2.2"
SITE_OUTER6, GATEWAY_OUTER6 = "2001:db8::1", "2001:db8::2"
NAT_INNER, NAT_SECOND, NAT_ROUTER = "10.70.0.2", "10.70.0.3", "10.70.0.1"
FAR_INNER, FAR_ROUTER = "10.73.0.2", "10.73.0.1"


@dataclass(frozen=True)
class Outside:
    """How the gateways of a topology see each other. ``peer_of_*`` is what each of them has to dial."""

    roles: tuple[str, ...]
    site: str
    gateway: str
    peer_of_site: str
    peer_of_gateway: str

    @property
    def translated(self) -> bool:
        """True if the gateway sees the site under another address than the site's own."""
        return self.site != self.peer_of_gateway


OUTSIDES = {
    "direct": Outside((), SITE_OUTER, GATEWAY_OUTER, GATEWAY_OUTER, SITE_OUTER),
    "direct6": Outside((), SITE_OUTER6, GATEWAY_OUTER6, GATEWAY_OUTER6, SITE_OUTER6),
    "wire": Outside(("wire",), SITE_OUTER, GATEWAY_OUTER, GATEWAY_OUTER, SITE_OUTER),
    "nat": Outside(("router",), NAT_INNER, GATEWAY_OUTER, GATEWAY_OUTER, SITE_OUTER),
    "double-nat": Outside(("router", "far-router"), NAT_INNER, FAR_INNER, GATEWAY_OUTER, SITE_OUTER),
    "shared-nat": Outside(("second", "router"), NAT_INNER, GATEWAY_OUTER, GATEWAY_OUTER, SITE_OUTER),
}


def wire(kind: str, nodes: dict[str, Namespace]) -> None:
    """Make the links, addresses, routes and translators of ``kind``."""
    site, gateway = nodes["site"], nodes["gateway"]
    if "router" not in nodes:
        if "wire" in nodes:
            link(site, nodes["wire"], ("wan", LEFT))
            link(nodes["wire"], gateway, (RIGHT, "wan"))
            for node in (site, gateway):
                without_offload(node, "wan")
        else:
            link(site, gateway, ("wan", "wan"))
        site.address("wan", f"{SITE_OUTER}/24", f"{SITE_OUTER6}/64")
        gateway.address("wan", f"{GATEWAY_OUTER}/24", f"{GATEWAY_OUTER6}/64")
        return
    router = nodes["router"]
    _wire_inner(router, [node for node in (site, nodes.get("second")) if node is not None])
    masquerade(router)
    if kind != "double-nat":
        link(router, gateway, ("out", "wan"))
        router.address("out", f"{SITE_OUTER}/24")
        gateway.address("wan", f"{GATEWAY_OUTER}/24")
        return
    far = nodes["far-router"]
    link(router, far, ("out", "out"))
    link(far, gateway, ("in", "wan"))
    router.address("out", f"{SITE_OUTER}/24")
    far.address("out", f"{GATEWAY_OUTER}/24")
    far.address("in", f"{FAR_ROUTER}/24")
    gateway.address("wan", f"{FAR_INNER}/24")
    gateway.route("default", FAR_ROUTER)
    masquerade(far)
    forward_ike(router, NAT_INNER)
    forward_ike(far, FAR_INNER)


def _wire_inner(router: Namespace, sites: list[Namespace]) -> None:
    """The sites behind a router: on one bridge, as on one switch."""
    router.run("ip", "link", "add", "in", "type", "bridge")
    router.run("ip", "link", "set", "in", "up")
    router.address("in", f"{NAT_ROUTER}/24")
    for number, (site, address) in enumerate(zip(sites, (NAT_INNER, NAT_SECOND), strict=False)):
        link(site, router, ("wan", f"in{number}"))
        router.run("ip", "link", "set", f"in{number}", "master", "in")
        site.address("wan", f"{address}/24")
        site.route("default", NAT_ROUTER)


def masquerade(router: Namespace) -> None:
    """Translate what leaves by ``out`` to the router's own address."""
    for command in (
        "add table ip nat",
        "add chain ip nat post { type nat hook postrouting priority 100 ; }",
        "add chain ip nat pre { type nat hook prerouting priority -100 ; }",
        "add rule ip nat post oifname out masquerade",
    ):
        router.run("nft", command)


def forward_ike(router: Namespace, target: str) -> None:
    """Lead UDP 500 and 4500 from outside to a gateway behind the router."""
    router.run("nft", f"add rule ip nat pre iifname out udp dport {{ 500, 4500 }} dnat to {target}")


def rebind(router: Namespace, first_port: int) -> None:
    """Give every flow through a masquerading router another source port, as a router that lost its table does.

    A masquerading device that goes down takes the flows with it; new ones get ports from ``first_port`` on.
    """
    router.run("nft", "flush chain ip nat post")
    router.run("nft", f"add rule ip nat post oifname out ip protocol udp masquerade to :{first_port}-{first_port + 50}")
    router.run("ip", "link", "set", "out", "down")
    router.run("ip", "link", "set", "out", "up")
