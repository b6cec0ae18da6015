"""What of the log one wants to see: read from an address, asked of the database, compared with a live event.

One class does all three, so that a live event is shown if and only if a later query would find it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from vpnengine.contract.events import Severity

MOST_VALUES = 100
LONGEST = 200
SEVERITIES = tuple(severity.value for severity in Severity)
_CODE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*\.?")
_NEGOTIATION = re.compile(r"[A-Za-z0-9:_.-]{1,32}")
_AGO = re.compile(r"-(\d{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
# Year 1 to 9999 in seconds since 1970: what can be written as a date.
_FIRST_TIME, _LAST_TIME = -62_135_596_800.0, 253_402_300_799.0


class FilterError(Exception):
    """A filter that means nothing: the name of the field and the rule that it breaks."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field, self.rule = field, rule


@dataclass(frozen=True)
class LogFilter:
    """Empty fields ask for nothing. Types are codes or their beginnings at a dot, ``since`` is included, ``until`` not.

    Sites, appliances and peers are told by their UUIDs. Which appliances stand at a site, and which of them may be seen
    at all, is not the filter's business: whoever asks brings the ``places`` (``selectors.places``).
    """

    severities: frozenset[str] = frozenset()
    types: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    peers: frozenset[str] = frozenset()
    sites: frozenset[str] = frozenset()
    appliances: frozenset[str] = frozenset()
    negotiation: str = ""
    text: str = ""
    since: float | None = None
    until: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it lets everything through."""
        return self == LogFilter()

    def matches(self, event: Mapping[str, Any], places: Collection[str] | None = None) -> bool:
        """Whether a live event passes; ``places`` are the appliances that are asked for, None: all."""
        code, peer = str(event["code"]), event.get("peer_id") or ""
        return (
            (not self.severities or event["severity"] in self.severities)
            and (not self.peers or peer in self.peers)
            and (not self.negotiation or event.get("negotiation") == self.negotiation)
            and (not self.types or begins(code, self.types))
            and not (self.excluded and begins(code, self.excluded))
            and (self.since is None or event["time"] >= self.since)
            and (self.until is None or event["time"] < self.until)
            and (places is None or event.get("appliance") in places)
            and (not self.text or self.text in searched(event))
        )


def begins(code: str, beginnings: Iterable[str]) -> bool:
    """Whether a code is one of these, or lies below one: ``ike.phase1`` stands for ``ike.phase1.established``."""
    return any(code == item or code.startswith(item if item.endswith(".") else f"{item}.") for item in beginnings)


def searched(event: Mapping[str, Any]) -> str:
    """What is looked through for a text. Both databases, and ``matches``, compare it as it stands here."""
    # A NUL is no text for PostgreSQL.
    return f"{event['text']}\n{event.get('peer') or ''}".lower().replace("\x00", "\ufffd")


def parse(query: Mapping[str, list[str]], now: float | None = None) -> LogFilter:
    """The filter of an address: each field may stand several times, or list its values with commas.

    :param query: field → its values as in ``parse_qs`` or ``QueryDict.lists``; other fields are not looked at.
    :param now: seconds since 1970 that times such as ``-24h`` count back from.
    :raises FilterError: naming the field and the rule.
    """
    now = time.time() if now is None else now
    since, until = (_time(query, name, now) for name in ("from", "to"))
    if since is not None and until is not None and since >= until:
        raise FilterError("to", _("The end of the time range must be later than its beginning."))
    return LogFilter(
        severities=frozenset(_each(query, "severity", _severity)),
        types=tuple(sorted({*_each(query, "type", _code), *_each(query, "code", _code)})),
        excluded=tuple(sorted(set(_each(query, "not", _code)))),
        peers=frozenset(_each(query, "peer", _peer)),
        sites=frozenset(_each(query, "site", _uuid)),
        appliances=frozenset(_each(query, "appliance", _uuid)),
        negotiation=_single(query, "negotiation", _negotiation),
        text=_single(query, "q", _text),
        since=since,
        until=until,
    )


def moment(text: str, field: str, now: float) -> float:
    """Seconds since 1970 of an ISO date and time (UTC unless it says another zone), or of ``-15m``, ``-24h``, ``-7d``.

    :raises FilterError: if it is none.
    """
    rule = _("Enter a date and time such as 2026-11-25T07:00Z, or how long ago, such as -15m, -24h or -7d.")
    if ago := _AGO.fullmatch(text):
        return now - int(ago[1]) * _SECONDS[ago[2]]
    try:
        value = datetime.fromisoformat(text)
        found = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise FilterError(field, rule) from None
    if not _FIRST_TIME <= found <= _LAST_TIME:
        raise FilterError(field, rule)
    return found


def number(query: Mapping[str, list[str]], field: str) -> int | None:
    """A sequence number. :raises FilterError: if it is none."""
    values = [value for value in query.get(field, []) if value]
    if not values:
        return None
    if len(values) > 1 or not re.fullmatch(r"[0-9]{1,12}", values[0]):
        raise FilterError(field, _("This is a sequence number: digits only, and one of them."))
    return int(values[0])


def _time(query: Mapping[str, list[str]], field: str, now: float) -> float | None:
    text = _single(query, field, lambda _, value: value.strip())
    return moment(text, field, now) if text else None


def _each(query: Mapping[str, list[str]], field: str, rule: Callable[[str, str], Any]) -> list[Any]:
    values = [part.strip() for value in query.get(field, []) for part in value.split(",")]
    values = [value for value in values if value]
    if len(values) > MOST_VALUES:
        raise FilterError(field, _("There may be at most %(count)d values.") % {"count": MOST_VALUES})
    return [rule(field, value) for value in values]


def _single(query: Mapping[str, list[str]], field: str, rule: Callable[[str, str], str]) -> str:
    values = {value for value in query.get(field, []) if value}
    if len(values) > 1:
        raise FilterError(field, _("This may be given once only."))
    return rule(field, values.pop()) if values else ""


def _severity(field: str, value: str) -> str:
    if value not in SEVERITIES:
        raise FilterError(field, _("A severity is one of: %(names)s.") % {"names": ", ".join(SEVERITIES)})
    return value


def _code(field: str, value: str) -> str:
    if len(value) > 60 or not _CODE.fullmatch(value):
        raise FilterError(field, _("An event type is a code such as ike.phase1.established, or its beginning."))
    return value.rstrip(".")


def _uuid(field: str, value: str) -> str:
    try:
        return str(UUID(value))
    except ValueError:
        raise FilterError(field, _("This is an identifier of 32 hexadecimal digits.")) from None


def _peer(field: str, value: str) -> str:
    if len(value) > 64 or not value.isprintable():
        raise FilterError(field, _("A peer's identifier has at most 64 characters."))
    return value


def _negotiation(field: str, value: str) -> str:
    if not _NEGOTIATION.fullmatch(value):
        raise FilterError(field, _("A negotiation has at most 32 letters and digits."))
    return value


def _text(field: str, value: str) -> str:
    if len(value) > LONGEST:
        raise FilterError(field, _("A text to look for has at most %(count)d characters.") % {"count": LONGEST})
    if not value.isprintable():
        raise FilterError(field, _("A text to look for has printable characters only."))
    return value.lower()
