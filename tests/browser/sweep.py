"""Which pages there are, for the sweep over widths and themes. An address that is in neither list fails a test.

Add a page with whatever its address needs; excuse what no person looks at, with the reason.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from axe_playwright_python.sync_playwright import Axe
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from PIL import Image
from playwright.sync_api import Page, expect

from appliance.paths import ROOT
from dashboard.core.permissions import needs_of
from tests.stack import Stack

SHOTS = ROOT / "docs" / "images" / "pages"
WIDTHS = (390, 768, 1440)
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}


def no_arguments(stack: Stack) -> tuple[Any, ...]:
    """For an address that needs none."""
    return ()


def newest_uuid(table: str) -> Callable[[Stack], tuple[Any, ...]]:
    """The ``uuid`` of the newest row of a table, for an address that needs one."""
    return lambda stack: (UUID(stack.rows(f"select uuid from {table} order by id desc limit 1")[0][0]),)


def newest_id(table: str) -> Callable[[Stack], tuple[Any, ...]]:
    """Likewise the number of the newest row."""
    return lambda stack: (int(stack.rows(f"select id from {table} order by id desc limit 1")[0][0]),)


@dataclass(frozen=True)
class Visit:
    """How a page is opened: the arguments of its address, a query, and what is there once it is drawn."""

    arguments: Callable[[Stack], tuple[Any, ...]] = no_arguments
    query: str = ""
    drawn: str = "h1"
    signed_in: bool = True

    def address(self, name: str, stack: Stack) -> str:
        """The whole address, of the page called ``name``."""
        return stack.address + reverse(name, args=self.arguments(stack)) + self.query


PAGES: dict[str, Visit] = {
    "account_change_password": Visit(),
    "account_login": Visit(signed_in=False),
    "account_logout": Visit(),
    "account_reauthenticate": Visit(),
    "administrator": Visit(newest_id("fleet_membership")),
    "administrators": Visit(),
    "api-keys": Visit(),
    "alert-channel": Visit(newest_uuid("notify_channel")),
    "alert-channel-new": Visit(),
    "alert-mail-server": Visit(),
    "alert-rule": Visit(newest_uuid("notify_rule")),
    "alert-rule-new": Visit(),
    "alerts": Visit(drawn="td a"),
    "changelog": Visit(),
    "claim": Visit(signed_in=False),
    "configuration": Visit(),
    "configuration-compare": Visit(query="?from=1&to=2"),
    "configuration-transfer": Visit(),
    "configuration-revision": Visit(lambda stack: (1,)),
    "events": Visit(drawn=".log-row"),
    "mfa_index": Visit(),
    "organization": Visit(),
    "other-side": Visit(newest_uuid("sitevpn_peer")),
    "overview": Visit(drawn=".topology"),
    "policies": Visit(),
    "policy": Visit(newest_uuid("sitevpn_policy")),
    "policy-new": Visit(),
    "peer": Visit(newest_uuid("sitevpn_peer")),
    "peer-import": Visit(),
    "peer-new": Visit(),
    "peer-wizard": Visit(),
    "setup": Visit(),
    "search": Visit(query="?q=10.2"),
    "peer-secret": Visit(newest_uuid("sitevpn_peer")),
    "sitevpn": Visit(drawn="[data-peer]:not(:text-is('…'))"),
    "status-peer": Visit(newest_uuid("sitevpn_peer"), drawn="#connection:text('live')"),
    "sign-ins": Visit(drawn="td"),
    "status": Visit(drawn=".peers"),
    "support": Visit(drawn="td"),
    "tools": Visit(drawn="[name=target]"),
    "usersessions_list": Visit(),
    "syslog": Visit(drawn="td a"),
    "syslog-new": Visit(),
    "syslog-server": Visit(newest_uuid("notify_syslogtarget")),
    "vpn-users": Visit(),
}
# Patterns of url names → why nobody looks at them.
EXCUSED: dict[str, str] = {
    "api-v1:*": "for programs",
    "search-open": "leads to another page",
    "search-results": "data for the command palette",
    "changelog-export": "a file",
    "configuration-pending": "a part of every page",
    "event-*": "data for the Event Log's script",
    "health": "for monitors",
    "invitation": "needs a link that works once; swept in test_accounts",
    "mfa_[!i]*": "behind a confirmation or in the middle of a sign-in; swept in test_accounts",
    "home": "leads to another page",
    "other-side-file": "a file",
    "sitevpn-state": "a part of the page",
    "overview-map": "a part of the page",
    "status-diagnosis": "a part of the page",
    "status-facts": "a part of the page",
    "status-rows": "a part of the page",
    "status-traffic": "data for the graphs",
    "tools-run": "a part of the page",
}


def url_names() -> set[str]:
    """Every named address of the dashboard that can be looked at (GET), namespaces with a colon in between."""
    return set(_names(get_resolver().url_patterns, ""))


def _names(patterns: list[URLPattern | URLResolver], space: str) -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _names(pattern.url_patterns, space + (f"{pattern.namespace}:" if pattern.namespace else ""))
        elif "GET" in (needs_of(pattern.callback) or {"GET": ""}):
            yield space + (pattern.name or str(pattern.pattern))


def excuse(name: str) -> str:
    """Why an address is no page; empty if it should be one."""
    return next((reason for pattern, reason in EXCUSED.items() if fnmatch(name, pattern)), "")


def violations(page: Page) -> list[tuple[str, list[str]]]:
    """What axe-core finds: (rule, elements)."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [(item["id"], [node["html"][:200] for node in item["nodes"]]) for item in found]


def faults(page: Page, name: str, stack: Stack, shots: Path | None = None) -> list[str]:
    """What is wrong with one page in any width and theme; with ``shots`` it is drawn there at 1440 pixels."""
    visit, said, found = PAGES[name], [], []
    page.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    answer = page.goto(visit.address(name, stack))
    if answer is None or answer.status != 200:
        return [f"{name}: status {answer and answer.status}"]
    expect(page.locator(visit.drawn).first).to_be_visible(timeout=20_000)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for theme in THEMES:
            # Colours do not glide to the other theme: axe would measure them on the way.
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            expect(page.locator(f"html[data-bs-theme={theme}]")).to_be_attached()
            wide = page.evaluate("document.documentElement.scrollWidth")
            found += [f"{name}: {wide} pixels wide at {width}"] if wide > width else []
            found += [f"{name} {width} {theme}: {rule} {nodes}" for rule, nodes in violations(page)]
            if shots and width == max(WIDTHS):
                _draw(page, shots / f"{name}-{theme}.png")
    return found + [f"{name}: {text}" for text in said]


def _draw(page: Page, path: Path) -> None:
    """A picture of the page in few colours, which makes it a quarter of the size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide"))).convert("RGB")
    drawn.quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)
