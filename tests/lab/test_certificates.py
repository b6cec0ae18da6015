"""Our engine and a real strongSwan that prove themselves with certificates, in both roles."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from lab.topology import FAR_HOST, GATEWAY_OUTER, LAN_HOST, SITE_OUTER
from tests import pki
from tests.lab.rig import Rig, eventually
from tests.pki import DAY, Identity

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]
MAKE = Callable[..., Rig]
GATEWAY_DN = "C=DE, O=Example, CN=gateway"


def issue(common: str, issuer: Identity | None = None, **changes: Any) -> Identity:
    """A certificate that holds now, by the real clock."""
    now = time.time()
    return pki.issue(common, issuer, **{"start": now - DAY, "end": now + DAY, **changes})


class Certified:
    """A root, an intermediate CA, and a certificate for each end; and both ends' configurations."""

    def __init__(self, kind: str, *, site: dict[str, Any] | None = None, gateway: dict[str, Any] | None = None) -> None:
        self.method = "rsa" if kind.startswith("rsa") else "ecdsa"
        self.root = issue("Root", ca=True)
        self.middle = issue("Middle", self.root, ca=True)
        for_site = {"kind": kind, "names": (SITE_OUTER, "site.example.com"), **(site or {})}
        for_gateway = {"kind": kind, "names": (GATEWAY_OUTER, "gateway.example.com"), **(gateway or {})}
        self.site = issue("site", for_site.pop("issuer", self.middle), **for_site)
        self.gateway = issue("gateway", for_gateway.pop("issuer", self.middle), **for_gateway)

    def ours(self, **changes: Any) -> dict[str, Any]:
        """Fields of the engine's peer."""
        return {
            "authentication": self.method,
            "psk": None,
            "certificate": self.site.chain_pem,
            "private_key": self.site.key_pem,
            "trusted_cas": [self.root.pem],
            **changes,
        }

    def theirs(self, crl: str = "", root: Identity | None = None, **changes: Any) -> dict[str, Any]:
        """Fields of the gateway's connection."""
        files = {
            "x509/gateway.pem": self.gateway.pem,
            "private/gateway.pem": self.gateway.key_pem,
            "x509ca/root.pem": (root or self.root).pem,
        }
        if self.gateway.issuer is self.middle:
            files["x509/middle.pem"] = self.middle.pem
        if crl:
            files["x509crl/middle.pem"] = crl
        return {"auth": "pubkey", "certificate": "gateway.pem", "credentials": files, **changes}


@pytest.mark.parametrize("initiator", ["ours", "strongswan"])
@pytest.mark.parametrize("kind", ["rsa-2048", "rsa-3072", "ecdsa-256", "ecdsa-384", "ecdsa-521"])
def test_tunnels_over_an_intermediate_ca(rig: MAKE, kind: str, initiator: str) -> None:
    certified = Certified(kind)
    topology, engine = rig(gateway=certified.theirs(), **certified.ours(start="responder"))
    if initiator == "ours":
        engine.ctl("initiate", "Gateway", "--wait", "20")
    else:
        topology.strongswan.initiate("net1-1")
    assert eventually(lambda: bool(topology.strongswan.children()))
    assert topology.host.ping(LAN_HOST, count=3).lost == 0
    assert topology.lan.ping(FAR_HOST, count=3).lost == 0
    phase1 = engine.status()["phase1"]
    assert phase1["authentication"] == ("rsa-signature" if certified.method == "rsa" else kind)
    assert phase1["remote_certificate"] == GATEWAY_DN
    assert phase1["role"] == ("initiator" if initiator == "ours" else "responder")
