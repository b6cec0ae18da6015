"""The page with the configuration for the other side."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from dashboard.accounts import services as accounts
from dashboard.fleet import services as fleet
from dashboard.peerside.catalogue import VENDORS
from dashboard.sitevpn import services as vpn
from tests.dashboard.test_dashboard import SECRET, isolated, make_peer, site, user

pytestmark = pytest.mark.django_db
__all__ = ["isolated", "site", "user"]


@pytest.fixture
def browser(user: Any, client: Any) -> Any:
    client.force_login(user)
    return client


def test_each_gateways_configuration_is_shown_and_taken_away(site: Any, browser: Any) -> None:
    peer = make_peer(site)
    address = f"/vpn/peers/{peer.uuid}/other-side/"
    saved = browser.post(address, {"address": "Hq.Example.net"})
    assert saved.status_code == 302 and vpn.public_address(site.pk) == "hq.example.net"
    browser.post(address, {"address": "198.51.100.7"})
    for vendor in VENDORS:
        page = browser.get(address, {"vendor": vendor.key}).content.decode()
        assert SECRET not in page and f'<option value="{vendor.key}" selected>' in page
        file = browser.get(f"{address}{vendor.key}/")
        if "cannot have this tunnel as it is" in page:
            assert file.status_code == 404 and vendor.key in ("asa", "meraki")
            continue
        text = file.content.decode()
        assert file["Content-Disposition"] == f'attachment; filename="{vendor.file}"'
        assert "198.51.100.7" in text and "10.1.0.0" in text and SECRET not in text


def test_a_wrong_address_is_kept_and_the_rule_said(site: Any, browser: Any) -> None:
    peer = make_peer(site)
    page = browser.post(f"/vpn/peers/{peer.uuid}/other-side/", {"address": "not an address"}).content.decode()
    assert 'value="not an address"' in page and "is neither an IP address nor a host name." in page


def test_nonsense_and_strangers(site: Any, browser: Any) -> None:
    peer = make_peer(site)
    address = f"/vpn/peers/{peer.uuid}/other-side/"
    assert browser.get(address, {"vendor": "toaster"}).status_code == 200
    assert browser.get(f"{address}toaster/").status_code == 404
    assert Client().get(address).status_code == 302
    stranger = accounts.create_administrator(email="b@example.com", name="B", password="a-long-passphrase-8")
    fleet.create_organization(name="P", site_name="T", administrator_id=stranger.pk)
    other = Client()
    other.force_login(stranger)
    for path in (address, f"{address}strongswan/"):
        assert other.get(path).status_code == 404


def test_without_a_local_subnet_the_page_says_so(site: Any, browser: Any, user: Any) -> None:
    peer = make_peer(site)
    vpn.save_subnets(site.pk, [], user.pk)
    page = browser.get(f"/vpn/peers/{peer.uuid}/other-side/").content.decode()
    assert "Enter at least one subnet" in page and 'id="config"' not in page
