"""The reference transform in tunnel mode against the ESP of scapy, in both directions."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import Raw

from vpnengine.contract.algorithms import EspEncryption, EspIntegrity
from vpnengine.crypto.esp_suites import encryption_key_length, integrity_key_length
from vpnengine.crypto.random import system_random
from vpnengine.crypto.secret import Secret
from vpnengine.esp.sa import EspKeys, EspTransform
from vpnengine.esp.transform import Inbound, Outbound

SPI = 0x1001
HMACS = {
    EspIntegrity.SHA1: "HMAC-SHA1-96",
    EspIntegrity.SHA256: "SHA2-256-128",
    EspIntegrity.SHA384: "SHA2-384-192",
    EspIntegrity.SHA512: "SHA2-512-256",
}
CIPHERS = {"aes128": "AES-CBC", "aes256": "AES-CBC", "aes256ctr": "AES-CTR", "3des": "3DES", "null": "NULL"}
SUITES = [
    *((EspEncryption(ours), integrity, theirs) for ours, theirs in CIPHERS.items() for integrity in HMACS),
    *((EspEncryption(f"aes{bits}gcm16"), None, "AES-GCM") for bits in (128, 192, 256)),
]


@pytest.mark.parametrize(("encryption", "integrity", "theirs"), SUITES)
@pytest.mark.parametrize("size", [0, 1, 15, 16, 1372, 9000])
def test_each_opens_what_the_other_seals(
    encryption: EspEncryption, integrity: EspIntegrity | None, theirs: str, size: int
) -> None:
    key = system_random(encryption_key_length(encryption))
    hmac = system_random(integrity_key_length(integrity)) if integrity else None
    transform = EspTransform(encryption, integrity)
    keys = EspKeys(Secret(key), Secret(hmac) if hmac else None)
    outer = IP(src="192.0.2.1", dst="192.0.2.2")
    other = SecurityAssociation(
        ESP, spi=SPI, crypt_algo=theirs, crypt_key=key, auth_algo=HMACS[integrity] if integrity else None,
        auth_key=hmac, tunnel_header=outer,
    )  # fmt: skip
    inner = bytes(IP(src="10.1.0.1", dst="10.2.0.1") / UDP(sport=1, dport=2) / Raw(system_random(size)))

    sealed = Outbound(SPI, transform, keys, system_random).seal(inner)
    assert bytes(other.decrypt(IP(bytes(outer / ESP(sealed))))) == inner

    theirs_sealed = bytes(other.encrypt(IP(inner))[ESP])
    assert Inbound(transform, keys, system_random, 64).open(theirs_sealed) == inner
