"""Small private files that several processes may want to make at the same moment."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def create_once(path: Path, make: Callable[[], bytes]) -> bytes:
    """The contents of ``path``; the first process to ask makes them, mode 600.

    The file appears whole or not at all: one that was opened before it was written
    would give a second process an empty key.
    """
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    temporary = _write(path, make())
    try:
        # Unlike rename, link fails if somebody else was first; then theirs is the one.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
    return path.read_bytes()


def replace(path: Path, content: bytes) -> None:
    """Put new contents in place of the old in one step, mode 600."""
    os.replace(_write(path, content), path)


def _write(path: Path, content: bytes) -> Path:
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)
