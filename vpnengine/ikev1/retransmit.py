"""Sending an unanswered message again, with growing pauses and an end."""

from __future__ import annotations

from collections.abc import Callable

from vpnengine.contract.policies import RetransmitPolicy
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.model import IsakmpSa, QuickExchange, Transaction

Holder = IsakmpSa | QuickExchange | Transaction

MAX_REPEATED_REPLIES = 8
UNHEARD = 2  # a message or two get lost anywhere


def start(
    core: Core,
    key: object,
    policy: RetransmitPolicy,
    holder: Holder,
    give_up: Callable[[], None],
    sa: IsakmpSa | None = None,
) -> None:
    """Send ``holder.reply`` again until ``cancel``; then ``give_up``.

    With ``sa`` its last message goes before, as long as nothing shows that the peer has that.
    """
    holder.tries = 1
    _arm(core, key, policy, holder, give_up, sa)


def cancel(core: Core, key: object) -> None:
    """The answer has come."""
    core.timers.cancel(("retransmit", key))


def repeat_unconfirmed(core: Core, sa: IsakmpSa) -> None:
    """Nothing answers the last message of aggressive mode: it may be lost without our knowing."""
    if sa.unconfirmed and sa.reply is not None:
        sa.repeated += 1
        core.resend(sa, sa.reply, 1)


def _arm(
    core: Core,
    key: object,
    policy: RetransmitPolicy,
    holder: Holder,
    give_up: Callable[[], None],
    sa: IsakmpSa | None,
) -> None:
    def due() -> None:
        if holder.tries >= policy.tries:
            give_up()
            return
        holder.tries += 1
        if sa is not None:
            repeat_unconfirmed(core, sa)
        if isinstance(holder, IsakmpSa):
            core.pacing.leave(holder.peer.id)
        owner = holder if isinstance(holder, IsakmpSa) else sa
        if holder.reply is not None and owner is not None:
            core.resend(owner, holder.reply, holder.tries - 1)
        _arm(core, key, policy, holder, give_up, sa)

    delay = policy.first_s * policy.factor ** (holder.tries - 1)
    core.timers.set(("retransmit", key), core.now + delay, f"retransmit {holder.state}", due)


def answer_duplicate(core: Core, sa: IsakmpSa, holder: Holder, what: str) -> None:
    """The peer repeats its last message: our answer was lost. Repeat it, but not for ever."""
    core.trace.repeated(holder.reply, holder.resent + 1)
    if holder.reply is None or holder.resent >= MAX_REPEATED_REPLIES:
        return
    holder.resent += 1
    core.resend(sa, holder.reply, holder.resent)
    if holder.resent == UNHEARD and not sa.peer.decoy and not core.quiet("ike.unheard", sa.name, sa.peer):
        port = holder.reply.local.port
        hint = (
            f"The peer repeats its message although it was answered: our answers from UDP port {port} do not reach "
            f"{sa.remote.host}. Let UDP port {port} through in both directions, here and at the peer."
        )
        evidence = {"answer": what, "from": str(holder.reply.local), "to": str(holder.reply.remote)}
        core.emit("ike.unheard", sa=sa, hint=hint, evidence=evidence, remote=sa.remote, count=holder.resent)
