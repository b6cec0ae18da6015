"""A tunnel with certificates, from the browser to a real strongSwan: refused for its CA, explained, mended, up."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from lab.topology import FAR_HOST, GATEWAY_OUTER, GATEWAY_SUBNETS, SITE_SUBNETS, Topology
from tests.browser.sweep import violations
from tests.lab.test_certificates import Certified, issue
from tests.stack import Stack, add_subnet, claim_by_form, eventually, fill_peer

pytestmark = [pytest.mark.lab, pytest.mark.browser, pytest.mark.timeout(240)]


def test_from_a_refused_ca_to_traffic(rig: tuple[Topology, Stack], page: Page, tmp_path: Path) -> None:
    topology, stack = rig
    made = Certified("rsa-2048")
    gateway = topology.strongswan
    assert gateway is not None
    gateway.connection = topology.connection(**made.theirs())
    gateway.load()
    key = tmp_path / "site.key"
    key.write_text(made.site.key_pem)
    claim_by_form(page, stack)
    add_subnet(page, stack, SITE_SUBNETS[0])

    page.goto(stack.address + "/vpn/peers/new/")
    expect(page.locator("#h-certificates")).to_be_hidden()
    page.select_option("[name=authentication]", "rsa")
    expect(page.locator("#id_secret")).to_be_hidden()
    page.set_input_files("[name=private_key_file]", key)
    peer = {"name": "Branch", "remote": GATEWAY_OUTER, "remote_subnets": GATEWAY_SUBNETS[0], "start": "immediate"}
    fill_peer(page, **peer, certificate=made.site.chain_pem, trusted_cas=issue("Stranger", ca=True).pem)
    page.wait_for_url("**/vpn/")

    page.goto(stack.address + "/status/")
    page.locator(".peers").get_by_role("link", name="Branch").click()
    expect(page.locator(".failure-card")).to_contain_text("unknown CA", timeout=20_000, ignore_case=True)
    page.locator("#what-here").get_by_role("link", name="Trusted CAs").first.click()
    page.wait_for_url("**/vpn/peers/*/#id_trusted_cas")
    expect(page.locator("#id_trusted_cas")).to_be_focused()
    expect(page.locator("#id_private_key_helptext")).to_contain_text("One is set")
    expect(page.get_by_text("CN=site,O=Example,C=DE")).to_be_visible()
    # What lies half under the header, where the link has scrolled to, would count as too small to hit.
    page.evaluate("window.scrollTo(0, 0)")
    assert violations(page) == []

    ca = tmp_path / "root.pem"
    ca.write_text(made.root.pem)
    page.set_input_files("[name=trusted_cas_file]", ca)
    fill_peer(page)
    page.wait_for_selector("text=Peer “Branch” is saved")
    assert eventually(lambda: topology.lan.ping(FAR_HOST, count=1).received, 30)
    page.goto(stack.address + "/status/")
    expect(page.locator(".peers .status-green", has_text="up")).to_be_visible(timeout=15_000)
    said = "".join(path.read_text() for path in stack.state.log.glob("*.log")) + page.content()
    stored = stack.state.database.read_bytes()
    for line in made.site.key_pem.splitlines()[1:-1]:
        assert line not in said and line.encode() not in stored


def test_users_and_clients_fit_any_window(rig: tuple[Topology, Stack], page: Page) -> None:
    """The fields of every method are reachable, accessible, and no page is wider than its window."""
    _topology, stack = rig
    claim_by_form(page, stack)
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            page.goto(stack.address + "/vpn/users/")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert violations(page) == [], ("users", width, theme)
            page.goto(stack.address + "/vpn/peers/new/")
            page.select_option("[name=authentication]", "hybrid")
            page.select_option("[name=xauth_role]", "server")
            expect(page.locator("#id_certificate")).to_be_visible()
            expect(page.locator("#id_trusted_cas")).to_be_hidden()
            page.select_option("[name=xauth_role]", "client")
            expect(page.locator("#id_certificate")).to_be_hidden()
            page.select_option("[name=config_role]", "server")
            expect(page.locator("#id_pool")).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert violations(page) == [], ("peer", width, theme)
