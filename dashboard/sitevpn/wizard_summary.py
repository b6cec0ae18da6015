"""What a new peer will use, from the answers of the wizard: the best that its maker can do, and why not better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dashboard.peerside import selectors as peerside
from dashboard.sitevpn import weak
from dashboard.sitevpn.models import Peer
from dashboard.sitevpn.presets import BY_KEY, PRESETS, Preset
from dashboard.sitevpn.wizard_forms import OLD
from vpnengine.contract.problems import Problem, Refused

_FITTING = {"asa": "asa", "aws": "aws", "azure": "azure", "meraki": "meraki", OLD: "compatible"}


@dataclass(frozen=True)
class Choice:
    """One policy for the peer; ``legacy`` is why it is not strong: (what, the reason), and empty if it is."""

    preset: Preset
    recommended: bool
    legacy: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Summary:
    """The peer as it will be. ``notes`` are worth knowing for its maker, ``blocks`` say why that cannot have it.

    ``problems`` are the engine's.
    """

    peer: Peer
    choice: Choice
    others: tuple[Choice, ...]
    notes: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def recommended(maker: str) -> str:
    """The preset that fits a maker's gateway best."""
    return _FITTING.get(maker, "strong")


def legacy(preset: Preset) -> tuple[tuple[str, str], ...]:
    """What of a preset is not strong, and why, each once."""
    return weak.legacy(preset.policy())


def peer_of(site: Any, answers: Mapping[str, Any]) -> Peer:
    """The row, not saved yet."""
    preset = answers.get("preset") or recommended(answers["maker"])
    names = ("name", "remote", "remote_subnets", "start")
    return Peer(site=site, preset=preset, **{name: answers[name] for name in names})


def summary(site: Any, answers: Mapping[str, Any]) -> Summary:
    """What will be saved, and what else this maker's gateway could do."""
    maker, peer = answers["maker"], peer_of(site, answers)
    others = tuple(
        choice(preset, maker) for preset in PRESETS if preset.key != peer.preset and _possible(site, answers, preset)
    )
    mine = choice(BY_KEY[peer.preset], maker)
    if peerside.vendor(maker) is None:
        return Summary(peer, mine, others, problems=_problems(site, peer))
    try:
        fitted = peerside.written(peerside.other_side(peer, site.name, peerside.our_address(site.pk)), maker)
    except Refused as refused:
        return Summary(peer, mine, others, problems=tuple(refused.problems))
    return Summary(peer, mine, others, fitted.notes, fitted.blocks)


def choice(preset: Preset, maker: str) -> Choice:
    """A preset as a choice for a maker."""
    return Choice(preset, preset.key == recommended(maker), legacy(preset))


def _problems(site: Any, peer: Peer) -> tuple[Problem, ...]:
    try:
        peerside.other_side(peer, site.name, "")
    except Refused as refused:
        return tuple(refused.problems)
    return ()


def _possible(site: Any, answers: Mapping[str, Any], preset: Preset) -> bool:
    """True if the maker's gateway can do this policy. Those made for another maker are not offered."""
    maker = answers["maker"]
    if preset.key in _FITTING.values() and preset.key not in ("compatible", recommended(maker)):
        return False
    if peerside.vendor(maker) is None:
        return True
    try:
        side = peerside.other_side(peer_of(site, {**answers, "preset": preset.key}), site.name, "")
    except Refused:
        return False
    mine = peerside.written(side, maker).blocks
    best = peerside.other_side(peer_of(site, {**answers, "preset": recommended(maker)}), site.name, "")
    return set(mine) <= set(peerside.written(best, maker).blocks)
