"""The first run: its steps follow from what is there."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.accounts import services as accounts
from dashboard.fleet import services as fleet
from dashboard.fleet.models import Site
from dashboard.sitevpn.models import LocalSubnet, Peer

pytestmark = pytest.mark.django_db
SECRET = "a secret of enough length"
PEER = {"name": "Branch", "remote": "192.0.2.2", "remote_subnets": "10.2.0.0/24", "secret": SECRET}


@pytest.fixture
def admin(client: Any, settings: Any, tmp_path: Any) -> Any:
    settings.CULVERT_KEYRING = tmp_path / "keyring.json"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    user = accounts.create_administrator(email="a@example.com", name="A", password="a-long-passphrase-7")
    fleet.create_organization(name="O", site_name="S", administrator_id=user.pk)
    client.force_login(user)
    return client


def step(client: Any, query: str = "") -> str:
    return str(client.get(f"/setup/{query}").context["step"].key)


def test_one_step_after_the_other_whenever_one_comes_back(admin: Any) -> None:
    assert step(admin) == step(admin, "?step=peer") == step(admin, "?step=nonsense") == "place"
    assert admin.post("/setup/?step=place", {"name": "Depot", "time_zone": "Europe/Berlin"}).status_code == 302
    assert (Site.objects.get().name, Site.objects.get().time_zone) == ("Depot", "Europe/Berlin")
    assert step(admin) == "subnets" and step(admin, "?step=place") == "place"
    assert admin.post("/setup/", {"subnets": "10.1.0.0/24\n10.5.0.0/24\n"}).status_code == 302
    assert step(admin) == "peer"
    assert admin.post("/setup/", PEER).status_code == 302
    peer = Peer.objects.get()
    assert (peer.start, peer.preset, peer.remote_subnets) == ("immediate", "strong", ["10.2.0.0/24"])
    assert step(admin) == "watch" and "CET" in admin.get("/configuration/").content.decode()
    assert SECRET not in admin.get("/setup/?step=peer").content.decode()


def test_bad_input_names_the_field_and_keeps_what_was_typed(admin: Any) -> None:
    assert "time_zone" in admin.post("/setup/", {"name": "D", "time_zone": "Mars/Base"}).context["form"].errors
    admin.post("/setup/", {"name": "D", "time_zone": "UTC"})
    answer = admin.post("/setup/", {"subnets": "10.1.0.1/24"})
    assert "has host bits set" in answer.content.decode() and "10.1.0.1/24" in answer.content.decode()
    admin.post("/setup/", {"subnets": "10.1.0.0/24"})
    for change, field in (
        ({"remote_subnets": "10.1.0.0/25"}, "remote_subnets"),
        ({"remote_subnets": "nonsense"}, "remote_subnets"),
        ({"remote": "no such host"}, "remote"),
        ({"secret": "short"}, "secret"),
        ({"name": ""}, "name"),
    ):
        answer = admin.post("/setup/", PEER | change)
        assert list(answer.context["form"].errors) == [field], change
        assert SECRET not in answer.content.decode() and not Peer.objects.exists()


def test_subnets_that_are_there_keep_their_names(admin: Any) -> None:
    admin.post("/setup/", {"name": "D", "time_zone": "UTC"})
    LocalSubnet.objects.create(site=Site.objects.get(), subnet="10.1.0.0/24", name="LAN", in_vpn=False)
    admin.post("/setup/?step=subnets", {"subnets": "10.1.0.0/24\n10.6.0.0/24"})
    rows = {row.subnet: (row.name, row.in_vpn) for row in LocalSubnet.objects.all()}
    assert rows == {"10.1.0.0/24": ("LAN", False), "10.6.0.0/24": ("", True)}
