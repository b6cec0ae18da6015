"""Asking for a run, within bounds, and doing it."""

from __future__ import annotations

import logging
import os
import selectors
import subprocess
import time
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard.audit import services as audit
from dashboard.core import actor
from dashboard.fleet import selectors as fleet
from dashboard.fleet import services as fleet_services
from dashboard.tools import command
from dashboard.tools.models import LOST_S, Run

log = logging.getLogger(__name__)
PER_MINUTE = 10
KEPT = 20
LONGEST_S = 45.0
MAX_OUTPUT = 16_384
TELL_S = 0.4
OPEN = (Run.State.WAITING, Run.State.RUNNING)


class TooMuch(Exception):
    """A run is under way, or there were too many in the last minute; the text is a sentence."""


@transaction.atomic
def start(site: Any, *, kind: str, target: str, source: str, count: int) -> Run:
    """Note a run and ask a worker for it. The values have been checked (``command``).

    :raises TooMuch: if it has to wait. :raises NotUsable: if the site's appliance is elsewhere.
    """
    if not any(appliance.is_local for appliance in fleet.appliances_of(site.pk)):
        raise command.NotUsable(_("Only the appliance that this dashboard runs on can be asked."))
    fleet_services.lock_site(site.pk)
    now, mine = timezone.now(), Run.objects.filter(site_id=site.pk)
    lost = mine.filter(state__in=OPEN, created__lte=now - timedelta(seconds=LOST_S))
    lost.update(state=Run.State.FAILED, problem=_("No worker has finished it."), finished=now)
    if mine.filter(state__in=OPEN).exists():
        raise TooMuch(_("Another one is under way. Wait until it has finished."))
    if mine.filter(created__gt=now - timedelta(minutes=1)).count() >= PER_MINUTE:
        raise TooMuch(_("There were %(number)s in the last minute. Wait a little.") % {"number": PER_MINUTE})
    who = actor.present().name[:150]
    run = Run.objects.create(site_id=site.pk, kind=kind, target=target, source=source, count=count, who=who)
    audit.record(
        organization_id=site.organization_id,
        site_id=site.pk,
        kind=kind,
        verb="run",
        name=target,
        object_id=run.uuid,
        after={"source": source, "count": count},
    )
    oldest = list(mine.order_by("-id").values_list("pk", flat=True)[KEPT:])
    Run.objects.filter(pk__in=oldest).delete()
    transaction.on_commit(lambda: _ask(run))
    return run


def _ask(run: Run) -> None:
    from dashboard.tools.tasks import run as task

    try:
        task.apply_async(args=[str(run.uuid)], retry=False)
    except Exception as error:
        log.warning("%s was not passed on (%s)", run.kind, type(error).__name__)
        sentence = _("The workers cannot be reached, so nothing was sent. Try again in a moment.")
        _finish(run, Run.State.FAILED, sentence)


def execute(uuid: str) -> None:
    """Do a run, once: what has been begun, or has waited too long, is not begun again."""
    fresh = timezone.now() - timedelta(seconds=LOST_S)
    waiting = Run.objects.filter(uuid=uuid, state=Run.State.WAITING, created__gt=fresh)
    if not waiting.update(state=Run.State.RUNNING):
        return
    run = Run.objects.get(uuid=uuid)
    try:
        if run.source and run.source not in command.own_addresses():
            raise command.NotUsable(_("The appliance does not have the address %s any more.") % run.source)
        address = command.resolve(run.target, run.source)
        _follow(run, command.arguments(run.kind, address, run.source, run.count))
    except command.NotUsable as problem:
        _finish(run, Run.State.FAILED, str(problem))
    except OSError as error:
        log.warning("%s cannot be run: %s", run.kind, error)
        _finish(run, Run.State.FAILED, _("The program %s cannot be run on the appliance.") % run.kind)


def _follow(run: Run, arguments: list[str]) -> None:
    """Run a command, keeping what it says as it says it, until it ends or its time is up."""
    until, told = time.monotonic() + LONGEST_S, time.monotonic()
    clean = {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "LC_ALL": "C"}
    with (
        subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean
        ) as process,
        selectors.DefaultSelector() as ready,
    ):
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        ready.register(process.stdout, selectors.EVENT_READ)
        said = b""
        while (left := until - time.monotonic()) > 0 and len(said) < MAX_OUTPUT:
            if ready.select(min(left, TELL_S)):
                part = os.read(process.stdout.fileno(), 4096)
                if not part:
                    break
                said += part
            if time.monotonic() - told > TELL_S:
                told = time.monotonic()
                _keep(run, said)
        else:
            process.kill()
    _keep(run, said)
    cut = _("It was stopped after %d seconds.") % LONGEST_S if process.returncode == -9 else ""
    _finish(run, Run.State.DONE, cut)


def _keep(run: Run, said: bytes) -> None:
    text = said[:MAX_OUTPUT].decode(errors="replace").replace("\x00", "")
    if text != run.output:
        run.output = text
        Run.objects.filter(pk=run.pk).update(output=text)


def _finish(run: Run, state: str, problem: str) -> None:
    Run.objects.filter(pk=run.pk).update(state=state, problem=problem[:300], finished=timezone.now())
