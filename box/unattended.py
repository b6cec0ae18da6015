"""Claiming without a keyboard: cloud-init's NoCloud and systemd's credentials. Pure, save for `gather`.

One document, however it came: ``claim`` (an administrator's e-mail and password hash, organization, site), ``network``
(as ``box.contract.network``), ``ssh_keys``. From NoCloud it is the key ``culvert`` of ``user-data``, a
``#cloud-config`` in YAML; from systemd it is the credentials ``culvert.claim`` and ``culvert.network`` (JSON) and
``ssh.authorized_keys.root``.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, field_validator

from box.contract.network import parse_network
from vpnengine.contract.problems import Problem, Refused, problems_of
from vpnengine.contract.types import Model

MAX_OCTETS = 1_000_000
_HASH = re.compile(r"(argon2\$argon2id|pbkdf2_sha256|scrypt|bcrypt_sha256)\$[A-Za-z0-9+/=$.,_-]{40,400}")
_KEY = re.compile(
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-ssh-ed25519@openssh\.com) "
    r"([A-Za-z0-9+/]+=*)( .*)?"
)
CREDENTIALS = {"culvert.claim": "claim", "culvert.network": "network", "ssh.authorized_keys.root": "ssh_keys"}


class Claim(Model):
    """Who takes the appliance. ``password_hash`` is one of Django's, so that no password travels in clear."""

    email: str = Field(max_length=150, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
    name: str = Field(default="Administrator", min_length=1, max_length=150)
    password_hash: str
    organization: str = Field(min_length=1, max_length=80)
    site: str = Field(default="Headquarters", min_length=1, max_length=80)

    @field_validator("password_hash")
    @classmethod
    def _is_hash(cls, text: str) -> str:
        if not _HASH.fullmatch(text):
            raise ValueError("is not a hash; make one with Django’s make_password")
        return text


class Unattended(Model):
    """What was given; what was not is None or empty."""

    claim: Claim | None = None
    network: dict[str, Any] | None = None
    ssh_keys: tuple[str, ...] = Field(default=(), max_length=50)

    @field_validator("ssh_keys")
    @classmethod
    def _are_keys(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for number, key in enumerate(keys, 1):
            match = _KEY.fullmatch(key.strip())
            # The blob repeats its type behind a length (RFC 4253, section 6.6).
            kind = match[1].encode() if match else b""
            if match is None or _decoded(match[2])[4 : 4 + len(kind)] != kind:
                raise ValueError(f"key {number} is not a public key of OpenSSH, like “ssh-ed25519 AAAA… name”")
        return tuple(key.strip() for key in keys)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def parse(document: Any) -> Unattended:
    """Validate what was given; nothing of it is used if a part is wrong.

    :raises Refused: naming fields, and never repeating a value.
    """
    try:
        found = Unattended.model_validate(document)
    except ValidationError as error:
        raise Refused(problems_of(error)) from None
    if found.network is not None:
        try:
            parse_network(found.network)
        except Refused as refused:
            raise Refused([p.model_copy(update={"field": f"network.{p.field}"}) for p in refused.problems]) from None
    return found


def from_user_data(text: str) -> dict[str, Any]:
    """The document in a NoCloud ``user-data``; empty if it has none.

    :raises Refused: if it is no ``#cloud-config``, or no YAML.
    """
    if not text.strip():
        return {}
    if not text.startswith("#cloud-config"):
        raise _refused("user-data", "format", "begins with “#cloud-config”; scripts are not run here")
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        raise _refused("user-data", "yaml", "is not YAML; look for a tab, or a missing space behind a colon") from None
    if not isinstance(document, dict):
        raise _refused("user-data", "yaml", "is not a mapping")
    found = document.get("culvert", {})
    if not isinstance(found, dict):
        raise _refused("culvert", "type", "is a mapping of claim, network and ssh_keys")
    # cloud-init's own word for keys is understood too.
    keys = document.get("ssh_authorized_keys")
    return {"ssh_keys": keys, **found} if keys else dict(found)


def from_credentials(values: Mapping[str, str]) -> dict[str, Any]:
    """The document in systemd's credentials, by name.

    :raises Refused: naming the credential that is not JSON.
    """
    found: dict[str, Any] = {}
    for name, key in CREDENTIALS.items():
        text = values.get(name, "").strip()
        if not text:
            continue
        if key == "ssh_keys":
            found[key] = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
            continue
        try:
            found[key] = json.loads(text)
        except ValueError:
            raise _refused(name, "json", "is not JSON") from None
    return found


def gather(credentials: Path | None, seed: Path | None) -> Unattended:
    """Read both: ``credentials`` is ``$CREDENTIALS_DIRECTORY``, ``seed`` where the disk ``cidata`` is mounted.

    A credential counts before the seed: the hypervisor's word is the stronger one.

    :raises Refused: with what is wrong, in either.
    """
    document: dict[str, Any] = {}
    if seed and (seed / "user-data").exists():
        document |= from_user_data(_text(seed / "user-data"))
    if credentials:
        values = {name: _text(credentials / name) for name in CREDENTIALS if (credentials / name).exists()}
        document |= from_credentials(values)
    return parse(document)


def write(found: Unattended, output: Path, state: Path) -> list[str]:
    """Put down what was given for whoever uses it; the names of what was.

    ``state/network/given.json`` is what a new machine begins with instead of the default; what was confirmed since
    counts more. ``output/authorized_keys`` is root's, and ``output/claim.json`` for ``manage.py claim``.
    """
    done = []
    files: list[tuple[str, Path, str]] = []
    if found.network is not None:
        files.append(("network", state / "network" / "given.json", json.dumps(found.network)))
    if found.ssh_keys:
        files.append(("ssh_keys", output / "authorized_keys", "".join(f"{key}\n" for key in found.ssh_keys)))
    if found.claim is not None:
        files.append(("claim", output / "claim.json", found.claim.model_dump_json()))
    for name, path, text in files:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        done.append(name)
    return done


def _text(path: Path) -> str:
    with path.open("rb") as file:
        octets = file.read(MAX_OCTETS + 1)
    if len(octets) > MAX_OCTETS:
        raise _refused(path.name, "size", f"is larger than {MAX_OCTETS} octets")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise _refused(path.name, "encoding", "is not UTF-8") from None


def _refused(field: str, rule: str, message: str) -> Refused:
    return Refused([Problem(field=field, rule=rule, message=message)])
