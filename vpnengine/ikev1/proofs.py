"""How one end of phase 1 proves who it is, and how the other end checks it (RFC 2409 sections 5.1 and 5.4)."""

from __future__ import annotations

import hmac

from vpnengine.ikev1.core import Core
from vpnengine.ikev1.faults import MismatchFault
from vpnengine.ikev1.identities import build_identity
from vpnengine.ikev1.model import IsakmpSa
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.message import Payloads
from vpnengine.isakmp.payloads import Hash, Identification, Payload


class Proof:
    """One kind of proof. ``digest`` is always HASH_I or HASH_R of the end that proves itself."""

    def requests(self, core: Core, sa: IsakmpSa) -> list[Payload]:
        """What is asked of the other end, next to our KE payload: certificate requests."""
        return []

    def requested(self, core: Core, sa: IsakmpSa, payloads: Payloads) -> None:
        """Note what the other end asks of us next to its KE payload."""

    def identity(self, sa: IsakmpSa) -> Identification:
        """What this end calls itself: the configured identity, else its address."""
        return build_identity(sa.peer.config.local_identity, sa.local.host)

    def prove(self, core: Core, sa: IsakmpSa, identity: Identification, digest: bytes) -> list[Payload]:
        """The payloads that follow our ID payload.

        :raises Fault: if this end cannot prove itself.
        """
        raise NotImplementedError

    def verify(self, core: Core, sa: IsakmpSa, payloads: Payloads, identity: Identification, digest: bytes) -> None:
        """Check what follows the other end's ID payload.

        :raises DecodeError: if a payload is missing or doubled.
        :raises Fault: if it does not prove the identity.
        """
        raise NotImplementedError


class HashProof(Proof):
    """HASH_I or HASH_R itself: the key of its PRF comes from the pre-shared secret."""

    def prove(self, core: Core, sa: IsakmpSa, identity: Identification, digest: bytes) -> list[Payload]:
        """The hash payload."""
        return [Hash(digest)]

    def verify(self, core: Core, sa: IsakmpSa, payloads: Payloads, identity: Identification, digest: bytes) -> None:
        """Compare in constant time.

        :raises MismatchFault: if the hashes differ.
        """
        if not hmac.compare_digest(payloads.only(Hash, "HASH").data, digest):
            raise MismatchFault("ike.phase1.hash_mismatch", notify=c.Notify.INVALID_HASH_INFORMATION)
