"""A tunnel broken in every way that happens in the field, and what our event log must say of it."""

from __future__ import annotations

from typing import Any

from lab.interop import messages
from lab.interop.model import BOTH, Finding, Role, Scenario
from lab.interop.scripts import broken, broken_uplink, broken_without_peer
from lab.interop.table.psk import MOON, SUN, identity
from lab.topology import SECRET

_PSK = {"auth": "psk"}


def _row(
    name: str, kin: str, *, initiator: Finding | None = None, responder: Finding | None = None, **more: Any
) -> Scenario:
    found = {role: finding for role, finding in ((Role.INITIATOR, initiator), (Role.RESPONDER, responder)) if finding}
    return Scenario(f"broken-{name}", kin, broken, tuple(found), found=found, **more)


def _phase1(what: str, theirs: str, hint: str) -> Scenario:
    return _row(
        what,
        "net2net-psk-fail",
        theirs={"proposals": [theirs]},
        initiator=Finding("ike.phase1.refused", "peer", "Change encryption, hash or Diffie-Hellman group"),
        responder=Finding("ike.phase1.no_proposal", "local", hint),
        options={"messages": messages.refusal(messages.ANSWERS, "NO_PROP", protected=False)},
    )


def _phase2(what: str, theirs: str, hint: str, ours: dict[str, Any] | None = None) -> Scenario:
    return _row(
        what,
        "net2net-psk-fail",
        ours=ours or {},
        child={"esp_proposals": [theirs]},
        initiator=Finding("ike.phase2.refused", "peer", "PFS group"),
        responder=Finding("ike.phase2.no_proposal", "local", hint),
        options={"messages": messages.refusal(messages.ANSWERS, "NO_PROP"), "phase 1 stays": True},
    )


ROWS = (
    _row(
        "psk",
        "net2net-psk-fail",
        secrets=({"type": "IKE", "id": "site", "data": "something-else-entirely"},),
        initiator=Finding("ike.phase1.psk_suspect", "unknown", "Pre-shared secret"),
        responder=Finding("ike.phase1.psk_suspect", "unknown", "Pre-shared secret"),
    ),
    _row(
        "psk-trailing-space",
        "net2net-psk-fail",
        secrets=({"type": "IKE", "id": "site", "data": SECRET + " "},),
        initiator=Finding("ike.phase1.psk_suspect", "unknown", "without a space"),
        responder=Finding("ike.phase1.psk_suspect", "unknown", "without a space"),
    ),
    _row(
        "our-identity",
        "net2net-psk-fail",
        theirs={"remote": _PSK | {"id": SUN}},
        ours={"local_identity": identity("fqdn", "wrong.example.com")},
        initiator=Finding("ike.phase1.notify", "peer", "Local identity"),
        responder=Finding("ike.phase1.dropped", "peer", "Local identity"),
    ),
    _row(
        "their-identity",
        "net2net-psk-fail",
        theirs={"local": _PSK | {"id": MOON}},
        ours={"remote_identity": identity("fqdn", "other.example.com")},
        initiator=Finding("ike.phase1.identity", "local", "Remote identity"),
        responder=Finding("ike.phase1.identity", "local", "Remote identity"),
    ),
    _row(
        "their-identity-type",
        "net2net-psk-fail",
        ours={"remote_identity": identity("fqdn", MOON)},
        initiator=Finding("ike.phase1.identity", "local", "ipv4 192.0.2.2"),
        responder=Finding("ike.phase1.identity", "local", "ipv4 192.0.2.2"),
    ),
    _phase1("phase1-encryption", "aes128-sha256-modp2048", "encryption: here aes256, peer aes128"),
    _phase1("phase1-hash", "aes256-sha1-modp2048", "hash: here sha256, peer sha1"),
    _phase1("phase1-group", "aes256-sha256-modp3072", "group: here modp2048, peer modp3072"),
    _phase1("phase1-legacy-peer", "3des-sha1-modp1024", "peer 3des"),
    _row(
        "exchange-mode",
        "rw-psk-aggressive",
        theirs={"aggressive": "yes"},
        initiator=Finding("ike.phase1.notify", "peer", "main mode"),
        responder=Finding("ike.mode.refused", "peer", "main mode"),
    ),
    _row(
        "ike-version",
        "net2net-psk-fail",
        theirs={"version": "2"},
        initiator=Finding("ike.phase1.refused", "peer", "IKEv2"),
        responder=Finding("ike.version", "peer", "IKEv1"),
    ),
    _phase2("phase2-encryption", "aes128gcm16-modp2048", "encryption: here aes256gcm16, peer aes128gcm16"),
    _phase2("phase2-integrity", "aes256-sha512-modp2048", "integrity: here sha256, peer sha512"),
    _phase2("pfs-missing-at-peer", "aes256gcm16", "pfs: here modp2048, peer none"),
    _phase2("pfs-other-group", "aes256gcm16-modp3072", "pfs: here modp2048, peer modp3072"),
    _phase2(
        "pfs-missing-here", "aes256gcm16-modp2048", "pfs: here none, peer modp2048", {"phase2": {"pfs_group": None}}
    ),
    _row(
        "mask",
        "github-1210",
        child={"local_ts": ["10.72.1.0/25"]},
        initiator=Finding("ike.phase2.ids_returned", "peer", "10.72.1.0/25"),
        responder=Finding("ike.phase2.selectors", "local", "The masks differ"),
    ),
    _row(
        "mask-wider-at-peer",
        "github-1210",
        child={"local_ts": ["10.72.0.0/16"]},
        responder=Finding("ike.phase2.selectors", "local", "10.72.0.0/16"),
    ),
    _row(
        "other-subnet",
        "github-1210",
        child={"local_ts": ["10.72.2.0/24"]},
        initiator=Finding("ike.phase2.refused", "peer", "subnets"),
        responder=Finding("ike.phase2.selectors", "local", "Private subnets"),
        options={"messages": messages.refusal(messages.ANSWERS, "INVAL_ID"), "phase 1 stays": True},
    ),
    _row(
        "subnets-swapped",
        "github-1210",
        child={"local_ts": ["10.71.1.0/24"], "remote_ts": ["10.72.1.0/24"]},
        initiator=Finding("ike.phase2.refused", "peer", "mirror image"),
        responder=Finding("ike.phase2.selectors", "local", "swapped"),
    ),
    _row(
        "extra-subnet-here",
        "github-1210",
        ours={"local_subnets": ["10.71.1.0/24", "10.71.2.0/24"]},
        options={"comes up": True},
        initiator=Finding("ike.phase2.refused", "peer", "10.71.2.0/24"),
    ),
    _row(
        "extra-subnet-at-peer",
        "github-1210",
        child={"local_ts": ["10.72.1.0/24", "10.72.2.0/24"]},
        options={"comes up": True},
        responder=Finding("ike.phase2.selectors", "local", "10.72.2.0/24"),
    ),
    _row(
        "udp-500-blocked",
        "path",
        options={"block input": ("udp dport 500",)},
        initiator=Finding("ike.phase1.timeout", "path", "500"),
        responder=Finding("ike.unheard", "path", "500"),
    ),
    _row(
        "udp-4500-blocked",
        "path",
        options={"block input": ("udp dport 4500",)},
        initiator=Finding("ike.phase1.timeout", "unknown", "4500"),
        responder=Finding("ike.unheard", "path", "4500"),
    ),
    _row(
        "udp-4500-blocked-towards-us",
        "path",
        options={"block output": ("udp sport 4500",)},
        kind="direct",
        initiator=Finding("ike.phase1.timeout", "unknown", "4500"),
        responder=Finding("ike.phase1.silent", "path", "4500"),
    ),
    _row(
        "float-dropped-by-nat",
        "nat-rw",
        kind="nat",
        options={"block input": ("udp dport 4500",)},
        initiator=Finding("ike.phase1.timeout", "unknown", "4500"),
    ),
    _row(
        "wrong-address",
        "net2net-psk-fail",
        ours={"remote": "192.0.2.77"},
        initiator=Finding("ike.phase1.timeout", "path", "Public address"),
        responder=Finding("ike.unknown_peer", "local", "Public address"),
    ),
    _row(
        "peer-does-not-know-us",
        "net2net-psk-fail",
        theirs={"remote_addrs": ["192.0.2.99"]},
        initiator=Finding("ike.phase1.refused", "peer", "192.0.2.1"),
    ),
    _row(
        "name-does-not-resolve",
        "net2net-psk-fail",
        ours={"remote": "gateway.invalid"},
        initiator=Finding("engine.peer.unresolved", "local", "gateway.invalid"),
    ),
    _row(
        "no-route",
        "net2net-psk-fail",
        ours={"remote": "198.51.100.7"},
        initiator=Finding("engine.peer.unresolved", "local", "route"),
    ),
    _row(
        "nat-traversal-off",
        "net2net-psk",
        ours={"nat_traversal": "off"},
        initiator=Finding("ike.natt.disabled", "local", "NAT traversal"),
        responder=Finding("ike.natt.disabled", "local", "NAT traversal"),
    ),
    Scenario(
        "broken-peer-does-not-run",
        "net2net-psk-fail",
        broken_without_peer,
        (Role.INITIATOR,),
        found={Role.INITIATOR: Finding("ike.phase1.timeout", "path", "Public address")},
    ),
    Scenario(
        "broken-uplink",
        "dpd-clear",
        broken_uplink,
        BOTH,
        ours={"dpd": {"interval_s": 1, "timeout_s": 3}},
        found=dict.fromkeys(BOTH, Finding("ike.dpd.dead", "path", "uplink")),
    ),
)
