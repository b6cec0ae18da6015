"""The claim of a machine that nobody sits at."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import CommandError, call_command
from django.test import Client

from dashboard.accounts.models import User
from dashboard.fleet.models import Organization
from tests.dashboard import test_dashboard as base

pytestmark = pytest.mark.django_db
isolated = base.isolated
PASSWORD = "a-long-passphrase-9"


@pytest.fixture
def claim(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command with a document on its standard input; what it says."""

    def run(document: Any) -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(document if isinstance(document, str) else json.dumps(document)))
        out = io.StringIO()
        call_command("claim", stdout=out)
        return out.getvalue().strip()

    return run


def document(**more: str) -> dict[str, str]:
    fields = {"email": "ada@example.com", "name": "Ada", "organization": "Example Ltd", "site": "Berlin"}
    return {**fields, "password_hash": make_password(PASSWORD), **more}


def test_the_administrator_signs_in_with_the_password_of_the_hash(claim: Any) -> None:
    assert claim(document()) == "claimed"
    assert Organization.objects.get().name == "Example Ltd"
    assert Client().login(username="ada@example.com", password=PASSWORD)
    assert claim(document(email="eve@example.com")) == "claimed already; nothing was changed"
    assert [user.email for user in User.objects.all()] == ["ada@example.com"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (document(password_hash="md5$salt$0123456789abcdef"), "kind that is not used here"),
        (document(password_hash=PASSWORD), "hash"),
        (document(password_hash="!unusable"), "hash is none"),
        ({"email": "ada@example.com"}, "This is not a claim"),
        ("no JSON", "This is not a claim"),
    ],
)
def test_what_is_no_claim_makes_nobody(claim: Any, given: Any, words: str) -> None:
    with pytest.raises(CommandError, match=words) as refused:
        claim(given)
    assert PASSWORD not in str(refused.value)
    assert not User.objects.exists() and not Organization.objects.exists()
