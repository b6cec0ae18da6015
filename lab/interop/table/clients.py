"""Programs other than strongSwan."""

from __future__ import annotations

from typing import Any

from lab.interop import clients, pki
from lab.interop.model import Credentials, Role, Scenario
from lab.topology import SITE_SUBNETS

_ANSWERING = (Role.RESPONDER,)
_VPNC: dict[str, Any] = {
    "remote": "any",
    "exchange": "aggressive",
    "legacy": True,
    "remote_identity": {"type": "key-id", "value": clients.GROUP},
    "local_subnets": ["0.0.0.0/0"],
    "remote_subnets": None,
    "mode_config": {"role": "server", "pool": "clients"},
    "xauth": {"role": "server"},
    "phase1": {"proposals": [{"encryption": "aes256", "hash": "sha1", "group": "modp1536"}]},
    "phase2": {"proposals": [{"encryption": "aes256", "integrity": "sha1"}], "pfs_group": None},
}
_TOLD = {"banner": clients.BANNER, "default_domain": clients.DOMAIN, "save_password": True}
_SPLIT = _VPNC | {"local_subnets": [SITE_SUBNETS[0]], "mode_config": _VPNC["mode_config"] | _TOLD}
_ENGINE = {
    "xauth": {"users": [{"name": clients.USER, "password": clients.PASSWORD}]},
    "pools": [{"name": "clients", "addresses": "10.72.9.0/24"}],
}


def _hybrid() -> Credentials:
    """We have a certificate; vpnc has a CA's, and a user's password."""
    made = pki.usual(authentication="hybrid", trusted_cas=[])
    return Credentials(made.ours, {}, ())


ROWS = (
    Scenario("ike-scan", "", clients.scanned, _ANSWERING),
    Scenario("ike-scan-aggressive", "", clients.scanned_aggressively, _ANSWERING),
    Scenario("vpnc", "", clients.vpnc_comes_in, _ANSWERING, ours=_VPNC, options={"engine": _ENGINE}),
    Scenario("vpnc-split", "rw-cert-unity", clients.vpnc_is_told, _ANSWERING, ours=_SPLIT, options={"engine": _ENGINE}),
    Scenario(
        "vpnc-hybrid",
        "xauth-id-rsa-hybrid",
        clients.vpnc_believes_a_certificate,
        _ANSWERING,
        ours=_VPNC,
        credentials=_hybrid,
        options={"engine": _ENGINE},
    ),
)
