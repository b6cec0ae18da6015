"""``./culvert bench``: measurements; each prints JSON with ``--json``."""

from __future__ import annotations

import argparse
import importlib
import json

from appliance.bench.stack import BenchError
from appliance.cli.main import fail
from lab.net import LabError

HELP = (
    "Measure: push (Save to the first packet), live (engine event to browser), ike (negotiations a second), "
    "scale (very many peers), log (frames of the Event Log with very many rows), "
    "web (each page on both databases with very much in them, and many watchers), esp (the data paths against others)."
)
KINDS = ("push", "live", "ike", "scale", "log", "esp", "web")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to measure."""
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    parser.add_argument("--runs", type=int, default=20, help="push: how many saves")
    parser.add_argument("--count", type=int, default=200, help="ike: negotiations of each pairing and round")
    parser.add_argument("--peers", type=int, default=10_000, help="scale: how many configured peers")
    parser.add_argument("--tunnels", type=int, default=2_000, help="scale: how many of them come up")
    parser.add_argument("--watchers", type=int, default=100, help="live: how many browsers")
    parser.add_argument("--seconds", type=int, default=20, help="live, log: how long")
    parser.add_argument("--rate", type=int, default=50, help="live, log: events a second")
    parser.add_argument("--quick", action="store_true", help="esp, web: less, in some minutes")
    parser.add_argument("--rounds", type=int, default=3, help="esp: how often each path is measured")
    parser.add_argument("--paths", metavar="LIST", help="esp: only these, such as native,libipsec")
    parser.add_argument("--save", metavar="FILE", help="esp: write what there is after each tunnel")
    parser.add_argument("--plot", metavar="FILE", help="esp: draw the figures as PNG")
    parser.add_argument("--state", metavar="DIR", help="web: where the databases are kept for the next run")
    parser.add_argument("--events", type=int, help="web: so many events instead of ten million")
    parser.add_argument("--rows", type=int, default=100_000, help="log: how many events it holds before")


def run(options: argparse.Namespace) -> int:
    """Measure and print."""
    try:
        result = importlib.import_module(f"appliance.bench.{options.kind}").measure(options)
    except (BenchError, LabError) as error:
        return fail(str(error))
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name}: {value}")
    return 0
