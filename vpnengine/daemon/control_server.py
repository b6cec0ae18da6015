"""The control socket: JSON lines, see ``vpnengine.contract.control``."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vpnengine.contract.capture import CapturedNegotiation
from vpnengine.contract.config import EngineConfig, parse_config
from vpnengine.contract.control import (
    MAX_LINE,
    REQUEST,
    Answer,
    Apply,
    Examine,
    GetCapture,
    GetEvents,
    GetStats,
    GetStatus,
    GetTrace,
    Initiate,
    Rekey,
    Request,
    Terminate,
)
from vpnengine.contract.problems import Problem, Refused, problems_of
from vpnengine.contract.trace import NegotiationTrace
from vpnengine.daemon import slices
from vpnengine.daemon.doctor import Doctor
from vpnengine.daemon.service import Engine
from vpnengine.daemon.waiting import Wait
from vpnengine.esp.sa import Selector
from vpnengine.ikev1.interface import InitiatePeer, RekeyPeer, TerminatePeer
from vpnengine.ikev1.model import make_peer

CHUNK = 500
LARGE = 64 * 1024


class ControlServer:
    """Answers requests about one engine."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine = engine
        self._path = path
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        # Documents become effective in the order in which they came, however long each takes to read.
        self._applying = asyncio.Lock()

    async def start(self) -> None:
        """Listen.

        :raises Refused: if another engine answers there, or the place is not writable.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _clear_stale(self._path)
            before = os.umask(0o177)
            try:
                self._server = await asyncio.start_unix_server(self._accept, str(self._path), limit=MAX_LINE)
            finally:
                os.umask(before)
        except OSError as error:
            message = f"cannot listen on {self._path}: {error.strerror}"
            raise Refused([Problem(field="control", rule="socket", message=message)]) from None

    async def stop(self) -> None:
        """Close all connections and remove the socket."""
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        self._path.unlink(missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await self._serve(reader, writer)
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                line = await reader.readline()
            except ValueError:
                problem = Problem(field="", rule="line_too_long", message=f"a request has at most {MAX_LINE} octets")
                await _write(writer, _refusal(0, [problem]))
                return
            if not line:
                return
            if len(line) <= LARGE:
                await self._handle(_parse(line), writer)
                continue
            # A document with thousands of peers takes a second to read; the tunnels do not wait for it.
            async with self._applying:
                request = await asyncio.to_thread(_parse, line, slices.loads)
                line = b""
                answer = await self._apply(request) if isinstance(request, Apply) else None
            await (_write(writer, answer) if answer else self._handle(request, writer))

    async def _handle(self, request: Request | Answer, writer: asyncio.StreamWriter) -> None:
        match request:
            case Answer():
                await _write(writer, request)
            case GetEvents():
                await self._events(request, writer)
            case Initiate():
                await _write(writer, await self._initiate(request))
            case Examine():
                await _write(writer, await self._examine(request))
            case Apply():
                async with self._applying:
                    answer = await self._apply(request)
                await _write(writer, answer)
            case GetStatus():
                status = await self._engine.status_json()
                writer.write(f'{{"id":{request.id},"ok":true,"result":{status}}}\n'.encode())
                await writer.drain()
            case _:
                await _write(writer, self._answer(request))

    def _answer(self, request: Request) -> Answer:
        handlers: dict[type, Callable[[Any], Any]] = {
            GetStats: lambda _: self._engine.stats(),
            Terminate: self._terminate,
            Rekey: self._rekey,
            GetTrace: self._trace,
            GetCapture: self._capture,
        }
        try:
            return Answer(id=request.id, ok=True, result=handlers[type(request)](request))
        except Refused as refused:
            return _refusal(request.id, refused.problems)

    async def _apply(self, request: Apply) -> Answer:
        try:
            box = [await asyncio.to_thread(_read, request)]
            revision = box[0].revision
            if request.dry_run:
                trial = await self._engine.try_out(box.pop())
                return Answer(id=request.id, ok=True, result=trial.as_dict())
            difference, digest = await self._engine.apply(box.pop()), self._engine.digest
        except Refused as refused:
            return _refusal(request.id, refused.problems)
        return Answer(id=request.id, ok=True, result={"revision": revision, "digest": digest, **difference.as_dict()})

    async def _initiate(self, request: Initiate) -> Answer:
        try:
            peer_id, selector = self._wanted(request)
        except Refused as refused:
            return _refusal(request.id, refused.problems)
        result: dict[str, Any] = {"peer": peer_id}
        if selector is not None:
            result["selector"] = request.selector
        selectors = [selector] if selector is not None else self._selectors(peer_id)
        wait = Wait(self._engine, peer_id, selectors)
        with wait.watching():
            self._engine.command(InitiatePeer(peer_id, selector))
            if request.wait_s:
                result |= await wait.outcome(request.wait_s)
        return Answer(id=request.id, ok=True, result=result)

    async def _examine(self, request: Examine) -> Answer:
        try:
            peer_id = self._engine.find_peer(request.peer)
            target = _inner_address(request.target)
            doctor = Doctor(lambda: self._engine.peer_status(peer_id), self._selectors(peer_id))
            found = await doctor.examine(target)
        except Refused as refused:
            return _refusal(request.id, refused.problems)
        return Answer(id=request.id, ok=True, result=found.model_dump(mode="json"))

    def _wanted(self, request: Initiate) -> tuple[str, Selector | None]:
        """:raises Refused: if there is no such peer, or it has no such selector."""
        peer_id = self._engine.find_peer(request.peer)
        if request.selector is None:
            return peer_id, None
        wanted = request.selector.replace(" ", "").replace("=", ",")
        found = next((s for s in self._selectors(peer_id) if f"{s.local_text},{s.remote_text}" == wanted), None)
        if found is None:
            message = f"“{request.selector}” is no selector of this peer; write it like 10.1.0.0/24,10.2.0.0/24"
            raise Refused([Problem(field="selector", rule="unknown_selector", message=message)])
        return peer_id, found

    def _selectors(self, peer_id: str) -> tuple[Selector, ...]:
        return make_peer(next(p for p in self._engine.config.peers if p.id == peer_id)).selectors

    def _terminate(self, request: Terminate) -> dict[str, Any]:
        peer_id = self._engine.find_peer(request.peer)
        self._engine.command(TerminatePeer(peer_id))
        return {"peer": peer_id}

    def _rekey(self, request: Rekey) -> dict[str, Any]:
        peer_id = self._engine.find_peer(request.peer)
        self._engine.command(RekeyPeer(peer_id, request.phase))
        return {"peer": peer_id, "phase": request.phase}

    def _trace(self, request: GetTrace) -> dict[str, Any]:
        peer_id = self._engine.find_peer(request.peer)
        return _only(peer_id, self._engine.negotiations(peer_id), request.negotiation)

    def _capture(self, request: GetCapture) -> dict[str, Any]:
        peer_id = self._engine.find_peer(request.peer)
        return _only(peer_id, self._engine.captured(peer_id, request.secrets), request.negotiation)

    async def _events(self, request: GetEvents, writer: asyncio.StreamWriter) -> None:
        """Stream the journal; a reader that does not keep up is cut off rather than fed from memory."""
        journal = self._engine.journal
        hello = {"journal": journal.id, "boot": journal.boot, "first": journal.first, "last": journal.last}
        await _write(writer, Answer(id=request.id, ok=True, result=hello))
        cursor = request.after
        while not writer.is_closing():
            lines = journal.read(cursor, CHUNK)
            for line in lines:
                writer.write(f'{{"id":{request.id},"event":{line}}}\n'.encode())
            await writer.drain()
            if lines:
                cursor = int(json.loads(lines[-1])["number"])
            elif not request.follow:
                writer.write(f'{{"id":{request.id},"end":true}}\n'.encode())
                await writer.drain()
                return
            else:
                await journal.wait_beyond(cursor)


def _only(peer_id: str, found: Sequence[NegotiationTrace | CapturedNegotiation], wanted: str | None) -> dict[str, Any]:
    """The negotiations of a peer, or the wanted one.

    :raises Refused: if it is not kept.
    """
    if wanted is not None:
        found = [one for one in found if one.negotiation == wanted]
        if not found:
            message = f"nothing is kept of a negotiation “{wanted}” with this peer"
            raise Refused([Problem(field="negotiation", rule="unknown_negotiation", message=message)])
    return {"peer": peer_id, "negotiations": [one.model_dump(mode="json") for one in found]}


def _inner_address(text: str) -> str:
    """An address as it is written best, or nothing.

    :raises Refused: if it is no address.
    """
    try:
        return str(ipaddress.ip_address(text.strip())) if text.strip() else ""
    except ValueError:
        message = f"“{text}” is no IP address; write it like 10.2.0.1"
        raise Refused([Problem(field="target", rule="address", message=message)]) from None


def _clear_stale(path: Path) -> None:
    if not path.exists():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    message = f"another engine answers on {path}; stop it, or choose another socket with --control"
    raise Refused([Problem(field="control", rule="in_use", message=message)])


def _parse(line: bytes, loads: Callable[[bytes], Any] = json.loads) -> Request | Answer:
    try:
        document = loads(line)
    except (ValueError, RecursionError):
        return _refusal(0, [Problem(field="", rule="json", message="a request is one line of JSON")])
    number = document.get("id", 0) if isinstance(document, dict) else 0
    try:
        return REQUEST.validate_python(document)
    except ValidationError as error:
        return _refusal(number if isinstance(number, int) else 0, problems_of(error))


def _read(request: Apply) -> EngineConfig:
    """:raises Refused: if it is no configuration."""
    try:
        return parse_config(request.config)
    finally:
        rows = request.config.pop("peers", None)
        if isinstance(rows, list):
            slices.free(rows)


def _refusal(number: int, problems: list[Problem]) -> Answer:
    return Answer(id=number, ok=False, error=str(Refused(problems)), problems=tuple(problems))


async def _write(writer: asyncio.StreamWriter, answer: Answer) -> None:
    writer.write(answer.model_dump_json().encode() + b"\n")
    await writer.drain()
