"""Very many SAs in use at once, and a new pair each second under traffic."""

from __future__ import annotations

import threading
from pathlib import Path

from appliance.bench.esp_cells import Plan, packets
from appliance.bench.esp_end import FIRST
from appliance.bench.esp_paths import EndProcess, Ends, Variant, ours
from appliance.bench.stack import BenchError
from lab.packets import Sink, Trial, trial

SAS = 1024
REKEY_RATE = 20_000
REKEY_OCTETS = 200


def many(ends: Ends, sink: Sink, row: Variant, plan: Plan, directory: Path) -> dict[str, float]:
    """Datagrams in turns to 1,024 addresses: behind one SA, and behind as many SAs.

    :raises BenchError: if not every SA has carried packets.
    """
    found: dict[str, float] = {}
    for sas in (1, SAS):
        with ours(ends, row, directory, sas) as processes:
            for octets in (64, 1300) if plan.thorough else (64,):
                rate, _ = packets(ends, sink, FIRST["gateway"], plan, octets, addresses=SAS)
                found[f"udp{octets}_{sas}_sa{'s' if sas > 1 else ''}"] = rate
            used = processes["gateway"].order(do="counters")["used"]
            if used != sas:
                raise BenchError(f"{used} of {sas} SAs have carried packets")
    return found


def rekeys(ends: Ends, sink: Sink, row: Variant, plan: Plan, directory: Path) -> dict[str, float]:
    """How many of a steady stream's datagrams are lost with a new pair each second, and without."""
    seconds = 10 if plan.thorough else 4
    with ours(ends, row, directory) as processes:
        steady, _ = _stream(ends, sink, seconds, lambda stop: stop.wait(seconds))
        before = _drops(processes)
        rekeyed, count = _stream(ends, sink, seconds, lambda stop: _renew(processes, stop))
        dropped = _drops(processes) - before
    if count < seconds - 2:
        raise BenchError(f"only {count} pairs were renewed in {seconds} s")
    lost = {"steady_lost": steady.sent - steady.received, "rekey_lost": rekeyed.sent - rekeyed.received}
    return {**lost, "rekey_dropped": dropped}


def _drops(processes: dict[str, EndProcess]) -> int:
    """What both ends have dropped; the host's own IPv6 multicast into the device has no policy and does not count."""
    rows = [process.order(do="counters")["drops"] for process in processes.values()]
    return sum(count for row in rows for reason, count in row.items() if reason != "no policy")


def _stream(ends: Ends, sink: Sink, seconds: int, work: object) -> tuple[Trial, int]:
    """Traffic while ``work(stop)`` runs; what came of it, and what work has returned."""
    stop = threading.Event()
    results: list[int] = []
    worker = threading.Thread(target=lambda: results.append(int(work(stop))))  # type: ignore[operator]
    worker.start()
    try:
        found = trial(ends.site, sink, FIRST["gateway"], REKEY_RATE, seconds, REKEY_OCTETS)
    finally:
        stop.set()
        worker.join(10)
    return found, results[0] if results else 0


def _renew(processes: dict[str, EndProcess], stop: threading.Event) -> int:
    """A new pair each second, in the order of a quick mode; the old one goes half a second later."""
    generation = 0
    while not stop.wait(0.5):
        generation += 1
        # The responder receives before the initiator sends; it sends when the initiator has.
        processes["gateway"].order(do="install", generation=generation, outbound=False)
        processes["site"].order(do="install", generation=generation, outbound=True)
        processes["gateway"].order(do="install", generation=generation, outbound=True)
        stop.wait(0.5)
        for process in processes.values():
            process.order(do="remove", generation=generation - 1)
    return generation
