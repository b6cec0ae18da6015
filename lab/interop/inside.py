"""Run rows inside the guest: ``python3 -m lab.interop.inside NAME:ROLE …`` prints one outcome a line."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from lab.interop.runner import rows, run_rows
from lab.interop.table import SCENARIOS


def main(names: list[str]) -> int:
    """0 if every row could be begun; what comes of each is in its outcome."""
    wanted = [(scenario, role) for scenario, role in rows(SCENARIOS) if f"{scenario.name}:{role.value}" in names]
    for outcome in run_rows(wanted):
        print(json.dumps(asdict(outcome)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
