"""An organization of a thousand appliances, twenty thousand peers and ten million events, the same at each making."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

from django.db import connection, transaction

from appliance.bench.stack import BenchError
from dashboard.accounts import services as accounts
from dashboard.eventlog import schema, storage
from dashboard.eventlog.models import EventRow, EventSpan, EventType, Sequence
from dashboard.fleet import services as fleet
from dashboard.fleet.models import Appliance, Organization, Site
from dashboard.sitevpn import services as vpn
from dashboard.sitevpn.models import Peer

EMAIL = "bench@example.com"
DAYS = 30
BATCH = 20_000
NEEDLE = "the needle in the haystack"
CODES = (
    ("ike.phase1.initiate", "info", "initiate new phase 1 negotiation: 192.0.2.1[500]<=>{remote}[500]"),
    ("ike.phase1.established", "notice", "ISAKMP-SA established 192.0.2.1[4500]-{remote}[4500] spi:{spi}:{spi}"),
    ("ike.phase2.initiate", "info", "initiate new phase 2 negotiation: 192.0.2.1[4500]<=>{remote}[4500]"),
    ("ike.phase2.established", "notice", "IPsec-SA established: ESP/Tunnel 192.0.2.1->{remote} spi={number}"),
    ("ike.dpd.dead", "warning", "DPD: remote (ISAKMP-SA spi={spi}) seems to be dead."),
    ("ike.phase1.timeout", "error", "phase1 negotiation failed due to time up. {spi}:0000000000000000"),
)


def fill(appliances: int, peers: int, events: int) -> None:
    """Make everything that is not there yet. An interrupted making is begun anew.

    :raises BenchError: if the database holds something else.
    """
    organization = Organization.objects.first()
    if organization is None:
        organization = _fleet(appliances, peers)
    sequence, _ = Sequence.objects.get_or_create(organization=organization)
    if sequence.last not in (0, events):
        raise BenchError(f"the database has {sequence.last} events, not {events}; remove its directory")
    if sequence.last == 0:
        _events(organization, events)
        Sequence.objects.filter(pk=sequence.pk).update(last=events)


@transaction.atomic
def _fleet(appliances: int, peers: int) -> Organization:
    user = accounts.create_administrator(email=EMAIL, name="Bench", password="a-long-passphrase-7")  # noqa: S106
    home = fleet.create_organization(name="Bench", site_name="Site 0", administrator_id=user.pk)
    organization = home.site.organization
    sites = Site.objects.bulk_create(
        Site(organization=organization, name=f"Site {number}") for number in range(1, appliances)
    )
    Appliance.objects.bulk_create(Appliance(site=site, name=f"{site.name} appliance") for site in sites)
    every = [home.site, *sites]
    vpn.save_subnets(home.site.pk, [("172.16.0.0/24", "", True)], user.pk)
    made = [_peer(every[number % len(every)], number) for number in range(peers)]
    # Those of the site that is looked at are whole, with secret and revision.
    for peer in made[:: len(every)]:
        vpn.save_peer(peer, secret="a secret of enough length", author_id=user.pk)  # noqa: S106
    Peer.objects.bulk_create(peer for number, peer in enumerate(made) if number % len(every))
    return organization


def _peer(site: Site, number: int) -> Peer:
    remote = f"198.{18 + number % 2}.{number // 250 % 250}.{number % 250 + 1}"
    subnet = f"10.{number // 250 % 250}.{number % 250}.0/24"
    return Peer(site=site, name=f"Peer {number}", remote=remote, remote_subnets=[subnet])


def _events(organization: Organization, count: int) -> None:
    """Rows first, indexes afterwards: sorted once instead of ten million times."""
    vendor = connection.vendor
    EventRow.objects.filter(organization=organization).delete()
    EventSpan.objects.all().delete()
    EventType.objects.all().delete()
    with connection.cursor() as cursor:
        for name in [*schema.INDEXED, "event_search"]:
            cursor.execute(f"DROP INDEX IF EXISTS {name}")
        for name in schema.TRIGGERS if vendor == "sqlite" else ():
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
        if vendor == "sqlite":
            cursor.execute("PRAGMA synchronous = OFF")
    for rows in _rows(organization, count):
        with transaction.atomic():
            storage.insert(connection, rows)
    with connection.cursor() as cursor:
        schema.make_indexes(cursor, vendor)
        if vendor == "sqlite":
            cursor.execute(f"INSERT INTO {schema.SEARCH}({schema.SEARCH}) VALUES ('rebuild')")  # noqa: S608
            schema.make_triggers(cursor)
        schema.summarize(cursor, vendor)
    if vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"VACUUM ANALYZE {schema.TABLE}")


def _rows(organization: Organization, count: int) -> Iterator[list[storage.Row]]:
    """Every appliance and peer has its share; one event in the middle has a text of its own."""
    chance = random.Random(1)  # noqa: S311 - the same at each making
    homes = list(Appliance.objects.filter(site__organization=organization).values_list("pk", "uuid", "site_id"))
    peers: dict[int, list[Any]] = {}
    for peer in Peer.objects.values_list("site_id", "uuid", "name", "remote"):
        peers.setdefault(peer[0], []).append(peer)
    began = time.time() - DAYS * storage.DAY
    rows: list[storage.Row] = []
    for seq in range(1, count + 1):
        key, uuid, site = homes[chance.randrange(len(homes))]
        _, peer_uuid, name, remote = chance.choice(peers[site]) if site in peers else (0, "", "", "192.0.2.9")
        code, severity, text = CODES[min(int(chance.expovariate(0.9)), len(CODES) - 1)]
        spi = f"{chance.getrandbits(64):016x}"
        event = {"number": seq, "boot": "bench", "time": began + DAYS * storage.DAY * seq / count, "phase": 1}
        event |= {"code": code, "severity": severity, "peer_id": str(peer_uuid), "peer": name, "remote": remote}
        event |= {"text": text.format(remote=remote, spi=spi, number=seq), "negotiation": spi[:16], "side": "none"}
        if seq == count // 2:
            event["text"] = NEEDLE
        rows.append(storage.row(event, organization.pk, key, str(uuid), seq))
        if len(rows) == BATCH:
            yield rows
            rows = []
    if rows:
        yield rows
