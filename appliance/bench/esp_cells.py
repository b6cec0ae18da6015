"""What is measured of one tunnel: TCP, small packets, round trips, CPU."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from appliance.bench.esp_paths import Ends, Tunnel
from appliance.bench.stack import BenchError
from lab.net import Namespace
from lab.packets import Sink, Trial, trial

LOSS = 0.01
_IPERF_PORT = 5201
_LOWEST = 1000  # datagrams a second below which the search ends


@dataclass(frozen=True)
class Plan:
    """How long: seconds of a TCP run, seconds and steps of the search, pings; ``thorough`` adds further cases."""

    tcp_s: int
    trial_s: float
    steps: int
    pings: int
    thorough: bool


FULL = Plan(tcp_s=2, trial_s=0.5, steps=6, pings=200, thorough=True)
QUICK = Plan(tcp_s=1, trial_s=0.3, steps=4, pings=60, thorough=False)


class Iperf:
    """One run of iperf3 from the site to the gateway; ``back`` lets the gateway send."""

    def __init__(self, ends: Ends, target: str, seconds: int, streams: int = 1, back: bool = False) -> None:
        self._seconds = seconds
        self._server = ends.gateway.spawn("iperf3", "-s", "-1", "-p", str(_IPERF_PORT))
        try:
            _listening(ends.gateway, self._server)
            command = ["iperf3", "-c", target, "-p", str(_IPERF_PORT), "-t", str(seconds), "-P", str(streams), "-J"]
            command += ["--connect-timeout", "3000", *(["-R"] if back else [])]
            self._client = subprocess.Popen(
                [*ends.site.exec_prefix(), *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        except BaseException:
            self._server.kill()
            raise

    def result(self) -> dict[str, Any]:
        """What both ends have counted.

        :raises BenchError: with iperf3's words.
        """
        try:
            text, _ = self._client.communicate(timeout=self._seconds + 20)
            said = json.loads(text or "{}")
        except (subprocess.TimeoutExpired, ValueError) as error:
            raise BenchError(f"iperf3 gave no result: {error}") from None
        finally:
            self._client.kill()
            self._server.kill()
            self._server.wait(5)
        if "error" in said or "sum_received" not in said.get("end", {}):
            raise BenchError(f"iperf3: {said.get('error', 'no figures')}")
        return dict(said["end"])


def _listening(node: Namespace, server: subprocess.Popen[bytes]) -> None:
    for _ in range(50):
        if server.poll() is not None:
            break
        if f":{_IPERF_PORT} " in node.run("ss", "-Hltn").stdout:
            return
        time.sleep(0.05)
    raise BenchError("the server of iperf3 does not listen")


def tcp(ends: Ends, tunnel: Tunnel, plan: Plan) -> dict[str, float]:
    """Gbit/s both ways with one stream and four; round trips and CPU while one stream runs."""
    found: dict[str, float] = {}
    before = tunnel.cpu_s()
    run = Iperf(ends, tunnel.target, plan.tcp_s)
    found["rtt_loaded"] = round_trip(ends.site, tunnel.target, plan.pings, plan.tcp_s * 0.7)
    end = run.result()
    gigabits = end["sum_received"]["bytes"] * 8 / 1e9
    load = end["cpu_utilization_percent"]
    generator = (load["host_total"] + load["remote_total"]) / 100 * end["sum_sent"]["seconds"]
    found["cpu_tunnel"] = (tunnel.cpu_s() - before) / gigabits
    found["cpu"] = found["cpu_tunnel"] + generator / gigabits
    found["tcp1_out"] = _gbits(end)
    found["tcp1_back"] = _gbits(Iperf(ends, tunnel.target, plan.tcp_s, back=True).result())
    for name, back in (("tcp4_out", False), ("tcp4_back", True)):
        found[name] = _gbits(Iperf(ends, tunnel.target, plan.tcp_s, 4, back).result())
    return found


def _gbits(end: dict[str, Any]) -> float:
    return float(end["sum_received"]["bits_per_second"]) / 1e9


def round_trip(node: Namespace, target: str, count: int, seconds: float) -> float:
    """The median round trip in milliseconds of pings spread over some seconds.

    :raises BenchError: if there is no answer at all.
    """
    command = ["ping", "-n", "-c", str(count), "-i", f"{seconds / count:.4f}", "-w", str(int(seconds) + 2), target]
    done = node.run(*command, check=False, timeout=seconds + 20)
    times = [float(text) for text in re.findall(r"time=([\d.]+) ms", done.stdout)]
    if not times:
        raise BenchError(f"no answer to a ping of {target}")
    return statistics.median(times)


def packets(ends: Ends, sink: Sink, target: str, plan: Plan, octets: int, **more: int) -> tuple[float, Trial]:
    """The highest rate of datagrams with at most 1 % loss, and what came of sending as fast as the host can.

    A binary search over the logarithm of the rate: from a quarter of what a flood delivers to what it offers.
    """
    flood = trial(ends.site, sink, target, 0, plan.trial_s, octets, **more)
    if flood.loss <= LOSS:
        return flood.rate, flood
    high = flood.sent / flood.seconds
    low, best = max(_LOWEST, flood.rate / 4), 0.0
    for _ in range(plan.steps - 2 * ("segment" in more)):
        rate = (low * high) ** 0.5
        seen = _twice(ends, sink, target, int(rate), plan, octets, more)
        if seen.loss <= LOSS:
            best, low = max(best, seen.rate), rate
        elif rate <= _LOWEST:
            break
        else:
            high = rate
            low = min(low, rate / 2) if not best else low
    return best, flood


def _twice(ends: Ends, sink: Sink, target: str, rate: int, plan: Plan, octets: int, more: dict[str, int]) -> Trial:
    """A rate that just fails gets a second chance: somebody else may have needed the cores for a moment."""
    seen = trial(ends.site, sink, target, rate, plan.trial_s, octets, **more)
    if LOSS < seen.loss < 5 * LOSS:
        seen = trial(ends.site, sink, target, rate, plan.trial_s, octets, **more)
    return seen


def measure(ends: Ends, sink: Sink, tunnel: Tunnel, plan: Plan) -> dict[str, float]:
    """All figures of one tunnel."""
    found = {"rtt": round_trip(ends.site, tunnel.target, plan.pings, plan.pings * 0.004)}
    found |= tcp(ends, tunnel, plan)
    found["udp64"], flood = packets(ends, sink, tunnel.target, plan, 64)
    found["udp64_offered"] = flood.sent / flood.seconds
    if plan.thorough:
        found["udp64_cut"], _ = packets(ends, sink, tunnel.target, plan, 64, segment=1)
    return found
