"""Why a byte string is no ISAKMP message."""

from __future__ import annotations


class DecodeError(ValueError):
    """The bytes break a rule of the wire format.

    ``offset`` counts octets from the start of what was parsed, ``payload`` names the
    payload, ``rule`` the rule that is broken. The octets themselves are not repeated.
    """

    def __init__(self, offset: int, payload: str, rule: str) -> None:
        super().__init__(f"{payload} at octet {offset}: {rule}")
        self.offset = offset
        self.payload = payload
        self.rule = rule
