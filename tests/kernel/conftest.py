"""One guest for all tests of this room, booted when the first asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lab.guest.machine import Guest
from lab.net import LabError


@pytest.fixture(scope="session")
def guest() -> Iterator[Guest]:
    """The booted guest, without network cards: its tests make namespaces inside it."""
    if os.geteuid():
        pytest.fail("the guest is built and booted as root; run it with sudo, or leave it out with --no-guest")
    machine = Guest()
    try:
        machine.start()
    except LabError as error:
        pytest.fail(f"{error} (--no-guest leaves out what needs the guest)")
    try:
        yield machine
    finally:
        machine.stop()
