"""Lifetimes in seconds and kilobytes: offered, agreed, and told (RFC 2407 sections 4.5 and 4.6.3.1).

The lower of the two sides' values counts. A responder that uses less than it was asked for says so with
RESPONDER-LIFETIME; the attributes of the offer itself go back unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

from vpnengine.contract.policies import Phase1Policy, Phase2Policy
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.reader import Reader
from vpnengine.isakmp.sa_payload import Attribute, Transform

MIN_S = 60
MIN_KB = 1_000
FOREVER = 0xFFFFFFFF
KILOBYTE = 1_000  # strongSwan reads it so; whoever reads 1024 has a longer life, and the shorter one is kept
# (life type, life duration) of the two phases.
PHASE1 = (c.IkeAttribute.LIFE_TYPE, c.IkeAttribute.LIFE_DURATION)
PHASE2 = (c.EspAttribute.LIFE_TYPE, c.EspAttribute.LIFE_DURATION)


@dataclass(frozen=True)
class Life:
    """How long an SA lives; None is no limit, or not said. ``kilobytes`` are 1000 octets."""

    seconds: int | None = None
    kilobytes: int | None = None

    def __str__(self) -> str:
        parts = [f"{self.seconds} s"] if self.seconds else []
        parts += [f"{self.kilobytes} kB"] if self.kilobytes else []
        return ", ".join(parts) or "none"

    @property
    def octets(self) -> int | None:
        """The limit in octets."""
        return self.kilobytes * KILOBYTE if self.kilobytes else None


NOTHING = Life()


def of_policy(policy: Phase1Policy | Phase2Policy) -> Life:
    """What is configured."""
    return Life(policy.lifetime_s, policy.lifetime_kb)


def of_transform(transform: Transform, attributes: tuple[int, int]) -> Life:
    """What a transform says; a duration of zero says nothing."""
    found = transform.lifetimes(*attributes)
    seconds, kilobytes = (min(found.get(kind, 0), FOREVER) for kind in (c.LIFE_SECONDS, c.LIFE_KILOBYTES))
    return Life(seconds or None, kilobytes or None)


def lower(ours: Life, theirs: Life) -> Life:
    """What counts: the lower value of each kind. An absurdly short one of the peer's is raised to a usable one."""
    return Life(_lower(ours.seconds, theirs.seconds, MIN_S), _lower(ours.kilobytes, theirs.kilobytes, MIN_KB))


def _lower(ours: int | None, theirs: int | None, least: int) -> int | None:
    if theirs is None:
        return ours
    if ours is None:
        return max(theirs, least)
    return min(ours, max(theirs, least))


def to_tell(used: Life, offered: Life) -> Life:
    """The kinds of which the peer asked for more than is used; empty if there are none."""
    return Life(_shortened(used.seconds, offered.seconds), _shortened(used.kilobytes, offered.kilobytes))


def _shortened(used: int | None, offered: int | None) -> int | None:
    return used if used is not None and (offered is None or used < offered) else None


def attributes(life: Life, numbers: tuple[int, int]) -> list[Attribute]:
    """A life as data attributes, each duration after its type."""
    rows = [(c.LIFE_SECONDS, life.seconds), (c.LIFE_KILOBYTES, life.kilobytes)]
    found: list[Attribute] = []
    for kind, value in rows:
        if value:
            found += [Attribute(numbers[0], kind), Attribute(numbers[1], value)]
    return found


def notification_data(life: Life, protocol: int) -> bytes:
    """The data of RESPONDER-LIFETIME.

    RFC 2407 section 4.6.3.1 does not say whose numbers the attributes have when it is about phase 1. vpnc, written
    for Cisco's concentrators, takes phase 1's and ends itself at any others.
    """
    numbers = PHASE1 if protocol == c.Protocol.ISAKMP else PHASE2
    return b"".join(attribute.build() for attribute in attributes(life, numbers))


def of_notification(data: bytes, protocol: int) -> Life:
    """What RESPONDER-LIFETIME says; nothing if it cannot be read.

    About phase 1, either phase's numbers of the attributes are understood.
    """
    try:
        transform = Transform.parse(Reader(b"\1\1\0\0" + data, "lifetime"))
    except DecodeError:
        return NOTHING
    life = of_transform(transform, PHASE2)
    if life == NOTHING and protocol == c.Protocol.ISAKMP:
        life = of_transform(transform, PHASE1)
    return life
