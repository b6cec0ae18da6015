"""The peer refuses what this side has proven: by a notification, or by deleting the SA at once."""

from __future__ import annotations

from vpnengine.ikev1 import lifecycle, signature_proof
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.faults import PeerFault
from vpnengine.ikev1.model import IsakmpSa
from vpnengine.ikev1.states import Phase1, Role
from vpnengine.isakmp.constants import HYBRID_METHODS, Exchange

AT_ONCE_S = 3.0


class _Refusal(PeerFault):
    """The peer's notification, as a fault whose text names it."""

    def __init__(self, code: str, hint: str, evidence: dict[str, str], name: str) -> None:
        super().__init__(code, hint=hint, evidence=evidence)
        self.arguments = {"notify": name}


def by_notification(core: Core, sa: IsakmpSa, name: str) -> None:
    """An authentic error while phase 1 is being finished: the secret is right, something else is not.

    Where signatures prove who is who, the keys prove nothing, and it is the certificate that is refused.
    """
    lifecycle.fail_with(core, sa, _refusal(sa, name))


def _refusal(sa: IsakmpSa, name: str) -> PeerFault:
    if sa.peer.config.signs:
        return _Refusal("ike.phase1.certificate.refused", *signature_proof.refusal(sa, name), name)
    evidence = {"identity sent": sa.local_identity, "answer": name}
    if sa.method in HYBRID_METHODS:
        hint = (
            f"The peer refuses this side's identity “{sa.local_identity}” ({name}); no certificate and no password has "
            "been asked for yet. Enter in the field Local identity the one that the peer expects, often the name of a "
            "group, and set the peer to hybrid authentication."
        )
        return _Refusal("ike.phase1.notify", hint, evidence, name)
    hint = (
        f"The peer knows the same pre-shared secret, but refuses this side's identity “{sa.local_identity}” ({name}). "
        "Enter in the field Local identity the one that the peer expects. If it is right, set the peer's phase 1 to "
        "main mode and turn XAUTH off there: one that wants aggressive mode, or a user's password, refuses in the same "
        "way."
    )
    return _Refusal("ike.phase1.notify", hint, evidence, name)


def is_at_once(core: Core, sa: IsakmpSa) -> bool:
    """True if the initiator ends an SA as soon as it has our proof, which was the last message, and asks for nothing.

    So does charon, for one, if it does not accept the responder's certificate or identity.
    """
    began = sa.established
    used = sa.quick or sa.transactions or sa.peer.pairs
    return sa.role is Role.RESPONDER and not used and began is not None and core.now - began < AT_ONCE_S


def by_delete(sa: IsakmpSa) -> PeerFault:
    """What most probably is behind such a deletion."""
    if sa.peer.config.signs:
        hint, evidence = signature_proof.refusal(sa, "it deleted the SA at once")
        return PeerFault("ike.phase1.dropped", hint=hint, evidence=evidence)
    hint = (
        f"The peer accepted the secret, got this side's identity “{sa.local_identity}”, and ended phase 1 at once. "
        "Most probably it expects another one: enter that in the field Local identity."
    )
    evidence = {"identity sent": sa.local_identity, "answer": "it deleted the SA at once"}
    return PeerFault("ike.phase1.dropped", hint=hint, evidence=evidence)


def in_silence(sa: IsakmpSa) -> tuple[str, dict[str, str]] | None:
    """Hint and evidence if nothing authentic has come since this side has proven itself in aggressive mode.

    Nobody answers its message 3, and a responder's message 2 is refused in silence: anybody may have sent it.
    """
    if sa.exchange is not Exchange.AGGRESSIVE or not (sa.unconfirmed or sa.state is Phase1.AM2_SENT):
        return None
    large = "the message with it is larger than the path lets through (field Fragmentation)"
    if sa.peer.config.signs:
        hint, evidence = signature_proof.refusal(sa, "silence")
        return f"Nothing has come since this side proved itself. {hint} Or {large}.", evidence
    hint = (
        "Nothing has come since this side proved itself: the peer probably refuses its identity "
        f"“{sa.local_identity}”, or the secrets differ. Compare the fields Local identity and Pre-shared secret with "
        f"the peer's. Or {large}."
    )
    if sa.method in HYBRID_METHODS:
        hint = (
            "The peer has got this side's certificate or its user's identity and does not go on: compare the field "
            f"Local identity with what it expects, and the CAs that it trusts. Or {large}."
        )
    return hint, {"identity sent": sa.local_identity, "answer": "silence"}
