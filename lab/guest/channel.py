"""The host's end of the channel to the agent in the guest (:mod:`lab.guest.agent`)."""

from __future__ import annotations

import contextlib
import itertools
import json
import queue
import socket
import threading
import time
from pathlib import Path
from typing import Any

from lab.net import LabError

ALLOWANCE_S = 20.0
"""How much longer than the time that a command has in the guest its answer may take."""


class Channel:
    """One connection; requests of several threads are told apart by number."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._numbers = itertools.count(1)
        self._waiting: dict[int, queue.SimpleQueue[dict[str, Any] | None]] = {}
        self._lock = threading.Lock()

    def connect(self, deadline: float) -> None:
        """Connect to QEMU's socket as soon as it is there.

        :raises LabError: if it is not there at the deadline (monotonic seconds).
        """
        while True:
            found = socket.socket(socket.AF_UNIX)
            try:
                found.connect(str(self._path))
                break
            except OSError:
                found.close()
                if time.monotonic() > deadline:
                    raise LabError("QEMU has not opened the guest's channel in time") from None
                time.sleep(0.02)
        self._socket = found
        threading.Thread(target=self._read, args=(found,), daemon=True).start()

    def close(self) -> None:
        """End the connection, and with it whatever still waits for an answer."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()

    def request(self, op: str, within: float, **fields: Any) -> dict[str, Any]:
        """One request and its answer.

        :raises LabError: with the agent's words, or if no answer comes within ``within`` seconds.
        """
        if self._socket is None:
            raise LabError("the guest is not running")
        number = next(self._numbers)
        answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._waiting[number] = answers
        try:
            with self._lock:
                self._socket.sendall(json.dumps({"id": number, "op": op, **fields}).encode() + b"\n")
            answer = answers.get(timeout=within)
        except queue.Empty:
            raise LabError(f"the guest has not answered {op} within {within:.0f} s") from None
        except OSError:
            answer = None
        finally:
            self._waiting.pop(number, None)
        if answer is None:
            raise LabError("the guest has ended")
        if not answer["ok"]:
            raise LabError(f"the guest cannot {op}: {answer['error']}")
        return answer

    def _read(self, found: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), found.makefile("rb") as lines:
            for line in lines:
                answer = json.loads(line)
                if answers := self._waiting.get(answer.get("id")):
                    answers.put(answer)
        for answers in list(self._waiting.values()):
            answers.put(None)
