"""Quick mode (RFC 2409 section 5.5): one IPsec SA pair per pair of subnets."""

from __future__ import annotations

import hmac

from vpnengine.contract.config import PeerConfig
from vpnengine.contract.events import Side
from vpnengine.crypto.dh import InvalidPublicValue, KeyExchange
from vpnengine.crypto.secret import Secret
from vpnengine.esp.sa import IpsecSaPair, Selector
from vpnengine.ikev1 import (
    agreements,
    channel,
    informational,
    keys,
    lifetimes,
    modes,
    negotiate,
    pairs,
    proposals,
    refusals,
    retransmit,
)
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.faults import Fault, LocalConfigFault, PeerFault
from vpnengine.ikev1.identities import address_identity, describe_span
from vpnengine.ikev1.lifetimes import Life
from vpnengine.ikev1.model import IsakmpSa, Pair, QuickExchange
from vpnengine.ikev1.modes import mode_of
from vpnengine.ikev1.selectors import selector_fault, selector_identities
from vpnengine.ikev1.states import Quick, Role
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import Payloads, build_payloads, kinds_of
from vpnengine.isakmp.payloads import Hash, Identification, KeyExchangeData, Nonce, Notification, Payload
from vpnengine.isakmp.sa_payload import SecurityAssociation

NONCE_LENGTH = 32
KEEP_DONE_S = 60.0
COOLING_S = 5.0
COMMIT_S = 3.0
_NO_AH = "AH is left out, as it cannot pass a NAT or go in UDP: choose ESP under Phase 2 on both gateways."
GONE_TIMES, GONE_PAUSE_S = 3, 3.0
MIN_PAUSE_S, MAX_PAUSE_S = 0.03, 0.25


def initiate(core: Core, sa: IsakmpSa, selector: Selector) -> None:
    """Send message 1: HDR*, HASH(1), SA, Ni [, KE], IDci, IDcr."""
    _, proposal = channel.agreed(sa)
    policy = sa.peer.config.phase2
    if not proposals.accepted_phase2(policy, mode_of(sa)):
        _nothing_to_offer(core, sa, selector)
        return
    number = core.message_id(sa)
    iv = keys.exchange_iv(proposal.hash, sa.iv, number)
    spi = core.reserved_spi(sa) or core.spi()
    exchange = QuickExchange(number, Role.INITIATOR, Quick.START, selector, iv, spi, core.now)
    exchange.nonce_i = core.rng(NONCE_LENGTH)
    offer = proposals.offer_phase2(policy, exchange.spi_in, mode_of(sa))
    chain: list[Payload] = [offer, Nonce(exchange.nonce_i)]
    if policy.pfs_group:
        exchange.key_exchange = KeyExchange(policy.pfs_group)
        chain.append(KeyExchangeData(exchange.key_exchange.public))
    ids = selector_identities(selector)
    exchange.sent_ids = ids[0].body(), ids[1].body()
    chain += [*ids, *modes.nat_oa(sa, Role.INITIATOR)]
    core.emit("ike.phase2.initiate", sa=sa, selector=selector, local=sa.local, remote=sa.remote)
    core.counters["phase 2 started"] += 1
    sa.quick[number] = exchange
    _send(core, sa, exchange, chain, b"", "quick 1")
    exchange.state = Quick.QM1_SENT
    _repeat(core, sa, exchange)


def _nothing_to_offer(core: Core, sa: IsakmpSa, selector: Selector) -> None:
    """Only AH is configured, and there is a NAT."""
    core.counters["phase 2 failed"] += 1
    core.emit_fault(LocalConfigFault("ike.phase2.ah", hint=_NO_AH), sa=sa, selector=selector)
    sa.peer.wanted.pop(selector, None)
    sa.peer.cooling[selector] = core.now + COOLING_S
    pairs.reopen_after_failure(core, sa.peer)


def _repeat(core: Core, sa: IsakmpSa, exchange: QuickExchange) -> None:
    key = (sa.cookies, exchange.message_id)
    retransmit.start(core, key, sa.peer.config.retransmit, exchange, lambda: _timeout(core, sa, exchange), sa)


def _timeout(core: Core, sa: IsakmpSa, exchange: QuickExchange) -> None:
    core.counters["phase 2 failed"] += 1
    hint, evidence = refusals.in_silence(sa) or (None, {})
    core.emit("ike.phase2.timeout", sa=sa, selector=exchange.selector, hint=hint, evidence=evidence, cookies=sa.name)
    if exchange.role is Role.RESPONDER:
        _tell_gone(core, sa, exchange.spi_in, GONE_TIMES)
    _abandon(core, sa, exchange)


def _tell_gone(core: Core, sa: IsakmpSa, spi_in: int, times: int) -> None:
    """Delete a pair in which the initiator believes, as its last message was lost each time.

    Nothing answers a delete, and the path is a bad one: it is said more than once.
    """
    if not sa.usable or not times:
        return
    informational.send_delete_esp(core, sa, [spi_in])
    again = core.now + GONE_PAUSE_S
    core.timers.set(("gone", spi_in), again, "delete again", lambda: _tell_gone(core, sa, spi_in, times - 1))


def take_back(core: Core, sa: IsakmpSa, exchange: QuickExchange) -> None:
    """The ISAKMP SA goes before the last message of a quick mode that we have answered: so does the half-open pair."""
    peer, pair = core.pairs.get(exchange.spi_in, (None, None))
    if exchange.role is Role.INITIATOR or peer is None or pair is None or pair.confirmed:
        return
    pairs.drop(core, peer, pair)
    current = sa.peer.current()
    if current is not None:
        _tell_gone(core, current, exchange.spi_in, GONE_TIMES)


def _abandon(core: Core, sa: IsakmpSa, exchange: QuickExchange) -> None:
    """Forget an exchange that came to nothing, with the inbound SA it may have installed."""
    negotiate.drop_quick(core, sa, exchange)
    peer = sa.peer
    if exchange.spi_in in core.pairs and not core.pairs[exchange.spi_in][1].confirmed:
        pairs.drop(core, peer, core.pairs[exchange.spi_in][1])
    if exchange.role is Role.INITIATOR:
        peer.wanted.pop(exchange.selector, None)
        # Traffic asks again every second; a peer that has refused is left alone for a while.
        peer.cooling[exchange.selector] = core.now + COOLING_S
        pairs.after_failed_rekey(core, peer, exchange.selector)
        pairs.reopen_after_failure(core, peer)
        negotiate.pump(core, peer)


def _send(core: Core, sa: IsakmpSa, exchange: QuickExchange, chain: list[Payload], nonce: bytes, what: str) -> None:
    """Send HASH and ``chain``; ``nonce`` is Ni_b for HASH(2)."""
    phase1, proposal = channel.agreed(sa)
    first, rest = build_payloads(chain)
    digest = keys.message_hash(proposal.hash, phase1, exchange.message_id, nonce, rest)
    head = bytes([first, 0]) + (len(digest) + 4).to_bytes(2, "big") + digest
    datagram, exchange.iv = channel.seal(
        sa, c.Exchange.QUICK, exchange.message_id, c.PayloadType.HASH, head + rest, exchange.iv
    )
    exchange.reply = core.send(sa, datagram, what, (c.PayloadType.HASH, *kinds_of(chain)))


def verify(sa: IsakmpSa, message_id: int, payloads: Payloads, plain: bytes, nonce: bytes) -> bool:
    """Check HASH(1) or HASH(2) over what follows the hash payload."""
    if not payloads.values or not isinstance(payloads.values[0], Hash):
        return False
    phase1, proposal = channel.agreed(sa)
    rest = plain[payloads.ends[0] : payloads.ends[-1]]
    return hmac.compare_digest(
        payloads.values[0].data, keys.message_hash(proposal.hash, phase1, message_id, nonce, rest)
    )


def quick_1(core: Core, sa: IsakmpSa, exchange: QuickExchange, payloads: Payloads) -> None:
    """As responder: the peer asks for an SA pair. Its hash is verified already.

    :raises Fault: if selectors, proposal or PFS group are not acceptable.
    """
    config = sa.peer.config
    offer = payloads.only(SecurityAssociation, "SA")
    exchange.nonce_i = payloads.only(Nonce, "NONCE").data
    ids = _ids(sa, payloads)
    core.emit("ike.phase2.respond", sa=sa, local=sa.local, remote=sa.remote)
    selector = modes.asked_selector(sa, ids[1], ids[0])
    if selector is None:
        raise selector_fault(sa.peer, ids[1], ids[0])
    exchange.selector = selector
    exchange.originals = modes.originals(sa, Role.RESPONDER, payloads)
    choice = proposals.choose_phase2(offer, config.phase2, [mode_of(sa)], config.phase2.pfs_accepted)
    if choice is None:
        raise _no_proposal(sa, offer)
    public = payloads.first(KeyExchangeData)
    exchange.spi_out, exchange.nonce_r = choice.spi, core.rng(NONCE_LENGTH)
    exchange.spi_in = core.reserved_spi(sa) or exchange.spi_in
    answer = proposals.with_spi(choice, exchange.spi_in)
    chain: list[Payload] = [answer, Nonce(exchange.nonce_r)]
    shared = None
    if choice.group:
        if public is None:
            raise DecodeError(0, "KE", "is missing although the proposal asks for PFS")
        exchange.key_exchange = KeyExchange(choice.group)
        chain.append(KeyExchangeData(exchange.key_exchange.public))
        shared = _shared(exchange, public.data)
    chain += [*payloads.all(Identification), *modes.nat_oa(sa, Role.RESPONDER)]
    life = lifetimes.lower(lifetimes.of_policy(config.phase2), choice.offered)
    chain += agreements.phase2_notice(life, choice.offered, exchange.spi_in)
    _send(core, sa, exchange, chain, exchange.nonce_i, "quick 2")
    _repeat(core, sa, exchange)
    _install(core, sa, exchange, choice, life, shared)


def quick_2(core: Core, sa: IsakmpSa, exchange: QuickExchange, payloads: Payloads) -> None:
    """As initiator: the peer agrees. Install both directions and send HASH(3)."""
    phase1, proposal = channel.agreed(sa)
    policy = sa.peer.config.phase2
    answer = payloads.only(SecurityAssociation, "SA")
    choice = proposals.choose_phase2(answer, policy, [mode_of(sa)], [policy.pfs_group])
    if choice is None or len(proposals.offered_phase2(answer)) != 1:
        raise _bad_choice(sa, answer)
    _check_returned_ids(sa, exchange, payloads)
    exchange.originals = modes.originals(sa, Role.INITIATOR, payloads)
    exchange.nonce_r, exchange.spi_out = payloads.only(Nonce, "NONCE").data, choice.spi
    public = payloads.first(KeyExchangeData)
    if policy.pfs_group and public is None:
        raise DecodeError(0, "KE", "is missing although the proposal asks for PFS")
    shared = _shared(exchange, public.data) if policy.pfs_group and public else None
    retransmit.cancel(core, (sa.cookies, exchange.message_id))
    said = agreements.of_payloads(payloads, c.Protocol.ESP)
    life = lifetimes.lower(lifetimes.lower(lifetimes.of_policy(policy), choice.offered), said)
    pair = _install(core, sa, exchange, choice, life, shared)
    agreements.heard_in_quick(core, sa, pair, payloads)
    nonces = (exchange.nonce_i, exchange.nonce_r)
    digest = Hash(keys.quick_hash_3(proposal.hash, phase1, exchange.message_id, nonces))
    first, body = build_payloads([digest])
    datagram, exchange.iv = channel.seal(sa, c.Exchange.QUICK, exchange.message_id, first, body, exchange.iv)
    exchange.reply = core.send(sa, datagram, "quick 3", (c.PayloadType.HASH,))
    pairs.agreed(core, sa.peer, pair)
    _send_later(core, exchange)
    sa.peer.wanted.pop(exchange.selector, None)
    _finished(core, sa, exchange, payloads)


def _send_later(core: Core, exchange: QuickExchange) -> None:
    """The peer installs its side only when it has our last message: give it that time before ESP follows.

    Without the pause the first packets on the new SA, and with them the rekeying without loss, would depend on
    how fast the peer is. With the commit bit the peer says CONNECTED when it is ready (RFC 2408 section 3.1); it
    may forget to, and the bit is not authenticated, so it is not waited for longer than a moment.
    """
    pause = COMMIT_S if exchange.commit else min(MAX_PAUSE_S, MIN_PAUSE_S + (core.now - exchange.started) / 2)
    key = ("confirm", exchange.spi_in)
    core.timers.set(key, core.now + pause, "send on a new SA", lambda: pairs.confirm(core, exchange.spi_in))


def quick_4(core: Core, sa: IsakmpSa, exchange: QuickExchange, payloads: Payloads) -> None:
    """As initiator: a responder that has set the commit bit says that it is ready."""
    if any(n.type == c.Notify.CONNECTED for n in payloads.all(Notification)):
        connected(core, exchange.spi_in)


def connected(core: Core, spi_in: int) -> None:
    """The peer is ready to receive: there is nothing to wait for any more."""
    core.timers.cancel(("confirm", spi_in))
    pairs.confirm(core, spi_in)


def quick_3(core: Core, sa: IsakmpSa, exchange: QuickExchange, payloads: Payloads) -> None:
    """As responder: the peer has installed its side; traffic may go out on the new pair."""
    phase1, proposal = channel.agreed(sa)
    expected = keys.quick_hash_3(proposal.hash, phase1, exchange.message_id, (exchange.nonce_i, exchange.nonce_r))
    if not hmac.compare_digest(payloads.only(Hash, "HASH").data, expected):
        raise DecodeError(0, "HASH", "HASH(3) does not verify")
    retransmit.cancel(core, (sa.cookies, exchange.message_id))
    exchange.reply = None
    if exchange.spi_in in core.pairs:
        pairs.agreed(core, *core.pairs[exchange.spi_in])
    pairs.confirm(core, exchange.spi_in)
    sa.peer.wanted.pop(exchange.selector, None)
    _finished(core, sa, exchange, payloads)


def _finished(core: Core, sa: IsakmpSa, exchange: QuickExchange, payloads: Payloads) -> None:
    """The exchange stays a while, to answer a repeated message."""
    row = sa.peer.parent or sa.peer
    if row.last_failure and row.last_failure.code.startswith(("ike.phase2", "ike.dpd", "ike.phase1")):
        row.last_failure = None
    key = ("quick", (sa.cookies, exchange.message_id))
    core.timers.set(
        key, core.now + KEEP_DONE_S, "forget a quick mode", lambda: negotiate.drop_quick(core, sa, exchange)
    )
    negotiate.pump(core, sa.peer)


def fault(core: Core, sa: IsakmpSa, exchange: QuickExchange, error: Fault) -> None:
    """The exchange fails for a reason that both sides should know."""
    core.counters["phase 2 failed"] += 1
    selector = exchange.selector if exchange.role is Role.INITIATOR else None
    core.emit_fault(error, sa=sa, selector=selector)
    if error.notify is not None:
        spi = exchange.spi_in if exchange.role is Role.INITIATOR else exchange.spi_out
        informational.send_notify(core, sa, c.Protocol.ESP, spi.to_bytes(4, "big") if spi else b"", error.notify)
    _abandon(core, sa, exchange)


def malformed(core: Core, sa: IsakmpSa, exchange: QuickExchange, error: DecodeError) -> None:
    """An authentic message breaks the rules: the exchange ends."""
    side_number = 0 if exchange.role is Role.INITIATOR else 1
    evidence = {"rule": str(error)}
    core.counters["phase 2 failed"] += 1
    core.emit("ike.phase2.malformed", sa=sa, evidence=evidence, side_number=side_number, status=1)
    _abandon(core, sa, exchange)


def refused(core: Core, sa: IsakmpSa, notification: Notification) -> None:
    """The peer refuses a quick mode of ours, in an authenticated notification."""
    waiting = [e for e in sa.quick.values() if e.role is Role.INITIATOR and e.state is Quick.QM1_SENT]
    named = [e for e in waiting if e.spi_in.to_bytes(4, "big") == notification.spi]
    exchange = next(iter(named or waiting), None)
    name = c.notify_name(notification.type)
    if exchange is None:
        core.emit("ike.notify", sa=sa, notify=name)
        return
    core.counters["phase 2 failed"] += 1
    config = sa.peer.config
    hint, evidence = _refusal_hint(config, exchange.selector, notification.type, mode_of(sa))
    core.emit(
        "ike.phase2.refused",
        sa=sa,
        selector=exchange.selector,
        side=Side.PEER,
        hint=hint,
        evidence=evidence,
        notify=name,
    )
    _abandon(core, sa, exchange)


def _refusal_hint(
    config: PeerConfig, selector: Selector, number: int, mode: c.Encapsulation
) -> tuple[str, dict[str, str]]:
    offered = ", ".join(map(str, proposals.own_phase2(config.phase2, mode)))
    evidence = {"offered": offered, "local subnet": selector.local_text, "remote subnet": selector.remote_text}
    if number == c.Notify.INVALID_ID_INFORMATION:
        hint = (
            f"The peer has no tunnel for {selector.local_text} here and {selector.remote_text} there. Make Local "
            "subnets and Private subnets here the exact mirror image of the peer's, with the same masks."
        )
    else:
        hint = (
            f"The peer accepts none of the phase 2 proposals of this side ({offered}), or not the subnets "
            f"{selector.local_text} and {selector.remote_text}. Compare encryption, integrity and PFS group under "
            "Phase 2 with the peer's, then the subnets."
        )
    return hint, evidence


def _no_proposal(sa: IsakmpSa, offer: SecurityAssociation) -> LocalConfigFault:
    accepted = proposals.accepted_phase2(sa.peer.config.phase2, mode_of(sa))
    difference = proposals.compare(accepted, proposals.offered_phase2(offer))
    evidence = proposals.mismatch_evidence(difference)
    hint = (
        f"The peer offers {evidence['offered'] or 'nothing for ESP'}; this side accepts {evidence['accepted']}. "
        f"Nearest: {evidence.get('nearest', 'none')}. Change Phase 2 here to what the peer offers, or the peer's to "
        "what is accepted here."
    )
    bundled = proposals.bundled_with(offer)
    if bundled:
        evidence["together"] = ", ".join(bundled)
        hint = (
            f"The peer wants {' and '.join(bundled)} together in every proposal; this side carries ESP or AH alone. "
            "Turn compression (IPComp) off on the gateway, and choose one of ESP and AH there."
        )
    elif sa.nat.encapsulate and any(proposal.protocol == "ah" for proposal in sa.peer.config.phase2.proposals):
        hint += f" {_NO_AH}"
    return LocalConfigFault(
        "ike.phase2.no_proposal",
        hint=hint,
        evidence=evidence,
        difference=difference,
        notify=c.Notify.NO_PROPOSAL_CHOSEN,
    )


def _bad_choice(sa: IsakmpSa, answer: SecurityAssociation) -> PeerFault:
    offered = proposals.own_phase2(sa.peer.config.phase2, mode_of(sa))
    difference = proposals.compare(offered, proposals.offered_phase2(answer))
    evidence = {"chosen": ", ".join(difference.theirs)}
    return PeerFault(
        "ike.phase2.bad_choice", evidence=evidence, difference=difference, notify=c.Notify.NO_PROPOSAL_CHOSEN
    )


def _ids(sa: IsakmpSa, payloads: Payloads) -> tuple[Identification, Identification]:
    """IDci and IDcr; without them the SA is for the two addresses themselves (RFC 2409 section 5.5)."""
    found = payloads.all(Identification)
    if len(found) == 2:
        return found[0], found[1]
    if found:
        raise DecodeError(0, "ID", f"{len(found)} identification payloads, 0 or 2 are allowed")
    return address_identity(sa.remote.host), address_identity(sa.local.host)


def _check_returned_ids(sa: IsakmpSa, exchange: QuickExchange, payloads: Payloads) -> None:
    found = payloads.all(Identification)
    if not found:
        return
    for which, payload, sent in zip(("IDci", "IDcr"), found, selector_identities(exchange.selector), strict=False):
        if not modes.same_answer(sa, payload, sent):
            evidence = {"sent": describe_span(sent), "returned": describe_span(payload)}
            field = "Local subnets" if which == "IDci" else "Private subnets"
            hint = (
                f"This side asked for {describe_span(sent)}, the peer answered with {describe_span(payload)}. "
                f"Enter the same subnet, with the same mask, in the field {field} here and at the peer."
            )
            raise PeerFault(
                "ike.phase2.ids_returned",
                which=which,
                hint=hint,
                evidence=evidence,
                notify=c.Notify.INVALID_ID_INFORMATION,
            )


def _shared(exchange: QuickExchange, public: bytes) -> Secret:
    assert exchange.key_exchange is not None  # noqa: S101 - made by the caller
    try:
        return exchange.key_exchange.shared(public)
    except InvalidPublicValue as error:
        raise DecodeError(0, "KE", str(error)) from None


def _install(
    core: Core,
    sa: IsakmpSa,
    exchange: QuickExchange,
    choice: proposals.Phase2Choice,
    life: Life,
    shared: Secret | None,
) -> Pair:
    """Install the pair for receiving; sending begins when the peer is ready for it."""
    phase1, proposal = channel.agreed(sa)
    nonces = (exchange.nonce_i, exchange.nonce_r)
    transform = choice.transform
    soft, hard = pairs.octet_limits(core, life, exchange.role)
    params = IpsecSaPair(
        peer_id=sa.peer.id,
        spi_in=exchange.spi_in,
        spi_out=exchange.spi_out,
        selector=exchange.selector,
        transform=transform,
        keys_in=keys.esp_keys(proposal.hash, phase1, transform, exchange.spi_in, nonces, shared),
        keys_out=keys.esp_keys(proposal.hash, phase1, transform, exchange.spi_out, nonces, shared),
        local=sa.local,
        remote=sa.remote,
        udp=sa.nat.encapsulate,
        mode=sa.peer.config.phase2.mode,
        original_remote=exchange.originals.remote,
        original_local=exchange.originals.local,
        replay_window=sa.peer.config.replay_window,
        soft_bytes=soft,
        hard_bytes=hard,
        outer=sa.peer.config.outer,
        kernel=sa.peer.config.kernel,
    )
    expires = core.now + float(life.seconds or sa.peer.config.phase2.lifetime_s)
    pair = Pair(params, exchange.role, core.now, expires, choice.group, choice.offered, rank=min(nonces))
    exchange.key_exchange = None
    agreements.phase2(core, sa, pair)
    pairs.install(core, sa.peer, pair)
    core.trace.keep_pair(sa, params)
    return pair
