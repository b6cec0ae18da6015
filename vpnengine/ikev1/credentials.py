"""What this side proves itself with, and whom it believes: read from a peer's configuration once."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from vpnengine.contract.config import EngineConfig, PeerConfig
from vpnengine.contract.identity import Identity, IdentityType
from vpnengine.contract.problems import Problem, Refused
from vpnengine.crypto.signatures import KeyKind, KeyProblem, PrivateKey, load_private_key
from vpnengine.crypto.x509 import Certificate, CertificateProblem, load_certificates, load_crls
from vpnengine.crypto.x509_path import Trust

_METHOD_KINDS = {
    "rsa": (KeyKind.RSA,),
    "ecdsa": (KeyKind.ECDSA_256, KeyKind.ECDSA_384, KeyKind.ECDSA_521),
    "hybrid": (KeyKind.RSA,),
}


@dataclass(frozen=True)
class Credentials:
    """The certificates and the key of this side, own certificate first, and the trusted CAs.

    In hybrid authentication a client has no certificate, and a server trusts no CA.
    """

    chain: tuple[Certificate, ...]
    key: PrivateKey | None
    trust: Trust

    @property
    def own(self) -> Certificate:
        """This side's certificate."""
        return self.chain[0]

    @property
    def signing_key(self) -> PrivateKey:
        """This side's key, where the method has it sign."""
        assert self.key is not None  # noqa: S101 - the methods see to it
        return self.key


def load_credentials(config: PeerConfig) -> Credentials | None:
    """None for a peer that is authenticated by a pre-shared secret.

    :raises Refused: naming the field, with a sentence that repeats nothing of a key.
    """
    if config.authentication == "psk":
        return None
    chain: tuple[Certificate, ...] = ()
    key = None
    if config.signs:
        chain = _certificates("certificate", config.certificate or "")
        key = _private_key(config.private_key.get_secret_value() if config.private_key else "")
        _check_own(chain[0], key, config)
    anchors = tuple(found for pem in config.trusted_cas for found in _certificates("trusted_cas", pem))
    for anchor in anchors:
        _check_anchor(anchor)
    try:
        crls = load_crls(config.crl) if config.crl else ()
    except CertificateProblem as problem:
        raise _refused("crl", str(problem)) from None
    return Credentials(chain, key, Trust(anchors, crls))


def credential_problems(config: EngineConfig) -> list[Problem]:
    """Everything that keeps a peer of this document from proving itself or being believed."""
    found = []
    for index, peer in enumerate(config.peers):
        try:
            load_credentials(peer)
        except Refused as refused:
            found += [p.model_copy(update={"field": f"peers.{index}.{p.field}"}) for p in refused.problems]
    return found


def certifies(certificate: Certificate, identity: Identity) -> bool:
    """True if a certificate says that its holder has this identity (RFC 4945 section 3.1)."""
    value = identity.value.lower().rstrip(".")
    match identity.type:
        case IdentityType.IPV4 | IdentityType.IPV6:
            return str(ipaddress.ip_address(identity.value)) in certificate.names.addresses
        case IdentityType.FQDN:
            return value in certificate.names.dns
        case IdentityType.USER_FQDN:
            return value in certificate.names.mail
        case IdentityType.DN:
            return certificate.subject.is_written(identity.value)
        case _:
            return False


def _check_own(own: Certificate, key: PrivateKey, config: PeerConfig) -> None:
    if own.key is None:
        raise _refused("certificate", f"this certificate cannot be used: {own.key_problem}")
    if not own.key.same(key.public):
        raise _refused("private_key", f"this key does not belong to the certificate of “{own.subject}”")
    if key.kind not in _METHOD_KINDS[config.authentication]:
        sentence = f"authentication by {config.authentication} needs another key; the certificate has one of {key.kind}"
        raise _refused("authentication", sentence)
    try:
        own.check_form()
        own.check_end()
    except CertificateProblem as problem:
        raise _refused("certificate", f"other gateways will refuse it: {problem}") from None
    identity = config.local_identity
    if identity is not None and not certifies(own, identity):
        sentence = (
            f"the certificate does not say “{identity.value}”, so no peer would believe it; it is for “{own.subject}”, "
            f"alternative names: {own.names}"
        )
        raise _refused("local_identity", sentence)


def _check_anchor(anchor: Certificate) -> None:
    """A CA, or a single certificate that is trusted by itself."""
    try:
        anchor.check_form()
    except CertificateProblem as problem:
        raise _refused("trusted_cas", str(problem)) from None
    if anchor.is_ca and not anchor.signs_certificates:
        raise _refused("trusted_cas", f"the key usage of “{anchor.subject}” does not allow it to issue certificates")


def _certificates(field: str, pem: str) -> tuple[Certificate, ...]:
    try:
        return load_certificates(pem)
    except CertificateProblem as problem:
        raise _refused(field, str(problem)) from None


def _private_key(pem: str) -> PrivateKey:
    try:
        return load_private_key(pem)
    except KeyProblem as problem:
        raise _refused("private_key", str(problem)) from None


def _refused(field: str, sentence: str) -> Refused:
    return Refused([Problem(field=field, rule="certificate", message=sentence)])
