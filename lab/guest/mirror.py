"""Where this host gets Debian packages from, as its own apt is configured."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from lab.net import LabError, run

# What of apt's configuration decides whether and how a mirror is reached.
_CARRIED = ("Acquire::http", "Acquire::https", "Acquire::Check-Valid-Until", "Acquire::Check-Date", "Acquire::Retries")
_KEYRINGS = Path("/usr/share/keyrings")


@dataclass(frozen=True)
class Mirror:
    """A Debian mirror: the address before ``dists/``, and lines of apt.conf that reach it."""

    address: str
    options: tuple[str, ...]

    def source(self, suite: str) -> str:
        """The line of sources.list for another suite at the same mirror."""
        return f"deb {self.address} {suite} main"


def of_this_host() -> Mirror:
    """The mirror that apt is configured with, whatever the form of its source list.

    :raises LabError: if this is no Debian, or no mirror is configured.
    """
    release = platform.freedesktop_os_release()
    if release.get("ID") != "debian":
        raise LabError(
            f"the guest is built on Debian hosts, and this is {release.get('PRETTY_NAME', 'another system')}"
        )
    form = "$(RELEASE)|$(COMPONENT)|$(REPO_URI)"
    listed = run("apt-get", "indextargets", "--no-release-info", "--format", form, "Created-By: Packages").stdout
    own = {release.get("VERSION_CODENAME", ""), "stable", "testing", "unstable", "sid"} - {""}
    for line in listed.splitlines():
        suite, component, address = line.split("|", 2)
        if suite in own and component == "main":
            return Mirror(address, _options())
    raise LabError("apt has no mirror of Debian's main archive configured, so the guest cannot be built")


def _options() -> tuple[str, ...]:
    lines = run("apt-config", "dump", *_CARRIED).stdout.splitlines()
    return tuple(line for line in lines if not line.endswith(' "";'))


def keyring() -> Path:
    """The directory with the keys of Debian's archive."""
    return _KEYRINGS
