"""The life of ISAKMP SAs: established, rekeyed, expired, deleted, given up."""

from __future__ import annotations

from vpnengine.contract.config import StartMode
from vpnengine.ikev1 import (
    addresses,
    agreements,
    clients,
    dpd,
    informational,
    lifetimes,
    natt,
    negotiate,
    pairs,
    refusals,
    xauth,
)
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.faults import Fault, MismatchFault, PathFault, PeerFault
from vpnengine.ikev1.interface import Transmit
from vpnengine.ikev1.lifetimes import Life
from vpnengine.ikev1.model import IsakmpSa, Peer
from vpnengine.ikev1.states import Phase1, Role
from vpnengine.isakmp.constants import SIGNATURE_METHODS

HALF_OPEN_S = 30.0
SILENT_S = 8.0
UNPROVEN_S = 4.0  # by then message 5 has been sent three times
LINGER_S = 10.0
AT_ONCE_S = 5.0
HAND_ON_S = 2.0  # by then an answer to a quick mode that is under way has come
MIN_RETRY_S = 4.0
SOFT_SHARE = 0.85
MAX_BACKOFF_S = 60.0
UNFRAGMENTED = 1400  # a larger ISAKMP message becomes IP fragments on common paths

_UNANSWERED_PSK = (
    "The peer stopped answering when it had to check the pre-shared secret: most probably the two secrets differ. "
    "Enter the same value in the field Pre-shared secret on both gateways. If they are equal, UDP port 4500 may be "
    "blocked on the path."
)


def is_first_contact(peer: Peer) -> bool:
    """True if we hold nothing with this peer, so that INITIAL-CONTACT may be said (RFC 2407 section 4.6.3.3)."""
    if peer.config.initial_contact == "off":
        return False
    return not peer.pairs and not any(sa.state is Phase1.ESTABLISHED for sa in peer.sas)


def rekey_delay(core: Core, lifetime: float, role: Role) -> float:
    """Seconds until an SA of this lifetime is to be replaced.

    The initiator goes first, with jitter so that the two ends do not do the same thing at the
    same time; the responder follows shortly before the end in case the initiator does not.
    """
    margin = min(540.0, max(lifetime * 0.1, min(12.0, lifetime * 0.4)))
    if role is Role.RESPONDER:
        return lifetime - margin / 2
    jitter = int.from_bytes(core.rng(2), "big") / 0xFFFF
    return lifetime - margin * (1 + jitter / 2)


def established(core: Core, sa: IsakmpSa, first: bool) -> None:
    """Phase 1 is up: set its timers, adopt what older ones carried, and start what waits for it."""
    peer = sa.peer
    sa.state = Phase1.ESTABLISHED
    sa.established = sa.last_heard = core.now
    core.counters["phase 1 established"] += 1
    if sa.role is Role.INITIATOR:
        core.pacing.leave(peer.id)
    if first:
        _purge_older(core, sa)
    replaced = [o for o in peer.sas if o is not sa and o.state is Phase1.ESTABLISHED and not o.replaced]
    for older in replaced:
        _replace(core, older, sa)
    peer.failures = 0
    peer.secret_doubted = False
    row = peer.parent or peer
    if row.last_failure and not row.last_failure.code.startswith("ike.phase2"):
        row.last_failure = None
    core.emit("ike.phase1.established", sa=sa, local=sa.local, remote=sa.remote, cookies=sa.name)
    _arm(core, sa)
    agreements.phase1(core, sa, again=bool(replaced))
    if sa.nat.local:
        _keepalive(core, sa)
    dpd.arm(core, sa)
    _follow(core, sa)
    negotiate.pump(core, peer)


def _arm(core: Core, sa: IsakmpSa) -> None:
    """Set the timers of an SA's life, which runs from the moment it was established."""
    began, seconds = sa.established or core.now, float(sa.life.seconds or sa.peer.config.phase1.lifetime_s)
    sa.expires = began + seconds
    due = began + rekey_delay(core, seconds, sa.role)
    core.timers.set(("rekey", sa.cookies), due, "rekey phase 1", lambda: rekey(core, sa))
    core.timers.set(("expire", sa.cookies), sa.expires, "phase 1 expires", lambda: expire(core, sa))


def shorten(core: Core, sa: IsakmpSa, life: Life) -> None:
    """The peer gives phase 1 a shorter life."""
    sa.life = lifetimes.lower(sa.life, life)
    if sa.state is Phase1.ESTABLISHED and not sa.replaced:
        _arm(core, sa)


def count_octets(core: Core, sa: IsakmpSa, received: int) -> None:
    """Count an authentic message; replace or end an SA that has carried as many octets as its life allows.

    What is not authentic is not counted: a stranger must not use a life up.
    """
    sa.octets += received
    most = sa.life.octets
    if most is None or sa.replaced or sa.octets < most * SOFT_SHARE:
        return
    if sa.octets < most:
        rekey(core, sa)
    else:  # after the message at hand has been dealt with
        core.timers.set(("expire", sa.cookies), core.now, "phase 1 has used its octets", lambda: expire(core, sa))


def _follow(core: Core, sa: IsakmpSa) -> None:
    """Adopted pairs go to the address of the new ISAKMP SA."""
    for pair in sa.peer.pairs:
        pairs.move(core, pair, sa.remote)


def initial_contact(core: Core, sa: IsakmpSa) -> None:
    """INITIAL-CONTACT has come by itself, after phase 1."""
    if sa.established is not None and core.now - sa.established < HALF_OPEN_S:
        _purge_older(core, sa)


def _purge_older(core: Core, sa: IsakmpSa) -> None:
    """INITIAL-CONTACT: the peer has forgotten what is older than this negotiation.

    What was agreed since it began is not: both ends may have begun at once.
    """
    if sa.peer.config.initial_contact == "off":
        return
    core.emit("ike.initial_contact", sa=sa)
    peer = sa.peer
    for pair in [p for p in peer.pairs if p.created < sa.created]:
        pairs.remove(core, peer, pair, "ike.phase2.deleted")
    for older in list(peer.sas):
        if older is not sa and older.established is not None and older.established < sa.created:
            core.emit("ike.purge", sa=older, cookies=older.name)
            forget(core, older)


def _replace(core: Core, older: IsakmpSa, newer: IsakmpSa) -> None:
    """A newer phase 1 took over; the older one lingers for what is on its way.

    If both ends began at once, each may take its own for the newer: the surplus one then ends with
    its life, or the two ends would delete one each.
    """
    older.replaced = True
    core.timers.cancel(("rekey", older.cookies))
    core.timers.cancel(("dpd", older.cookies))
    again = core.now + HAND_ON_S
    core.timers.set(("hand on", older.cookies), again, "quick modes go on", lambda: negotiate.hand_on(core, older))
    if older.role is not newer.role and newer.created - older.created < AT_ONCE_S:
        return
    core.timers.set(("expire", older.cookies), core.now + LINGER_S, "replaced phase 1", lambda: delete(core, older))


def rekey(core: Core, sa: IsakmpSa) -> None:
    """Begin a new phase 1 while the present one lives on; IKEv1 has no other rekeying of phase 1.

    A peer without a fixed address, and a client that has its inner address from us, has to begin itself.
    """
    peer = sa.peer
    if sa.replaced or peer.negotiating() or not peer.config.fixed or peer.parent is not None:
        return
    core.emit("ike.phase1.rekey", sa=sa, remote=sa.remote)
    negotiate.start_phase1(core, peer)


def expire(core: Core, sa: IsakmpSa) -> None:
    """The lifetime has ended: tell the peer and forget it.

    With the last one its IPsec SAs go too, as when the peer deletes it: gateways that hear of
    its end remove theirs, and what stayed here would send into the void. Where we can begin,
    they are negotiated anew, as their rekeying would have done.
    """
    peer = sa.peer
    alone = not any(other is not sa and other.state is Phase1.ESTABLISHED for other in peer.sas)
    gone = list(peer.pairs) if alone and peer.negotiating() is None else []
    informational.send_delete_esp(core, sa, [pair.params.spi_in for pair in gone])
    for pair in gone:
        pairs.remove(core, peer, pair, "ike.phase2.deleted")
    informational.send_delete_isakmp(core, sa)
    core.emit("ike.phase1.expired", sa=sa, local=sa.local, remote=sa.remote, cookies=sa.name)
    forget(core, sa)
    if peer.config.fixed and peer.parent is None:
        for pair in gone:
            negotiate.want(core, peer, pair.params.selector)


def delete(core: Core, sa: IsakmpSa) -> None:
    """End an established SA in good order."""
    informational.send_delete_isakmp(core, sa)
    core.emit("ike.phase1.deleted", sa=sa, local=sa.local, remote=sa.remote, cookies=sa.name)
    forget(core, sa)


def half_open_over(core: Core, sa: IsakmpSa) -> None:
    """A peer has begun phase 1 and not finished it."""
    if sa.state in (Phase1.MM4_SENT, Phase1.AM2_SENT) and not sa.suspect_psk and not sa.peer.decoy:
        core.counters["phase 1 failed"] += 1
        hint, more = refusals.in_silence(sa) or (None, {})
        core.emit("ike.phase1.timeout", sa=sa, hint=hint, evidence=_waited(core, sa) | more, cookies=sa.name)
    forget(core, sa)


def await_proof(core: Core, sa: IsakmpSa) -> None:
    """In main mode: say so if the peer's proof does not come soon, long before the negotiation is given up."""
    key = ("silent", sa.cookies)
    wait, due = (SILENT_S, _silent) if sa.role is Role.RESPONDER else (UNPROVEN_S, _unanswered_proof)
    core.timers.set(key, core.now + wait, "the peer's proof is due", lambda: due(core, sa))


def _unanswered_proof(core: Core, sa: IsakmpSa) -> None:
    """As initiator: a peer that cannot decrypt our proof mostly says nothing at all."""
    if sa.state is not Phase1.MM5_SENT or sa.suspect_psk or core.quiet("ike.phase1.unproven", sa.peer.id, sa.peer):
        return
    hint = _unanswered_certificate(sa, {}).hint if sa.method in SIGNATURE_METHODS else _UNANSWERED_PSK
    sa.peer.secret_doubted = sa.method not in SIGNATURE_METHODS
    core.emit("ike.phase1.unproven", sa=sa, hint=hint, evidence=_waited(core, sa), remote=sa.remote)


def _silent(core: Core, sa: IsakmpSa) -> None:
    if sa.state is not Phase1.MM4_SENT or sa.suspect_psk or core.quiet("ike.phase1.silent", sa.peer.id, sa.peer):
        return
    port = core.listen.natt_port if sa.nat.encapsulate else sa.local.port
    hint = (
        f"The peer has our answer on UDP port {sa.local.port}, and has to go on at UDP port {port}; nothing comes "
        f"there. Let UDP port {port} from {sa.remote.host} in at this site, and out at the peer. If that is so, the "
        "peer has refused our answer; its log says why."
    )
    evidence = _waited(core, sa) | {"port": str(port)}
    core.emit("ike.phase1.silent", sa=sa, hint=hint, evidence=evidence, message=5, remote=sa.remote)


def forget(core: Core, sa: IsakmpSa) -> None:
    """Remove an SA with its timers and exchanges, telling nobody."""
    sa.state = Phase1.DEAD
    core.remove_sa(sa)
    for kind in (
        "retransmit",
        "rekey",
        "expire",
        "dpd",
        "keepalive",
        "half-open",
        "silent",
        "lifetime",
        "pump",
        "hand on",
        "early",
        "xauth",
        "xauth ask",
        "config",
    ):
        core.timers.cancel((kind, sa.cookies))
    negotiate.hand_on(core, sa, everything=True)
    if sa.role is Role.INITIATOR:
        core.pacing.leave(sa.peer.id)
    for number in sa.transactions:
        core.timers.cancel(("retransmit", (sa.cookies, number)))
    clients.release_if_idle(core, sa.peer)


def phase1_timeout(core: Core, sa: IsakmpSa) -> None:
    """The last message of the initiator was not answered in time."""
    evidence = _waited(core, sa)
    if sa.state is Phase1.MM5_SENT and sa.method in SIGNATURE_METHODS:
        fault: Fault = _unanswered_certificate(sa, evidence)
    elif sa.state is Phase1.AM1_SENT and sa.suspect_psk:
        hint = (
            "The peer's proof does not fit the pre-shared secret: most probably the two secrets differ. Enter the same "
            "value in the field Pre-shared secret on both gateways."
        )
        fault = MismatchFault("ike.phase1.timeout", hint=hint, evidence=evidence, cookies=sa.name)
    elif sa.state is Phase1.MM5_SENT:
        fault = MismatchFault("ike.phase1.timeout", hint=_UNANSWERED_PSK, evidence=evidence, cookies=sa.name)
    elif sa.refusal:
        hint = (
            f"The peer answered with {sa.refusal}: it does not accept the phase 1 proposals of this side, or does not "
            "expect this site's address. Compare Phase 1 and the addresses with the peer's."
        )
        evidence["notification"] = sa.refusal
        fault = PeerFault("ike.phase1.timeout", hint=hint, evidence=evidence, cookies=sa.name)
    elif sa.state is Phase1.AM1_SENT:
        hint = (
            "Check the field Public address, and that UDP port 500 may leave this site. A peer that allows main mode "
            "only, or does not know this side's identity, does not answer aggressive mode either: compare the fields "
            "Phase 1 mode and Local identity with the peer's."
        )
        fault = PathFault("ike.phase1.timeout", hint=hint, evidence=evidence, cookies=sa.name)
    elif sa.state is Phase1.MM1_SENT and sa.peer.secret_doubted:
        # charon, for one, ignores an address for half a minute after five negotiations that came to nothing.
        hint = f"The peer answered before, and now ignores this side, as gateways do after failures. {_UNANSWERED_PSK}"
        fault = MismatchFault("ike.phase1.timeout", hint=hint, evidence=evidence, cookies=sa.name)
    else:
        fault = PathFault("ike.phase1.timeout", evidence=evidence, cookies=sa.name)
    fail_with(core, sa, fault)


def _waited(core: Core, sa: IsakmpSa) -> dict[str, str]:
    """Evidence of a phase 1 without an answer: where it stood, and what is known of messages too large for the path."""
    evidence = {"waited": f"state {sa.state}"}
    waiting = core.fragments.waiting(sa.remote.host)
    if waiting:
        evidence["fragments"] = waiting
    if sa.peer.fragment_drops:
        drops = sa.peer.fragment_drops.most_common(3)
        evidence["fragments dropped"] = ", ".join(f"{reason}: {count}" for reason, count in drops)
        sa.peer.fragment_drops.clear()
    size = len(sa.reply.payload) if sa.reply else 0
    if sa.reply and len(sa.reply.pieces) < 2 and size > UNFRAGMENTED:
        evidence["message"] = f"{size} octets, sent in one piece; the path may drop IP fragments (field Fragmentation)"
    return evidence


def _unanswered_certificate(sa: IsakmpSa, evidence: dict[str, str]) -> Fault:
    """Message 5 carries certificates: it may be refused in silence, or be too large for the path."""
    size = len(sa.reply.payload) if sa.reply else 0
    if not sa.peer.config.signs:
        hint = (
            "The peer did not answer with its certificate. That message is often larger than a packet, and a firewall "
            "on the path may drop its IP fragments (field Fragmentation). Otherwise UDP port 4500 may be blocked, or "
            "the peer does not know this side's identity (field Local identity); its log says so."
        )
        return PathFault("ike.phase1.timeout", hint=hint, evidence=evidence, cookies=sa.name)
    hint = (
        f"The peer stopped answering when it had to check this side's certificate. The message has {size} octets: if "
        "that is more than about 1400 and was sent in one piece, it travels in IP fragments, and a firewall on the "
        "path may drop those (field Fragmentation). Otherwise UDP port 4500 may be blocked, or the peer refuses the "
        "certificate in silence; its log says so."
    )
    if sa.refusal:
        evidence["notification"] = sa.refusal
    return MismatchFault("ike.phase1.timeout", hint=hint, evidence=evidence, cookies=sa.name)


def fail_with(core: Core, sa: IsakmpSa, fault: Fault) -> None:
    """End a negotiation of phase 1 because of a fault."""
    core.counters["phase 1 failed"] += 1
    core.emit_fault(fault, sa=sa)
    forget(core, sa)
    if sa.role is Role.INITIATOR:
        after_failure(core, sa.peer)


def after_failure(core: Core, peer: Peer) -> None:
    """Fail what waits for phase 1, and try again later if the tunnel is to be up at all times."""
    current = peer.current()
    if current is not None:
        _retry_rekey(core, current)
        return
    _remove_orphans(core, peer)
    for selector in list(peer.wanted):
        local, remote = peer.local_host or "?", peer.remote_host or peer.config.remote
        first_cause = peer.last_failure
        core.emit("ike.phase2.no_phase1", peer=peer, selector=selector, local=f"{local}[0]", remote=f"{remote}[0]")
        if first_cause is not None:
            peer.last_failure = first_cause
    peer.wanted.clear()
    peer.seeking = False
    peer.failures += 1
    peer.stale = True
    addresses.try_next(core, peer)
    if peer.config.start is StartMode.IMMEDIATE:
        negotiate.retry_later(core, peer, min(MAX_BACKOFF_S, 2.0 ** min(peer.failures, 6)))


def _remove_orphans(core: Core, peer: Peer) -> None:
    """Phase 1 ended while its successor was negotiated, and that has failed: what hung on it goes, as in ``expire``."""
    if not peer.pairs or any(sa.state is Phase1.ESTABLISHED for sa in peer.sas):
        return
    core.emit("ike.phase2.orphaned", peer=peer, count=len(peer.pairs))
    for pair in list(peer.pairs):
        pairs.remove(core, peer, pair, "ike.phase2.deleted")


def _retry_rekey(core: Core, sa: IsakmpSa) -> None:
    left = (sa.expires or core.now) - core.now
    if left > MIN_RETRY_S:
        core.timers.set(("rekey", sa.cookies), core.now + left / 2, "rekey phase 1", lambda: rekey(core, sa))


def _keepalive(core: Core, sa: IsakmpSa) -> None:
    """Keep the NAT mapping open (RFC 3948 section 4)."""
    due = core.now + natt.KEEPALIVE_S
    if sa.nat.local:
        core.timers.set(("keepalive", sa.cookies), due, "NAT keepalive", lambda: _send_keepalive(core, sa))


def _send_keepalive(core: Core, sa: IsakmpSa) -> None:
    core.transmits.append(Transmit(natt.KEEPALIVE, sa.local, sa.remote))
    core.counters["keepalives sent"] += 1
    _keepalive(core, sa)


def peer_vanished(core: Core, sa: IsakmpSa) -> None:
    """Dead peer detection has given up: remove everything, and begin anew if so configured."""
    peer = sa.peer
    core.emit("ike.dpd.dead", sa=sa, cookies=sa.name)
    core.emit("ike.purge", sa=sa, cookies=sa.name)
    purge(core, peer)
    peer.stale = True
    if peer.config.start is StartMode.IMMEDIATE:
        negotiate.want_all(core, peer)
    elif peer.config.fixed:
        negotiate.pump(core, peer)  # somebody waits for what was under way


def purge(core: Core, peer: Peer) -> None:
    """Remove all SAs of a peer, telling nobody."""
    for pair in list(peer.pairs):
        pairs.remove(core, peer, pair, "ike.phase2.deleted")
    for sa in list(peer.sas):
        forget(core, sa)


def terminate(core: Core, peer: Peer) -> None:
    """Delete all SAs of a peer, or of all its clients, and tell the other end."""
    for client in list(peer.clients.values()):
        terminate(core, client)
    peer.seeking = False
    sa = peer.current()
    if sa is not None:
        informational.send_delete_esp(core, sa, [p.params.spi_in for p in peer.pairs])
    for pair in list(peer.pairs):
        pairs.remove(core, peer, pair, "ike.phase2.deleted")
    for old in list(peer.sas):
        if old.state is Phase1.ESTABLISHED:
            delete(core, old)
        else:
            forget(core, old)
    peer.wanted.clear()
    core.timers.cancel(("retry", peer.id))
    clients.disown(core, peer)


def deleted_by_peer(core: Core, sa: IsakmpSa) -> None:
    """The peer has deleted an ISAKMP SA.

    With the last one its IPsec SAs go too: most gateways remove them without another word,
    and what stayed here would send into the void.
    """
    peer = sa.peer
    if sa.state is Phase1.XAUTH:
        xauth.ended_by_peer(core, sa)
        return
    core.emit("ike.phase1.peer_deleted", sa=sa, cookies=sa.name)
    at_once = refusals.is_at_once(core, sa)
    forget(core, sa)
    if any(other.state is Phase1.ESTABLISHED for other in peer.sas) or peer.negotiating() is not None:
        return
    if at_once:
        core.emit_fault(refusals.by_delete(sa), sa=sa)
    for pair in list(peer.pairs):
        pairs.remove(core, peer, pair, "ike.phase2.deleted")
    pairs.reopen(core, peer)
