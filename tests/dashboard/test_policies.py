"""Policies of an organization and versions of presets: what changes with them, and what does not."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
from typing import Any

import pytest
from django.apps import apps

from dashboard.accounts import services as accounts
from dashboard.accounts.models import User
from dashboard.audit.models import Change
from dashboard.fleet import services as fleet
from dashboard.fleet.models import Appliance, Site
from dashboard.publish import history
from dashboard.publish.models import Revision
from dashboard.sitevpn import policies, policy_views, presets
from dashboard.sitevpn import services as vpn
from dashboard.sitevpn.models import Peer, Policy, PresetVersion
from tests.dashboard.role_samples import API_POLICY
from vpnengine.contract.problems import Refused

pytestmark = pytest.mark.django_db
SECRET = "a secret of enough length"
# Whoever changes what is in a preset raises its version, and adds a line here; no line is ever changed.
SHIPPED = {
    ("strong", 1): "b3089df196",
    ("compatible", 1): "5437fdaefc",
    ("aws", 1): "550b29d075",
    ("azure", 1): "b950a53331",
    ("meraki", 1): "23a1432382",
    ("asa", 1): "f903605e8c",
}


@pytest.fixture(autouse=True)
def isolated(settings: Any, tmp_path: Any) -> None:
    settings.CULVERT_KEYRING = tmp_path / "keyring.json"
    settings.CULVERT_ENGINE_GATEWAY = "tests.dashboard.test_review.Gateway"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


@pytest.fixture
def site(client: Any) -> Any:
    user = accounts.create_administrator(email="a@example.com", name="Ada", password="a-long-passphrase-7")
    client.force_login(user)
    made = fleet.create_organization(name="O", site_name="S", administrator_id=user.pk).site
    vpn.save_subnets(made.pk, [("10.1.0.0/24", "", True)], None)
    return made


@pytest.fixture
def other(site: Any) -> Any:
    made = Site.objects.create(organization=site.organization, name="T")
    Appliance.objects.create(site=made, name="T appliance")
    vpn.save_subnets(made.pk, [("10.1.0.0/24", "", True)], None)
    return made


def stored(site: Any, name: str = "Ours") -> Policy:
    row = Policy(organization=site.organization, name=name, policy=presets.BY_KEY["strong"].policy())
    policies.save(row, None)
    return row


def peer(site: Any, number: int, policy: Policy | None = None, own: Any = None) -> Peer:
    row = Peer(site=site, name=f"P{number}", remote=f"192.0.2.{number}", remote_subnets=[f"10.{number}.0.0/24"])
    if own:
        row.preset, row.policy = "custom", own
    if policy:
        policies.give(row, f"policy-{policy.uuid}")
    return vpn.save_peer(row, secret=SECRET, author_id=None)


def lifetime(site: Any, name: str) -> int:
    document = Revision.objects.filter(appliance__site=site).order_by("-number")[0].document
    return int(next(row for row in document["peers"] if row["name"] == name)["phase2"]["lifetime_s"])


def form(row: Policy, **changes: Any) -> dict[str, Any]:
    from dashboard.sitevpn.forms import PeerForm

    fields = {k: v for k, v in PeerForm.initial_of(row.policy).items() if v not in (None, False, "")}
    return fields | {"name": row.name, "edit": row.edit} | changes


def test_a_change_reaches_every_peer_at_every_site_and_no_other(client: Any, site: Any, other: Any) -> None:
    policy = stored(site)
    peer(site, 2, policy), peer(other, 3, policy), peer(site, 4)
    numbers = Revision.objects.count()
    reviewed = client.post(f"/policies/{policy.uuid}/", form(policy, esp_lifetime="1800") | {"change-review": "1"})
    page = reviewed.content.decode()
    assert reviewed["X-Culvert-Review"] == "yes" and "P2" in page and "P3" in page and "P4" not in page
    assert Revision.objects.count() == numbers and lifetime(site, "P2") == 3600
    answer = client.post(f"/policies/{policy.uuid}/", form(policy, esp_lifetime="1800"), follow=True)
    assert "2 peers use it" in answer.content.decode()
    assert (lifetime(site, "P2"), lifetime(other, "P3"), lifetime(site, "P4")) == (1800, 1800, 3600)
    assert Revision.objects.count() == numbers + 2
    change = Change.objects.get(kind="policy", verb="changed")
    assert change.name == "Ours" and "policy" in change.after
    # A form that was opened before it is told; so is that of a peer.
    assert client.post(f"/policies/{policy.uuid}/", form(policy)).status_code == 400
    assert Peer.objects.get(name="P2").edit == 2


def test_only_a_new_name_publishes_nothing(client: Any, site: Any) -> None:
    policy = stored(site)
    peer(site, 2, policy)
    # The form writes out what is the default.
    client.post(f"/policies/{policy.uuid}/", form(policy))
    numbers = Revision.objects.count()
    assert client.post(f"/policies/{policy.uuid}/", form(policy, name="Yours", edit=2)).status_code == 302
    assert Revision.objects.count() == numbers and Policy.objects.get().name == "Yours"


def test_what_is_refused_says_why_and_saves_nothing(client: Any, site: Any) -> None:
    policy = stored(site)
    stored(site, "Second")
    for changes, words in (
        ({"name": "second"}, "exists already"),
        ({"name": ""}, "required"),
        ({"ike_group": "modp1024"}, "is weak"),
        ({"esp_encryption": ["aes256"], "esp_integrity": []}, "needs an integrity algorithm"),
        ({"esp_lifetime": "5"}, "greater than or equal to 30"),
    ):
        answer = client.post(f"/policies/{policy.uuid}/", form(policy, **changes))
        assert answer.status_code == 400 and words in answer.content.decode(), changes
    assert Policy.objects.get(pk=policy.pk).edit == 1
    peer(site, 2, policy)
    client.post(f"/policies/{policy.uuid}/delete/")
    assert Policy.objects.filter(pk=policy.pk).exists()
    with pytest.raises(Refused, match="still use this policy: P2"):
        policies.delete(policy)


def test_going_back_keeps_what_the_peer_had_and_changes_no_policy(site: Any) -> None:
    policy = stored(site)
    peer(site, 2, policy)
    number = Revision.objects.order_by("-number")[0].number
    policy.policy = policy.policy | {"phase2": policy.policy["phase2"] | {"lifetime_s": 1800}}
    policies.save(policy, None)
    assert lifetime(site, "P2") == 1800
    history.restore(site_id=site.pk, appliance_id=site.appliances.get().pk, number=number, author_id=None)
    assert lifetime(site, "P2") == 3600 and Policy.objects.get().policy["phase2"]["lifetime_s"] == 1800
    assert Peer.objects.get().preset == "custom"


def test_a_new_version_of_a_preset_changes_nobody(client: Any, site: Any, monkeypatch: Any) -> None:
    row = peer(site, 2)
    assert (row.preset, row.preset_version) == ("strong", 1)
    strong = presets.BY_KEY["strong"]
    newer = dataclasses.replace(strong, version=2, phase2=strong.phase2 | {"lifetime_s": 7200})
    monkeypatch.setitem(presets.BY_KEY, "strong", newer)
    monkeypatch.setattr(policies, "PRESETS", (newer, *presets.PRESETS[1:]))
    monkeypatch.setattr(policy_views, "PRESETS", policies.PRESETS)
    policies.ship()
    assert set(PresetVersion.objects.filter(key="strong").values_list("version", flat=True)) == {1, 2}
    vpn.publish_site(site.pk, None, "again")
    assert lifetime(site, "P2") == 3600
    page = client.get(f"/vpn/peers/{row.uuid}/")
    assert page.context["form"]["preset"].value() == "strong@1"
    assert policies.offers(site.organization_id, row)[0].newer == (policies.Line("Lifetime of phase 2", "1 h", "2 h"),)
    assert "There is a newer version." in page.content.decode()
    # Saving the form as it is keeps the version; choosing the newer one takes it.
    data = {name: page.context["form"][name].value() for name in page.context["form"].fields}
    sent = {k: v for k, v in data.items() if v not in (None, False, "")} | {"remote_subnets": "10.2.0.0/24"}
    assert client.post(f"/vpn/peers/{row.uuid}/", sent | {"name": "P2"}).status_code == 302
    assert lifetime(site, "P2") == 3600
    assert client.post(f"/vpn/peers/{row.uuid}/", sent | {"preset": "strong", "edit": 2}).status_code == 302
    assert lifetime(site, "P2") == 7200 and Peer.objects.get().preset_version == 2
    assert "with version" not in client.get("/policies/").content.decode()


def test_what_was_shipped_stays_what_it_was() -> None:
    found = {}
    for preset in presets.PRESETS:
        text = json.dumps(preset.policy(), sort_keys=True)
        found[preset.key, preset.version] = hashlib.sha256(text.encode()).hexdigest()[:10]
    assert found == {key: SHIPPED.get(key) for key in found}, "raise the version of a preset that you change"
    assert {(row.key, row.version) for row in PresetVersion.objects.all()} >= set(found)


def test_peers_from_before_are_taken_over(site: Any, other: Any) -> None:
    own = presets.BY_KEY["aws"].policy() | {"legacy": False}
    for number, where in ((2, site), (3, other), (4, site)):
        row = peer(where, number, own=own)
        Peer.objects.filter(pk=row.pk).update(preset_version=None)
    single = peer(site, 5, own=presets.BY_KEY["azure"].policy())
    usual = peer(site, 6)
    Peer.objects.update(preset_version=None)
    before = vpn.compile_site(site.pk)
    importlib.import_module("dashboard.sitevpn.migrations.0007_policies").share(apps, None)
    policy = Policy.objects.get()
    assert policy.name == "Custom 1 (P2)" and policy.peers.count() == 3
    assert vpn.compile_site(site.pk) == before
    assert Peer.objects.get(pk=single.pk).preset == "custom" and Peer.objects.get(pk=usual.pk).preset_version == 1


def test_the_policy_of_another_organization_is_none(client: Any, site: Any) -> None:
    theirs = fleet.create_organization(
        name="X", site_name="Y", administrator_id=User.objects.create(username="b", email="b@example.com").pk
    ).site
    foreign = stored(theirs)
    assert client.get(f"/policies/{foreign.uuid}/").status_code == 404
    with pytest.raises(Refused, match="Invalid IPsec policy preset"):
        peer(site, 2, foreign)


def test_legacy_is_marked_with_why(client: Any, site: Any) -> None:
    weak = presets.BY_KEY["compatible"].policy()
    weak["phase1"] = weak["phase1"] | {"proposals": [{"encryption": "3des", "hash": "md5", "group": "modp1024"}]}
    policies.save(Policy(organization=site.organization, name="Old", policy=weak | {"legacy": True}), None)
    page = client.get("/policies/").content.decode()
    assert "3des: " in page and "modp1024: " in page and "no PFS: " in page and "sha1: SHA-1 has collisions" in page


def test_by_the_api(client: Any, site: Any) -> None:
    from dashboard.api import keys

    key = keys.make(organization_id=site.organization_id, name="k", role="full", sites={}, days=None, by_id=None)
    head = {"HTTP_AUTHORIZATION": f"Bearer {key}", "content_type": "application/json"}
    made = client.post("/api/v1/policies", {"name": "Ours", "ipsecPolicies": API_POLICY}, **head)
    assert made.status_code == 201, made.content
    row = made.json()
    body = {"name": "P2", "publicIp": "192.0.2.2", "privateSubnets": ["10.2.0.0/24"], "secret": SECRET}
    peers = f"/api/v1/sites/{site.uuid}/thirdPartyVPNPeers"
    added = client.post(peers, body | {"ipsecPoliciesPreset": row["preset"]}, **head)
    assert added.status_code == 201 and added.json()["ipsecPoliciesPreset"] == row["preset"]
    changed = client.put(
        f"/api/v1/policies/{row['id']}",
        {"name": "Ours", "ipsecPolicies": API_POLICY | {"childLifetime": 1200}, "edit": row["edit"]},
        **head,
    )
    assert changed.json()["peers"] == 1 and lifetime(site, "P2") == 1200
    assert client.delete(f"/api/v1/policies/{row['id']}", **head).status_code == 400
    wrong = client.post(peers, body | {"name": "P3", "ipsecPoliciesPreset": "policy-nothing"}, **head)
    assert wrong.status_code == 400 and wrong.json()["problems"][0]["field"] == "ipsecPoliciesPreset"
