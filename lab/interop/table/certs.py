"""Certificates: RSA and ECDSA, chains, fragments, aggressive mode, and everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from cryptography.x509.oid import ExtendedKeyUsageOID

from lab.interop import life, messages, pki
from lab.interop.model import BOTH, Finding, Role, Scenario
from lab.interop.scripts import broken, tunnel
from lab.wire import Weather

_SMALL = "retransmit_tries = 3\n  retransmit_timeout = 0.7\n  retransmit_base = 1.3\n  fragment_size = 600"
_FORCED = {"fragmentation": "force"}

ROWS = (
    Scenario(
        "cert-rsa",
        "net2net-cert",
        tunnel,
        credentials=pki.usual,
        options={"messages": messages.main("KE No ", "KE No CERTREQ ", "ID CERT SIG ", "ID CERT SIG ")},
    ),
    Scenario("cert-rsa-by-subject", "rw-cert", tunnel, credentials=pki.by_subject),
    Scenario("cert-rsa-four-pairs", "net2net-cert", tunnel, subnets=2, credentials=pki.usual),
    Scenario("cert-rsa-chain", "multi-level-ca", tunnel, credentials=pki.chained),
    Scenario("cert-rsa-3072", "net2net-cert", tunnel, credentials=partial(pki.usual, "rsa3072")),
    Scenario("cert-rsa-nat", "nat-rw", tunnel, (Role.INITIATOR,), "nat", credentials=pki.usual),
    Scenario("cert-rsa-double-nat", "double-nat", tunnel, BOTH, "double-nat", credentials=pki.usual),
    Scenario("cert-rsa-ipv6", "ipv6/net2net-ikev1", tunnel, BOTH, "direct6", credentials=pki.usual),
    Scenario("cert-rsa-rekey-phase1", "reauth", life.rekey_phase1, credentials=pki.usual),
    *(
        Scenario(
            f"cert-ecdsa-{kind}",
            "ecdsa-certs",
            tunnel,
            credentials=partial(pki.usual, kind),
            options={"see": {"authentication": f"ecdsa-{bits}"}, "log": "with ECDSA_WITH_NULL successful"},
        )
        for kind, bits in (("p256", 256), ("p384", 384), ("p521", 521))
    ),
    Scenario(
        "cert-fragments-600",
        "fragmentation",
        tunnel,
        credentials=pki.chained,
        ours={"fragmentation": "force", "fragment_size": 600},
        theirs=_FORCED,
        options={"charon": _SMALL},
    ),
    Scenario(
        "cert-aggressive",
        "rw-cert-aggressive",
        tunnel,
        credentials=pki.usual,
        ours={"exchange": "aggressive"},
        theirs={"aggressive": "yes"},
        options={"see": {"exchange": "aggressive"}},
    ),
    Scenario(
        "cert-aggressive-fragments",
        "rw-cert-aggressive",
        tunnel,
        credentials=pki.chained,
        ours={"exchange": "aggressive"},
        theirs={"aggressive": "yes"} | _FORCED,
        options={
            "charon": _SMALL,
            "log": {
                Role.INITIATOR: r"generating AGGRESSIVE response 0 \[ FRAG\(2",
                Role.RESPONDER: r"parsed AGGRESSIVE response 0 \[ FRAG\(2",
            },
        },
    ),
    Scenario(
        "cert-fragments-in-disorder",
        "fragmentation",
        life.converges,
        BOTH,
        "wire",
        credentials=pki.chained,
        ours={"fragmentation": "force", "fragment_size": 600},
        theirs=_FORCED,
        options={
            "charon": _SMALL,
            "weather": Weather(reorder=40, duplicate=30),
            "seconds": 20,
            "log": r"parsed ID_PROT (request|response) 0 \[ FRAG\(2",
        },
    ),
)


def _broken(name: str, kin: str, credentials: object, code: str, side: str, hint: str, **more: object) -> Scenario:
    finding = Finding(f"ike.phase1.certificate.{code}", side, hint)
    roles = more.pop("roles", BOTH)
    found = dict.fromkeys(roles, finding)  # type: ignore[call-overload]
    return Scenario(f"broken-cert-{name}", kin, broken, roles, credentials=credentials, found=found, **more)  # type: ignore[arg-type]


def _told(*arguments: object) -> Scenario:
    """We refuse the peer's certificate, which it can read: with signatures the keys are the same at both ends."""
    options = {"messages": messages.refusal(messages.WE, "(INVAL_CERT|INVAL_CA|AUTH_FAILED)")}
    return _broken(*arguments, options=options)  # type: ignore[arg-type]


def _expired() -> pki.Credentials:
    return pki.credentials(pki.certificate(pki.SUN), pki.certificate(pki.MOON, days=(-300, -2)))


def _not_yet() -> pki.Credentials:
    return pki.credentials(pki.certificate(pki.SUN), pki.certificate(pki.MOON, days=(2, 300)))


def _ours_expired() -> pki.Credentials:
    return pki.credentials(pki.certificate(pki.SUN, days=(-300, -2)), pki.certificate(pki.MOON))


def _other_name() -> pki.Credentials:
    wrong = {"type": "fqdn", "value": "mars.example.com"}
    return pki.usual(remote_identity=wrong)


def _unknown_ca() -> pki.Credentials:
    return pki.usual(trusted_cas=[pki.authority("Somebody")])


def _revoked() -> pki.Credentials:
    return pki.usual(crl=pki.revocations(pki.certificate(pki.MOON, "rsa2048").serial))


def _stale_crl() -> pki.Credentials:
    return pki.usual(crl=pki.revocations(1, -1))


def _of_the_peer(**changes: Any) -> Callable[[], pki.Credentials]:
    """The peer's certificate is another one."""
    return lambda: pki.credentials(pki.certificate(pki.SUN), pki.certificate(pki.MOON, **changes))


def _without_the_name() -> pki.Credentials:
    """The peer's certificate does not say its name; charon then sends its subject."""
    theirs = pki.certificate(pki.MOON, name="mars.example.com")
    made = pki.credentials(pki.certificate(pki.SUN), theirs)
    return pki.at_the_peer(made, local={"auth": "pubkey", "certs": [theirs.pem]})


def _incomplete() -> pki.Credentials:
    """The peer has a CA between its certificate and the root, and does not send it."""
    made = pki.credentials(pki.certificate(pki.SUN), pki.certificate(pki.MOON, issuer="Middle"))
    return pki.at_the_peer(made, *made.secrets[:2])


def _other_key() -> pki.Credentials:
    """The peer's private key is not that of its certificate."""
    made = pki.usual()
    other = {"kind": "key", "type": "any", "data": pki.certificate("mars.example.com").key}
    return pki.at_the_peer(made, other, made.secrets[1])


def _peer_trusts_another_ca() -> pki.Credentials:
    """Our certificate is from a CA that the peer does not know; the peer's own is good."""
    made = pki.usual()
    stranger = {"kind": "cert", "type": "X509", "flag": "CA", "data": pki.authority("Somebody")}
    return pki.at_the_peer(made, made.secrets[0], stranger)


def _peer_expects_another() -> pki.Credentials:
    return pki.at_the_peer(pki.usual(), remote={"auth": "pubkey", "id": "mars.example.com"})


def _peer_has_revoked_ours() -> pki.Credentials:
    made = pki.usual()
    crl = pki.revocations(pki.certificate(pki.SUN, "rsa2048").serial)
    return pki.at_the_peer(made, *made.secrets, {"kind": "cert", "type": "X509_CRL", "flag": "NONE", "data": crl})


def _ours_incomplete() -> pki.Credentials:
    made = pki.credentials(pki.certificate(pki.SUN, issuer="Middle"), pki.certificate(pki.MOON))
    return pki.Credentials(
        {**made.ours, "certificate": pki.certificate(pki.SUN, issuer="Middle").pem}, made.theirs, made.secrets
    )


def _refused(name: str, kin: str, credentials: object, hint: str) -> Scenario:
    """The peer does not accept ours: as responder it says so, as initiator it only deletes what stands."""
    found = {
        Role.INITIATOR: Finding("ike.phase1.certificate.refused", "peer", hint),
        Role.RESPONDER: Finding("ike.phase1.dropped", "peer", hint),
    }
    return Scenario(f"broken-cert-{name}", kin, broken, BOTH, credentials=credentials, found=found)  # type: ignore[arg-type]


_MAIL = ExtendedKeyUsageOID.EMAIL_PROTECTION
_AGGRESSIVE: dict[str, Any] = {"ours": {"exchange": "aggressive"}, "theirs": {"aggressive": "yes"}}

BREAKAGES = (
    _told("stale-crl", "crl-from-cache", _stale_crl, "crl", "local", "Revocation list"),
    _told("without-the-name", "x509-id", _without_the_name, "name", "local", "mars.example.com"),
    _told("weak-key", "x509-weak", _of_the_peer(kind="rsa1024"), "weak", "peer", "what is weak can be forged"),
    _told("other-purpose", "x509-usage", _of_the_peer(purpose=_MAIL), "invalid", "peer", "Nothing on this side"),
    _told("chain-incomplete", "multi-level-ca", _incomplete, "unknown_ca", "local", "CN=Middle"),
    _broken("peers-key-missing", "x509-key", _other_key, "refused", "peer", "Local identity", roles=(Role.INITIATOR,)),
    _refused("ours-unknown-ca", "multi-level-ca", _peer_trusts_another_ca, "It asks for one of"),
    _refused("ours-other-name", "x509-id", _peer_expects_another, "Local identity"),
    _refused("ours-revoked", "crl-revoked", _peer_has_revoked_ours, "the peer's log says"),
    _refused("ours-chain-incomplete", "multi-level-ca", _ours_incomplete, "with the CAs between"),
    _broken("aggressive-expired", "rw-cert-aggressive", _expired, "expired", "peer", "expired", **_AGGRESSIVE),
    _broken("aggressive-unknown-ca", "rw-cert-aggressive", _unknown_ca, "unknown_ca", "local", "CA", **_AGGRESSIVE),
    _broken("aggressive-other-name", "x509-id", _other_name, "name", "local", "Remote identity", **_AGGRESSIVE),
    _told("expired", "x509-expired", _expired, "expired", "peer", "expired"),
    _told("not-yet-valid", "x509-expired", _not_yet, "not_yet_valid", "unknown", "clock"),
    _told("other-name", "x509-id", _other_name, "name", "local", "Remote identity"),
    _told("unknown-ca", "multi-level-ca", _unknown_ca, "unknown_ca", "local", "CA"),
    _told("revoked", "crl-revoked", _revoked, "revoked", "peer", "Revocation list"),
    _broken("ours-expired", "x509-expired", _ours_expired, "own", "local", "new certificate"),
    Scenario(
        "broken-cert-ike-fragments-dropped",
        "fragmentation",
        broken,
        credentials=pki.chained,
        ours={"fragmentation": "force", "fragment_size": 600},
        theirs=_FORCED,
        # The next payload of an ISAKMP header behind the non-ESP marker is 132, a fragment.
        options={"charon": _SMALL, "block input": ("udp dport 4500 @th,224,8 132",)},
        found={
            Role.INITIATOR: Finding("ike.phase1.timeout", "unknown", "ragment"),
            Role.RESPONDER: Finding("ike.unheard", "path", "4500"),
        },
    ),
    Scenario(
        "broken-cert-ip-fragments-dropped",
        "fragmentation",
        broken,
        credentials=pki.chained,
        ours={"fragmentation": "off"},
        theirs={"fragmentation": "no"},
        options={"block prerouting": ("ip frag-off & 0x3fff != 0",)},
        found={
            Role.INITIATOR: Finding("ike.phase1.timeout", "unknown", "ragment"),
            Role.RESPONDER: Finding("ike.unheard", "path", "4500"),
        },
    ),
)
