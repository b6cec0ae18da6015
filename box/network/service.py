"""The socket by which the dashboard and the console change networks: JSON lines, one request and one answer each.

Requests: ``{"op": "apply", "network": …, "protected": […], "trial_s": 120, "dry_run": false}``, ``confirm`` with
``trial``, ``revert``, ``status``. Answers: ``{"ok": true, …}`` or
``{"ok": false, "problems": [{field, rule, message}]}``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from box.contract.network import parse_network
from box.network.applier import Applier
from box.network.system import CommandFailed
from vpnengine.contract.problems import Problem, Refused

SOCKET = Path("/run/culvert/network.sock")
MAX_LINE = 256 * 1024
TICK_S = 0.5
ANSWER_S = 90.0


class Service:
    """Serves one `Applier`; changes come one after the other."""

    def __init__(self, applier: Applier, path: Path, group: str = "") -> None:
        self._applier, self._path, self._group = applier, path, group
        self._lock = asyncio.Lock()

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Until cancelled."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._serve, path=str(self._path), limit=MAX_LINE)
        finally:
            os.umask(before)
        if self._group:
            shutil.chown(self._path, group=self._group)
            self._path.chmod(0o660)
        async with server:
            ready()
            while True:
                await asyncio.sleep(TICK_S)
                await self._do(self._tick)

    def _tick(self) -> dict[str, Any]:
        with contextlib.suppress(CommandFailed):
            self._applier.tick()
        return {}

    async def _do(self, function: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        async with self._lock:
            return await asyncio.to_thread(function)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            try:
                line = await reader.readline()
            except ValueError:
                line = b""
            answer = await self._do(lambda: self.answer(line))
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    def answer(self, line: bytes) -> dict[str, Any]:
        """One request."""
        try:
            request = json.loads(line)
            return {"ok": True, **self._operate(request)}
        except Refused as refused:
            return _refusal(refused.problems)
        except CommandFailed as error:
            return _refusal([Problem(field="", rule="activate", message=str(error))])
        except (ValueError, AttributeError, TypeError):
            # Never with the text: it may hold a password.
            return _refusal(
                [Problem(field="", rule="request", message="this is not a request: one JSON object a line")]
            )

    def _operate(self, request: dict[str, Any]) -> dict[str, Any]:
        match request.get("op"):
            case "apply" if request.get("dry_run"):
                parse_network(request.get("network"))
            case "apply":
                self._applier.apply(
                    request.get("network"), request.get("protected", ()), float(request.get("trial_s", 120))
                )
            case "confirm":
                self._applier.confirm(str(request.get("trial", "")))
            case "revert":
                self._applier.revert()
            case "status":
                pass
            case _:
                raise Refused([Problem(field="op", rule="choice", message="is apply, confirm, revert or status")])
        return self._status()

    def _status(self) -> dict[str, Any]:
        trial = self._applier.trial
        current = trial.desired if trial else self._applier.confirmed
        return {
            "trial": trial.ident if trial else None,
            "left_s": round(self._applier.left_s, 1),
            # The model keeps its secret to itself when it is dumped.
            "network": current.network.model_dump(mode="json") if current else None,
        }


def _refusal(problems: list[Problem]) -> dict[str, Any]:
    return {"ok": False, "problems": [problem.model_dump() for problem in problems]}


def ask(request: dict[str, Any], path: Path = SOCKET, patience_s: float = ANSWER_S) -> dict[str, Any]:
    """Send one request and wait for its answer.

    :raises OSError: if nobody listens there.
    :raises Refused: with what the service said.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(patience_s)
        connection.connect(str(path))
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as file:
            line = file.readline(MAX_LINE)
    if not line:
        raise ConnectionError("the network service went away before it answered")
    answer = json.loads(line)
    if not answer.pop("ok"):
        raise Refused([Problem.model_validate(problem) for problem in answer["problems"]])
    return dict(answer)
