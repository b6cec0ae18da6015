"""``./culvert lab``: topologies in network namespaces for trying things by hand."""

from __future__ import annotations

import argparse
import json
import os
import sys

from appliance.cli.main import fail
from lab.net import LabError, Namespace, destroy, existing
from lab.topology import NAMES, Topology, running

HELP = "Named topologies in network namespaces: two sites, a NAT router, a strongSwan gateway."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Verbs of the command."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="what there is, and what is up")
    for verb, text in (
        ("up", "make a topology"),
        ("down", "remove it"),
        ("config", "print the engine's configuration"),
    ):
        sub = verbs.add_parser(verb, help=text)
        sub.add_argument("name", choices=NAMES)
        sub.add_argument("--subnets", type=int, choices=(1, 2), default=1, help="subnets on each side")
    run_it = verbs.add_parser("exec", help="run a command on a node: exec NAME NODE -- COMMAND")
    run_it.add_argument("name", choices=NAMES)
    run_it.add_argument("node")
    run_it.add_argument("command", nargs=argparse.REMAINDER)


def run(options: argparse.Namespace) -> int:
    """Carry out one verb."""
    if os.geteuid():
        return fail("network namespaces need root; run it with sudo")
    try:
        return _run(options)
    except LabError as error:
        return fail(str(error))


def _run(options: argparse.Namespace) -> int:
    if options.verb == "list":
        up = running()
        for name in NAMES:
            nodes = " ".join(n.rpartition("-")[2] for n in existing(name)) if name in up else ""
            print(f"{name:<10} {'up: ' + nodes if nodes else 'down'}")
        return 0
    if options.verb == "exec":
        command = options.command[1:] if options.command[:1] == ["--"] else options.command
        namespace = Namespace(options.name, options.node)
        if namespace.name not in existing(options.name):
            return fail(f"{options.name} has no node {options.node} that is up; ./culvert lab list shows them")
        if not command:
            print("culvert lab exec: give a command after --", file=sys.stderr)
            return 2
        os.execvp("ip", [*namespace.exec_prefix(), *command])  # noqa: S606 - becoming that command is the point
    topology = Topology(options.name, subnets=options.subnets)
    if options.verb == "config":
        print(json.dumps(topology.engine_config(), indent=2))
    elif options.verb == "down":
        destroy(options.name)
    else:
        topology.up()
        print(f"{options.name} is up: {' '.join(topology.nodes)}. The site's engine is yours to start:")
        print(f"  ./culvert lab config {options.name} >site.json")
        print(f"  ./culvert lab exec {options.name} site -- ./culvert engine --config site.json --events -")
        print(f"  ./culvert lab exec {options.name} lan -- ping 10.72.1.10")
    return 0
