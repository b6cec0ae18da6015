"""The filters: what an address may say, and that the database, the live stream and the export mean the same by it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard.eventlog import filters, selectors, walk
from dashboard.eventlog.filters import FilterError, LogFilter, parse
from dashboard.eventlog.models import Sequence
from dashboard.fleet.models import Appliance
from tests.eventlog.conftest import add_appliance, make_event, write

SITE = "6a2d7a50-5a4e-4b0a-9d57-1c5b8f0f3a11"
CODES = ("ike.phase1.established", "ike.phase1.failed", "ike.phase2.established", "ike.phase", "engine.started")
TEXTS = st.text(st.sampled_from("abcAB %_\\'\"é=.1"), max_size=12)
EVENTS = st.builds(
    dict,
    code=st.sampled_from(CODES),
    severity=st.sampled_from(filters.SEVERITIES),
    time=st.integers(0, 40_000).map(lambda n: 1_700_000_000.0 + n),
    text=TEXTS,
    peer=st.sampled_from([None, "Branch", "Zürich"]),
    peer_id=st.sampled_from([None, "p1", "p2"]),
    negotiation=st.sampled_from([None, "n1", "n2"]),
    at=st.integers(0, 2),
)
TIMES = st.none() | st.integers(0, 40_000).map(lambda n: 1_700_000_000.0 + n)
FILTERS = st.builds(
    LogFilter,
    severities=st.frozensets(st.sampled_from(filters.SEVERITIES), max_size=2),
    types=st.lists(st.sampled_from([*CODES, "ike", "ike.phase1", "nothing"]), max_size=2).map(tuple),
    excluded=st.lists(st.sampled_from([*CODES, "ike.phase1", "nothing"]), max_size=2).map(tuple),
    peers=st.frozensets(st.sampled_from(["p1", "p2", "p3"]), max_size=2),
    negotiation=st.sampled_from(["", "", "n1", "n3"]),
    text=st.just("") | TEXTS.map(str.lower),
    since=TIMES,
    until=TIMES,
)


@pytest.mark.django_db(transaction=True)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENTS, max_size=40), wanted=FILTERS, sites=st.sets(st.integers(0, 2)), data=st.data())
def test_the_database_and_the_live_stream_agree(
    home: Appliance, monkeypatch: Any, events: list[Any], wanted: LogFilter, sites: set[int], data: Any
) -> None:
    """Rows in any order of time, read in either direction, in windows of a few rows."""
    monkeypatch.setattr(walk, "FIRST_WINDOW", 3)
    monkeypatch.setattr(walk, "SEARCH_FROM", 2)
    homes = [home, add_appliance(home, "Second"), add_appliance(home, "Third")]
    organization = home.site.organization_id
    before = Sequence.objects.filter(organization_id=organization).values_list("last", flat=True).first() or 0
    live = []
    for number, event in enumerate(events):
        live += write(homes[event["at"]], [make_event(number, **{k: v for k, v in event.items() if k != "at"})])
    if sites:
        wanted = LogFilter(**{**vars(wanted), "sites": frozenset(str(homes[at].site.uuid) for at in sites)})
    elif data.draw(st.booleans()):
        wanted = LogFilter(**{**vars(wanted), "appliances": frozenset([str(homes[1].uuid)])})
    places = selectors.places(organization, wanted, None)
    asked = None if places is None else set(places.values())
    expected = [event["seq"] for event in live if wanted.matches(event, asked)]
    assert read(organization, wanted, before, newest=False) == expected
    assert read(organization, wanted, before, newest=True) == expected[::-1]


def read(organization: int, wanted: LogFilter, before: int, newest: bool) -> list[int]:
    """Everything in pages of two, with no patience at all."""
    found: list[int] = []
    at = None if newest else before
    for _ in range(500):
        ask = selectors.older if newest else selectors.newer
        page = ask(organization, wanted, at, limit=2, budget=0.0)
        found += [json.loads(body)["seq"] for body in page.rows]
        at = page.reached
        if page.done:
            return [seq for seq in found if seq > before]
    raise AssertionError("the walk does not come to its end")


@pytest.mark.parametrize(
    ("address", "field"),
    [
        ({"severity": ["loud"]}, "severity"),
        ({"type": ["ike phase"]}, "type"),
        ({"not": ["' OR 1=1"]}, "not"),
        ({"appliance": ["7"]}, "appliance"),
        ({"site": ["x"]}, "site"),
        ({"site": ["9" * 40]}, "site"),
        ({"peer": ["x" * 65]}, "peer"),
        ({"peer": ["a\x00b"]}, "peer"),
        ({"q": ["x" * 201]}, "q"),
        ({"q": ["a\x00b"]}, "q"),
        ({"q": ["a", "b"]}, "q"),
        ({"from": ["yesterday"]}, "from"),
        ({"to": ["2026-13-01"]}, "to"),
        ({"from": ["2026-11-25T08:00Z"], "to": ["2026-11-25T07:00Z"]}, "to"),
        ({"negotiation": ["a b"]}, "negotiation"),
        ({"type": [",".join(f"a{n}" for n in range(101))]}, "type"),
    ],
)
def test_what_means_nothing_is_refused_by_name(address: dict[str, list[str]], field: str) -> None:
    with pytest.raises(FilterError) as refused:
        parse(address)
    assert refused.value.field == field and refused.value.rule.endswith(".")


def test_an_address_is_read() -> None:
    wanted = parse(
        {"severity": ["error,warning"], "type": ["ike.phase1."], "code": ["engine"], "not": ["ike.dpd"], "q": ["SPI"],
         "from": ["-1h"], "to": ["2026-11-25T08:00+01:00"], "peer": ["a", "b"], "site": [SITE], "group": ["x"]},
        now=1_700_000_000.0,
    )  # fmt: skip
    assert wanted.severities == {"error", "warning"} and wanted.types == ("engine", "ike.phase1")
    assert wanted.excluded == ("ike.dpd",) and wanted.text == "spi" and wanted.since == 1_700_000_000.0 - 3_600
    assert wanted.until == 1_795_590_000.0 and wanted.peers == {"a", "b"} and wanted.sites == {SITE}
    assert parse({}).is_empty and parse({"q": [""], "peer": [","]}).is_empty


@pytest.mark.django_db
def test_a_beginning_ends_at_a_dot(home: Appliance) -> None:
    write(home, [make_event(n, code=code) for n, code in enumerate(CODES)])
    found = selectors.page(home.site.organization_id, LogFilter(types=("ike.phase1",)))
    assert [row["code"] for row in found] == ["ike.phase1.failed", "ike.phase1.established"]


@pytest.mark.django_db
def test_nobody_elses_events(home: Appliance, django_user_model: Any) -> None:
    from dashboard.fleet import services as fleet

    user = django_user_model.objects.create_user(username="b", email="b@example.com", password="x")
    other = fleet.create_organization(name="P", site_name="T", administrator_id=user.pk)
    write(home, [make_event(1, peer_id="p")])
    write(other, [make_event(1, peer_id="p", text="a secret of theirs")])
    for wanted in (
        LogFilter(), LogFilter(peers=frozenset(["p"])), LogFilter(text="event"),
        LogFilter(appliances=frozenset([str(home.uuid)])),
    ):  # fmt: skip
        found = selectors.page(home.site.organization_id, wanted)
        assert [row["text"] for row in found] == ["event 1"], wanted
    assert selectors.page(home.site.organization_id, visible={other.pk}) == []
    foreign = LogFilter(appliances=frozenset([str(other.uuid)]))
    assert selectors.page(home.site.organization_id, foreign) == []
    assert selectors.page(home.site.organization_id, LogFilter(sites=frozenset([str(other.site.uuid)]))) == []


@pytest.mark.django_db
def test_a_page_says_how_far_it_looked_when_its_time_is_up(home: Appliance) -> None:
    write(home, [make_event(n) for n in range(9_000)])
    rare = LogFilter(text="event 17")
    found = selectors.older(home.site.organization_id, rare, budget=0.0)
    assert not found.done and 4_900 < found.reached < 5_100
    assert len(selectors.page(home.site.organization_id, rare)) == 111


@pytest.mark.django_db
def test_jumping_to_a_time(home: Appliance, now: float) -> None:
    write(home, [make_event(n, time=now - 10_000 + 10 * n) for n in range(1_000)])
    write(home, [make_event(5_000, time=now - 9_000, text="delivered late")])
    organization = home.site.organization_id
    assert selectors.position(organization, now - 9_000) == 101
    assert selectors.position(organization, now + 50) in (1_000, 1_001)
    assert selectors.position(organization, now - 20_000) == 0


@pytest.mark.django_db
def test_texts_of_any_kind_are_found(home: Appliance) -> None:
    texts = ["100% of it", "a_b", "back\\slash", 'quo"te', "it's", "ÄRGER in Zürich", "x" * 3_000 + "needle", "a\x00b"]
    write(home, [make_event(n, text=text) for n, text in enumerate(texts)])
    organization = home.site.organization_id
    for asked, expected in (("0%", 0), ("a_b", 1), ("k\\s", 2), ('o"t', 3), ("t's", 4), ("ärger", 5), ("NEEDLE", 6)):
        found = selectors.page(organization, parse({"q": [asked]}))
        assert [row["text"] for row in found] == [texts[expected]], asked


def test_spans_that_touch_become_one() -> None:
    assert list(walk.joined([(1, 3), (4, 6), (5, 5), (9, 8), (10, 12)])) == [(1, 6), (10, 12)]


@pytest.mark.django_db
def test_texts_are_asked_of_an_index(home: Appliance) -> None:
    """The plans, so that no change makes ten million rows be read one by one."""
    write(home, [make_event(n, peer_id=f"p{n % 50}", text="zebra" if n == 7 else f"event {n}") for n in range(3_000)])
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE eventlog_eventrow")
            cursor.execute("SELECT gin_clean_pending_list('eventlog_eventrow_default_search_idx')")
    organization = home.site.organization_id
    wanted = {
        "search": LogFilter(text="zebra"),
        "peer_id": LogFilter(peers=frozenset(["p7"]), severities=frozenset(["info"])),
        "negotiation": LogFilter(negotiation="n1"),
    }
    for column, item in wanted.items():
        steps = _plan(walk.Walk(organization, item))
        if connection.vendor == "postgresql":
            index = {"search": "search_idx", "peer_id": "peer_id_id_idx", "negotiation": "negotiation_id_idx"}[column]
        else:
            index = {"search": "VIRTUAL TABLE INDEX", "peer_id": "event_peer", "negotiation": "event_negotiation"}[
                column
            ]
        assert index in steps, (column, steps)


def _plan(asked: walk.Walk) -> str:
    condition = asked._condition()
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # So few rows would be read as they stand.
            cursor.execute("SET LOCAL enable_seqscan = off")
        found = walk.EventRow.objects.filter(id__gte=0, id__lte=1 << 62).filter(condition)
        return found_plan(asked._texts(found, 0, 1 << 62))


def found_plan(found: Any) -> str:
    return str(found.order_by("-id").values_list("seq")[:500].explain())
