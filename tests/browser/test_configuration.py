"""A change that cuts a tunnel: foreseen, tried, taken back by itself; the history, compared and restored."""

from __future__ import annotations

import json
import sqlite3

import pytest
from playwright.sync_api import Page, expect

from lab.topology import FAR_HOST, GATEWAY_OUTER, GATEWAY_SUBNETS, SECRET, SITE_SUBNETS, Topology
from tests.browser.sweep import violations
from tests.stack import Stack, add_subnet, claim_by_form, eventually, fill_peer
from vpnengine.daemon.client import ControlClient

pytestmark = [pytest.mark.lab, pytest.mark.browser, pytest.mark.timeout(300)]
WRONG = "not what the other side has"


def pings(topology: Topology, count: int = 1) -> bool:
    return bool(topology.lan.ping(FAR_HOST, count=count).received)


def let_time_run_out(stack: Stack) -> None:
    """Move the deadline of what is on trial, which nobody wants to wait for, into the past."""
    with sqlite3.connect(stack.state.database, timeout=20) as connection:
        connection.execute("update publish_revision set confirm_by = '2020-01-01' where confirm_by is not null")


def test_a_change_that_cuts_the_tunnel_is_foreseen_tried_and_taken_back(
    rig: tuple[Topology, Stack], page: Page
) -> None:
    topology, stack = rig
    claim_by_form(page, stack)
    add_subnet(page, stack, SITE_SUBNETS[0])
    page.goto(stack.address + "/vpn/peers/new/")
    fields = {"name": "Branch", "remote": GATEWAY_OUTER, "remote_subnets": GATEWAY_SUBNETS[0], "secret": SECRET}
    fill_peer(page, **fields, start="immediate")
    page.wait_for_url("**/vpn/")
    assert eventually(lambda: pings(topology), 30)

    # Foreseen: with the tunnel up, and without saving anything.
    page.click("[role=table] a:has-text('Branch')")
    page.wait_for_url("**/vpn/peers/*/")
    address = page.url
    page.fill("[name=secret]", WRONG)
    page.get_by_role("button", name="Review the changes").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Pre-shared secret")
    expect(dialog).to_contain_text("goes down and is negotiated anew at once: no traffic for about")
    expect(dialog).to_contain_text("The engine has checked this and would accept it.")
    expect(dialog.locator("#review-title")).to_be_focused()
    assert violations(page) == [] and WRONG not in dialog.inner_text()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert page.input_value("[name=secret]") == WRONG and pings(topology)
    assert stack.rows("select count(*) from publish_revision") == [(2,)]

    # Tried: the secret that was typed is still there to be saved.
    page.fill("[name=change-comment]", "New secret, agreed by phone")
    page.select_option("[name=change-confirm]", "2")
    page.get_by_role("button", name="Review the changes").click()
    dialog.get_by_role("button", name="Save").click()
    page.wait_for_url("**/vpn/")
    trial = page.get_by_role("region", name="Revision 3 is on trial")
    expect(trial).to_contain_text("left")
    assert violations(page) == []
    assert eventually(lambda: not pings(topology), 20)
    # The dashboard is gone, and with it the administrator's connection.
    page.route("**/confirm/", lambda route: route.abort())
    trial.get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("alert")).to_contain_text("the change goes back by itself")
    page.unroute("**/confirm/")
    for part in ("web", "worker", "beat"):
        stack.kill(part)
    let_time_run_out(stack)
    assert eventually(lambda: pings(topology), 40), "the tunnel is back with the secret of before"
    assert eventually(lambda: page.goto(stack.address + "/configuration/").status == 200, 20)
    newest = page.locator("tbody tr").first
    expect(newest).to_contain_text("Back to revision 2: revision 3 was not confirmed in time")
    expect(page.locator("tbody tr").nth(1)).to_contain_text("taken back")
    expect(page.locator("tbody tr").nth(1)).to_contain_text("New secret, agreed by phone")
    expect(page.locator("tbody tr").nth(1)).to_contain_text("Ada Admin")

    # Compared and restored; kept before its time is over.
    page.check("[name=from][value='1']")
    page.check("[name=to][value='3']")
    page.get_by_role("button", name="Compare the two").click()
    expect(page.locator(".diff")).to_contain_text("Peer “Branch”")
    page.goto(stack.address + "/configuration/1/")
    expect(page.get_by_text("goes down for good")).to_be_visible()
    page.select_option("[name=change-confirm]", "5")
    page.get_by_role("button", name="Restore revision 1").click()
    page.wait_for_url("**/configuration/")
    assert eventually(lambda: not pings(topology), 20)
    page.get_by_role("button", name="Take it back now").click()
    expect(page.locator(".alert-success")).to_contain_text("Revision 5 is taken back")
    assert eventually(lambda: pings(topology), 30)
    page.goto(stack.address + "/configuration/2/")
    page.select_option("[name=change-confirm]", "5")
    page.get_by_role("button", name="Restore revision 2").click()
    page.get_by_role("button", name="Keep it").click()
    expect(page.locator(".alert-success")).to_contain_text("Revision 7 is kept")
    assert pings(topology, 3)

    _drift(page, stack)
    page.goto(address)
    assert SECRET not in page.content() and WRONG not in page.content()
    said = "".join(path.read_text() for path in stack.state.log.glob("*.log"))
    assert SECRET not in said and WRONG not in said


def _drift(page: Page, stack: Stack) -> None:
    """What was applied past the dashboard is seen, said, and mended."""
    page.goto(stack.address + "/configuration/")
    expect(page.locator(".drift")).to_contain_text("The engine runs the newest revision, 7.")
    stranger = {"schema_version": 1, "revision": 7, "peers": []}
    with ControlClient(stack.state.control, 10) as client:
        right = client.request("status")["digest"]
        client.request("apply", config=json.loads(json.dumps(stranger)))
        assert client.request("status")["digest"] != right

        def mended() -> bool:
            page.reload()
            words = page.locator(".drift").inner_text()
            seen.append("another document under the number 7" in words)
            return bool(client.request("status")["digest"] == right)

        seen: list[bool] = []
        assert eventually(mended, 20)
