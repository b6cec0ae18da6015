"""Published known answers, as the package cryptography_vectors carries them: blocks of ``NAME = value``."""

from __future__ import annotations

from collections.abc import Iterator

import cryptography_vectors


def blocks(path: str) -> Iterator[dict[str, str]]:
    """Each block of a vector file; settings in brackets are in every block that follows, names in lower case."""
    settings: dict[str, str] = {}
    block: dict[str, str] = {}
    with cryptography_vectors.open_vector_file(path, "r") as file:
        for line in (*file, ""):
            line = line.strip()
            if line.startswith("#"):
                continue
            if not line:
                if block:
                    yield {**settings, **block}
                block = {}
                continue
            name, _, value = line.strip("[]").partition("=")
            target = settings if line.startswith("[") else block
            target[name.strip().lower()] = value.strip()
