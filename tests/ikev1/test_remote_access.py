"""XAUTH and Mode Config in memory: both roles, each message suffering, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from tests.ikev1.certified import LEFT_END, RIGHT_END, certified
from tests.ikev1.pair import PSK, RIGHT, Network, mirrored, peer_row
from tests.ikev1.recorded import Recording
from vpnengine.contract.config import EngineConfig, config_for_wire, parse_config
from vpnengine.contract.problems import Refused
from vpnengine.contract.remote_access import AddressPool, XauthPolicy, XauthUser
from vpnengine.ikev1.interface import Configure, InitiatePeer, RekeyPeer, TerminatePeer, Transmit
from vpnengine.ikev1.leases import Pool
from vpnengine.ikev1.states import TRANSACTION, Role, Step, UnexpectedMessage, transaction_row
from vpnengine.ikev1.users import Users, Verdict
from vpnengine.isakmp import configuration
from vpnengine.isakmp.configuration import Configuration, Item
from vpnengine.isakmp.constants import Exchange
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import Header, build_payloads, parse_payloads

PASSWORD = "open sesame 1001"
SHARED: dict[str, Any] = {
    "xauth": {"users": [{"name": "ali", "password": PASSWORD}, {"name": "sara", "password": "another password"}]},
    "pools": [{"name": "inside", "addresses": "10.9.0.0/29", "dns": ["10.2.0.53"]}],
}


def config(row: dict[str, Any], revision: int = 1, **shared: Any) -> EngineConfig:
    return parse_config({"revision": revision, "peers": [row], **shared})


def client_row(user: str = "ali", password: str = PASSWORD, way: str | None = "pull", **changes: Any) -> dict[str, Any]:
    row = peer_row(xauth={"role": "client", "user": user, "password": password}, **changes)
    if way:
        row |= {"mode_config": {"role": "client", "way": way}, "local_subnets": []}
    return row


def server_row(way: str | None = "pull", **changes: Any) -> dict[str, Any]:
    row = mirrored(peer_row(), remote="any", xauth={"role": "server"}, **changes)
    if way:
        row |= {"mode_config": {"role": "server", "way": way, "pool": "inside"}, "remote_subnets": []}
    return row


def joined(
    left: dict[str, Any] | None = None, right: dict[str, Any] | None = None, seed: int = 1, **shared: Any
) -> Network:
    return Network(config(left or client_row()), config(right or server_row(), **(SHARED | shared)), seed=seed)


def up(network: Network, seconds: float = 60) -> None:
    network.command(network.left, InitiatePeer("right"))
    assert network.run(seconds, lambda: network.pairs_agree(1))


@pytest.mark.parametrize("exchange", ["main", "aggressive"])
@pytest.mark.parametrize("way", ["pull", "push"])
def test_a_user_comes_in_and_gets_an_address(way: str, exchange: str) -> None:
    network = joined(client_row(way=way, exchange=exchange), server_row(way, exchange=exchange))
    up(network)
    left = network.left.endpoint.peer_statuses(network.now)[0]
    right = network.right.endpoint.peer_statuses(network.now)[0]
    assert left.assigned == "10.9.0.1" and left.sas[0].local == "10.9.0.1/32" and left.sas[0].remote == "10.2.0.0/24"
    assert [(c.name, c.address) for c in right.clients] == [("ali", "10.9.0.1")]
    assert right.sas[0].remote == "10.9.0.1/32" and right.phase1.state == "established"
    assert network.right.endpoint.resting_config("left") is None
    assert network.left.last("ike.config.assigned").evidence["DNS"] == "10.2.0.53"
    assert network.right.last("ike.xauth.passed").text == "XAUTH: user “ali” is authenticated."
    assert PASSWORD not in str(network.left.events) + str(network.right.events) + str(network.left.endpoint.trace())


def test_xauth_alone_between_two_sites() -> None:
    network = joined(client_row(way=None), server_row(None, remote_subnets=["10.1.0.0/24"]))
    up(network)
    assert network.left.endpoint.peer_statuses(network.now)[0].sas[0].local == "10.1.0.0/24"


def test_mode_config_without_xauth_is_by_identity() -> None:
    left = client_row() | {"xauth": None, "local_identity": {"type": "fqdn", "value": "phone.example"}}
    network = joined(left, server_row() | {"xauth": None})
    up(network)
    assert network.right.endpoint.peer_statuses(network.now)[0].clients[0].name == "fqdn phone.example"


def test_the_responder_of_phase_1_may_be_the_client() -> None:
    left = mirrored(server_row(None, remote_subnets=["10.1.0.0/24"])) | {"remote": RIGHT}
    left = peer_row(xauth={"role": "server"})
    right = mirrored(peer_row(), xauth={"role": "client", "user": "ali", "password": PASSWORD})
    network = Network(config(left, **SHARED), config(right))
    up(network)
    assert "ike.xauth.passed" in network.left.codes() and "ike.xauth.accepted" in network.right.codes()


@pytest.mark.parametrize("exchange", ["main", "aggressive"])
@pytest.mark.parametrize(("client", "method"), [("left", "xauth-rsa"), ("right", "xauth-rsa-responder")])
def test_a_user_after_certificates(client: str, method: str, exchange: str) -> None:
    """XAUTHInitRSA and XAUTHRespRSA: both ends prove themselves by certificates, then one shows a password as well."""
    login = {"role": "client", "user": "ali", "password": PASSWORD}
    xauth = [login, {"role": "server"}] if client == "left" else [{"role": "server"}, login]
    left = peer_row(xauth=xauth[0], exchange=exchange) | certified(LEFT_END)
    right = mirrored(peer_row(exchange=exchange)) | {"xauth": xauth[1]} | certified(RIGHT_END)
    network = Network(config(left, **SHARED), config(right, **SHARED))
    up(network)
    server, user = (network.right, network.left) if client == "left" else (network.left, network.right)
    assert "ike.xauth.passed" in server.codes() and "ike.xauth.accepted" in user.codes()
    for node in (server, user):
        assert "ike.phase1.certificate.accepted" in node.codes() and "ike.aggressive.used" not in node.codes()
    assert network.left.endpoint.peer_statuses(network.now)[0].phase1.authentication == method
    network.command(network.left, RekeyPeer("right", 1))
    assert network.run(20, lambda: server.codes().count("ike.xauth.passed") == 2)
    network.run(15)
    assert network.pairs_agree(1)


@pytest.mark.parametrize("number", range(1, 16))
@pytest.mark.parametrize("fate", [[], [0.01, 0.02], [0.01, 0.6], [1.5]], ids=["lost", "doubled", "repeated", "late"])
def test_one_message_suffers(number: int, fate: list[float]) -> None:
    network = joined()
    network.fate = lambda count, source, transmit: fate if count == number else [0.01]
    up(network)
    network.run(15)
    assert network.pairs_agree(1)
    assert network.right.codes().count("ike.xauth.passed") == 1
    assert network.left.codes().count("ike.phase1.established") == 1


@pytest.mark.parametrize("way", ["pull", "push"])
@pytest.mark.parametrize("seed", range(6))
def test_heavy_loss_and_reordering_converge(seed: int, way: str) -> None:
    network = Network(config(client_row(way=way, start="immediate")), config(server_row(way), **SHARED), seed=seed)

    def fate(count: int, source: str, transmit: object) -> list[float]:
        if network.random.randrange(100) < 20:
            return []
        return [0.01 + network.random.random()] * (1 + (network.random.randrange(10) == 0))

    network.fate = fate
    assert network.run(600, lambda: network.pairs_agree(1))


def test_a_wrong_password_is_refused_and_explained() -> None:
    network = joined(client_row(password="not the password"))
    network.command(network.left, InitiatePeer("right"))
    network.run(30)
    assert not network.left.installed and not network.right.installed
    assert network.left.last("ike.xauth.refused").side == "local"
    assert network.right.last("ike.xauth.failed").evidence["user"] == "ali"
    assert "ike.phase1.established" not in network.left.codes() + network.right.codes()
    assert not network.right.endpoint._core.sas and "not the password" not in str(network.right.events)


def test_a_wrong_password_is_one_failure_also_if_the_client_vanishes() -> None:
    network = joined(client_row(password="not the password"))

    def fate(number: int, source: str, transmit: Transmit) -> list[float]:
        return [] if "ike.xauth.failed" in network.right.codes() else [0.01]

    network.fate = fate
    network.command(network.left, InitiatePeer("right"))
    assert network.run(30, lambda: "ike.xauth.failed" in network.right.codes())
    network.run(300)
    assert "ike.xauth.timeout" not in network.right.codes()
    assert not network.right.endpoint._core.sas


def test_guessing_locks_out_even_the_right_password() -> None:
    network = joined(client_row(password="not the password"), xauth=SHARED["xauth"] | {"max_failures": 2})
    for _ in range(2):
        network.command(network.left, InitiatePeer("right"))
        network.run(10)
    network.command(network.left, Configure(config(client_row(), 2)))
    network.command(network.left, InitiatePeer("right"))
    network.run(10)
    assert network.right.codes().count("ike.xauth.locked") == 1 and not network.left.outbound
    network.run(300)
    up(network)


def users(**changes: Any) -> Users:
    found = Users()
    found.configure(XauthPolicy(users=(XauthUser(name="ali", password=SecretStr(PASSWORD)),), **changes))
    return found


def test_trailing_nul_is_tolerated_only_if_it_then_fits() -> None:
    word = PASSWORD.encode()
    assert users().check(b"ali", word + b"\0", "a", 0) is Verdict.GOOD
    assert users().check(b"ali\0", word, "a", 0) is Verdict.GOOD
    for wrong in (word + b"\0\0", b"\0" + word, word[:-1], b"", b"\0"):
        assert users().check(b"ali", wrong, "a", 0) is Verdict.WRONG
    assert users().check(b"nobody", bytes(16), "a", 0) is Verdict.WRONG


def test_lockout_counts_users_and_addresses() -> None:
    found = users(max_failures=3, lockout_s=60)
    for number in range(12):
        assert found.check(f"u{number}".encode(), b"x", "one", 0) is Verdict.WRONG
    assert found.check(b"ali", PASSWORD.encode(), "one", 1) is Verdict.LOCKED
    assert found.check(b"ali", PASSWORD.encode(), "two", 1) is Verdict.GOOD
    assert found.check(b"ali", PASSWORD.encode(), "one", 61) is Verdict.GOOD
    for number in range(10_000):
        found.check(f"u{number}".encode(), b"x", f"h{number}", 62)
    assert len(found._counts) <= 4097


def test_the_same_user_gets_the_same_address_again() -> None:
    network = joined()
    up(network)
    network.command(network.left, TerminatePeer("right"))
    network.run(5)
    assert not network.right.endpoint.peer_statuses(network.now)[0].clients
    assert not network.right.endpoint.assigned()
    pool = network.right.endpoint._core.leases.pool("inside")
    assert str(pool.take("sara")) == "10.9.0.2"
    up(network)
    assert network.left.endpoint.peer_statuses(network.now)[0].assigned == "10.9.0.1"


def test_an_exhausted_pool_is_said() -> None:
    network = joined()
    pool = network.right.endpoint._core.leases.pool("inside")
    for number in range(6):
        assert pool.take(f"other {number}")
    network.command(network.left, InitiatePeer("right"))
    network.run(20)
    assert network.right.last("ike.config.exhausted").evidence["client"] == "ali"
    assert "ike.config.none" in network.left.codes() and not network.left.outbound


def test_a_pool_gives_what_is_wished_and_forgets_nobody() -> None:
    pool = Pool(AddressPool(name="p", addresses="10.9.0.4-10.9.0.5"))
    first = pool.take("a")
    assert pool.take("a") == first and pool.take("b", first) != first
    assert pool.take("c") is None
    pool.release("a")
    assert pool.take("c") == first and pool.take("a") is None


def test_rekeying_phase_1_asks_again_and_keeps_address_and_pairs() -> None:
    network = joined()
    up(network)
    pairs = dict(network.left.installed)
    network.command(network.left, RekeyPeer("right", 1))
    assert network.run(10, lambda: network.right.codes().count("ike.xauth.passed") == 2)
    network.run(15)
    assert network.left.installed.keys() == pairs.keys() and network.pairs_agree(1)
    assert len(network.right.endpoint.peer_statuses(network.now)[0].clients) == 1


def test_another_address_after_a_crash_of_the_server_is_followed() -> None:
    network = joined(client_row(start="immediate", dpd={"interval_s": 2, "timeout_s": 6}))
    up(network)
    fresh = joined(seed=7).right
    network.right.endpoint, network.right.installed, network.right.outbound = fresh.endpoint, {}, []
    network.right.endpoint._core.leases.pool("inside").take("sara")
    assert network.run(120, lambda: network.left.codes().count("ike.config.assigned") == 2)
    assert network.run(20, lambda: network.pairs_agree(1))
    assert network.left.endpoint.peer_statuses(network.now)[0].assigned == "10.9.0.2"
    assert network.left.installed[network.left.outbound[0]].selector.local_text == "10.9.0.2/32"
    assert "ike.phase2.refused" not in network.left.codes()


def test_a_user_that_is_removed_is_cut_off() -> None:
    network = joined()
    up(network)
    fewer = {"users": [{"name": "sara", "password": "another password"}]}
    network.command(network.right, Configure(config(server_row(), 2, **(SHARED | {"xauth": fewer}))))
    network.run(3)
    assert not network.right.installed and not network.left.installed


def test_a_row_and_its_pool_leave_the_configuration_at_once() -> None:
    network = joined()
    up(network)
    assert network.right.endpoint.resting_config("left") is None  # its clients have SAs: the status goes on changing
    network.command(network.right, Configure(parse_config({"revision": 2, "peers": []})))
    assert not network.right.installed and not network.right.endpoint.peer_ids()
    network.run(5)
    assert not network.left.outbound


@pytest.mark.parametrize("address", ["0.0.0.0", "10.2.0.7", "224.0.0.1", "127.0.0.1"])
def test_a_rogue_address_is_not_taken(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from ipaddress import IPv4Address

    monkeypatch.setattr(Pool, "take", lambda self, who, wish=None: IPv4Address(address))
    network = joined()
    network.command(network.left, InitiatePeer("right"))
    network.run(20)
    assert network.left.endpoint.peer_statuses(network.now)[0].assigned is None
    assert "ike.config.none" in network.left.codes()


def test_what_is_pushed_without_being_asked_is_ignored() -> None:
    """The gateway pushes an address and name servers to a side that is configured for neither."""
    network = joined(client_row(way=None), server_row("push"))
    network.command(network.left, InitiatePeer("right"))
    network.run(10)
    status = network.left.endpoint.peer_statuses(network.now)[0]
    assert status.assigned is None and not network.left.endpoint.own_addresses()
    assert network.left.endpoint.counters()["configuration not asked for"] == 1


def test_transactions_before_phase_1_is_done_are_refused() -> None:
    network = joined()
    seen: list[bytes] = []

    def fate(count: int, source: str, transmit: Any) -> list[float]:
        if Header.parse(transmit.payload).exchange == Exchange.TRANSACTION:
            seen.append(transmit.payload)
            return []
        return [0.01]

    network.fate = fate
    network.command(network.left, InitiatePeer("right"))
    network.run(3)
    fresh = joined()
    fresh.fate = lambda count, source, transmit: []
    fresh.command(fresh.left, InitiatePeer("right"))
    (sa,) = fresh.left.endpoint._core.sas.values()
    header = Header.parse(seen[0])
    forged = sa.initiator_cookie + header.responder_cookie + seen[0][16:]
    fresh.left.endpoint.receive(forged, sa.local, sa.remote, fresh.now)
    assert fresh.left.endpoint.counters()["dropped: transaction too early"] == 1


def test_no_quick_mode_before_the_password_is_accepted() -> None:
    network = joined(client_row(way=None), server_row(None, remote_subnets=["10.1.0.0/24"]))
    network.fate = lambda count, source, transmit: [] if count > 6 else [0.01]
    network.command(network.left, InitiatePeer("right"))
    network.run(2)
    assert {sa.state.value for sa in network.right.endpoint._core.sas.values()} == {"xauth"}
    assert network.left.endpoint.peer_statuses(network.now)[0].phase1.state == "negotiating"
    network.run(70)
    assert not network.right.endpoint._core.sas and "ike.xauth.timeout" in network.right.codes()


def test_a_peer_without_xauth_does_not_fit() -> None:
    network = joined(peer_row(), server_row(None, remote_subnets=["10.1.0.0/24"]))
    network.command(network.left, InitiatePeer("right"))
    network.run(60)
    assert "authentication: here xauth-psk, peer psk" in str(network.right.last("ike.phase1.no_proposal").evidence)


@pytest.mark.parametrize("damage", range(0, 100, 3))
def test_the_parser_is_total(damage: int) -> None:
    items = (Item(1, b"abcd"), Item(16520, b"\0\0"), Item(16522, b""), Item(3, b"x" * 40))
    first, body = build_payloads([Configuration(1, 7, items)])
    parsed = parse_payloads(first, body).only(Configuration, "ATTRIBUTES")
    assert parsed == Configuration(1, 7, items) and "abcd" not in repr(parsed)
    for change in (body[:damage], body[:damage] + b"\xff" + body[damage + 1 :]):
        try:
            parse_payloads(first, change)
        except DecodeError as error:
            assert error.rule
    assert configuration.MAX_ATTRIBUTES == 64


def test_the_table_is_whole() -> None:
    assert all(row.source.startswith("draft-ietf-ipsec-isakmp-") for row in TRANSACTION.values())
    for role in Role:
        for step in Step:
            with pytest.raises(UnexpectedMessage):
                transaction_row(role, step, 9)


REFUSALS: list[tuple[Callable[[], EngineConfig], str]] = [
    (lambda: config(client_row(start="traffic")), "peers.0.start"),
    (lambda: config(client_row() | {"local_subnets": ["10.1.0.0/24"]}), "peers.0.local_subnets"),
    (lambda: config(server_row(), xauth=SHARED["xauth"]), "peers.0.mode_config.pool"),
    (lambda: config(server_row(), pools=SHARED["pools"]), "peers.0.xauth"),
    (lambda: config(peer_row(), pools=[{"name": "p", "addresses": "10.0.0.0/8"}]), "pools.0.addresses"),
    (lambda: config(peer_row(), pools=[{"name": "p", "addresses": "fd00::/64"}]), "pools.0.addresses"),
    (lambda: config(peer_row(), xauth={"users": [{"name": "a", "password": "short"}]}), "xauth.users.0.password"),
]


@pytest.mark.parametrize(("make", "field"), REFUSALS, ids=[r[1] for r in REFUSALS])
def test_what_cannot_work_is_refused(make: Callable[[], EngineConfig], field: str) -> None:
    with pytest.raises(Refused) as refused:
        make()
    assert [problem.field for problem in refused.value.problems] == [field]
    assert "short" not in str(refused.value).replace("shorter", "")


def test_secrets_cross_the_wire_and_nothing_else() -> None:
    whole = config(client_row(), **SHARED)
    assert PASSWORD not in repr(whole) and PSK not in repr(whole)
    again = parse_config(config_for_wire(whole))
    assert again == whole and config_for_wire(again)["xauth"]["users"][0]["password"] == PASSWORD


@pytest.mark.parametrize(
    ("name", "kinds"),
    [("xauth-psk-modecfg-pull", [1, 2, 3, 4, 1, 2]), ("xauth-psk-modecfg-push", [1, 2, 3, 4, 3, 4])],
)
def test_recorded_messages_are_read_and_written_alike(name: str, kinds: list[int]) -> None:
    """What two strongSwan said to each other: XAUTH, then the address, asked for or pushed."""
    recording = Recording(name)
    messages = [o.payloads.only(Configuration, "ATTRIBUTES") for o in recording.of_exchange(Exchange.TRANSACTION)]
    assert [message.type for message in messages] == kinds
    assert [message.is_xauth for message in messages] == [True] * 4 + [False] * 2
    for message in messages:
        first, body = build_payloads([message])
        assert parse_payloads(first, body).only(Configuration, "ATTRIBUTES") == message
    assert messages[1].get(configuration.ConfigAttribute.XAUTH_USER_NAME)
    given = messages[5 if name.endswith("pull") else 4].get(configuration.ConfigAttribute.IP4_ADDRESS)
    assert given is not None and len(given) == 4


def test_damaged_and_replayed_transactions_change_nothing() -> None:
    network = joined()
    up(network)
    network.run(100)
    right = network.right

    def snapshot() -> tuple[object, ...]:
        status = right.endpoint.peer_statuses(0)[0]
        return dict(right.installed), list(right.outbound), status.clients, status.phase1.state

    before, users = snapshot(), right.codes().count("ike.xauth.passed")
    sent = [transmit for source, transmit in network.sent if source == network.left.host]
    for transmit in sent:
        message = transmit.payload
        if Header.parse(message).exchange != Exchange.TRANSACTION:
            continue
        damaged = [message[:i] + bytes([message[i] ^ 0xFF]) + message[i + 1 :] for i in range(len(message))]
        for data in (message, *damaged, *(message[:i] for i in range(len(message)))):
            right.endpoint.receive(data, transmit.remote, transmit.local, network.now)
            network.drain(right)
    assert snapshot() == before and right.codes().count("ike.xauth.passed") == users
