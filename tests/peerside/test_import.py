"""Other gateways' configurations read back into a row of ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.peerside.catalogue import BY_KEY
from dashboard.peerside.facts import mirror
from dashboard.peerside.fit import fitted
from dashboard.peerside.importing import MAX_TEXT, Unreadable, read
from tests.peerside.test_renderers import OURS, THEIRS, cbc, gcm, peer

SECRET = "correct-horse-battery-staple-9"
IDENTITIES = {
    "local_identity": {"type": "fqdn", "value": "hq.example.net"},
    "remote_identity": {"type": "user-fqdn", "value": "vpn@example.org"},
}
ROUND_TRIPS: list[tuple[str, dict[str, Any]]] = [
    ("strongswan", cbc()),
    ("strongswan", gcm() | {"local_subnets": ["10.1.0.0/24", "10.7.0.0/16"]}),
    ("strongswan", cbc() | IDENTITIES),
    ("strongswan", cbc() | IDENTITIES | {"exchange": "aggressive", "psk": "x" * 30}),
    ("opnsense", gcm()),
    ("asa", cbc()),
    ("asa", cbc(pfs_group=None) | {"remote_subnets": ["10.2.0.0/16", "10.9.4.0/22"]}),
    ("aws", cbc()),
    ("aws", cbc(proposals=[{"encryption": "aes256gcm16"}])),
    ("azure", cbc()),
    ("azure", cbc(proposals=[{"encryption": "aes256gcm16"}], lifetime_kb=102_400)),
]


@pytest.mark.parametrize(("key", "changes"), ROUND_TRIPS)
def test_what_is_written_comes_back_as_the_row(key: str, changes: dict[str, Any]) -> None:
    config = peer(**changes)
    side = replace(mirror(config, "Headquarters", OURS), secret=SECRET)
    found = fitted(side, BY_KEY[key])
    assert not found.blocks
    back = read(found.text)
    policy, phase2 = back.fields["policy"], config.phase2
    assert policy["phase1"]["proposals"] == [one.model_dump(mode="json") for one in found.side.ike]
    esp = [
        {"encryption": str(o.encryption)} | ({"integrity": str(o.integrity)} if o.integrity else {})
        for o in phase2.proposals
    ]
    assert policy["phase2"]["proposals"] == esp
    assert policy["phase2"]["pfs_group"] == (phase2.pfs_group and str(phase2.pfs_group))
    assert policy["phase2"]["lifetime_s"] == phase2.lifetime_s
    assert policy["phase2"].get("lifetime_kb") == phase2.lifetime_kb
    assert policy["phase1"]["lifetime_s"] == config.phase1.lifetime_s
    assert back.fields["exchange"] == config.exchange and back.secret == SECRET
    assert back.fields["remote_subnets"].split() == list(config.remote_subnets)
    assert back.local_subnets == config.local_subnets
    if key in ("strongswan", "opnsense"):
        assert back.fields["remote"] == THEIRS
        for end in ("local", "remote"):
            wanted = getattr(config, f"{end}_identity")
            said = (back.fields.get(f"{end}_identity_type"), back.fields.get(f"{end}_identity"))
            assert said == ((str(wanted.type), wanted.value) if wanted else (None, None))
    else:
        assert any("enter" in text and "Public address" in text for text in back.assumed)
    assert back.unknown == () and back.weak == ()


AWS = """Amazon Web Services
Virtual Private Cloud
Your VPN Connection ID : vpn-1
IPSec Tunnel #1
================================================================================
#1: Internet Key Exchange Configuration
Category "VPN" connections have a minimum requirement of AES128, SHA2, and DH Group 14.
  - IKE version              : IKEv1
  - Authentication Method    : Pre-Shared Key
  - Pre-Shared Key           : aB3.first_tunnel_secret
  - Authentication Algorithm : sha1
  - Encryption Algorithm     : aes-128-cbc
  - Lifetime                 : 28800 seconds
  - Phase 1 Negotiation Mode : main
  - Diffie-Hellman           : Group 2
#2: IPSec Configuration
  - Protocol                 : esp
  - Authentication Algorithm : hmac-sha1-96
  - Encryption Algorithm     : aes-128-cbc
  - Lifetime                 : 3600 seconds
  - Mode                     : tunnel
  - Perfect Forward Secrecy  : Diffie-Hellman Group 2
  - DPD Interval             : 10
  - DPD Retries              : 3
#3: Tunnel Interface Configuration
Outside IP Addresses:
  - Customer Gateway                : 198.51.100.7
  - Virtual Private Gateway         : 203.0.113.9
Inside IP Addresses
  - Customer Gateway                : 169.254.10.2/30
  - Virtual Private Gateway         : 169.254.10.1/30
IPSec Tunnel #2
  - Pre-Shared Key           : second
"""
AWS_XML = """<?xml version="1.0"?><vpn_connection id="vpn-1"><ipsec_tunnel>
<customer_gateway><tunnel_outside_address><ip_address>198.51.100.7</ip_address></tunnel_outside_address></customer_gateway>
<vpn_gateway><tunnel_outside_address><ip_address>203.0.113.9</ip_address></tunnel_outside_address></vpn_gateway>
<ike><authentication_protocol>sha1</authentication_protocol><encryption_protocol>aes-128-cbc</encryption_protocol>
<lifetime>28800</lifetime><perfect_forward_secrecy>group2</perfect_forward_secrecy><mode>main</mode>
<pre_shared_key>aB3.first_tunnel_secret</pre_shared_key></ike>
<ipsec><protocol>esp</protocol><authentication_protocol>hmac-sha1-96</authentication_protocol>
<encryption_protocol>aes-128-cbc</encryption_protocol><lifetime>3600</lifetime>
<perfect_forward_secrecy>group2</perfect_forward_secrecy></ipsec></ipsec_tunnel>
<ipsec_tunnel><ike/></ipsec_tunnel></vpn_connection>"""


@pytest.mark.parametrize("text", [AWS, AWS_XML, AWS.replace("\n", "\r\n")])
def test_aws_downloads_the_first_tunnel_with_its_doubts(text: str) -> None:
    found = read(text)
    assert found.fields["remote"] == "203.0.113.9" and found.secret == "aB3.first_tunnel_secret"
    policy = found.fields["policy"]
    assert policy["phase1"]["proposals"] == [{"encryption": "aes128", "hash": "sha1", "group": "modp1024"}]
    assert policy["phase2"]["proposals"] == [{"encryption": "aes128", "integrity": "sha1"}]
    assert policy["phase2"]["pfs_group"] == "modp1024" and policy["phase2"]["lifetime_s"] == 3600
    assert any("second tunnel" in text for text in found.assumed)
    assert any("which subnets" in text for text in found.assumed)
    assert any(text.startswith("modp1024: a 1024-bit group") for text in found.weak) and found.fields["legacy"]


def test_azure_device_parameters() -> None:
    found = read(
        "# Azure VPN gateway: device parameters\n"
        "  Virtual network address space:\n    - CIDR: 10.20.0.0/16\n"
        "  Local network address prefixes (on-premises):\n    - CIDR: 10.1.0.0/24\n"
        "Public IP 1: 203.0.113.9\nIKE version: IKEv1\n"
        "  - Encryption algorithm: AES256\n  - Integrity algorithm: SHA256\n  - Diffie-Hellman group: DHGroup14\n"
        "  - SA lifetime (seconds): 28800\n  - Pre-shared key: an-azure-shared-key\n"
        "IPsec\n  - Encryption algorithm: GCMAES256\n  - Integrity algorithm: GCMAES256\n  - PFS group: PFS2048\n"
        "  - SA lifetime (seconds): 3600\n  - SA data size (KB): 102400000\n"
    )
    assert found.fields["remote"] == "203.0.113.9" and found.secret == "an-azure-shared-key"
    assert found.fields["remote_subnets"] == "10.20.0.0/16" and found.local_subnets == ("10.1.0.0/24",)
    phase2 = found.fields["policy"]["phase2"]
    assert phase2["proposals"] == [{"encryption": "aes256gcm16"}] and phase2["pfs_group"] == "modp2048"
    assert found.unknown == ()


def test_what_an_administrator_has_written_by_hand() -> None:
    found = read(
        "# ours\nconnections { hq { remote_addrs = 198.51.100.7, 198.51.100.8\n"
        " proposals = aes256gcm16-prfsha256-ecp256,3des-md5-modp1024\n"
        " vips = 0.0.0.0\n local { auth = psk\n id = @branch }\n remote { auth = psk }\n"
        " children { net { local_ts = 10.2.0.0/16, nonsense\n remote_ts = 10.1.0.0/24[tcp/443]\n"
        " esp_proposals = aes128-sha256 } } } second { } }\nsecrets { ike { secret = short } ike-2 { secret = b } }"
    )
    said = " ".join(found.unknown)
    for part in ("aes256gcm16-prfsha256-ecp256", "“vips”", "“nonsense” is not a subnet", "protocol or port"):
        assert part in said
    assumed = " ".join(found.assumed)
    for part in ("2 connections", "IKEv1 only", "2 addresses", "2 secrets", "No lifetime of phase 1"):
        assert part in assumed
    assert [text.split(":")[0] for text in found.weak] == ["3des", "md5", "modp1024"]
    assert (found.fields["remote_identity_type"], found.fields["remote_identity"]) == ("fqdn", "branch")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no configuration that can be read"),
        ("hello", "no configuration that can be read"),
        ("x" * (MAX_TEXT + 1), "longer than 256 KB"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><vpn_connection/>", "document type"),
        ("<vpn_connection", "not whole"),
        ('{"resources": [{"type": "networkGateways"', "not whole"),
        ("aws ec2 create-vpn-connection --options '{", "not whole"),
        ("connections { }", "no tunnel in it"),
        ("crypto map", "no tunnel in it"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, sentence: str) -> None:
    with pytest.raises(Unreadable, match=sentence):
        read(text)


def test_a_masked_secret_is_asked_for() -> None:
    text = fitted(mirror(peer(**cbc()), "HQ", OURS), BY_KEY["asa"]).text
    assert read(text).secret == ""
    masked = read(text.replace("PASTE_THE_PRE-SHARED_SECRET_HERE", "*****"))
    assert masked.secret == "" and any("asterisks" in sentence for sentence in masked.unknown)


_SEEDS = [fitted(mirror(peer(**cbc()), "HQ", OURS), BY_KEY[key]).text for key in ("strongswan", "asa", "aws", "azure")]
_WORDS = [
    "crypto map",
    "connections {",
    "}",
    "azure ike",
    "create-vpn-connection",
    "<vpn_connection>",
    '{"networkGateways"',
]
_pieces = st.lists(st.one_of(st.sampled_from([*_WORDS, "\n", " ", "=", ","]), st.text(max_size=12)), max_size=60)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=400), _pieces.map("".join)))
def test_garbage_is_refused_or_read(text: str) -> None:
    _total(text)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([*_SEEDS, AWS, AWS_XML]),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.text(max_size=6)), max_size=6),
)
def test_broken_configurations_are_refused_or_read(text: str, cuts: list[tuple[float, float, str]]) -> None:
    for where, size, instead in cuts:
        start = int(where * len(text))
        text = text[:start] + instead + text[start + int(size * 40) :]
    _total(text)


def _total(text: str) -> None:
    """Either a sentence, or fields that the form can show."""
    try:
        found = read(text)
    except Unreadable as error:
        assert str(error)
        return
    assert all(isinstance(value, (str, int, dict, bool)) for value in found.fields.values())
    assert len(found.fields["name"]) <= 80
