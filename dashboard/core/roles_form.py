"""The part of a form that gives roles: to an administrator, or to an API key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.core.roles import ORGANIZATION_LABELS, SITE_LABELS, OrganizationRole

BLANK_ROWS = 2


class RolesForm(forms.Form):
    """The role in the organization and, per row, the role at one site. ``sites`` are those of the organization."""

    role = forms.ChoiceField(
        label=gettext_lazy("Role"),
        choices=[(role.value, label) for role, label in ORGANIZATION_LABELS.items()],
        initial=OrganizationRole.READ_ONLY.value,
        help_text=gettext_lazy("“Only the sites below” gives nothing but what the rows below say."),
    )

    def __init__(
        self, *args: Any, sites: Iterable[Any], present: Mapping[int, str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", "—"), *((str(site.pk), site.name) for site in sites)]
        roles = [("", _("No role")), *((role.value, label) for role, label in SITE_LABELS.items())]
        rows = list((present or {}).items())
        count = len(rows) + BLANK_ROWS
        if self.is_bound:
            count = sum(1 for name in self.data if name.startswith("site-"))
        self._count = min(count, len(choices) + BLANK_ROWS)
        for number in range(self._count):
            site, role = rows[number] if number < len(rows) else ("", "")
            self.fields[f"site-{number}"] = forms.ChoiceField(
                label=_("Site"), choices=choices, required=False, initial=str(site)
            )
            self.fields[f"site-role-{number}"] = forms.ChoiceField(
                label=_("Role at this site"), choices=roles, required=False, initial=role
            )

    def rows(self) -> list[tuple[Any, Any]]:
        """The fields of each row, for the page."""
        return [(self[f"site-{number}"], self[f"site-role-{number}"]) for number in range(self._count)]

    def own_fields(self) -> list[Any]:
        """All other fields, for the page."""
        return [field for field in self if not field.name.startswith("site-")]

    def clean(self) -> dict[str, Any]:
        """Collect the rows into ``sites``: site id to role."""
        data: dict[str, Any] = super().clean() or {}
        sites: dict[int, str] = {}
        for number in range(self._count):
            site, role = data.get(f"site-{number}"), data.get(f"site-role-{number}")
            if site and role:
                if int(site) in sites:
                    self.add_error(f"site-{number}", ValidationError(_("This site has a row already.")))
                sites[int(site)] = role
            elif role:
                self.add_error(f"site-{number}", ValidationError(_("Choose the site that this role is for.")))
        if data.get("role") == OrganizationRole.NONE and not sites and not self.errors:
            self.add_error("role", ValidationError(_("Choose a role in the organization, or at one site at least.")))
        data["sites"] = sites
        return data
