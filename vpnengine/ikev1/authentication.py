"""Authentication methods of phase 1: what is offered, how SKEYID is made, and which proof each end gives.

A method is a row of ``METHODS``. Main mode and aggressive mode know the functions of this
module alone, so that a further method is a row here and a ``Proof``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from vpnengine.contract.algorithms import IkeHash
from vpnengine.crypto.secret import Secret
from vpnengine.crypto.signatures import KeyKind
from vpnengine.ikev1 import channel, keys, selection
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.faults import LocalConfigFault
from vpnengine.ikev1.identities import describe_identity, same_identity
from vpnengine.ikev1.model import IsakmpSa, Peer
from vpnengine.ikev1.proofs import HashProof, Proof
from vpnengine.ikev1.signature_proof import SignatureProof
from vpnengine.ikev1.states import Role
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import Payloads
from vpnengine.isakmp.payloads import Identification, Payload

IDENTITY_PORTS = {0, 500, 4500}


@dataclass(frozen=True)
class Method:
    """One value of the authentication method attribute (RFC 2409 appendix A).

    ``skeyid`` makes SKEYID from the SA and g^xy; ``initiator`` and ``responder`` are the proofs
    that those ends give. ``hash`` takes the place of the negotiated one in HASH_I and HASH_R.
    ``client`` is the end that shows a user's password after phase 1.
    """

    number: int
    skeyid: Callable[[IsakmpSa, Secret], Secret]
    initiator: Proof
    responder: Proof
    hash: IkeHash | None = None
    client: Role | None = None

    def proof_of(self, role: Role) -> Proof:
        """The proof that this end gives."""
        return self.initiator if role is Role.INITIATOR else self.responder


def psk_skeyid(sa: IsakmpSa, shared: Secret) -> Secret:
    """SKEYID of pre-shared key authentication."""
    assert sa.proposal is not None  # noqa: S101 - the state tables see to it
    assert sa.peer.psk is not None  # noqa: S101 - acceptable() sees to it
    return keys.skeyid_psk(sa.proposal.hash, sa.peer.psk, (sa.nonce_i, sa.nonce_r))


def signature_skeyid(sa: IsakmpSa, shared: Secret) -> Secret:
    """SKEYID of authentication with signatures: no secret but g^xy is in it."""
    assert sa.proposal is not None  # noqa: S101 - the state tables see to it
    return keys.skeyid_signature(sa.proposal.hash, shared, (sa.nonce_i, sa.nonce_r))


def _signatures(number: int, kind: KeyKind) -> Method:
    proof = SignatureProof(kind)
    return Method(number, signature_skeyid, proof, proof, kind.hash)


def _hybrid(number: int, client: Role) -> Method:
    """Only the gateway signs; what the client gives is no proof before its user has shown a password.

    HASH of the client is keyed by SKEYID, which both ends have made from g^xy
    (draft-ietf-ipsec-isakmp-hybrid-auth-05 section 3.2).
    """
    signed, hashed = SignatureProof(KeyKind.RSA), HashProof()
    initiator, responder = (hashed, signed) if client is Role.INITIATOR else (signed, hashed)
    return Method(number, signature_skeyid, initiator, responder, client=client)


def _with_user(number: int, like: Method, client: Role) -> Method:
    """A method after which one end shows a user's password."""
    return replace(like, number=number, client=client)


SIGNATURES = {
    KeyKind.RSA: c.AUTH_RSA,
    KeyKind.ECDSA_256: c.AUTH_ECDSA_256,
    KeyKind.ECDSA_384: c.AUTH_ECDSA_384,
    KeyKind.ECDSA_521: c.AUTH_ECDSA_521,
}
_PSK = Method(c.AUTH_PSK, psk_skeyid, HashProof(), HashProof())
_RSA = _signatures(c.AUTH_RSA, KeyKind.RSA)
METHODS: dict[int, Method] = {
    m.number: m
    for m in (
        _PSK,
        *(_signatures(number, kind) for kind, number in SIGNATURES.items()),
        _with_user(c.AUTH_XAUTH_INIT_PSK, _PSK, Role.INITIATOR),
        _with_user(c.AUTH_XAUTH_RESP_PSK, _PSK, Role.RESPONDER),
        _with_user(c.AUTH_XAUTH_INIT_RSA, _RSA, Role.INITIATOR),
        _with_user(c.AUTH_XAUTH_RESP_RSA, _RSA, Role.RESPONDER),
        _hybrid(c.AUTH_HYBRID_INIT_RSA, Role.INITIATOR),
        _hybrid(c.AUTH_HYBRID_RESP_RSA, Role.RESPONDER),
    )
}
_WITH_USER = {
    (c.AUTH_PSK, Role.INITIATOR): c.AUTH_XAUTH_INIT_PSK,
    (c.AUTH_PSK, Role.RESPONDER): c.AUTH_XAUTH_RESP_PSK,
    (c.AUTH_RSA, Role.INITIATOR): c.AUTH_XAUTH_INIT_RSA,
    (c.AUTH_RSA, Role.RESPONDER): c.AUTH_XAUTH_RESP_RSA,
}


def acceptable(peer: Peer, role: Role) -> tuple[int, ...]:
    """The methods that are offered to a peer if we are the initiator, or accepted from it if we are the responder."""
    xauth = peer.config.xauth
    client = role if xauth is not None and xauth.role == "client" else other(role)
    if peer.config.authentication == "hybrid":
        return (c.AUTH_HYBRID_INIT_RSA if client is Role.INITIATOR else c.AUTH_HYBRID_RESP_RSA,)
    number = c.AUTH_PSK if peer.credentials is None else SIGNATURES[peer.credentials.signing_key.kind]
    if xauth is None:
        return (number,)
    found = _WITH_USER.get((number, client))
    return (found,) if found is not None else ()


def method(sa: IsakmpSa) -> Method:
    """The agreed method of an SA."""
    return METHODS[sa.method]


def other(role: Role) -> Role:
    """The other end."""
    return Role.RESPONDER if role is Role.INITIATOR else Role.INITIATOR


def skeyid(sa: IsakmpSa, shared: Secret) -> Secret:
    """SKEYID of an SA, whose nonces are known."""
    return method(sa).skeyid(sa, shared)


def requests(core: Core, sa: IsakmpSa) -> list[Payload]:
    """What is sent next to our KE payload so that the other end can prove itself."""
    return method(sa).proof_of(other(sa.role)).requests(core, sa)


def requested(core: Core, sa: IsakmpSa, payloads: Payloads) -> None:
    """Note what the other end asks of us."""
    method(sa).proof_of(sa.role).requested(core, sa, payloads)


def identify(sa: IsakmpSa) -> Identification:
    """Our ID payload."""
    identity = method(sa).proof_of(sa.role).identity(sa)
    sa.local_identity, sa.own_id = describe_identity(identity), identity
    return identity


def prove(core: Core, sa: IsakmpSa) -> list[Payload]:
    """Our proof of the identity that ``identify`` gave.

    :raises Fault: if this end cannot prove itself.
    """
    assert sa.own_id is not None  # noqa: S101 - identify() comes first
    digest = auth_hash(sa, sa.role, sa.own_id.body())
    return method(sa).proof_of(sa.role).prove(core, sa, sa.own_id, digest)


def claim(sa: IsakmpSa, payloads: Payloads) -> None:
    """Note who the other end says it is; nothing is proven yet.

    :raises DecodeError: if the ID payload is missing or doubled, or no ID for phase 1.
    """
    identity = payloads.only(Identification, "ID")
    if identity.protocol not in (0, 17) or identity.port not in IDENTITY_PORTS:
        raise DecodeError(0, "ID", f"protocol {identity.protocol}, port {identity.port} in phase 1")
    sa.claimed_id, sa.claimed_body = identity, payloads.body_of(Identification)


def verify(core: Core, sa: IsakmpSa, payloads: Payloads) -> None:
    """Check the other end's proof first, then its identity. A certificate is judged with its names in the proof.

    So the row that the identity chooses is needed before a certificate, and not before a hash, which is the same for
    all rows that share the secret.

    :raises DecodeError: if a payload is missing or doubled.
    :raises Fault: if the proof is wrong, or it proves somebody else.
    """
    hashed = isinstance(method(sa).proof_of(other(sa.role)), HashProof)
    if hashed:
        verify_proof(core, sa, payloads)
    if sa.role is Role.RESPONDER and sa.claimed_id is not None:
        selection.settle(core, sa, sa.claimed_id)
    if not hashed:
        verify_proof(core, sa, payloads)
    check_identity(sa)


def verify_proof(core: Core, sa: IsakmpSa, payloads: Payloads) -> None:
    """Check the other end's proof of the claimed identity.

    :raises DecodeError: if a payload is missing or doubled.
    :raises Fault: if the proof is wrong.
    """
    assert sa.claimed_id is not None  # noqa: S101 - claim() comes first
    digest = auth_hash(sa, other(sa.role), sa.claimed_body)
    method(sa).proof_of(other(sa.role)).verify(core, sa, payloads, sa.claimed_id, digest)


def check_identity(sa: IsakmpSa) -> None:
    """The peer has proven its identity: is it the one that is expected?

    :raises LocalConfigFault: if it is not.
    """
    identity = sa.claimed_id
    assert identity is not None  # noqa: S101 - claim() comes first
    sa.remote_identity = describe_identity(identity)
    expected = sa.peer.config.remote_identity
    if expected is None or sa.peer_certificates or same_identity(identity, expected):
        return
    wanted = f"{expected.type} {expected.value}"
    raise LocalConfigFault(
        "ike.phase1.identity",
        got=sa.remote_identity,
        expected=wanted,
        hint=f"Change the field Remote identity to “{sa.remote_identity}”, or the peer's local identity to “{wanted}”.",
        evidence={"received": sa.remote_identity, "expected": wanted},
        notify=c.Notify.INVALID_ID_INFORMATION,
    )


def auth_hash(sa: IsakmpSa, proves: Role, id_body: bytes) -> bytes:
    """HASH_I or HASH_R of the end that proves itself (RFC 2409 section 5, RFC 4754 section 4)."""
    phase1, proposal = channel.agreed(sa)
    publics, cookies = (sa.public_i, sa.public_r), sa.initiator_cookie + sa.responder_cookie
    if proves is Role.RESPONDER:
        publics, cookies = (sa.public_r, sa.public_i), sa.responder_cookie + sa.initiator_cookie
    return keys.auth_hash(method(sa).hash or proposal.hash, phase1, publics, cookies, sa.sa_body + id_body)
