"""What goes with whatever is published during a request: a comment, and how long it may stay unconfirmed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

MAX_COMMENT = 200
CONFIRM_MINUTES = (2, 5, 10, 30)


@dataclass
class Note:
    """``comment`` replaces the words of the service; ``confirm_minutes`` 0 asks for no confirmation.

    ``published`` are the ids of the revisions that were made under it.
    """

    comment: str = ""
    confirm_minutes: int = 0
    published: list[int] = field(default_factory=list)


_note: ContextVar[Note | None] = ContextVar("note", default=None)


def present() -> Note:
    """The note that holds now; an empty one outside of ``noted``."""
    return _note.get() or Note()


@contextmanager
def noted(note: Note) -> Iterator[Note]:
    """Let a note hold for whatever is published inside."""
    token = _note.set(note)
    try:
        yield note
    finally:
        _note.reset(token)
