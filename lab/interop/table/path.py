"""A bad path: loss, delay, duplication, reordering. It takes longer, and it always comes up."""

from __future__ import annotations

from lab.interop.life import converges
from lab.interop.model import Scenario

_PATIENT = "retransmit_tries = 8\n  retransmit_timeout = 0.5\n  retransmit_base = 1.3"
_SLOW = "retransmit_tries = 6\n  retransmit_timeout = 5\n  retransmit_base = 1.3"
_OURS = {"first_s": 0.4, "factor": 1.4, "tries": 10}


def _row(name: str, netem: str, seconds: float = 25, charon: str = _PATIENT) -> Scenario:
    ours = {"retransmit": _OURS | ({"first_s": 5.0} if charon is _SLOW else {})}
    options = {"netem": netem, "seconds": seconds, "charon": charon}
    return Scenario(name, "ikev1-impair", converges, ours=ours, options=options)


ROWS = (
    _row("path-loss-20", "loss 20%"),
    _row("path-loss-30", "loss 30%"),
    _row("path-delay-200ms", "delay 200ms"),
    _row("path-delay-2s", "delay 2s", 60, _SLOW),
    _row("path-duplicates", "duplicate 50%"),
    _row("path-reorder", "delay 40ms reorder 50% 50%"),
    _row("path-corrupt", "corrupt 15%"),
    _row("path-everything", "delay 30ms 20ms loss 15% duplicate 20%"),
)
