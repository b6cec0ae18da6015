"""The same tests on a real PostgreSQL: each of this directory, run by a second pytest whose DATABASE_URL names it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.bench import postgres
from appliance.paths import ROOT

HERE = Path(__file__).parent


@pytest.mark.skipif(os.environ.get("DATABASE_URL", "").startswith("postgres"), reason="this is the second pytest")
@pytest.mark.timeout(600)
def test_everything_again_on_postgresql() -> None:
    with postgres.private() as url:
        command = [sys.executable, "-m", "pytest", str(HERE), "-q", "-x", "-p", "no:cacheprovider"]
        environment = {**os.environ, "DATABASE_URL": url}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6_000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    # Whoever adds a test gets it here as well; that none was collected would be noticed.
    assert passed and int(passed[1]) > 35, done.stdout[-2_000:]
