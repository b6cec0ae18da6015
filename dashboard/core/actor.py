"""Who acts at present, and from where: set per request, read by the change log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """``via`` is ``page``, ``api`` or ``command``; ``name`` an e-mail address or the name of an API key."""

    user_id: int | None = None
    name: str = "Culvert"
    address: str | None = None
    via: str = "command"


_CULVERT = Actor()
_present: ContextVar[Actor] = ContextVar("actor", default=_CULVERT)


def present() -> Actor:
    """Who acts now; Culvert itself outside of a request."""
    return _present.get()


def become(actor: Actor) -> None:
    """From here to the end of the enclosing ``acting``, it is this one: an API key is known only then."""
    _present.set(actor)


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Everything inside is done by ``actor``."""
    token = _present.set(actor)
    try:
        yield
    finally:
        _present.reset(token)
