"""A bad path: loss, delay, duplication, reordering. It takes longer, and it always comes up, once."""

from __future__ import annotations

from lab.interop.life import converges
from lab.interop.model import BOTH, Role, Scenario
from lab.wire import Weather

_PATIENT = "retransmit_tries = 8\n  retransmit_timeout = 0.5\n  retransmit_base = 1.3"
_SLOW = "retransmit_tries = 6\n  retransmit_timeout = 5\n  retransmit_base = 1.3"
_OURS = {"first_s": 0.4, "factor": 1.4, "tries": 10}


def _row(
    name: str, weather: Weather, seconds: float = 30, charon: str = _PATIENT, roles: tuple[Role, ...] = BOTH
) -> Scenario:
    ours = {"retransmit": _OURS | ({"first_s": 5.0} if charon is _SLOW else {})}
    options = {"weather": weather, "seconds": seconds, "charon": charon}
    return Scenario(name, "ikev1-impair", converges, roles, "wire", ours=ours, options=options)


ROWS = (
    _row("path-loss-20", Weather(loss=20)),
    _row("path-loss-30", Weather(loss=30, seed=7)),
    _row("path-delay-200ms", Weather(delay=200)),
    _row("path-delay-2s", Weather(delay=2000), 60, _SLOW, (Role.INITIATOR,)),
    _row("path-delay-2s-impatient", Weather(delay=2000), 60, roles=(Role.RESPONDER,)),
    _row("path-duplicates", Weather(duplicate=50)),
    _row("path-everything-doubled", Weather(duplicate=100, jitter=5, delay=5)),
    _row("path-reorder", Weather(delay=10, reorder=50)),
    _row("path-corrupt", Weather(corrupt=20)),
    _row("path-everything", Weather(delay=30, jitter=20, loss=15, duplicate=20, reorder=20)),
)
