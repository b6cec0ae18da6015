"""Rows of peers that prove themselves with certificates, for tests in memory."""

from __future__ import annotations

from typing import Any

from tests import pki
from tests.ikev1.pair import LEFT, RIGHT, Network, document, mirrored, peer_row
from tests.pki import issue
from vpnengine.ikev1.interface import InitiatePeer

ROOT = issue("Root", ca=True)
MIDDLE = issue("Middle", ROOT, ca=True)
# Each end has its address and a host name in its certificate.
LEFT_END = issue("left", MIDDLE, names=(LEFT, "left.example.com", "admin@left.example.com"))
RIGHT_END = issue("right", MIDDLE, names=(RIGHT, "right.example.com", "admin@right.example.com"))


def certified(identity: pki.Identity, method: str = "rsa", **changes: Any) -> dict[str, Any]:
    """What a row needs to prove ``identity`` and to believe whom ROOT has certified."""
    row = {
        "authentication": method,
        "psk": None,
        "certificate": identity.chain_pem,
        "private_key": identity.key_pem,
        "trusted_cas": [ROOT.pem],
    }
    return row | changes


def joined(
    left: pki.Identity = LEFT_END,
    right: pki.Identity = RIGHT_END,
    *,
    method: str = "rsa",
    left_row: dict[str, Any] | None = None,
    right_row: dict[str, Any] | None = None,
    **named: Any,
) -> Network:
    """Two ends that know each other's CA; ``left_row`` and ``right_row`` change one end's configuration."""
    row = peer_row()
    return Network(
        document(row | certified(left, method) | (left_row or {})),
        document(mirrored(row) | certified(right, method) | (right_row or {})),
        **named,
    )


def started(network: Network, seconds: float = 60) -> Network:
    """Let the left end begin, and run until the tunnel is there or time is over."""
    network.command(network.left, InitiatePeer("right"))
    network.run(seconds, lambda: network.pairs_agree(1))
    return network


def failed(network: Network, seconds: float = 90, initiator: str = "left") -> Network:
    """Let one end begin, and see that no tunnel comes of it."""
    node, peer = (network.left, "right") if initiator == "left" else (network.right, "left")
    network.command(node, InitiatePeer(peer))
    network.run(seconds)
    assert not network.left.outbound and not network.right.outbound
    return network
