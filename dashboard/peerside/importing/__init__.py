"""Reading the other gateway's configuration into a peer of ours."""

from __future__ import annotations

from dashboard.peerside.importing.found import Found, Imported
from dashboard.peerside.importing.read import MAX_TEXT, Unreadable, read

__all__ = ["MAX_TEXT", "Found", "Imported", "Unreadable", "read"]
