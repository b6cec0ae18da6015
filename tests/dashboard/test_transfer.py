"""A site's configuration, exported and imported elsewhere."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from box import archive
from dashboard.audit.models import Change
from dashboard.fleet import services as fleet
from dashboard.publish import services as publishing
from dashboard.publish.models import Revision, SecretVersion
from dashboard.sitevpn import presets, snapshot, transfer
from dashboard.sitevpn import services as vpn
from dashboard.sitevpn.models import LocalSubnet, Peer, Policy, VpnUser
from tests.dashboard import test_dashboard as base
from vpnengine.contract.problems import Refused

pytestmark = pytest.mark.django_db
isolated, site, user = base.isolated, base.site, base.user
PASSPHRASE = "correct horse battery"
SECRET, PASSWORD = base.SECRET, "the password of dave"


@pytest.fixture
def sealed(site: Any, user: Any) -> bytes:
    fields = {"name": "Berlin", "remote": "198.51.100.1", "remote_subnets": ["10.2.0.0/24"]}
    vpn.add_peer(site.pk, fields, secret=SECRET, author_id=user.pk)
    vpn.save_user(site.pk, "dave", PASSWORD, user.pk)
    vpn.save_public_address(site.pk, "203.0.113.7")
    return transfer.export(site, PASSPHRASE)


@pytest.fixture
def fresh(sealed: bytes, site: Any, user: Any, settings: Any, tmp_path: Path) -> Any:
    """Another machine: nothing of the first is there, its keyring neither."""
    site.organization.delete()
    SecretVersion.objects.all().delete()
    settings.CULVERT_KEYRING = tmp_path / "another-keyring.json"
    return fleet.create_organization(name="Other", site_name="Elsewhere", administrator_id=user.pk).site


def test_on_another_machine_it_is_the_same(sealed: bytes, fresh: Any, user: Any) -> None:
    plan = transfer.load(fresh, sealed, PASSPHRASE, user.pk, dry_run=True)
    assert plan.added["peers"] == ["Berlin"] and plan.about["site"] == "S"
    assert not Peer.objects.exists() and not SecretVersion.objects.exists() and not Revision.objects.exists()
    transfer.load(fresh, sealed, PASSPHRASE, user.pk, dry_run=False)
    document = publishing.resolved(Revision.objects.get().document)
    [peer] = document["peers"]
    assert (peer["remote"], peer["psk"], peer["local_subnets"]) == ("198.51.100.1", SECRET, ["10.1.0.0/24"])
    assert document["xauth"]["users"] == [{"name": "dave", "password": PASSWORD}]
    assert vpn.public_address(fresh.pk) == "203.0.113.7"
    noted = json.dumps(list(Change.objects.values("before", "after", "name")))
    assert SECRET not in noted and PASSWORD not in noted and "added" in noted


def test_what_is_there_is_replaced(sealed: bytes, fresh: Any, user: Any) -> None:
    transfer.load(fresh, sealed, PASSPHRASE, user.pk, dry_run=False)
    again = transfer.load(fresh, sealed, PASSPHRASE, user.pk, dry_run=True)
    assert again.kept == 3 and not any([*again.added.values(), *again.changed.values(), *again.removed.values()])
    peer = Peer.objects.get()
    vpn.save_peer(peer, secret="another secret of enough length", author_id=user.pk)
    fields = {"name": "Paris", "remote": "198.51.100.2", "remote_subnets": ["10.3.0.0/24"]}
    vpn.add_peer(fresh.pk, fields, secret=SECRET, author_id=user.pk)
    plan = transfer.load(fresh, sealed, PASSPHRASE, user.pk, dry_run=False)
    assert plan.changed["peers"] == ["Berlin"] and plan.removed["peers"] == ["Paris"]
    assert publishing.reveal_secret(Peer.objects.get().secret_version) == SECRET


def test_a_copy_at_a_second_site_is_a_peer_of_its_own(sealed: bytes, site: Any, user: Any) -> None:
    second = fleet.create_organization(name="O2", site_name="S2", administrator_id=user.pk).site
    transfer.load(second, sealed, PASSPHRASE, user.pk, dry_run=False)
    assert len(set(Peer.objects.values_list("uuid", flat=True))) == 2 and VpnUser.objects.count() == 2


def test_what_is_refused_changes_nothing(sealed: bytes, fresh: Any, user: Any) -> None:
    vpn.save_subnets(fresh.pk, [("10.9.0.0/24", "", True)], user.pk)
    document = archive.unseal(sealed, PASSPHRASE)
    newer = document | {"schema": 2}
    unknown = json.loads(json.dumps(document).replace('"remote_subnets"', '"distant_subnets"'))
    invalid = json.loads(json.dumps(document).replace("10.2.0.0/24", "10.1.0.0/24"))
    for changed, rule in ((newer, "version"), (unknown, "content"), ({"schema": 1}, "content"), (invalid, None)):
        with pytest.raises(Refused) as refused:
            transfer.load(fresh, archive.seal(changed, PASSPHRASE, {}), PASSPHRASE, user.pk, dry_run=False)
        assert rule in (None, refused.value.problems[0].rule)
        assert SECRET not in str(refused.value)
        assert [row.subnet for row in LocalSubnet.objects.all()] == ["10.9.0.0/24"] and not Peer.objects.exists()


def test_a_stored_policy_goes_along_as_the_peers_own(sealed: bytes, site: Any, user: Any) -> None:
    peer = Peer.objects.get()
    shared = Policy.objects.create(organization_id=site.organization_id, name="Branches", policy=peer.policy)
    Peer.objects.update(stored_policy=shared, preset=presets.STORED)
    file = transfer.export(site, PASSPHRASE)
    other = fleet.create_organization(name="O3", site_name="S3", administrator_id=user.pk).site
    transfer.load(other, file, PASSPHRASE, user.pk, dry_run=False)
    copy = Peer.objects.get(site=other)
    assert (copy.stored_policy, copy.preset, copy.policy) == (None, presets.CUSTOM, peer.policy)


def test_every_secret_has_an_owner() -> None:
    for model in snapshot.MODELS:
        has_secret = transfer.secrets_of([field.name for field in model._meta.concrete_fields])
        assert bool(has_secret) == (model.__name__ in transfer.OWNERS), model


def test_the_page(sealed: bytes, site: Any, user: Any) -> None:
    client = Client()
    client.force_login(user)
    page = client.get(reverse("configuration-transfer"))
    assert page.status_code == 200 and b"Passphrase, again" in page.content
    form = {"export-passphrase": PASSPHRASE, "export-again": "something else", "export-password": "?"}
    Change.objects.filter(verb="exported").delete()
    refused = client.post(reverse("configuration-export"), form)
    assert refused.status_code == 400 and b"not the passphrase above" in refused.content
    form["export-again"] = PASSPHRASE
    denied = client.post(reverse("configuration-export"), form | {"export-password": "not mine"})
    assert denied.status_code == 400 and b"This is not your password." in denied.content
    assert SECRET.encode() not in denied.content and not Change.objects.filter(verb="exported").exists()
    form["export-password"] = "a-long-passphrase-7"
    file = client.post(reverse("configuration-export"), form)
    assert file.status_code == 200 and file["Cache-Control"] == "no-store" and ".culvert" in file["Content-Disposition"]
    assert archive.unseal(file.content, PASSPHRASE)["rows"]["Peer"][0]["name"] == "Berlin"

    def load(passphrase: str, octets: bytes = file.content, **more: str) -> Any:
        upload = io.BytesIO(octets)
        upload.name = "a.culvert"
        data = {"load-file": upload, "load-passphrase": passphrase, **more}
        return client.post(reverse("configuration-import"), data)

    for answer, words in (
        (load("wrong passphrase"), b"does not open this file"),
        (load(PASSPHRASE, file.content[:-9]), b"cut short or changed"),
        (load(PASSPHRASE, b"PK" * 99), b"is not an export of Culvert"),
        (load(PASSPHRASE, file.content.replace(b'"version": 1', b'"version": 2')), b"update this appliance first"),
    ):
        assert answer.status_code == 400 and words in answer.content
    Peer.objects.all().delete()
    tried = load(PASSPHRASE)
    assert b"What the import would do" in tried.content and b"Berlin" in tried.content and not Peer.objects.exists()
    done = load(PASSPHRASE, **{"load-replace": "on"})
    assert done.status_code == 302 and Peer.objects.get().name == "Berlin"
