"""What is written for each maker's gateway, read back by a reader that knows only that maker's format."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import product as combinations
from typing import Any

import pytest

from dashboard.peerside.catalogue import BY_KEY, VENDORS
from dashboard.peerside.facts import PLACEHOLDER, OtherSide, mirror
from dashboard.peerside.fit import fitted
from dashboard.sitevpn.presets import BY_KEY as PRESETS
from tests.peerside.readers import Read
from tests.peerside.readers_cloud import READERS
from vpnengine.contract.config import PeerConfig

OURS = "198.51.100.7"
THEIRS = "203.0.113.9"
# Formats that combine lists: what they say is the product of the lists.
COMBINING = {"fortigate", "mikrotik", "paloalto", "aws"}


def peer(**changes: Any) -> PeerConfig:
    fields = {
        "id": "p",
        "name": "Branch",
        "remote": THEIRS,
        "psk": "a secret of enough length",
        "local_subnets": ["10.1.0.0/24"],
        "remote_subnets": ["10.2.0.0/16"],
    }
    return PeerConfig.model_validate(fields | changes)


def cbc(**changes: Any) -> dict[str, Any]:
    """A policy that every gateway of the list knows: AES-256, SHA-1, group 14."""
    phase1 = {"proposals": [{"encryption": "aes256", "hash": "sha1", "group": "modp2048"}], "lifetime_s": 28_800}
    esp = [{"encryption": "aes256", "integrity": "sha1"}]
    return {"phase1": phase1, "phase2": {"proposals": esp, "pfs_group": "modp2048", "lifetime_s": 3_600} | changes}


def gcm() -> dict[str, Any]:
    proposals = [("aes256", "sha256", "modp2048"), ("aes128", "sha256", "ecp256")]
    return {
        "phase1": {
            "proposals": [dict(zip(("encryption", "hash", "group"), row, strict=True)) for row in proposals],
            "lifetime_s": 14_400,
        },
        "phase2": {
            "proposals": [{"encryption": "aes256gcm16"}, {"encryption": "aes128", "integrity": "sha256"}],
            "pfs_group": "ecp256",
            "lifetime_s": 1_800,
            "lifetime_kb": 4_000_000,
        },
    }


def written(config: PeerConfig, key: str, **changes: Any) -> tuple[Read, OtherSide, str]:
    found = fitted(replace(mirror(config, "Headquarters", OURS), **changes), BY_KEY[key])
    assert found.blocks == (), found.blocks
    return READERS[key](found.text), found.side, found.text


def check(read: Read, side: OtherSide, key: str) -> None:
    """Every fact of the row stands where this format has it, and nothing else does."""
    vendor = BY_KEY[key]
    assert read.remote_address == OURS and read.exchange == side.exchange
    assert read.secret.replace("_", " ") == PLACEHOLDER
    wanted = {(str(one.encryption), str(one.hash), str(one.group)) for one in side.ike}
    if key in COMBINING:
        wanted = set(combinations(*(set(column) for column in zip(*wanted, strict=True))))
    assert read.ike == wanted
    assert read.esp == {(str(one.encryption), one.integrity and str(one.integrity)) for one in side.esp}
    assert read.pfs == (side.pfs and str(side.pfs))
    assert read.esp_lifetime == side.esp_lifetime
    assert read.ike_lifetime == (0 if key == "azure" else side.ike_lifetime)
    if vendor.kilobytes and key != "paloalto":
        assert read.esp_kb == side.esp_lifetime_kb
    pairs = [(pair.local, pair.remote) for pair in side.pairs]
    assert read.pairs == ([("", theirs) for theirs in side.remote_subnets] if key == "meraki" else pairs)


@pytest.mark.parametrize("key", sorted(BY_KEY))
def test_every_fact_stands_where_the_format_has_it(key: str) -> None:
    read, side, _ = written(peer(**cbc()), key)
    check(read, side, key)


@pytest.mark.parametrize("key", sorted(set(BY_KEY) - {"asa", "aws", "meraki"}))
def test_gcm_two_proposals_and_kilobytes(key: str) -> None:
    config = peer(**gcm(), local_subnets=["10.1.0.0/24", "10.1.8.0/23"], remote_subnets=["10.2.0.0/16", "10.3.0.0/24"])
    read, side, _ = written(config, key)
    assert len(side.pairs) == 4 and (key == "azure" or len(side.ike) == 2 or BY_KEY[key].one_hash)
    check(read, side, key)


@pytest.mark.parametrize("key", sorted(BY_KEY))
def test_a_strong_preset_works_or_says_what_to_choose(key: str) -> None:
    preset = PRESETS["strong"].policy()
    found = fitted(mirror(peer(**preset), "Headquarters", OURS), BY_KEY[key])
    if found.blocks:
        assert key in ("asa", "meraki") and any("Choose" in sentence for sentence in found.blocks) and not found.text
    else:
        check(READERS[key](found.text), found.side, key)


@pytest.mark.parametrize("key", [vendor.key for vendor in VENDORS if vendor.aggressive])
def test_aggressive_mode_with_names(key: str) -> None:
    identities = {
        "local_identity": {"type": "fqdn", "value": "hq.example.net"},
        "remote_identity": {"type": "key-id" if key == "asa" else "fqdn", "value": "branch-7"},
    }
    config = peer(**cbc(), **identities, exchange="aggressive", psk="a secret of more than twenty characters")
    read, side, _ = written(config, key)
    assert side.exchange == "aggressive" and read.exchange == "aggressive"
    bare = [text and text.split(":")[-1].split()[-1] for text in (read.local_id, read.remote_id)]
    assert bare == ["branch-7", "hq.example.net"]
    check(read, side, key)


def test_identities_are_swapped_and_typed() -> None:
    mail = {"type": "user-fqdn", "value": "vpn@example.net"}
    config = peer(**cbc(), local_identity=mail, remote_identity={"type": "ipv4", "value": "10.9.9.9"})
    said = {
        "strongswan": ("10.9.9.9", "userfqdn:vpn@example.net"),
        "mikrotik": ("address:10.9.9.9", "user-fqdn:vpn@example.net"),
        "juniper": ("10.9.9.9", "vpn@example.net"),
        "paloalto": ("10.9.9.9", "vpn@example.net"),
        "pfsense": ("10.9.9.9", "vpn@example.net"),
        "meraki": ("10.9.9.9", "vpn@example.net"),
    }
    for key, (local, remote) in said.items():
        read, _, _ = written(config, key)
        assert (read.local_id, read.remote_id) == (local, remote), key


NOT_POSSIBLE: list[tuple[str, dict[str, Any], str]] = [
    ("meraki", gcm(), "PFS group"),
    ("meraki", cbc(proposals=[{"encryption": "aes256gcm16"}]), "it knows no GCM"),
    ("asa", gcm(), "“Cisco ASA”"),
    ("aws", cbc(pfs_group=None), "PFS group"),
    ("aws", cbc() | {"local_subnets": ["10.1.0.0/24", "10.5.0.0/24"]}, "one pair"),
    ("azure", cbc() | {"exchange": "aggressive", "psk": "x" * 24}, "Main mode"),
    ("aws", cbc() | {"local_identity": {"type": "fqdn", "value": "hq.example.net"}}, "ipv4"),
    (
        "fortigate",
        cbc() | {"selectors": [{"local": "10.1.0.0/24", "remote": "10.2.0.0/24", "protocol": "tcp"}]},
        "ports",
    ),
    ("strongswan", cbc() | {"local_identity": {"type": "key-id", "value": 'a"} evil {'}}, "cannot hold"),
    ("iosxe", cbc() | {"local_identity": {"type": "user-fqdn", "value": "a b@x"}}, "cannot hold"),
    ("juniper", cbc() | {"local_identity": {"type": "key-id", "value": "a\nset system root"}}, "cannot hold"),
]


@pytest.mark.parametrize(("key", "changes", "sentence"), NOT_POSSIBLE)
def test_what_a_gateway_cannot_do_is_said(key: str, changes: dict[str, Any], sentence: str) -> None:
    if "selectors" in changes:
        changes = changes | {"local_subnets": [], "remote_subnets": []}
    found = fitted(mirror(peer(**changes), "Headquarters", OURS), BY_KEY[key])
    assert found.text == "" and any(sentence in block for block in found.blocks), found.blocks


@pytest.mark.parametrize(
    ("preset", "key"), [("aws", "aws"), ("azure", "azure"), ("meraki", "meraki"), ("asa", "asa"), ("compatible", "asa")]
)
def test_a_gateways_own_preset_fits_it_whole(preset: str, key: str) -> None:
    config = peer(**PRESETS[preset].policy())
    read, side, _ = written(config, key)
    assert side.ike == config.phase1.proposals and side.esp == config.phase2.proposals
    check(read, side, key)


def test_advice_names_policies_that_exist() -> None:
    titles = {preset.title for preset in PRESETS.values()} | {"Pre-shared secret"}
    for vendor in VENDORS:
        assert set(re.findall("“([^”]+)”", vendor.advice)) <= titles, vendor.key


def test_what_is_left_out_is_noted() -> None:
    config = peer(**PRESETS["strong"].policy())
    notes = fitted(mirror(config, "HQ", OURS), BY_KEY["azure"]).notes
    assert any("takes one proposal for phase 1" in note for note in notes)
    assert any(
        "lifetime of phase 1" in note for note in fitted(mirror(peer(**gcm()), "HQ", OURS), BY_KEY["azure"]).notes
    )
    unknown = fitted(mirror(config, "HQ"), BY_KEY["fortigate"])
    assert any("not known yet" in note for note in unknown.notes)
    assert "remote-gw ENTER_THE_PUBLIC_ADDRESS_OF_THIS_SITE" in unknown.text


@pytest.mark.parametrize("site", ["Zürich 本社", "x" * 80, "../..", 'a"; drop', "\n!reload", ""])
@pytest.mark.parametrize("key", sorted(BY_KEY))
def test_a_sites_name_cannot_break_a_configuration(site: str, key: str) -> None:
    found = fitted(mirror(peer(**cbc()), site, OURS), BY_KEY[key])
    assert READERS[key](found.text).remote_address == OURS
    assert found.text.isascii() and "reload" not in found.text.replace("culvert-reload", "")


def test_more_than_addresses_for_strongswan() -> None:
    selector = {"local": "10.1.0.5/32", "remote": "10.2.0.0/24", "protocol": "tcp", "remote_port": 443}
    config = peer(local_subnets=[], remote_subnets=[], selectors=[selector])
    assert written(config, "strongswan")[0].pairs == [("10.2.0.0/24[tcp/443]", "10.1.0.5/32[tcp]")]
    hosts = peer(local_subnets=["10.1.0.5/32"], remote_subnets=["10.2.0.5/32"], phase2={"mode": "transport"})
    assert "mode = transport" in written(hosts, "strongswan")[2]
    ah = peer(phase2={"proposals": [{"protocol": "ah", "encryption": "null", "integrity": "sha256"}]})
    text = fitted(mirror(ah, "HQ", OURS), BY_KEY["strongswan"]).text
    assert "ah_proposals = sha256-modp2048" in text and "esp_proposals" not in text


def test_who_begins() -> None:
    say: Callable[[str], str] = lambda start: written(peer(start=start), "strongswan")[2]  # noqa: E731
    assert "start_action = start" in say("responder") and "start_action = trap" in say("immediate")
    roaming = peer(remote="any", start="responder")
    text = written(roaming, "strongswan")[2]
    assert "local_addrs" not in text and "start_action = start" in text
