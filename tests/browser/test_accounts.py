"""An administrator's account in a real browser: passkey, authenticator app, invitation, roles, API key."""

from __future__ import annotations

import re
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from playwright.sync_api import Browser, BrowserContext, Page, expect

from lab.topology import Topology
from tests.browser.sweep import THEMES, WIDTHS, violations
from tests.stack import Stack, claim_by_form

pytestmark = [pytest.mark.lab, pytest.mark.browser, pytest.mark.timeout(400)]
PASSWORD = "correct horse battery"
CLAIMED = "a-long-passphrase-7"  # as claim_by_form has it


def virtual_authenticator(context: BrowserContext, page: Page) -> None:
    """A device with a fingerprint reader, as Chromium simulates it."""
    session = context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def look(page: Page, name: str) -> None:
    """Every width and theme: nothing wider than the window, nothing that axe finds."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for theme in THEMES:
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            expect(page.locator(f"html[data-bs-theme={theme}]")).to_be_attached()
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
            assert violations(page) == [], (name, width, theme)
    page.set_viewport_size({"width": 1440, "height": 900})


def confirm(page: Page) -> None:
    """What is guarded asks for the password again."""
    page.wait_for_url("**/account/reauthenticate/**")
    page.fill("[name=password]", CLAIMED)
    page.click("button:text('Confirm')")


def code_of(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time())))


def test_accounts(rig: tuple[Topology, Stack], browser: Browser, context: BrowserContext, page: Page) -> None:
    stack = rig[1]
    # A passkey needs a name, and an address in numbers is none.
    home = stack.address = stack.address.replace("127.0.0.1", "localhost")
    claim_by_form(page, stack)
    virtual_authenticator(context, page)
    _passkey(page, home)
    _authenticator_app(page, home)
    _invited_reader(page, home, browser)
    _api_key(page, home)
    page.goto(home + "/changelog/")
    for what in ("administrator", "API key", "account"):
        expect(page.get_by_role("cell", name=re.compile(what)).first).to_be_visible()


def _passkey(page: Page, home: str) -> None:
    page.goto(home + "/account/security/passkeys/add/")
    confirm(page)
    expect(page.locator("#passkey-form")).to_be_visible()
    look(page, "add a passkey")
    page.fill("[name=name]", "This laptop")
    page.check("[name=passwordless]")
    page.click("#passkey-form button")
    page.wait_for_url("**/account/security/codes/")
    look(page, "recovery codes")
    page.goto(home + "/account/security/")
    expect(page.get_by_text("signs in without a password")).to_be_visible()
    _sign_out(page, home)
    page.goto(home + "/account/login/")
    page.click("text=Sign in with a passkey")
    expect(page.locator("#menu")).to_be_attached()
    page.goto(home + "/signins/")
    expect(page.get_by_role("cell", name="passkey").first).to_be_visible()


def _sign_out(page: Page, home: str) -> None:
    page.goto(home + "/account/logout/")
    page.locator("main").get_by_role("button", name="Sign out").click()


def _authenticator_app(page: Page, home: str) -> None:
    page.goto(home + "/account/security/app/add/")
    confirm(page)
    secret = page.locator("main code").inner_text()
    look(page, "authenticator app")
    page.fill("[name=code]", code_of(secret))
    page.click("text=Switch on")
    page.goto(home + "/account/security/app/remove/")
    expect(page.locator("h1")).to_contain_text("Switch the authenticator app off?")
    look(page, "switch it off")


def _invited_reader(page: Page, home: str, browser: Browser) -> None:
    page.goto(home + "/administrators/")
    page.fill("[name=email]", "reader@example.com")
    page.select_option("[name=role]", "read-only")
    page.click("text=Make the link")
    link = page.locator("#once").input_value()
    look(page, "invited")
    guest: Any = browser.new_context()
    try:
        theirs = guest.new_page()
        theirs.goto(link)
        look(theirs, "invitation")
        theirs.fill("[name=name]", "Reader")
        theirs.fill("[name=password]", PASSWORD)
        theirs.click("button:text('Join')")
        expect(theirs.locator("#menu")).to_be_attached()
        theirs.goto(home + "/vpn/")
        off = theirs.get_by_role("button", name="Add a peer")
        expect(off).to_be_disabled()
        expect(off).to_have_attribute("title", re.compile("Organization: full"))
        expect(theirs.get_by_text("You look at this with the role “Organization: read-only”")).to_be_visible()
        look(theirs, "read-only")
        theirs.goto(link)
        expect(theirs.locator("h1")).to_have_text("This invitation does not work")
    finally:
        guest.close()


def _api_key(page: Page, home: str) -> None:
    page.goto(home + "/api-keys/")
    page.fill("[name=name]", "monitoring")
    page.click("text=Make the key")
    key = page.locator("#once").input_value()
    look(page, "API key")
    answer = page.request.get(home + "/api/v1/sites", headers={"Authorization": f"Bearer {key}"})
    assert answer.status == 200 and len(answer.json()) == 1
    assert page.request.get(home + "/api/v1/sites").status == 401
