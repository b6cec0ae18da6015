"""Facts of the host that decide whether packets reach a tunnel. Nothing is changed."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND_S = 15.0
WAIT_S = "4"  # a router says after three seconds that a host does not answer it (RFC 4861, section 10)
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


async def output(*command: str, seconds: float = COMMAND_S) -> tuple[int, str]:
    """Exit code and all output of a command; 127 if there is no such command, 124 if it does not end."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror}"
    try:
        async with asyncio.timeout(seconds):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return 124, ""
    return process.returncode or 0, said.decode(errors="replace")


async def _json(*command: str) -> Any:
    code, text = await output(*command)
    try:
        return json.loads(text) if code == 0 and text.strip() else []
    except ValueError:
        return []


@dataclass(frozen=True)
class Connected:
    """An address of this host with the network that it is in."""

    device: str
    address: IpAddress
    network: IpNetwork


async def connected() -> list[Connected]:
    """Every address of this host."""
    found = []
    for row in await _json("ip", "-j", "address", "show", "up"):
        for info in row.get("addr_info", ()):
            if "local" in info:
                interface = ipaddress.ip_interface(f"{info['local']}/{info['prefixlen']}")
                found.append(Connected(row["ifname"], interface.ip, interface.network))
    return found


@dataclass(frozen=True)
class Route:
    """Where a packet goes: ``device`` is empty, and ``text`` says why, if it goes nowhere."""

    device: str
    gateway: str
    source: str
    text: str


async def route(target: str, source: str = "") -> Route:
    """The route to an address."""
    code, text = await output("ip", "-j", "route", "get", target, *(("from", source) if source else ()))
    try:
        row = json.loads(text)[0]
    except (ValueError, IndexError, KeyError):
        return Route("", "", "", text.strip().splitlines()[0] if text.strip() else f"no route to {target}")
    if code or row.get("type") in ("blackhole", "unreachable", "prohibit"):
        return Route("", "", "", f"{row.get('type', 'no')} route to {target}")
    words = [f"to {target}", *([f"via {row['gateway']}"] if "gateway" in row else []), f"dev {row.get('dev', '?')}"]
    return Route(row.get("dev", ""), row.get("gateway", ""), row.get("prefsrc", ""), " ".join(words))


async def tunnel_devices() -> set[str]:
    """The TUN devices of this host."""
    code, text = await output("ip", "-o", "tuntap", "show")
    return {line.split(":")[0] for line in text.splitlines() if ": tun" in line} if code == 0 else set()


def forwards(version: int) -> bool | None:
    """Whether the kernel forwards packets; None if it does not say."""
    name = "ipv4/ip_forward" if version == 4 else "ipv6/conf/all/forwarding"
    try:
        return Path(f"/proc/sys/net/{name}").read_text().strip() != "0"
    except OSError:
        return None


@dataclass(frozen=True)
class Rule:
    """A rule of the firewall, or the policy of a chain, that throws packets away; ``hook`` is where it is asked."""

    hook: str
    text: str
    packets: int | None
    handle: str


async def refusals(source: str, target: str) -> list[Rule]:
    """The rules of nftables (and of iptables-nft) that may throw packets between two addresses away."""
    listed = await _json("nft", "-j", "list", "ruleset")
    rows = listed.get("nftables", []) if isinstance(listed, dict) else []
    chains = {
        (chain["family"], chain["table"], chain["name"]): chain
        for chain in (row["chain"] for row in rows if "chain" in row)
    }
    ends = [ipaddress.ip_address(text) for text in (source, target) if text]
    return [*_policies(chains), *_rules(rows, chains, ends)]


def _policies(chains: dict[tuple[str, str, str], dict[str, Any]]) -> Iterator[Rule]:
    for (family, table, name), chain in chains.items():
        if chain.get("policy") == "drop" and chain.get("hook") in ("input", "output", "forward"):
            text = f"the policy of chain {family} {table} {name} is to drop"
            yield Rule(chain["hook"], text, None, f"{family}/{table}/{name}/policy")


def _rules(rows: list[Any], chains: dict[tuple[str, str, str], Any], ends: list[IpAddress]) -> Iterator[Rule]:
    for rule in (row["rule"] for row in rows if "rule" in row):
        parts = rule.get("expr", ())
        verdict = next((name for part in parts for name in ("drop", "reject") if name in part), None)
        if verdict is None or not _may_match(parts, ends):
            continue
        chain = chains.get((rule["family"], rule["table"], rule["chain"]), {})
        counter = next((part["counter"] for part in parts if "counter" in part), None)
        packets = counter.get("packets") if isinstance(counter, dict) else None
        where = f"{rule['family']} {rule['table']} {rule['chain']}"
        text = f"rule {rule.get('handle')} of chain {where}: {_words(parts)}{verdict}"
        yield Rule(chain.get("hook", "other"), text, packets, f"{where}/{rule.get('handle')}")


def _may_match(parts: Any, ends: list[IpAddress]) -> bool:
    """False if the rule is about other addresses."""
    for part in parts:
        match: dict[str, Any] = part.get("match") or {}
        field = match.get("left", {})
        if not isinstance(field, dict) or field.get("payload", {}).get("field") not in ("saddr", "daddr"):
            continue
        network = _network(match.get("right"))
        if network is not None and match.get("op", "==") == "==" and not any(end in network for end in ends):
            return False
    return True


def _network(right: Any) -> IpNetwork | None:
    text = right
    if isinstance(right, dict) and "prefix" in right:
        text = f"{right['prefix'].get('addr')}/{right['prefix'].get('len')}"
    try:
        return ipaddress.ip_network(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _words(parts: Any) -> str:
    """What a rule asks for, in a few words."""
    words = []
    for part in parts:
        if "match" in part:
            left, right = part["match"].get("left"), part["match"].get("right")
            name: dict[str, Any] = (left.get("payload") or left.get("meta") or {}) if isinstance(left, dict) else {}
            words.append(f"{name.get('field', name.get('key', 'something'))} {_plain(right)}")
    return " ".join(words) + (" " if words else "")


def _plain(right: Any) -> str:
    network = _network(right)
    return str(network) if network is not None else re.sub(r'[{}"]', "", json.dumps(right))[:60]


@dataclass(frozen=True)
class Pings:
    """What some pings brought: ``errors`` are the other lines that ping has said, such as an ICMP error."""

    sent: int
    received: int
    errors: tuple[str, ...]
    average_ms: float | None


async def ping(target: str, source: str, *, count: int = 3, size: int = 56, whole: bool = False) -> Pings:
    """Send pings (``size`` octets of data; ``whole`` forbids fragments) from one of our addresses."""
    options = ["-n", "-c", str(count), "-i", "0.3", "-W", WAIT_S, "-s", str(size), *(["-M", "do"] if whole else [])]
    _, text = await output("ping", *options, "-I", source, target, seconds=count * 1.5 + 10)
    counts = re.search(r"(\d+) packets transmitted, (\d+) (?:packets )?received", text)
    times = re.search(r"= [\d.]+/([\d.]+)/", text)
    known = ("PING", "---", "rtt", "round-trip")
    errors = [
        line.strip()
        for line in text.splitlines()
        if line.strip() and not line.startswith(known) and "bytes from" not in line and "transmitted" not in line
    ]
    return Pings(
        int(counts[1]) if counts else 0,
        int(counts[2]) if counts else 0,
        tuple(dict.fromkeys(errors))[:3],
        float(times[1]) if times else None,
    )
