"""``./culvert up``: what stands in its way it says in a sentence, and what kills it leaves nothing behind."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.cli import up
from appliance.launcher import guardian
from appliance.paths import ROOT, State
from lab.topology import Topology
from tests.stack import Stack, eventually, free_port

_NO_TUN = "mount -t tmpfs none /dev/net && exec "


def refused(*arguments: str, before: str = "") -> str:
    """Run ``up`` where it must refuse; its one sentence."""
    command = [sys.executable, str(ROOT / "manage.py"), "up", *arguments]
    if before:
        command = ["unshare", "-m", "sh", "-c", before + '"$@"', "sh", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = refused("--port", str(taken.getsockname()[1]), "--state", str(tmp_path))
    assert "Address already in use" in said and "--port" in said


@pytest.mark.parametrize("port", ["0", "70000"])
def test_a_port_that_there_is_not(tmp_path: Path, port: str) -> None:
    assert "from 1 to 65535" in refused("--port", port, "--state", str(tmp_path))


def test_a_state_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot use the state directory" in refused("--port", str(free_port()), "--state", str(tmp_path / "file"))
    before = f"mount -t tmpfs -o ro none {tmp_path} && exec "
    said = refused("--port", str(free_port()), "--state", str(tmp_path / "state"), before=before)
    assert "Read-only file system" in said


def test_a_state_directory_with_too_long_a_path(tmp_path: Path) -> None:
    assert "shorter one with --state" in refused("--port", str(free_port()), "--state", str(tmp_path / ("x" * 100)))


def test_no_tun_device(tmp_path: Path) -> None:
    assert "/dev/net/tun" in refused("--port", str(free_port()), "--state", str(tmp_path), before=_NO_TUN)


def test_not_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    parser = up.argparse.ArgumentParser()
    up.add_arguments(parser)
    assert up.run(parser.parse_args(["--state", str(tmp_path / "state")])) == 1
    assert "sudo" in capsys.readouterr().err and not (tmp_path / "state").exists()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Topology("direct", name=f"u{os.getpid() % 10000}") as topology:
        made = Stack(tmp_path / "state", topology.site.name)
        try:
            yield made
        finally:
            made.stop()


def members(state: State) -> list[int]:
    """Processes that were started for a state directory, and the children of these."""
    wanted = f"CULVERT_STATE={state.directory}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.lab
def test_a_killed_supervisor_leaves_nothing_and_starts_again(stack: Stack) -> None:
    stack.start()
    assert eventually(lambda: len(members(stack.state)) >= 10), "seven parts, and the workers of two of them"
    stack.kill_all()
    assert eventually(lambda: not members(stack.state), 10), members(stack.state)
    stack.start()
    assert stack.stop() == 0 and not members(stack.state)


@pytest.mark.lab
def test_an_unusable_saved_configuration_does_not_keep_it_down(stack: Stack) -> None:
    stack.state.make()
    stack.state.applied.write_text('{"from": "another version"}')
    stack.start()
    assert stack.state.applied.with_suffix(".unusable").exists()
    assert "cannot use the saved configuration" in (stack.state.log / "engine.log").read_text()


@pytest.mark.lab
def test_a_full_disk_is_said_and_survived(stack: Stack) -> None:
    stack.state.directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(stack.state.directory)], check=True)
    try:
        stack.start()
        fill = stack.state.directory / "fill"
        subprocess.run(["dd", "if=/dev/zero", f"of={fill}", "bs=4k"], capture_output=True, check=False)
        assert eventually(lambda: "is full" in stack.said(), 20)
        for part in ("redis", "engine", "agent", "writer", "worker"):
            stack.kill(part, known=False)
        fill.unlink()
        assert eventually(lambda: "has room again" in stack.said(), 20)
        assert eventually(lambda: len(members(stack.state)) >= 10), stack.said()
    finally:
        stack.stop()
        subprocess.run(["umount", "-l", str(stack.state.directory)], check=True)


@pytest.mark.lab
def test_a_terminal_that_goes_away_is_an_orderly_end(stack: Stack) -> None:
    stack.start()
    assert stack.stop(signal.SIGHUP) == 0 and not members(stack.state)


def test_the_guardian_ends_what_it_was_told_of_and_nothing_else() -> None:
    told, taken_back = (subprocess.Popen(["sleep", "60"], start_new_session=True) for _ in range(2))
    listener = guardian.Guardian()
    for line in (b"+ %d" % told.pid, b"+ %d" % taken_back.pid, b"- %d" % taken_back.pid, b"+ none", b"\xff", b""):
        listener.hear(line)
    listener.clear()
    try:
        assert told.wait(5) == -signal.SIGKILL and taken_back.poll() is None
    finally:
        taken_back.kill()
        taken_back.wait(5)


def test_the_guardian_acts_at_the_end_of_the_pipe() -> None:
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    pipe = subprocess.Popen([sys.executable, "-m", "appliance.launcher.guardian"], stdin=subprocess.PIPE, cwd=ROOT)
    assert isinstance(pipe.stdin, io.BufferedIOBase)
    pipe.stdin.write(b"+ %d\n" % child.pid)
    pipe.stdin.flush()
    assert child.poll() is None
    pipe.stdin.close()
    assert child.wait(10) == -signal.SIGKILL and pipe.wait(10) == 0
