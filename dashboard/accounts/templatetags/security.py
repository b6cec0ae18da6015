"""Tags of the security page."""

from __future__ import annotations

import json
from typing import Any

from django import template

from dashboard.accounts import selectors

register = template.Library()


@register.simple_tag(takes_context=True)
def own_sign_ins(context: Any) -> list[Any]:
    """The last sign-ins of whoever looks."""
    return selectors.own_sign_ins(context["request"].user.pk)


@register.filter
def as_json(value: Any) -> str:
    """For a data attribute; the template escapes it."""
    return json.dumps(value)
