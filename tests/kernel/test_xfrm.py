"""The kernel's IPsec as a data path, in the guest: ``inside_path.py`` runs there, between two namespaces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.guest.machine import Guest

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module", autouse=True)
def namespaces(guest: Guest) -> Iterator[None]:
    """``xa`` and ``xb``, each with outer and inner addresses; ``xa`` knows no way to the inner ones."""
    guest.shell("""
        ip netns add xa; ip netns add xb
        ip link add wire netns xa type veth peer name wire netns xb
        for n in xa xb; do ip -n $n link set lo up; ip -n $n link set wire up; done
        ip -n xa address add 192.0.2.1/24 dev wire; ip -n xb address add 192.0.2.2/24 dev wire
        ip -n xa address add 2001:db8::1/64 dev wire nodad; ip -n xb address add 2001:db8::2/64 dev wire nodad
        ip -n xa address add 10.91.1.1/32 dev lo; ip -n xb address add 10.91.2.1/32 dev lo
        ip -n xa address add 2001:db8:1::1/128 dev lo; ip -n xb address add 2001:db8:2::1/128 dev lo
        ip -n xb route add 10.0.0.0/8 dev wire src 10.91.2.1
        ip -n xb route add 2001:db8:1::/64 dev wire src 2001:db8:2::1
    """)
    yield
    guest.shell("ip netns delete xa; ip netns delete xb")


def inside(guest: Guest, *arguments: str, prefix: tuple[str, ...] = ()) -> None:
    """Run tests in the guest: all of them pass there, and none is left out."""
    command = (*prefix, "python3", "-m", "pytest", "-p", "no:django", "-q", "-x", "--tb=short", *arguments)
    done = guest.run(*command, check=False, timeout=500)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "passed" in done.stdout and "skipped" not in done.stdout, done.stdout[-500:]


@pytest.mark.timeout(560)
@pytest.mark.parametrize("file", ["inside_path", "inside_apart", "inside_life"])
def test_the_data_path(guest: Guest, file: str) -> None:
    inside(guest, f"tests/kernel/{file}.py", prefix=("ip", "netns", "exec", "xa"))


@pytest.mark.timeout(560)
def test_the_engine_and_strongswan(guest: Guest) -> None:
    inside(guest, "tests/kernel/inside_engine.py")
