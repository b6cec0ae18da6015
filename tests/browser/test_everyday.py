"""What administrators do every day, on one appliance: many peers, pasted configurations, keys, sessions, the past."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from lab.topology import SITE_SUBNETS, Topology
from tests.browser.sweep import violations
from tests.stack import Stack, add_subnet, claim_by_form

pytestmark = [pytest.mark.lab, pytest.mark.browser, pytest.mark.timeout(240)]
PASSWORD = "a-long-passphrase-7"  # as claim_by_form has it
SECRET = "kept to ourselves, 7 days a week"
PASTED = """
connections {
  head-office {
    version = 1
    local_addrs = 198.51.100.7
    remote_addrs = 203.0.113.9
    proposals = aes256-sha256-modp2048
    local { auth = psk }
    remote { auth = psk }
    children {
      net { local_ts = 10.44.0.0/24
            remote_ts = 10.1.0.0/24
            esp_proposals = aes256gcm16-modp2048 }
    }
  }
}
"""


@pytest.fixture(scope="module")
def appliance(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Any]]:
    """The stack with a subnet and three peers that nobody answers for, and the cookies of its administrator."""
    with Topology("direct", name=f"e{os.getpid() % 10000}") as topology:
        stack = Stack(tmp_path_factory.mktemp("everyday") / "state", topology.site.name)
        stack.start()
        try:
            page = browser.new_page()
            claim_by_form(page, stack)
            add_subnet(page, stack, SITE_SUBNETS[0])
            for number, city in enumerate(("Basel", "Genf", "Zug"), 1):
                page.goto(stack.address + "/vpn/peers/new/")
                page.fill("[name=name]", city)
                page.fill("[name=remote]", f"203.0.113.{number}")
                page.fill("[name=remote_subnets]", f"10.40.{number}.0/24")
                page.fill("[name=secret]", f"{SECRET} {city}")
                page.click("#peer-form button:text-is('Save')")
                page.wait_for_url("**/vpn/")
            yield stack, page.context.cookies()
            page.close()
        finally:
            stack.stop()


@pytest.fixture
def stack(appliance: tuple[Stack, Any], page: Page) -> Stack:
    page.context.add_cookies(appliance[1])
    return appliance[0]


def names(page: Page) -> list[str]:
    """The peers of the table, in their order."""
    return page.locator("#bulk-form [data-label=Name] a").all_inner_texts()


def reviewed(page: Page, action: str) -> None:
    """Do it with the chosen peers, after a look at what it changes."""
    page.locator("#bulk-form").get_by_role("button", name=action, exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Peer “")
    dialog.get_by_role("button", name=action, exact=True).click()


def test_peers_are_found_sorted_and_switched_off_together(stack: Stack, page: Page) -> None:
    page.goto(stack.address + "/vpn/")
    assert names(page) == ["Basel", "Genf", "Zug"]
    page.get_by_role("columnheader", name="Name").get_by_role("link").click()
    expect(page.locator("[aria-sort=descending]")).to_have_count(1)
    assert names(page) == ["Zug", "Genf", "Basel"]
    address = page.url
    page.get_by_role("searchbox", name="Search", exact=True).fill("10.40.2.0")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("#bulk-form [data-label=Name]")).to_have_count(1)
    assert names(page) == ["Genf"] and "q=10.40.2.0" in page.url and violations(page) == []
    page.check("[name=all]")
    reviewed(page, "Disable")
    expect(page.locator("[data-label=Enabled]")).to_have_text("no")
    page.goto(address)
    assert page.locator("[data-label=Enabled]").all_inner_texts() == ["yes", "no", "yes"]
    page.check("[aria-label='Choose Genf']")
    reviewed(page, "Enable")
    expect(page.locator("[data-label=Enabled]", has_text="yes")).to_have_count(3)


def test_a_pasted_configuration_fills_the_form_and_says_its_doubts(stack: Stack, page: Page) -> None:
    page.goto(stack.address + "/vpn/peers/import/")
    page.fill("[name=text]", "nothing that any gateway would write")
    page.get_by_role("button", name="Read it").click()
    expect(page.locator("[name=text]")).to_have_value("nothing that any gateway would write")
    expect(page.locator("main")).to_contain_text("This is no configuration that can be read here.")
    page.fill("[name=text]", PASTED)
    page.get_by_role("button", name="Read it").click()
    expect(page.locator("[name=remote_subnets]")).to_have_value(re.compile(r"10\.44\.0\.0/24"))
    expect(page.locator("[name=remote]")).to_have_value("198.51.100.7")
    expect(page.locator("main")).to_contain_text("secret")
    assert violations(page) == []
    page.goto(stack.address + "/vpn/")
    assert len(names(page)) == 3, "nothing is saved before somebody says so"


def test_the_other_side_is_told_what_to_type(stack: Stack, page: Page) -> None:
    page.goto(stack.address + "/vpn/")
    page.click("[role=table] a:has-text('Basel')")
    page.get_by_role("link", name=re.compile("other side", re.I)).first.click()
    page.fill("[name=address]", "198.51.100.4")
    page.get_by_role("button", name="Save address").click()
    for kind, word in (("strongSwan", "connections {"), ("FortiGate", "config vpn ipsec"), ("MikroTik", "/ip ipsec")):
        option = page.locator("#vendor option", has_text=kind).first
        page.select_option("#vendor", option.get_attribute("value"))
        if page.locator("#vendor-go").is_visible():
            page.click("#vendor-go")
        expect(page.locator("#config")).to_contain_text(word)
        text = page.locator("#config").inner_text()
        assert "198.51.100.4" in text and "10.40.1.0" in text and SECRET not in page.content()
    assert violations(page) == []
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert "10.40.1.0" in download.value.path().read_text()


def test_a_secret_is_shown_after_the_password_and_that_is_recorded(stack: Stack, page: Page) -> None:
    page.goto(stack.address + "/vpn/")
    page.click("[role=table] a:has-text('Zug')")
    page.wait_for_url("**/vpn/peers/*/")
    address = page.url
    page.goto(address + "secret/")
    assert SECRET not in page.content()
    page.fill("[name=password]", "not this one")
    page.locator("main form button").last.click()
    expect(page.locator("[name=password]")).to_be_visible()
    assert SECRET not in page.content()
    page.fill("[name=password]", PASSWORD)
    page.locator("main form button").last.click()
    expect(page.get_by_label("Shown only now")).to_have_value(f"{SECRET} Zug")
    assert violations(page) == []
    page.goto(address)
    assert SECRET not in page.content()
    page.goto(stack.address + "/changelog/?q=Zug")
    expect(page.locator("[data-label=What]").first).to_contain_text("reveal")
    assert SECRET not in page.content()


def test_a_session_elsewhere_is_ended(stack: Stack, page: Page, browser: Browser) -> None:
    other = browser.new_context()
    try:
        elsewhere = other.new_page()
        elsewhere.goto(stack.address + "/account/login/")
        elsewhere.fill("[name=login]", "ada@example.com")
        elsewhere.fill("[name=password]", PASSWORD)
        elsewhere.click("button:has-text('Sign in')")
        expect(elsewhere.locator("#menu")).to_be_attached()
        page.goto(stack.address + "/account/sessions/")
        expect(page.locator("[data-label=Since]"), "that of the claim, and the other").to_have_count(2)
        page.get_by_role("button", name="Sign out everywhere else").click()
        expect(page.get_by_text("You are signed in nowhere else.")).to_be_visible()
        elsewhere.goto(stack.address + "/vpn/")
        expect(elsewhere.locator("[name=login]")).to_be_visible()
    finally:
        other.close()


def test_the_change_log_is_narrowed_and_taken_along(stack: Stack, page: Page) -> None:
    page.goto(stack.address + "/changelog/")
    page.fill("[name=q]", "Genf")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("[data-label=What]").first).to_contain_text("Genf")
    assert all("Genf" in text for text in page.locator("[data-label=What]").all_inner_texts())
    count = page.locator("[data-label=What]").count()
    with page.expect_download() as download:
        page.get_by_role("link", name="JSON").click()
    rows = json.loads(download.value.path().read_text())
    assert len(rows) == count and SECRET not in json.dumps(rows)
    page.fill("[name=q]", "nobody has this name")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("No change matches these filters.")).to_be_visible()


def test_a_program_reads_with_a_key_until_it_is_removed(stack: Stack, page: Page) -> None:
    page.goto(stack.address + "/api-keys/")
    page.fill("[name=name]", "inventory")
    page.get_by_role("button", name="Make the key").click()
    headers = {"Authorization": f"Bearer {page.locator('#once').input_value()}"}
    sites = page.request.get(stack.address + "/api/v1/sites", headers=headers)
    assert sites.status == 200 and SECRET not in sites.text()
    page.goto(stack.address + "/api-keys/")
    row = page.get_by_role("row").filter(has_text="inventory")
    expect(row.locator("[data-label='Last used']")).not_to_have_text("never")
    page.once("dialog", lambda dialog: dialog.accept())
    row.get_by_role("button").click()
    expect(row).to_have_count(0)
    assert page.request.get(stack.address + "/api/v1/sites", headers=headers).status == 401


def test_a_peer_that_was_removed_comes_back_with_its_revision(stack: Stack, page: Page) -> None:
    page.goto(stack.address + "/configuration/")
    before = page.locator("tbody tr").first.locator("[name=to]").get_attribute("value")
    page.goto(stack.address + "/vpn/")
    page.check("[aria-label='Choose Basel']")
    reviewed(page, "Remove")
    expect(page.locator("#bulk-form [data-label=Name]")).to_have_count(2)
    page.goto(f"{stack.address}/configuration/{before}/")
    expect(page.locator("main")).to_contain_text("Basel")
    page.get_by_role("button", name=f"Restore revision {before}").click()
    page.wait_for_url("**/configuration/")
    page.goto(stack.address + "/vpn/")
    assert names(page) == ["Basel", "Genf", "Zug"]
