"""What a revision was compiled from: rows of other apps, which are kept with it so that it can be restored.

An app registers how its rows are taken and put back; one of them, how a site is published anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Source:
    """The rows of one app: ``take(site id)`` gives them as JSON without secrets, ``put(site id, rows)`` restores."""

    name: str
    take: Callable[[int], Any]
    put: Callable[[int, Any], None]


_sources: dict[str, Source] = {}
_republish: list[Callable[[int, int | None, str], None]] = []


def register(source: Source, republish: Callable[[int, int | None, str], None] | None = None) -> None:
    """Called once by each app; ``republish(site id, author id, comment)`` compiles and publishes a site."""
    _sources[source.name] = source
    if republish is not None:
        _republish[:] = [republish]


def take(site_id: int) -> dict[str, Any]:
    """The rows that a site's configuration is made of, by app."""
    return {name: source.take(site_id) for name, source in _sources.items()}


def put(site_id: int, rows: dict[str, Any]) -> None:
    """Restore rows. An app that the revision knew nothing of keeps its own."""
    for name, source in _sources.items():
        if name in rows:
            source.put(site_id, rows[name])


def republish(site_id: int, author_id: int | None, comment: str) -> None:
    """Publish a site from the rows that there are now.

    :raises Refused: if they make no valid configuration.
    """
    _republish[0](site_id, author_id, comment)
