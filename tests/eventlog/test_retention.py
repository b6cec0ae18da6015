"""What is no longer kept goes, and is said."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import close_old_connections, connection, transaction

from dashboard.eventlog import retention, selectors, storage
from dashboard.eventlog.filters import LogFilter
from dashboard.eventlog.models import EventRow, EventSpan, Sequence
from dashboard.fleet.models import Appliance
from tests.eventlog.conftest import make_event, write

pytestmark = pytest.mark.django_db(transaction=True)
DAY = 86_400


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Partitions that another test has dropped are not known to be there."""
    storage._made.clear()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            found = storage.days(cursor)
        storage.drop_days("default", found)


def enforce(home: Appliance) -> tuple[int, int]:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        retention.drop_old_days()
    else:
        retention.enforce(Sequence.objects.get(organization=home.site.organization))
    return selectors.bounds(home.site.organization_id)


def four_days(home: Appliance, now: float) -> None:
    midnight = now // DAY * DAY
    for ago in (3, 2, 1, 0):
        write(home, [make_event(n, time=midnight - ago * DAY + n) for n in range(1_500)])


def test_days(home: Appliance, now: float, settings: Any) -> None:
    settings.CULVERT_EVENT_DAYS = 2
    four_days(home, now)
    first, last = enforce(home)
    assert last == 6_000
    # SQLite goes by the hour, PostgreSQL by the day.
    assert first == 1_501 or (connection.vendor == "sqlite" and first == 3_001)
    assert EventRow.objects.count() == last - first + 1
    assert not EventSpan.objects.filter(last__lt=first).exists()
    rows = selectors.page(home.site.organization_id, LogFilter(text="event 7"))
    assert rows and min(row["seq"] for row in rows) >= first


def test_rows(home: Appliance, now: float, settings: Any) -> None:
    settings.CULVERT_EVENT_ROWS = 2_000
    four_days(home, now)
    first, last = enforce(home)
    kept = EventRow.objects.count()
    assert kept == last - first + 1 and 2_000 <= kept <= 3_000


def test_an_organization_keeps_less(home: Appliance, now: float) -> None:
    """On PostgreSQL as well, where the days of the others stay."""
    four_days(home, now)
    home.site.organization.event_rows = 2_000
    home.site.organization.save()
    retention._swept = 0.0
    retention.sweep()
    assert selectors.bounds(home.site.organization_id) == (4_001, 6_000)
    assert EventRow.objects.count() == 2_000
    home.site.organization.event_days = 1
    home.site.organization.save()
    retention._swept = 0.0
    retention.sweep()
    first, last = selectors.bounds(home.site.organization_id)
    # In the first hour of a day the hours of yesterday's events are not wholly too old yet.
    assert last == 6_000 and first == (4_501 if now % DAY >= 3_600 else 4_001)
    assert EventRow.objects.count() == last - first + 1


def test_the_next_event_after_everything_went(home: Appliance, now: float, settings: Any) -> None:
    settings.CULVERT_EVENT_DAYS = 2
    write(home, [make_event(n, time=now - 9 * DAY) for n in range(1_500)])
    assert enforce(home) == (1_501, 1_500)
    write(home, [make_event(1, time=now)])
    assert [row["seq"] for row in selectors.page(home.site.organization_id)] == [1_501]


def test_the_index_of_texts_forgets(home: Appliance, now: float, settings: Any) -> None:
    if connection.vendor == "postgresql":
        pytest.skip("an index of PostgreSQL's goes with its partition")
    settings.CULVERT_EVENT_ROWS = 1_000
    four_days(home, now)
    enforce(home)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM eventlog_search WHERE eventlog_search MATCH '\"eve\"'")
        assert cursor.fetchone()[0] == EventRow.objects.count()
        cursor.execute("INSERT INTO eventlog_search(eventlog_search) VALUES ('integrity-check')")


class TestPartitions:
    """PostgreSQL only."""

    @pytest.fixture(autouse=True)
    def on_postgresql(self) -> None:
        if connection.vendor != "postgresql":
            pytest.skip("SQLite has no partitions")

    def test_a_day_each(self, home: Appliance, now: float) -> None:
        four_days(home, now)
        with connection.cursor() as cursor:
            assert len(storage.days(cursor)) == 4
            cursor.execute(f"SELECT count(*) FROM {storage.partition(int(now // DAY))}")
            assert cursor.fetchone() == (1_500,)
            cursor.execute(f"SELECT count(*) FROM {storage.DEFAULT}")
            assert cursor.fetchone() == (0,)

    def test_a_clock_that_is_years_off(self, home: Appliance, now: float) -> None:
        write(home, [make_event(n, time=time) for n, time in enumerate((0.0, now, 9e9))])
        with connection.cursor() as cursor:
            assert len(storage.days(cursor)) == 1
        assert len(selectors.page(home.site.organization_id)) == 3

    def test_rows_of_a_day_to_come_move_into_its_partition(self, home: Appliance, now: float, monkeypatch: Any) -> None:
        monkeypatch.setattr(storage, "FUTURE_DAYS", 0)
        write(home, [make_event(1, time=now + DAY)])
        monkeypatch.setattr(storage, "FUTURE_DAYS", 2)
        write(home, [make_event(2, time=now + DAY)])
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {storage.partition(int(now // DAY) + 1)}")
            assert cursor.fetchone() == (2,)
        assert [row["seq"] for row in selectors.page(home.site.organization_id)] == [2, 1]

    def test_a_long_reader_is_not_waited_for(
        self, home: Appliance, now: float, settings: Any, monkeypatch: Any
    ) -> None:
        settings.CULVERT_EVENT_DAYS = 2
        monkeypatch.setattr(storage, "LOCK_WAIT", "100ms")
        four_days(home, now)
        reading, done = threading.Event(), threading.Event()

        def read() -> None:
            with transaction.atomic():
                list(EventRow.objects.values_list("id")[:1])
                reading.set()
                done.wait(20)
            close_old_connections()
            connection.close()

        reader = threading.Thread(target=read)
        reader.start()
        assert reading.wait(10)
        assert retention.drop_old_days() == []
        done.set()
        reader.join()
        assert len(retention.drop_old_days()) == 1
