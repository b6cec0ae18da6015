"""Who may make the responder spend a Diffie-Hellman exchange before it has shown that it can receive."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

MAX_SOURCES = 4_096


@dataclass
class Bucket:
    """A token bucket: ``burst`` tokens at once, then ``rate`` a second."""

    rate: float
    burst: float
    level: float
    at: float

    def take(self, now: float) -> bool:
        """Take one token; False if there is none."""
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1:
            return False
        self.level -= 1
        return True


class Admission:
    """A bucket per source (IPv4 address or IPv6 /64) and one for all of them.

    Gateways whose addresses are configured share one of their own, so that strangers cannot take their turn.
    """

    def __init__(self, rate: float = 1.0, burst: float = 5.0, all_rate: float = 50.0, all_burst: float = 100.0) -> None:
        self._rate, self._burst = rate, burst
        self._all = Bucket(all_rate, all_burst, all_burst, 0.0)
        self._all_known = Bucket(all_rate, all_burst, all_burst, 0.0)
        self._sources: dict[str, Bucket] = {}

    def admit(self, host: str, now: float, known: bool = False) -> bool:
        """True if a negotiation from this host may cost something now; ``known`` if a peer is configured for it."""
        source = _source(host)
        bucket = self._sources.pop(source, None)
        if bucket is None:
            if len(self._sources) >= MAX_SOURCES:
                del self._sources[next(iter(self._sources))]
            bucket = Bucket(self._rate, self._burst, self._burst, now)
        # The one used last stands last, so that the one unused for longest is forgotten first.
        self._sources[source] = bucket
        return bucket.take(now) and (self._all_known if known else self._all).take(now)


def _source(host: str) -> str:
    address = ipaddress.ip_address(host)
    return host if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))
