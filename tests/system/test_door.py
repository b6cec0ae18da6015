"""The front door: what ``./culvert`` installs and when, with a Python, an apt and a dpkg that only take notes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from appliance.paths import ROOT

_PYTHON = """#!/bin/sh
echo "$(basename "$0") $*" >>"$DOOR/notes"
case "$1 $2" in
    "-m venv") mkdir -p "$3/bin" "$3/lib/python"; cp "$0" "$3/bin/python" ;;
    "-m pip") test ! -e "$DOOR/pip-hangs" || sleep 30; test ! -e "$DOOR/pip-fails" ;;
    */manage.py*) echo "ran $2" ;;
esac
"""
# ``installed`` holds a line per package.
_DPKG_QUERY = """#!/bin/sh
shift 3
for package; do grep -qx "$package" "$DOOR/installed" && echo "ii $package"; done
exit 0
"""
_APT = """#!/bin/sh
echo "apt-get $*" >>"$DOOR/notes"
test "$1" = install || exit 0
test ! -e "$DOOR/apt-fails" || { echo "E: no network" >&2; exit 100; }
for word; do echo "$word" >>"$DOOR/installed"; done
"""


class Door:
    """A clone that has nothing yet."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "clone").mkdir()
        for name in ("culvert", "requirements.txt", "requirements-lab.txt", "requirements-dev.txt"):
            shutil.copy(ROOT / name, directory / "clone" / name)
        (directory / "bin").mkdir()
        for name, text in (
            ("python3", _PYTHON),
            ("dpkg-query", _DPKG_QUERY),
            ("apt-get", _APT),
            ("dpkg", "#!/bin/sh\n"),
        ):
            (directory / "bin" / name).write_text(text)
            (directory / "bin" / name).chmod(0o755)
        (directory / "installed").touch()
        (directory / "notes").touch()

    def open(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``./culvert``."""
        environment = {**os.environ, "DOOR": str(self.directory), "PATH": f"{self.directory / 'bin'}:/usr/bin:/bin"}
        return subprocess.Popen(
            [str(self.directory / "clone" / "culvert"), *arguments],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and errors of ``./culvert``."""
        process = self.open(*arguments)
        out, err = process.communicate(timeout=30)
        return process.returncode, out, err

    def notes(self, beginning: str) -> list[str]:
        """What was called."""
        return [line for line in (self.directory / "notes").read_text().splitlines() if line.startswith(beginning)]


@pytest.fixture
def door(tmp_path: Path) -> Door:
    if os.geteuid():
        pytest.skip("as root, so that nobody is asked for sudo's password")
    return Door(tmp_path)


def test_a_second_run_installs_nothing(door: Door) -> None:
    code, out, err = door.run("up")
    assert (code, out) == (0, "ran up\n") and "installing Debian packages" in err and "requirements.txt" in err
    (door.directory / "notes").write_text("")
    assert door.run("up") == (0, "ran up\n", "")
    assert not door.notes("apt-get") and not door.notes("python -m")


def test_only_what_a_command_needs_is_installed(door: Door) -> None:
    assert door.run("ctl", "status")[0] == 0
    assert (door.directory / "installed").read_text().count("strongswan") == 0
    assert "redis-server" not in (door.directory / "installed").read_text()
    door.run("lab", "--help")
    assert "strongswan-charon" not in (door.directory / "installed").read_text()
    door.run("lab", "exec", "direct", "lan", "--", "ping", "--help")
    assert "strongswan-charon" in (door.directory / "installed").read_text()
    assert "requirements-lab.txt" in door.notes("python -m pip")[-1]


def test_help_and_a_slip_install_nothing(door: Door) -> None:
    code, out, _ = door.run("--help")
    assert code == 0 and "./culvert up --demo" in out
    code, _, err = door.run("upp")
    assert code == 2 and "there is no command 'upp'" in err
    assert door.notes("") == []


@pytest.mark.parametrize("what", ["apt", "pip"])
def test_without_network_it_says_so_and_a_second_run_works(door: Door, what: str) -> None:
    (door.directory / f"{what}-fails").touch()
    code, out, err = door.run("up")
    assert code == 1 and out == "" and "check the network" in err and "run this again" in err
    (door.directory / f"{what}-fails").unlink()
    assert door.run("up")[:2] == (0, "ran up\n")


def test_an_interrupted_installation_is_begun_anew(door: Door) -> None:
    (door.directory / "pip-hangs").touch()
    process = door.open("up")
    deadline = time.monotonic() + 20
    while not door.notes("python -m pip") and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (door.directory / "pip-hangs").unlink()
    assert door.run("up")[:2] == (0, "ran up\n")
    assert len(door.notes("python3 -m venv")) == 2


def test_a_venv_of_another_python_is_made_anew(door: Door) -> None:
    door.run("ctl")
    (door.directory / "clone" / ".venv" / "lib" / "python").rename(
        door.directory / "clone" / ".venv" / "lib" / "python3.9"
    )
    assert door.run("ctl")[0] == 0
    assert len(door.notes("python3 -m venv")) == 2


def test_two_first_runs_at_once_install_once(door: Door) -> None:
    first, second = door.open("up"), door.open("up")
    assert first.communicate(timeout=30)[0] == second.communicate(timeout=30)[0] == "ran up\n"
    assert len(door.notes("python -m pip")) == len(door.notes("apt-get install")) == 1


def test_changed_requirements_are_installed(door: Door) -> None:
    door.run("ctl")
    (door.directory / "clone" / "requirements.txt").write_text("django==99\n")
    assert "installing Python packages of requirements.txt" in door.run("ctl")[2]
    assert door.run("ctl")[2] == ""


# The native data path is built by a compiler that only takes notes.

_RUSTC = """#!/bin/sh
echo "rustc $(cat "$DOOR/rust")"
"""
_CARGO = """#!/bin/sh
echo "cargo $*" >>"$DOOR/notes"
test ! -e "$DOOR/cargo-fails" || exit 101
mkdir -p "$CARGO_TARGET_DIR/release"
echo built >"$CARGO_TARGET_DIR/release/libculvert_native.so"
"""


@pytest.fixture
def crate(door: Door) -> Path:
    """The crate in the clone, with a Rust that is new enough."""
    crate = door.directory / "clone" / "vpnengine" / "dataplane" / "native"
    (crate / "src").mkdir(parents=True)
    (crate / "src" / "lib.rs").write_text("//! One.\n")
    (door.directory / "rust").write_text("1.85.0\n")
    for name, text in (("rustc", _RUSTC), ("cargo", _CARGO)):
        (door.directory / "bin" / name).write_text(text)
        (door.directory / "bin" / name).chmod(0o755)
    return crate


def test_the_native_data_path_is_built_when_its_sources_have_changed(door: Door, crate: Path) -> None:
    module = crate.parent / "_native.abi3.so"
    for _ in range(2):
        assert door.run("engine")[0] == 0
        assert module.read_text() == "built\n" and len(door.notes("cargo build")) == 1
    (crate / "src" / "lib.rs").write_text("//! Two.\n")
    assert door.run("engine")[0] == 0
    assert len(door.notes("cargo build")) == 2
    assert door.run("ctl", "status")[0] == 0 and len(door.notes("cargo build")) == 2


def test_without_a_compiler_the_engine_runs_all_the_same(door: Door, crate: Path) -> None:
    (door.directory / "rust").write_text("1.60.0\n")
    code, out, err = door.run("engine")
    assert code == 0 and "ran engine" in out
    assert "no Rust compiler (1.85 or newer)" in err and "carry packets in Python" in err
    assert not (crate.parent / "_native.abi3.so").exists() and not door.notes("cargo")
    assert "carry packets" not in door.run("engine")[2]  # it is tried once a day


def test_a_build_that_fails_leaves_no_older_module(door: Door, crate: Path) -> None:
    (crate.parent / "_native.abi3.so").write_text("older\n")
    (door.directory / "cargo-fails").touch()
    code, out, err = door.run("engine")
    assert code == 0 and "ran engine" in out and "could not be built" in err
    assert not (crate.parent / "_native.abi3.so").exists()
