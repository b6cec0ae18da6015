"""``./culvert ctl``: drive a running engine."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance.cli import capture, ladder, stats
from appliance.cli.main import fail
from appliance.paths import state
from vpnengine.contract.catalogue import CATALOGUE
from vpnengine.contract.config import EngineConfig
from vpnengine.contract.problems import Refused
from vpnengine.daemon.client import ControlClient, EngineUnavailable

HELP = "Drive a running engine through its control socket."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options and verbs of the command."""
    parser.add_argument("--control", metavar="SOCKET", help="control socket (default: in the state directory)")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON for machines")
    common.add_argument("--control", metavar="SOCKET", default=argparse.SUPPRESS, help="control socket")

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=text, description=text, parents=[common])

    verb("apply", "Replace the configuration.").add_argument(
        "file", help="EngineConfig as JSON; - reads standard input"
    )
    verb("status", "Show peers, their two phases and SAs.")
    initiate = verb("initiate", "Bring a peer up.")
    initiate.add_argument("peer")
    initiate.add_argument("--selector", metavar="LOCAL,REMOTE", help="one pair of subnets only")
    initiate.add_argument("--wait", type=float, default=0, metavar="S", help="wait up to S seconds for the outcome")
    verb("terminate", "Delete a peer's SAs, telling the peer.").add_argument("peer")
    rekey = verb("rekey", "Replace the SAs of a peer now.")
    rekey.add_argument("peer")
    rekey.add_argument("--phase", type=int, choices=(1, 2), default=2)
    events = verb("events", "Print the event journal.")
    events.add_argument("--after", type=int, default=0, metavar="N", help="only events with numbers above N")
    events.add_argument("--follow", action="store_true", help="go on with what happens")
    trace = verb("trace", "Show what the last negotiations of a peer said, as a ladder.")
    trace.add_argument("peer")
    trace.add_argument("--negotiation", metavar="COOKIE", help="only the one with this initiator cookie")
    examine = verb("examine", "Find out why a tunnel that is up carries nothing.")
    examine.add_argument("peer")
    examine.add_argument("--target", default="", metavar="ADDRESS", help="an inner address behind the peer")
    captured = verb("capture", "Write the messages of a peer's last negotiations to a file (engine --keep-messages).")
    captured.add_argument("peer")
    captured.add_argument("--negotiation", metavar="COOKIE", help="only the one with this initiator cookie")
    captured.add_argument("--pcapng", metavar="FILE", required=True, help="file to write, readable by you alone")
    captured.add_argument("--with-secrets", action="store_true", help="also write the keys, into FILE.secrets/")
    counters = verb("stats", "Show counters: of each SA, of each reason for a drop, of IKE.")
    counters.add_argument("--watch", type=_seconds, metavar="S", help="again every S seconds, with rates")
    counters.add_argument("--count", type=int, metavar="N", help="with --watch: end after N times")
    verb("schema", "Print the JSON schema of EngineConfig.")
    verb("explain", "Explain an event code.").add_argument("code")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError("from 0.1 to 3600 seconds")
    return value


def run(options: argparse.Namespace) -> int:
    """Carry out one verb."""
    if options.verb == "schema":
        print(json.dumps(EngineConfig.model_json_schema(), indent=2))
        return 0
    if options.verb == "explain":
        return _explain(options)
    try:
        with ControlClient(options.control or state().control, 30 + getattr(options, "wait", 0)) as client:
            return _ask(client, options)
    except (EngineUnavailable, OSError) as error:
        return fail(str(error))
    except Refused as refused:
        for problem in refused.problems:
            print(f"{problem.field}: {problem.message}" if problem.field else problem.message, file=sys.stderr)
        return 1
    except ValueError as error:
        return fail(f"not JSON: {error}")


def _ask(client: ControlClient, options: argparse.Namespace) -> int:
    if options.verb == "events":
        return _events(client, options)
    if options.verb == "stats":
        stats.show(client, options.json, options.watch, options.count)
        return 0
    if options.verb == "capture":
        wanted = {"peer": options.peer, "negotiation": options.negotiation, "secrets": options.with_secrets}
        found = client.request("capture", **wanted)["negotiations"]
        return capture.write(Path(options.pcapng), found, options.with_secrets)
    if options.verb == "apply":
        text = sys.stdin.read() if options.file == "-" else Path(options.file).read_text()
        result = client.request("apply", config=json.loads(text))
    elif options.verb == "initiate":
        return _initiate(client, options)
    elif options.verb == "rekey":
        result = client.request("rekey", peer=options.peer, phase=options.phase)
    elif options.verb == "terminate":
        result = client.request("terminate", peer=options.peer)
    elif options.verb == "examine":
        result = client.request("examine", peer=options.peer, target=options.target)
    elif options.verb == "trace":
        result = client.request("trace", peer=options.peer, negotiation=options.negotiation)
    else:
        result = client.request(options.verb)
    if options.json:
        print(json.dumps(result))
    elif options.verb == "status":
        _print_status(result)
    elif options.verb == "examine":
        _print_examination(result)
    elif options.verb == "trace":
        print("\n".join(ladder.lines(options.peer, result["negotiations"])))
    else:
        _print_tree(result)
    return 0


def _initiate(client: ControlClient, options: argparse.Namespace) -> int:
    """Exit code 1 if the tunnel was waited for and is not up."""
    result = client.request("initiate", peer=options.peer, selector=options.selector, wait_s=options.wait)
    if options.json:
        print(json.dumps(result))
    elif not options.wait:
        print(f"{options.peer} is being brought up; ./culvert ctl events --follow shows how")
    elif result["state"] == "up":
        print(f"{options.peer} is up")
    elif result["state"] == "failed":
        failure = result["failure"]
        print(f"{failure['text']}\n{failure['side']}: {failure['hint']}", file=sys.stderr)
    else:
        print(f"{options.peer} is not up after {options.wait:g} s; ./culvert ctl events shows why", file=sys.stderr)
    return int(bool(options.wait) and result["state"] != "up")


def _events(client: ControlClient, options: argparse.Namespace) -> int:
    client.request("events", after=options.after, follow=options.follow)
    for event in client.lines():
        print(json.dumps(event) if options.json else _event_line(event), flush=options.follow)
    return 0


def _event_line(event: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(event["time"]).astimezone().isoformat(" ", "milliseconds")
    line = f"{event['number']:>7} {at} {event['severity']:<7} {event['peer'] or '-'}: {event['text']}"
    return f"{line}\n        {event['side']}: {event['hint']}" if event["hint"] else line


def _print_status(status: dict[str, Any]) -> None:
    print(f"revision {status['revision']}, data path {status['dataplane']}, up {status['uptime_s']:.0f} s")
    for peer in status["peers"]:
        phase1 = peer["phase1"]
        age = f" for {phase1['age_s']:.0f} s" if phase1["age_s"] is not None else ""
        print(f"\n{peer['name']} ({peer['remote']}): phase 1 {phase1['state']}{age}")
        for sa in peer["sas"]:
            print(f"  {sa['local']} <-> {sa['remote']}  {sa['state']}  in {sa['spi_in']} out {sa['spi_out']}")
            integrity = f"-{sa['integrity']}" if sa["integrity"] else ""
            print(
                f"    {sa['encryption']}{integrity}, {sa['bytes_in']} octets in, {sa['bytes_out']} out, "
                f"{sa['age_s']:.0f} s old"
            )
        if peer["last_failure"]:
            print(f"  last failure: {peer['last_failure']['text']}\n    {peer['last_failure']['hint']}")
    for condition in status["conditions"]:
        print(f"\n! {condition}")


def _print_examination(found: dict[str, Any]) -> None:
    for step in found["steps"]:
        print(f"{step['result']:<8} {step['title']}: {step['text']}")
        for line in step["evidence"]:
            print(f"         {line}")
    verdict = found["verdict"]
    print(f"\n{verdict['title']} ({verdict['side']}, {verdict['sure']}): {verdict['text']}")
    for name in ("here", "there"):
        if verdict[name]:
            print(f"  {name}: {verdict[name]}")


def _print_tree(value: Any, depth: int = 0) -> None:
    for name, item in value.items():
        if isinstance(item, dict):
            print(f"{'  ' * depth}{name}:")
            _print_tree(item, depth + 1)
        else:
            print(f"{'  ' * depth}{name}: {', '.join(map(str, item)) if isinstance(item, list) else item}")


def _explain(options: argparse.Namespace) -> int:
    entry = CATALOGUE.get(options.code)
    if entry is None:
        return fail(f"no event has the code {options.code}")
    fields = {"title": entry.title, "text": entry.text, "severity": entry.severity.value, "cause": entry.cause}
    fields |= {"here": entry.here, "there": entry.there, "side": entry.side.value}
    fields["confidence"] = entry.confidence.value if entry.confidence else ""
    if options.json:
        print(json.dumps({"code": entry.code, **fields}))
    else:
        _print_tree({name: text for name, text in fields.items() if text})
    return 0
