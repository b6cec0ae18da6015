"""The clock of lifetimes: seconds that also pass while the machine sleeps.

Python's monotonic clock, which the event loop and the data paths use, stands still during a suspend. Peers
do not: what expired for them meanwhile has to have expired here. Nothing here follows the wall clock.
"""

from __future__ import annotations

import time

JUMP_S = 1.5  # more than a busy machine makes of a second


class Clock:
    """Seconds since boot, suspended ones included."""

    def __init__(self) -> None:
        self._ahead = self._gap()

    def now(self) -> float:
        """The present moment."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def _gap(self) -> float:
        return self.now() - time.monotonic()

    def of_monotonic(self, moment: float) -> float:
        """A moment of the monotonic clock in seconds of this one; exact if there was no suspend since."""
        return moment + self._gap()

    def has_slept(self) -> float:
        """How many seconds the machine has slept since this was asked last; 0 for none."""
        before, self._ahead = self._ahead, self._gap()
        slept = self._ahead - before
        return slept if slept > JUMP_S else 0.0
