"""What ``ctl stats`` makes of two looks at an engine's counters."""

from __future__ import annotations

from typing import Any

from appliance.cli import stats


def look(packets: int, drops: int) -> dict[str, Any]:
    sa = {"peer": "Branch", "local": "10.1.0.0/24", "remote": "10.2.0.0/24", "spi_in": "0x1", "spi_out": "0x2"}
    counters = {"bytes_in": packets * 1000, "packets_in": packets, "bytes_out": 0, "packets_out": 0}
    rows = [{**sa, **counters, "replayed": 3, "failed": 1}]
    path = {"name": "userspace (native)", "passed_over": ["no ESP in this kernel"]}
    return {"dataplane": path["name"], "data_path": path, "sas": rows, "drops": {"replayed": drops}, "sa_pairs": 1}


def test_rates_are_what_grew_a_second() -> None:
    seen = stats.with_rates(look(3000, 7), look(1000, 3), 2.0)
    row = seen["sas"][0]
    assert (row["packets_in_per_s"], row["bytes_in_per_s"], row["bytes_out_per_s"]) == (1000.0, 1_000_000.0, 0.0)
    assert seen["drops_per_s"] == {"replayed": 2.0}
    text = "\n".join(stats.lines(seen))
    assert "1000 packets/s, 8.00 Mbit/s" in text and "replayed: 7 (2/s)" in text
    assert "data path: userspace (native)" in text and "no ESP in this kernel" in text


def test_a_new_pair_has_no_rate_yet() -> None:
    before = {**look(5, 0), "sas": []}
    row = stats.with_rates(look(3000, 7), before, 1.0)["sas"][0]
    assert "packets_in_per_s" not in row and row["packets_in"] == 3000
