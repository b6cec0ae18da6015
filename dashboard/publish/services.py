"""Storing revisions and delivering them."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from dashboard.core import keyring
from dashboard.core.redis import client, status_key
from dashboard.fleet import selectors as fleet
from dashboard.publish import changes, history, sources
from dashboard.publish.models import Outbox, Revision, SecretVersion
from vpnengine.contract.problems import Problem, Refused

log = logging.getLogger(__name__)
MAX_BACKOFF_S = 60
LOCK_S = 60


def store_secret(secret: str, owner: str) -> int:
    """Keep a secret; the number is what documents say in its place."""
    return SecretVersion.objects.create(owner=owner, sealed=keyring.seal(secret, owner)).pk


def reveal_secret(version: int) -> str:
    """The secret of a version."""
    row = SecretVersion.objects.get(pk=version)
    return keyring.reveal(row.sealed, row.owner)


def reveal_secrets(document: Any) -> dict[int, str | None]:
    """Every secret that a document refers to, by its version; None if the keyring cannot open it."""
    versions: set[int] = set()
    with_secrets(document, lambda _name, version: versions.add(version))
    wanted, found = sorted(version for version in versions if version is not None), {}
    for start in range(0, len(wanted), 500):
        for row in SecretVersion.objects.filter(pk__in=wanted[start : start + 500]):
            try:
                found[row.pk] = keyring.reveal(row.sealed, row.owner)
            except keyring.KeyringError:
                found[row.pk] = None
    return found


def known_secrets(owners: Iterable[str]) -> set[str]:
    """Every secret that is or was kept for some owners, in clear, so that it can be found where it must not stand."""
    names, found = list(owners), set()
    for start in range(0, len(names), 500):
        for row in SecretVersion.objects.filter(owner__in=names[start : start + 500]):
            with contextlib.suppress(keyring.KeyringError):
                found.add(keyring.reveal(row.sealed, row.owner))
    return found


@transaction.atomic
def publish(*, appliance_id: int, document: dict[str, Any], author_id: int | None, comment: str = "") -> Revision:
    """Store a new revision and its outbox row; poke a worker when the transaction has committed.

    In ``document`` each secret is ``{"$secret": version}``. The present note (``publish.changes``) gives the comment,
    if it has one, and says until when the revision has to be confirmed.

    :raises Refused: if it has to be confirmed and there is nothing to go back to.
    """
    note, site_id = changes.present(), fleet.site_id_of(appliance_id)
    confirm_by = history.deadline(appliance_id, note.confirm_minutes, timezone.now())
    last = Revision.objects.filter(appliance_id=appliance_id).order_by("-number").first()
    number = last.number + 1 if last else 1
    Revision.objects.filter(appliance_id=appliance_id, state=Revision.State.PENDING).update(
        state=Revision.State.SUPERSEDED
    )
    revision = Revision.objects.create(
        appliance_id=appliance_id,
        number=number,
        document={**document, "revision": number},
        author_id=author_id,
        comment=(note.comment or comment)[: changes.MAX_COMMENT],
        rows=sources.take(site_id),
        confirm_by=confirm_by,
    )
    if confirm_by and history.last_good(appliance_id, number) is None:
        message = _("There is no earlier revision to go back to; save without asking for a confirmation.")
        raise Refused([Problem(field="", rule="nothing_to_go_back_to", message=message)])
    note.published.append(revision.pk)
    Outbox.objects.update_or_create(
        appliance_id=appliance_id, defaults={"attempts": 0, "due": timezone.now(), "reason": ""}
    )
    uuid = str(revision.appliance.uuid)
    transaction.on_commit(lambda: poke(uuid))
    return revision


def poke(appliance_uuid: str) -> None:
    """Tell a worker that there is something to deliver. If that fails, the sweep finds it."""
    from dashboard.publish.tasks import push

    try:
        push.apply_async(args=[appliance_uuid], retry=False)
    except Exception as error:
        log.warning("the poke for %s was lost (%s); the sweep will find it", appliance_uuid, type(error).__name__)


def deliver(appliance_uuid: str) -> None:
    """Bring the newest revision to the engine. Level-triggered: run it as often as you like."""
    appliance = fleet.appliance(appliance_uuid)
    if appliance is None or not appliance.is_local:
        return
    with client().lock(f"culvert:push:{appliance_uuid}", timeout=LOCK_S, blocking_timeout=LOCK_S):
        revision = Revision.objects.filter(appliance=appliance).order_by("-number").first()
        if revision is not None:
            _apply(revision)


def _apply(revision: Revision) -> None:
    gateway = import_string(settings.CULVERT_ENGINE_GATEWAY)()
    try:
        applied = gateway.request("apply", config=resolved(revision.document))
    except Refused as refused:
        problems = [problem.model_dump() for problem in refused.problems]
        _observe(revision, Revision.State.REFUSED, problems)
        Outbox.objects.filter(appliance_id=revision.appliance_id).delete()
    except (gateway.Unavailable, keyring.KeyringError) as error:
        _postpone(revision, str(error))
    else:
        _observe(revision, Revision.State.APPLIED, [], applied.get("digest", ""))
        Outbox.objects.filter(appliance_id=revision.appliance_id).delete()


def resolved(document: dict[str, Any]) -> dict[str, Any]:
    """The document with its secrets in clear, for the control socket alone."""
    return dict(with_secrets(document, lambda name, version: reveal_secret(version)))


def with_secrets(part: Any, fill: Callable[[str, int], str], name: str = "") -> Any:
    """A part of a document with ``fill(its name, its version)`` in place of each secret, however deep."""
    if isinstance(part, dict):
        if "$secret" in part:
            return fill(name, part["$secret"])
        return {key: with_secrets(value, fill, key) for key, value in part.items()}
    return [with_secrets(value, fill, name) for value in part] if isinstance(part, list) else part


def _observe(revision: Revision, state: Revision.State, problems: list[dict[str, str]], digest: str = "") -> None:
    Revision.objects.filter(pk=revision.pk).update(
        state=state, observed=timezone.now(), problems=problems, digest=digest
    )


def _postpone(revision: Revision, reason: str) -> None:
    row, _ = Outbox.objects.get_or_create(appliance_id=revision.appliance_id, defaults={"due": timezone.now()})
    row.attempts += 1
    row.reason = reason[:300]
    row.due = timezone.now() + timedelta(seconds=min(MAX_BACKOFF_S, 2 ** min(row.attempts, 6)))
    row.save()


def sweep() -> None:
    """Undo what was not confirmed; find lost pokes, and engines that run something else than the newest revision."""
    history.go_back_where_due()
    for row in Outbox.objects.select_related("appliance").filter(due__lte=timezone.now()):
        deliver(str(row.appliance.uuid))
    local = fleet.local_appliance()
    if local is None:
        return
    status = read_status(local.uuid)
    newest = Revision.objects.filter(appliance=local).order_by("-number").first()
    if status and newest and newest.state == Revision.State.APPLIED and not runs(status, newest):
        log.warning("the engine runs revision %s instead of %s, or changed", status.get("revision"), newest.number)
        deliver(str(local.uuid))


def runs(status: dict[str, Any], revision: Revision) -> bool:
    """Whether an engine says that it runs exactly what a revision says."""
    if status.get("revision") != revision.number:
        return False
    return not revision.digest or status.get("digest", revision.digest) == revision.digest


def read_status(appliance_uuid: object) -> dict[str, Any] | None:
    """What the agent has last said of an engine; None if it says nothing, or the engine is down."""
    raw = client().get(status_key(appliance_uuid))
    status = json.loads(raw) if raw else None
    return status if status and status.get("engine") == "up" else None


class EngineAway(Exception):
    """The engine of an appliance cannot be asked now; the text is a sentence."""


def ask(appliance_uuid: object, op: str, **fields: Any) -> Any:
    """Ask the engine of an appliance a short question, and wait for its answer.

    :raises EngineAway: if it does not answer. :raises Refused: with the engine's problems.
    """
    appliance = fleet.appliance(str(appliance_uuid))
    if appliance is None or not appliance.is_local:
        raise EngineAway("Only the appliance that this dashboard runs on can be asked.")
    gateway = import_string(settings.CULVERT_ENGINE_GATEWAY)()
    try:
        return gateway.request(op, **fields)
    except gateway.Unavailable as error:
        log.debug("%s was not answered: %s", op, error)
        raise EngineAway("The engine does not answer. It is started again by itself; look again in a moment.") from None


def request_action(appliance_uuid: str, op: str, peer_id: str) -> bool:
    """Ask a worker to do what ``act`` does; False if none can be asked."""
    from dashboard.publish.tasks import act as task

    try:
        task.apply_async(args=[appliance_uuid, op, peer_id], retry=False)
    except Exception as error:
        log.warning("%s of %s was not passed on (%s)", op, peer_id, type(error).__name__)
        return False
    return True


def act(*, appliance_uuid: str, op: str, peer_id: str) -> None:
    """Bring up, tear down, rekey or reset one peer."""
    gateway = import_string(settings.CULVERT_ENGINE_GATEWAY)()
    try:
        for step in ("terminate", "initiate") if op == "reset" else (op,):
            gateway.request(step, peer=peer_id)
    except (Refused, gateway.Unavailable) as error:
        log.warning("%s of %s: %s", op, peer_id, error)
