"""Shared by all tests: a state directory that is nobody's."""

from __future__ import annotations

import os
import tempfile

# Before Django's settings are read: they make a key in the state directory.
os.environ["CULVERT_STATE"] = tempfile.mkdtemp(prefix="culvert-tests-")

import pytest
from hypothesis import settings

# How long one example takes says something of the machine, not of the code.
settings.register_profile("culvert", deadline=None)
settings.load_profile("culvert")

TIMED = ("lab", "browser")


def pytest_addoption(parser: pytest.Parser) -> None:
    """A guest that cannot be had fails the tests that need it: nobody shall miss them unawares."""
    parser.addoption("--no-guest", action="store_true", help="skip the tests that need the booted guest")
    parser.addoption("--page-shots", action="store_true", help="draw every page of the sweep in docs/images/pages")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Real peers and browsers on a busy machine are sometimes late: such a test gets a second try, which is shown.

    Whatever can be proven under the virtual clock is proven there, and gets none.
    """
    for item in items:
        if config.getoption("--no-guest") and item.get_closest_marker("kernel"):
            item.add_marker(pytest.mark.skip(reason="--no-guest was given"))
        if any(item.get_closest_marker(name) for name in TIMED):
            item.add_marker(pytest.mark.flaky(reruns=1))
