"""One guest for all tests of this room, booted when the first asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lab.guest.machine import Guest, Nic
from lab.net import LabError, Namespace, destroy
from tests.kernel.suites import Suites

MEMORY_MB = 1536  # several suites at once
LAB, CARD, INSIDE = "tap", "tap-guest", "card"


@pytest.fixture(scope="session")
def gateway() -> Iterator[Namespace]:
    """A namespace of the host, in which the guest's network card ends as ``tap-guest``."""
    if os.geteuid():
        pytest.fail("the guest is built and booted as root; run it with sudo, or leave it out with --no-guest")
    destroy(LAB)
    made = Namespace(LAB, "gateway")
    made.create()
    yield made
    destroy(LAB)


@pytest.fixture(scope="session")
def booted(gateway: Namespace) -> Iterator[Guest]:
    """The guest alone."""
    machine = Guest(gateway, (Nic(CARD),), MEMORY_MB)
    try:
        machine.start()
        # While it is eth0, no pair of devices with that name can be made for other namespaces: “File exists”.
        machine.shell(f"ip link set eth0 down; ip link set eth0 name {INSIDE}")
    except LabError as error:
        pytest.fail(f"{error} (--no-guest leaves out what needs the guest)")
    try:
        yield machine
    finally:
        machine.stop()


@pytest.fixture(scope="session")
def suites(booted: Guest, request: pytest.FixtureRequest) -> Iterator[Suites]:
    """What runs inside on its own, begun as soon as the guest is up."""
    made = Suites(booted, request.session.items)
    yield made
    made.close()


@pytest.fixture(scope="session")
def guest(booted: Guest, suites: Suites) -> Guest:
    """The booted guest; its tests make namespaces inside it. Its card is for ``test_tap.py``."""
    return booted
