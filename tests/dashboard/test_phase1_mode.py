"""Phase 1 mode and peers without a fixed address: what the form takes, refuses, and hands to the engine."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.sitevpn.models import Peer
from tests.dashboard.test_dashboard import isolated, make_peer, site, user
from tests.dashboard.test_policy import compiled, post
from vpnengine.contract.problems import Refused

pytestmark = pytest.mark.django_db
__all__ = ["isolated", "site", "user"]


def test_main_mode_is_what_one_gets(client: Any, site: Any, user: Any) -> None:
    assert post(client, user).status_code == 302
    assert compiled()["exchange"] == "main"


def test_aggressive_mode_says_what_it_costs_and_offers_one_group(client: Any, site: Any, user: Any) -> None:
    client.force_login(user)
    assert "try pre-shared secrets offline" in client.get("/vpn/peers/new/").content.decode()
    assert post(client, user, exchange="aggressive", preset="strong").status_code == 302
    row = compiled()
    assert row["exchange"] == "aggressive"
    assert {proposal["group"] for proposal in row["phase1"]["proposals"]} == {"modp2048"}


def test_aggressive_mode_wants_a_long_secret_also_afterwards(client: Any, site: Any, user: Any) -> None:
    page = post(client, user, exchange="aggressive", secret="only-16-letters!")
    assert page.status_code == 200 and "needs at least 20 random characters" in page.content.decode()
    assert not Peer.objects.exists()
    assert post(client, user, secret="only-16-letters!").status_code == 302
    peer = Peer.objects.get()
    client.force_login(user)
    fields = {"name": "Branch", "remote": "192.0.2.2", "remote_subnets": "10.2.0.0/24", "preset": "strong"}
    fields |= {"start": "traffic", "enabled": "on", "exchange": "aggressive", "edit": str(peer.edit), "secret": ""}
    page = client.post(f"/vpn/peers/{peer.uuid}/", fields)
    assert page.status_code == 200 and "needs at least 20 random characters" in page.content.decode()
    assert "only-16-letters!" not in page.content.decode()


@pytest.mark.parametrize("remote", ["any", "192.0.2.0/24", "192.0.2.10-192.0.2.20"])
def test_a_peer_without_a_fixed_address_has_to_begin(client: Any, site: Any, user: Any, remote: str) -> None:
    page = post(client, user, remote=remote)
    assert page.status_code == 200 and "only the peer can begin" in page.content.decode()
    assert post(client, user, remote=remote, start="responder").status_code == 302
    assert compiled()["remote"] == remote


@pytest.mark.parametrize("remote", ["192.0.2.20-192.0.2.10", "192.0.2.1/24"])
def test_a_wrong_range_is_refused_in_its_field(client: Any, site: Any, user: Any, remote: str) -> None:
    page = post(client, user, remote=remote, start="responder").content.decode()
    assert "lower address first" in page or "host bits set" in page


def test_two_peers_at_one_address_need_one_secret_and_two_identities(site: Any) -> None:
    first = {"remote_identity_type": "fqdn", "remote_identity": "one.example"}
    second = {"name": "Second", "remote_subnets": ["10.3.0.0/24"], "remote_identity_type": "fqdn"}
    make_peer(site, **first)
    with pytest.raises(Refused, match="cannot be told apart"):
        make_peer(site, **second, remote_identity="one.example")
    make_peer(site, **second, remote_identity="two.example")
