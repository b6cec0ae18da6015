"""Whether an appliance runs what it should, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from dashboard.publish import selectors, services
from dashboard.publish.models import Revision


@dataclass(frozen=True)
class Drift:
    """``state`` is ``none``, ``coming``, ``unknown`` or ``drift``; ``words`` a sentence that says why."""

    state: str
    words: str
    running: int | None = None


def drift_of(revision: Revision | None, status: dict[str, Any] | None, waiting: str = "") -> Drift:
    """Compare the newest revision with what an engine says of itself; None if it says nothing."""
    if revision is None:
        return Drift("none", _("Nothing is configured yet."))
    if status is None:
        return Drift(
            "unknown", _("The engine does not say what it runs: it is down, or the dashboard cannot reach it.")
        )
    running = int(status.get("revision", 0))
    numbers = {"running": running, "wanted": revision.number}
    if services.runs(status, revision):
        if revision.state == Revision.State.REFUSED:
            return Drift("none", _("The engine runs revision %(running)s.") % numbers, running)
        return Drift("none", _("The engine runs the newest revision, %(running)s.") % numbers, running)
    if revision.state == Revision.State.REFUSED:
        words = _("The engine runs revision %(running)s, because it refused revision %(wanted)s.")
        return Drift("drift", words % numbers, running)
    if revision.state == Revision.State.PENDING:
        words = _("The engine still runs revision %(running)s; revision %(wanted)s is on its way.") % numbers
        return Drift("drift" if waiting else "coming", f"{words} {waiting}".strip(), running)
    if running == revision.number:
        words = _(
            "The engine runs another document under the number %(running)s: it was applied past the dashboard. "
            "The newest revision is applied again by itself."
        )
        return Drift("drift", words % numbers, running)
    words = _(
        "The engine runs revision %(running)s instead of %(wanted)s: it was restarted with an older one, or another "
        "was applied past the dashboard. The newest revision is applied again by itself."
    )
    return Drift("drift", words % numbers, running)


def present(appliance: Any) -> Drift:
    """Of one appliance, now."""
    revision = selectors.newest_head(appliance.pk)
    try:
        status = services.read_status(appliance.uuid)
    except RedisError:
        status = None
    return drift_of(revision, status, selectors.waiting_reason(appliance.pk))
