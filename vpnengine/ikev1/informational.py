"""Informational exchanges (RFC 2409 section 5.7): notifications and deletes.

Only what carries a valid HASH(1) has an effect. Anything in the clear is logged.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from vpnengine.contract.events import Side
from vpnengine.ikev1 import agreements, channel, dpd, keys, lifecycle, pairs, quick_mode, refusals, xauth
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.model import IsakmpSa
from vpnengine.ikev1.states import Phase1, Role
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import Header, Payloads, build_payloads, kinds_of
from vpnengine.isakmp.payloads import Delete, Hash, Notification, Payload

_QUIET_NOTIFIES = {c.Notify.REPLAY_STATUS}
_NOT_CONVINCED = {
    c.Notify.INVALID_CERT_ENCODING,
    c.Notify.INVALID_CERTIFICATE,
    c.Notify.CERT_TYPE_UNSUPPORTED,
    c.Notify.INVALID_CERT_AUTHORITY,
    c.Notify.AUTHENTICATION_FAILED,
    c.Notify.INVALID_SIGNATURE,
    c.Notify.CERTIFICATE_UNAVAILABLE,
}


def send(core: Core, sa: IsakmpSa, payload: Payload, what: str) -> None:
    """Send one payload, protected by HASH(1), in an exchange of its own."""
    if sa.keys is None:
        return
    phase1, proposal = channel.agreed(sa)
    number = core.message_id(sa)
    first, rest = build_payloads([payload])
    digest = keys.message_hash(proposal.hash, phase1, number, rest)
    head = bytes([first, 0]) + (len(digest) + 4).to_bytes(2, "big") + digest
    iv = keys.exchange_iv(proposal.hash, sa.iv, number)
    datagram, _ = channel.seal(sa, c.Exchange.INFORMATIONAL, number, c.PayloadType.HASH, head + rest, iv)
    core.send(sa, datagram, what, (c.PayloadType.HASH, payload.kind))


def send_notify(core: Core, sa: IsakmpSa, protocol: int, spi: bytes, number: int, data: bytes = b"") -> None:
    """Send one notification."""
    send(core, sa, Notification(protocol, spi, number, data), f"notify {c.notify_name(number)}")


def send_delete_esp(core: Core, sa: IsakmpSa, spis_in: list[int]) -> None:
    """Tell the peer that we do not receive on these SPIs any more, be they of ESP or of AH."""
    ah = {spi for spi in spis_in if spi in core.pairs and core.pairs[spi][1].params.transform.protocol == "ah"}
    for protocol, spis in ((c.Protocol.ESP, [s for s in spis_in if s not in ah]), (c.Protocol.AH, sorted(ah))):
        if spis:
            found = tuple(spi.to_bytes(4, "big") for spi in spis)
            send(core, sa, Delete(protocol, found), f"delete {protocol.name}")


def send_delete_isakmp(core: Core, sa: IsakmpSa) -> None:
    """Tell the peer that this ISAKMP SA is gone."""
    if sa.state in (Phase1.ESTABLISHED, Phase1.XAUTH):
        send(core, sa, Delete(c.Protocol.ISAKMP, (sa.cookies,)), "delete ISAKMP")


def send_clear_notify(core: Core, sa: IsakmpSa, number: int) -> None:
    """A refusal of phase 1, when there are no keys yet. It is not larger than what caused it."""
    notification = Notification(c.Protocol.ISAKMP, sa.cookies, number)
    message_id = int.from_bytes(core.rng(4), "big")
    core.send(
        sa,
        channel.clear(sa, c.Exchange.INFORMATIONAL, [notification], message_id),
        "notify in clear",
        (c.PayloadType.NOTIFICATION,),
    )


def receive_encrypted(core: Core, sa: IsakmpSa, header: Header, datagram: bytes) -> bool:
    """An encrypted informational message. Returns True if it was authentic."""
    phase1, proposal = channel.agreed(sa)
    iv = keys.exchange_iv(proposal.hash, sa.iv, header.message_id)
    try:
        payloads, plain, _ = channel.open_(sa, header, datagram, iv)
    except DecodeError as error:
        _undecipherable(core, sa, error)
        return False
    digest = payloads.values[0] if payloads.values else None
    if not isinstance(digest, Hash):
        _undecipherable(core, sa, DecodeError(0, "HASH", "does not come first"))
        return False
    rest = plain[payloads.ends[0] : payloads.ends[-1]]
    if not hmac.compare_digest(digest.data, keys.message_hash(proposal.hash, phase1, header.message_id, rest)):
        core.drop("bad hash", header.name, len(datagram), sa.remote)
        return False
    if header.message_id in sa.used_ids:
        core.drop("replayed informational", header.name, len(datagram), sa.remote)
        return False
    sa.used_ids.add(header.message_id)
    core.trace.is_step("informational", kinds_of(payloads.values))
    _act(core, sa, payloads)
    return True


def _undecipherable(core: Core, sa: IsakmpSa, error: DecodeError) -> None:
    """Before phase 1 is up this is how a peer with another secret answers message 5."""
    core.counters["dropped: undecipherable"] += 1
    core.trace.became("dropped", "undecipherable")
    if sa.state is Phase1.MM5_SENT and not sa.suspect_psk:
        suspect_psk(core, sa, 6, f"the answer to message 5 cannot be decrypted ({error})")
    elif sa.state is Phase1.AM2_SENT and not sa.suspect_psk:
        suspect_psk(core, sa, 3, f"the answer to message 2 cannot be decrypted ({error})")


def suspect_psk(core: Core, sa: IsakmpSa, status: int, seen: str) -> None:
    """Say once per negotiation that the two secrets most probably differ.

    Where signatures prove who is who, no secret is in the keys: the message is just malformed.
    """
    sa.suspect_psk = sa.peer.secret_doubted = True
    if sa.peer.decoy:
        return  # its identity is not configured, and that has been said
    side_number = 0 if sa.role is Role.INITIATOR else 1
    if sa.method in c.SIGNATURE_METHODS:
        core.emit("ike.phase1.malformed", sa=sa, evidence={"seen": seen}, side_number=side_number, status=status)
        return
    hint = (
        "The pre-shared secrets of the two sides most probably differ. Enter the same value in the field Pre-shared "
        "secret on both gateways, without a space or line break at its ends."
    )
    core.emit(
        "ike.phase1.psk_suspect",
        sa=sa,
        side=Side.UNKNOWN,
        hint=hint,
        evidence={"seen": seen},
        side_number=side_number,
        status=status,
    )


def _act(core: Core, sa: IsakmpSa, payloads: Payloads) -> None:
    """Everything is parsed before anything is done; deletes come last and are idempotent."""
    for notification in payloads.all(Notification):
        _notified(core, sa, notification)
    for delete in payloads.all(Delete):
        _deleted(core, sa, delete)


def _notified(core: Core, sa: IsakmpSa, notification: Notification) -> None:
    number = notification.type
    handlers: dict[int, Callable[[], None]] = {
        c.Notify.R_U_THERE: lambda: dpd.asked(core, sa, notification),
        c.Notify.R_U_THERE_ACK: lambda: dpd.answered(core, sa, notification),
        c.Notify.CONNECTED: lambda: _connected(core, sa, notification),
        c.Notify.INITIAL_CONTACT: lambda: lifecycle.initial_contact(core, sa),
        c.Notify.RESPONDER_LIFETIME: lambda: agreements.responder_lifetime(core, sa, notification),
    }
    if number in handlers:
        handlers[number]()
    elif number == c.Notify.PAYLOAD_MALFORMED and sa.repeated:
        # charon says so of a last message of aggressive mode that comes once more, and goes on.
        sa.repeated -= 1
        core.emit("ike.notify", sa=sa, notify=c.notify_name(number))
    elif number < c.Notify.CONNECTED and sa.state is Phase1.XAUTH:
        xauth.ended_by_peer(core, sa)
    elif number < c.Notify.CONNECTED and (sa.state is not Phase1.ESTABLISHED or _refuses_us(core, sa, number)):
        refusals.by_notification(core, sa, c.notify_name(number))
    elif number < c.Notify.CONNECTED:
        quick_mode.refused(core, sa, notification)
    elif number not in _QUIET_NOTIFIES:
        core.emit("ike.notify", sa=sa, notify=c.notify_name(number))


def _connected(core: Core, sa: IsakmpSa, notification: Notification) -> None:
    """The end of a quick mode with the commit bit; the SPI is the peer's or ours, or none if there is one exchange."""
    number = int.from_bytes(notification.spi, "big")
    waiting = [pair.params for pair in sa.peer.pairs if not pair.confirmed and pair.role is Role.INITIATOR]
    for params in waiting:
        if number in (params.spi_in, params.spi_out) or len(waiting) == 1:
            quick_mode.connected(core, params.spi_in)
            return


def _refuses_us(core: Core, sa: IsakmpSa, number: int) -> bool:
    """True if the initiator says that our last message of phase 1, which we count as its end, has not convinced it."""
    fresh = sa.established is not None and core.now - sa.established < lifecycle.HALF_OPEN_S
    return fresh and sa.role is Role.RESPONDER and number in _NOT_CONVINCED and not sa.quick


def _deleted(core: Core, sa: IsakmpSa, delete: Delete) -> None:
    if delete.protocol in (c.Protocol.ESP, c.Protocol.AH):
        for spi in delete.spis:
            if len(spi) == 4:
                pairs.deleted_by_peer(core, sa.peer, int.from_bytes(spi, "big"))
    elif delete.protocol == c.Protocol.ISAKMP:
        for cookies in delete.spis:
            target = core.sas.get(cookies)
            if target is not None and target.peer is sa.peer:
                lifecycle.deleted_by_peer(core, target)


def receive_clear(core: Core, sa: IsakmpSa, header: Header, payloads: Payloads) -> None:
    """A notification without protection: logged, and kept as evidence for a negotiation that fails later."""
    for notification in payloads.all(Notification):
        name = c.notify_name(notification.type)
        if sa.state is Phase1.ESTABLISHED or notification.type >= c.Notify.CONNECTED:
            core.counters["dropped: unauthenticated notification"] += 1
            continue
        if sa.refusal == name:
            continue
        sa.refusal = name
        if sa.state is Phase1.MM5_SENT:
            suspect_psk(core, sa, 6, f"the peer answered message 5 with {name}")
        else:
            _refused(core, sa, name)


def _refused(core: Core, sa: IsakmpSa, name: str) -> None:
    policy = sa.peer.config.phase1
    offered = ", ".join(map(str, policy.proposals))
    hint = (
        f"The peer refuses what this side offers for phase 1 ({offered}), or has no IKEv1 tunnel for the address "
        f"{sa.local.host} (perhaps one that is set to IKEv2). Change encryption, hash or Diffie-Hellman group under "
        "Phase 1 to what the peer has."
    )
    if sa.exchange == c.Exchange.AGGRESSIVE:
        hint += " If they are equal, the peer may not allow aggressive mode: set Phase 1 mode to main here."
    core.emit("ike.phase1.refused", sa=sa, hint=hint, evidence={"offered": offered, "answer": name}, notify=name)
