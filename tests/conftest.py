"""Shared by all tests: a state directory that is nobody's."""

from __future__ import annotations

import os
import tempfile

# Before Django's settings are read: they make a key in the state directory.
os.environ["CULVERT_STATE"] = tempfile.mkdtemp(prefix="culvert-tests-")
