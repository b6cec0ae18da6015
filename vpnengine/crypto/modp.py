"""The primes of the MODP groups (RFC 2409 section 6.2, RFC 3526).

The RFCs define each prime by a formula over pi, p = 2^n - 2^(n-64) - 1 + 2^64 * (floor(2^(n-130) * pi) + k),
so the constants are computed from it; a test compares them with the values that the RFCs print.
"""

from __future__ import annotations

from vpnengine.contract.algorithms import DhGroup

GENERATOR = 2
_OFFSETS = {  # n and k, RFC 2409 section 6.2 and RFC 3526 sections 2 to 7
    DhGroup.MODP1024: (1024, 129093),
    DhGroup.MODP1536: (1536, 741804),
    DhGroup.MODP2048: (2048, 124476),
    DhGroup.MODP3072: (3072, 1690314),
    DhGroup.MODP4096: (4096, 240904),
    DhGroup.MODP6144: (6144, 929484),
    DhGroup.MODP8192: (8192, 4743158),
}


def _arctan_inverse(x: int, unity: int) -> int:
    """unity * arctan(1/x) by its power series."""
    power = total = unity // x
    divisor, sign = 3, -1
    while power:
        power //= x * x
        total += sign * (power // divisor)
        divisor, sign = divisor + 2, -sign
    return total


def _pi(bits: int) -> int:
    """floor(pi * 2^bits) by Machin's formula, with guard bits against rounding."""
    guard = 64
    unity = 1 << (bits + guard)
    return (4 * (4 * _arctan_inverse(5, unity) - _arctan_inverse(239, unity))) >> guard


def _prime(bits: int, offset: int) -> int:
    return (1 << bits) - (1 << (bits - 64)) - 1 + (1 << 64) * (_pi(bits - 130) + offset)


PRIMES: dict[DhGroup, int] = {group: _prime(*numbers) for group, numbers in _OFFSETS.items()}
