"""Refusals that name the field and the rule."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError


class Problem(BaseModel):
    """One reason why a document was refused.

    ``field`` is a dotted path into the document (``peers.0.remote_subnets``),
    ``rule`` a stable identifier, ``message`` a sentence that says what to do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str
    rule: str
    message: str


class Refused(ValueError):
    """A document or request is refused; ``problems`` says why, field by field."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{p.field}: {p.message}" if p.field else p.message for p in problems))
        self.problems = problems


def problems_of(error: ValidationError) -> list[Problem]:
    """Translate pydantic's findings without ever repeating the rejected value.

    The value is left out because it may be a pre-shared secret.
    """
    found = []
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        message = item["msg"].removeprefix("Value error, ")
        found.append(Problem(field=".".join(map(str, item["loc"])), rule=item["type"], message=message))
    return found
