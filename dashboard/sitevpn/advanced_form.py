"""The fields of a peer that are seldom needed: what the engine can do for gateways with habits of their own."""

from __future__ import annotations

import re
from typing import Any

import pydantic
from django import forms
from django.core.exceptions import ValidationError

from dashboard.sitevpn.kernel_form import KERNEL, KernelForm
from dashboard.sitevpn.lines import LinesField
from vpnengine.contract.config import PeerConfig
from vpnengine.contract.outer import MAX_MSS, MIN_MSS, OUTER_DEFAULT
from vpnengine.contract.policies import DpdPolicy, RetransmitPolicy
from vpnengine.contract.problems import problems_of
from vpnengine.contract.selectors import MAX_SELECTORS, PROTOCOL_NAMES, SelectorConfig, check_ends
from vpnengine.contract.types import host

MAX_ALTERNATES = 8
MAX_WIDER = 64
# Field of the form → its place in a ``PeerConfig``. What has two parts is a part of a policy.
PLACES = {
    "nat_traversal": ("nat_traversal",),
    "fragmentation": ("fragmentation",),
    "fragment_size": ("fragment_size",),
    "local_address": ("local_address",),
    "alternates": ("alternates",),
    "accept_wider": ("accept_wider",),
    "selectors": ("selectors",),
    "initial_contact": ("initial_contact",),
    "dpd_interval": ("dpd", "interval_s"),
    "dpd_timeout": ("dpd", "timeout_s"),
    "retransmit_first": ("retransmit", "first_s"),
    "retransmit_tries": ("retransmit", "tries"),
    "retransmit_factor": ("retransmit", "factor"),
    "dont_fragment": ("outer", "dont_fragment"),
    "fragment_where": ("outer", "fragment"),
    "mss": ("outer", "mss"),
    "copy_dscp": ("outer", "copy_dscp"),
}
_POLICIES = {"dpd": DpdPolicy(), "retransmit": RetransmitPolicy(), "outer": OUTER_DEFAULT}


def default_of(name: str) -> Any:
    """What the engine takes if a field is left out; lists are empty."""
    first, *rest = PLACES[name]
    value = getattr(_POLICIES[first], rest[0]) if rest else PeerConfig.model_fields[first].default
    return list(value) if isinstance(value, tuple) else value


class SegmentSizeField(forms.CharField):
    """A number of octets, “auto” or “off”."""

    def clean(self, value: str) -> int | str:
        """Text becomes a number where it is one.

        :raises ValidationError: naming what may be entered.
        """
        text = str(super().clean(value)).strip().lower()
        if text in ("", "auto", "off"):
            return text
        if not text.isdecimal() or not MIN_MSS <= int(text) <= MAX_MSS:
            raise ValidationError(f"Enter auto, off, or a number of octets from {MIN_MSS} to {MAX_MSS}.")
        return int(text)


def read_limit(line: str) -> dict[str, str]:
    """``10.1.0.0/16, 10.2.0.0/16``: the subnet or range here, then the one at the peer.

    :raises ValueError: with a sentence.
    """
    ends = [part.strip() for part in line.split(",")]
    if len(ends) != 2:
        raise ValueError("enter two subnets with a comma between them, this side's first: 10.1.0.0/24, 10.2.0.0/16")
    try:
        limit = SelectorConfig(local=ends[0], remote=ends[1])
    except pydantic.ValidationError as error:
        messages = [problem.message.removeprefix("remote: ") for problem in problems_of(error)]
        raise ValueError("; ".join(messages)) from None
    return {"local": limit.local, "remote": limit.remote}


def read_selector(line: str) -> dict[str, Any]:
    """``10.1.0.0/24, 10.2.0.0/24, tcp, any, 443``: subnets, protocol, ports; here first.

    :raises ValueError: with a sentence.
    """
    parts = [part.strip().lower() for part in line.split(",")]
    if not 2 <= len(parts) <= 5:
        raise ValueError(
            "enter two subnets, this side's first, then if wanted a protocol and the two ports: "
            "10.1.0.0/24, 10.2.0.0/24, tcp, any, 443"
        )
    ports = [0 if part in ("any", "", "*") else _port(part) for part in [*parts[3:], "", ""][:2]]
    protocol = parts[2] if len(parts) > 2 and parts[2] else "any"
    fields = {"local": parts[0], "remote": parts[1], "protocol": protocol}
    try:
        found = SelectorConfig.model_validate(fields | {"local_port": ports[0], "remote_port": ports[1]})
    except pydantic.ValidationError as error:
        messages = [re.sub("^(remote|protocol): ", "", problem.message) for problem in problems_of(error)]
        raise ValueError("; ".join(messages)) from None
    check_ends(found)
    return {name: value for name, value in found.model_dump().items() if value}


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise ValueError(f"“{text}” is no port; enter a number up to 65535, or any")
    return int(text)


def show_selector(row: dict[str, Any]) -> str:
    """The line again."""
    if not row.get("protocol"):
        return f"{row['local']}, {row['remote']}"
    name = PROTOCOL_NAMES.get(row["protocol"], str(row["protocol"]))
    ports = [str(row.get(f"{end}_port") or "any") for end in ("local", "remote")]
    shown = [name] if ports == ["any", "any"] else [name, *ports]
    return ", ".join((row["local"], row["remote"], *shown))


class AdvancedForm(KernelForm):
    """What is seldom needed, as a part of the peer's form. An empty field means the engine's default."""

    nat_traversal = forms.ChoiceField(
        label="NAT traversal",
        required=False,
        choices=[
            ("auto", "Auto: if a NAT is found (recommended)"),
            ("force", "Force: ESP always in UDP"),
            ("rfc", "RFC: announce RFC 3947 only"),
            ("drafts", "Drafts: announce drafts 02 and 03 only"),
            ("off", "Off: announce nothing"),
        ],
        help_text="“RFC” and “Drafts” are for gateways that fail when they see both. With “Off” tunnels come up only "
        "on a data path that carries ESP without UDP, which the Python one is not.",
    )
    fragmentation = forms.ChoiceField(
        label="Fragmentation",
        required=False,
        choices=[
            ("auto", "Auto: if the peer announces it (recommended)"),
            ("force", "Force: even if unannounced"),
            ("off", "Off: neither sent nor taken"),
        ],
        help_text="Large IKE messages in pieces, for paths that drop IP fragments. “Force” does so from the first "
        "message on.",
    )
    fragment_size = forms.IntegerField(
        label="Fragment size in octets",
        required=False,
        min_value=296,
        max_value=1500,
        help_text="The largest IP packet, 296 to 1500. Empty: 1280, or 576 if forced.",
    )
    alternates = LinesField(
        label="Further addresses",
        read=host,
        show=str,
        most=MAX_ALTERNATES,
        help_text="Other addresses or host names of the same gateway, one a line. They are tried in this order, each "
        "after the one before has failed.",
    )
    accept_wider = LinesField(
        label="Accept wider",
        read=read_limit,
        show=lambda limit: f"{limit['local']}, {limit['remote']}",
        most=MAX_WIDER,
        help_text="For gateways that merge neighbouring subnets and ask for more than is entered here: up to what they "
        "may ask, one limit a line, this side's subnet first, like 10.1.0.0/24, 10.2.0.0/16. No more than the private "
        "subnets goes into the tunnel.",
    )
    selectors = LinesField(
        label="Selectors with protocol and ports",
        read=read_selector,
        show=show_selector,
        most=MAX_SELECTORS,
        help_text="Instead of private subnets, where not everything between two subnets goes into the tunnel. One a "
        "line: this side's subnet or range, the peer's, then if wanted protocol, port here and port there, like "
        "10.1.0.0/24, 10.2.0.0/24, tcp, any, 443.",
    )
    initial_contact = forms.ChoiceField(
        label="Initial contact",
        required=False,
        choices=[("auto", "Auto: sent and obeyed (recommended)"), ("off", "Off: neither sent nor obeyed")],
        help_text="“Off” is for several gateways that share one identity and would remove each other's tunnels.",
    )
    dpd_interval = forms.IntegerField(
        label="DPD interval in seconds",
        required=False,
        min_value=0,
        max_value=3_600,
        help_text="Dead peer detection asks after so much silence. 0: this side never asks.",
    )
    dpd_timeout = forms.IntegerField(
        label="DPD timeout in seconds",
        required=False,
        min_value=1,
        max_value=86_400,
        help_text="A peer that has been silent for so long is dead. Longer than the interval.",
    )
    retransmit_first = forms.FloatField(
        label="Repeat after seconds",
        required=False,
        min_value=0.1,
        max_value=60,
        help_text="When an unanswered message is sent again first; each further wait is longer.",
    )
    retransmit_tries = forms.IntegerField(
        label="Repeats of a message",
        required=False,
        min_value=1,
        max_value=12,
        help_text="More for paths that lose a lot. It then takes longer until a failure is said.",
    )

    retransmit_factor = forms.FloatField(
        label="Each wait longer by",
        required=False,
        min_value=1,
        max_value=4,
        help_text="Each further wait is so many times the one before.",
    )
    local_address = forms.GenericIPAddressField(
        label="This side's address",
        required=False,
        help_text="Which of the appliance's addresses IKE and ESP come from, like 198.51.100.1. Empty: the one "
        "that the routing table chooses.",
    )

    dont_fragment = forms.ChoiceField(
        label="Don't fragment",
        required=False,
        choices=[
            ("copy", "Copy: as the packet inside says (recommended)"),
            ("set", "Set: routers never fragment ESP"),
            ("clear", "Clear: routers may fragment ESP"),
        ],
        help_text="The DF bit of ESP packets. “Clear” is for paths that lose the messages about their MTU. This field "
        "and the next three count on the native data path.",
    )
    fragment_where = forms.ChoiceField(
        label="Fragments",
        required=False,
        choices=[
            ("before", "Before ESP (recommended)"),
            ("after", "After ESP: the other gateway puts ESP packets together"),
        ],
        help_text="Where IPv4 packets that are too large for the path, and may be fragmented, are.",
    )
    mss = SegmentSizeField(
        label="TCP segment size",
        required=False,
        max_length=5,
        help_text="The most that TCP connections through the tunnel may agree on, in octets. “auto”: what fits the "
        "path; “off”: as the hosts like.",
    )
    copy_dscp = forms.BooleanField(
        label="Copy DSCP",
        required=False,
        help_text="ESP packets show the traffic class of the packet inside, so that routers outside can heed it, and "
        "whoever watches can see it.",
    )

    @staticmethod
    def options_initial(options: dict[str, Any]) -> dict[str, Any]:
        """The fields' values for what is stored."""
        found = {}
        for name, (first, *rest) in PLACES.items():
            stored = options.get(first, {}) if rest else options
            found[name] = stored.get(rest[0] if rest else first, default_of(name))
        return found | KernelForm.kernel_initial(options.get("kernel", {}))

    @staticmethod
    def options_of(cleaned: dict[str, Any]) -> dict[str, Any]:
        """What was entered, as parts of a ``PeerConfig``; what is the default is left out."""
        found: dict[str, Any] = {}
        for name, (first, *rest) in PLACES.items():
            value = cleaned.get(name)
            if value in (None, "", default_of(name)):
                continue
            if rest:
                found.setdefault(first, {})[rest[0]] = value
            else:
                found[first] = value
        return found

    def is_advanced(self, options: dict[str, Any]) -> bool:
        """True if a field is not at its default, or wrong: then it has to be seen."""
        return bool(options) or any(name in self.errors for name in (*PLACES, *KERNEL))
