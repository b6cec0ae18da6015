"""The raw ASGI applications: an answer names the field and the rule whatever is asked; files are whole or broken."""

from __future__ import annotations

import asyncio
import csv
import json
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

import pytest
from asgiref.sync import async_to_sync
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance import export, live, streams
from dashboard.eventlog.export import neutral
from dashboard.fleet.models import Appliance
from tests.eventlog.conftest import make_event, write

pytestmark = pytest.mark.django_db(transaction=True)
FIELDS = ("severity", "type", "code", "not", "peer", "site", "appliance", "negotiation", "q", "from", "to", "after")
FIELDS += ("before", "at", "format", "id", "kind", "other")
ODD = ("-1h", "-999999d", "2026-11-25T07:00Z", "0001-01-01", "9999-12-31T23:59:59-23:59", "1e400", "nan", "-1", "0")
ODD += ("9" * 14, "error", "ike.phase1", "ike..", "00000000-0000-4000-8000-000000000001", "%00", "\x00", "\ud7ff")
ODD += ("'", '"', "=1+1", "csv")
VALUES = st.text(max_size=30) | st.sampled_from(ODD)
QUERIES = st.lists(st.tuples(st.sampled_from(FIELDS), VALUES), max_size=5)


@pytest.fixture
def browser(home: Appliance, organization_user: Any) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(organization_user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


async def ask(
    path: str, query: str, cookie: str, method: str = "GET", patience: float = 20.0
) -> tuple[int, bytes, bool]:
    """Status, body, and whether the answer came to its end; a stream is read until it pauses."""
    sent: list[dict[str, Any]] = []
    over = asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            over.set()

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(3_600)
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode("utf-8", "surrogatepass")}
    scope["headers"] = [(b"cookie", cookie.encode())] if cookie else []
    task = asyncio.create_task(live.application(scope, receive, send))
    await asyncio.wait({task}, timeout=patience)
    if task.done():
        failed = task.exception()
    else:
        failed = None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    body = b"".join(message.get("body", b"") for message in sent)
    status = sent[0]["status"] if sent else 500
    return status, body, over.is_set() and failed is None


def fetch(client: Client, path: str, query: Any = "", **more: Any) -> tuple[int, bytes, bool]:
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    text = query if isinstance(query, str) else urlencode(query, errors="surrogatepass")
    return async_to_sync(ask)(path, text, cookie, **more)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=QUERIES, path=st.sampled_from(["/live/export", "/live/export/progress", "/events/rows/", "/events/choices/"])
)
def test_nothing_that_is_asked_breaks_it(browser: Client, query: list[tuple[str, str]], path: str) -> None:
    if path.startswith("/live/"):
        with patch.object(export, "PATIENCE_S", 0.0), patch.object(export, "PROGRESS_S", 0.01):
            status, body, _ = fetch(browser, path, query)
    else:
        answer = browser.get(path + "?" + urlencode(query, errors="surrogatepass"))
        status, body = answer.status_code, answer.content
    assert status in (200, 400), (status, body)
    if status == 400:
        said = json.loads(body)
        assert said["field"] and said["error"].endswith("."), said


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.lists(st.tuples(st.sampled_from(FIELDS), VALUES), min_size=1, max_size=3))
def test_nothing_that_is_asked_breaks_the_stream(browser: Client, query: list[tuple[str, str]]) -> None:
    with patch.object(live.Hub, "join", lambda self: asyncio.Queue()):
        status, body, _ = fetch(browser, "/live/events", query, patience=0.3)
    assert status in (200, 400), (status, body)
    assert status == 200 or json.loads(body)["field"]


def test_strangers_and_wrong_ways(browser: Client) -> None:
    for path in ("/live/export", "/live/export/progress", "/live/events", "/live/status", "/live/nothing"):
        assert fetch(Client(), path)[0] == 401
    assert fetch(browser, "/live/nothing")[0] == 404
    assert fetch(browser, "/live/export", method="POST")[0] == 405
    assert fetch(browser, "/live/export/stop", "id=12345678")[0] == 405
    status, body, _ = fetch(browser, "/live/export", "format=xlsx")
    assert status == 400 and json.loads(body) == {"error": "The format is one of: csv, json, jsonl.", "field": "format"}


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl"])
def test_a_file_of_many_pieces(browser: Client, home: Appliance, kind: str) -> None:
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", " =1", "plain", 'quo"te', "two\nlines", "Zürich"]
    write(home, [make_event(n, text=texts[n % len(texts)]) for n in range(2_500)])
    status, body, whole = fetch(browser, "/live/export", f"format={kind}")
    assert status == 200 and whole
    text = body.decode("utf-8-sig")
    if kind == "csv":
        rows = list(csv.DictReader(text.splitlines(keepends=True)))
        assert rows[0]["text"] == "'=1+1" and rows[7]["text"] == "plain" and rows[9]["text"] == "two\nlines"
        assert rows[0]["time"] == "2023-11-14T22:13:20.000Z"
    elif kind == "json":
        said = json.loads(text)
        rows = said["events"]
        assert said["count"] == 2_500
    else:
        rows = [json.loads(line) for line in text.splitlines()]
    assert [int(row["seq"]) for row in rows] == list(range(1, 2_501))


def test_a_file_that_cannot_be_finished_is_broken_off(browser: Client, home: Appliance) -> None:
    write(home, [make_event(n) for n in range(2_500)])
    calls = iter(range(10))

    def failing(*arguments: Any, **more: Any) -> Any:
        if next(calls) == 1:
            raise RuntimeError("the database is away")
        return real(*arguments, **more)

    real = export._read
    with patch.object(export, "_read", failing):
        status, body, whole = fetch(browser, "/live/export", "format=jsonl&id=broken-one")
    assert status == 200 and body.count(b"\n") == 1_000 and not whole
    status, body, _ = fetch(browser, "/live/export/progress", "id=broken-one")
    assert b'"state": "broken"' in body and b'"rows": 1000' in body


def test_what_is_cut_off_meanwhile_is_said(browser: Client, home: Appliance) -> None:
    write(home, [make_event(n) for n in range(2_500)])
    real = export._read

    def cut(organization: int, wanted: Any, above: int, last: int, visible: Any) -> Any:
        page, (first, end) = real(organization, wanted, above, last, visible)
        return page, (1_501 if above else first, end)

    with patch.object(export, "_read", cut):
        _, body, whole = fetch(browser, "/live/export", "format=jsonl")
    rows = [json.loads(line) for line in body.splitlines()]
    assert whole and [row["seq"] for row in rows] == [*range(1, 1_001), 1_500, *range(1_501, 2_501)]
    assert rows[1_000]["text"] == "events 1001 to 1500 are no longer kept"


def test_a_stream_begins_where_the_browser_stands(browser: Client, home: Appliance) -> None:
    write(home, [make_event(n, severity="error" if n % 10 == 0 else "info") for n in range(1, 101)])
    with patch.object(live.Hub, "join", lambda self: asyncio.Queue()):
        _, body, _ = fetch(browser, "/live/events", "after=40&severity=error", patience=2)
        assert [line for line in body.decode().split("\n") if line.startswith("id: ")][1:] == [
            f"id: {n}" for n in (50, 60, 70, 80, 90, 100)
        ]
        with patch.object(live, "MOST_BEHIND", 10):
            _, body, whole = fetch(browser, "/live/events", "after=40", patience=5)
    assert whole and b"event: reload" in body


def test_a_session_that_ends_breaks_a_file_off(browser: Client, home: Appliance) -> None:
    write(home, [make_event(n) for n in range(2_500)])
    with patch.object(streams, "SESSION_CHECK_S", -1.0):
        answers = iter([streams.access_of, streams.access_of, lambda key: None, lambda key: None])
        with patch.object(streams, "access_of", lambda key: next(answers)(key)):
            status, body, whole = fetch(browser, "/live/export", "format=jsonl")
    assert status == 200 and not whole and body


@given(text=st.text())
def test_no_cell_is_a_formula(text: str) -> None:
    cell = neutral(text)
    assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r")) and cell.endswith(text)
