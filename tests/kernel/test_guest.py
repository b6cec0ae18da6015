"""The guest itself: commands, files, processes, and an end that is certain."""

from __future__ import annotations

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
