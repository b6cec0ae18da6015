"""Clients of the control socket: a synchronous one for tasks and commands, an asynchronous one for the agent."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any

from vpnengine.contract.control import MAX_LINE
from vpnengine.contract.problems import Problem, Refused


class EngineUnavailable(Exception):
    """No engine answers; the text is a sentence."""


def _unwrap(answer: dict[str, Any]) -> Any:
    if answer.get("ok"):
        return answer.get("result")
    problems = [Problem.model_validate(p) for p in answer.get("problems", ())]
    raise Refused(problems or [Problem(field="", rule="refused", message=str(answer.get("error")))])


class ControlClient:
    """One connection; use it as a context manager."""

    def __init__(self, path: Path | str, timeout: float = 10.0) -> None:
        """:raises EngineUnavailable: if no engine listens there."""
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(self._path)
        except OSError as error:
            self._socket.close()
            raise EngineUnavailable(f"no engine answers on {self._path} ({error.strerror or error})") from None
        self._file = self._socket.makefile("rb")
        self._count = 0

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()

    def _line(self) -> dict[str, Any]:
        try:
            line = self._file.readline(MAX_LINE)
        except OSError as error:
            raise EngineUnavailable(f"the engine on {self._path} does not answer ({error})") from None
        if not line:
            raise EngineUnavailable(f"the engine on {self._path} closed the connection")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def request(self, op: str, **fields: Any) -> Any:
        """Send one request and return its result.

        :raises Refused: with the engine's problems. :raises EngineUnavailable: if the engine is gone.
        """
        self._count += 1
        try:
            self._socket.sendall(json.dumps({"id": self._count, "op": op, **fields}).encode() + b"\n")
        except OSError as error:
            raise EngineUnavailable(f"the engine on {self._path} is gone ({error.strerror or error})") from None
        return _unwrap(self._line())

    def lines(self) -> Any:
        """The lines after an ``events`` request, until the engine ends them."""
        self._socket.settimeout(None)
        while not (line := self._line()).get("end"):
            yield line["event"]


class AsyncControlClient:
    """One subscription to the journal of an engine, or single requests."""

    def __init__(self, path: Path | str) -> None:
        self._path = str(path)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def connect(self) -> None:
        """:raises EngineUnavailable: if no engine listens there."""
        try:
            self._streams = await asyncio.open_unix_connection(self._path, limit=MAX_LINE)
        except OSError as error:
            raise EngineUnavailable(f"no engine answers on {self._path} ({error.strerror or error})") from None

    async def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def request(self, op: str, **fields: Any) -> Any:
        """Send one request and return its result.

        :raises Refused: with the engine's problems. :raises EngineUnavailable: if the engine is gone.
        """
        if self._streams is None:
            await self.connect()
        assert self._streams is not None  # noqa: S101 - connect() sets it or raises
        reader, writer = self._streams
        try:
            writer.write(json.dumps({"id": 1, "op": op, **fields}).encode() + b"\n")
            await writer.drain()
            line = await reader.readline()
        except OSError as error:
            raise EngineUnavailable(f"the engine on {self._path} is gone ({error})") from None
        if not line:
            raise EngineUnavailable(f"the engine on {self._path} closed the connection")
        return _unwrap(json.loads(line))

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """The events after an ``events`` request with ``follow``, until the engine is gone."""
        assert self._streams is not None  # noqa: S101 - after request()
        reader = self._streams[0]
        while line := await reader.readline():
            document = json.loads(line)
            if document.get("end"):
                return
            yield document["event"]
