"""The list of all peers: filters that stand in the address, pages, and how many there are in each state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _

from dashboard.fleet import selectors as fleet
from dashboard.insight.light import SHAPES, STATES, TONES, Light, light, words
from dashboard.insight.live import seen
from dashboard.insight.models import PeerState
from dashboard.sitevpn import explain

PAGE = 50
MAX_TEXT = 100


@dataclass(frozen=True)
class Filters:
    """What an address asks for. ``site`` is a site's uuid; what cannot be understood is left out."""

    states: tuple[str, ...] = ()
    site: str = ""
    tag: str = ""
    text: str = ""
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filters:
        """From the query of an address."""
        asked = query.get("state", "").split(",")
        number = query.get("page", "1")
        return cls(
            states=tuple(state for state in STATES if state in asked),
            site=query.get("site", "")[:36],
            tag=query.get("tag", "").strip()[:MAX_TEXT],
            text=query.get("q", "").strip()[:MAX_TEXT],
            page=int(number) if number.isdecimal() and 0 < int(number[:9]) < 10**6 else 1,
        )

    def query(self, **changes: Any) -> str:
        """The query of an address that asks for the same, with some changes; without a page it begins anew."""
        parts = {"state": ",".join(self.states), "site": self.site, "tag": self.tag, "q": self.text}
        parts |= {name: str(value) for name, value in changes.items()}
        return urlencode({name: value for name, value in parts.items() if value})


@dataclass(frozen=True)
class Line:
    """One peer of the list: what is stored, and what its engine says now."""

    row: PeerState
    light: Light
    status: dict[str, Any] | None
    data_path: str

    @property
    def carried(self) -> tuple[int, int]:
        """Octets in and out through the present SAs."""
        sas = (self.status or {}).get("sas", ())
        return sum(sa["bytes_in"] for sa in sas), sum(sa["bytes_out"] for sa in sas)


def peers(organization_id: int, sites: list[Any], filters: Filters) -> QuerySet[PeerState]:
    """All peers at these sites that match, without the filter of states."""
    found = PeerState.objects.filter(organization_id=organization_id)
    chosen = [site.pk for site in sites if not filters.site or str(site.uuid) == filters.site]
    if len(chosen) < fleet.site_count(organization_id):
        found = found.filter(site_id__in=chosen)
    if filters.tag:
        found = found.filter(tags__icontains=f" {filters.tag} ")
    if text := filters.text:
        found = found.filter(Q(name__icontains=text) | Q(remote__icontains=text) | Q(behind__icontains=text))
    return found


def listing(organization_id: int, sites: list[Any], filters: Filters) -> dict[str, Any]:
    """One page of the list, with the number of peers in each state."""
    matching = peers(organization_id, sites, filters)
    counts = dict(matching.order_by().values_list("state").annotate(Count("id")))
    wanted = matching.filter(state__in=filters.states) if filters.states else matching
    total = sum(count for state, count in counts.items() if not filters.states or state in filters.states)
    pages = max(1, -(-total // PAGE))
    number = min(filters.page, pages)
    rows = list(wanted.select_related("site").order_by("rank", "name", "id")[(number - 1) * PAGE : number * PAGE])
    return {
        "lines": lines(rows),
        "filters": filters,
        "total": total,
        "all": sum(counts.values()),
        "chips": [_chip(state, counts.get(state, 0), filters) for state in STATES],
        "page": number,
        "pages": pages,
        "earlier": filters.query(page=number - 1) if number > 1 else None,
        "later": filters.query(page=number + 1) if number < pages else None,
    }


def most_in_trouble(site_id: int, limit: int) -> list[UUID]:
    """The peers of a site, those that need attention first."""
    rows = PeerState.objects.filter(site_id=site_id).order_by("rank", "name", "id")
    return list(rows.values_list("peer", flat=True)[:limit])


def _chip(state: str, count: int, filters: Filters) -> dict[str, Any]:
    """A state with its number, and the address that adds or removes it."""
    is_on = state in filters.states
    after = [s for s in STATES if (s in filters.states) != (s == state)]
    return {
        "state": state,
        "shape": SHAPES[state],
        "tone": TONES.get(state, ""),
        "word": words(state),
        "count": count,
        "on": is_on,
        "query": filters.query(state=",".join(after)),
    }


def lines(rows: list[PeerState]) -> list[Line]:
    """These peers with what their engines say now."""
    appliances = fleet.first_appliances({row.site_id for row in rows})
    asked: dict[str, list[str]] = {str(uuid): [] for uuid in appliances.values()}
    for row in rows:
        if row.site_id in appliances:
            asked[str(appliances[row.site_id])].append(str(row.peer))
    told = seen(asked) if asked else {}
    return [_line(row, told.get(str(appliances.get(row.site_id)))) for row in rows]


def _line(row: PeerState, told: Any) -> Line:
    engine = told.engine if told else None
    status = told.peers.get(str(row.peer)) if told else None
    path = ((engine or {}).get("data_path") or {}).get("name", "") if status else ""
    return Line(row, light(status, engine, enabled=row.enabled), status, path)


def engines(site_id: int) -> list[dict[str, str]]:
    """For each appliance of a site what carries its packets, why nothing else does, and how its engine is."""
    appliances = fleet.appliances_of(site_id)
    told = seen({str(appliance.uuid): [] for appliance in appliances})
    found = []
    for appliance in appliances:
        engine = told[str(appliance.uuid)].engine
        text = _of_engine(engine)
        if len(appliances) > 1:
            text = f"{appliance.name}: {text}"
        found.append({"appliance": appliance.name, "text": text})
    return found


def _of_engine(engine: dict[str, Any] | None) -> str:
    if engine is None:
        return _("No news from the engine. If this stays, look into log/agent.log and log/engine.log.")
    if engine.get("engine") != "up":
        return _("The engine is down. It is being started again, which takes a few seconds.")
    path = engine.get("data_path") or {}
    why = [*path.get("passed_over", ()), *engine.get("conditions", ())]
    said = _("Packets are carried by the data path “%s”.") % path.get("name", engine.get("dataplane", ""))
    return " ".join([said, *(explain.sentence(text) for text in dict.fromkeys(why))])
