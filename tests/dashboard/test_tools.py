"""Ping and traceroute: the real programs on loopback, and nothing that somebody types becomes more than an address."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address
from typing import Any
from unittest.mock import patch

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.audit.models import Change
from dashboard.tools import command, services
from dashboard.tools.models import Run
from tests.dashboard import test_dashboard as base

pytestmark = pytest.mark.django_db
isolated, site, user = base.isolated, base.site, base.user


@pytest.fixture
def browser(site: Any, user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def asked() -> Iterator[Any]:
    """The broker's place: what workers were asked for."""
    with patch("dashboard.tools.tasks.run.apply_async") as send:
        yield send


def send(browser: Client, **changes: Any) -> Any:
    return browser.post("/tools/", {"kind": "ping", "target": "127.0.0.1", "count": "2", "source": ""} | changes)


def make(site: Any, **changes: Any) -> Run:
    return Run.objects.create(site=site, **{"kind": "ping", "target": "127.0.0.1", "count": 2} | changes)


def done(run: Run) -> Run:
    services.execute(str(run.uuid))
    return Run.objects.get(pk=run.pk)


def test_a_ping_from_the_form_to_its_answer(
    browser: Client, site: Any, user: Any, asked: Any, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = send(browser)
    run = Run.objects.get()
    assert answer.status_code == 302 and answer["Location"] == f"/tools/?run={run.uuid}"
    assert asked.call_args.kwargs["args"] == [str(run.uuid)]
    waiting = browser.get(answer["Location"]).content.decode()
    assert f'data-live="/tools/runs/{run.uuid}/"' in waiting and "waiting for a worker" in waiting
    assert done(run).state == "done"
    part = browser.get(f"/tools/runs/{run.uuid}/").content.decode()
    assert "2 packets transmitted, 2 received, 0% packet loss" in part and "finished" in part
    assert "data-live" not in browser.get(answer["Location"]).content.decode()
    row = Change.objects.order_by("-id").first()
    assert (row.kind, row.verb, row.name, row.user_id) == ("ping", "run", "127.0.0.1", user.pk)
    assert row.after == {"count": 2}


def test_a_traceroute(site: Any) -> None:
    run = done(make(site, kind="traceroute"))
    assert run.state == "done" and " 1  127.0.0.1  " in run.output and run.problem == ""


def test_from_an_address_of_ones_own(site: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(command, "own_addresses", lambda: ["127.0.0.2"])
    for kind in ("ping", "traceroute"):
        run = done(make(site, kind=kind, source="127.0.0.2"))
        assert run.state == "done" and "127.0.0.1" in run.output, run.output
    ping = Run.objects.get(kind="ping")
    assert "from 127.0.0.2" in ping.output
    gone = done(make(site, source="127.0.0.3"))
    assert gone.state == "failed" and "does not have the address 127.0.0.3" in gone.problem and not gone.output


def test_only_own_addresses_are_offered(browser: Client, asked: Any) -> None:
    answer = send(browser, source="127.0.0.9")
    assert "Select a valid choice" in answer.content.decode() and not Run.objects.exists()
    own = command.own_addresses()
    assert "127.0.0.1" not in own and all(ip_address(address) for address in own)
    page = browser.get("/tools/").content.decode()
    assert all(f'<option value="{address}">' in page for address in own)


@pytest.mark.parametrize(
    "target",
    [
        "-f",
        "--help",
        "-c1000",
        "127.0.0.1 -f",
        "127.0.0.1\n-f",
        "; id",
        "$(id)",
        "`id`",
        "a|b",
        "a..b",
        "host-",
        "exämple.com",
        "127.1",
        "2130706433",
        "0x7f.1.1.1.1.1",
        "300.1.1.1",
        "::g",
        "fe80::1%lo",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",
        "::",
        "255.255.255.255",
        "x" * 64,
        "x." * 126 + "yy",
        "",
        "\x00",
    ],
)
def test_what_is_no_host_is_refused_at_its_field(browser: Client, asked: Any, target: str) -> None:
    page = send(browser, target=target)
    assert page.status_code == 200 and "field-error" in page.content.decode()
    assert page.context["form"].errors.keys() == {"target"}
    assert not Run.objects.exists() and not asked.called


@pytest.mark.parametrize("count", ["0", "11", "-1", "1e3", "", "99999999999999999999"])
def test_so_many_and_no_more(browser: Client, count: str) -> None:
    assert send(browser, count=count).context["form"].errors.keys() == {"count"}
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("typed", "kept"),
    [(" 192.0.2.1 ", "192.0.2.1"), ("2001:DB8::0:1", "2001:db8::1"), ("Host-1.Example.com.", "host-1.example.com")],
)
def test_hosts_are_kept_in_one_form(typed: str, kept: str) -> None:
    assert command.target(typed) == kept


def test_arguments_are_a_list_of_checked_values() -> None:
    address = ip_address("2001:db8::1")
    expected = ["ping", "-n", "-c", "3", "-W", "2", "-I", "2001:db8::2", "--", "2001:db8::1"]
    assert command.arguments("ping", address, "2001:db8::2", 3) == expected
    for kind, source, count in (("ping", "-f", 3), ("ping", "", 11), ("ping", "", 0), ("sh", "", 1)):
        with pytest.raises(command.NotUsable):
            command.arguments(kind, address, source, count)


def test_a_name_is_resolved_here(site: Any, monkeypatch: Any) -> None:
    run = done(make(site, target="localhost", count=1))
    assert run.state == "done" and "1 received" in run.output
    nowhere = done(make(site, target="nowhere.invalid"))
    assert (nowhere.state, nowhere.problem) == ("failed", "No address is known for nowhere.invalid.")
    group = [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("224.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: group)
    run = done(make(site, target="group.example.com"))
    assert run.state == "failed" and "one host" in run.problem and not run.output


def test_what_it_says_is_there_while_it_runs(site: Any, monkeypatch: Any) -> None:
    seen: list[str] = []
    keep = services._keep

    def noted(run: Run, said: bytes) -> None:
        keep(run, said)
        seen.append(Run.objects.get(pk=run.pk).output)

    monkeypatch.setattr(services, "_keep", noted)
    done(make(site, count=3))
    assert any("icmp_seq=1 " in text and "icmp_seq=3 " not in text for text in seen[:-1])
    assert "3 received" in seen[-1]


def test_its_time_and_its_output_are_bounded(site: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(services, "LONGEST_S", 1.3)
    began = time.monotonic()
    run = done(make(site, count=10))
    assert time.monotonic() - began < 5 and run.state == "done" and "was stopped" in run.problem
    assert "icmp_seq=1 " in run.output and "icmp_seq=9 " not in run.output
    monkeypatch.setattr(services, "LONGEST_S", 45.0)
    monkeypatch.setattr(command, "arguments", lambda *_: ["yes"])
    assert len(done(make(site)).output) == services.MAX_OUTPUT


def test_it_is_done_once(site: Any, monkeypatch: Any) -> None:
    run = done(make(site, count=1))
    monkeypatch.setattr(command, "arguments", lambda *_: pytest.fail("again"))
    services.execute(str(run.uuid))
    late = make(site)
    Run.objects.filter(pk=late.pk).update(created=timezone.now() - timedelta(seconds=services.LOST_S + 1))
    assert done(late).state == "waiting"


def test_a_program_that_is_not_there(site: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(command, "arguments", lambda *_: ["/nonexistent/ping"])
    run = done(make(site))
    assert (run.state, run.problem) == ("failed", "The program ping cannot be run on the appliance.")


def test_one_at_a_time_and_so_many_in_a_minute(browser: Client, site: Any, asked: Any) -> None:
    assert send(browser).status_code == 302
    page = send(browser, target="192.0.2.9")
    assert (
        page.status_code == 429
        and "under way" in page.content.decode()
        and 'value="192.0.2.9"' in page.content.decode()
    )
    for _ in range(services.PER_MINUTE - 1):
        Run.objects.update(state="done")
        assert send(browser).status_code == 302
    Run.objects.update(state="done")
    page = send(browser)
    assert page.status_code == 429 and "in the last minute" in page.content.decode()
    assert Run.objects.count() == services.PER_MINUTE
    Run.objects.update(created=timezone.now() - timedelta(minutes=2))
    assert send(browser).status_code == 302


def test_one_that_got_lost_does_not_stand_in_the_way(browser: Client, site: Any, asked: Any) -> None:
    lost = make(site, state="running")
    Run.objects.filter(pk=lost.pk).update(created=timezone.now() - timedelta(seconds=services.LOST_S + 1))
    page = browser.get("/tools/").content.decode()
    assert "data-live" not in page
    assert send(browser).status_code == 302
    lost.refresh_from_db()
    assert (lost.state, lost.problem) == ("failed", "No worker has finished it.")


def test_only_the_last_ones_are_kept(site: Any, asked: Any) -> None:
    for _ in range(services.KEPT + 3):
        run = make(site, state="done")
        Run.objects.filter(pk=run.pk).update(created=timezone.now() - timedelta(minutes=2))
    services.start(site, kind="ping", target="127.0.0.1", source="", count=1)
    assert Run.objects.count() == services.KEPT


def test_without_workers_it_is_said(browser: Client, django_capture_on_commit_callbacks: Any) -> None:
    with (
        patch("dashboard.tools.tasks.run.apply_async", side_effect=OSError("no broker")),
        django_capture_on_commit_callbacks(execute=True),
    ):
        answer = send(browser)
    assert "workers cannot be reached" in browser.get(answer["Location"]).content.decode()
    assert Run.objects.get().state == "failed"


def test_the_page_asks_the_database_little(browser: Client, site: Any, django_assert_max_num_queries: Any) -> None:
    for _ in range(20):
        make(site, state="done")
    with django_assert_max_num_queries(12):
        browser.get("/tools/")
