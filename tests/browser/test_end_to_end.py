"""The main job, in a real browser, against a real strongSwan."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from lab.topology import FAR_HOST, GATEWAY_OUTER, GATEWAY_SUBNETS, SECRET, SITE_SUBNETS, Topology
from tests.lab.test_strongswan import NOT_BUILT
from tests.stack import Stack, add_subnet, claim_by_form, eventually, fill_peer

pytestmark = [pytest.mark.lab, pytest.mark.browser, pytest.mark.timeout(240)]


def peer_fields(**changes: str) -> dict[str, str]:
    fields = {"name": "Branch", "remote": GATEWAY_OUTER, "remote_subnets": GATEWAY_SUBNETS[0], "secret": SECRET}
    return fields | changes


DATA_PATHS = [
    pytest.param("python", "userspace (Python)", id="python"),
    pytest.param("native", "userspace (native)", id="native", marks=NOT_BUILT),
]


@pytest.mark.parametrize(("rig", "carrier"), DATA_PATHS, indirect=["rig"])
def test_from_claim_to_traffic(rig: tuple[Topology, Stack], page: Page, carrier: str) -> None:
    topology, stack = rig
    claim_by_form(page, stack)
    add_subnet(page, stack, SITE_SUBNETS[0])
    log = page.context.new_page()
    log.goto(stack.address + "/events/")
    expect(log.locator("#connection")).to_have_text("● live")
    page.goto(stack.address + "/vpn/peers/new/")
    fill_peer(page, **peer_fields(start="immediate"))
    page.wait_for_url("**/vpn/")
    rows = log.locator(".log-row .text")
    expect(rows.filter(has_text="ISAKMP-SA established ")).to_have_count(1, timeout=15_000)
    expect(rows.filter(has_text="IPsec-SA established: ESP/Tunnel ")).to_have_count(2)
    assert topology.lan.ping(FAR_HOST, count=5).lost == 0
    page.goto(stack.address + "/status/")
    expect(page.locator(".peers .status-green", has_text="up")).to_be_visible(timeout=15_000)
    expect(page.locator("[data-engine]")).to_contain_text(carrier)
    page.goto(stack.address + "/vpn/")
    expect(page.locator("#revision")).to_contain_text("applied")
    assert SECRET not in page.content() + log.content()
    _looks_right(page, stack)


def _looks_right(page: Page, stack: Stack) -> None:
    """No page is wider than its window, in either theme."""
    for width in (390, 768, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            for path in ("/vpn/", "/vpn/peers/new/", "/status/", "/events/"):
                page.goto(stack.address + path)
                assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)


def test_a_wrong_secret_is_explained_and_mended(rig: tuple[Topology, Stack], page: Page) -> None:
    topology, stack = rig
    claim_by_form(page, stack)
    add_subnet(page, stack, SITE_SUBNETS[0])
    page.goto(stack.address + "/vpn/peers/new/")
    fill_peer(page, **peer_fields(start="immediate", secret="not what the other side has"))
    page.goto(stack.address + "/events/?severity=error,warning")
    row = page.locator(".log-row", has_text="failed to pre-process ph1 packet").first
    row.click(timeout=20_000)
    expect(page.locator("#d-hint")).to_contain_text("Pre-shared secret")
    page.goto(stack.address + "/status/")
    expect(page.locator(".peers .reason")).to_contain_text("pre-shared secrets", timeout=15_000)
    page.goto(stack.address + "/vpn/")
    page.click("a:has-text('Branch')")
    fill_peer(page, secret=SECRET)
    page.wait_for_url("**/vpn/")
    assert eventually(lambda: topology.lan.ping(FAR_HOST, count=1).received, 30)
    assert "not what the other side has" not in "".join(p.read_text() for p in stack.state.log.glob("*.log"))


def test_bad_input_names_the_field_and_loses_nothing(rig: tuple[Topology, Stack], page: Page) -> None:
    topology, stack = rig
    claim_by_form(page, stack)
    add_subnet(page, stack, SITE_SUBNETS[0])
    new = stack.address + "/vpn/peers/new/"
    cases: list[tuple[dict[str, str], str]] = [
        ({"remote_subnets": "10.72.1.1/24"}, "has host bits set; the subnet is 10.72.1.0/24"),
        ({"remote_subnets": SITE_SUBNETS[0]}, "overlaps the local subnet"),
        ({"secret": "short"}, "at least 8 characters"),
        ({"secret": ""}, "Enter the pre-shared secret"),
        ({"remote": "no such host"}, "is neither an IP address nor a host name"),
        ({"remote": "gateway.invalid"}, "does not resolve"),
    ]
    for change, sentence in cases:
        page.goto(new)
        fill_peer(page, **peer_fields(**change))
        expect(page.locator(".field-error").first).to_contain_text(sentence)
        assert page.input_value("[name=name]") == "Branch"
    page.goto(new)
    fill_peer(page, **peer_fields())
    page.wait_for_url("**/vpn/")
    page.goto(new)
    fill_peer(page, **peer_fields(name="BRANCH", remote_subnets="10.99.0.0/24"))
    expect(page.locator(".field-error").first).to_contain_text("exists already")
    page.goto(new)
    fill_peer(page, **peer_fields(name="Myself", remote=topology.site_address, remote_subnets="10.98.0.0/24"))
    page.wait_for_url("**/vpn/")
    expect(page.locator("#revision")).to_contain_text("refused", timeout=10_000)
    expect(page.locator(".alert-danger")).to_contain_text("an address of this appliance itself")
