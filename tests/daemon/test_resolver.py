"""From hosts to addresses: names, numeric addresses, order, and what cannot be had."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.ikev1.pair import document, peer_row
from vpnengine.contract.config import PeerConfig
from vpnengine.daemon import resolver as module
from vpnengine.daemon.resolver import AT_ONCE, Resolver, resolve
from vpnengine.ikev1.interface import Resolved, Unresolved


def peer(number: int = 0, **changes: Any) -> PeerConfig:
    row = peer_row(id=f"p{number}", name=f"P{number}", remote=f"127.0.1.{number + 1}") | changes
    return document(row).peers[0]


async def answers(count: int, ask: Callable[[Resolver], None]) -> list[Resolved | Unresolved]:
    """What a running resolver tells, until ``count`` answers have come."""
    told: asyncio.Queue[Resolved | Unresolved] = asyncio.Queue()
    resolver = Resolver(told.put_nowait)
    work = asyncio.create_task(resolver.run())
    ask(resolver)
    async with asyncio.timeout(10):
        found = [await told.get() for _ in range(count)]
    work.cancel()
    return found


async def test_localhost_resolves() -> None:
    one = peer(remote="localhost", local_address="127.0.0.1")
    told = await answers(1, lambda r: r.ask(one, "localhost"))
    assert told == [Resolved("p0", "127.0.0.1", "127.0.0.1", "localhost")]


async def test_a_name_that_does_not_resolve_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*args: Any, **more: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    (told,) = await answers(1, lambda r: r.ask(peer(remote="gw.example"), "gw.example"))
    assert isinstance(told, Unresolved) and told.peer_id == "p0" and told.name == "gw.example"
    assert "gw.example does not resolve (Name or service not known)" in told.reason


async def test_numeric_ones_are_answered_in_order_and_without_tasks() -> None:
    count = AT_ONCE * 3 + 5
    tasks: set[int] = set()

    def ask(resolver: Resolver) -> None:
        tell = resolver._tell

        def counted(answer: Resolved | Unresolved) -> None:
            tasks.add(len(resolver._names))
            tell(answer)

        resolver._tell = counted
        for number in range(count):
            resolver.ask(peer(number), f"127.0.1.{number + 1}")

    told = await answers(count, ask)
    wanted = [(Resolved, f"p{n}", f"127.0.1.{n + 1}") for n in range(count)]
    assert [(type(one), one.peer_id, one.name) for one in told] == wanted
    assert tasks == {0}


async def test_a_slow_name_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = asyncio.Event()

    async def slow(*args: Any, **more: Any) -> Any:
        await answer.wait()
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.5", 0))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", slow)
    told: asyncio.Queue[Resolved | Unresolved] = asyncio.Queue()
    resolver = Resolver(told.put_nowait)
    work = asyncio.create_task(resolver.run())
    resolver.ask(peer(0, remote="gw.example"), "gw.example")
    resolver.ask(peer(1), "127.0.1.2")
    async with asyncio.timeout(10):
        assert (await told.get()).peer_id == "p1"
        answer.set()
        last = await told.get()
    work.cancel()
    assert last.peer_id == "p0" and isinstance(last, Resolved) and last.remote_host == "127.0.0.5"


async def test_no_route(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(host: str) -> str:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(module, "local_address", unreachable)
    told = await resolve(peer(), "192.0.2.2")
    assert isinstance(told, Unresolved)
    assert "no route leads to 192.0.2.2 (Network is unreachable)" in told.reason
    # An address that is configured needs no routing table.
    fixed = await resolve(peer(local_address="127.0.0.1"), "192.0.2.2")
    assert isinstance(fixed, Resolved)
