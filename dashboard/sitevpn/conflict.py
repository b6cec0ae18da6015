"""Two administrators, one peer: the second is told what the first has changed, and chooses field by field.

Values are compared as the form has them. What the form was opened with stands in the revision that was newest then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core import serializers
from django.http import QueryDict

from dashboard.publish import selectors as publishing
from dashboard.sitevpn.forms import PeerForm
from dashboard.sitevpn.models import Peer

TAKE = "take-"
THEIRS, MINE = "theirs", "mine"
# Of these the page never knows the value; their fingerprints tell that they are others.
SECRETS = {"secret": "secret_fingerprint", "private_key": "key_fingerprint", "xauth_password": "password_fingerprint"}
SKIPPED = {"edit", "unresolved_is_fine", *SECRETS}


@dataclass(frozen=True)
class Field:
    """One field that was changed by somebody else. ``both``: and by this user, to something else."""

    name: str
    label: str
    before: str
    theirs: str
    mine: str
    both: bool
    secret: bool = False


@dataclass(frozen=True)
class Conflict:
    """What happened to a peer since its form was opened. ``known``: what it was then could be found."""

    fields: list[Field]
    who: str
    when: datetime | None
    known: bool


def resolved(data: QueryDict, row: Peer) -> QueryDict:
    """What was posted, with the values of the others where that was chosen."""
    chosen = [key.removeprefix(TAKE) for key, value in data.items() if key.startswith(TAKE) and value == THEIRS]
    if not chosen or not row.pk:
        return data
    merged, present = data.copy(), PeerForm(instance=Peer.objects.get(pk=row.pk))
    for name in (name for name in chosen if name in present.fields and name not in SKIPPED):
        value = present[name].value()
        if value in (None, False):
            merged.pop(name, None)
        elif isinstance(value, list) and _is_multiple(present, name):
            merged.setlist(name, [str(one) for one in value])
        else:
            merged[name] = "on" if value is True else _text(present, name, value)
    return merged


def explain(form: PeerForm, expected_edit: int) -> Conflict:
    """Compare what the form was opened with, what is there now, and what was typed.

    From now on the form speaks of what is there now: saving it again is done knowingly.
    """
    present = Peer.objects.get(pk=form.instance.pk)
    base, who, when = _history(present, expected_edit)
    theirs, before = PeerForm(instance=present), PeerForm(instance=base) if base else None
    form.data = form.data.copy()
    form.data["edit"] = str(present.edit)
    fields = [found for name in form.fields if name not in SKIPPED and (found := _field(form, theirs, before, name))]
    if base:
        fields += [
            Field(name, str(form.fields[name].label), "", "", "", bool(form.data.get(name)), secret=True)
            for name, column in SECRETS.items()
            if getattr(base, column) != getattr(present, column)
        ]
    return Conflict(fields, who, when, base is not None)


def _field(form: PeerForm, theirs: PeerForm, before: PeerForm | None, name: str) -> Field | None:
    """None if nobody else has touched the field."""
    now, typed = _shown(theirs, name), _shown(form, name)
    was = _shown(before, name) if before else typed
    if (now == was and before) or now == typed:
        return None
    return Field(name, str(form.fields[name].label), was, now, typed, before is None or typed != was)


def _is_multiple(form: PeerForm, name: str) -> bool:
    return (
        hasattr(form.fields[name].widget, "allow_multiple_selected")
        and form.fields[name].widget.allow_multiple_selected
    )


def _text(form: PeerForm, name: str, value: Any) -> str:
    value = form.fields[name].prepare_value(value)
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _shown(form: PeerForm, name: str) -> str:
    """A field's value as a page shows it, the same for what is stored and for what was typed."""
    value = form[name].value()
    if value in (None, False, ""):
        return ""
    if value is True or value == "on":
        return "✓"
    text = _text(form, name, value).replace("\r\n", "\n").strip()
    choices = dict(getattr(form.fields[name], "choices", ()) or ())
    return str(choices.get(text, text))


def _history(present: Peer, expected_edit: int) -> tuple[Peer | None, str, datetime | None]:
    """The peer as it was at that edit, who has changed it since, and when last."""
    authors: list[str] = []
    when = None
    for head, fields in publishing.rows_back(present.site_id, "sitevpn", "Peer", present.pk):
        if fields["edit"] <= expected_edit:
            data = {"model": present._meta.label_lower, "pk": present.pk, "fields": _known(fields)}
            found = next(serializers.deserialize("python", [data])).object
            return (found if fields["edit"] == expected_edit else None), ", ".join(authors), when
        name = head.author_name
        authors = [*(one for one in authors if one != name), name]
        when = when or head.created
    return None, ", ".join(authors), when


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in Peer._meta.concrete_fields}
    return {name: value for name, value in fields.items() if name in names}
