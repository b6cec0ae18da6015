"""The numbers of the algorithms on the wire, and the names that people know (RFC 2407, RFC 2409, IANA).

Where a peer offers something that we do not have, the names still say what it was.
"""

from __future__ import annotations

from vpnengine.contract.algorithms import DhGroup, EspEncryption, EspIntegrity, IkeEncryption, IkeHash
from vpnengine.isakmp.constants import Ah
from vpnengine.isakmp.constants import EspTransformId as Esp
from vpnengine.isakmp.constants import IkeCipherId as Ike

IKE_CIPHERS: dict[IkeEncryption, tuple[int, int | None]] = {  # number and key bits, None if they are not sent
    IkeEncryption.AES128: (Ike.AES_CBC, 128),
    IkeEncryption.AES192: (Ike.AES_CBC, 192),
    IkeEncryption.AES256: (Ike.AES_CBC, 256),
    IkeEncryption.CAMELLIA128: (Ike.CAMELLIA_CBC, 128),
    IkeEncryption.CAMELLIA192: (Ike.CAMELLIA_CBC, 192),
    IkeEncryption.CAMELLIA256: (Ike.CAMELLIA_CBC, 256),
    IkeEncryption.TRIPLE_DES: (Ike.TRIPLE_DES_CBC, None),
}
_IKE_CIPHER_NAMES: dict[int, str] = {
    number: number.name.lower().replace("_cbc", "").replace("triple_des", "3des") for number in Ike
}
HASH_NUMBERS = {
    IkeHash.MD5: 1,
    IkeHash.SHA1: 2,
    IkeHash.SHA256: 4,
    IkeHash.SHA384: 5,
    IkeHash.SHA512: 6,
}
HASH_NAMES = {3: "tiger"} | {number: name.value for name, number in HASH_NUMBERS.items()}
GROUP_NUMBERS = {
    DhGroup.MODP1024: 2,
    DhGroup.MODP1536: 5,
    DhGroup.MODP2048: 14,
    DhGroup.MODP3072: 15,
    DhGroup.MODP4096: 16,
    DhGroup.MODP6144: 17,
    DhGroup.MODP8192: 18,
    DhGroup.ECP256: 19,
    DhGroup.ECP384: 20,
    DhGroup.ECP521: 21,
    DhGroup.CURVE25519: 31,
}
GROUP_NAMES = {1: "modp768", 22: "modp1024s160", 23: "modp2048s224", 24: "modp2048s256"} | {
    number: name.value for name, number in GROUP_NUMBERS.items()
}
METHOD_NAMES = {
    1: "psk",
    3: "rsa-signature",
    9: "ecdsa-256",
    10: "ecdsa-384",
    11: "ecdsa-521",
    64221: "hybrid-rsa",
    64222: "hybrid-rsa-responder",
    65001: "xauth-psk",
    65002: "xauth-psk-responder",
    65005: "xauth-rsa",
    65006: "xauth-rsa-responder",
}
_AES_MODES = {
    "": Esp.AES_CBC,
    "ctr": Esp.AES_CTR,
    "ccm16": Esp.AES_CCM_16,
    "gcm8": Esp.AES_GCM_8,
    "gcm12": Esp.AES_GCM_12,
    "gcm16": Esp.AES_GCM_16,
}


def _esp_cipher(encryption: EspEncryption) -> tuple[int, int | None]:
    if encryption is EspEncryption.TRIPLE_DES:
        return Esp.TRIPLE_DES, None
    if encryption is EspEncryption.NULL:
        return Esp.NULL, None
    if encryption.value.startswith("camellia"):
        return Esp.CAMELLIA, int(encryption.value[8:11])
    return _AES_MODES[encryption.value[6:]], int(encryption.value[3:6])


ESP_CIPHERS = {encryption: _esp_cipher(encryption) for encryption in EspEncryption}
_ESP_CIPHER_NAMES: dict[int, str] = {number: number.name.lower().replace("_", "") for number in Esp}
_ESP_CIPHER_NAMES |= {Esp.TRIPLE_DES: "3des", Esp.AES_CBC: "aes"}
INTEGRITY_NUMBERS = {
    EspIntegrity.MD5: 1,
    EspIntegrity.SHA1: 2,
    EspIntegrity.SHA256: 5,
    EspIntegrity.SHA384: 6,
    EspIntegrity.SHA512: 7,
}
AH_NUMBERS = {
    EspIntegrity.MD5: Ah.MD5,
    EspIntegrity.SHA1: Ah.SHA,
    EspIntegrity.SHA256: Ah.SHA2_256,
    EspIntegrity.SHA384: Ah.SHA2_384,
    EspIntegrity.SHA512: Ah.SHA2_512,
}
INTEGRITY_NAMES = {3: "des-mac", 4: "kpdk", 8: "ripemd", 9: "aes-xcbc"} | {
    number: name.value for name, number in INTEGRITY_NUMBERS.items()
}
MODE_NAMES = {
    1: "tunnel",
    2: "transport",
    3: "udp-tunnel",
    4: "udp-transport",
    61443: "udp-tunnel",
    61444: "udp-transport",
}
# Some gateways state the key length of 3DES although it cannot vary.
_FIXED_KEY_BITS = {None, 168, 192}


def ike_cipher_name(number: int, bits: int | None) -> str:
    """The cipher of a phase 1 transform."""
    return _cipher_name(number, bits, {v: k.value for k, v in IKE_CIPHERS.items()}, _IKE_CIPHER_NAMES)


def esp_cipher_name(number: int, bits: int | None) -> str:
    """The cipher of an ESP transform."""
    return _cipher_name(number, bits, {v: k.value for k, v in ESP_CIPHERS.items()}, _ESP_CIPHER_NAMES)


def _cipher_name(number: int, bits: int | None, ours: dict[tuple[int, int | None], str], others: dict[int, str]) -> str:
    exact = ours.get((number, bits)) or (ours.get((number, None)) if bits in _FIXED_KEY_BITS else None)
    if exact is not None:
        return exact
    base = others.get(number, f"cipher{number}")
    return (
        base.replace("aes", f"aes{bits}", 1) if bits and base.startswith("aes") else base + (str(bits) if bits else "")
    )


def name_of(names: dict[int, str], number: int | None, what: str) -> str:
    """The name of a number; a made-up one if it is unknown, none if it is absent."""
    if number is None:
        return ""
    return names.get(number, f"{what}{number}")
