"""Secrets at rest: shown after the password alone, sealed anew with a new key, bound to their rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from dashboard.accounts.mfa_adapter import MfaAdapter
from dashboard.accounts.models import SignIn
from dashboard.audit.models import Change
from dashboard.core import keyring
from dashboard.publish import services as publishing
from dashboard.publish.models import SecretVersion
from dashboard.sitevpn.models import Peer
from tests.dashboard.role_samples import SECRET, World, make_world

pytestmark = pytest.mark.django_db
PASSWORD = "a-long-passphrase-7"


@pytest.fixture(autouse=True)
def isolated(settings: Any, tmp_path: Path) -> None:
    # Guesses are counted by the minute, and a slow hash on a busy machine takes seconds.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.CULVERT_KEYRING = tmp_path / "keyring.json"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    cache.clear()


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def client(world: World) -> Client:
    user = world.users["Site: full"]
    user.set_password(PASSWORD)
    user.save()
    client = Client()
    client.force_login(user)
    return client


def test_a_secret_is_shown_after_the_password(world: World, client: Client) -> None:
    path = f"/vpn/peers/{world.peer.uuid}/secret/"
    asked = client.get(path)
    assert asked.status_code == 200 and SECRET not in asked.content.decode()
    for wrong in ("", "wrong"):
        answer = client.post(path, {"password": wrong})
        assert SECRET not in answer.content.decode() and "field-error" in answer.content.decode()
    assert not Change.objects.filter(verb="secret revealed").exists()
    assert SignIn.objects.filter(success=False, method="secret of a peer").count() == 1
    shown = client.post(path, {"password": PASSWORD}, REMOTE_ADDR="198.51.100.4")
    assert f'value="{SECRET}"' in shown.content.decode() and shown["Cache-Control"] == "no-store"
    row = Change.objects.get(verb="secret revealed")
    assert (row.who, row.address, row.name) == ("site-full@example.com", "198.51.100.4", "Branch")
    assert SECRET not in json.dumps([row.before, row.after])


def test_guessing_at_it_is_slowed_down(world: World, client: Client) -> None:
    path = f"/vpn/peers/{world.peer.uuid}/secret/"
    for _ in range(12):
        client.post(path, {"password": "wrong"})
    answer = client.post(path, {"password": PASSWORD}).content.decode()
    assert SECRET not in answer and "too often" in answer


def ring() -> list[str]:
    from django.conf import settings

    return list(json.loads(Path(settings.CULVERT_KEYRING).read_text()))


def test_a_new_key_seals_everything_anew(world: World, capsys: Any) -> None:
    user = world.users["Organization: full"]
    codes = RecoveryCodes(Authenticator.objects.get(user=user, type="recovery_codes")).get_unused_codes()
    fingerprint = keyring.fingerprint(SECRET, f"peer:{world.peer.uuid}")
    first = ring()
    before = set(SecretVersion.objects.values_list("sealed", flat=True))
    call_command("rotatekeys")
    said = capsys.readouterr().out
    assert len(ring()) == 2 and ring()[1:] == first and ring()[0] in said
    everything = [row.sealed for row in SecretVersion.objects.all()]
    everything += [row.data.get("secret") or row.data["seed"] for row in Authenticator.objects.all()]
    assert all(keyring.is_current(text) for text in everything) and not before & set(everything)
    assert f"{len(everything)} secrets" in said
    assert publishing.reveal_secret(world.peer.secret_version) == SECRET
    assert keyring.fingerprint(SECRET, f"peer:{world.peer.uuid}") == fingerprint == world.peer.secret_fingerprint
    totp = Authenticator.objects.get(user=user, type="totp")
    assert MfaAdapter().decrypt(totp.data["secret"]) == "JBSWY3DPEHPK3PXP"
    assert RecoveryCodes(Authenticator.objects.get(user=user, type="recovery_codes")).get_unused_codes() == codes
    second = ring()[0]
    call_command("rotatekeys", "--retire")
    assert second in capsys.readouterr().out and len(ring()) == 2 and ring()[-1:] == first
    assert publishing.reveal_secret(world.peer.secret_version) == SECRET


def test_what_cannot_be_opened_is_said_and_its_key_kept(world: World, capsys: Any) -> None:
    row = SecretVersion.objects.get(pk=world.peer.secret_version)
    SecretVersion.objects.filter(pk=row.pk).update(owner="peer:somebody else")
    call_command_error = pytest.raises(CommandError, match="peer:somebody else")
    with call_command_error:
        call_command("rotatekeys", "--retire")
    row.refresh_from_db()
    assert keyring.name_of(row.sealed) in ring()
    SecretVersion.objects.filter(pk=row.pk).update(owner=f"peer:{world.peer.uuid}")
    assert publishing.reveal_secret(row.pk) == SECRET


def test_a_ciphertext_moved_to_another_row_opens_nothing(world: World) -> None:
    stolen = SecretVersion.objects.get(pk=world.peer.secret_version)
    other = SecretVersion.objects.create(owner="peer:mine", sealed=stolen.sealed)
    with pytest.raises(keyring.KeyringError):
        publishing.reveal_secret(other.pk)


def test_no_secret_and_no_key_is_in_the_database(world: World) -> None:
    """Every text of every table, as whoever steals the file would read it."""
    Peer.objects.get(pk=world.peer.pk)
    from django.conf import settings

    keys = list(json.loads(Path(settings.CULVERT_KEYRING).read_text()).values())
    assert oct(Path(settings.CULVERT_KEYRING).stat().st_mode & 0o777) == "0o600"
    searched = 0
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'select * from "{table}"')
            text = repr(cursor.fetchall())
            searched += len(text)
            for secret in (SECRET, "JBSWY3DPEHPK3PXP", world.token, *world.keys.values(), *keys):
                assert secret not in text, table
    assert searched > 10_000
