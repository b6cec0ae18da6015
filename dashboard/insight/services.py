"""Keeping what is observed: the state of every peer, and samples of what it carried."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db import connection, transaction
from django.utils import translation
from redis import RedisError

from dashboard.core.redis import client
from dashboard.fleet import selectors as fleet
from dashboard.insight.light import STATES, light
from dashboard.insight.live import Seen, every_peer
from dashboard.insight.models import PeerState, Sample
from dashboard.sitevpn import selectors as vpn

# Seconds per sample → how long such samples are kept. Each is a multiple of the one before, from which it is made.
STEPS = {10: 3_600, 60: 86_400, 600: 30 * 86_400}
BASE = min(STEPS)
COUNTERS = ("bytes_in", "bytes_out", "packets_in", "packets_out", "dropped")
_ROW = ("name", "remote", "behind", "tags", "enabled", "site_id", "organization_id")
_LIFE_S = 120


def observe(now: float | None = None) -> None:
    """Look at every peer once. Run by beat every few seconds; one at a time."""
    now = time.time() if now is None else now
    at_site: dict[int, list[PeerState]] = defaultdict(list)
    for row in PeerState.objects.all():
        at_site[row.site_id].append(row)
    with translation.override(None):
        for appliance in fleet.all_appliances():
            if mine := at_site.get(appliance.site_id):
                seen = every_peer(str(appliance.uuid))
                _keep_states(mine, seen, now)
                _keep_samples(appliance, mine, seen, now)


@transaction.atomic
def align(only: Iterable[Any] | None = None) -> list[PeerState]:
    """Make the rows those of the peers that are configured; all of them, or ``only`` these. The rows are returned."""
    wanted = {row["peer"]: row for row in (vpn.watched() if only is None else only)}
    rows = PeerState.objects.all() if only is None else PeerState.objects.filter(peer__in=wanted)
    known = {row.peer: row for row in rows}
    missing = [
        PeerState(**row, since=time.time(), rank=STATES.index("unknown")) for p, row in wanted.items() if p not in known
    ]
    PeerState.objects.bulk_create(missing, batch_size=500, ignore_conflicts=True)
    changed = []
    for uuid, row in known.items():
        if uuid in wanted and any(getattr(row, name) != wanted[uuid][name] for name in _ROW):
            for name in _ROW:
                setattr(row, name, wanted[uuid][name])
            changed.append(row)
    PeerState.objects.bulk_update(changed, _ROW, batch_size=200)
    if only is None and (gone := [row.pk for uuid, row in known.items() if uuid not in wanted]):
        for start in range(0, len(gone), 500):
            PeerState.objects.filter(pk__in=gone[start : start + 500]).delete()
    if not missing:
        return [row for uuid, row in known.items() if uuid in wanted]
    return list(PeerState.objects.filter(peer__in=wanted) if only is not None else PeerState.objects.all())


def forget(peer: Any) -> None:
    """A peer was removed."""
    PeerState.objects.filter(peer=peer).delete()


def _keep_states(rows: list[PeerState], seen: Seen, now: float) -> None:
    changed = []
    for row in rows:
        found = light(seen.peers.get(str(row.peer)), seen.engine, enabled=row.enabled)
        if (found.state, found.reason) == (row.state, row.reason):
            continue
        row.since = row.since if found.state == row.state else now
        row.state, row.reason, row.rank = found.state, found.reason, found.rank
        changed.append(row)
    PeerState.objects.bulk_update(changed, ["state", "reason", "rank", "since"], batch_size=200)


# Samples


def totals(peer: dict[str, Any]) -> dict[str, list[int]]:
    """The counters of each SA pair of a ``PeerStatus``, by its inbound SPI, in the order of ``COUNTERS``."""
    return {
        sa["spi_in"]: [
            sa["bytes_in"],
            sa["bytes_out"],
            sa["packets_in"],
            sa["packets_out"],
            sa["replayed"] + sa["failed"],
        ]
        for sa in peer["sas"]
    }


def growth(now: dict[str, list[int]], before: dict[str, list[int]]) -> list[int]:
    """What the counters have grown by. A pair that is new counts from zero; one that is gone counts no more."""
    grown = [0] * len(COUNTERS)
    for spi, counts in now.items():
        old = before.get(spi, [0] * len(COUNTERS))
        for index, count in enumerate(counts):
            grown[index] += max(0, count - old[index])
    return grown


def _keep_samples(appliance: Any, rows: list[PeerState], seen: Seen, now: float) -> None:
    """A sample of each peer that has carried anything since the last look, which Redis remembers."""
    key = f"culvert:counters:{appliance.uuid}"
    at = int(now) // BASE * BASE
    try:
        with client() as redis:
            before = json.loads(redis.get(key) or "null")
            if before is not None and before["at"] >= at:
                return
            present = {ident: totals(peer) for ident, peer in seen.peers.items()}
            redis.set(key, json.dumps({"at": at, "peers": present}), ex=_LIFE_S)
    except (RedisError, OSError):
        return
    if before is None:
        return
    samples = []
    for row in rows:
        ident = str(row.peer)
        if ident in present and any(grown := growth(present[ident], before["peers"].get(ident, {}))):
            samples.append(Sample(state=row, step=BASE, at=at - BASE, **dict(zip(COUNTERS, grown, strict=True))))
    Sample.objects.bulk_create(samples, batch_size=500, ignore_conflicts=True)


def roll_up(now: float | None = None) -> None:
    """Make the coarser samples of the finer ones that are complete, and drop what is older than it is kept.

    Peers that came into the database past the forms are found, too.
    """
    align()
    now = time.time() if now is None else now
    for fine, coarse in zip(list(STEPS)[:-1], list(STEPS)[1:], strict=True):
        _sum_up(fine, coarse, int(now) // coarse * coarse)
    for step, kept in STEPS.items():
        Sample.objects.filter(step=step, at__lt=int(now) - kept).delete()


def _sum_up(fine: int, coarse: int, until: int) -> None:
    """The last two complete coarse steps, again if need be: a late sample is not missed."""
    table = Sample._meta.db_table
    sums = ", ".join(f"SUM({name})" for name in COUNTERS)
    sets = ", ".join(f"{name} = excluded.{name}" for name in COUNTERS)
    # The names are of our own table; what comes from outside is a parameter.
    statement = (
        f"INSERT INTO {table} (state_id, step, at, {', '.join(COUNTERS)}) "  # noqa: S608
        f"SELECT state_id, %s, at - (at %% %s), {sums} FROM {table} WHERE step = %s AND at >= %s AND at < %s "
        f"GROUP BY state_id, at - (at %% %s) ON CONFLICT (state_id, step, at) DO UPDATE SET {sets}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [coarse, coarse, fine, until - 2 * coarse, until, coarse])
