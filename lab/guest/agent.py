"""Runs in the guest as its first process and does what the host asks: JSON lines over a virtio-serial port.

A request is ``{"id", "op", …}``, its answer ``{"id", "ok", …}`` or ``{"id", "ok": false, "error"}``. Requests are
carried out at the same time, each in a thread. Octets travel as base64. The operations are the functions ``op_…`` here;
:mod:`lab.guest.channel` is the other end. Only the standard library is imported: the guest is ready the sooner.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

PORT = "/dev/virtio-ports/agent"
_POWER_OFF = 0x4321FEDC
_PORTS = Path("/sys/class/virtio-ports")
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PYTHONPATH": "/culvert",
    # The engine is compiled once a boot, not once a process.
    "PYTHONPYCACHEPREFIX": "/var/cache/python",
    "PYTHONDONTWRITEBYTECODE": "",
}
_children: set[int] = set()


def op_ready(_request: dict[str, Any]) -> dict[str, Any]:
    """The guest is up: its kernel, and the seconds since it began."""
    return {"kernel": os.uname().release, "uptime": time.clock_gettime(time.CLOCK_BOOTTIME)}


def op_run(request: dict[str, Any]) -> dict[str, Any]:
    """Run a command to its end: ``argv``, ``input``, ``timeout`` in seconds, ``env``, ``cwd``."""
    process = subprocess.Popen(
        request["argv"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT | request.get("env", {}),
        cwd=request.get("cwd", "/culvert"),
        start_new_session=True,
    )
    _children.add(process.pid)
    timed_out = False
    try:
        out, err = process.communicate(base64.b64decode(request.get("input", "")), request["timeout"])
    except subprocess.TimeoutExpired:
        timed_out = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    finally:
        _children.discard(process.pid)
    answer = {"code": process.returncode, "timed_out": timed_out}
    return answer | {"stdout": base64.b64encode(out).decode(), "stderr": base64.b64encode(err).decode()}


def op_spawn(request: dict[str, Any]) -> dict[str, Any]:
    """Start a command whose output goes to the file ``log``; answers its ``pid``."""
    with open(request.get("log") or os.devnull, "ab") as log:
        process = subprocess.Popen(
            request["argv"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT | request.get("env", {}),
            cwd=request.get("cwd", "/culvert"),
            start_new_session=True,
        )
    _children.add(process.pid)
    threading.Thread(target=_reap, args=(process,), daemon=True).start()
    return {"pid": process.pid}


def _reap(process: subprocess.Popen[bytes]) -> None:
    process.wait()
    _children.discard(process.pid)


def op_kill(request: dict[str, Any]) -> dict[str, Any]:
    """Send ``signal`` to the group of a spawned ``pid`` and wait up to ``timeout`` seconds until it has ended."""
    pid = request["pid"]
    if pid in _children:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, request["signal"])
    deadline = time.monotonic() + request.get("timeout", 0)
    while pid in _children and time.monotonic() < deadline:
        time.sleep(0.02)
    return {"ended": pid not in _children}


def op_put(request: dict[str, Any]) -> dict[str, Any]:
    """Write ``data`` to the file ``path``, whose folder is made."""
    path = Path(request["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(base64.b64decode(request["data"]))
    path.chmod(request.get("mode", 0o644))
    return {}


def op_get(request: dict[str, Any]) -> dict[str, Any]:
    """The octets of the file ``path``."""
    return {"data": base64.b64encode(Path(request["path"]).read_bytes()).decode()}


def op_power_off(_request: dict[str, Any]) -> dict[str, Any]:
    """End the guest at once; nothing in it is worth keeping."""
    ctypes.CDLL(None).reboot(_POWER_OFF)
    return {}


def port() -> str:
    """The device of the port named ``agent``; there is no udev that would name it."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for folder in _PORTS.iterdir() if _PORTS.exists() else ():
            if (folder / "name").read_text().strip() == "agent":
                return f"/dev/{folder.name}"
        time.sleep(0.05)
    raise SystemExit("there is no virtio-serial port named agent")


class Agent:
    """The guest's end of the channel."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR)
        self._lock = threading.Lock()

    def serve(self) -> None:
        """Carry out requests for ever. While the host is not connected, reading gives nothing."""
        pending = b""
        while True:
            data = os.read(self._fd, 65536)
            if not data:
                time.sleep(0.05)
                continue
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                threading.Thread(target=self._carry_out, args=(line,), daemon=True).start()

    def _carry_out(self, line: bytes) -> None:
        request: dict[str, Any] = {}
        try:
            request = json.loads(line)
            answer = {"ok": True, **globals()["op_" + request["op"]](request)}
        except Exception as error:
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        self._send({"id": request.get("id"), **answer})

    def _send(self, answer: dict[str, Any]) -> None:
        data = memoryview(json.dumps(answer).encode() + b"\n")
        with self._lock:
            while data:
                data = data[os.write(self._fd, data) :]


if __name__ == "__main__":
    Agent(port()).serve()
