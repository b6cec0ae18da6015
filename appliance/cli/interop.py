"""``./culvert interop``: our engine against other people's, in every way a tunnel can be configured."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter

from appliance.cli.main import fail
from lab.interop.model import Outcome, Role
from lab.interop.runner import rows, run_rows
from lab.interop.table import SCENARIOS
from lab.net import LabError

HELP = "Run the interoperability matrix against real peers in network namespaces (docs/interop.md)."
_ROW = "{name:<34} {role:<10} {peer:<17} {result:<5} {seconds:>6}  {reason}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--only", metavar="PATTERN", help="rows whose name or upstream scenario matches or contains it")
    parser.add_argument("--role", choices=[role.value for role in Role], help="rows in which our engine has this role")
    parser.add_argument("--json", action="store_true", help="print one JSON document for machines, at the end")
    parser.add_argument("--list", action="store_true", help="list the rows without running them")


def run(options: argparse.Namespace) -> int:
    """0 if no row fails, 1 if one does, 2 if no row is meant."""
    wanted = rows(SCENARIOS, options.only, options.role)
    if not wanted:
        print(f"culvert interop: no row matches “{options.only}”; --list shows them", file=sys.stderr)
        return 2
    if options.list:
        for scenario, role in wanted:
            print(f"{scenario.name:<34} {role.value:<10} {scenario.kin:<24} {scenario.awaits}".rstrip())
        return 0
    if os.geteuid():
        return fail("network namespaces need root; run it with sudo")
    if not options.json:
        print(_ROW.format(name="scenario", role="our role", peer="peer", result="", seconds="s", reason="reason"))
    outcomes: list[Outcome] = []
    try:
        for outcome in run_rows(wanted):
            outcomes.append(outcome)
            if not options.json:
                seconds = f"{outcome.seconds:.2f}"
                print(_ROW.format(**outcome.document() | {"seconds": seconds}).rstrip(), flush=True)
    except LabError as error:
        return fail(str(error))
    counts = Counter(outcome.result for outcome in outcomes)
    if options.json:
        print(json.dumps({"scenarios": [outcome.document() for outcome in outcomes]}, indent=1))
    else:
        took = sum(outcome.seconds for outcome in outcomes)
        print(f"\n{counts['pass']} passed, {counts['fail']} failed, {counts['skip']} skipped in {took:.0f} s")
    return 1 if counts["fail"] else 0
