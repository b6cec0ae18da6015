"""A policy of one's own: what the form offers, refuses, and hands to the engine."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.template.loader import render_to_string

from dashboard.publish.models import Revision
from dashboard.sitevpn.forms import PeerForm
from dashboard.sitevpn.models import Peer
from dashboard.sitevpn.presets import PRESETS
from tests.dashboard.test_dashboard import SECRET, isolated, site, user
from vpnengine.contract.algorithms import DhGroup, EspEncryption, EspIntegrity, IkeEncryption, IkeHash
from vpnengine.contract.policies import Phase1Policy, Phase2Policy, weak_choices

pytestmark = pytest.mark.django_db
__all__ = ["isolated", "site", "user"]
ADDRESS = "/vpn/peers/new/"


def fields(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Branch",
        "remote": "192.0.2.2",
        "remote_subnets": "10.2.0.0/24",
        "secret": SECRET,
        "preset": "custom",
        "start": "traffic",
        "enabled": "on",
        "ike_encryption": "aes256",
        "ike_hash": "sha256",
        "ike_group": "modp2048",
        "esp_encryption": ["aes256"],
        "esp_integrity": ["sha256"],
    } | changes


def post(client: Any, user: Any, **changes: Any) -> Any:
    client.force_login(user)
    return client.post(ADDRESS, fields(**changes))


def compiled() -> dict[str, Any]:
    revision = Revision.objects.order_by("-number").first()
    assert revision is not None
    return dict(revision.document["peers"][0])


def test_what_is_entered_reaches_the_engine_and_comes_back(client: Any, site: Any, user: Any) -> None:
    changes = {
        "esp_encryption": ["aes128", "aes256", "aes256gcm16", "aes128gcm8"],
        "esp_integrity": ["sha256", "sha1"],
        "esp_pfs": "ecp256",
        "esp_pfs_also": ["modp3072", "curve25519"],
        "ike_lifetime": "7200",
        "ike_lifetime_kb": "5000",
        "esp_lifetime": "1800",
        "esp_lifetime_kb": "250000",
        "esn": "on",
        "replay_window": "1024",
    }
    assert post(client, user, **changes).status_code == 302
    peer = compiled()
    pairs = [(p["encryption"], p["integrity"]) for p in peer["phase2"]["proposals"]]
    assert pairs == [
        ("aes256gcm16", None),
        ("aes128gcm8", None),
        ("aes256", "sha256"),
        ("aes256", "sha1"),
        ("aes128", "sha256"),
        ("aes128", "sha1"),
    ]
    assert peer["phase2"]["pfs_also"] == ["modp3072", "curve25519"] and peer["phase2"]["esn"] is True
    assert (peer["phase2"]["lifetime_s"], peer["phase2"]["lifetime_kb"]) == (1800, 250000)
    assert peer["phase1"]["lifetime_kb"] == 5000
    assert (peer["replay_window"], peer["legacy"], peer["phase1"]["lifetime_s"]) == (1024, False, 7200)
    form = PeerForm(instance=Peer.objects.get())
    for name, value in changes.items():
        shown = form[name].value()
        assert (set(shown) if isinstance(shown, list) else str(shown)) == (
            set(value) if isinstance(value, list) else value.replace("on", "True")
        )


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("ike_encryption", "3des", "Sweet32"),
        ("ike_hash", "md5", "MD5 is broken"),
        ("ike_group", "modp1024", "Logjam"),
        ("esp_encryption", ["null"], "read the traffic"),
        ("esp_integrity", ["md5"], "MD5 is broken"),
        ("esp_pfs", "modp1536", "1536-bit"),
        ("esp_pfs_also", ["modp1024"], "Logjam"),
    ],
)
def test_weak_choices_need_the_switch(
    client: Any, site: Any, user: Any, field: str, value: str | list[str], words: str
) -> None:
    answer = post(client, user, **{field: value})
    errors = answer.context["form"].errors
    assert list(errors) == [field] and words in errors[field][0] and "Allow legacy algorithms" in errors[field][0]
    assert not Peer.objects.exists()
    assert post(client, user, **{field: value, "legacy": "on"}).status_code == 302
    assert compiled()["legacy"] is True


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"esp_encryption": ["aes256"], "esp_integrity": []}, "esp_integrity"),
        ({"esp_encryption": ["aes256gcm16"]}, "esp_integrity"),
        ({"esp_encryption": []}, "esp_encryption"),
        ({"ike_encryption": "des"}, "ike_encryption"),
        ({"ike_group": "modp768"}, "ike_group"),
        ({"replay_window": "31"}, "replay_window"),
        ({"esp_lifetime_kb": "1"}, "esp_lifetime_kb"),
        (
            {
                "esp_encryption": [f"aes{bits}{mode}" for bits in (128, 192, 256) for mode in ("", "ctr")],
                "esp_integrity": ["sha1", "sha256", "sha384", "sha512", "md5"],
                "esp_pfs": "",
                "legacy": "on",
                "name": "Thirty",
            },
            None,
        ),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(
    client: Any, site: Any, user: Any, changes: dict[str, Any], field: str | None
) -> None:
    answer = post(client, user, **changes)
    if field is None:
        assert answer.status_code == 302 and len(compiled()["phase2"]["proposals"]) == 30
        return
    assert list(answer.context["form"].errors) == [field]


def test_every_algorithm_is_offered_in_one_group_and_weak_ones_with_the_reason() -> None:
    html = render_to_string("sitevpn/policy.html", {"form": PeerForm()})
    for name, kind in (
        ("ike_encryption", IkeEncryption),
        ("ike_hash", IkeHash),
        ("ike_group", DhGroup),
        ("esp_encryption", EspEncryption),
        ("esp_integrity", EspIntegrity),
        ("esp_pfs", DhGroup),
    ):
        select = re.search(rf'<select name="{name}".*?</select>', html, re.DOTALL)
        assert select is not None
        groups = dict(re.findall(r'<optgroup label="(\w+)">(.*?)</optgroup>', select[0], re.DOTALL))
        for algorithm in kind:
            inside = [label for label, rows in groups.items() if f'value="{algorithm.value}"' in rows]
            assert inside == [algorithm.grade.value.capitalize()]
        assert all(a.weakness is None or a.weakness.split(" (")[0][:20] in groups["Legacy"] for a in kind)


def test_presets_are_strong() -> None:
    for preset in PRESETS:
        assert not weak_choices(Phase1Policy(**preset.phase1), Phase2Policy(**preset.phase2))
