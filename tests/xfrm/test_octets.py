"""Our messages are, octet for octet, what iproute2 sends for the same wish; only sequence numbers and order differ."""

from __future__ import annotations

import ipaddress
import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from vpnengine.contract.algorithms import EspEncryption as E
from vpnengine.contract.algorithms import EspIntegrity as I
from vpnengine.contract.kernel import KernelPolicy, Mark, RouteBased
from vpnengine.contract.outer import OuterPolicy
from vpnengine.crypto.secret import Secret
from vpnengine.dataplane.base import Policy
from vpnengine.dataplane.xfrm import algorithms, messages, policies, states, structs
from vpnengine.dataplane.xfrm import messages as m
from vpnengine.dataplane.xfrm.netlink import Request
from vpnengine.dataplane.xfrm.structs import Flow, SaId
from vpnengine.esp.sa import Address, EspKeys, EspTransform, IpsecSaPair, Selector

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "xfrm" / "iproute2.json").read_text())["messages"]
REQID = 1090519041


def secret(size: int, first: int = 0) -> Secret:
    return Secret(bytes(range(first, first + size)))


def net(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text)


SELECTOR = Selector(net("10.1.0.0/24"), net("10.2.0.0/16"))


def pair(cipher: E, key: int, integrity: I | None = None, integrity_key: int = 0, **changes: object) -> IpsecSaPair:
    """A pair with the recorded keys; both directions have the same."""
    keys = EspKeys(secret(key), secret(integrity_key, 64) if integrity else None)
    esn, protocol = changes.pop("esn", False), changes.pop("protocol", "esp")
    made = IpsecSaPair(
        peer_id="p",
        spi_in=0x4321,
        spi_out=0x1234,
        selector=SELECTOR,
        transform=EspTransform(cipher, integrity, bool(esn), "ah" if protocol == "ah" else "esp"),
        keys_in=keys,
        keys_out=keys,
        local=Address("192.0.2.1", 4500),
        remote=Address("192.0.2.2", 4501),
        udp=False,
        replay_window=32,
        outer=OuterPolicy(copy_dscp=True),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


GCM = pair(E.AES128GCM16, 20)
CBC = pair(E.AES256, 32, I.SHA256, 32, udp=True)
NO_KEY = pair(E.NULL, 0, I.SHA256, 32)
EXTRAS = states.Extras(mark=(7, 0xFF), if_id=0x17, output_mark=9)
APART = KernelPolicy(mark=Mark(value=7, mask=0xFF), route_based=RouteBased(interface="ipsec0", if_id=0x17))
MARKED = replace(GCM, kernel=APART)
HOSTS = Selector(net("192.0.2.1/32"), net("192.0.2.2/32"))
AH = pair(E.NULL, 0, I.SHA256, 32, protocol="ah", mode="transport", selector=HOSTS)
MD5 = EspKeys(secret(24), Secret(bytes(range(16))))
TDES = replace(pair(E.TRIPLE_DES, 24, I.MD5, 16), keys_in=MD5, keys_out=MD5)
IPV6 = pair(E.AES128GCM16, 20, local=Address("2001:db8::1", 500), remote=Address("2001:db8::2", 500))


def state(made: IpsecSaPair, inbound: bool, **more: object) -> Request:
    return states.addition(made, inbound, REQID, **more)  # type: ignore[arg-type]


STATES = {
    "gcm16 out": state(pair(E.AES256GCM16, 36), False),
    "gcm8 in": state(pair(E.AES128GCM8, 20), True),
    "cbc sha256 in udp": state(CBC, True),
    "cbc sha1 out udp": state(pair(E.AES128, 16, I.SHA1, 20, udp=True), False),
    "esn window 4096 in": state(
        replace(GCM, transform=EspTransform(E.AES128GCM16, None, True), replay_window=4096), True
    ),
    "esn out": state(pair(E.AES128GCM16, 20, esn=True), False),
    "window 128 in": state(replace(GCM, replay_window=128), True),
    "ccm out": state(pair(E.AES128CCM16, 19), False),
    "ctr out": state(pair(E.AES128CTR, 20, I.SHA256, 32), False),
    "camellia out": state(pair(E.CAMELLIA256, 32, I.SHA256, 32), False),
    "3des out": state(TDES, False),
    "null out": state(NO_KEY, False),
    "ah transport in": state(AH, True),
    "octets, mark, if_id out": state(replace(GCM, soft_bytes=1000, hard_bytes=2000), False, extras=EXTRAS),
    "offload in": state(GCM, True, extras=states.Extras(offload=1)),
    "offload out": state(GCM, False, extras=states.Extras(offload=1)),
    "mark, if_id in": state(MARKED, True),
    "mark delete": states.removal_of(MARKED, False),
    "mark get": states.look(MARKED, False),
    "dscp out": state(replace(GCM, outer=OuterPolicy()), False),
    "df clear out": state(replace(GCM, outer=OuterPolicy(dont_fragment="clear")), False),
    "ipv6 out": state(IPV6, False),
    "update in udp": state(replace(GCM, udp=True, remote=Address("192.0.2.2", 4599)), True, update=True),
    "delete": states.removal(states.identity(GCM, False)),
    "allocspi": states.spi_request(SaId("192.0.2.1", 0, 50), "192.0.2.2", structs.TUNNEL, REQID, 0x100, 0xFFFF),
}
ROW = Policy("p", SELECTOR, True)
UP = policies.serving(GCM, REQID)
OUT, IN = Flow(*SELECTOR[:2]), Flow(SELECTOR.remote, SELECTOR.local)  # type: ignore[arg-type]
WITH_PORTS = IN._replace(protocol=6, source_port=80, destination_port=443)
HOSTS_V6 = Flow(net("2001:db8::1/128"), net("2001:db8::2/128"))  # type: ignore[arg-type]
AH_V6 = policies.serving(replace(AH, local=IPV6.local, remote=IPV6.remote), REQID)
POLICIES = {
    "policy out": policies.request(policies.Key(OUT, m.DIR_OUT), ROW, UP, True),
    "policy in": policies.request(policies.Key(IN, m.DIR_IN), ROW, UP, True),
    "policy forward ports": policies.request(policies.Key(WITH_PORTS, m.DIR_FORWARD), ROW, UP, True),
    "policy block": policies.request(
        policies.Key(OUT, m.DIR_OUT), Policy("p", SELECTOR, False), policies.Serving(REQID), False
    ),
    "policy ipv6 ah transport": policies.request(policies.Key(HOSTS_V6, m.DIR_OUT), ROW, AH_V6, True),
    "policy bypass mark": policies.own_packets(net("0.0.0.0/0")),
    "policy if_id": policies.request(policies.Key(OUT, m.DIR_OUT, if_id=0x17), ROW, UP, True),
    "policy mark, if_id": policies.request(policies.Key(OUT, m.DIR_OUT, (7, 0xFF), 0x17), ROW, UP, True),
    "policy mark, if_id delete": policies.removal(policies.Key(OUT, m.DIR_OUT, (7, 0xFF), 0x17)),
    "policy delete": policies.removal(policies.Key(OUT, m.DIR_OUT)),
}
# Where we say more than iproute2 can: a MAPPING a second at most.
OURS_ALONE = {"MTIMER_THRESH"}
_SOURCE = 13  # XFRMA_SRCADDR, which only finds states without an SPI


def taken_apart(octets: bytes, size: int) -> tuple[int, int, bytes, dict[int, bytes]]:
    """(kind, flags, structure, attributes) of a message; its sequence number and port are left out."""
    length, kind, flags = struct.unpack_from("=IHH", octets)
    assert length == len(octets)
    attributes, offset = {}, 16 + size
    while offset < length:
        count, number = struct.unpack_from("=HH", octets, offset)
        attributes[number] = octets[offset + 4 : offset + count]
        offset += (count + 3) & ~3
    return kind, flags, octets[16 : 16 + size], attributes


@pytest.mark.parametrize("name", [*STATES, *POLICIES])
def test_a_message_is_what_iproute2_sends(name: str) -> None:
    request = (STATES | POLICIES)[name]
    ours = messages.encode(
        request.kind,
        m.REQUEST | (m.ACK if request.kind not in (m.ALLOCSPI, m.GETSA) else 0) | request.flags,
        7,
        request.body,
        [row for row in request.attributes if row[0] not in OURS_ALONE],
    )
    recorded = bytes.fromhex(RECORDED[name]["octets"])
    kind, flags, body, attributes = taken_apart(ours, len(request.body))
    theirs = taken_apart(recorded, len(request.body))
    assert kind == theirs[0] and flags & ~m.ACK == theirs[1] & ~m.ACK
    assert body.hex() == theirs[2].hex()
    wanted = {n: a.hex() for n, a in theirs[3].items() if n != _SOURCE}
    assert {n: a.hex() for n, a in attributes.items()} == wanted


def test_a_policy_has_what_its_peer_is_configured_for() -> None:
    found = list(policies.keys(Policy("p", SELECTOR, True, "tunnel", APART)))
    assert {(key.mark, key.if_id) for key in found} == {((7, 0xFF), 0x17)} and len(found) == 3
    everything = Selector(net("10.1.0.0/24"), net("0.0.0.0/0"))
    assert len(list(policies.bypasses(Policy("p", everything, True)))) == 3
    assert not list(policies.bypasses(Policy("p", everything, True, "tunnel", APART)))


def test_chacha20_poly1305_has_its_name() -> None:
    octets = bytes.fromhex(RECORDED["chacha out"]["octets"])
    recorded = taken_apart(octets, structs.SA_SIZE)[3][m.ATTRIBUTES["ALG_AEAD"]]
    assert structs.pack_cut(algorithms.CHACHA20_POLY1305, bytes(range(36)), 128) == recorded


def test_every_recording_is_used() -> None:
    assert RECORDED.keys() - {"chacha out", "dump states"} == STATES.keys() | POLICIES.keys()


def test_a_name_for_every_algorithm() -> None:
    assert all("(" in algorithms.cipher_name(cipher) for cipher in E)
    assert [algorithms.integrity_name(integrity) for integrity in (I.MD5, I.SHA384)] == ["hmac(md5)", "hmac(sha384)"]
