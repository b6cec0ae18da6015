"""The advanced fields of a peer: what the form takes, refuses at its field, and hands to the engine."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest
from django import forms
from pydantic import ValidationError

from appliance.paths import ROOT
from dashboard.sitevpn import explain
from dashboard.sitevpn.advanced_form import PLACES, SegmentSizeField, default_of
from dashboard.sitevpn.forms import PeerForm
from dashboard.sitevpn.models import Peer
from tests.dashboard.test_dashboard import SECRET, isolated, make_peer, site, user
from tests.dashboard.test_policy import ADDRESS, compiled, post
from vpnengine.contract.config import PeerConfig, parse_config
from vpnengine.contract.outer import MAX_MSS, MIN_MSS, OuterPolicy
from vpnengine.contract.problems import Problem

pytestmark = pytest.mark.django_db
__all__ = ["isolated", "site", "user"]
DEFAULTS = {
    "nat_traversal": "auto",
    "fragmentation": "auto",
    "fragment_size": "",
    "alternates": "",
    "accept_wider": " \n",
    "selectors": "",
    "initial_contact": "auto",
    "dpd_interval": "10",
    "dpd_timeout": "40",
    "retransmit_first": "1.0",
    "retransmit_tries": "5",
    "dont_fragment": "copy",
    "fragment_where": "before",
    "mss": "auto",
}
OTHERS = {
    "nat_traversal": "drafts",
    "fragmentation": "force",
    "fragment_size": "600",
    "alternates": "192.0.2.9\n\n vpn2.example ",
    "accept_wider": "10.1.0.0/24, 10.2.0.0/16\n10.1.0.0/24,10.3.0.1-10.3.0.9",
    "initial_contact": "off",
    "dpd_interval": "0",
    "dpd_timeout": "90",
    "retransmit_first": "0.5",
    "retransmit_tries": "8",
    "dont_fragment": "clear",
    "fragment_where": "after",
    "mss": "1300",
    "copy_dscp": "True",
}
COMPILED = {
    "nat_traversal": "drafts",
    "fragmentation": "force",
    "fragment_size": 600,
    "alternates": ["192.0.2.9", "vpn2.example"],
    "accept_wider": [
        {"local": "10.1.0.0/24", "remote": "10.2.0.0/16"},
        {"local": "10.1.0.0/24", "remote": "10.3.0.1-10.3.0.9"},
    ],
    "initial_contact": "off",
    "dpd": {"interval_s": 0, "timeout_s": 90},
    "retransmit": {"first_s": 0.5, "tries": 8},
    "outer": {"dont_fragment": "clear", "fragment": "after", "mss": 1300, "copy_dscp": True},
}
OPTIONS = {place[0] for place in PLACES.values()}


def is_open(page: str) -> bool:
    tag = re.search(r'<details [^>]*id="advanced"[^>]*>', page)
    assert tag is not None
    return " open" in tag[0]


@pytest.mark.parametrize("changes", [{}, DEFAULTS], ids=["missing", "entered"])
def test_defaults_compile_to_nothing(client: Any, site: Any, user: Any, changes: dict[str, Any]) -> None:
    assert post(client, user, **changes).status_code == 302
    assert Peer.objects.get().options == {}
    row = compiled()
    assert not row.keys() & OPTIONS
    assert row.keys() == {
        *("id", "name", "remote", "psk", "local_subnets", "remote_subnets", "start", "exchange"),
        *("phase1", "phase2", "legacy", "replay_window"),
    }


def test_what_is_entered_reaches_the_engine_and_comes_back(client: Any, site: Any, user: Any) -> None:
    assert post(client, user, **OTHERS).status_code == 302
    row = compiled()
    assert {name: row[name] for name in row.keys() & OPTIONS} == COMPILED
    peer = Peer.objects.get()
    assert peer.options == COMPILED
    config = parse_config({"peers": [{**row, "psk": SECRET}]}).peers[0]
    assert config.dpd.interval_s == 0 and config.accept_wider[0].remote == "10.2.0.0/16"
    form = PeerForm(instance=peer)
    for name, text in OTHERS.items():
        shown = re.sub(r"\s*\n\s*", "\n", text).strip().replace(",10.3", ", 10.3")
        assert str(form[name].value()) == shown
    assert client.post(f"/vpn/peers/{peer.uuid}/", fields_again(peer)).status_code == 302
    assert Peer.objects.get().options == {} and not compiled().keys() & OPTIONS


def fields_again(peer: Peer) -> dict[str, Any]:
    fields = {"name": "Branch", "remote": "192.0.2.2", "remote_subnets": "10.2.0.0/24", "preset": "strong"}
    return fields | {"start": "traffic", "enabled": "on", "edit": str(peer.edit), "secret": ""} | DEFAULTS


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("nat_traversal", "sometimes", "sometimes is not one"),
        ("fragmentation", "rfc", "rfc is not one"),
        ("initial_contact", "force", "force is not one"),
        ("fragment_size", "295", "296"),
        ("fragment_size", "1501", "1500"),
        ("dpd_interval", "3601", "3600"),
        ("dpd_interval", "40", "The timeout must be longer than the interval."),
        ("dpd_timeout", "10", "The timeout must be longer than the interval."),
        ("retransmit_first", "nan", "Enter a number"),
        ("retransmit_first", "61", "60"),
        ("retransmit_tries", "13", "12"),
        ("dont_fragment", "never", "never is not one"),
        ("mss", "87", "auto, off, or a number of octets from 88 to 65495"),
        ("mss", "big", "auto, off, or a number"),
        ("alternates", "192.0.2.9\n192.0.2.0/24", "Line 2: “192.0.2.0/24” is neither an IP address nor a host name."),
        ("alternates", "192.0.2.2", "List each address once"),
        ("alternates", "\n".join(f"192.0.2.{n}" for n in range(11, 20)), "9 lines are too many; at most 8"),
        ("accept_wider", "10.2.0.0/16", "Line 1: enter two subnets"),
        ("accept_wider", "10.1.0.0/24, 10.2.0.0/16\n\n10.1.0.0/24, 10.2.0.1/16", "Line 3: “10.2.0.1/16” has host bits"),
        ("accept_wider", "10.1.0.0/24, 2001:db8::/32", "Line 1: both ends of a selector are IPv4"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(
    client: Any, site: Any, user: Any, name: str, value: str, words: str
) -> None:
    answer = post(client, user, **{name: value})
    errors = answer.context["form"].errors
    at = "dpd_timeout" if words.startswith("The timeout") else name
    assert list(errors) == [at] and words in errors[at][0]
    assert not Peer.objects.exists()
    page = answer.content.decode()
    assert is_open(page) and f'id="id_{at}_error"' in page


def test_the_section_is_open_if_there_is_something_to_see(client: Any, site: Any, user: Any) -> None:
    client.force_login(user)
    page = client.get(ADDRESS).content.decode()
    assert not is_open(page)
    for name in PLACES:
        assert f'id="id_{name}"' in page and f'id="id_{name}_helptext"' in page
    assert not is_open(post(client, user, remote_subnets="nonsense").content.decode())
    assert is_open(post(client, user, remote_subnets="nonsense", nat_traversal="force").content.decode())
    peer = make_peer(site)
    assert not is_open(client.get(f"/vpn/peers/{peer.uuid}/").content.decode())
    peer.options = {"dpd": {"interval_s": 20}}
    peer.save()
    page = client.get(f"/vpn/peers/{peer.uuid}/").content.decode()
    assert is_open(page) and re.search(r'name="dpd_interval" value="20"', page)


def accepted(name: str, value: Any) -> bool:
    """Whether the engine takes a value in the place of a field."""
    first, *rest = PLACES[name]
    row = {"id": "1", "name": "x", "remote": "192.0.2.2", "psk": SECRET, "local_subnets": ["10.1.0.0/24"]}
    part: dict[str, Any] = {rest[0]: value} if rest else value
    if name == "dpd_interval":
        part["timeout_s"] = 86_400
    if name == "dpd_timeout":
        part["interval_s"] = 0
    subnets: dict[str, Any] = {"remote_subnets": ["10.2.0.0/24"]}
    if name == "selectors":
        subnets = {"local_subnets": [], "remote_subnets": []}
    try:
        PeerConfig.model_validate({**row, **subnets, first: part})
    except ValidationError:
        return False
    return True


def test_choices_and_bounds_are_those_of_the_engine() -> None:
    for name, field in PeerForm().fields.items():
        if name not in PLACES:
            continue
        match field:
            case forms.ChoiceField():
                first, *rest = PLACES[name]
                model = {"outer": OuterPolicy}[first] if rest else PeerConfig
                values = get_args(model.model_fields[rest[0] if rest else first].annotation)
                assert {value for value, _ in field.choices} == set(values) and field.choices[0][0] == default_of(name)
            case forms.IntegerField():
                assert accepted(name, field.max_value) and not accepted(name, field.max_value + 1)
                lowest = field.min_value
                assert accepted(name, lowest)
                assert isinstance(field, forms.FloatField) or not accepted(name, lowest - 1)
            case forms.BooleanField():
                assert accepted(name, True) and default_of(name) is False
            case SegmentSizeField():
                assert accepted(name, MIN_MSS) and not accepted(name, MIN_MSS - 1)
                assert accepted(name, MAX_MSS) and not accepted(name, MAX_MSS + 1)
                assert accepted(name, "off") and default_of(name) == "auto" and not accepted(name, "none")
            case forms.GenericIPAddressField():
                assert accepted(name, "198.51.100.1") and accepted(name, "2001:db8::1") and not accepted(name, "here")
            case _:
                most = field.most
                value = "10.3.0.1" if name == "alternates" else {"local": "10.1.0.0/24", "remote": "10.2.0.0/16"}
                rows = [f"10.3.0.{n}" for n in range(most + 1)] if name == "alternates" else [value] * (most + 1)
                if name == "selectors":  # each is listed once
                    rows = [
                        {"local": "10.1.0.0/24", "remote": f"10.{2 + n // 256}.{n % 256}.0/24"} for n in range(most + 1)
                    ]
                assert accepted(name, rows[:most]) and not accepted(name, rows)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("peers.0.outer.mss", "mss"),
        ("peers.0.dpd", "dpd_timeout"),
        ("peers.0.dpd.interval_s", "dpd_interval"),
        ("peers.0.dpd.timeout_s", "dpd_timeout"),
        ("peers.0.accept_wider.3.remote", "accept_wider"),
        ("peers.0.alternates.1", "alternates"),
        ("peers.0.retransmit.first_s", "retransmit_first"),
        ("peers.0.retransmit.tries", "retransmit_tries"),
        ("peers.0.remote", "remote"),
        ("peers.0.phase2.proposals.0.encryption", "esp_lifetime"),
        ("listen.ike_port", None),
    ],
)
def test_problems_of_the_engine_find_their_field(path: str, field: str | None) -> None:
    assert PeerForm.field_of(Problem(field=path, rule="r", message="m")) == field


def test_the_words_of_hints_lead_to_the_fields() -> None:
    engine = "".join(path.read_text() for path in (ROOT / "vpnengine/ikev1").glob("*.py"))
    for word, name in (
        ("NAT traversal", "nat_traversal"),
        ("Fragmentation", "fragmentation"),
        ("Accept wider", "accept_wider"),
        ("Phase 1 mode", "exchange"),
    ):
        assert explain.places()[word] == {"page": "peer", "anchor": f"id_{name}"}
        assert word in engine
