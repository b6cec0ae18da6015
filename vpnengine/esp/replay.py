"""The anti-replay window, for 32-bit and 64-bit sequence numbers (RFC 4303 section 3.4.3 and appendix A2)."""

from __future__ import annotations

_LOW = 0xFFFFFFFF


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

    def infer(self, low: int) -> int:
        """The 64-bit number whose lower half is ``low``, from where the window stands (RFC 4303 appendix A2.2).

        It is negative if no such number can have been sent. Only its verified ICV proves it right.
        """
        high, top = self.top >> 32, self.top & _LOW
        bottom = top - self.size + 1
        if bottom >= 0:  # the window lies within one half
            high += low < bottom
        else:  # it begins in the half before
            high -= low >= bottom & _LOW
        return (high << 32) + low

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
