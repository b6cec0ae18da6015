"""``./culvert test``: checks and tests."""

from __future__ import annotations

import argparse
import subprocess
import sys

from appliance.cli import check
from appliance.paths import ROOT

HELP = "Run the checks and all tests; with arguments, pytest alone with these."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything goes to pytest."""
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments for pytest")


def run(options: argparse.Namespace) -> int:
    """The exit code of the first failure."""
    if not options.arguments and check.run(options):
        return 1
    return subprocess.run([sys.executable, "-m", "pytest", *options.arguments], cwd=ROOT, check=False).returncode
