"""Hybrid authentication in memory: a certificate at one end, a user's password at the other, whoever begins."""

from __future__ import annotations

from typing import Any

import pytest

from tests import pki
from tests.ikev1.certified import LEFT_END, MIDDLE, RIGHT_END, ROOT, failed, started
from tests.ikev1.pair import RIGHT, Network, mirrored, peer_row
from tests.ikev1.test_remote_access import PASSWORD, SHARED, config
from tests.pki import DAY, NOW, issue
from vpnengine.contract.events import Side
from vpnengine.contract.problems import Refused
from vpnengine.ikev1.credentials import credential_problems
from vpnengine.ikev1.interface import InitiatePeer, RekeyPeer
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.message import Header

EXCHANGES = pytest.mark.parametrize("exchange", ["main", "aggressive"])


def gateway_row(row: dict[str, Any], end: pki.Identity, **changes: Any) -> dict[str, Any]:
    shown = {"certificate": end.chain_pem, "private_key": end.key_pem}
    return row | {"authentication": "hybrid", "psk": None, "xauth": {"role": "server"}} | shown | changes


def user_row(row: dict[str, Any], password: str = PASSWORD, **changes: Any) -> dict[str, Any]:
    login = {"role": "client", "user": "ali", "password": password}
    return row | {"authentication": "hybrid", "psk": None, "xauth": login, "trusted_cas": [ROOT.pem]} | changes


def joined(
    gateway: str = "right", end: pki.Identity | None = None, password: str = PASSWORD, **changes: Any
) -> Network:
    """Two ends; ``gateway`` has the certificate. ``user`` and ``server`` change those ends' rows."""
    user, server, seed = (changes.pop(name, default) for name, default in (("user", {}), ("server", {}), ("seed", 1)))
    left, right = peer_row(**changes), mirrored(peer_row(**changes))
    if gateway == "right":
        left, right = user_row(left, password, **user), gateway_row(right, end or RIGHT_END, **server)
    else:
        left, right = gateway_row(left, end or LEFT_END, **server), user_row(right, password, **user)
    return Network(config(left, **SHARED), config(right, **SHARED), seed=seed)


@EXCHANGES
@pytest.mark.parametrize(("gateway", "method"), [("right", "hybrid-rsa"), ("left", "hybrid-rsa-responder")])
def test_it_comes_up_whoever_begins(gateway: str, method: str, exchange: str) -> None:
    network = started(joined(gateway, exchange=exchange))
    assert network.pairs_agree(1)
    server, user = (network.right, network.left) if gateway == "right" else (network.left, network.right)
    assert server.last("ike.xauth.passed").text == "XAUTH: user “ali” is authenticated."
    assert "ike.phase1.certificate.accepted" in user.codes()
    assert "ike.phase1.certificate.accepted" not in server.codes()
    assert network.left.endpoint.peer_statuses(network.now)[0].phase1.authentication == method
    # Nothing here can be cracked offline, so that nothing is warned of.
    assert "ike.aggressive.used" not in server.codes() + user.codes()


@EXCHANGES
def test_a_client_gets_an_address(exchange: str) -> None:
    client = {"mode_config": {"role": "client", "way": "pull"}, "local_subnets": []}
    server = {"mode_config": {"role": "server", "way": "pull", "pool": "inside"}, "remote_subnets": [], "remote": "any"}
    network = started(joined(exchange=exchange, user=client, server=server))
    assert network.pairs_agree(1)
    status = network.right.endpoint.peer_statuses(network.now)[0]
    assert [(found.name, found.address) for found in status.clients] == [("ali", "10.9.0.1")]


@EXCHANGES
@pytest.mark.parametrize("gateway", ["right", "left"])
def test_rekeying_of_phase_1_asks_and_proves_again(gateway: str, exchange: str) -> None:
    network = started(joined(gateway, exchange=exchange))
    server, user = (network.right, network.left) if gateway == "right" else (network.left, network.right)
    pairs = dict(network.left.installed)
    network.command(network.left, RekeyPeer("right", 1))
    assert network.run(20, lambda: server.codes().count("ike.xauth.passed") == 2)
    network.run(15)
    assert network.left.installed.keys() == pairs.keys() and network.pairs_agree(1)
    assert user.codes().count("ike.phase1.certificate.accepted") == 2


@EXCHANGES
@pytest.mark.parametrize("gateway", ["right", "left"])
def test_without_the_password_nothing_is_up(gateway: str, exchange: str) -> None:
    network = failed(joined(gateway, password="not the password", exchange=exchange), 20)
    server, user = (network.right, network.left) if gateway == "right" else (network.left, network.right)
    assert server.last("ike.xauth.failed").side is Side.PEER
    assert user.last("ike.xauth.refused").side is Side.LOCAL
    assert "ike.phase1.established" not in server.codes() + user.codes()
    assert not server.endpoint._core.sas


@EXCHANGES
def test_a_stranger_can_change_nothing_before_the_password(exchange: str) -> None:
    """Anybody can make the client's HASH: until a user is known its INITIAL-CONTACT and quick modes count nothing."""
    network = started(joined(exchange=exchange))
    before, contacts = dict(network.right.installed), network.right.codes().count("ike.initial_contact")
    network.left.endpoint = joined(exchange=exchange, password="guess of a stranger", seed=7).left.endpoint
    network.command(network.left, InitiatePeer("right"))
    network.run(5)
    assert "ike.xauth.failed" in network.right.codes()
    assert network.right.installed == before
    assert network.right.codes().count("ike.initial_contact") == contacts


# What the user's side refuses of the gateway: its certificate, our changes, code, side, words of hint or text.
REFUSED: list[tuple[pki.Identity, dict[str, Any], str, Side, str]] = [
    (issue("right", MIDDLE, names=(RIGHT,), end=NOW - DAY), {}, "expired", Side.PEER, "has expired"),
    (issue("right", MIDDLE, names=(RIGHT,), start=NOW + DAY), {}, "not_yet_valid", Side.UNKNOWN, "date and time"),
    (RIGHT_END, {"trusted_cas": [issue("Other", ca=True).pem]}, "unknown_ca", Side.LOCAL, "field Trusted CAs"),
    (
        RIGHT_END,
        {"remote_identity": {"type": "fqdn", "value": "gw.example.com"}},
        "name",
        Side.LOCAL,
        "Remote identity",
    ),
]


@EXCHANGES
@pytest.mark.parametrize(("end", "user", "code", "side", "words"), REFUSED, ids=[r[2] for r in REFUSED])
def test_a_gateway_that_does_not_prove_itself_hears_no_password(
    end: pki.Identity, user: dict[str, Any], code: str, side: Side, words: str, exchange: str
) -> None:
    network = failed(joined(end=end, user=user, exchange=exchange), 20)
    event = network.left.last(f"ike.phase1.certificate.{code}")
    assert event.side is side and words in (event.hint or "") + event.text
    sent = [Header.parse(t.payload).exchange for source, t in network.sent if source == network.left.host]
    assert c.Exchange.TRANSACTION not in sent


def test_other_methods_do_not_meet_it() -> None:
    network = Network(config(user_row(peer_row())), config(mirrored(peer_row(xauth={"role": "server"})), **SHARED))
    failed(network, 8)
    hint = network.right.last("ike.phase1.no_proposal").hint or ""
    assert "authentication: here xauth-psk, peer hybrid-rsa" in hint


def test_what_cannot_work_is_refused_at_its_field() -> None:
    right = mirrored(peer_row())
    cases = [
        (gateway_row(right, RIGHT_END, xauth=None), "xauth", "choose which of them this side does"),
        (gateway_row(right, RIGHT_END, trusted_cas=[ROOT.pem]), "trusted_cas", "leave this empty"),
        (gateway_row(right, RIGHT_END, certificate=None), "certificate", "needs this side's certificate"),
        (gateway_row(right, RIGHT_END, private_key=None), "private_key", "needs the private key"),
        (user_row(right, certificate=RIGHT_END.pem), "certificate", "shows none"),
        (user_row(right, trusted_cas=[]), "trusted_cas", "needs the certificate of the CA"),
        (user_row(right, remote_identity={"type": "key-id", "value": "x"}), "remote_identity", "cannot prove a key ID"),
    ]
    for row, field, words in cases:
        with pytest.raises(Refused) as refused:
            config(row, **SHARED)
        (problem,) = refused.value.problems
        assert problem.field == f"peers.0.{field}" and words in problem.message


def test_a_key_of_another_kind_is_refused() -> None:
    end = issue("right", MIDDLE, kind="ecdsa-256", names=(RIGHT,))
    (problem,) = credential_problems(config(gateway_row(mirrored(peer_row()), end), **SHARED))
    assert problem.field == "peers.0.authentication" and "ecdsa-256" in problem.message
