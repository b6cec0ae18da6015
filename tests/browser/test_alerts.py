"""From the browser to a webhook and a syslog server, by the processes that a user starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import standardwebhooks
from playwright.sync_api import Page, expect

from tests.browser.sweep import violations
from tests.notify.conftest import Hook, Rsyslog
from tests.stack import Stack, claim_by_form, eventually

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    # Nothing else of this engine's is tested: it keeps to a port of its own and has no device.
    stack = Stack(tmp_path / "state", None, CULVERT_NOTIFY_LOOPBACK="1")
    stack.start()
    yield stack
    stack.stop()


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.close()


@pytest.fixture
def rsyslog(tmp_path: Path) -> Iterator[Rsyslog]:
    (tmp_path / "rsyslog").mkdir()
    server = Rsyslog(tmp_path / "rsyslog")
    server.start()
    yield server
    server.stop()


def add_syslog(page: Page, stack: Stack, port: int) -> None:
    """A server on loopback, by TCP."""
    page.goto(stack.address + "/syslog/new/")
    page.fill("[name=name]", "SIEM")
    page.fill("[name=host]", "127.0.0.1")
    page.fill("[name=port]", str(port))
    page.select_option("[name=protocol]", "tcp")
    page.click("form:has([name=name]) button:has-text('Save')")
    expect(page.get_by_text("is saved")).to_be_visible()


def add_channel(page: Page, stack: Stack, url: str) -> str:
    """A webhook; its signing secret."""
    page.goto(stack.address + "/alerts/channels/new/")
    page.fill("[name=name]", "Chat")
    page.select_option("[name=kind]", "webhook")
    page.fill("[name=url]", url)
    page.click("form:has([name=name]) button:has-text('Save')")
    return page.locator("code.secret").inner_text()


def add_rule(page: Page, stack: Stack) -> None:
    """About the appliance itself, by the webhook."""
    page.goto(stack.address + "/alerts/rules/new/")
    page.fill("[name=name]", "Everything about the box")
    page.get_by_label("The appliance itself").check()
    page.get_by_label("Chat").check()
    page.click("form:has([name=name]) button:has-text('Save')")
    expect(page.get_by_text("is saved")).to_be_visible()


def test_an_engine_that_starts_again_is_told(stack: Stack, page: Page, hook: Hook, rsyslog: Rsyslog) -> None:
    claim_by_form(page, stack)
    add_syslog(page, stack, rsyslog.tcp)
    secret = add_channel(page, stack, hook.url)
    assert violations(page) == []
    add_rule(page, stack)

    stack.kill("notifier")
    stack.kill("engine")
    assert eventually(lambda: hook.got, 30), stack.said()
    headers, body = hook.got[0]
    payload = standardwebhooks.Webhook(secret).verify(body, headers)
    assert payload["event"]["code"] == "engine.started"
    codes = eventually(lambda: [row[4] for row in rsyslog.lines()], 30)
    assert "engine.started" in codes
    page.goto(stack.address + "/alerts/")
    expect(page.get_by_text("delivered", exact=True).first).to_be_visible()
    assert violations(page) == []
    page.goto(stack.address + "/syslog/")
    expect(page.get_by_text("delivered until")).to_be_visible()
    assert violations(page) == []
    # What an administrator looks at when something is wrong: nothing of the secrets.
    said = "".join(path.read_text() for path in stack.state.log.glob("*.log")) + page.content()
    assert secret not in said and "very-secret-token" not in said
