"""Which format a text has, and its facts as fields of a new peer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from dashboard.peerside.facts import OUR_ADDRESS, PLACEHOLDER, THEIR_ADDRESS
from dashboard.peerside.importing import asa, clouds, strongswan, words
from dashboard.peerside.importing.found import ESP_LIFETIME, IKE_LIFETIME, Found, Imported
from vpnengine.contract.algorithms import DhGroup, EspEncryption, EspIntegrity, IkeEncryption, IkeHash

MAX_TEXT = 262_144
MAX_SUBNETS = 256
Reader = Callable[[str], Found]


class Unreadable(ValueError):
    """The text is no configuration that can be read; the sentence says why."""


# (title, what its texts have in common, reader), the most certain first.
_FORMATS: tuple[tuple[str, Callable[[str], bool], Reader], ...] = (
    ("AWS (XML)", lambda text: "<vpn_connection" in text or "<ipsec_tunnel" in text, clouds.aws_xml),
    ("AWS (commands)", lambda text: "create-vpn-connection" in text, clouds.aws_commands),
    (
        "Azure (template)",
        lambda text: text.lstrip().startswith("{") and "networkgateways" in text,
        clouds.azure_template,
    ),
    ("AWS (download)", lambda text: "virtual private gateway" in text and "pre-shared key" in text, clouds.aws_text),
    ("Cisco ASA", lambda text: "crypto map" in text or "tunnel-group" in text or "crypto ikev1" in text, asa.read),
    ("strongSwan (swanctl)", lambda text: "connections" in text and "{" in text, strongswan.read),
    (
        "Azure (download)",
        lambda text: "azure" in text and ("pre-shared key" in text or "ike" in text),
        clouds.azure_text,
    ),
)


def read(text: str) -> Imported:
    """The fields of a new peer, from a pasted configuration.

    :raises Unreadable: with a sentence, whatever the text is.
    """
    if len(text) > MAX_TEXT:
        raise Unreadable(f"This is longer than {MAX_TEXT // 1024} KB. Paste only the part that is about this tunnel.")
    lowered = text.lower()
    if "<!doctype" in lowered or "<!entity" in lowered:
        raise Unreadable("XML with a document type is not read. Paste the part from <vpn_connection> on.")
    for title, fits, reader in _FORMATS:
        if fits(lowered):
            return _imported(title, _attempt(title, reader, text))
    raise Unreadable(
        "This is no configuration that can be read here. Paste a swanctl.conf, the running configuration of a "
        "Cisco ASA, or what AWS or Azure offer for download."
    )


def _attempt(title: str, reader: Reader, text: str) -> Found:
    """Readers follow the format; what breaks it is said as one sentence."""
    try:
        found = reader(text)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        SyntaxError,
        RecursionError,
        json.JSONDecodeError,
    ):
        raise Unreadable(
            f"This looks like {title}, but is not whole. Paste it from its first line to its last."
        ) from None
    addresses = [one for one in (found.remote, found.local) if one and words.address(one)]
    if not (found.ike or found.esp or addresses or found.remote_subnets):
        raise Unreadable(f"This looks like {title}, but there is no tunnel in it.")
    return found


def _imported(title: str, found: Found) -> Imported:
    _forget_placeholders(found)
    _say_what_is_missing(found)
    policy = _policy(found)
    weak = _weak(found)
    fields: dict[str, Any] = {
        "name": words.shown(found.name)[:80],
        "remote": found.remote or ("any" if found.start == "responder" else ""),
        "remote_subnets": "\n".join(found.remote_subnets[:MAX_SUBNETS]),
        "exchange": found.exchange,
        "start": found.start,
    }
    for end, identity in (("local", found.local_identity), ("remote", found.remote_identity)):
        # An end that is called by its address anyway needs no words.
        if identity and identity[1] not in (found.remote, found.local):
            fields |= {f"{end}_identity_type": identity[0], f"{end}_identity": identity[1][:255]}
    if found.dpd:
        fields |= {"dpd_interval": found.dpd[0], "dpd_timeout": found.dpd[1]}
    return Imported(
        kind=title,
        fields=fields | {"policy": policy, "legacy": bool(weak)},
        secret=found.secret[:512],
        local_subnets=tuple(found.local_subnets),
        unknown=tuple(found.unknown[:50]),
        assumed=tuple(found.assumed),
        weak=weak,
    )


def _forget_placeholders(found: Found) -> None:
    """Words that stand where somebody has to enter something are not values."""
    marks = {mark.replace(" ", form) for mark in (PLACEHOLDER, OUR_ADDRESS, THEIR_ADDRESS) for form in (" ", "_")}
    for name in ("secret", "remote", "local"):
        value = getattr(found, name).strip()
        if value in marks:
            setattr(found, name, "")
    for name in ("remote", "local"):
        value = getattr(found, name).strip()
        good = words.address(value) if value else ""
        if value and not good:
            found.unknown.append(f"“{words.shown(value)}” is neither an address nor a host name.")
        setattr(found, name, good or "")


def _say_what_is_missing(found: Found) -> None:
    if not found.secret and found.authentication == "psk":
        found.assumed.append("There is no pre-shared secret in the text: enter the one that both sides have.")
    if not found.remote_subnets:
        found.assumed.append("No subnets of the other side were found: enter them as Private subnets.")
    if len(found.remote_subnets) > MAX_SUBNETS:
        found.assumed.append(f"Of {len(found.remote_subnets)} subnets the first {MAX_SUBNETS} were taken.")
    if not found.ike:
        found.assumed.append("No proposal of phase 1 was found: the one of the policy “Strong” stands in its place.")
    if not found.esp:
        found.assumed.append("No proposal of phase 2 was found: those of the policy “Strong” stand in their place.")
    for value, name, default in (
        (found.ike_lifetime, "phase 1", IKE_LIFETIME),
        (found.esp_lifetime, "phase 2", ESP_LIFETIME),
    ):
        if value is None:
            found.assumed.append(f"No lifetime of {name} was found: {default} s is taken.")


def _policy(found: Found) -> dict[str, Any]:
    """The two phases as an ``EngineConfig`` has them."""
    ike = list(dict.fromkeys(found.ike)) or [("aes256", "sha256", "modp2048")]
    esp = list(dict.fromkeys(found.esp)) or [("aes256gcm16", None), ("aes256", "sha256")]
    return {
        "phase1": {
            "proposals": [dict(zip(("encryption", "hash", "group"), one, strict=True)) for one in ike[:32]],
            "lifetime_s": _within(found, "ike_lifetime", 60, IKE_LIFETIME),
        },
        "phase2": {
            "proposals": [{"encryption": name, **({"integrity": one} if one else {})} for name, one in esp[:32]],
            "pfs_group": found.pfs,
            "lifetime_s": _within(found, "esp_lifetime", 30, ESP_LIFETIME),
            **({"lifetime_kb": found.esp_lifetime_kb} if found.esp_lifetime_kb else {}),
            **({"mode": "transport"} if found.mode == "transport" else {}),
        },
    }


def _within(found: Found, name: str, least: int, default: int) -> int:
    value = getattr(found, name)
    return min(max(value, least), 86_400) if value is not None else default


def _weak(found: Found) -> tuple[str, ...]:
    kinds = [
        *((IkeEncryption, one[0]) for one in found.ike),
        *((IkeHash, one[1]) for one in found.ike),
        *((DhGroup, one[2]) for one in found.ike),
        *((EspEncryption, one[0]) for one in found.esp),
        *((EspIntegrity, one[1]) for one in found.esp if one[1]),
        *((DhGroup, group) for group in (found.pfs,) if group),
    ]
    algorithms = (kind(name) for kind, name in kinds)
    return tuple(dict.fromkeys(f"{one.value}: {one.weakness}." for one in algorithms if one.weakness))
