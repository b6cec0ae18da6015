"""Figures in words, as ``static/app/words.js`` has them."""

from __future__ import annotations

import datetime
import time

from django import template
from django.utils.translation import gettext as _

register = template.Library()


@register.filter
def age(seconds: float | None) -> str:
    """A duration, such as ``4 min 12 s``; a dash if there is none."""
    if seconds is None:
        return "–"
    left = max(0, round(seconds))
    if left < 60:
        return f"{left} s"
    if left < 3600:
        return f"{left // 60} min {left % 60} s"
    return f"{left // 3600} h {left % 3600 // 60} min"


@register.filter
def ago(at: float) -> str:
    """How long ago a time (s since 1970) was."""
    seconds = max(0.0, time.time() - at)
    if seconds < 5:
        return _("just now")
    if seconds < 90:
        return _("%d s ago") % round(seconds)
    if seconds < 5400:
        return _("%d min ago") % round(seconds / 60)
    return _("%d h ago") % round(seconds / 3600) if seconds < 172_800 else _("%d days ago") % round(seconds / 86_400)


@register.filter
def moment(at: float) -> datetime.datetime:
    """A time in seconds since 1970 as a date that templates can print."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC)


@register.filter
def octets(count: float) -> str:
    """A size, such as ``12.3 kB``."""
    if count < 1000:
        return f"{count:.0f} B"
    for limit, unit in ((1e6, "kB"), (1e9, "MB"), (1e12, "GB")):
        if count < limit:
            return f"{count / limit * 1000:.1f} {unit}"
    return f"{count / 1e12:.2f} TB"
