"""The native data path's own tests."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from appliance.paths import ROOT


@pytest.mark.skipif(shutil.which("cargo") is None, reason="no Rust compiler is here")
@pytest.mark.timeout(960)  # a first build on a busy machine
def test_what_the_crate_says_of_itself() -> None:
    command = ["cargo", "test", "--quiet", "--locked", "--lib"]
    crate = ROOT / "vpnengine" / "dataplane" / "native"
    done = subprocess.run(command, cwd=crate, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "test result: ok" in done.stdout
