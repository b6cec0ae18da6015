"""A browser whose pages must not break the content security policy, and the product in a lab namespace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from lab.topology import Topology
from tests.stack import Stack

expect.set_options(timeout=10_000)  # the machine may be busy with other tests
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def rig(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Topology, Stack]]:
    """The stack beside a strongSwan; a test that is parametrized over ``rig`` gets the data path that it names."""
    chosen = {"CULVERT_DATAPLANE": request.param} if getattr(request, "param", None) else {}
    with Topology("direct", name=f"b{os.getpid() % 10000}") as topology:
        stack = Stack(tmp_path / "state", topology.site.name, **chosen)
        stack.start()
        try:
            yield topology, stack
        finally:
            stack.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser window of its own; no page in it may raise an error or break the policy."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    errors: list[str] = []

    def watch(page: Page) -> None:
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if "Content Security Policy" in line.text else None)

    context.on("page", watch)
    yield context
    context.close()
    assert errors == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()
