"""Documents of networks: what is refused, and what the programs are given."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from box.contract.network import document_of, parse_network
from box.network.files import DNSMASQ, NETWORKD, RULES, compile_files
from tests.box.documents import static
from vpnengine.contract.problems import Refused

WAN, LAN = static()["wan"], static()["lan"]
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("wan.address", {"wan": WAN | {"address": "192.0.2.10"}}, "lacks the length"),
    ("wan.address", {"wan": WAN | {"address": "192.0.2.255/24"}}, "names the network"),
    ("wan.address", {"wan": WAN | {"address": None}}, "is needed"),
    ("wan.gateway", {"wan": WAN | {"gateway": "198.51.100.1"}}, "not in 192.0.2.0/24"),
    ("wan.gateway", {"wan": WAN | {"gateway": "192.0.2.10"}}, "own address"),
    ("wan.dns", {"wan": WAN | {"dns": []}}, "is needed"),
    ("wan.address", {"wan": WAN | {"mode": "dhcp"}}, "static WAN only"),
    ("wan.mtu", {"wan": WAN | {"mtu": 1000}}, "at least 1280"),
    ("wan.address6", {"wan": WAN | {"address6": "2001:db8::2/64"}}, "also learned"),
    ("wan.pppoe_password", {"wan": {"interface": "wan0", "mode": "pppoe", "pppoe_user": "me"}}, "is needed"),
    ("lan.interface", {"lan": LAN | {"interface": "wan0"}}, "the WAN's too"),
    ("lan.interface", {"lan": LAN | {"interface": "eth0; reboot"}}, "not an interface"),
    ("lan.address", {"lan": LAN | {"address": "192.0.2.129/25", "dhcp": None}}, "overlaps 192.0.2.0/24 of the WAN"),
    ("lan.dhcp.first", {"lan": LAN | {"dhcp": {"first": "10.0.0.1", "last": "192.168.1.9"}}}, "not in 192.168.1.0/24"),
    ("lan.dhcp.last", {"lan": LAN | {"dhcp": {"first": "192.168.1.9", "last": "192.168.1.5"}}}, "is below"),
    ("lan.dhcp.first", {"lan": LAN | {"dhcp": {"first": "192.168.1.1", "last": "192.168.1.5"}}}, "own address"),
    ("lan.address6", {"lan": LAN | {"address6": "fd00::1/56"}}, "64 bits"),
    ("lan.dhcp.dns", {"dns_forwarder": False}, "is needed"),
    ("vlans.1.vlan", {"vlans": [static()["vlans"][0], static()["vlans"][0]]}, "twice"),
    ("vlans.0.vlan", {"vlans": [static()["vlans"][0] | {"vlan": 4095}]}, "less than or equal to 4094"),
    ("vlans", {"lan": None}, "need a LAN port"),
    ("hostname", {"hostname": "a b"}, "not a host name"),
    ("nonsense", {"nonsense": 1}, "not permitted"),
]


@pytest.mark.parametrize(("field", "change", "words"), BAD, ids=[f"{row[0]}-{row[2]}" for row in BAD])
def test_refused_with_field_and_rule(field: str, change: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_network(static() | change)
    assert any(p.field == field and words in p.message and p.rule for p in refused.value.problems), str(refused.value)


def test_a_password_is_never_said() -> None:
    wan = {"interface": "wan0", "mode": "pppoe", "pppoe_user": "me", "pppoe_password": 'hidden"words'}
    with pytest.raises(Refused) as refused:
        parse_network({"wan": wan})
    assert "hidden" not in str(refused.value)
    network = parse_network({"wan": wan | {"pppoe_password": "hidden-words"}})
    assert "hidden" not in repr(network) + network.model_dump_json()
    assert document_of(network)["wan"]["pppoe_password"] == "hidden-words"
    files = compile_files(network)
    holders = [name for name, file in files.items() if "hidden-words" in file.text]
    assert holders == ["run/culvert/ppp/secrets"] and files[holders[0]].mode == 0o600
    assert 'oifname "ppp0"' not in files[RULES].text.partition("chain postrouting")[2]  # no LAN, nothing to translate
    assert "option maxseg size set rt mtu" in files[RULES].text


def test_units_of_networkd() -> None:
    files = compile_files(parse_network(static()))
    assert files[f"{NETWORKD}/10-culvert-wan.network"].text == (
        "# Written by Culvert.\n\n[Match]\nName=wan0\n\n[Link]\nRequiredForOnline=no\n\n"
        "[Network]\nDHCP=no\nIPv6AcceptRA=yes\nLinkLocalAddressing=ipv6\nAddress=192.0.2.10/24\n"
        "Gateway=192.0.2.1\nDNS=192.0.2.53\n\n[IPv6AcceptRA]\nUseDNS=no\n"
    )
    assert files[f"{NETWORKD}/20-culvert-vlan-20.netdev"].text.endswith(
        "[NetDev]\nName=lan0.20\nKind=vlan\n\n[VLAN]\nId=20\n"
    )
    assert "VLAN=lan0.20\n" in files[f"{NETWORKD}/10-culvert-lan.network"].text
    learned = compile_files(parse_network({"wan": {"interface": "eth0"}}))
    assert "DHCP=ipv4\n" in learned[f"{NETWORKD}/10-culvert-wan.network"].text
    assert DNSMASQ not in learned


VARIANTS = [
    static(),
    static(nat=False, ssh=True, dashboard_on_wan=True, vlans=[]),
    {"wan": {"interface": "eth0"}},
    {"wan": {"interface": "eth0", "mode": "pppoe", "pppoe_user": "a@b", "pppoe_password": "c d"}, "lan": LAN},
    static(dns_forwarder=False, vlans=[], lan=LAN | {"dhcp": LAN["dhcp"] | {"dns": ["9.9.9.9"]}}),
]


@pytest.mark.parametrize("document", VARIANTS)
def test_the_programs_take_their_files(document: dict[str, Any], tmp_path: Path) -> None:
    protected = ["10.2.0.0/24", "10.2.1.0/24", "fd00:2::/64", "0.0.0.0/0"]
    files = compile_files(parse_network(document), protected)
    for name in (RULES, DNSMASQ):
        if name not in files:
            continue
        path = tmp_path / Path(name).name
        path.write_text(files[name].text)
        # Twice: what is there is replaced.
        rules = f"nft -c -f {path} && nft -f {path} && nft -f {path} && nft list ruleset"
        command = ["unshare", "-n", "sh", "-c", rules] if name == RULES else ["dnsmasq", "--test", "-C", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        if name == RULES:
            assert "policy drop" in done.stdout and "10.2.0.0/23" in done.stdout and " 0.0.0.0/0" not in done.stdout
