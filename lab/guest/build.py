"""Making the guest: Debian 13's cloud kernel, and an initramfs with Python, strongSwan and what the engine imports.

The result is kept under ``var/guest`` of the clone, or in ``CULVERT_GUEST_CACHE``, in a directory that is named by a
hash of everything that goes into it. The project's own code is not in it: it is added at each boot (``overlay``).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.guest import mirror
from lab.guest.cpio import CpioWriter
from lab.net import LabError

ROOT = Path(__file__).resolve().parents[2]
SUITE = "trixie"
PACKAGES = (
    *("linux-image-cloud-amd64", "kmod", "base-files", "bash", "dash", "coreutils", "sed", "grep", "findutils"),
    *("util-linux", "mount", "procps", "iproute2", "nftables", "iputils-ping", "ethtool", "tcpdump", "python3"),
    *("strongswan-charon", "strongswan-swanctl", "libcharon-extra-plugins", "libstrongswan-standard-plugins"),
    *("libstrongswan-extra-plugins", "libcharon-extauth-plugins"),
)
PYTHON_PACKAGES = (
    *("cryptography", "pydantic", "pyroute2", "vici", "scapy", "hypothesis"),
    *("pytest", "pytest-asyncio", "pytest-timeout", "pytest-rerunfailures"),
)
# Shell patterns, below the tree, of what nothing in the guest asks for.
UNWANTED = (
    *("boot", "var/cache", "var/lib/apt", "var/lib/dpkg", "usr/src", "usr/games", "usr/include"),
    *("usr/share/" + name for name in ("doc", "man", "info", "locale", "i18n", "perl*", "bash-completion", "zsh")),
    *("usr/share/" + name for name in ("lintian", "bug", "initramfs-tools", "zoneinfo", "mime", "strongswan")),
    *("usr/share/perl*", "usr/lib/x86_64-linux-gnu/perl*", "usr/bin/perl*", "usr/lib/x86_64-linux-gnu/libperl*"),
    *("usr/lib/python3*/" + name for name in ("test", "idlelib", "tkinter", "ensurepip", "turtledemo", "lib2to3")),
    *("usr/lib/python3*/" + name for name in ("pydoc_data", "config-3*")),
    *("usr/lib/modules/*/kernel/" + name for name in ("fs", "virt", "mm", "block", "sound")),
    "usr/lib/modules/*/kernel/drivers/[!ncv]*",
    *("usr/lib/modules/*/kernel/drivers/" + name for name in ("nv*", "cpu*", "clk", "cdrom", "vhost", "vfio", "video")),
    "usr/lib/modules/*/kernel/drivers/net/[!tvipbmdn]*",
    *(
        "usr/lib/" + name
        for name in ("systemd", "udev", "x86_64-linux-gnu/systemd", "x86_64-linux-gnu/gconv", "tmpfiles.d")
    ),
    *("usr/bin/" + name for name in ("systemd*", "udevadm", "journalctl", "loginctl", "networkctl", "resolvectl")),
    *("usr/local/lib/python3*/dist-packages/" + name for name in ("scapy/contrib", "scapy/tools", "bin")),
)
_ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
FETCH_S = 420.0
WORK_S = 180.0


@dataclass(frozen=True)
class Base:
    """What QEMU boots: the kernel, and the initramfs to which the project's code is appended."""

    directory: Path

    @property
    def kernel(self) -> Path:
        """The kernel image."""
        return self.directory / "vmlinuz"

    @property
    def initramfs(self) -> Path:
        """The archive. It is small on disk, and booted unpacked: that is quicker than to unpack it under emulation."""
        return self.directory / "base.cpio.zst"


def base() -> Base:
    """The base of the guest, built if it is not there yet. Two that want it at once build it once.

    :raises LabError: with a sentence that says what is missing.
    """
    pins = _pins()
    made = Base(cache() / _key(pins))
    if made.initramfs.exists():
        return made
    made.directory.parent.mkdir(parents=True, exist_ok=True)
    with _locked(made.directory.with_suffix(".lock")):
        if not made.initramfs.exists():
            _build(made, pins)
    return made


def cache() -> Path:
    """Where built guests are kept."""
    return Path(os.environ.get("CULVERT_GUEST_CACHE") or ROOT / "var" / "guest")


def _key(pins: tuple[str, ...]) -> str:
    recipe = Path(__file__).read_bytes()
    return hashlib.sha256(json.dumps([SUITE, PACKAGES, pins, recipe.hex()]).encode()).hexdigest()[:16]


def _pins() -> tuple[str, ...]:
    """The Python packages with the versions that the project is pinned to."""
    text = "\n".join(path.read_text() for path in sorted(ROOT.glob("requirements*.txt")))
    found = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)$", text, re.MULTILINE))
    missing = [name for name in PYTHON_PACKAGES if name not in found]
    if missing:
        raise LabError(f"no file requirements*.txt pins {', '.join(missing)}, which the guest holds")
    return tuple(f"{name}=={found[name]}" for name in PYTHON_PACKAGES)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(made: Base, pins: tuple[str, ...]) -> None:
    work = made.directory.with_suffix(".new")
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(made.directory, ignore_errors=True)
    work.mkdir()
    tree = work / "tree"
    _fetch(tree)
    kernel = next((tree / "boot").glob("vmlinuz-*"))
    version = kernel.name.removeprefix("vmlinuz-")
    shutil.copyfile(kernel, work / "vmlinuz")
    python = next((tree / "usr/lib").glob("python3.*"))
    site = tree / "usr/local/lib" / python.name / "dist-packages"
    _pip(site, python.name.removeprefix("python"), pins)
    for pattern in UNWANTED:
        for path in tree.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for name, text in _ACCOUNTS.items():
        (tree / name).write_text(text)
    _do("chroot", str(tree), "/usr/sbin/depmod", version)
    # Under emulation compiling is slow: it is done here. What does not compile, nothing imports.
    compiling = ("-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash")
    _do("chroot", str(tree), "/usr/bin/python3", *compiling, f"/usr/lib/{python.name}", f"/usr/local/lib/{python.name}")
    _pack(tree, work / "base.cpio.zst")
    shutil.rmtree(tree)
    work.rename(made.directory)


def _fetch(tree: Path) -> None:
    source = mirror.of_this_host()
    options = [f"--aptopt={line}" for line in source.options]
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
    # "extract" runs no maintainer script: nothing is installed, all that is wanted are the files.
    _do(
        *("mmdebstrap", "--quiet", "--mode=root", "--variant=extract", "--format=directory", "--architectures=amd64"),
        *(f"--keyring={mirror.keyring()}", "--aptopt=APT::Install-Recommends false", *options, *excluded),
        *("--aptopt=Acquire::Languages none", f"--include={','.join(PACKAGES)}"),
        *(SUITE, str(tree), source.source(SUITE)),
        timeout=FETCH_S,
    )


def _pip(site: Path, version: str, pins: tuple[str, ...]) -> None:
    short = version.replace(".", "")
    platforms = [f"--platform=manylinux{tag}_x86_64" for tag in ("_2_34", "_2_28", "_2_17", "2014")]
    _do(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"),
        *("--target", str(site), "--python-version", version, "--implementation", "cp", "--only-binary=:all:"),
        *(f"--abi=cp{short}", "--abi=abi3", "--abi=none", *platforms, *pins),
        timeout=FETCH_S,
    )


def _pack(tree: Path, target: Path) -> None:
    plain = target.with_suffix("")
    with plain.open("wb") as output:
        writer = CpioWriter(output)
        writer.tree(tree)
        writer.close()
    _do("zstd", "-q", "-9", "-T0", "--rm", str(plain), "-o", str(target))


def _do(*command: str, timeout: float = WORK_S) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except FileNotFoundError:
        raise LabError(
            f"the guest cannot be built: {command[0]} is not installed (./culvert test installs it)"
        ) from None
    except subprocess.TimeoutExpired:
        raise LabError(f"the guest cannot be built: {command[0]} did not end in {timeout:.0f} s") from None
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()[-8:]
        raise LabError(f"the guest cannot be built: {command[0]} says: " + " / ".join(words))
