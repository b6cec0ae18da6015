"""Times as pages show them: in the time zone of the site or organization, with UTC in the title."""

from __future__ import annotations

import datetime

from django import template
from django.utils import timezone
from django.utils.html import format_html

register = template.Library()
FORMATS = {
    "second": "%Y-%m-%d %H:%M:%S",
    "minute": "%Y-%m-%d %H:%M",
    "clock": "%H:%M:%S",
    "day": "%Y-%m-%d",
}


@register.simple_tag
def when(at: datetime.datetime | float | None, precision: str = "second") -> str:
    """A ``<time>`` element of a moment (aware, or seconds since 1970); ``precision`` is a key of ``FORMATS``.

    The zone is named by its letters, or its distance to UTC where it has none.
    """
    if at is None or at == "":
        return ""
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC) if isinstance(at, int | float) else at
    there = timezone.localtime(moment)
    utc = moment.astimezone(datetime.UTC)
    zone = "" if precision == "day" else f" {name_of(there)}"
    return format_html(
        '<time datetime="{}" title="{} UTC">{}{}</time>',
        utc.isoformat(timespec="seconds"),
        utc.strftime(FORMATS["second"]),
        there.strftime(FORMATS[precision]),
        zone,
    )


def name_of(moment: datetime.datetime) -> str:
    """``CET``; of a zone without letters ``UTC+05:45``."""
    name = moment.tzname() or ""
    return f"UTC{name[:3]}{':' + name[3:] if len(name) > 3 else ''}" if name[:1] in "+-" else name
