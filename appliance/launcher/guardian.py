"""What outlives a killed supervisor, to leave nothing behind.

Parts have process groups of their own, and children (gunicorn's and Celery's workers, charon) that would outlive a
supervisor that was killed. The guardian reads what there is from a pipe, one line each: ``+ GROUP`` and ``- GROUP``
for process groups, ``topology NAME`` for a lab topology. The pipe's end is the supervisor's end, whatever ended it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import BinaryIO


class Guardian:
    """Knows what is to be ended and removed."""

    def __init__(self) -> None:
        self.groups: set[int] = set()
        self.topologies: set[str] = set()

    def hear(self, line: bytes) -> None:
        """Take one line; what is none of ours is passed over."""
        match line.decode(errors="replace").split():
            case ["+", group] if group.isdecimal():
                self.groups.add(int(group))
            case ["-", group] if group.isdecimal():
                self.groups.discard(int(group))
            case ["topology", name]:
                self.topologies.add(name)
            case ["no-topology", name]:
                self.topologies.discard(name)

    def clear(self) -> None:
        """End the groups and remove the topologies."""
        for group in self.groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        if self.topologies:
            from lab.net import LabError, destroy

            for name in self.topologies:
                with contextlib.suppress(LabError):
                    destroy(name)


def main(lines: BinaryIO) -> None:
    """Listen until the pipe ends, then clear."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    guardian = Guardian()
    for line in lines:
        guardian.hear(line)
    guardian.clear()


if __name__ == "__main__":
    main(sys.stdin.buffer)
