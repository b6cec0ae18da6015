"""The table of peers: what is asked in the address, answered by the database, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from dashboard.sitevpn.models import Peer

PAGE = 50
MAX_SEARCH = 200
MAX_TAGS, MAX_TAG = 16, 32
SORTS = {"name": Lower("name"), "remote": Lower("remote"), "start": "start", "enabled": "enabled"}
HEADINGS = (("name", _("Name")), ("remote", _("Public address")), ("start", _("Start")), ("enabled", _("Enabled")))


@dataclass(frozen=True)
class Asked:
    """What the address asks for; anything else in it is left aside."""

    search: str = ""
    tag: str = ""
    sort: str = "name"
    descending: bool = False
    page: str = "1"

    @classmethod
    def of(cls, query: Any) -> Asked:
        """From a query string, whatever it holds."""
        sort = str(query.get("sort", "name"))
        name = sort.removeprefix("-")
        # No database takes a NUL in a text.
        search, tag = (str(query.get(key, "")).replace("\0", "").strip()[:MAX_SEARCH] for key in ("q", "tag"))
        return cls(
            search=search,
            tag=tag.lower()[:MAX_TAG],
            sort=name if name in SORTS else "name",
            descending=sort.startswith("-"),
            page=str(query.get("page", "1")),
        )

    def query(self, **changes: Any) -> str:
        """The query string again, with ``changes``; what is as by default is left out."""
        sort = ("-" if self.descending else "") + self.sort
        values = {"q": self.search, "tag": self.tag, "sort": "" if sort == "name" else sort, "page": ""} | changes
        return "?" + urlencode({name: value for name, value in values.items() if value})


def matching(site_id: int, asked: Asked) -> QuerySet[Peer]:
    """The peers of a site that are asked for, in no order."""
    rows = Peer.objects.filter(site_id=site_id)
    if asked.search:
        text = asked.search
        rows = rows.filter(Q(name__icontains=text) | Q(remote__icontains=text) | Q(remote_subnets__icontains=text))
    if asked.tag:
        rows = rows.filter(tags_text__contains=f" {asked.tag} ")
    return rows


def page_of(site_id: int, asked: Asked) -> Page[Peer]:
    """One page; a number that there is not is the nearest that there is."""
    order: Any = SORTS[asked.sort]
    if asked.descending:
        order = order.desc() if hasattr(order, "desc") else f"-{order}"
    return Paginator(matching(site_id, asked).order_by(order, "id"), PAGE).get_page(asked.page)


def tags_of(site_id: int, page: Page[Peer], asked: Asked) -> list[str]:
    """Every tag that a peer of the site has, sorted. A page that shows all peers is asked instead of the database."""
    if page.paginator.num_pages == 1 and not asked.search and not asked.tag:
        return sorted({tag for peer in page.object_list for tag in peer.tags})
    texts = Peer.objects.filter(site_id=site_id).exclude(tags_text="").values_list("tags_text", flat=True).distinct()
    return sorted({tag for text in texts.iterator() for tag in text.split()})


def headings(asked: Asked) -> list[dict[str, Any]]:
    """The columns that can be sorted by: where a click leads, and how they are sorted now."""
    found = []
    for name, title in HEADINGS:
        now = asked.sort == name
        down = now and not asked.descending
        state = ("descending" if asked.descending else "ascending") if now else "none"
        found.append(
            {"title": title, "url": asked.query(sort=f"-{name}" if down else name), "state": state, "key": name}
        )
    return found
