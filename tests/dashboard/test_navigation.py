"""The menu: every page is in it, what does not exist or is not allowed is not, and the open page is marked."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from dashboard.accounts import services as accounts
from dashboard.fleet import services as fleet
from dashboard.web import navigation
from dashboard.web.navigation import Entry, Group

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Any, settings: Any) -> Any:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    user = accounts.create_administrator(email="a@example.com", name="A", password="a-long-passphrase-7")
    fleet.create_organization(name="O", site_name="S", administrator_id=user.pk)
    client.force_login(user)
    return client


class Links(HTMLParser):
    """Links of the menu: (address, whether it is marked as the current one)."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, bool]] = []
        self._inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        got = dict(attrs)
        if tag == "nav":
            self._inside = got.get("id") == "menu"
        elif tag == "a" and self._inside:
            self.found.append((got["href"] or "", got.get("aria-current") == "page"))

    def handle_endtag(self, tag: str) -> None:
        if tag == "nav":
            self._inside = False


def test_the_open_page_is_marked_and_no_other(admin: Any) -> None:
    for address, current in (("/status/", "/status/"), ("/vpn/peers/new/", "/vpn/"), ("/vpn/users/", "/vpn/users/")):
        links = Links(admin.get(address).content.decode()).found
        assert [link for link, marked in links if marked] == [current], address
        assert {"/vpn/", "/status/", "/events/"} <= {link for link, _ in links}


def test_no_menu_before_the_sign_in(client: Any, admin: Any) -> None:
    client.logout()
    answer = client.get("/account/login/")
    assert answer.status_code == 200 and 'id="menu"' not in answer.content.decode()


def test_what_does_not_exist_or_is_not_allowed_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = (Entry("There", "events"), Entry("Not there", "no-such-page"), Entry("Secret", "status", permission="x"))
    monkeypatch.setattr(navigation, "MENU", (Group("One", entries), Group("Empty", (Entry("None", "neither"),))))
    shown = navigation.sections("events-more", lambda permission: permission == "monitor")
    assert [(section.title, [link.title for link in section.links]) for section in shown] == [("One", ["There"])]
    shown = navigation.sections("", lambda permission: permission in ("x", "monitor"))
    assert [link.title for link in shown[0].links] == ["There", "Secret"]


def test_every_icon_is_in_the_sprite() -> None:
    from appliance.paths import ROOT

    sprite = (ROOT / "dashboard/web/static/vendor/icons.svg").read_text()
    for entry in (entry for group in navigation.MENU for entry in group.entries):
        assert f'<symbol id="{entry.icon}"' in sprite, entry
