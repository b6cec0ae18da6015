"""``./culvert check``: style, types, import rules, file sizes."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys

from appliance.cli import house
from appliance.paths import ROOT

HELP = "Check style, types, import rules and file sizes."
CRATE = ROOT / "vpnengine" / "dataplane" / "native"
_RUST = {
    "rustfmt": ["fmt", "--check"],
    "clippy": ["clippy", "--quiet", "--locked", "--all-targets", "--features=extension-module", "--", "-Dwarnings"],
}
_COMMANDS = {
    "ruff": ["-m", "ruff", "check", "--quiet", "."],
    "format": ["-m", "ruff", "format", "--quiet", "--check", "."],
    "mypy": ["-m", "mypy", "--no-error-summary"],
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No options."""


def run(options: argparse.Namespace) -> int:
    """0 if everything is in order."""
    failed = False
    for name, command in _COMMANDS.items():
        done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
        failed |= _say(name, (done.stdout + done.stderr).strip() if done.returncode else "")
    done = subprocess.run(["shellcheck", "culvert"], cwd=ROOT, capture_output=True, text=True, check=False)
    failed |= _say("shellcheck", done.stdout.strip() if done.returncode else "")
    for name, command in _RUST.items():
        failed |= _rust(name, command)
    failed |= _say("imports", "\n".join(house.import_breaches(ROOT)))
    failed |= _say("sizes", "\n".join(house.large_files(ROOT)))
    return int(failed)


def _rust(name: str, command: list[str]) -> bool:
    """True if it finds something. A host without the tool, which Debian packages apart, cannot say."""
    cargo = shutil.which("cargo")
    if cargo is None or subprocess.run([cargo, command[0], "--version"], capture_output=True, check=False).returncode:
        print(f"{name:<10} is not installed")
        return False
    done = subprocess.run([cargo, *command], cwd=CRATE, capture_output=True, text=True, check=False)
    return _say(name, (done.stdout + done.stderr).strip() if done.returncode else "")


def _say(name: str, findings: str) -> bool:
    print(f"{name:<10} {'ok' if not findings else 'FAILED'}")
    if findings:
        print(findings)
    return bool(findings)
