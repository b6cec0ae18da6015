"""The change log: every write is in it, with before and after, and never a secret."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from dashboard.accounts import role_table
from dashboard.audit import services as audit
from dashboard.audit.models import Change
from dashboard.core import actor
from dashboard.sitevpn import services as vpn
from dashboard.sitevpn.models import Peer
from tests.dashboard.role_samples import SAMPLES, SECRET, World, make_world
from tests.dashboard.test_roles import send

pytestmark = pytest.mark.django_db
# Written by the way, or with a record of its own kind.
NOT_CHANGES = {
    "accounts_signin",
    "audit_change",
    "usersessions_usersession",
    "django_session",
    "django_content_type",
    "publish_revision",
    "publish_outbox",
    "publish_secretversion",
    "eventlog_eventrow",
}


@pytest.fixture(autouse=True)
def isolated(settings: Any, tmp_path: Any) -> Iterator[None]:
    settings.CULVERT_KEYRING = tmp_path / "keyring.json"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.ACCOUNT_RATE_LIMITS = False
    with patch("dashboard.publish.services.request_action", return_value=True):
        yield


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def client(world: World) -> Client:
    client = Client()
    client.force_login(world.users["Organization: full"])
    return client


class Writes:
    """The tables that are written while it is installed."""

    def __init__(self) -> None:
        self.tables: list[str] = []

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        verb, *words = sql.replace('"', "").split()
        if verb in ("INSERT", "UPDATE", "DELETE"):
            self.tables.append(words[0] if verb == "UPDATE" else words[1])
        return execute(sql, params, many, context)


def test_every_address_that_writes_leaves_a_record(world: World) -> None:
    """Each one is really asked, with what it accepts; what is written beside the record is looked at in SQL."""
    writing = []
    for row in role_table.rows():
        if row.method == "GET" or row.name.startswith("account_"):
            continue
        client = Client()
        client.force_login(world.users["Organization: full"])
        client.key = world.keys["Organization: full"]
        kwargs, writes = SAMPLES[row.name](world) if "<" in row.route else {}, Writes()
        with transaction.atomic(), connection.execute_wrapper(writes):
            send(client, row, world, kwargs)
            transaction.set_rollback(True)
        if set(writes.tables) - NOT_CHANGES:
            writing.append(row.name)
            assert "audit_change" in writes.tables, f"{row.method} {row.route} writes {sorted(set(writes.tables))}"
    assert {"api-v1:peers", "api-v1:peer", "api-v1:subnets", "api-v1:administrators", "api-keys"} <= set(writing)
    assert {"sitevpn", "peer", "peer-new", "peer-delete", "vpn-users", "vpn-user-delete"} <= set(writing)


def test_before_and_after_without_secrets(world: World, client: Client) -> None:
    peer = Peer.objects.get(pk=world.peer.pk)
    peer.remote = "192.0.2.77"
    who = actor.Actor(world.users["Site: full"].pk, "ada@example.com", "198.51.100.7", "page")
    with actor.acting(who):
        vpn.save_peer(peer, secret="quite another secret", author_id=None)
    row = Change.objects.order_by("-id").first()
    assert (row.who, row.address, row.via, row.verb, row.kind) == (
        "ada@example.com",
        "198.51.100.7",
        "page",
        "changed",
        "peer",
    )
    assert row.before == {"remote": "192.0.2.2", "secret_version": "(secret)", "secret_fingerprint": "(secret)"}
    assert row.after["remote"] == "192.0.2.77" and row.after["secret_version"] == "(another secret)"
    everything = json.dumps(list(Change.objects.values("before", "after")))
    assert SECRET not in everything and "quite another secret" not in everything
    page = client.get("/changelog/").content.decode()
    assert "192.0.2.77" in page and "ada@example.com" in page and SECRET not in page


def test_a_page_says_who_and_from_where(world: World, client: Client) -> None:
    answer = client.post(reverse("vpn-user-delete", kwargs={"uuid": world.vpn_user.uuid}), REMOTE_ADDR="203.0.113.9")
    assert answer.status_code == 302
    row = Change.objects.order_by("-id").first()
    assert (row.kind, row.verb, row.name, row.address) == ("VPN user", "removed", "road", "203.0.113.9")
    assert row.who == world.users["Organization: full"].email and row.user_id == world.users["Organization: full"].pk
    assert row.after == {} and row.before["name"] == "road" and row.before["password_version"] == "(secret)"


def test_record_and_change_are_kept_or_lost_together(world: World) -> None:
    before = Change.objects.count()
    peer = Peer(site=world.site, name="Bad", remote="192.0.2.3", remote_subnets=["10.1.0.0/25"])
    with pytest.raises(vpn.Refused):
        vpn.save_peer(peer, secret=SECRET, author_id=None)
    assert Change.objects.count() == before


@pytest.mark.django_db(transaction=True)
def test_a_record_needs_a_transaction() -> None:
    with pytest.raises(audit.NotInTransaction):
        audit.record(organization_id=1, kind="peer", verb="changed")


def test_what_is_the_same_is_no_change(world: World) -> None:
    before = Change.objects.count()
    vpn.save_subnets(world.site.pk, [("10.1.0.0/24", "", True)], None)
    assert Change.objects.count() == before


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        ("x", "psk", "(secret)"),
        (
            {"xauth": {"password": "x", "role": "client"}},
            "access",
            {"xauth": {"password": "(secret)", "role": "client"}},
        ),
        ([{"private_key": "x"}], "rows", [{"private_key": "(secret)"}]),
        (True, "has_secret", True),
        ("x", "secretary", "x"),
    ],
)
def test_secrets_are_known_by_their_names(value: Any, name: str, expected: Any) -> None:
    assert audit.redacted(value, name) == expected


def test_filters_pages_and_export(world: World, client: Client) -> None:
    for number in range(120):
        with transaction.atomic():
            audit.record(
                organization_id=world.site.organization_id,
                kind="note",
                verb="added",
                name=f"=cmd|{number}",
                object_id=number,
            )
    page = client.get("/changelog/?kind=note").content.decode()
    assert page.count("<time ") == 100 and "before=" in page
    assert client.get("/changelog/?kind=note&q=cmd|119").content.decode().count("<time ") == 1
    assert client.get("/changelog/?since=2999-01-01").content.decode().count("<time ") == 0
    bad = client.get("/changelog/?since=yesterday")
    assert bad.status_code == 400 and "since is a day like" in bad.content.decode()
    for nonsense in ("?before=x", "?before=99999999999999999999999", "?until=2026-13-40"):
        assert client.get("/changelog/" + nonsense).status_code == 400
    text = b"".join(client.get("/changelog/export.csv?kind=note")).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 120 and all(row["name"].startswith("'=cmd|") for row in rows)
    assert len(json.loads(b"".join(client.get("/changelog/export.json?kind=note")))) == 120
    assert client.get("/changelog/export.json?since=x").json()["field"] == "since"


def test_nobody_sees_the_changes_of_others(world: World) -> None:
    stranger = Client()
    stranger.force_login(world.stranger)
    assert "Branch" not in stranger.get("/changelog/").content.decode()
    assert "Branch" not in b"".join(stranger.get("/changelog/export.json")).decode()


def test_the_page_asks_the_database_little(world: World, client: Client, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(10):
        client.get("/changelog/")
