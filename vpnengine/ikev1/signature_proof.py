"""Proof by a digital signature and a certificate (RFC 2409 section 5.1, RFC 4754, RFC 4945).

What the peer sends is judged in this order: does the signature fit the certificate, does the
certificate lead to a trusted CA now, does it say the identity that the peer sends, and is
that peer the one who is expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vpnengine.contract.identity import Identity, IdentityType
from vpnengine.crypto.signatures import KeyKind
from vpnengine.crypto.x509 import Certificate, CertificateProblem, Reason, when
from vpnengine.crypto.x509_path import validate
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.credentials import Credentials, certifies
from vpnengine.ikev1.faults import Fault, LocalConfigFault, MismatchFault, PeerFault
from vpnengine.ikev1.identities import build_identity, describe_identity, identity_name, name_identity
from vpnengine.ikev1.model import IsakmpSa
from vpnengine.ikev1.proofs import Proof
from vpnengine.ikev1.states import Role
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import Payloads
from vpnengine.isakmp.payloads import CertificateData, CertificateRequest, Identification, Payload, Signature

MAX_CERTIFICATES = 16
MAX_REQUESTS = 16
MAX_TEXT = 256
_X509 = c.CertEncoding.X509_SIGNATURE


@dataclass(frozen=True)
class _Verdict:
    """How a reason becomes a fault."""

    fault: type[Fault]
    code: str
    notify: c.Notify
    clock: bool = False


_VERDICTS = {
    Reason.EXPIRED: _Verdict(PeerFault, "ike.phase1.certificate.expired", c.Notify.INVALID_CERTIFICATE, True),
    Reason.NOT_YET_VALID: _Verdict(
        MismatchFault, "ike.phase1.certificate.not_yet_valid", c.Notify.INVALID_CERTIFICATE, True
    ),
    Reason.UNKNOWN_CA: _Verdict(LocalConfigFault, "ike.phase1.certificate.unknown_ca", c.Notify.INVALID_CERT_AUTHORITY),
    Reason.REVOKED: _Verdict(PeerFault, "ike.phase1.certificate.revoked", c.Notify.INVALID_CERTIFICATE),
    Reason.CRL: _Verdict(LocalConfigFault, "ike.phase1.certificate.crl", c.Notify.INVALID_CERTIFICATE, True),
    Reason.WEAK: _Verdict(PeerFault, "ike.phase1.certificate.weak", c.Notify.INVALID_CERTIFICATE),
    Reason.PURPOSE: _Verdict(PeerFault, "ike.phase1.certificate.invalid", c.Notify.INVALID_CERTIFICATE),
    Reason.MALFORMED: _Verdict(PeerFault, "ike.phase1.certificate.invalid", c.Notify.INVALID_CERT_ENCODING),
}


class SignatureProof(Proof):
    """A signature over HASH_I or HASH_R with a key of one kind."""

    def __init__(self, kind: KeyKind) -> None:
        self.kind = kind

    def requests(self, core: Core, sa: IsakmpSa) -> list[Payload]:
        """A certificate request for each trusted CA (RFC 2408 section 3.10)."""
        names = dict.fromkeys(a.subject.der for a in credentials(sa).trust.anchors if a.is_ca)
        return [CertificateRequest(_X509, name) for name in [*names][:MAX_REQUESTS]] or [CertificateRequest(_X509, b"")]

    def requested(self, core: Core, sa: IsakmpSa, payloads: Payloads) -> None:
        """Remember which CAs the peer trusts, as evidence if it refuses us."""
        for request in payloads.all(CertificateRequest):
            name = identity_name(Identification(c.IdType.DER_ASN1_DN, 0, 0, request.data))
            known = any(name is not None and name.same(ca) for ca in sa.wanted_cas)
            if request.encoding == _X509 and name is not None and not known and len(sa.wanted_cas) < MAX_REQUESTS:
                sa.wanted_cas.append(name)

    def identity(self, sa: IsakmpSa) -> Identification:
        """The configured identity, else the subject of our certificate."""
        configured = sa.peer.config.local_identity
        own = credentials(sa).own
        if configured is None or (configured.type is IdentityType.DN and own.subject.is_written(configured.value)):
            return name_identity(own.subject)
        return build_identity(configured, sa.local.host)

    def prove(self, core: Core, sa: IsakmpSa, identity: Identification, digest: bytes) -> list[Payload]:
        """Our certificate, the CAs between it and a root, and the signature.

        A certificate that is out of its time is sent all the same: the peer's clock decides.
        """
        mine = credentials(sa)
        try:
            mine.own.check_time(core.wall_clock())
        except CertificateProblem as problem:
            if not core.quiet("ike.phase1.certificate.own", sa.peer.id, sa.peer):
                evidence = _evidence(problem, core.wall_clock())
                core.emit("ike.phase1.certificate.own", sa=sa, problem=problem, evidence=evidence)
        chain = [mine.own, *(link for link in mine.chain[1:] if not link.self_issued)]
        return [*(CertificateData(_X509, link.der) for link in chain), Signature(mine.signing_key.sign(digest))]

    def verify(self, core: Core, sa: IsakmpSa, payloads: Payloads, identity: Identification, digest: bytes) -> None:
        """Check signature, certificate and names.

        :raises DecodeError: if there is not exactly one signature, or there are too many certificates.
        :raises Fault: naming the side that has something to mend.
        """
        signature = payloads.only(Signature, "SIGNATURE").data
        trust = credentials(sa).trust
        sent = _certificates(payloads)
        end = self._signer([*sent, *(a for a in trust.anchors if not a.is_ca)], digest, signature)
        now = core.wall_clock()
        try:
            path = validate(end, [link for link in sent if link.der != end.der], trust, now)
        except CertificateProblem as problem:
            raise certificate_fault(problem, now) from None
        _check_names(sa, identity, end)
        sa.peer_certificates = path
        core.emit(
            "ike.phase1.certificate.accepted",
            sa=sa,
            subject=_short(end.subject),
            issuer=_short(end.issuer),
            evidence={"alternative names": _short(end.names), "valid until": when(end.not_after)},
        )

    def _signer(self, candidates: Sequence[Certificate], digest: bytes, signature: bytes) -> Certificate:
        """The certificate whose key has made the signature; those that are no CA come first."""
        ordered = sorted(candidates, key=lambda one: one.is_ca)
        for candidate in ordered:
            key = candidate.key
            if key is not None and key.kind is self.kind and key.verify(digest, signature):
                return candidate
        if not ordered:
            raise PeerFault("ike.phase1.certificate.missing", notify=c.Notify.CERTIFICATE_UNAVAILABLE)
        first = ordered[0]
        if first.key is None:
            problem = CertificateProblem(Reason.WEAK, f"the key of “{_short(first.subject)}”: {first.key_problem}")
            raise certificate_fault(problem, 0.0)
        evidence = {"certificate": _short(first.subject), "key": first.key.kind.value, "agreed": self.kind.value}
        raise PeerFault("ike.phase1.certificate.signature", evidence=evidence, notify=c.Notify.AUTHENTICATION_FAILED)


def credentials(sa: IsakmpSa) -> Credentials:
    """The credentials of a peer whose method needs them; ``authentication.acceptable`` sees to it."""
    found = sa.peer.credentials
    assert found is not None  # noqa: S101
    return found


def certificate_fault(problem: CertificateProblem, now: float) -> Fault:
    """A refused certificate as a fault that names the side to mend."""
    verdict = _VERDICTS[problem.reason]
    evidence = _evidence(problem, now if verdict.clock else None)
    return verdict.fault(
        verdict.code,
        problem=_short(problem),
        hint=_hint(problem, now),
        evidence=evidence,
        notify=verdict.notify,
    )


def still_valid(core: Core, sa: IsakmpSa) -> Fault | None:
    """Why the certificate that the peer has proven itself with is refused now; None if it is not."""
    end, *others = sa.peer_certificates
    now = core.wall_clock()
    try:
        validate(end, others, credentials(sa).trust, now)
    except CertificateProblem as problem:
        return certificate_fault(problem, now)
    return None


def refusal(sa: IsakmpSa, name: str) -> tuple[str, dict[str, str]]:
    """Hint and evidence when the peer refuses our certificate with the notification ``name``."""
    chain = credentials(sa).chain
    shown, issuer = _short(chain[0].subject), _short(chain[-1].issuer)
    evidence = {"identity sent": sa.local_identity, "certificate": shown, "issuer": issuer, "answer": name}
    hint = f"The peer refuses this side's certificate of “{shown}”, issued by “{issuer}”, or its identity ({name})."
    wanted = _short("; ".join(map(str, sa.wanted_cas)))
    if wanted:
        evidence["CAs that the peer trusts"] = wanted
    if wanted and not any(ca.same(link.issuer) for ca in sa.wanted_cas for link in chain):
        asks = f"It asks for one of {wanted}: put such a certificate into the field Certificate, with the CAs between."
        return f"{hint} {asks}", evidence
    if sa.method in c.HYBRID_METHODS and sa.role is Role.INITIATOR:
        hint += " Many gateways know hybrid authentication only where the user's side begins: let the peer begin."
    return (
        f"{hint} Compare the field Local identity with what the peer expects, and the dates of the certificate with "
        "the peer's clock; the peer's log says what it refused."
    ), evidence


def _evidence(problem: CertificateProblem, now: float | None) -> dict[str, str]:
    evidence = {name.replace("_", " "): _short(value) for name, value in problem.evidence.items()}
    return evidence if now is None else evidence | {"clock here": when(now)}


def _hint(problem: CertificateProblem, now: float) -> str | None:
    sentence = _short(problem)
    sentence = sentence[:1].upper() + sentence[1:]
    match problem.reason:
        case Reason.EXPIRED:
            return f"{sentence}; the clock here says {when(now)}. If that is right, the peer needs a new certificate."
        case Reason.NOT_YET_VALID:
            return f"{sentence}, and the clock here says {when(now)}. Correct this appliance's date and time if wrong."
        case Reason.UNKNOWN_CA:
            missing = _short(problem.evidence.get("missing_issuer", ""))
            return f"{sentence}. If you trust “{missing}”, add its certificate to the field Trusted CAs."
        case Reason.CRL:
            return f"{sentence}. Put the CA's present list into the field Revocation list, or empty the field."
        case _:
            return None


def _certificates(payloads: Payloads) -> list[Certificate]:
    """The X.509 certificates that were sent. Other encodings, PKCS#7 and CRLs among them, are left aside.

    :raises Fault: if one cannot be read.
    """
    sent = [p for p in payloads.all(CertificateData) if p.encoding == _X509]
    if len(sent) > MAX_CERTIFICATES:
        raise DecodeError(0, "CERT", f"more than {MAX_CERTIFICATES} certificates")
    try:
        return [Certificate.from_der(payload.data) for payload in sent]
    except CertificateProblem as problem:
        raise certificate_fault(problem, 0.0) from None


def _check_names(sa: IsakmpSa, identity: Identification, end: Certificate) -> None:
    """The certificate says who the peer says it is, and that is who we expect.

    Which of its names the peer sends does not matter, as long as the certificate says the
    expected one: gateways are often asked for a host name and send their subject.
    """
    got = f"“{_short(end.subject)}”, alternative names: {_short(end.names)}"
    evidence = {"identity": _short(describe_identity(identity)), "certificate": got}
    if not _says(end, identity):
        raise PeerFault(
            "ike.phase1.certificate.identity",
            got=evidence["identity"],
            evidence=evidence,
            notify=c.Notify.INVALID_ID_INFORMATION,
        )
    expected = _expected(sa)
    if any(certifies(end, one) for one in expected):
        return
    wanted = " or ".join(f"{one.type} {one.value}" for one in expected)
    raise LocalConfigFault(
        "ike.phase1.certificate.name",
        got=got,
        expected=wanted,
        hint=f"Change the field Remote identity to one of the names in the peer's certificate ({got}), if that is the "
        "gateway you mean.",
        evidence=evidence | {"expected": wanted},
        notify=c.Notify.AUTHENTICATION_FAILED,
    )


def _says(end: Certificate, identity: Identification) -> bool:
    """True if the certificate holds the identity of an ID payload."""
    name = identity_name(identity)
    if name is not None:
        return name.same(end.subject)
    kind, _, value = describe_identity(identity).partition(" ")
    if kind not in (IdentityType.IPV4, IdentityType.IPV6, IdentityType.FQDN, IdentityType.USER_FQDN):
        return False
    try:
        return certifies(end, Identity(type=IdentityType(kind), value=value))
    except ValueError:
        return False


def _expected(sa: IsakmpSa) -> list[Identity]:
    """The configured identity; without one, the address or the host name that the peer is reached at."""
    config = sa.peer.config
    if config.remote_identity is not None:
        return [config.remote_identity]
    if ":" in config.remote:
        return [Identity(type=IdentityType.IPV6, value=config.remote)]
    if config.remote.replace(".", "").isdigit():
        return [Identity(type=IdentityType.IPV4, value=config.remote)]
    return [Identity(type=IdentityType.FQDN, value=config.remote)]


def _short(text: object) -> str:
    """What a stranger may put into the log is bounded."""
    long = str(text)
    return long if len(long) <= MAX_TEXT else long[: MAX_TEXT - 1] + "…"
