"""What a hypervisor gives: read, refused, and used."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import CommandError, call_command
from django.test import Client

from box import unattended
from box.__main__ import main
from dashboard.accounts.models import User
from tests.box.documents import static
from vpnengine.contract.problems import Refused

PASSWORD = "a-long-passphrase-7"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJm5cHh1dXV1dXV1dXV1dXV1dXV1dXV1dXV1dXV1dXV1 me@example"


def _claim(**more: str) -> dict[str, str]:
    return {"email": "ada@example.com", "password_hash": make_password(PASSWORD), "organization": "ACME"} | more


def test_user_data_of_nocloud(tmp_path: Path) -> None:
    import yaml

    document = {"culvert": {"claim": _claim(), "network": static()}, "ssh_authorized_keys": [KEY], "users": []}
    (tmp_path / "user-data").write_text("#cloud-config\n" + yaml.safe_dump(document))
    found = unattended.gather(None, tmp_path)
    assert found.claim and found.claim.email == "ada@example.com" and found.ssh_keys == (KEY,)
    assert found.network and found.network["lan"]["address"] == "192.168.1.1/24"
    assert unattended.gather(None, tmp_path / "none") == unattended.Unattended()


def test_credentials_count_before_the_seed(tmp_path: Path) -> None:
    (tmp_path / "user-data").write_text("#cloud-config\nculvert:\n  network: {wan: {interface: eth9}}\n")
    (tmp_path / "culvert.network").write_text(json.dumps({"wan": {"interface": "eth0"}}))
    (tmp_path / "ssh.authorized_keys.root").write_text(f"# mine\n{KEY}\n")
    found = unattended.gather(tmp_path, tmp_path)
    assert found.network == {"wan": {"interface": "eth0"}} and found.ssh_keys == (KEY,)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("#!/bin/sh\nreboot", "user-data"),
        ("#cloud-config\n\t- a", "user-data"),
        ("#cloud-config\n- a", "user-data"),
        ("#cloud-config\nculvert: 1", "culvert"),
        ("#cloud-config\nculvert: {nonsense: 1}", "nonsense"),
        ("#cloud-config\nculvert: {network: {wan: {interface: 'a b'}}}", "network.wan.interface"),
        ("#cloud-config\nculvert: {ssh_keys: ['ssh-ed25519 AAAA']}", "ssh_keys"),
        ("#cloud-config\nculvert: {claim: {email: a@b.c, organization: O, password_hash: in-clear-text}}",
         "claim.password_hash"),
        ("#cloud-config\nculvert: !!python/object/apply:os.system ['true']", "user-data"),
    ],
)  # fmt: skip
def test_refused_with_a_field_and_without_the_value(tmp_path: Path, text: str, field: str) -> None:
    (tmp_path / "user-data").write_text(text)
    with pytest.raises(Refused) as refused:
        unattended.gather(None, tmp_path)
    assert [problem.field for problem in refused.value.problems] == [field]
    assert "in-clear-text" not in str(refused.value)
    # The command says the same, and leaves nothing behind.
    assert main(
        ["--state", str(tmp_path / "s"), "unattended", "--seed", str(tmp_path), "--output", str(tmp_path / "o")]
    )
    assert not (tmp_path / "s").exists() and not (tmp_path / "o").exists()


@pytest.mark.django_db
def test_the_claim_signs_in(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "culvert.claim").write_text(json.dumps(_claim()))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    place = tmp_path / "o"
    assert main(["--state", str(tmp_path / "s"), "unattended", "--output", str(place)]) == 0
    assert (place / "claim.json").stat().st_mode & 0o777 == 0o600
    for words in ("claimed", "claimed already; nothing was changed"):
        monkeypatch.setattr("sys.stdin", io.StringIO((place / "claim.json").read_text()))
        said = io.StringIO()
        call_command("claim", stdout=said)
        assert said.getvalue().strip() == words
    assert User.objects.count() == 1 and Client().login(username="ada@example.com", password=PASSWORD)
    monkeypatch.setattr("sys.stdin", io.StringIO('{"email": "a"}'))
    with pytest.raises(CommandError, match="not a claim"):
        call_command("claim")


def test_keys_are_openssh_s(tmp_path: Path) -> None:
    path = tmp_path / "k"
    made = subprocess.run(
        ["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(path)], check=False, capture_output=True
    )
    if made.returncode:
        pytest.skip("ssh-keygen is not there")
    assert unattended.parse({"ssh_keys": [path.with_suffix(".pub").read_text()]}).ssh_keys
