"""Thousands of policies of the kernel change, and the event loop goes on meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from appliance.paths import ROOT

pytestmark = pytest.mark.lab
PEERS = 2000
LONGEST_MS = 50.0


@pytest.mark.timeout(240)
def test_thousands_of_policies_are_set_and_removed_beside_the_loop() -> None:
    command = ["unshare", "--net", sys.executable, "-m", "tests.xfrm.many_policies", str(PEERS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=220, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    found, turns = answer["found"], answer["turns"]
    assert found["all"] == 3 * PEERS and found["routes"] == PEERS and found["blocked"] and found["half"]
    assert found["conditions"] == [] and "203.0.113.0/24" in found["left"] and "src 10.1" not in found["left"]
    assert max(figures["longest_ms"] for figures in turns.values()) < LONGEST_MS, turns
    assert turns["set"]["messages"] == 3 * PEERS and turns["set"]["turns"] > PEERS / 8
    # One row is one row: its outbound policy alone is another.
    assert turns["change one"]["messages"] == 1, turns
    assert turns["half"]["messages"] == 3 * PEERS / 2
