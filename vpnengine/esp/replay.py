"""The anti-replay window (RFC 4303 section 3.4.3)."""

from __future__ import annotations


class ReplayWindow:
    """Which sequence numbers have been seen: checked before the work, committed after authentication.

    ``size`` is in packets, 32 to 4096. Sequence numbers start at 1; 0 never arrives (RFC 4303 section 2.2).
    """

    __slots__ = ("_bits", "_mask", "size", "top")

    def __init__(self, size: int = 64) -> None:
        if not 32 <= size <= 4096:
            raise ValueError("a replay window has 32 to 4096 packets")
        self.size = size
        self.top = 0
        self._bits = 0  # bit i stands for sequence number top - i
        self._mask = (1 << size) - 1

    def acceptable(self, sequence: int) -> bool:
        """True if this number is neither seen nor older than the window."""
        if sequence > self.top:
            return True
        age = self.top - sequence
        return sequence > 0 and age < self.size and not self._bits >> age & 1

    def commit(self, sequence: int) -> None:
        """An authentic packet had this number."""
        if sequence > self.top:
            shift = sequence - self.top
            self._bits = (self._bits << shift | 1) & self._mask if shift < self.size else 1
            self.top = sequence
        else:
            self._bits |= 1 << (self.top - sequence)
