"""The clock of lifetimes: seconds that also pass while the machine sleeps.

Python's monotonic clock, which the event loop and the data paths use, stands still during a suspend. Peers
do not: what expired for them meanwhile has to have expired here. Nothing here follows the wall clock.
"""

from __future__ import annotations

import time

STILL_S = 5.0


class Clock:
    """Seconds since boot, suspended ones included."""

    def __init__(self) -> None:
        self._asked = self.now()

    def now(self) -> float:
        """The present moment."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def _gap(self) -> float:
        return self.now() - time.monotonic()

    def of_monotonic(self, moment: float) -> float:
        """A moment of the monotonic clock in seconds of this one; exact if there was no suspend since."""
        return moment + self._gap()

    def stood_still(self, expected: float) -> float:
        """Seconds since this was asked last, ``expected`` apart; 0 if that is no more than a busy machine makes of it.

        A suspended machine and a process that was stopped look the same.
        """
        before, self._asked = self._asked, self.now()
        still = self._asked - before - expected
        return still if still > STILL_S else 0.0
