"""The switch of the legacy choices, in a real browser, on the fields as the page has them."""

from __future__ import annotations

import pytest
from django.template.loader import render_to_string
from playwright.sync_api import Page, expect

from appliance.paths import ROOT
from dashboard.sitevpn.forms import PeerForm

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def test_legacy_choices_appear_with_the_switch(page: Page) -> None:
    page.set_content(render_to_string("sitevpn/policy.html", {"form": PeerForm()}))
    page.add_script_tag(content=(ROOT / "dashboard/web/static/app/policy.js").read_text())
    weak = page.locator("optgroup[label=Legacy]")
    assert weak.count() == 7
    for number in range(weak.count()):
        expect(weak.nth(number)).to_be_disabled()
        expect(weak.nth(number)).to_be_hidden()
    page.get_by_label("Allow legacy algorithms").check()
    for number in range(weak.count()):
        expect(weak.nth(number)).to_be_enabled()
    cipher, ciphers = page.locator("[name=ike_encryption]"), page.locator("[name=esp_encryption]")
    cipher.select_option("3des")
    ciphers.select_option(["3des", "aes256"])
    page.get_by_label("Allow legacy algorithms").uncheck()
    expect(cipher).not_to_have_value("3des")
    assert cipher.input_value()
    expect(ciphers).to_have_values(["aes256"])
