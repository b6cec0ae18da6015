"""The rules of the house hold, and the checks would notice a breach."""

from __future__ import annotations

import subprocess

import pytest

from appliance.cli.house import breach_of, import_breaches, large_files
from appliance.paths import ROOT
from vpnengine.contract.catalogue import CATALOGUE
from vpnengine.contract.events import Severity


def test_imports() -> None:
    assert import_breaches(ROOT) == []


def test_sizes() -> None:
    assert large_files(ROOT) == []


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("vpnengine.ikev1.core", "time"),
        ("vpnengine.esp.sa", "os"),
        ("vpnengine.isakmp.message", "vpnengine.ikev1.core"),
        ("vpnengine.contract.config", "vpnengine.crypto.secret"),
        ("vpnengine.daemon.service", "cryptography.fernet"),
        ("vpnengine.daemon.service", "dashboard.core"),
        ("dashboard.fleet.services", "vpnengine.daemon.client"),
        ("dashboard.fleet.services", "dashboard.sitevpn.models"),
        ("lab.net", "appliance.paths"),
        ("box.network.applier", "dashboard.core"),
        ("box.contract.network", "box.network.files"),
        ("dashboard.fleet.services", "box.network.applier"),
    ],
)
def test_a_breach_is_noticed(module: str, imported: str) -> None:
    assert breach_of(module, imported)


def test_front_door_helps_and_refuses() -> None:
    helped = subprocess.run([ROOT / "culvert", "--help"], capture_output=True, text=True, check=True)
    assert "./culvert up --demo" in helped.stdout
    refused = subprocess.run([ROOT / "culvert", "nonsense"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and "nonsense" in refused.stderr


def test_every_failure_says_what_to_do() -> None:
    for entry in CATALOGUE.values():
        assert entry.title and entry.text
        failing = entry.severity in (Severity.ERROR, Severity.WARNING)
        assert (entry.confidence is not None) == failing, entry.code
        if failing:
            assert entry.cause and entry.here and entry.there, entry.code


def test_every_code_that_is_emitted_is_listed() -> None:
    import re

    used = set()
    for path in [*(ROOT / "vpnengine").rglob("*.py"), *(ROOT / "dashboard").rglob("*.py")]:
        if "codes" not in path.parts:
            pattern = r'(?:emit|Fault|remove)\(\s*(?:core, peer, (?:pair|older), )?"((?:ike|engine)\.[a-z0-9_.]+)"'
            used |= set(re.findall(pattern, path.read_text()))
    assert used and used <= CATALOGUE.keys()
