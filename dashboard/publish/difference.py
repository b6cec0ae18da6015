"""Two configuration documents side by side: which fields differ, in words, without any secret."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from pydantic import ValidationError

from dashboard.publish.labels import label
from vpnengine.contract.config import PeerConfig

MAX_CHANGES = 200
NAMES = 3
SameSecret = Callable[[int, int], bool]
Row = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """One field of one or more subjects, such as peers, that differs. Of a secret only that it is another."""

    subject: str
    field: str
    before: str
    after: str


@dataclass(frozen=True)
class PeerRows:
    """A peer that is not the same in both documents: as it was and as it will be, None where it is not there."""

    id: str
    name: str
    before: PeerConfig | None
    after: PeerConfig | None


@dataclass(frozen=True)
class Difference:
    """``changes`` are at most ``MAX_CHANGES``, ``more`` how many were left out; ``same`` counts untouched peers."""

    changes: list[Change] = field(default_factory=list)
    more: int = 0
    peers: list[PeerRows] = field(default_factory=list)
    same: int = 0

    @property
    def is_empty(self) -> bool:
        """True if the documents say the same."""
        return not self.changes


def between(before: Row, after: Row, same_secret: SameSecret) -> Difference:
    """What differs from one document to another. ``same_secret`` tells whether two versions are one secret."""
    old, new = _by_id(before), _by_id(after)
    found: list[tuple[str, str, str, str]] = []
    peers = []
    for peer_id in [*new, *(i for i in old if i not in new)]:
        one, other = old.get(peer_id), new.get(peer_id)
        if one == other:
            continue
        rows = _peer_changes(one, other, same_secret)
        if rows is not None:
            peers.append(rows[0])
            found += rows[1]
    found += _user_changes(before, after, same_secret)
    found += _pool_changes(before, after)
    grouped = _grouped(found)
    touched = {rows.id for rows in peers}
    return Difference(
        changes=grouped[:MAX_CHANGES],
        more=max(0, len(grouped) - MAX_CHANGES),
        peers=peers,
        same=sum(1 for peer_id in new if peer_id not in touched),
    )


def _by_id(document: Row) -> dict[str, Row]:
    return {row["id"]: row for row in document.get("peers", [])}


def _peer_changes(
    one: Row | None, other: Row | None, same_secret: SameSecret
) -> tuple[PeerRows, list[tuple[str, str, str, str]]] | None:
    """None if the two rows mean the same although they are written differently."""
    row = other or one or {}
    subject = _("Peer “%(name)s”") % {"name": row["name"]}
    known = _same_versions(one, other, same_secret)
    before, after = _config(one, known), _config(other, known)
    rows = PeerRows(row["id"], row["name"], before, after)
    if one is None or other is None:
        return rows, [(subject, "", *((_("not there"), _("added")) if one is None else (_("there"), _("removed"))))]
    pairs = _flat_pairs(_plain(before, one), _plain(after, other))
    found = [(subject, label(path), _words(path, old), _words(path, new)) for path, old, new in pairs]
    changed = [
        path
        for path, version in _secrets(other)
        if dict(_secrets(one)).get(path) not in (version, None)
        and known.get(version, version) != known.get(dict(_secrets(one))[path], dict(_secrets(one))[path])
    ]
    found += [(subject, label(path), _("(secret)"), _("(another secret)")) for path in changed]
    return (rows, found) if found else None


def _secrets(part: Any, path: str = "") -> Iterator[tuple[str, int]]:
    """Where a row refers to secrets: (dotted path, version)."""
    if isinstance(part, dict):
        if "$secret" in part:
            yield path, part["$secret"]
            return
        for name, value in part.items():
            yield from _secrets(value, f"{path}.{name}" if path else name)


def _same_versions(one: Row | None, other: Row | None, same_secret: SameSecret) -> dict[int, int]:
    """A later version → the earlier one that is the same secret."""
    old, new = dict(_secrets(one or {})), dict(_secrets(other or {}))
    pairs = ((old[path], version) for path, version in new.items() if path in old and old[path] != version)
    return {
        version: before for before, version in pairs if None not in (before, version) and same_secret(before, version)
    }


def _config(row: Row | None, known: dict[int, int]) -> PeerConfig | None:
    """A row as the engine reads it, with a stand-in for each secret; None if this version cannot read it any more."""
    if row is None:
        return None
    try:
        return PeerConfig.model_validate(_stand_in(row, known))
    except ValidationError:
        return None


def _stand_in(part: Any, known: dict[int, int], name: str = "") -> Any:
    if isinstance(part, dict):
        if "$secret" in part:
            text = f"version {known.get(part['$secret'], part['$secret'] or 0):020}"
            return f"-----BEGIN PRIVATE KEY----- {text}" if name == "private_key" else text
        return {key: _stand_in(value, known, key) for key, value in part.items()}
    return [_stand_in(value, known, name) for value in part] if isinstance(part, list) else part


def _plain(config: PeerConfig | None, row: Row) -> Row:
    """With every default filled in, so that what is only written differently is no difference."""
    return config.model_dump(mode="json") if config else row


def _flat_pairs(before: Row, after: Row, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        where = f"{path}.{name}" if path else name
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _flat_pairs(old, new, where)
        else:
            yield where, old, new


def _words(path: str, value: Any) -> str:
    """A value as a page shows it."""
    if value is None or value == [] or value == "":
        return _("none")
    if isinstance(value, bool):
        return _("on") if value else _("off")
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(path, inner)}" for key, inner in value.items() if inner is not None)
    if isinstance(value, list):
        return ", ".join(_item(inner) for inner in value)
    return _item(value)


def _item(value: Any) -> str:
    if isinstance(value, dict):
        parts = (
            str(inner) for key, inner in value.items() if inner not in (None, 0) and (key, inner) != ("protocol", "esp")
        )
        return "-".join(parts)
    text = str(value)
    if text.startswith("-----BEGIN"):
        return _("SHA-256 %(digest)s…") % {"digest": hashlib.sha256(text.strip().encode()).hexdigest()[:16]}
    return text


def _user_changes(before: Row, after: Row, same_secret: SameSecret) -> list[tuple[str, str, str, str]]:
    old, new = ({row["name"]: row for row in doc.get("xauth", {}).get("users", [])} for doc in (before, after))
    found = []
    for name in dict.fromkeys((*old, *new)):
        subject = _("VPN user “%(name)s”") % {"name": name}
        if name not in old or name not in new:
            found.append((subject, "", *((_("not there"), _("added")) if name in new else (_("there"), _("removed")))))
            continue
        one, other = old[name]["password"]["$secret"], new[name]["password"]["$secret"]
        if one != other and not same_secret(one, other):
            found.append((subject, _("Password"), _("(secret)"), _("(another secret)")))
    return found


def _pool_changes(before: Row, after: Row) -> list[tuple[str, str, str, str]]:
    old, new = ({row["name"]: row for row in doc.get("pools", [])} for doc in (before, after))
    names = {row["id"]: row["name"] for doc in (before, after) for row in doc.get("peers", [])}
    found = []
    for name in (name for name in new if name in old and old[name] != new[name]):
        subject = _("Peer “%(name)s”") % {"name": names.get(name, name)}
        for path, one, other in _flat_pairs(old[name], new[name]):
            found.append((subject, label(f"pools.{path}"), _words(path, one), _words(path, other)))
    return found


def _grouped(found: list[tuple[str, str, str, str]]) -> list[Change]:
    """The same change of several subjects is said once."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for subject, what, before, after in found:
        key = (what, before, after) if what else (subject, before, after)
        groups.setdefault(key, []).append(subject)
    return [
        Change(_subjects(subjects), "" if what in subjects else what, before, after)
        for (what, before, after), subjects in groups.items()
    ]


def _subjects(subjects: list[str]) -> str:
    if len(subjects) <= NAMES:
        return ", ".join(subjects)
    more = len(subjects) - NAMES
    rest = ngettext("and %(more)s more", "and %(more)s more", more) % {"more": more}
    return f"{', '.join(subjects[:NAMES])} {rest}"
