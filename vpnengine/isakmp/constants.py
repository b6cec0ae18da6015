"""Numbers on the wire: RFC 2407, RFC 2408, RFC 2409, RFC 3706, RFC 3947, RFC 4106, RFC 4868, RFC 5903."""

from __future__ import annotations

from enum import IntEnum, IntFlag

HEADER_LENGTH = 28
COOKIE_LENGTH = 8
VERSION_1_0 = 0x10
DOI_IPSEC = 1
DOI_ISAKMP = 0
SIT_IDENTITY_ONLY = 1


class Exchange(IntEnum):
    """Exchange types (RFC 2408 section 3.1, RFC 2409 appendix A)."""

    MAIN = 2
    AGGRESSIVE = 4
    INFORMATIONAL = 5
    TRANSACTION = 6
    QUICK = 32
    NEW_GROUP = 33


class Flag(IntFlag):
    """Header flags (RFC 2408 section 3.1)."""

    NONE = 0
    ENCRYPTION = 1
    COMMIT = 2
    AUTHENTICATION = 4


class PayloadType(IntEnum):
    """Payload types (RFC 2408 section 3.1, RFC 3947 section 3.2); those above 127 are of drafts and vendors."""

    NONE = 0
    SA = 1
    PROPOSAL = 2
    TRANSFORM = 3
    KE = 4
    ID = 5
    CERT = 6
    CERT_REQUEST = 7
    HASH = 8
    SIGNATURE = 9
    NONCE = 10
    NOTIFICATION = 11
    DELETE = 12
    VENDOR_ID = 13
    ATTRIBUTES = 14
    NAT_D = 20
    NAT_OA = 21
    NAT_D_DRAFT = 130
    NAT_OA_DRAFT = 131
    FRAGMENT = 132


class CertEncoding(IntEnum):
    """Certificate encodings (RFC 2408 section 3.9)."""

    PKCS7 = 1
    X509_SIGNATURE = 4
    CRL = 7


class Ah(IntEnum):
    """AH transform identifiers (RFC 2407 section 4.4.3, RFC 4868 section 4)."""

    MD5 = 2
    SHA = 3
    SHA2_256 = 5
    SHA2_384 = 6
    SHA2_512 = 7


class Protocol(IntEnum):
    """Protocol identifiers (RFC 2407 section 4.4.1)."""

    ISAKMP = 1
    AH = 2
    ESP = 3
    IPCOMP = 4


class IkeAttribute(IntEnum):
    """Phase 1 attributes (RFC 2409 appendix A)."""

    ENCRYPTION = 1
    HASH = 2
    AUTHENTICATION = 3
    GROUP = 4
    LIFE_TYPE = 11
    LIFE_DURATION = 12
    KEY_LENGTH = 14


class EspAttribute(IntEnum):
    """Phase 2 attributes (RFC 2407 section 4.5)."""

    LIFE_TYPE = 1
    LIFE_DURATION = 2
    GROUP = 3
    ENCAPSULATION = 4
    AUTHENTICATION = 5
    KEY_LENGTH = 6
    EXTENDED_SEQUENCE = 11  # RFC 4304 section 2


class IkeCipherId(IntEnum):
    """Encryption algorithms of phase 1 (RFC 2409 appendix A, RFC 3602 section 5.1, RFC 4312 section 4)."""

    DES_CBC = 1
    IDEA_CBC = 2
    BLOWFISH_CBC = 3
    RC5_CBC = 4
    TRIPLE_DES_CBC = 5
    CAST_CBC = 6
    AES_CBC = 7
    CAMELLIA_CBC = 8


class EspTransformId(IntEnum):
    """ESP transform identifiers (RFC 2407 section 4.4.4, RFC 3602, RFC 3686, RFC 4106, RFC 4309, RFC 4312)."""

    DES = 2
    TRIPLE_DES = 3
    RC5 = 4
    IDEA = 5
    CAST = 6
    BLOWFISH = 7
    NULL = 11
    AES_CBC = 12
    AES_CTR = 13
    AES_CCM_8 = 14
    AES_CCM_12 = 15
    AES_CCM_16 = 16
    AES_GCM_8 = 18
    AES_GCM_12 = 19
    AES_GCM_16 = 20
    SEED = 21
    CAMELLIA = 22
    AES_GMAC = 23


class IdType(IntEnum):
    """Identification types (RFC 2407 section 4.6.2.1)."""

    IPV4_ADDR = 1
    FQDN = 2
    USER_FQDN = 3
    IPV4_ADDR_SUBNET = 4
    IPV6_ADDR = 5
    IPV6_ADDR_SUBNET = 6
    IPV4_ADDR_RANGE = 7
    IPV6_ADDR_RANGE = 8
    DER_ASN1_DN = 9
    DER_ASN1_GN = 10
    KEY_ID = 11


class Notify(IntEnum):
    """Notify message types (RFC 2408 section 3.14.1, RFC 2407 section 4.6.3, RFC 3706 section 5.1)."""

    INVALID_PAYLOAD_TYPE = 1
    DOI_NOT_SUPPORTED = 2
    SITUATION_NOT_SUPPORTED = 3
    INVALID_COOKIE = 4
    INVALID_MAJOR_VERSION = 5
    INVALID_MINOR_VERSION = 6
    INVALID_EXCHANGE_TYPE = 7
    INVALID_FLAGS = 8
    INVALID_MESSAGE_ID = 9
    INVALID_PROTOCOL_ID = 10
    INVALID_SPI = 11
    INVALID_TRANSFORM_ID = 12
    ATTRIBUTES_NOT_SUPPORTED = 13
    NO_PROPOSAL_CHOSEN = 14
    BAD_PROPOSAL_SYNTAX = 15
    PAYLOAD_MALFORMED = 16
    INVALID_KEY_INFORMATION = 17
    INVALID_ID_INFORMATION = 18
    INVALID_CERT_ENCODING = 19
    INVALID_CERTIFICATE = 20
    CERT_TYPE_UNSUPPORTED = 21
    INVALID_CERT_AUTHORITY = 22
    INVALID_HASH_INFORMATION = 23
    AUTHENTICATION_FAILED = 24
    INVALID_SIGNATURE = 25
    ADDRESS_NOTIFICATION = 26
    NOTIFY_SA_LIFETIME = 27
    CERTIFICATE_UNAVAILABLE = 28
    UNSUPPORTED_EXCHANGE_TYPE = 29
    UNEQUAL_PAYLOAD_LENGTHS = 30
    CONNECTED = 16384
    RESPONDER_LIFETIME = 24576
    REPLAY_STATUS = 24577
    INITIAL_CONTACT = 24578
    R_U_THERE = 36136
    R_U_THERE_ACK = 36137


class Encapsulation(IntEnum):
    """Encapsulation modes (RFC 2407 section 4.5, RFC 3947 section 5.1)."""

    TUNNEL = 1
    TRANSPORT = 2
    UDP_TUNNEL = 3
    UDP_TRANSPORT = 4
    UDP_TUNNEL_DRAFT = 61443
    UDP_TRANSPORT_DRAFT = 61444


KEY_IKE = 1  # transform identifier KEY_IKE, RFC 2407 section 4.4.2
AUTH_PSK = 1  # authentication methods, RFC 2409 appendix A
AUTH_RSA = 3
# Init and Resp say which end of phase 1 shows a user's password: draft-ietf-ipsec-isakmp-xauth-06 section 4.4.
AUTH_XAUTH_INIT_PSK, AUTH_XAUTH_RESP_PSK = 65001, 65002
AUTH_XAUTH_INIT_RSA, AUTH_XAUTH_RESP_RSA = 65005, 65006
# Here they say which end is proven by XAUTH alone: draft-ietf-ipsec-isakmp-hybrid-auth-05 section 3.1.
AUTH_HYBRID_INIT_RSA, AUTH_HYBRID_RESP_RSA = 64221, 64222
AUTH_ECDSA_256, AUTH_ECDSA_384, AUTH_ECDSA_521 = 9, 10, 11  # RFC 4754 section 4
HYBRID_METHODS = frozenset((AUTH_HYBRID_INIT_RSA, AUTH_HYBRID_RESP_RSA))
# SKEYID comes from g^xy alone, and at least one end signs.
SIGNATURE_METHODS = HYBRID_METHODS | {
    *(AUTH_RSA, AUTH_ECDSA_256, AUTH_ECDSA_384, AUTH_ECDSA_521),
    *(AUTH_XAUTH_INIT_RSA, AUTH_XAUTH_RESP_RSA),
}
LIFE_SECONDS = 1
LIFE_KILOBYTES = 2
EXTENDED_SEQUENCE_64 = 1  # RFC 4304 section 2


def notify_name(number: int) -> str:
    """The name that administrators know, such as NO-PROPOSAL-CHOSEN; a number if it has none."""
    try:
        return Notify(number).name.replace("_", "-")
    except ValueError:
        return str(number)


_EXCHANGE_NAMES: dict[int, str] = {exchange.value: exchange.name.lower() for exchange in Exchange}


def exchange_name(number: int) -> str:
    """The name of an exchange type, such as main; a number if it has none."""
    return _EXCHANGE_NAMES.get(number) or f"exchange {number}"
