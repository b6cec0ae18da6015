"""Two administrators, one peer."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.accounts import services as accounts
from dashboard.fleet import services as fleet
from dashboard.fleet.models import Membership
from dashboard.publish.models import Revision
from dashboard.sitevpn import services as vpn
from dashboard.sitevpn.models import Peer

pytestmark = pytest.mark.django_db
SECRET = "a secret of enough length"


@pytest.fixture(autouse=True)
def isolated(settings: Any, tmp_path: Any) -> None:
    settings.CULVERT_KEYRING = tmp_path / "keyring.json"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


@pytest.fixture
def page(client: Any) -> str:
    """The address of a peer's form; Ada is signed in, and Ben is there too."""
    ada = accounts.create_administrator(email="ada@example.com", name="Ada", password="a-long-passphrase-7")
    ben = accounts.create_administrator(email="ben@example.com", name="Ben", password="a-long-passphrase-7")
    site = fleet.create_organization(name="O", site_name="S", administrator_id=ada.pk).site
    Membership.objects.create(organization=site.organization, user=ben)
    vpn.save_subnets(site.pk, [("10.1.0.0/24", "", True)], ada.pk)
    peer = Peer(site=site, name="Branch", remote="192.0.2.2", remote_subnets=["10.2.0.0/24"])
    vpn.save_peer(peer, secret=SECRET, author_id=ada.pk)
    client.force_login(ada)
    return f"/vpn/peers/{peer.uuid}/"


def form_of(client: Any, page: str) -> dict[str, Any]:
    form = client.get(page).context["form"]
    values = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in values.items() if value not in (None, False)}


def ben_saves(**changes: Any) -> None:
    """What the other administrator does in the meantime."""
    from dashboard.accounts.models import User

    peer = Peer.objects.get()
    secret = changes.pop("secret", "")
    for name, value in changes.items():
        setattr(peer, name, value)
    ben = User.objects.get(email="ben@example.com")
    vpn.save_peer(peer, secret=secret, author_id=ben.pk, expected_edit=peer.edit)


def test_the_second_is_told_what_who_and_when_and_keeps_what_was_typed(client: Any, page: str) -> None:
    mine = form_of(client, page)
    ben_saves(remote="192.0.2.77", start="immediate", remote_subnets=["10.2.0.0/24", "10.3.0.0/24"])
    before = Revision.objects.count()
    answer = client.post(page, mine | {"name": "Renamed", "remote": "192.0.2.99"})
    text, form = answer.content.decode(), answer.context["form"]
    assert answer.status_code == 200 and Revision.objects.count() == before
    assert "Ben has changed this peer since you opened it" in text
    assert form["name"].value() == "Renamed" and form["remote"].value() == "192.0.2.99"
    told = {one.name: (one.before, one.theirs, one.mine, one.both) for one in form.conflict.fields}
    assert told == {
        "remote": ("192.0.2.2", "192.0.2.77", "192.0.2.99", True),
        "start": ("When traffic needs it", "At once, and kept up", "When traffic needs it", False),
        "remote_subnets": ("10.2.0.0/24", "10.2.0.0/24\n10.3.0.0/24", "10.2.0.0/24", False),
    }
    assert form.conflict.known and form.conflict.when is not None


def test_merging_takes_theirs_where_chosen_and_mine_elsewhere(client: Any, page: str) -> None:
    mine = form_of(client, page)
    ben_saves(remote="192.0.2.77", start="immediate", enabled=False)
    typed = mine | {"name": "Renamed", "remote": "192.0.2.99"}
    form = client.post(page, typed).context["form"]
    choice = {f"take-{one.name}": "mine" if one.both else "theirs" for one in form.conflict.fields}
    assert choice == {"take-remote": "mine", "take-start": "theirs", "take-enabled": "theirs"}
    assert client.post(page, typed | {"edit": form["edit"].value()} | choice).status_code == 302
    peer = Peer.objects.get()
    assert (peer.name, peer.remote, peer.start, peer.enabled) == ("Renamed", "192.0.2.99", "immediate", False)


def test_overwriting_is_done_knowingly_and_only_what_was_seen(client: Any, page: str) -> None:
    mine = form_of(client, page)
    ben_saves(remote="192.0.2.77")
    form = client.post(page, mine | {"name": "Renamed"}).context["form"]
    # Ben is quicker once more: what Ada has not seen she cannot overwrite.
    ben_saves(remote="192.0.2.88")
    again = client.post(page, mine | {"name": "Renamed", "edit": form["edit"].value(), "take-remote": "mine"})
    (told,) = again.context["form"].conflict.fields
    assert (told.before, told.theirs, told.mine) == ("192.0.2.77", "192.0.2.88", "192.0.2.2")
    edit = again.context["form"]["edit"].value()
    assert client.post(page, mine | {"name": "Renamed", "edit": edit, "take-remote": "mine"}).status_code == 302
    assert Peer.objects.get().remote == "192.0.2.2"


def test_another_secret_is_told_and_never_shown(client: Any, page: str) -> None:
    mine = form_of(client, page)
    ben_saves(secret="quite another secret")
    text = client.post(page, mine | {"secret": "and mine is this one"}).content.decode()
    assert "another one was entered" in text and "yours replaces it" in text
    assert "quite another secret" not in text and "and mine is this one" not in text


def test_without_the_old_revision_everything_that_differs_is_told(client: Any, page: str) -> None:
    mine = form_of(client, page)
    ben_saves(remote="192.0.2.77")
    Revision.objects.update(rows=None)
    conflict = client.post(page, mine).context["form"].conflict
    assert not conflict.known and [(one.name, one.theirs) for one in conflict.fields] == [("remote", "192.0.2.77")]


def test_choices_are_for_fields_alone(client: Any, page: str) -> None:
    mine = form_of(client, page) | {"take-secret": "theirs", "take-nothing": "theirs", "take-edit": "theirs"}
    assert client.post(page, mine).status_code == 302
