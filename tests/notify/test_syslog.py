"""Events at a real rsyslogd: parsed as they were meant, in order, none lost over a restart."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from dashboard.notify import services, syslog
from dashboard.notify.models import SyslogTarget
from dashboard.notify.targets import Unreachable
from dashboard.notify.worker import Export
from tests.notify.conftest import Happen, Rsyslog
from tests.stack import eventually

pytestmark = pytest.mark.django_db


def make_target(appliance: Any, rsyslog: Rsyslog, protocol: str, severity: str = "info") -> SyslogTarget:
    row = SyslogTarget(organization=appliance.site.organization, name=protocol, protocol=protocol, severity=severity)
    row.host, row.port = ("localhost" if protocol == "tls" else "127.0.0.1"), getattr(rsyslog, protocol)
    row.ca = rsyslog.ca if protocol == "tls" else ""
    services.save_syslog(row)
    return row


def export(target: SyslogTarget) -> Export:
    return Export(target.uuid, threading.Event())


@pytest.mark.parametrize("protocol", ["udp", "tcp", "tls"])
def test_a_server_reads_what_was_meant(appliance: Any, happen: Happen, rsyslog: Rsyslog, protocol: str) -> None:
    happen(text="before the server was known")
    target = make_target(appliance, rsyslog, protocol)
    happen("ike.phase1.timeout", "error", 'ends with a ] and a "', peer='Berlin "]\\', time=1_800_000_000.25)
    happen("ike.notify", "debug", "too fine")
    happen("ike.phase1.established", "info", "nach Zürich", peer="Zürich")
    assert export(target).step(target) == 3
    rows = eventually(lambda: len(rows := rsyslog.lines()) == 2 and rows)
    first, second = rows
    assert first[0] == str(16 * 8 + 3)
    assert first[1].startswith("2027-01-15T08:00:00.25")
    assert first[3:5] == ["culvert", "ike.phase1.timeout"]
    assert 'peer="Berlin \\"\\]\\\\"' in first[5]
    assert first[6].strip() == 'Site-to-site VPN: ends with a ] and a "'
    assert second[6].strip().removeprefix("\ufeff") == "Site-to-site VPN: nach Zürich"
    target.refresh_from_db()
    assert (target.seq, target.problem, target.lost) == (4, "", 0)


def test_nothing_is_lost_while_the_server_is_away(appliance: Any, happen: Happen, rsyslog: Rsyslog) -> None:
    target = make_target(appliance, rsyslog, "tcp")
    work = export(target)
    happen(text="one")
    work.step(target)
    assert eventually(lambda: len(rsyslog.lines()) == 1)
    rsyslog.stop()
    for text in ("two", "three"):
        happen(text=text)
    target.refresh_from_db()
    with pytest.raises((OSError, Unreachable)):
        work.step(target)
    target.refresh_from_db()
    assert target.seq == 1
    work._close()
    rsyslog.start()
    work.step(target)
    assert eventually(lambda: len(rsyslog.lines()) == 3)
    assert [row[6].strip() for row in rsyslog.lines()] == [f"Site-to-site VPN: {n}" for n in ("one", "two", "three")]


def test_what_is_wrong_is_kept_for_the_page(appliance: Any, happen: Happen, rsyslog: Rsyslog) -> None:
    target = make_target(appliance, rsyslog, "tls")
    target.ca = ""
    target.save()
    happen()
    work = export(target)
    pause = work._turn(target)
    target.refresh_from_db()
    assert pause == 1.0
    assert "certificate of localhost is not accepted" in target.problem
    assert work._turn(target) == 2.0
    target.port = 1
    target.save()
    work._turn(target)
    target.refresh_from_db()
    assert "does not answer" in target.problem


def test_a_test_line(appliance: Any, rsyslog: Rsyslog) -> None:
    services.test_syslog(make_target(appliance, rsyslog, "tls"), "Ada")
    assert eventually(lambda: rsyslog.lines() and "Ada wants to know" in rsyslog.lines()[0][6])


def test_what_retention_took_is_counted(appliance: Any, happen: Happen, rsyslog: Rsyslog) -> None:
    from dashboard.eventlog.models import EventRow, Sequence

    target = make_target(appliance, rsyslog, "udp")
    for _ in range(5):
        happen()
    EventRow.objects.filter(seq__lt=4).delete()
    Sequence.objects.update(first=4)
    export(target).step(target)
    target.refresh_from_db()
    assert (target.seq, target.lost) == (5, 3)


def test_header_fields_cannot_break_out() -> None:
    event = {"severity": "info", "time": 0.0, "code": "a b\n<0>", "boot": "x y", "text": "t"}
    line = syslog.line(event, "höst name\n", 16)
    assert line == b"<134>1 1970-01-01T00:00:00.000Z h_st_name_ culvert x_y a_b_<0> [culvert@32473] Site-to-site VPN: t"
