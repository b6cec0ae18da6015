"""The notifier: judges events for alerts, and carries them to syslog servers, each in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from uuid import UUID

import redis
from django.db import close_old_connections, connection
from django.utils import timezone

from dashboard.eventlog import selectors as eventlog
from dashboard.fleet import selectors as fleet
from dashboard.notify import alerts, syslog
from dashboard.notify.models import SyslogTarget
from dashboard.notify.targets import Unreachable

log = logging.getLogger(__name__)
ALERT_S = 1.0
IDLE_S = 0.3
RETRY_S = (1.0, 2.0, 5.0, 15.0, 30.0)


class Notifier:
    """Works until it is stopped."""

    def __init__(self) -> None:
        self._threads: dict[UUID, tuple[threading.Thread, threading.Event]] = {}

    def run(self, wait: Callable[[float], bool]) -> None:
        """Work until ``wait``, which waits so many seconds, says that it is over."""
        while not wait(ALERT_S):
            try:
                for organization_id in fleet.organization_ids():
                    alerts.step(organization_id)
                self._keep_threads()
            except redis.RedisError as error:
                log.warning("Redis is away (%s); waiting", type(error).__name__)
            except Exception:
                # What cannot be judged now can be judged later: nothing is lost, and syslog goes on meanwhile.
                log.exception("alerts could not be judged; trying again")
                wait(5.0)
        for _, stopped in self._threads.values():
            stopped.set()
        for thread, _ in self._threads.values():
            thread.join(syslog.TIMEOUT_S)

    def _keep_threads(self) -> None:
        wanted = set(SyslogTarget.objects.filter(enabled=True).values_list("uuid", flat=True))
        for uuid in [uuid for uuid, (thread, _) in self._threads.items() if not thread.is_alive()]:
            del self._threads[uuid]
        for uuid in self._threads.keys() - wanted:
            self._threads[uuid][1].set()
        for uuid in wanted - self._threads.keys():
            stopped = threading.Event()
            thread = threading.Thread(target=Export(uuid, stopped).run, name=f"syslog-{uuid}", daemon=True)
            self._threads[uuid] = thread, stopped
            thread.start()


class Export:
    """Brings the events of an organization to one syslog server, at least once and in order."""

    def __init__(self, uuid: UUID, stopped: threading.Event) -> None:
        self._uuid, self._stopped = uuid, stopped
        self._sender: syslog.Sender | None = None
        self._address: tuple[object, ...] = ()
        self._failures = 0

    def run(self) -> None:
        """Work until stopped, or until the target is gone."""
        try:
            while not self._stopped.is_set():
                close_old_connections()
                target = SyslogTarget.objects.filter(uuid=self._uuid, enabled=True).first()
                if target is None:
                    break
                self._stopped.wait(self._turn(target))
        finally:
            self._close()
            connection.close()

    def _turn(self, target: SyslogTarget) -> float:
        """One batch; how long to wait after it."""
        try:
            sent = self.step(target)
        except (Unreachable, OSError) as error:
            self._close()
            reason = str(error) if isinstance(error, Unreachable) else f"{target.host}: {error.strerror or error}"
            SyslogTarget.objects.filter(pk=target.pk).update(problem=reason[:300])
            pause = RETRY_S[min(self._failures, len(RETRY_S) - 1)]
            self._failures += 1
            return pause
        self._failures = 0
        return 0.0 if sent else IDLE_S

    def step(self, target: SyslogTarget) -> int:
        """Send the next events; how many were looked at.

        :raises Unreachable, OSError: if the server does not take them; nothing has moved then.
        """
        oldest, last = eventlog.bounds(target.organization_id)
        if last <= target.seq:
            return 0
        missing = max(0, oldest - target.seq - 1)  # retention was faster than the server
        events = eventlog.after(target.organization_id, target.seq)
        if not events:
            return 0
        self._open(target)
        assert self._sender is not None  # noqa: S101
        limit = syslog.SEVERITIES[target.severity]
        wanted = [row for row in events if syslog.SEVERITIES.get(row["severity"], 6) <= limit]
        names = {str(row.uuid): row.name for row in fleet.appliances_of_organization(target.organization_id)}
        self._sender.send(
            [syslog.line(row, names.get(row.get("appliance", ""), "culvert"), target.facility) for row in wanted]
        )
        SyslogTarget.objects.filter(pk=target.pk).update(
            seq=events[-1]["seq"], lost=target.lost + missing, reached=timezone.now(), problem=""
        )
        return len(events)

    def _open(self, target: SyslogTarget) -> None:
        """Keep the connection as long as it leads where it should."""
        address = target.protocol, target.host, target.port, target.ca
        if self._sender is None or address != self._address:
            self._close()
            self._sender, self._address = syslog.connect(*address), address

    def _close(self) -> None:
        if self._sender is not None:
            self._sender.close()
        self._sender = None
