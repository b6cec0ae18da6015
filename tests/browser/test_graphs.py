"""The graphs of a peer, of what a real tunnel carries: empty at first, then drawn, in each range and theme."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from lab.topology import FAR_HOST, Topology
from tests.browser.sweep import THEMES, violations
from tests.browser.test_insight import Journey
from tests.stack import Stack, eventually

pytestmark = [pytest.mark.lab, pytest.mark.browser, pytest.mark.timeout(300)]
# The colour of the inward curve and of the signs of good events (insight.css).
COLOURS = {"light": ((28, 111, 184), (28, 122, 61)), "dark": ((109, 182, 242), (105, 219, 124))}


def drawn(page: Page, colour: tuple[int, int, int]) -> int:
    """How many pixels of the traffic graph have this colour."""
    picture = Image.open(io.BytesIO(page.locator("#graph-traffic").screenshot())).convert("RGB")
    found: Any = picture.getcolors(picture.width * picture.height)
    return sum(count for count, value in found if max(abs(a - b) for a, b in zip(value, colour, strict=True)) < 12)


def test_what_a_tunnel_carries_is_drawn(rig: tuple[Topology, Stack], page: Page, tmp_path: Path) -> None:
    journey = Journey(*rig, page)
    page.goto(journey.address)
    said, graphs = page.locator("#graph-said"), page.locator("#graphs")
    expect(said).to_have_text("Nothing has been carried in the last hour.")
    expect(graphs.locator("canvas")).to_have_count(2)
    assert not any(drawn(page, colour) for colour in COLOURS["light"])
    place = page.locator("#graph-traffic").bounding_box()
    page.locator("#graphs").screenshot(path=tmp_path / "empty.png")

    journey.bring_up()
    journey.is_up()

    def carried() -> bool:
        journey.topology.lan.ping(FAR_HOST, count=20)
        return bool(journey.stack.rows("select 1 from insight_sample where bytes_in > 0 and bytes_out > 0"))

    assert eventually(carried, 60)
    # By itself, and without moving what is below.
    expect(said).to_have_text(re.compile(r"In the last hour: [\d.]+ k?B in, [\d.]+ k?B out\."), timeout=25_000)
    expect(graphs.locator("canvas")).to_have_count(2)
    now = page.locator("#graph-traffic").bounding_box()
    assert place and now and now["height"] == place["height"]
    for theme in THEMES:
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        assert eventually(lambda colours=COLOURS[theme]: all(drawn(page, one) > 20 for one in colours)), theme
        assert drawn(page, COLOURS[THEMES[1 - THEMES.index(theme)]][0]) == 0, theme
        page.locator("#graphs").screenshot(path=tmp_path / f"hour-{theme}.png")
        assert violations(page) == [], theme

    page.locator("#traffic-table > summary").click()
    rows = page.locator("#traffic-rows tr")
    expect(rows.filter(has_text="Phase 1")).not_to_have_count(0)
    expect(rows.last.locator("th")).to_have_text(re.compile(r"\d\d:\d\d:\d\d – \d\d:\d\d:\d\d"))
    assert violations(page) == []

    # Ranges by keyboard; the address keeps them, and a reload keeps the range.
    page.get_by_role("link", name="Week").focus()
    page.keyboard.press("Enter")
    expect(said).to_contain_text("In the last week")
    assert page.url.endswith("?range=week")
    page.reload()
    expect(said).to_contain_text("In the last week")
    expect(page.get_by_role("link", name="Week")).to_have_attribute("aria-current", "true")
    assert drawn(page, COLOURS["dark"][0]) > 20
    for width in (390, 768):
        page.set_viewport_size({"width": width, "height": 900})
        expect(graphs.locator(".uplot").first).to_have_js_property(
            "clientWidth", graphs.locator(".graph").first.evaluate("e => e.clientWidth")
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.locator("#graphs").screenshot(path=tmp_path / f"week-{width}.png")
        assert violations(page) == []

    # A dashboard that cannot be reached is said; what was drawn stays.
    page.route("**/traffic/**", lambda route: route.abort())
    page.get_by_role("link", name="Day", exact=True).click()
    expect(said).to_contain_text("does not answer")
    expect(said).to_have_attribute("aria-live", "polite")
    expect(graphs.locator("canvas")).to_have_count(2)
