"""Time zones: which there are, and the one that a page shows its times in."""

from __future__ import annotations

import functools
import zoneinfo
from typing import Any

UTC = "UTC"


@functools.cache
def zones() -> list[str]:
    """The time zones that people choose from: UTC first, then by continent and city."""
    return [
        UTC,
        *sorted(name for name in zoneinfo.available_timezones() if "/" in name and not name.startswith("Etc/")),
    ]


def zone_of(organization: Any, site: Any) -> str:
    """The time zone of a site, or else of its organization, or else UTC; one that is unknown here is UTC."""
    for place in (site, organization):
        name = place.time_zone if place else ""
        if name and name in zoneinfo.available_timezones():
            return str(name)
    return UTC
