"""Where things are: the clone, and the state directory of one appliance."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class State:
    """The layout of a state directory (docs/design.md, Processes)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.engine = directory / "engine"
        self.control = self.engine / "control.sock"
        self.applied = self.engine / "applied.json"
        self.journal = self.engine / "journal"
        self.redis = directory / "redis.sock"
        self.database = directory / "db.sqlite3"
        self.keyring = directory / "keyring.json"
        self.secret_key = directory / "secret_key"
        self.appliance_id = directory / "appliance_id"
        self.log = directory / "log"

    def make(self) -> None:
        """:raises OSError: if it cannot be made."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.engine.mkdir(mode=0o700, exist_ok=True)
        self.log.mkdir(mode=0o700, exist_ok=True)


def state() -> State:
    """The state directory of this environment: CULVERT_STATE, else ``var`` in the clone."""
    return State(Path(os.environ.get("CULVERT_STATE") or ROOT / "var").resolve())
