"""What the kernel tells of its own accord."""

from __future__ import annotations

from dataclasses import dataclass

from vpnengine.dataplane.xfrm import messages as m
from vpnengine.dataplane.xfrm import policies, structs
from vpnengine.dataplane.xfrm.netlink import Received
from vpnengine.dataplane.xfrm.policies import Key
from vpnengine.dataplane.xfrm.states import dumped
from vpnengine.dataplane.xfrm.structs import SaId
from vpnengine.esp.sa import Address

_ACQUIRED_POLICY = 96  # where the policy stands in xfrm_user_acquire
_HARD = structs.SA_SIZE


@dataclass(frozen=True)
class Acquired:
    """A packet matches this policy, and no state serves it."""

    key: Key


@dataclass(frozen=True)
class Expired:
    """A state has passed its soft limit, or its hard one and is gone."""

    identity: SaId
    hard: bool


@dataclass(frozen=True)
class Moved:
    """An authentic packet of ESP in UDP came from another address."""

    identity: SaId
    remote: Address


def parse(message: Received) -> Acquired | Expired | Moved | None:
    """Read an event; None if it is none of these."""
    body = message.body
    if message.kind == m.ACQUIRE and len(body) == 280:
        mark, if_id = policies.mark_and_if_id(message)
        return Acquired(Key(structs.unpack_flow(body[_ACQUIRED_POLICY:]), m.DIR_OUT, mark, if_id))
    if message.kind == m.EXPIRE and len(body) == 232:
        return Expired(dumped(message).identity, bool(body[_HARD]))
    if message.kind == m.MAPPING and len(body) == 64:
        identity = structs.unpack_sa_id(body)
        family = structs.family_of(identity.destination)
        return Moved(identity, Address(structs.host(body[44:60], family), int.from_bytes(body[62:64], "big")))
    return None
