"""The rigs of the matrix: one per topology, made when its first row is run and removed after its last."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lab.interop.rig import Rig


@pytest.fixture(scope="session")
def rig_of() -> Iterator[Callable[[str], Rig]]:
    """The rig of a topology. Only one is up at a time, as rows are sorted by topology."""
    held: dict[str, Rig] = {}

    def of(kind: str) -> Rig:
        if kind not in held:
            for other in list(held):
                held.pop(other).__exit__(None, None, None)
            held[kind] = Rig(kind).__enter__()
        return held[kind]

    yield of
    for rig in held.values():
        rig.__exit__(None, None, None)
