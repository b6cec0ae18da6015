"""Faults carry their blame in their type; the Event Log's "which side" comes from it."""

from __future__ import annotations

from vpnengine.contract.events import Difference, Side
from vpnengine.isakmp.errors import DecodeError


class Unproven(DecodeError):
    """A proof is wrong in a message that anybody may have sent; the negotiation goes on."""


class Fault(Exception):
    """A negotiation cannot go on.

    ``code`` is an event code, ``arguments`` fill its text, ``evidence`` is what was offered,
    accepted or observed, ``difference`` compares proposals, ``hint`` overrides the catalogue's
    advice with a more precise one.
    ``notify`` is the notify message type that tells the peer, if it may be told.
    """

    side = Side.UNKNOWN

    def __init__(
        self,
        code: str,
        *,
        hint: str | None = None,
        evidence: dict[str, str] | None = None,
        difference: Difference | None = None,
        notify: int | None = None,
        **arguments: object,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.hint = hint
        self.evidence = evidence or {}
        self.difference = difference
        self.notify = notify
        self.arguments = arguments


class PeerFault(Fault):
    """The peer refuses, or sends what it must not send."""

    side = Side.PEER


class LocalConfigFault(Fault):
    """This side refuses because of its own configuration."""

    side = Side.LOCAL


class PathFault(Fault):
    """Nothing comes back: the path, or the peer's reachability."""

    side = Side.PATH


class MismatchFault(Fault):
    """The two sides differ, and it cannot be known which one is right."""

    side = Side.UNKNOWN
