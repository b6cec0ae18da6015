"""The documents do not lead astray: links, tests, files and commands that they name exist."""

from __future__ import annotations

import re

import pytest

from appliance.paths import ROOT

DOCUMENTS = ("README.md", "CONTRIBUTING.md", "THREAT_MODEL.md", "docs/design.md")
ROOMS = ("appliance", "dashboard", "docs", "lab", "tests", "vpnengine")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("name", DOCUMENTS)
def test_named_files_and_tests_exist(name: str) -> None:
    for named in re.findall(r"`([a-z_]+/[\w./-]+(?:::\w+)?)`", (ROOT / name).read_text()):
        file, _, test = named.partition("::")
        if file.split("/")[0] in ROOMS:
            assert (ROOT / file).exists(), named
            assert not test or f"def {test}(" in (ROOT / file).read_text(), named


def test_pictures_are_small() -> None:
    pictures = list((ROOT / "docs" / "images").glob("*.png"))
    assert pictures and all(path.stat().st_size < 200_000 for path in pictures)
