"""Journeys over what many peers share: a policy, a review of many peers, and the settings of the organization."""

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
from tests.stack import Stack, add_subnet, claim_by_form, fill_peer

pytestmark = [pytest.mark.lab, pytest.mark.browser, pytest.mark.timeout(240)]
SECRET = "a secret of enough length"


def add_policy(page: Page, stack: Stack, name: str) -> None:
    """Store a policy with what the form offers."""
    page.goto(stack.address + "/policies/new/")
    page.fill("[name=name]", name)
    page.select_option("[name=esp_pfs]", "modp2048")
    page.click("main button:has-text('Save')")
    page.wait_for_url("**/policies/")


@pytest.fixture(scope="module")
def appliance(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Any]]:
    with Topology("direct", name=f"f{os.getpid() % 10000}") as topology:
        stack = Stack(tmp_path_factory.mktemp("policies") / "state", topology.site.name)
        stack.start()
        try:
            page = browser.new_page()
            claim_by_form(page, stack)
            add_subnet(page, stack, SITE_SUBNETS[0])
            yield stack, page.context.cookies()
            page.close()
        finally:
            stack.stop()


@pytest.fixture
def stack(appliance: tuple[Stack, Any], page: Page) -> Stack:
    page.context.add_cookies(appliance[1])
    return appliance[0]


def test_a_policy_for_two_peers_is_changed_once(stack: Stack, page: Page) -> None:
    add_policy(page, stack, "Branches")
    expect(page.get_by_role("link", name="Branches")).to_be_visible()
    for number in (2, 3):
        page.goto(stack.address + "/vpn/peers/new/")
        page.select_option("[name=preset]", label="Branches")
        expect(page.locator("[data-preset]:visible dl")).to_contain_text("aes256-sha256-modp2048")
        fields = {
            "name": f"Branch {number}",
            "remote": f"192.0.2.{number}",
            "remote_subnets": f"10.{number + 50}.0.0/24",
        }
        fill_peer(page, **fields, secret=SECRET)
        page.wait_for_url("**/vpn/")
    page.goto(stack.address + "/policies/")
    page.get_by_role("link", name="Branches").click()
    expect(page.get_by_role("heading", name="Used by 2 peers")).to_be_visible()
    page.fill("[name=esp_lifetime]", "1800")
    page.get_by_role("button", name="Review the changes").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Branch 2")
    expect(dialog).to_contain_text("Branch 3")
    assert violations(page) == []
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("2 peers use it")).to_be_visible()
    policies = stack.rows("select policy from sitevpn_peer")
    assert [json.loads(policy)["phase2"]["lifetime_s"] for (policy,) in policies] == [1800, 1800]
    # Who uses it keeps it from being removed, and is named.
    page.get_by_role("link", name="Branches").click()
    page.get_by_role("button", name="Remove this policy").click()
    expect(page.get_by_text("Peers still use this policy: Branch 2, Branch 3")).to_be_visible()


def test_many_peers_are_reviewed_before_they_go(stack: Stack, page: Page) -> None:
    page.goto(stack.address + "/vpn/")
    before = stack.rows("select count(*) from publish_revision")
    page.get_by_role("button", name="Disable").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Tick at least one peer first.")
    expect(dialog.get_by_role("button", name="Disable")).to_be_hidden()
    page.keyboard.press("Escape")
    page.get_by_label("Choose Branch 2").check()
    page.get_by_label("Choose Branch 3").check()
    page.fill("#bulk-comment", "The branches move")
    page.get_by_role("button", name="Disable").click()
    expect(dialog).to_contain_text("Peer “Branch 2”")
    assert violations(page) == [] and stack.rows("select count(*) from publish_revision") == before
    dialog.get_by_role("button", name="Disable").click()
    expect(page.get_by_text("2 peers are disabled.")).to_be_visible()
    assert stack.rows("select comment from publish_revision order by id desc limit 1") == [("The branches move",)]


def test_the_settings_and_the_time_of_the_pages(stack: Stack, page: Page) -> None:
    page.goto(stack.address + "/organization/")
    page.select_option("[name=time_zone]", "Asia/Kathmandu")
    page.fill("[name=event_rows]", "10")
    page.click("main button:has-text('Save')")
    expect(page.locator("#id_event_rows_error")).to_contain_text("Enter a number from 1000")
    assert page.input_value("[name=time_zone]") == "Asia/Kathmandu"
    page.fill("[name=event_rows]", "5000")
    page.click("main button:has-text('Save')")
    expect(page.get_by_text("The settings are saved.")).to_be_visible()
    page.goto(stack.address + "/changelog/")
    first = page.locator("tbody time").first
    expect(first).to_contain_text("UTC+05:45")
    assert (first.get_attribute("title") or "").endswith(" UTC")
    # The log's own times, and what is typed into it, are of the same zone; the address says UTC.
    page.goto(stack.address + "/events/?from=2026-03-01T00:00:00Z&to=2036-01-01T00:00:00Z")
    expect(page.locator("#f-from")).to_have_value("2026-03-01T05:45")
    page.locator("#f-from").fill("2026-03-01T06:45:00")
    page.locator("#f-from").dispatch_event("change")
    page.wait_for_url("**from=2026-03-01T01*")
    shown = page.locator(".log-row .time").first
    expect(shown).to_have_attribute("title", re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$"))
