"""Users of XAUTH: passwords are compared in constant time, and guessing locks out."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import StrEnum

from vpnengine.contract.remote_access import XauthPolicy
from vpnengine.crypto.secret import Secret

MAX_COUNTED = 4_096
SOURCE_FACTOR = 4  # several users may be behind one address


class Verdict(StrEnum):
    """What the look-up says."""

    GOOD = "good"
    WRONG = "wrong"
    LOCKED = "locked"


@dataclass
class _Count:
    failures: int = 0
    until: float = 0.0


class Users:
    """The users of one engine, with the failures of names and addresses."""

    def __init__(self) -> None:
        self._policy = XauthPolicy()
        self._passwords: dict[bytes, Secret] = {}
        self._counts: dict[str, _Count] = {}

    def configure(self, policy: XauthPolicy) -> None:
        """Take other users; who is locked out stays so."""
        self._policy = policy
        self._passwords = {u.name.encode(): Secret(u.password.get_secret_value().encode()) for u in policy.users}

    def knows(self, name: str) -> bool:
        """True if there is such a user."""
        return name.encode() in self._passwords

    def check(self, name: bytes, password: bytes, source: str, now: float) -> Verdict:
        """Is this the user's password? A trailing NUL, as old clients send it, is left off if it only then fits."""
        keys = (f"user {name.hex()}", f"source {source}")
        if any(count.until > now for key in keys if (count := self._counts.get(key)) is not None):
            return Verdict.LOCKED
        wanted = self._passwords.get(name) or self._passwords.get(name.removesuffix(b"\0"))
        # An unknown name takes as long as a known one.
        value = wanted.reveal() if wanted is not None else bytes(16)
        exact = hmac.compare_digest(value, password)
        shorn = hmac.compare_digest(value, password.removesuffix(b"\0"))
        if wanted is not None and (exact or shorn):
            for key in keys:
                self._counts.pop(key, None)
            return Verdict.GOOD
        for key, most in zip(keys, (self._policy.max_failures, self._policy.max_failures * SOURCE_FACTOR), strict=True):
            self._count(key, most, now)
        return Verdict.WRONG

    def _count(self, key: str, most: int, now: float) -> None:
        count = self._counts.pop(key, None) or _Count()
        if len(self._counts) >= MAX_COUNTED:
            del self._counts[next(iter(self._counts))]
        self._counts[key] = count
        count.failures += 1
        if count.failures >= most:
            count.failures, count.until = 0, now + self._policy.lockout_s
