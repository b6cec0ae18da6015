"""No page can be forgotten by the sweep of tests/browser."""

from __future__ import annotations

from fnmatch import fnmatch

from tests.browser.sweep import EXCUSED, PAGES, excuse, url_names


def test_every_address_is_swept_or_excused() -> None:
    unlisted = {name for name in url_names() if name not in PAGES and not excuse(name)}
    assert unlisted == set(), "add them to PAGES of tests/browser/sweep.py, or excuse them there with the reason"


def test_the_lists_name_only_what_exists() -> None:
    names = url_names()
    assert set(PAGES) - names == set()
    assert {pattern for pattern in EXCUSED if not any(fnmatch(name, pattern) for name in names)} == set()
    assert {name for name in PAGES if excuse(name)} == set()
