"""What the engines have last said, peer by peer; read from Redis, where the agents put it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from redis import RedisError

from dashboard.core.redis import client, engine_key, peers_key


@dataclass(frozen=True)
class Seen:
    """The engine of one appliance, and those of its peers that were asked for, by id; None if nothing is known."""

    engine: dict[str, Any] | None
    peers: dict[str, dict[str, Any]] = field(default_factory=dict)


def seen(appliances: dict[str, list[str]]) -> dict[str, Seen]:
    """For each appliance (its uuid) the engine and the peers with these ids, in one round trip."""
    names = list(appliances)
    try:
        with client() as connection, connection.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.get(engine_key(name))
                if appliances[name]:
                    pipe.hmget(peers_key(name), appliances[name])
            answers = iter(pipe.execute())
    except (RedisError, OSError):
        return {name: Seen(None) for name in names}
    found = {}
    for name in names:
        engine = _parse(next(answers))
        rows = next(answers) if appliances[name] else ()
        known = zip(appliances[name], map(_parse, rows), strict=False)
        is_up = engine is not None and engine.get("engine") == "up"
        found[name] = Seen(engine, {ident: peer for ident, peer in known if peer} if is_up else {})
    return found


def every_peer(appliance: str) -> Seen:
    """The engine of an appliance with all its peers."""
    try:
        with client() as connection, connection.pipeline(transaction=False) as pipe:
            pipe.get(engine_key(appliance))
            pipe.hvals(peers_key(appliance))
            head, rows = pipe.execute()
    except (RedisError, OSError):
        return Seen(None)
    return Seen(_parse(head), {peer["id"]: peer for peer in _all(rows)})


def _all(rows: Iterable[bytes]) -> Iterable[dict[str, Any]]:
    return (json.loads(row) for row in rows)


def _parse(raw: bytes | None) -> dict[str, Any] | None:
    return json.loads(raw) if raw else None
