"""The saved corpus, through every target; fuzzing itself is ``./culvert fuzz``."""

from __future__ import annotations

import pytest

from tests.fuzz.seeds import CORPUS, chains, exchanges, malformed
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_in_the_corpus_raises_or_grows(name: str) -> None:
    target = TARGETS[name]()
    files = sorted((CORPUS / name).iterdir())
    assert len(files) >= 3
    for path in files:
        target(path.read_bytes())


def test_messages_of_today_in_every_malformed_class() -> None:
    parse, receive = TARGETS["message"](), TARGETS["datagram"]()
    messages = exchanges()
    assert len(messages) > 10
    for data in [*messages, *(case for message in messages for case in malformed(message))]:
        parse(data)
        for chosen in (0, 1, 3):
            receive(bytes([chosen]) + data)


def test_authentic_chains_with_every_octet_changed() -> None:
    receive = TARGETS["authentic"]()
    for chain in chains():
        for index in range(len(chain)):
            for value in (0, 1, 0xFF):
                receive(chain[:index] + bytes([value]) + chain[index + 1 :])
