"""The overview: sites and their peers as a picture that holds for one peer and for a thousand; what needs attention.

A site stands at the left; a line leads from it past its peers, row by row. Up to ``LABELLED`` peers have their names;
more are tiles with the shape of their state, the ones that need attention first.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count

from dashboard.insight.light import SHAPES, STATES, TONES, words
from dashboard.insight.models import PeerState

WIDTH = 960
LABELLED = 24
MAX_SITES, MAX_PEERS = 20, 1_000
ATTENTION = 8
_SITE_WIDTH, _BUS, _LEFT, _PAD = 190, 226, 250, 18
_BOX = (220, 34, 3)  # width, height, in a row
_TILE = (22, 22, 27)
_GAP = 8


@dataclass(frozen=True)
class Node:
    """One peer where it is drawn."""

    row: PeerState
    x: int
    y: int
    width: int
    height: int

    @property
    def shape(self) -> str:
        """The sign of its state."""
        return SHAPES[self.row.state]

    @property
    def tone(self) -> str:
        """``green``, ``yellow``, ``red`` or ``grey``."""
        return TONES.get(self.row.state, "") or "grey"

    @property
    def word(self) -> str:
        """Its state in words."""
        return words(self.row.state)

    @property
    def mid_x(self) -> int:
        """Its middle."""
        return self.x + self.width // 2

    @property
    def mid_y(self) -> int:
        """Its middle."""
        return self.y + self.height // 2


@dataclass
class Cluster:
    """One site with its peers; ``lines`` are the heights of the rows, ``more`` how many peers are not drawn."""

    name: str
    y: int
    height: int
    total: int
    more: int
    labelled: bool
    nodes: list[Node] = field(default_factory=list)
    lines: list[tuple[int, int]] = field(default_factory=list)
    bus: int = _BUS
    site_width: int = _SITE_WIDTH

    @property
    def middle(self) -> int:
        """Where the line leaves the site."""
        return (self.lines[0][0] + self.lines[-1][0]) // 2 if self.lines else self.y + self.height // 2

    @property
    def top(self) -> int:
        """Where the line along the rows begins."""
        return min([self.middle, *(y for y, _ in self.lines)])

    @property
    def bottom(self) -> int:
        """Where it ends."""
        return max([self.middle, *(y for y, _ in self.lines)])


def overview(organization_id: int, sites: list[Any]) -> dict[str, Any]:
    """Everything that the page shows about peers at these sites."""
    mine = PeerState.objects.filter(organization_id=organization_id, site_id__in=[site.pk for site in sites])
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    for site_id, state, count in mine.order_by().values_list("site_id", "state").annotate(Count("id")):
        counts[site_id][state] = count
    # The sites that need attention first are drawn, if there are too many.
    ordered = sorted(sites, key=lambda site: (_rank(counts[site.pk]), site.name.lower()))
    shown = ordered[:MAX_SITES]
    rows = mine.filter(site_id__in=[site.pk for site in shown]).order_by("rank", "name", "id")[:MAX_PEERS]
    at_site: dict[int, list[PeerState]] = defaultdict(list)
    for row in rows:
        at_site[row.site_id].append(row)
    clusters, y = [], 0
    for site in shown:
        cluster = _cluster(site.name, at_site[site.pk], sum(counts[site.pk].values()), y)
        clusters.append(cluster)
        y += cluster.height + 2 * _PAD
    totals = {state: sum(found.get(state, 0) for found in counts.values()) for state in STATES}
    pressing = mine.filter(rank__lt=STATES.index("negotiating")).select_related("site")
    first = list(pressing.order_by("rank", "name")[:ATTENTION])
    return {
        "clusters": clusters,
        "height": max(y, 60),
        "width": WIDTH,
        "left_out_sites": len(sites) - len(shown),
        "chips": [
            {"state": s, "shape": SHAPES[s], "tone": TONES.get(s, ""), "word": words(s), "count": totals[s]}
            for s in STATES
            if totals[s]
        ],
        "total": sum(totals.values()),
        "attention": first,
        "attention_more": sum(totals[s] for s in STATES[: STATES.index("negotiating")]) - len(first),
        "table": [node for cluster in clusters for node in cluster.nodes],
        "many_sites": len(sites) > 1,
    }


def _rank(counts: dict[str, int]) -> int:
    return min((STATES.index(state) for state in counts), default=len(STATES))


def _cluster(name: str, rows: list[PeerState], total: int, y: int) -> Cluster:
    labelled = len(rows) <= LABELLED
    width, height, in_row = _BOX if labelled else _TILE
    nodes, lines = [], []
    top = y + _PAD
    for number, row in enumerate(rows):
        line, column = divmod(number, in_row)
        x = _LEFT + column * (width + (_GAP if labelled else 4))
        node = Node(row, x, top + line * (height + _GAP), width, height)
        nodes.append(node)
        if column == 0:
            lines.append((node.mid_y, node.x))
        lines[-1] = (node.mid_y, node.x)
    used = len(lines) * (height + _GAP) - _GAP if lines else 0
    return Cluster(name, y, max(used, 44) + 2 * _PAD, total, total - len(rows), labelled, nodes, lines)
