"""Journeys through the Event Log on the real stack: events come through Redis and writer, pages from the server."""

from __future__ import annotations

import csv
import json
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect

from lab.topology import Topology
from tests.browser.event_source import Source, Steady
from tests.browser.sweep import violations
from tests.stack import Stack, claim_by_form, eventually

pytestmark = [pytest.mark.lab, pytest.mark.browser, pytest.mark.timeout(240)]
OLD = 1_500
SEEN = """() => [...document.querySelectorAll('.log-row')].map((row) =>
  [Number(row.getAttribute('aria-rowindex')), Number(row.dataset.seq)])"""
LIVE = "● live"


@pytest.fixture(scope="module")
def filled(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Source, Any]]:
    """The stack with two sites, some thousand events, and the cookies of its administrator."""
    with Topology("direct", name=f"l{os.getpid() % 10000}") as topology:
        stack = Stack(tmp_path_factory.mktemp("log") / "state", topology.site.name)
        stack.start()
        try:
            page = browser.new_page()
            claim_by_form(page, stack)
            source = Source(stack, "Branch office")
            _history(source)
            yield stack, source, page.context.cookies()
            page.close()
        finally:
            stack.stop()


def _history(source: Source) -> None:
    """Two days of a peer that comes up and goes down."""
    began = time.time() - 2 * 86_400
    names = ("ike.phase1.initiate", "ike.phase1.established", "ike.phase2.established")
    for number in range(OLD):
        fields: dict[str, Any] = {
            "time": began + number * 100,
            "negotiation": f"n{number // 3}",
            "code": names[number % 3],
        }
        fields |= {"peer": "Zürich", "peer_id": "00000000-0000-4000-8000-000000000001"}
        if number % 100 == 50:
            fields |= {"severity": "error", "code": "ike.phase1.timeout"}
        source.send(f"=cmd|' /C calc'!A{number}" if number == 700 else f"history line {number}", **fields)
    source.settled()


@pytest.fixture
def stack(filled: tuple[Stack, Source, Any], page: Page) -> Stack:
    page.context.add_cookies(filled[2])
    return filled[0]


@pytest.fixture
def source(filled: tuple[Stack, Source, Any]) -> Source:
    return filled[1]


def open_log(page: Page, stack: Stack, query: str = "") -> None:
    page.goto(f"{stack.address}/events/{query}")
    expect(page.locator("#connection")).to_have_text(LIVE)
    page.wait_for_selector(".log-row")


def database(stack: Stack, where: str = "1") -> list[int]:
    return [row[0] for row in stack.rows(f"SELECT seq FROM eventlog_eventrow WHERE {where} ORDER BY seq DESC")]


def read_all(page: Page, most: int = 400) -> list[int]:
    """Every number that the page has from its top, in the order of its lines, read as somebody who scrolls."""
    page.evaluate("() => { document.getElementById('log').scrollTop = 0; }")
    lines: dict[int, int] = {}
    for _ in range(most):
        page.wait_for_timeout(50)
        lines |= dict(page.evaluate(SEEN))
        at_end = page.evaluate(
            "() => { const log = document.getElementById('log'); const before = log.scrollTop; log.scrollTop += 500;"
            " return log.scrollTop === before; }"
        )
        if at_end and page.text_content("#foot").startswith("This is where"):
            break
    assert sorted(lines) == list(range(2, len(lines) + 2)), "a line is missing between others"
    return [lines[index] for index in sorted(lines)]


@pytest.mark.timeout(400)
def test_no_event_is_lost_or_doubled_while_the_server_restarts(stack: Stack, source: Source, page: Page) -> None:
    open_log(page, stack, "?from=-1h")
    with Steady(source, 0.02, "while it restarts"):
        for _ in range(2):
            time.sleep(1)
            stack.kill("web")
            expect(page.locator("#connection")).not_to_have_text(LIVE)
            expect(page.locator("#connection")).to_have_text(LIVE, timeout=75_000)
        page.click("#pause")
        expect(page.locator("#connection")).to_contain_text("paused")
        top = page.locator(".log-row").first.get_attribute("data-seq")
        expect(page.locator("#newer")).to_contain_text(re.compile(r"↑ \d\d+ new"))
        assert page.locator(".log-row").first.get_attribute("data-seq") == top
        stack.kill("web")
        expect(page.locator("#connection")).to_contain_text("reconnecting")
        expect(page.locator("#connection")).to_contain_text("paused", timeout=75_000)
        page.click("#pause")
        page.fill("#f-q", "while it")
        expect(page.locator("#connection")).to_have_text(LIVE)
        page.fill("#f-q", "")
        expect(page.locator("#connection")).to_have_text(LIVE)
    source.settled()
    expected = database(stack, f"time > {time.time() - 3_500}")
    assert eventually(lambda: int(page.get_attribute("#log", "data-loaded")) == len(expected), 20), len(expected)
    assert read_all(page) == expected and len(expected) > 100


def test_an_address_says_what_is_shown(stack: Stack, source: Source, page: Page) -> None:
    site = UUID(stack.rows("SELECT uuid FROM fleet_site WHERE name = 'Branch office'")[0][0])
    peer = "00000000-0000-4000-8000-000000000001"
    link = f"?severity=error,warning&type=ike&not=ike.phase2&peer={peer}&site={site}&appliance={source.uuid}"
    link += "&q=HISTORY&from=-7d&words=plain&group=negotiation"
    open_log(page, stack, link)
    expected = database(stack, "severity = 'error' AND code LIKE 'ike.%' AND search LIKE '%history%'")
    assert [seq for _, seq in page.evaluate(SEEN)] == expected and len(expected) == 15
    chips = page.locator("#chips")
    for text in ("Only: ike", "Without: ike.phase2", "Site: Branch office", "Appliance: Branch office gateway"):
        expect(chips).to_contain_text(text)
    assert page.locator("#plain").is_checked() and page.locator("#group").is_checked()
    assert page.input_value("#f-q") == "HISTORY" and page.input_value("#f-range") == "-7d"
    for width in (1440, 768, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert violations(page) == [], width
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 1440, "height": 900})
    # Off by keyboard, and the address follows.
    page.get_by_role("button", name="Remove the filter Without: ike.phase2").press("Enter")
    expect(page).to_have_url(re.compile("^(?!.*not=)"))
    page.get_by_role("button", name="Remove all filters").click()
    expect(page.locator("#chips")).to_be_hidden()
    page.fill("#f-not", "ike.phase1")
    page.press("#f-not", "Enter")
    expect(page).to_have_url(re.compile("not=ike.phase1"))
    expect(page.locator(".log-row").first).to_be_visible()
    page.goto(f"{stack.address}/events/?from=yesterday&q=kept")
    expect(page.locator("#filter-error")).to_contain_text("From: Enter a date and time such as")
    assert page.input_value("#f-q") == "kept"


def test_jumping_to_a_time_and_back(stack: Stack, source: Source, page: Page) -> None:
    open_log(page, stack)
    ((at, middle),) = stack.rows("SELECT time, seq FROM eventlog_eventrow WHERE search LIKE 'history line 800%'")
    local = page.evaluate(f"new Date({at} * 1000 - new Date({at} * 1000).getTimezoneOffset() * 60000).toISOString()")
    page.fill("#f-at", local[:19])
    page.click("#jump button")
    expect(page.locator("#connection")).to_contain_text("in the past")
    expect(page).to_have_url(re.compile("at=2"))
    # The clock of the field has no fractions: the event itself is the next one.
    page.wait_for_selector(f".log-row[data-seq='{middle - 1}']")
    # Upwards comes what is newer, line by line, until it is live again.
    for _ in range(100):
        page.evaluate("() => { document.getElementById('log').scrollTop = 0; }")
        page.wait_for_timeout(80)
        if page.text_content("#connection") == LIVE:
            break
    expect(page.locator("#connection")).to_have_text(LIVE)
    assert read_all(page) == database(stack)
    page.goto(f"{stack.address}/events/?at={datetime.fromtimestamp(at, UTC).isoformat()[:19]}Z")
    expect(page.locator("#connection")).to_contain_text("in the past")
    page.click("#newer")
    expect(page.locator("#connection")).to_have_text(LIVE)
    source.send("news after the past")
    expect(page.locator(".log-row", has_text="news after the past")).to_have_count(1)


def test_a_negotiation_is_one_line_on_request(stack: Stack, page: Page) -> None:
    open_log(page, stack, "?q=history&group=negotiation")
    log, first = page.locator("#log"), page.locator(".log-row").first
    assert log.get_attribute("role") == "treegrid"
    expect(first).to_contain_text("3 events")
    log.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(first).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    second = page.locator(".log-row").nth(1)
    expect(second).to_have_attribute("aria-level", "2")
    expect(second).to_have_attribute("aria-selected", "true")
    assert log.get_attribute("aria-activedescendant") == second.get_attribute("id")
    assert violations(page) == []
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(first).to_have_attribute("aria-expanded", "false")
    page.check("#plain")
    expect(page.locator(".log-row .text").first).to_contain_text("An IPsec SA is up")
    page.uncheck("#group")
    expect(page.locator(".log-row")).not_to_have_count(0)
    assert log.get_attribute("role") == "grid" and not page.locator("[aria-level]").count()


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl"])
def test_everything_that_matches_is_exported(stack: Stack, page: Page, kind: str, tmp_path: Path) -> None:
    open_log(page, stack, "?type=ike.phase1&q=1")
    page.select_option("#f-format", kind)
    with page.expect_download() as started:
        page.click("text=Export all that match")
    file = tmp_path / "events"
    started.value.save_as(file)
    assert re.fullmatch(rf"culvert-events-\d{{8}}T\d{{6}}Z\.{kind}", started.value.suggested_filename)
    expected = database(stack, "code LIKE 'ike.phase1%' AND search LIKE '%1%'")[::-1]
    expect(page.locator("#export-said")).to_contain_text(f"complete: {len(expected)} events")
    assert violations(page) == []
    text = file.read_text(encoding="utf-8-sig")
    if kind == "csv":
        rows = list(csv.DictReader(text.splitlines()))
        assert not [cell for row in rows for cell in row.values() if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
    else:
        rows = json.loads(text)["events"] if kind == "json" else [json.loads(line) for line in text.splitlines()]
    assert [int(row["seq"]) for row in rows] == expected and len(expected) > 400


def test_what_retention_has_cut_is_said(stack: Stack, page: Page) -> None:
    open_log(page, stack, "?q=history")
    page.route("**/events/rows/**", lambda route: _cut(route))
    page.reload()
    page.wait_for_selector(".log-row")
    page.evaluate("() => { document.getElementById('log').scrollTop = 1e9; }")
    expect(page.locator("#foot")).to_contain_text("Retention has cut the log here: events 1 to 41 are no longer kept.")


def _cut(route: Any) -> None:
    """The server's answer, as if retention had cut before it; tests/eventlog has the cutting itself."""
    answer = route.fetch()
    route.fulfill(response=answer, json={**answer.json(), "first": 42, "more": False})


def test_when_the_rows_cannot_be_had(stack: Stack, page: Page) -> None:
    open_log(page, stack)
    page.route("**/events/rows/**", lambda route: route.fulfill(status=500, body=""))
    page.fill("#f-q", "anything")
    expect(page.locator("#empty")).to_contain_text("The dashboard does not answer.")
    page.unroute("**/events/rows/**")
    page.click("text=Try again")
    expect(page.locator("#empty")).to_contain_text("No event matches.")
    page.click("text=Show all events")
    expect(page.locator(".log-row").first).to_be_visible()
