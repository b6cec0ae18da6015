"""The system's generator."""

from __future__ import annotations

import os


def system_random(count: int) -> bytes:
    """``count`` unpredictable octets."""
    return os.urandom(count)
