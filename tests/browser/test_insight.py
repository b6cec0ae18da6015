"""A tunnel mended from what its page says, against a real strongSwan: by a link to the field, or an accepted offer."""

from __future__ import annotations

import contextlib
import re
import uuid
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from lab.net import LabError
from lab.topology import FAR_HOST, GATEWAY_OUTER, GATEWAY_SUBNETS, SECRET, SITE_SUBNETS, Topology
from tests.browser.test_pages import violations
from tests.stack import Stack, add_subnet, claim_by_form, eventually, fill_peer

pytestmark = [pytest.mark.lab, pytest.mark.browser, pytest.mark.timeout(400)]


class Journey:
    """One administrator who looks at the page of one peer, and a gateway whose configuration changes under it."""

    def __init__(self, topology: Topology, stack: Stack, page: Page, **fields: str) -> None:
        self.topology, self.stack, self.page = topology, stack, page
        claim_by_form(page, stack)
        add_subnet(page, stack, SITE_SUBNETS[0])
        page.goto(stack.address + "/vpn/peers/new/")
        names = {"name": "Branch", "remote": GATEWAY_OUTER, "remote_subnets": GATEWAY_SUBNETS[0], "secret": SECRET}
        fill_peer(page, **names | fields)
        page.wait_for_url("**/vpn/")
        self.peer = str(uuid.UUID(stack.rows("select uuid from sitevpn_peer")[0][0]))
        self.address = f"{stack.address}/status/{self.peer}/"
        assert eventually(
            lambda: stack.rows("select state from publish_revision order by number desc")[0][0] == "applied"
        )

    def gateway(self, **changes: Any) -> None:
        """The other side's administrator changes something; its old SAs are gone."""
        gateway = self.topology.strongswan
        assert gateway is not None
        with contextlib.suppress(Exception):
            gateway.command("terminate", ike=gateway.connection.name, force="yes")
        gateway.connection = self.topology.connection(**changes)
        gateway.load()

    def gateway_begins(self) -> None:
        """The gateway tries, and may fail."""
        gateway = self.topology.strongswan
        assert gateway is not None
        with contextlib.suppress(LabError):
            gateway.initiate(gateway.connection.children()[0][0], 5_000)

    def bring_up(self) -> None:
        """The button."""
        self.page.goto(self.address)
        self.page.get_by_role("button", name="Bring up").click()

    def failed(self, title: str) -> None:
        """The page explains a failure, without a reload."""
        expect(self.page.get_by_role("heading", name=title)).to_be_visible(timeout=45_000)

    def follow(self, label: str) -> None:
        """The link in “What to change here” leads to the form, and its field has the focus."""
        self.page.locator("#what-here").get_by_role("link", name=label).first.click()
        self.page.wait_for_url(f"**/vpn/peers/{self.peer}/#*")

    def save(self) -> None:
        self.page.click("#peer-form button:has-text('Save')")
        self.page.wait_for_url(re.compile("/vpn/(#.*)?$"))

    def is_up(self) -> None:
        """The page says so, and packets come through."""
        expect(self.page.locator("#h-state + span .status")).to_have_text(re.compile("● up$"), timeout=30_000)
        assert eventually(lambda: self.topology.lan.ping(FAR_HOST, count=1).received, 20)


def test_proposals_and_subnets_are_mended_from_their_explanation(rig: tuple[Topology, Stack], page: Page) -> None:
    journey = Journey(*rig, page)
    page.goto(journey.address)
    expect(page.get_by_text("It comes up as soon as traffic needs it.")).to_be_visible()

    # Another proposal: the link leads to the policy, a line is entered, the tunnel comes up.
    journey.gateway(proposals="aes128-sha256-modp3072")
    journey.gateway_begins()
    journey.failed("No phase 1 proposal in common")
    expect(page.locator(".offer.nearest mark")).to_contain_text(["aes256", "aes128", "modp2048", "modp3072"])
    expect(page.locator(".ladder .end.bad")).to_contain_text("failed")
    expect(page.locator(".ladder .lost")).to_contain_text("main 1")
    assert violations(page) == []
    journey.follow("Phase 1")
    expect(page.locator("#id_preset")).to_be_focused()
    page.select_option("#id_preset", "custom")
    page.fill("#id_ike_also", "aes128-sha256-modp3072")
    journey.save()
    journey.bring_up()
    journey.is_up()
    expect(page.locator(".ladder .end.good")).to_contain_text("established")
    expect(page.locator(".ladder .message").first).to_contain_text("main 1")
    assert violations(page) == []

    # A weak one: nothing happens without the tick.
    journey.gateway(proposals="aes128-sha1-modp1024")
    journey.gateway_begins()
    journey.failed("No phase 1 proposal in common")
    accept = page.get_by_role("button", name="Accept this: aes128-sha1-modp1024")
    accept.click()
    expect(page.locator(".alert-danger")).to_contain_text("Tick that you accept it")
    page.get_by_label("I know that it is weak").check()
    accept.click()
    expect(page.locator(".alert-success")).to_contain_text("is accepted in phase 1 from now on")
    journey.gateway_begins()
    journey.is_up()

    # PFS of another group, told by the gateway's own attempt.
    journey.gateway(esp_proposals="aes256gcm16-ecp256")
    journey.gateway_begins()
    journey.failed("No phase 2 proposal in common")
    expect(page.locator(".offer.nearest .differs")).to_contain_text("pfs")
    page.get_by_role("button", name="Accept this: aes256gcm16-ecp256").click()
    expect(page.locator(".alert-success")).to_contain_text("is accepted in phase 2 from now on")
    journey.gateway_begins()
    journey.is_up()
    expect(page.locator("#h-phase2").locator("xpath=../..")).to_contain_text("PFS ecp256")

    # A mask that is off by one bit.
    journey.gateway(local_subnets=["10.72.1.0/25"], esp_proposals="aes256gcm16-ecp256")
    journey.gateway_begins()
    journey.failed("The subnets of the two sides differ")
    expect(page.locator(".offer.nearest")).to_contain_text("the masks differ by one bit")
    expect(page.locator(".offer.nearest mark")).to_have_text(["/24", "/25"])
    journey.follow("Private subnets")
    expect(page.locator("#id_remote_subnets")).to_be_focused()
    page.fill("#id_remote_subnets", "10.72.1.0/25")
    journey.save()
    journey.bring_up()
    journey.is_up()


def test_secret_and_identity_are_mended_from_their_explanation(rig: tuple[Topology, Stack], page: Page) -> None:
    journey = Journey(*rig, page, secret="not what the other side has")
    journey.bring_up()
    journey.failed("The pre-shared secrets are probably different")
    expect(page.locator(".why")).to_contain_text("Probable")
    journey.follow("Pre-shared secret")
    expect(page.locator("#id_secret")).to_be_focused()
    page.fill("#id_secret", SECRET)
    journey.save()
    journey.bring_up()
    journey.is_up()

    journey.gateway(local_id="gw.example.com")
    page.goto(f"{journey.stack.address}/vpn/peers/{journey.peer}/")
    page.select_option("#id_remote_identity_type", "fqdn")
    page.fill("#id_remote_identity", "other.example.com")
    journey.save()
    journey.bring_up()
    journey.failed("The peer names itself differently")
    expect(page.locator("#what-here")).to_contain_text("gw.example.com")
    journey.follow("Remote identity")
    expect(page.locator("#id_remote_identity")).to_be_focused()
    page.fill("#id_remote_identity", "gw.example.com")
    journey.save()
    journey.bring_up()
    journey.is_up()

    # What works can be torn down, and reset; the page follows without a reload.
    page.get_by_role("button", name="Reset").click()
    expect(page.locator(".ladder .end.good")).to_be_visible(timeout=15_000)
    journey.is_up()
    page.get_by_role("button", name="Tear down").click()
    expect(page.get_by_text("It comes up as soon as traffic needs it.")).to_be_visible(timeout=10_000)
