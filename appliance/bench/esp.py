"""How fast the data paths carry packets, against strongSwan's userspace ESP, no cipher, and no tunnel.

All tunnels run in turn between the same two namespaces, in one run; each round has every one of them once, so that
whatever else the machine does falls on all. A figure is the median over the rounds, a ratio the median of the
ratios within each round. ``docs/esp-bench.md`` says what is compared and how.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from appliance.bench import esp_cells, esp_many
from appliance.bench.esp_paths import CIPHERS, WIRES, Ends, Variant, tunnel, variants
from appliance.bench.stack import BenchError
from lab.net import RUN, LabError, destroy
from lab.packets import Sink
from vpnengine.dataplane import native_path

UNITS = {"tcp": "Gbit/s", "udp": "packets/s", "rtt": "ms", "cpu": "s/Gbit", "rek": "packets", "ste": "packets"}
Key = tuple[str, str, str, str]  # wire, path, cipher, what
Figures = dict[Key, list[float]]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every path with every cipher over both wires, in rounds."""
    native = native_path.load() is not None
    plan = esp_cells.QUICK if options.quick else esp_cells.FULL
    rounds = 1 if options.quick else max(1, options.rounds)
    rows = [row for row in variants(native, options.quick) if not options.paths or row.path in options.paths.split(",")]
    if not rows:
        raise BenchError("--paths leaves nothing; the paths are plain, no-cipher, native, libipsec, python")
    name = f"esp{os.getpid()}"
    directory = RUN / name
    directory.mkdir(parents=True, exist_ok=True)
    figures: Figures = {}
    problems: list[str] = []
    if not native:
        problems.append(f"the cases of the native data path are left out: {native_path.UNAVAILABLE}")
    began = time.monotonic()
    with _orderly_end(), _ends(name) as (ends, sink):
        for number in range(rounds):
            for wire in WIRES:
                ends.set_wire(wire)
                for row in rows:
                    say(f"round {number + 1} of {rounds}, {wire} wire: {row.path} {row.cipher.name}")
                    _one(ends, sink, row, wire, plan, directory, figures, problems)
                    _save(options.save, figures, number, began, problems)
            if any(row.path == "native" for row in rows):
                _many(ends, sink, plan, directory, figures, problems)
                _save(options.save, figures, number + 1, began, problems)
    result = _result(figures, rounds, began, problems)
    if options.plot:
        from appliance.bench.esp_plot import draw

        draw(result, Path(options.plot))
    return result


def _result(figures: Figures, rounds: int, began: float, problems: list[str]) -> dict[str, Any]:
    return {
        "cases": cases(figures),
        "ratios": ratios(figures),
        "further": further(figures),
        "rounds": rounds,
        "seconds": round(time.monotonic() - began),
        "problems": problems,
    }


def _save(file: str | None, figures: Figures, rounds: int, began: float, problems: list[str]) -> None:
    """What there is so far, so that a run that is ended early has not been for nothing; ``rounds`` are whole ones."""
    if file:
        target = Path(file)
        fresh = target.with_name(target.name + ".new")
        fresh.write_text(json.dumps(_result(figures, rounds, began, problems)))
        fresh.replace(target)


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _orderly_end() -> Iterator[None]:
    """SIGTERM cleans up as Ctrl-C does."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _ends(name: str) -> Iterator[tuple[Ends, Sink]]:
    ends = Ends(name)
    destroy(name)
    try:
        ends.create()
        yield ends, Sink(ends.gateway)
    finally:
        destroy(name)


def _one(
    ends: Ends,
    sink: Sink,
    row: Variant,
    wire: str,
    plan: esp_cells.Plan,
    directory: Path,
    figures: Figures,
    problems: list[str],
) -> None:
    """One tunnel. What fails is told and left out: the others still count."""
    try:
        with tunnel(ends, row, directory) as up:
            found = esp_cells.measure(ends, sink, up, plan)
    except (BenchError, LabError) as error:
        problems.append(f"{wire} wire, {row.path} {row.cipher.name}: {error}")
        say(problems[-1])
        return
    for both in ("tcp1", "tcp4"):
        found[both] = (found[f"{both}_out"] + found[f"{both}_back"]) / 2
    for what, value in found.items():
        figures.setdefault((wire, row.path, row.cipher.name, what), []).append(value)


def _many(ends: Ends, sink: Sink, plan: esp_cells.Plan, directory: Path, figures: Figures, problems: list[str]) -> None:
    """Very many SAs at once, and a new pair each second, over the segmenting wire."""
    ends.set_wire("segmenting")
    say("very many SAs, and a rekey a second")
    row = Variant("native", CIPHERS[0])
    try:
        found = esp_many.many(ends, sink, row, plan, directory) | esp_many.rekeys(ends, sink, row, plan, directory)
    except (BenchError, LabError) as error:
        problems.append(f"very many SAs, rekeys: {error}")
        return
    for what, value in found.items():
        figures.setdefault(("segmenting", row.path, row.cipher.name, what), []).append(value)


def cases(figures: Figures) -> list[dict[str, Any]]:
    """The medians, with every round's value beside them."""
    return [
        {
            "path": path,
            "cipher": cipher,
            "what": what,
            "value": _rounded(statistics.median(values)),
            "unit": UNITS[what[:3]],
            "wire": wire,
            "rounds": [_rounded(value) for value in values],
        }
        for (wire, path, cipher, what), values in figures.items()
    ]


def _rounded(value: float) -> float:
    return round(value, 3) if value < 1000 else round(value)


def ratios(figures: Figures) -> dict[str, dict[str, float | None]]:
    """What the aims speak of. Each is the worst of its ciphers and numbers of streams; None without figures."""
    found: dict[str, dict[str, float | None]] = {}
    for wire in WIRES:
        row = found[wire] = {}
        for family in ("gcm", "cbc"):
            for other, name in (("libipsec", "libipsec"), ("no-cipher", "bound")):
                row[f"{family}_tcp_{name}"] = _worst(figures, wire, family, ("tcp1", "tcp4"), other)
        row["udp64_libipsec"] = _worst(figures, wire, None, ("udp64",), "libipsec")
    return found


def further(figures: Figures) -> dict[str, dict[str, float | None]]:
    """More ratios: against Python; CPU of both ends for a gigabit; datagrams that the sender's kernel cuts; many SAs.

    CPU shows what a path costs even where others take the cores meanwhile.
    """
    found: dict[str, dict[str, float | None]] = {}
    for wire in WIRES:
        found[wire] = {
            "gcm_tcp_python": _worst(figures, wire, "gcm", ("tcp1", "tcp4"), "python"),
            "gcm_cpu_libipsec": _cpu(figures, wire, "gcm"),
            "cbc_cpu_libipsec": _cpu(figures, wire, "cbc"),
            "udp64_cut_libipsec": _worst(figures, wire, None, ("udp64_cut",), "libipsec"),
            "no_cipher_of_plain_tcp": _ratio(figures, (wire, "no-cipher", "none"), (wire, "plain", "none"), "tcp1"),
        }
    for what in ("udp64", "udp1300"):
        key = ("segmenting", "native", CIPHERS[0].name)
        pair = zip(figures.get((*key, f"{what}_1024_sas"), []), figures.get((*key, f"{what}_1_sa"), []), strict=True)
        values = [many / one for many, one in pair if one]
        found["segmenting"][f"{what}_1024_sas_of_one"] = round(statistics.median(values), 2) if values else None
    return found


def _cpu(figures: Figures, wire: str, family: str) -> float | None:
    """How many times the CPU of the native path libipsec takes, at least."""
    names = [cipher.name for cipher in CIPHERS if cipher.family == family]
    values = [_ratio(figures, (wire, "libipsec", name), (wire, "native", name), "cpu_tunnel") for name in names]
    return min((value for value in values if value is not None), default=None)


def _worst(figures: Figures, wire: str, family: str | None, whats: tuple[str, ...], other: str) -> float | None:
    values = []
    for cipher in CIPHERS:
        if family in (None, cipher.family):
            peer = "none" if other in ("no-cipher", "plain") else cipher.name
            for what in whats:
                value = _ratio(figures, (wire, "native", cipher.name), (wire, other, peer), what)
                values += [value] if value is not None else []
    return min(values, default=None)


def _ratio(figures: Figures, mine: tuple[str, str, str], theirs: tuple[str, str, str], what: str) -> float | None:
    """The median of the ratios within each round."""
    rows = zip(figures.get((*mine, what), []), figures.get((*theirs, what), []), strict=False)
    values = [one / other for one, other in rows if other]
    return round(statistics.median(values), 2) if values else None
