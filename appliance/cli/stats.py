"""``./culvert ctl stats``: counters of each SA and each reason for a drop, and with ``--watch`` what they grow by."""

from __future__ import annotations

import json
import time
from typing import Any

from vpnengine.daemon.client import ControlClient

RATES = {"bytes_in": "octets", "bytes_out": "octets", "packets_in": "packets", "packets_out": "packets"}
_COUNTERS = (*RATES, "replayed", "failed")


def take(client: ControlClient) -> dict[str, Any]:
    """The engine's counters, with its data path and one row for each IPsec SA pair."""
    stats = client.request("stats")
    status = client.request("status")
    stats["dataplane"] = status["dataplane"]
    stats["data_path"] = status.get("data_path")
    stats["sas"] = [
        {"peer": peer["name"], **{name: sa[name] for name in ("local", "remote", "spi_in", "spi_out", *_COUNTERS)}}
        for peer in status["peers"]
        for sa in peer["sas"]
    ]
    return stats


def with_rates(now: dict[str, Any], before: dict[str, Any], seconds: float) -> dict[str, Any]:
    """``now`` with what grew a second since ``before``: for each SA that was there, and for each reason of a drop."""
    earlier = {sa["spi_in"]: sa for sa in before["sas"]}
    rows = []
    for sa in now["sas"]:
        old = earlier.get(sa["spi_in"])
        rates = {f"{name}_per_s": round((sa[name] - old[name]) / seconds, 1) for name in RATES} if old else {}
        rows.append({**sa, **rates})
    drops = {
        reason: round((count - before["drops"].get(reason, 0)) / seconds, 1) for reason, count in now["drops"].items()
    }
    return {**now, "sas": rows, "drops_per_s": drops}


def show(client: ControlClient, as_json: bool, watch: float | None, count: int | None) -> None:
    """Print once, or every ``watch`` seconds until interrupted or ``count`` times."""
    seen, at = take(client), time.monotonic()
    _print(seen, as_json)
    shown = 1
    while watch and (count is None or shown < count):
        time.sleep(watch)
        now, then = take(client), time.monotonic()
        _print(with_rates(now, seen, then - at), as_json)
        seen, at, shown = now, then, shown + 1


def _print(stats: dict[str, Any], as_json: bool) -> None:
    print(json.dumps(stats) if as_json else "\n".join(lines(stats)), flush=True)


def lines(stats: dict[str, Any]) -> list[str]:
    """The same for people."""
    found = [f"data path: {stats['dataplane']}"]
    found += [f"  {reason}" for reason in (stats["data_path"] or {}).get("passed_over", ())]
    for sa in stats["sas"]:
        found += ["", f"{sa['peer']}  {sa['local']} <-> {sa['remote']}  in {sa['spi_in']} out {sa['spi_out']}"]
        found += [_direction(sa, way) for way in ("in", "out")]
        found += [f"  dropped: {sa['replayed']} replayed, {sa['failed']} failed"]
    found += ["", "dropped, by reason:" if stats["drops"] else "nothing was dropped"]
    per_s = stats.get("drops_per_s", {})
    for reason, number in sorted(stats["drops"].items()):
        found.append(f"  {reason}: {number}" + (f" ({per_s[reason]:g}/s)" if reason in per_s else ""))
    rest = {name: value for name, value in stats.items() if name not in _SHOWN}
    found += ["", *(f"{name}: {_flat(value)}" for name, value in rest.items()), ""]
    return found


_SHOWN = ("dataplane", "data_path", "sas", "drops", "drops_per_s")


def _direction(sa: dict[str, Any], way: str) -> str:
    text = f"  {way:<3} {sa[f'packets_{way}']} packets, {sa[f'bytes_{way}']} octets"
    if f"bytes_{way}_per_s" in sa:
        text += f"; {sa[f'packets_{way}_per_s']:.0f} packets/s, {sa[f'bytes_{way}_per_s'] * 8 / 1e6:.2f} Mbit/s"
    return text


def _flat(value: Any) -> str:
    return ", ".join(f"{name} {item}" for name, item in value.items()) if isinstance(value, dict) else str(value)
