"""The guest itself: commands, files, processes, and an end that is certain."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.guest.machine import Guest
from lab.net import LabError

pytestmark = pytest.mark.kernel


def test_a_command_runs_in_the_guest(guest: Guest) -> None:
    assert guest.run("uname", "-r").stdout.strip() == guest.kernel
    assert guest.run("sh", "-c", "cat >&2; exit 3", text="its input", check=False).returncode == 3
    with pytest.raises(LabError, match=r"did not end in 0\.3 s"):
        guest.run("sleep", "9", timeout=0.3)
    with pytest.raises(LabError, match="its own words"):
        guest.shell("echo its own words >&2; exit 1")


def test_files_and_processes(guest: Guest) -> None:
    guest.put("/tmp/there/file", b"\0octets\xff")
    assert guest.get("/tmp/there/file") == b"\0octets\xff"
    pid = guest.spawn("sh", "-c", "echo begun; sleep 99", log="/tmp/there/log")
    assert guest.shell(f"kill -0 {pid}; while ! grep begun /tmp/there/log; do sleep 0.1; done") == "begun\n"
    assert guest.kill(pid)
    with pytest.raises(LabError, match="No such process"):
        guest.shell(f"kill -0 {pid}")


def test_the_kernel_takes_an_esp_state(guest: Guest) -> None:
    key = "0x" + "11" * 20
    guest.shell(f"ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 7 aead 'rfc4106(gcm(aes))' {key} 128")
    assert "rfc4106(gcm(aes))" in guest.shell("ip xfrm state; ip xfrm state flush")


# A process that is about to wait for its guest, and never will.
_KILLED = """
import time
from lab.guest import machine
guest = machine.Guest(memory_mb=512)
def connect(self, until):
    print(guest._process.pid, guest._directory, flush=True)
    time.sleep(60)
machine.Channel.connect = connect
guest.start()
"""


def test_it_ends_with_whoever_booted_it() -> None:
    """A test run that is killed outright leaves no machine behind."""
    with subprocess.Popen((sys.executable, "-c", _KILLED), stdout=subprocess.PIPE, text=True) as booting:
        assert booting.stdout is not None
        pid, directory = booting.stdout.readline().split()
        try:
            machine = Path("/proc", pid)
            wait(lambda: "qemu-system" in (machine / "cmdline").read_text().split("\0")[0])
            booting.send_signal(signal.SIGKILL)
            booting.wait(10)
            wait(lambda: not machine.exists())
        finally:
            booting.kill()
            shutil.rmtree(directory, ignore_errors=True)


def wait(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)
