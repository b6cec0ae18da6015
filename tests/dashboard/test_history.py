"""Revisions: restoring one, confirming one, and going back by itself."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from dashboard.accounts import services as accounts
from dashboard.fleet import services as fleet
from dashboard.publish import changes, history
from dashboard.publish import services as publishing
from dashboard.publish.models import Revision
from dashboard.sitevpn import services as vpn
from dashboard.sitevpn.models import LocalSubnet, Peer, VpnUser
from vpnengine.contract.problems import Refused

pytestmark = pytest.mark.django_db
SECRET = "a secret of enough length"


@pytest.fixture(autouse=True)
def isolated(settings: Any, tmp_path: Any) -> None:
    settings.CULVERT_KEYRING = tmp_path / "keyring.json"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


@pytest.fixture
def appliance() -> Any:
    user = accounts.create_administrator(email="a@example.com", name="A", password="a-long-passphrase-7")
    return fleet.create_organization(name="O", site_name="S", administrator_id=user.pk)


@pytest.fixture
def site(appliance: Any) -> Any:
    """Revision 1 has a subnet, revision 2 the peer Branch besides, revision 3 a user."""
    site = appliance.site
    vpn.save_subnets(site.pk, [("10.1.0.0/24", "LAN", True)], None)
    save(site, "Branch", "10.2.0.0/24", SECRET)
    vpn.save_user(site.pk, "road", SECRET, None)
    return site


def save(site: Any, name: str, subnet: str, secret: str = "", note: changes.Note | None = None) -> Peer:
    peer = Peer.objects.filter(site=site, name=name).first() or Peer(site=site, name=name)
    peer.remote, peer.remote_subnets = f"192.0.2.{len(name)}", [subnet]
    with changes.noted(note or changes.Note()):
        return vpn.save_peer(peer, secret=secret, author_id=None)


def newest(appliance: Any) -> Revision:
    found = history.newest(appliance.pk)
    assert found is not None
    return found


def expire(appliance: Any) -> None:
    Revision.objects.filter(appliance=appliance, confirm_by__isnull=False).update(
        confirm_by=timezone.now() - timedelta(seconds=1)
    )


def test_a_restored_revision_has_the_same_document_secrets_and_rows(appliance: Any, site: Any) -> None:
    before = newest(appliance)
    save(site, "Branch", "10.3.0.0/24", "another secret of enough length")
    save(site, "Other", "10.9.0.0/24", SECRET)
    vpn.delete_user(VpnUser.objects.get(), None)
    vpn.save_subnets(site.pk, [("10.1.0.0/24", "LAN", True), ("10.5.0.0/24", "New", True)], None)
    peer = Peer.objects.get(name="Branch")
    assert peer.secret_version is not None and publishing.reveal_secret(peer.secret_version) != SECRET

    history.restore(site_id=site.pk, appliance_id=appliance.pk, number=before.number, author_id=None)
    after = newest(appliance)
    assert after.number == 8 and after.comment == "Revision 3 restored"
    assert after.document | {"revision": 0} == before.document | {"revision": 0}
    assert after.rows["sitevpn"]["LocalSubnet"] == before.rows["sitevpn"]["LocalSubnet"]
    assert [row.name for row in Peer.objects.all()] == ["Branch"] and VpnUser.objects.get().name == "road"
    assert LocalSubnet.objects.get().name == "LAN"
    assert SECRET not in str(after.rows) + str(after.document)
    restored = Peer.objects.get()
    assert publishing.reveal_secret(restored.secret_version) == SECRET
    # Whoever had the form open is told.
    with pytest.raises(vpn.EditConflict):
        vpn.save_peer(restored, author_id=None, expected_edit=peer.edit)


def test_names_that_changed_places_come_back(appliance: Any, site: Any) -> None:
    save(site, "Other", "10.9.0.0/24", SECRET)
    number = newest(appliance).number
    one, two = Peer.objects.get(name="Branch"), Peer.objects.get(name="Other")
    for row, name in ((one, "x"), (two, "Branch"), (one, "Other")):
        row.name = name
        vpn.save_peer(row, author_id=None)
    history.restore(site_id=site.pk, appliance_id=appliance.pk, number=number, author_id=None)
    assert [row.name for row in Peer.objects.order_by("pk")] == ["Branch", "Other"]


def test_what_is_not_confirmed_goes_back_and_says_so(appliance: Any, site: Any) -> None:
    good = newest(appliance)
    save(site, "Branch", "10.3.0.0/24", note=changes.Note("A try", confirm_minutes=2))
    tried = newest(appliance)
    assert tried.comment == "A try" and timedelta(seconds=110) < tried.confirm_by - timezone.now()
    history.go_back_where_due()
    assert newest(appliance) == tried, "its time has not come"
    expire(appliance)
    history.go_back_where_due()
    back = newest(appliance)
    assert back.number == tried.number + 1
    assert back.comment == f"Back to revision {good.number}: revision {tried.number} was not confirmed in time"
    assert back.document["peers"] == good.document["peers"] and back.confirm_by is None
    assert Peer.objects.get().remote_subnets == ["10.2.0.0/24"]
    tried.refresh_from_db()
    assert tried.taken_back is not None
    history.go_back_where_due()
    assert newest(appliance) == back, "once is enough"
    # What was taken back is never what one goes back to.
    save(site, "Branch", "10.4.0.0/24", note=changes.Note(confirm_minutes=2))
    assert history.last_good(appliance.pk, back.number + 1) == back


def test_what_is_confirmed_stays(appliance: Any, site: Any) -> None:
    save(site, "Branch", "10.3.0.0/24", note=changes.Note(confirm_minutes=2))
    tried = newest(appliance)
    with pytest.raises(history.NothingToConfirm):
        history.confirm(site_id=site.pk, appliance_id=appliance.pk, number=tried.number - 1)
    history.confirm(site_id=site.pk, appliance_id=appliance.pk, number=tried.number)
    expire(appliance)
    history.go_back_where_due()
    assert newest(appliance) == tried
    with pytest.raises(history.NothingToConfirm):
        history.confirm(site_id=site.pk, appliance_id=appliance.pk, number=tried.number)


def test_a_change_upon_an_unconfirmed_one_waits_with_it(appliance: Any, site: Any) -> None:
    good = newest(appliance)
    save(site, "Branch", "10.3.0.0/24", note=changes.Note(confirm_minutes=5))
    first = newest(appliance)
    save(site, "Other", "10.9.0.0/24", SECRET)
    assert newest(appliance).confirm_by == first.confirm_by
    expire(appliance)
    history.go_back_where_due()
    assert newest(appliance).document["peers"] == good.document["peers"]
    assert Peer.objects.count() == 1
    assert Revision.objects.filter(taken_back__isnull=False).count() == 2


def test_a_refused_revision_is_no_good_one(appliance: Any, site: Any) -> None:
    good = newest(appliance)
    save(site, "Branch", "10.3.0.0/24")
    Revision.objects.filter(pk=newest(appliance).pk).update(state=Revision.State.REFUSED)
    save(site, "Branch", "10.4.0.0/24", note=changes.Note(confirm_minutes=2))
    history.go_back(appliance.pk, at_once=True)
    assert newest(appliance).comment == f"Back to revision {good.number}: revision 5 was taken back"
    assert Peer.objects.get().remote_subnets == ["10.2.0.0/24"]


def test_the_first_revision_cannot_ask_for_a_way_back(appliance: Any) -> None:
    with changes.noted(changes.Note(confirm_minutes=2)), pytest.raises(Refused, match="no earlier revision"):
        vpn.save_subnets(appliance.site.pk, [("10.1.0.0/24", "", True)], None)
    assert not Revision.objects.exists() and not LocalSubnet.objects.exists()


def test_a_revision_without_rows_cannot_be_restored(appliance: Any, site: Any) -> None:
    Revision.objects.filter(number=2).update(rows=None)
    with pytest.raises(Refused, match="older version"):
        history.restore(site_id=site.pk, appliance_id=appliance.pk, number=2, author_id=None)


def test_a_revision_is_kept_compressed(appliance: Any) -> None:
    """Documents of many peers repeat themselves; what comes back is what was put in, whatever is in it."""
    peers = [{"id": f"p{number}", "name": f"Zürich {number}", "remote": "192.0.2.1"} for number in range(2_000)]
    made = Revision.objects.create(appliance=appliance, number=9_000, document={"peers": peers}, rows=None)
    found = Revision.objects.get(pk=made.pk)
    assert found.document == {"peers": peers} and found.rows is None
    assert Revision.objects.filter(rows__isnull=True, pk=made.pk).exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT length(document) FROM publish_revision WHERE id = %s", [made.pk])
        assert cursor.fetchone()[0] < 20_000 < len(json.dumps({"peers": peers}))
