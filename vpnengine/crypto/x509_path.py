"""From a peer's certificate to a trusted CA (RFC 5280 section 6), and what the certificate proves.

The verifier of the ``cryptography`` package follows the profile of web browsers: it wants a DNS
name or an address in each certificate and gives its refusals as prose. Gateways have
distinguished names, and an administrator has to be told which side has what to mend; so the
path is walked here, with the library's checks of names and signatures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from vpnengine.crypto.x509 import Certificate, CertificateProblem, Reason, RevocationList, when

MAX_DEPTH = 8
MAX_CHECKS = 64
# Of several failed ways, the one is reported that came nearest to a trusted CA.
_RANK = [
    Reason.REVOKED,
    Reason.CRL,
    Reason.EXPIRED,
    Reason.NOT_YET_VALID,
    Reason.WEAK,
    Reason.PURPOSE,
    Reason.MALFORMED,
    Reason.UNKNOWN_CA,
]


@dataclass(frozen=True)
class Trust:
    """Whom to trust: ``anchors`` are CAs, or single certificates that are trusted by themselves."""

    anchors: tuple[Certificate, ...]
    crls: tuple[RevocationList, ...] = ()


def validate(end: Certificate, others: Sequence[Certificate], trust: Trust, now: float) -> tuple[Certificate, ...]:
    """A valid path from ``end`` to an anchor, both included.

    ``others`` are the certificates that the peer sent along; they are trusted in nothing.
    ``now`` is seconds since 1970.

    :raises CertificateProblem: with the most telling reason.
    """
    end.check_form()
    end.check_time(now)
    end.check_end()
    if any(end.der == anchor.der for anchor in trust.anchors):
        return (end,)
    return _Search(others, trust, now).run(end)


class _Search:
    """Depth first over all issuers, bounded in depth and in signatures that are checked."""

    def __init__(self, others: Sequence[Certificate], trust: Trust, now: float) -> None:
        self._others = others
        self._trust = trust
        self._now = now
        self._checks = 0
        self._problems: list[CertificateProblem] = []

    def run(self, end: Certificate) -> tuple[Certificate, ...]:
        for path in self._paths((end,)):
            return path
        raise min(self._problems, key=lambda problem: _RANK.index(problem.reason))

    def _paths(self, path: tuple[Certificate, ...]) -> Iterator[tuple[Certificate, ...]]:
        child = path[-1]
        if child.weak_signature:
            sentence = f"“{child.subject}” is certified with {child.weak_signature}, which is not accepted as proof"
            evidence = {"subject": str(child.subject), "signature_hash": child.weak_signature}
            self._problems.append(CertificateProblem(Reason.WEAK, sentence, **evidence))
            return
        found = False
        for issuer, trusted in self._issuers(child, path):
            found = True
            try:
                self._check_issuer(issuer, path)
            except CertificateProblem as problem:
                self._problems.append(problem)
                continue
            if trusted:
                yield (*path, issuer)
            elif len(path) < MAX_DEPTH:
                yield from self._paths((*path, issuer))
            else:
                self._problems.append(self._orphan(issuer))
        if not found:
            self._problems.append(self._orphan(child))

    def _orphan(self, child: Certificate) -> CertificateProblem:
        sentence = f"“{child.subject}” was issued by “{child.issuer}”, which is not among the trusted CAs"
        if any(anchor.subject.der == child.issuer.der for anchor in self._trust.anchors):
            sentence = (
                f"“{child.subject}” names “{child.issuer}” as its issuer, but the trusted CA of that name has not "
                "signed it: the CA has another key now, or the certificate is forged"
            )
        evidence = {"subject": str(child.subject), "missing_issuer": str(child.issuer)}
        return CertificateProblem(Reason.UNKNOWN_CA, sentence, **evidence)

    def _issuers(self, child: Certificate, path: tuple[Certificate, ...]) -> Iterator[tuple[Certificate, bool]]:
        """Certificates whose key has signed ``child``; trusted ones first."""
        anchors = {anchor.der for anchor in self._trust.anchors}
        for candidate in (*self._trust.anchors, *(o for o in self._others if o.der not in anchors)):
            if candidate.subject.der != child.issuer.der or any(candidate.der == link.der for link in path):
                continue
            if self._checks >= MAX_CHECKS:
                return
            self._checks += 1
            if _has_signed(candidate, child):
                yield candidate, candidate.der in anchors

    def _check_issuer(self, issuer: Certificate, path: tuple[Certificate, ...]) -> None:
        """What RFC 5280 sections 6.1.3 and 6.1.4 ask of an issuer of ``path[-1]``."""
        subject = str(issuer.subject)
        issuer.check_form()
        if not issuer.is_ca or not issuer.signs_certificates:
            raise CertificateProblem(Reason.PURPOSE, f"“{subject}” is not a CA, but has issued a certificate")
        # Self-issued certificates do not count (section 4.2.1.9), nor does the end of the path.
        between = sum(not link.self_issued for link in path[1:])
        if issuer.pathlen is not None and between > issuer.pathlen:
            sentence = f"“{subject}” may have {issuer.pathlen} CAs below it; here there are {between}"
            raise CertificateProblem(Reason.PURPOSE, sentence, subject=subject)
        issuer.check_time(self._now)
        self._check_revoked(path[-1], issuer)

    def _check_revoked(self, child: Certificate, issuer: Certificate) -> None:
        """Ask the configured lists of this issuer; without one, nothing is known and nothing refused."""
        lists = [crl for crl in self._trust.crls if crl.issuer.der == issuer.subject.der]
        signed = [crl for crl in lists if crl.is_signed_by(issuer)]
        if lists and not signed:
            raise CertificateProblem(Reason.CRL, f"the revocation list of “{issuer.subject}” is not signed by it")
        for crl in signed:
            revoked = crl.revoked_since(child)
            if revoked is not None:
                sentence = f"the certificate of “{child.subject}” has been revoked since {when(revoked)}"
                evidence = {"subject": str(child.subject), "serial": f"{child.serial:x}", "since": when(revoked)}
                raise CertificateProblem(Reason.REVOKED, sentence, **evidence)
        if signed and not any(_is_fresh(crl, self._now) for crl in signed):
            newest = max(signed, key=lambda crl: crl.next_update or 0)
            until = when(newest.next_update or newest.this_update)
            sentence = f"the revocation list of “{issuer.subject}” is out of date: the next one was due at {until}"
            if newest.this_update > self._now:
                since = when(newest.this_update)
                sentence = f"the revocation list of “{issuer.subject}” is from {since}, which is in the future"
            raise CertificateProblem(Reason.CRL, sentence, issuer=str(issuer.subject), next_update=until)


def _is_fresh(crl: RevocationList, now: float) -> bool:
    return crl.this_update <= now and (crl.next_update is None or now <= crl.next_update)


def _has_signed(issuer: Certificate, child: Certificate) -> bool:
    try:
        child.parsed.verify_directly_issued_by(issuer.parsed)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True
