"""A text area with a value a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError


class LinesField(forms.CharField):
    """A text area whose lines are read one by one.

    ``read`` makes a value of a line or raises ValueError with a sentence; ``show`` makes the line again.
    """

    widget = forms.Textarea

    def __init__(
        self, *, read: Callable[[str], Any], show: Callable[[Any], str], most: int, rows: int = 2, **kwargs: Any
    ) -> None:
        super().__init__(required=False, widget=forms.Textarea(attrs={"rows": rows, "spellcheck": "false"}), **kwargs)
        self.read, self.show, self.most = read, show, most

    def prepare_value(self, value: Any) -> Any:
        """A list becomes lines."""
        return "\n".join(map(self.show, value)) if isinstance(value, list) else value

    def clean(self, value: str) -> list[Any]:  # type: ignore[override]
        """Text becomes a list.

        :raises ValidationError: naming each line that is wrong.
        """
        text = super().clean(value)
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if len(lines) > self.most:
            raise ValidationError(f"{len(lines)} lines are too many; at most {self.most} are allowed.")
        found, errors = [], []
        for number, line in lines:
            try:
                found.append(self.read(line))
            except ValueError as error:
                errors.append(f"Line {number}: {str(error).rstrip('.')}.")
        if errors:
            raise ValidationError(errors)
        return found
