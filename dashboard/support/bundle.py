"""Making the archive. Its size and the time that it takes are bounded whatever a site has; what had no room is told."""

from __future__ import annotations

import io
import json
import re
import tarfile
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import IO, Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.utils import timezone

from dashboard.audit import services as audit
from dashboard.eventlog import selectors as eventlog
from dashboard.eventlog.filters import LogFilter
from dashboard.fleet import selectors as fleet
from dashboard.insight import lists
from dashboard.insight.live import every_peer
from dashboard.notify import selectors as notify
from dashboard.publish import selectors as revisions
from dashboard.publish import services as publishing
from dashboard.sitevpn import selectors as vpn
from dashboard.support import facts
from dashboard.support.redaction import MARK, Scrubber
from vpnengine.contract.problems import Refused

EVENTS = 2_000
EVENTS_S = 10.0
TRACES = 40
TRACES_S = 10.0
REVISIONS = 50
MAX_MEMBER = 48 << 20
MAX_TOTAL = 128 << 20
_IN_MEMORY = 4 << 20

README = f"""Support bundle of a Culvert appliance.

manifest.json          what is in here, and what had no room or could not be had
events.jsonl           the last {EVENTS:,} events of the site, the newest first
versions.json          Culvert, Python, packages, database, Redis
host.json              the machine: system, memory, addresses, routes
appliance-N/           for each appliance of the site:
  configuration.json   the newest revision, as the engine gets it
  history.json         the last {REVISIONS} revisions: when, what the engine said
  engine.json          the state of the engine
  peers.jsonl          the state of each peer, its SAs and counters
  counters.json        drops, negotiations, datagrams
  traces/              the last negotiations of up to {TRACES} peers, those in trouble first

Secrets were taken out and stand as {MARK}. Names, addresses and subnets were not.
"""


@dataclass
class Archive:
    """A gzipped tar file that grows member by member, none larger than ``MAX_MEMBER`` octets, all ``MAX_TOTAL``."""

    tar: tarfile.TarFile
    folder: str
    scrubber: Scrubber
    left: int = MAX_TOTAL
    members: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def document(self, name: str, value: Any) -> None:
        """One JSON document, without secrets; left out, with a note, if there is no room."""
        text = json.dumps(self.scrubber.clean(_plain(value)), indent=1, ensure_ascii=False)
        data = text.encode(errors="replace") + b"\n"
        if len(data) > self._room():
            self.notes.append(f"{name} was left out: {len(data)} octets are too many")
            return
        self._add(name, data)

    def lines(self, name: str, rows: Iterable[Any]) -> None:
        """JSON lines, without secrets; as many as there is room for."""
        data, room = io.BytesIO(), self._room()
        for number, row in enumerate(rows):
            line = json.dumps(self.scrubber.clean(_plain(row)), ensure_ascii=False).encode(errors="replace") + b"\n"
            if data.tell() + len(line) > room:
                self.notes.append(f"{name} was cut after {number} lines")
                break
            data.write(line)
        self._add(name, data.getvalue())

    def text(self, name: str, text: str) -> None:
        """A text of our own."""
        self._add(name, text.encode())

    def _room(self) -> int:
        return min(MAX_MEMBER, self.left)

    def _add(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(f"{self.folder}/{name}")
        info.size, info.mtime, info.mode = len(data), int(time.time()), 0o600
        self.tar.addfile(info, io.BytesIO(data))
        self.left -= len(data)
        self.members[name] = len(data)


def make(site: Any) -> tuple[str, IO[bytes]]:
    """The bundle of a site: a file name, and the open file at its beginning. It is noted in the change log."""
    began = timezone.now()
    label = re.sub(r"[^a-z0-9]+", "-", site.name.lower()).strip("-")[:40] or "site"
    folder = f"culvert-support-{label}-{began:%Y%m%dT%H%M%SZ}"
    file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - the answer closes it
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        archive = Archive(tar, folder, Scrubber(_secrets(site)))
        _fill(archive, site)
        manifest = {
            "site": {"name": site.name, "id": site.uuid, "time_zone": site.time_zone},
            "made": began.isoformat(),
            "members": archive.members,
            "notes": archive.notes,
            "secrets_removed": archive.scrubber.removed,
        }
        archive.document("manifest.json", manifest)
    size = file.tell()
    file.seek(0)
    _note(site, folder, size)
    return f"{folder}.tar.gz", file


def _note(site: Any, name: str, size: int) -> None:
    with transaction.atomic():
        audit.record(
            organization_id=site.organization_id,
            site_id=site.pk,
            kind="support bundle",
            verb="downloaded",
            name=site.name,
            object_id=site.uuid,
            after={"file": f"{name}.tar.gz", "octets": size},
        )


def _secrets(site: Any) -> set[str]:
    """What is kept for this site and its organization, in clear; it goes nowhere but into the scrubber."""
    of = site.organization_id
    owners = [f"peer:{peer.uuid}" for peer in vpn.peers(site.pk)]
    owners += [f"user:{user.uuid}" for user in vpn.users(site.pk)]
    owners += [f"webhook:{channel.uuid}" for channel in notify.channels(of)]
    owners.append(f"mail:{notify.mail_server(of).uuid}")
    return publishing.known_secrets(owners)


def _fill(archive: Archive, site: Any) -> None:
    archive.text("README.txt", README)
    archive.document("versions.json", facts.versions())
    archive.lines("events.jsonl", _events(archive, site))
    for number, appliance in enumerate(fleet.appliances_of(site.pk), 1):
        if appliance.is_local:
            archive.document("host.json", facts.host())
        _appliance(archive, site, appliance, f"appliance-{number}")


def _events(archive: Archive, site: Any) -> Iterable[Any]:
    wanted, visible = LogFilter(sites=frozenset({str(site.uuid)})), fleet.appliance_ids({site.pk})
    page = eventlog.older(site.organization_id, wanted, None, visible, limit=EVENTS, budget=EVENTS_S)
    if not page.done and len(page.rows) < EVENTS:
        archive.notes.append(f"events.jsonl ends at event {page.reached}: looking further would have taken too long")
    return (json.loads(body) for body in page.rows)


def _appliance(archive: Archive, site: Any, appliance: Any, folder: str) -> None:
    newest = revisions.newest(appliance.pk)
    if newest is not None:
        archive.document(f"{folder}/configuration.json", newest.document)
    waiting = revisions.waiting_reason(appliance.pk)
    history = [_revision(row) for row in revisions.heads(appliance.pk)[:REVISIONS]]
    archive.document(f"{folder}/history.json", {"waits_because": waiting, "revisions": history})
    seen = every_peer(str(appliance.uuid))
    archive.document(f"{folder}/engine.json", {"appliance": appliance.name, "engine": seen.engine})
    archive.lines(f"{folder}/peers.jsonl", seen.peers.values())
    counters = _asked(archive, appliance, f"{folder}/counters.json", "stats")
    if counters is not None:
        archive.document(f"{folder}/counters.json", counters)
        _traces(archive, site, appliance, folder)


def _revision(row: Any) -> dict[str, Any]:
    names = ("number", "comment", "created", "state", "observed", "problems", "digest", "confirm_by", "taken_back")
    return {name: getattr(row, name) for name in names}


def _traces(archive: Archive, site: Any, appliance: Any, folder: str) -> None:
    """Of the peers in trouble first; an engine that takes its time is not waited for."""
    until = time.monotonic() + TRACES_S
    wanted = lists.most_in_trouble(site.pk, TRACES + 1)
    for number, peer in enumerate(wanted):
        if number == TRACES or time.monotonic() > until:
            archive.notes.append(f"{folder}/traces has {number} peers; there are more")
            return
        name = f"{folder}/traces/{peer}.json"
        trace = _asked(archive, appliance, name, "trace", peer=str(peer))
        if trace is not None:
            archive.document(name, trace)


def _asked(archive: Archive, appliance: Any, name: str, op: str, **fields: Any) -> Any:
    try:
        return publishing.ask(appliance.uuid, op, **fields)
    except (publishing.EngineAway, Refused) as error:
        archive.notes.append(f"{name} could not be had: {error}")
        return None


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, cls=DjangoJSONEncoder))
