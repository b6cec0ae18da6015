"""What a change does to the tunnels: by the engine's own rules, and by its dry run where the engine can be asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from dashboard.core import keyring
from dashboard.publish.difference import Difference, PeerRows
from vpnengine.contract.config import PeerConfig, StartMode
from vpnengine.contract.difference import Effect, changed_fields, effect_of
from vpnengine.contract.problems import Refused

USUAL_S = 2.0
ORDER = (Effect.REMOVED, Effect.REBUILT, Effect.PHASE2, Effect.SELECTORS, Effect.ADDED, Effect.KEPT)
DROPS = frozenset((Effect.REMOVED, Effect.REBUILT, Effect.PHASE2))
# Both gateways have to agree on these.
SHARED = frozenset(
    (
        *("psk", "phase1", "phase2", "exchange", "authentication", "local_identity", "remote_identity"),
        *("local_subnets", "remote_subnets", "selectors", "certificate", "xauth", "mode_config"),
    )
)


@dataclass(frozen=True)
class Verdict:
    """What the engine says to a document that it was only shown.

    ``asked`` is False if it could not be asked, with ``reason``. ``problems`` are why it would refuse the document,
    ``left_out`` why it would leave single peers out of it; ``peers`` has pairs and duration by peer.
    """

    asked: bool
    reason: str = ""
    problems: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    peers: Mapping[str, Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class Impact:
    """What becomes of one peer's tunnel; ``drops`` if traffic that flows now stops.

    ``tone`` is ``drops``, ``new``, ``down`` (it is down already) or ``stays``.
    """

    peer: str
    name: str
    effect: str
    words: str
    drops: bool
    both: bool
    tone: str


def dry_run(config: dict[str, Any] | Exception) -> Verdict:
    """Ask the engine, with secrets in clear, through its control socket alone."""
    if isinstance(config, keyring.KeyringError):
        return Verdict(False, str(config))
    gateway = import_string(settings.CULVERT_ENGINE_GATEWAY)()
    try:
        told = gateway.request("apply", config=config, dry_run=True)
    except Refused as refused:
        return Verdict(True, problems=tuple(problem.message for problem in refused.problems))
    except gateway.Unavailable as error:
        return Verdict(False, str(error))
    return Verdict(
        True,
        left_out=tuple(problem["message"] for problem in told.get("left_out", [])),
        peers={row["peer"]: row for row in told.get("effects", [])},
    )


def impacts(difference: Difference, verdict: Verdict | None = None) -> list[Impact]:
    """The gravest first."""
    told = (verdict.peers if verdict else None) or {}
    found = [_impact(rows, told.get(rows.id)) for rows in difference.peers]
    rank = {effect.value: number for number, effect in enumerate(ORDER)}
    return sorted(found, key=lambda one: (rank.get(one.effect, len(rank)), not one.drops, one.name.casefold()))


def _impact(rows: PeerRows, told: Mapping[str, Any] | None) -> Impact:
    effect = effect_of(rows.before, rows.after)
    if rows.before is None and rows.after is None:
        effect = Effect.REBUILT
    pairs = told.get("pairs") if told else None
    changed = changed_fields(rows.before, rows.after) if rows.before and rows.after else frozenset()
    is_up = pairs is None or pairs > 0
    drops = is_up and (effect in DROPS or (effect is Effect.SELECTORS and bool(pairs)))
    return Impact(
        peer=rows.id,
        name=rows.name,
        effect=effect.value,
        words=_words(effect, rows.after, is_up, told.get("took_s") if told else None),
        drops=drops,
        both=effect in (Effect.REBUILT, Effect.PHASE2, Effect.SELECTORS) and bool(changed & SHARED),
        tone=_tone(effect, drops, is_up),
    )


def _tone(effect: Effect, drops: bool, is_up: bool) -> str:
    if drops:
        return "drops"
    if effect is Effect.ADDED:
        return "new"
    return "stays" if is_up or effect in (Effect.KEPT, Effect.SELECTORS) else "down"


def _words(effect: Effect, after: PeerConfig | None, is_up: bool, took_s: float | None) -> str:
    if effect is Effect.KEPT:
        return _("is not interrupted")
    if effect is Effect.SELECTORS:
        return _("only the IPsec SAs of subnets that go end; the others stay up")
    if effect is Effect.ADDED:
        return _comes(after)
    if not is_up:
        return _("is down now, so no traffic is lost")
    if effect is Effect.REMOVED:
        return _("goes down for good")
    seconds = {"seconds": math.ceil((took_s if took_s is not None else USUAL_S) + 0.5)}
    start = after.start if after else StartMode.IMMEDIATE
    if effect is Effect.PHASE2:
        return _("its IPsec SAs are negotiated anew: no traffic for about %(seconds)s s") % seconds
    if start is StartMode.RESPONDER:
        return _("goes down until the other gateway begins again, then about %(seconds)s s") % seconds
    if start is StartMode.TRAFFIC:
        return _("goes down until traffic asks for it again, then about %(seconds)s s") % seconds
    return _("goes down and is negotiated anew at once: no traffic for about %(seconds)s s") % seconds


def _comes(after: PeerConfig | None) -> str:
    start = after.start if after else StartMode.TRAFFIC
    if start is StartMode.IMMEDIATE:
        return _("comes up at once")
    if start is StartMode.RESPONDER:
        return _("comes up when the other gateway begins")
    return _("comes up when traffic asks for it")
