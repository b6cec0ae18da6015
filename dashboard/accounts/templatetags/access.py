"""What a role may do, in templates.

``{% if may.edit %}`` needs no tag. ``<button {% locked "edit" %}>`` is off for those who may not, and
says which role could.
"""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dashboard.accounts.access import Access
from dashboard.core import roles

register = template.Library()


@register.simple_tag(takes_context=True)
def may(context: Any, permission: str) -> bool:
    """Whether the present user holds a permission at the chosen site."""
    access = context.get("access") or Access()
    return bool(access.may(permission))


@register.simple_tag
def who_could(permission: str) -> str:
    """Which roles hold a permission, as a sentence."""
    return roles.who_could(roles.Permission(permission))


@register.simple_tag(takes_context=True)
def locked(context: Any, permission: str) -> SafeString | str:
    """The attributes of a control that the present user may not use; nothing if he may."""
    if may(context, permission):
        return ""
    return format_html('disabled title="{}"', who_could(permission))
