"""The form of an organization's settings."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.core.zones import zones
from dashboard.fleet.models import Organization

MIN_ROWS = 1_000
MAX_DAYS = 3_650


class OrganizationForm(forms.Form):
    """Name, time zone, and how long events are kept. Empty limits are those of the system."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    time_zone = forms.ChoiceField(
        label=gettext_lazy("Time zone"),
        help_text=gettext_lazy("Of every time on these pages, except at sites that have their own."),
    )
    event_days = forms.IntegerField(label=gettext_lazy("Days of events"), required=False)
    event_rows = forms.IntegerField(label=gettext_lazy("Number of events"), required=False)

    def __init__(self, organization: Organization, data: Any = None) -> None:
        initial = {name: getattr(organization, name) for name in ("name", "event_days", "event_rows")}
        super().__init__(data, initial=initial | {"time_zone": organization.time_zone or "UTC"})
        self.fields["time_zone"].choices = [(name, name.replace("_", " ")) for name in zones()]
        days, rows = self.bounds["event_days"][1], self.bounds["event_rows"][1]
        self.fields["event_days"].help_text = (
            _("1 to %(most)d days; older events go. Empty: %(usual)s.")
            % {"most": days, "usual": _("as long as there is room for their number")}
            if not settings.CULVERT_EVENT_DAYS
            else _("1 to %(most)d days; this system keeps none longer. Empty: %(most)d.") % {"most": days}
        )
        self.fields["event_rows"].help_text = _(
            "%(least)d to %(most)d; the oldest go first. Empty: %(most)d, the most that this system keeps."
        ) % {"least": self.bounds["event_rows"][0], "most": rows}

    @property
    def bounds(self) -> dict[str, tuple[int, int]]:
        """Field → least and most; the system's own limits are the most."""
        most = settings.CULVERT_EVENT_ROWS
        return {
            "event_days": (1, settings.CULVERT_EVENT_DAYS or MAX_DAYS),
            "event_rows": (min(MIN_ROWS, most), most),
        }

    def _within(self, name: str) -> int | None:
        value: int | None = self.cleaned_data[name]
        least, most = self.bounds[name]
        if value is not None and not least <= value <= most:
            raise ValidationError(
                _("Enter a number from %(least)d to %(most)d, or nothing.") % {"least": least, "most": most}
            )
        return value

    def clean_event_days(self) -> int | None:
        """Within the bounds."""
        return self._within("event_days")

    def clean_event_rows(self) -> int | None:
        """Likewise."""
        return self._within("event_rows")
