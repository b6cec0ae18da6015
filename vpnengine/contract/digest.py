"""A short name for what a configuration says, to tell whether an engine runs the document that somebody meant."""

from __future__ import annotations

import hashlib

from vpnengine.contract.config import EngineConfig


def config_digest(config: EngineConfig) -> str:
    """SHA-256 in hex over everything but secrets: of those it only says that they are there.

    Peer by peer, so that thousands of them never keep other threads of the process waiting for long.
    """
    digest = hashlib.sha256(config.model_dump_json(exclude={"peers"}).encode())
    for peer in config.peers:
        digest.update(peer.model_dump_json().encode())
    return digest.hexdigest()
