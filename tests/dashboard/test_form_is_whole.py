"""Every field of the engine's contract is in the form of a peer, or is said not to be in docs/peer-form.md."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from typing import Any

import pydantic
import pytest
from django.test import Client

from appliance.paths import ROOT
from dashboard.sitevpn.advanced_form import PLACES
from dashboard.sitevpn.forms import PeerForm
from dashboard.sitevpn.kernel_form import _MARK, _ROUTE
from dashboard.sitevpn.models import Peer
from tests.dashboard.test_dashboard import isolated, site, user
from tests.dashboard.test_policy import compiled, fields, post
from vpnengine.contract.config import EngineConfig, PeerConfig

pytestmark = pytest.mark.django_db
__all__ = ["isolated", "site", "user"]
# Path in a ``PeerConfig`` → field of the form.
ENTERED = {
    **{".".join(place): name for name, place in PLACES.items()},
    **{f"kernel.route_based.{name}": field for name, field in _ROUTE.items()},
    **{f"kernel.mark.{name}": field for name, field in _MARK.items()},
    **{name: name for name in ("name", "remote", "remote_subnets", "authentication", "exchange", "start", "legacy")},
    **{name: name for name in ("certificate", "private_key", "trusted_cas", "crl", "replay_window")},
    **{f"{end}_identity.type": f"{end}_identity_type" for end in ("local", "remote")},
    **{f"{end}_identity.value": f"{end}_identity" for end in ("local", "remote")},
    "kernel.offload": "offload",
    "psk": "secret",
    "xauth.role": "xauth_role",
    "xauth.user": "xauth_user",
    "xauth.password": "xauth_password",
    "mode_config.role": "config_role",
    "mode_config.way": "config_way",
    **{f"mode_config.{n}": n for n in ("unity", "split_exclude", "banner", "default_domain", "save_password")},
    "phase1.proposals": "ike_encryption",
    "phase1.lifetime_s": "ike_lifetime",
    "phase1.lifetime_kb": "ike_lifetime_kb",
    "phase2.proposals": "esp_encryption",
    "phase2.pfs_group": "esp_pfs",
    "phase2.pfs_also": "esp_pfs_also",
    "phase2.esn": "esn",
    "phase2.mode": "esp_mode",
    "phase2.lifetime_s": "esp_lifetime",
    "phase2.lifetime_kb": "esp_lifetime_kb",
}


def models_in(annotation: Any) -> Iterator[type[pydantic.BaseModel]]:
    """The models that an annotation may be, but not those in a list: a list is one field."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        for part in typing.get_args(annotation):
            yield from models_in(part)
    elif origin is typing.Annotated:
        yield from models_in(typing.get_args(annotation)[0])
    elif isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation


def leaves(kind: type[pydantic.BaseModel], path: str = "") -> Iterator[str]:
    for name, info in kind.model_fields.items():
        inside = list(models_in(info.annotation))
        for model in inside:
            yield from leaves(model, f"{path}{name}.")
        if not inside:
            yield path + name


def left_out() -> set[str]:
    rows = re.findall(r"^\| (`.+?) \|", (ROOT / "docs" / "peer-form.md").read_text(), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_every_field_is_entered_or_left_out_on_purpose() -> None:
    document = {path.split(".")[0] if path.startswith("listen") else path for path in leaves(EngineConfig)}
    document -= {"peers", "pools", "xauth.users"}
    assert set(leaves(PeerConfig)) | document == set(ENTERED) | left_out()
    form = PeerForm(instance=Peer())
    assert set(ENTERED.values()) <= set(form.fields)


ROUTE = {
    "route_interface": "ipsec7",
    "route_if_id": "0x7",
    "route_addresses": "10.255.0.1/30",
    "route_routes": "10.2.0.0/24\n10.3.0.0/24",
    "mark_value": "0x10",
    "mark_mask": "0xff",
    "offload": "auto",
    "local_address": "198.51.100.1",
    "retransmit_factor": "2",
}


def test_the_kernel_s_part_reaches_the_engine_and_comes_back(client: Client, site: Any, user: Any) -> None:
    assert post(client, user, **ROUTE).status_code == 302
    row = compiled()
    assert row["kernel"] == {
        "route_based": {
            "interface": "ipsec7",
            "if_id": 7,
            "addresses": ["10.255.0.1/30"],
            "routes": ["10.2.0.0/24", "10.3.0.0/24"],
        },
        "mark": {"value": 16, "mask": 255},
        "offload": "auto",
    }
    assert row["local_address"] == "198.51.100.1" and row["retransmit"] == {"factor": 2.0}
    form = PeerForm(instance=Peer.objects.get())
    shown = {name: form[name].value() for name in ROUTE}
    assert shown["route_routes"] == ["10.2.0.0/24", "10.3.0.0/24"] or shown["route_routes"] == ROUTE["route_routes"]
    assert (shown["mark_value"], shown["mark_mask"], shown["route_if_id"]) == ("0x10", "0xff", 7)
    assert form.advanced_open


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"route_interface": "ipsec7"}, "route_if_id", "Enter this as well."),
        ({"route_if_id": "7"}, "route_interface", "Enter this as well."),
        ({"route_interface": "lo", "route_if_id": "7"}, "route_interface", "is a name of the system"),
        ({"route_interface": "a b", "route_if_id": "7"}, "route_interface", "pattern"),
        ({"route_if_id": "x"}, "route_if_id", "Enter a number from 1 to 4294967295"),
        ({"route_addresses": "10.255.0.1/99"}, "route_addresses", "Line 1: “10.255.0.1/99” is not an address"),
        ({"mark_mask": "0xff"}, "mark_value", "Enter this as well."),
        ({"mark_value": "0x100", "mark_mask": "0xff"}, "mark_value", "has bits that the mask"),
        ({"mark_value": "0xc0de"}, "mark_value", "bear the mark"),
        ({"local_address": "here"}, "local_address", "valid IPv4 or IPv6 address"),
        ({"esp_mode": "transport"}, "remote_subnets", "transport mode is between two hosts"),
        ({"esp_protocol": "ah"}, "esp_encryption", "AH does not encrypt"),
        ({"esp_protocol": "ah", "esp_encryption": [], "esp_integrity": []}, "esp_integrity", "AH needs an integrity"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    client: Client, site: Any, user: Any, changes: dict[str, Any], field: str, words: str
) -> None:
    answer = post(client, user, **changes)
    assert answer.status_code == 200
    errors = {name: " ".join(found) for name, found in answer.context["form"].errors.items()}
    assert words.lower() in errors.get(field, "").lower(), errors
    assert not Peer.objects.exists()


def test_transport_mode_and_ah(client: Client, site: Any, user: Any) -> None:
    hosts = {"remote_subnets": "", "selectors": "10.1.0.5/32, 192.0.2.2/32, gre", "esp_mode": "transport"}
    sent = fields(**hosts, esp_protocol="ah", esp_encryption=[], esp_integrity=["sha256"])
    client.force_login(user)
    assert client.post("/vpn/peers/new/", sent).status_code == 302
    phase2 = compiled()["phase2"]
    assert phase2["mode"] == "transport"
    assert phase2["proposals"] == [{"encryption": "null", "integrity": "sha256", "protocol": "ah"}]
    form = PeerForm(instance=Peer.objects.get())
    assert (form["esp_mode"].value(), form["esp_protocol"].value()) == ("transport", "ah")
    assert form["esp_encryption"].value() == []
