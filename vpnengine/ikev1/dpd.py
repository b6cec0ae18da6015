"""Dead peer detection (RFC 3706): ask only when nothing has been heard."""

from __future__ import annotations

from vpnengine.ikev1 import informational, lifecycle, retransmit
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.model import IsakmpSa
from vpnengine.ikev1.states import Phase1
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.payloads import Notification

GRAIN_S = 0.001  # a shorter wait may be lost in the rounding of the clock, and its timer be due for ever
WAKE_PROBES, WAKE_PAUSE_S = 4, 1.5
_SEQUENCE_MASK = 0x7FFFFFFF  # RFC 3706 section 5.5: the first one has its high bit clear


def arm(core: Core, sa: IsakmpSa) -> None:
    """Probe after the configured silence, if the peer has announced DPD."""
    interval = sa.peer.config.dpd.interval_s
    if not interval or not sa.peer_has_dpd or sa.replaced or sa.state is not Phase1.ESTABLISHED:
        return
    core.timers.set(("dpd", sa.cookies), core.now + interval, "dead peer detection", lambda: _due(core, sa))


def heard(core: Core, sa: IsakmpSa, at: float) -> None:
    """The peer has proven that it lives: by an authentic message, or by ESP."""
    sa.last_heard = max(sa.last_heard, at)
    if sa.dpd_since is not None and at >= sa.dpd_since:
        sa.dpd_since = None


def _due(core: Core, sa: IsakmpSa) -> None:
    policy = sa.peer.config.dpd
    if sa.dpd_since is not None and core.now - sa.dpd_since >= policy.timeout_s:
        lifecycle.peer_vanished(core, sa)
        return
    wait = policy.interval_s - (core.now - sa.last_heard)
    if sa.dpd_since is not None or wait < GRAIN_S:
        _ask(core, sa)
        wait = max(0.5, min(policy.interval_s, policy.timeout_s / 4))
    core.timers.set(("dpd", sa.cookies), core.now + wait, "dead peer detection", lambda: _due(core, sa))


def woke(core: Core, sa: IsakmpSa) -> None:
    """We have slept, and do not know whether the peer still has anything of ours: ask it at once, and several times.

    A dead peer is known in seconds so, and not only after the configured silence.
    """
    if sa.peer.config.dpd.interval_s and sa.peer_has_dpd and not sa.replaced and sa.state is Phase1.ESTABLISHED:
        sa.dpd_since = sa.dpd_acknowledged = None
        key = ("dpd", sa.cookies)
        core.timers.set(key, core.now, "is the peer there after a sleep", lambda: _probe(core, sa, WAKE_PROBES))


def _probe(core: Core, sa: IsakmpSa, left: int) -> None:
    # What had been waiting in the sockets since before is authentic, and proves nothing of now.
    if sa.dpd_acknowledged is not None:
        arm(core, sa)
    elif not left:
        lifecycle.peer_vanished(core, sa)
    else:
        _ask(core, sa)
        due = core.now + WAKE_PAUSE_S
        why = "is the peer there after a sleep"
        core.timers.set(("dpd", sa.cookies), due, why, lambda: _probe(core, sa, left - 1))


def _ask(core: Core, sa: IsakmpSa) -> None:
    if sa.dpd_since is None:
        sa.dpd_since = core.now
        sa.dpd_sequence = (sa.dpd_sequence + 1 or int.from_bytes(core.rng(4), "big")) & _SEQUENCE_MASK
    core.counters["DPD probes sent"] += 1
    retransmit.repeat_unconfirmed(core, sa)
    data = sa.dpd_sequence.to_bytes(4, "big")
    informational.send_notify(core, sa, c.Protocol.ISAKMP, sa.cookies, c.Notify.R_U_THERE, data)


def asked(core: Core, sa: IsakmpSa, notification: Notification) -> None:
    """R-U-THERE: answer with the same sequence number; an older one is a replay (RFC 3706 section 5.5)."""
    if len(notification.data) != 4 or notification.spi != sa.cookies:
        core.counters["dropped: bad R-U-THERE"] += 1
        return
    sequence = int.from_bytes(notification.data, "big")
    if sequence < sa.dpd_received:
        core.counters["dropped: old R-U-THERE"] += 1
        return
    sa.dpd_received = sequence
    data = notification.data
    informational.send_notify(core, sa, c.Protocol.ISAKMP, sa.cookies, c.Notify.R_U_THERE_ACK, data)


def answered(core: Core, sa: IsakmpSa, notification: Notification) -> None:
    """R-U-THERE-ACK: only the one for our present probe counts."""
    if notification.data == sa.dpd_sequence.to_bytes(4, "big") and notification.spi == sa.cookies:
        sa.dpd_since, sa.dpd_acknowledged = None, core.now
    else:
        core.counters["dropped: foreign R-U-THERE-ACK"] += 1
