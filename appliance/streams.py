"""What the raw ASGI applications share: who asks, questions to the database, refusals, and serving until somebody goes.

No database handle outlives a question, however many streams are open and however slowly they are read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.db import connections

from dashboard.accounts import selectors as accounts
from dashboard.accounts.access import Access, access_for
from dashboard.eventlog.filters import FilterError

SESSION_CHECK_S = 45.0
MOST_FIELDS = 500
_threads = ThreadPoolExecutor(4, thread_name_prefix="ask")


class Refused(Exception):
    """The request is answered with a status and a sentence; ``field`` names what is wrong with it."""

    def __init__(self, status: int, sentence: str, field: str = "") -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.field = status, sentence, field


async def ask(question: Callable[..., Any], *arguments: Any) -> Any:
    """Ask the database in a thread, and give the handle back."""

    def asked() -> Any:
        try:
            return question(*arguments)
        finally:
            connections.close_all()

    return await asyncio.get_running_loop().run_in_executor(_threads, asked)


def query_of(scope: dict[str, Any]) -> dict[str, list[str]]:
    """The fields of the address.

    :raises Refused: if there are too many.
    """
    try:
        text = scope["query_string"].decode("latin-1")
        return parse_qs(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise Refused(400, f"An address may have at most {MOST_FIELDS} fields.", "query") from None


def header(scope: dict[str, Any], wanted: bytes) -> str:
    """A header's value, or nothing."""
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")


def session_key(scope: dict[str, Any]) -> str:
    """The key of the session that the request's cookie names."""
    with contextlib.suppress(CookieError):
        cookie = SimpleCookie(header(scope, b"cookie")).get(settings.SESSION_COOKIE_NAME)
        return cookie.value if cookie else ""
    return ""


def access_of(key: str) -> Access | None:
    """What a good session may see; None for strangers and those without a role."""
    if not key:
        return None
    session = SessionStore(key).load()
    if session.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return None
    if not accounts.is_session_good(int(session[SESSION_KEY]), session.get(HASH_SESSION_KEY, "")):
        return None
    access = access_for(int(session[SESSION_KEY]), session)
    return access if any(access.may("monitor", site.pk) for site in access.sites) else None


async def answered(scope: dict[str, Any], send: Any, work: Callable[[], Any]) -> None:
    """Do the work; what it refuses becomes an answer, with the field and the rule."""
    try:
        wanted = "POST" if scope["path"].endswith("/stop") else "GET"
        if scope["method"] != wanted:
            raise Refused(405, f"This address is asked with {wanted}.")
        await work()
    except FilterError as error:
        await refuse(send, 400, error.rule, error.field)
    except Refused as error:
        await refuse(send, error.status, error.sentence, error.field)


async def refuse(send: Any, status: int, sentence: str, field: str = "") -> None:
    """Answer with an error as JSON."""
    body = json.dumps({"error": sentence, **({"field": field} if field else {})}).encode()
    await answer(send, status, "application/json", body)


async def answer(send: Any, status: int, kind: str, body: bytes) -> None:
    """A whole answer."""
    headers = [
        (b"content-type", kind.encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class SessionEnded(Exception):
    """Whoever asked has signed out meanwhile."""


async def serve(
    stream: AsyncIterator[bytes], headers: dict[str, str], key: str, receive: Any, send: Any, whole: bool = False
) -> None:
    """Send a stream until it ends, the client goes, or the session ends.

    :param whole: half of it is of no use: it is broken off if it cannot be finished.
    :raises SessionEnded: only then.
    """
    head = {"cache-control": "no-store", "x-accel-buffering": "no", "x-content-type-options": "nosniff", **headers}
    pairs = [(name.encode(), value.encode("latin-1", "replace")) for name, value in head.items()]
    await send({"type": "http.response.start", "status": 200, "headers": pairs})
    gone = asyncio.create_task(_until_disconnect(receive))
    pump = asyncio.create_task(_pump(stream, key, send, whole))
    await asyncio.wait({gone, pump}, return_when=asyncio.FIRST_COMPLETED)
    failed = pump.exception() if pump.done() and not pump.cancelled() else None
    for task in (gone, pump):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
    if failed is not None and not isinstance(failed, OSError):
        # The server then breaks the connection off: half an answer must not look like a whole one.
        raise failed


async def _until_disconnect(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _pump(stream: AsyncIterator[bytes], key: str, send: Any, whole: bool) -> None:
    """Send chunks; look now and then whether the session is still good."""
    checked = time.monotonic()
    try:
        async for chunk in stream:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if time.monotonic() - checked > SESSION_CHECK_S:
                checked = time.monotonic()
                if await ask(access_of, key) is None:
                    if whole:
                        raise SessionEnded
                    break
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        await stream.aclose()  # type: ignore[attr-defined]
