"""``./culvert fuzz``: one target under atheris, from the saved corpus on."""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

from appliance.cli.main import fail
from appliance.paths import ROOT

HELP = "Fuzz a parser or the engine with atheris; what it finds new is written to a directory of your own."
TARGETS = ("message", "datagram", "authentic", "esp", "control")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What, how often, and where to."""
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--runs", type=int, default=1_000_000, help="executions (default 1,000,000)")
    parser.add_argument("--found", type=Path, help="directory for new inputs (default var/fuzz/TARGET)")


def run(options: argparse.Namespace) -> int:
    """libFuzzer's exit code; 0 if nothing was found."""
    if importlib.util.find_spec("atheris") is None:
        return fail(
            "atheris has no package for this Python; use Python 3.11 to 3.13, or run the corpus: ./culvert test"
        )
    found = options.found or ROOT / "var" / "fuzz" / options.target
    found.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.run", options.target, str(found)]
    command += [str(ROOT / "tests" / "fuzz" / "corpus" / options.target)]
    command += [f"-runs={options.runs}", "-max_len=2048", "-timeout=2", "-rss_limit_mb=1024", "-print_final_stats=1"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode
