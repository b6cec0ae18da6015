"""What a row reads out of the peer's log."""

from __future__ import annotations

import pytest

from lab.interop import messages
from lab.interop.model import Role

LOG = """
[ENC] parsed ID_PROT request 0 [ SA V V ]
[ENC] generating ID_PROT response 0 [ SA V ]
[ENC] parsed ID_PROT request 0 [ KE No NAT-D NAT-D ]
[ENC] generating ID_PROT response 0 [ KE No NAT-D NAT-D ]
[ENC] parsed ID_PROT request 0 [ ID HASH ]
[ENC] generating ID_PROT response 0 [ ID HASH ]
[ENC] parsed QUICK_MODE request 7 [ HASH SA No ID ID ]
"""


def patterns(role: Role, *exchanges: messages.Exchanges) -> list[str]:
    return [message.pattern(role) for exchange in exchanges for message in exchange]


def test_an_exchange_is_found_in_its_order() -> None:
    assert messages.missing(LOG, patterns(Role.INITIATOR, messages.main())) is None
    backwards = "\n".join(reversed(LOG.splitlines()))
    assert messages.missing(backwards, patterns(Role.INITIATOR, messages.main())) is not None


@pytest.mark.parametrize(
    ("role", "exchange"),
    [
        (Role.RESPONDER, messages.main()),
        (Role.INITIATOR, messages.quick()),
        (Role.INITIATOR, messages.aggressive()),
        (Role.INITIATOR, messages.login(messages.WE)),
    ],
)
def test_what_is_not_there_is_named(role: Role, exchange: messages.Exchanges) -> None:
    lost = messages.missing(LOG, patterns(role, exchange))
    assert lost in patterns(role, exchange)


def test_who_sends_does_not_depend_on_who_begins_if_it_is_we_or_they() -> None:
    asked = messages.login(messages.WE)[0]
    assert asked.pattern(Role.INITIATOR) == asked.pattern(Role.RESPONDER)
    assert asked.pattern(Role.INITIATOR).startswith("parsed TRANSACTION request")
