"""Whatever is sealed in the database, so that a new key can be given to all of it.

An app that keeps ciphertexts of ``keyring`` registers a ``Holder`` when it is ready; ``manage.py
rotatekeys`` goes through all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from dashboard.core import keyring


class Sealed(NamedTuple):
    """One ciphertext: where it stands (the holder's business), and to whom it is bound."""

    place: Any
    ciphertext: str
    owner: str


class Holder(Protocol):
    """A table with ciphertexts."""

    def sealed(self) -> Iterator[Sealed]:
        """All of them."""

    def replace(self, place: Any, old: str, new: str) -> None:
        """Put a new ciphertext of the same secret in place, unless another one has come there meanwhile."""


_holders: list[Holder] = []


def register(holder: Holder) -> None:
    """Let the rotation know of a table."""
    _holders.append(holder)


class Outcome(NamedTuple):
    """What a rotation did: how many were sealed anew, which cannot be opened, and which keys are still used."""

    renewed: int
    lost: list[str]
    in_use: set[str]


def renew_all() -> Outcome:
    """Seal everything with the newest key that is not yet."""
    renewed, lost, in_use = 0, [], set()
    for holder in _holders:
        for place, ciphertext, owner in holder.sealed():
            if not keyring.is_current(ciphertext):
                try:
                    new = keyring.seal(keyring.reveal(ciphertext, owner), owner)
                except keyring.KeyringError as error:
                    lost.append(f"{owner}: {error}")
                    in_use.add(keyring.name_of(ciphertext))
                    continue
                holder.replace(place, ciphertext, new)
                renewed += 1
    for holder in _holders:
        in_use |= {keyring.name_of(row.ciphertext) for row in holder.sealed()}
    return Outcome(renewed, lost, in_use)
