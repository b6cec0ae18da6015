"""Taking secrets out of a document, twice: by the names of its fields, and by what the secrets are.

Fields that hold secrets are known. But a secret can also have been pasted into a comment or come back in an event, so
every text is looked through for the secrets that this organization keeps, and for what looks like a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

MARK = "(secret)"
MIN_SECRET = 6
_MIN_LINE = 16
_MAX_REMEMBERED = 50_000
_NAMES = re.compile(r"(^|_)(psk|secret|password|passphrase|private_key|token|sealed|\$secret)(_|$)")
_SHAPES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\bculvert_[A-Za-z0-9_-]{20,}"  # keys of the API
    r"|\bwhsec_[A-Za-z0-9+/=_-]{16,}"  # signing secrets of webhooks
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)",  # user and password in an address
    re.DOTALL,
)


class Scrubber:
    """Replaces secrets by ``MARK``; ``removed`` counts the places.

    :param secrets: known ones in clear. Of one with several lines, such as a private key, each long line is one, too.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        # Many secrets and much text: at each place of a text its next characters are looked up once.
        self._by_head: dict[str, list[str]] = {}
        for secret in sorted(set(_parts(secrets)), key=len, reverse=True):
            self._by_head.setdefault(secret[:MIN_SECRET], []).append(secret)
        self._seen: dict[str, str] = {}
        self.removed = 0

    def clean(self, value: Any, name: str = "") -> Any:
        """A JSON value without secrets. What is no secret stays as it is, and so does the value that was given."""
        if _NAMES.search(name) and value not in (None, "") and not isinstance(value, bool):
            self.removed += 1
            return MARK
        if isinstance(value, dict):
            if "$secret" in value:
                self.removed += 1
                return MARK
            return {self.text(str(key)): self.clean(inner, str(key)) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.clean(inner) for inner in value]
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        """A text without secrets."""
        if len(text) < MIN_SECRET:
            return text
        known = self._seen.get(text)
        if known is None:
            known = self._without_known(_SHAPES.sub(MARK, text))
            if len(self._seen) < _MAX_REMEMBERED:
                self._seen[text] = known
        self.removed += known != text
        return known

    def _without_known(self, text: str) -> str:
        kept, at, since = [], 0, 0
        last = len(text) - MIN_SECRET
        while at <= last:
            found = self._by_head.get(text[at : at + MIN_SECRET])
            match = next((secret for secret in found if text.startswith(secret, at)), None) if found else None
            if match is None:
                at += 1
                continue
            kept += [text[since:at], MARK]
            at = since = at + len(match)
        return "".join([*kept, text[since:]]) if kept else text


def _parts(secrets: Iterable[str]) -> Iterable[str]:
    for secret in secrets:
        lines = secret.splitlines()
        long = [line.strip() for line in lines if len(line.strip()) >= _MIN_LINE and "-----" not in line]
        for part in (secret.strip(), *(long if len(lines) > 1 else ())):
            if len(part) >= MIN_SECRET:
                yield part
        # What makes a webhook's address a secret is behind its host.
        scheme, _, rest = secret.strip().partition("://")
        path = rest.partition("/")[2]
        if scheme in ("http", "https") and len(path) >= _MIN_LINE:
            yield path
