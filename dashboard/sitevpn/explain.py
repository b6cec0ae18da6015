"""What pages say beside an event: its explanation, and where the fields stand that hints name."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from dashboard.sitevpn.forms import PeerForm, sentence
from vpnengine.contract.catalogue import CATALOGUE
from vpnengine.contract.problems import Problem

# Hints name a field by its label; a page turns the label into a link. These fields of the peer form are named.
_NAMED = (
    *("remote", "remote_subnets", "secret", "local_identity", "remote_identity", "exchange"),
    *("nat_traversal", "fragmentation", "accept_wider"),
    *("certificate", "private_key", "trusted_cas", "crl", "authentication", "xauth_user", "xauth_password", "pool"),
)
# Labels that are no field of their own: (label, page, id on it).
_PLACES = (("Phase 1", "peer", "phase1"), ("Phase 2", "peer", "phase2"), ("Local subnets", "site", "h-local"))


def places() -> dict[str, dict[str, str]]:
    """Label → the page (``peer`` or ``site``) and the id of the element that it means."""
    labels = PeerForm.base_fields
    found = {str(labels[name].label): {"page": "peer", "anchor": f"id_{name}"} for name in _NAMED}
    return found | {label: {"page": page, "anchor": anchor} for label, page, anchor in _PLACES}


def explanations() -> dict[str, dict[str, Any]]:
    """Event code → title, cause, what to ask of the other side, and how sure the cause is."""
    return {
        entry.code: {
            "title": entry.title,
            "cause": entry.cause,
            "there": entry.there,
            "confidence": entry.confidence.value if entry.confidence else "",
        }
        for entry in CATALOGUE.values()
    }


def refusals(document: dict[str, Any], problems: list[dict[str, str]]) -> list[dict[str, str]]:
    """The engine's problems with a document: each with a sentence, and the peer's name and field if it has one."""
    found = []
    for row in problems:
        problem = Problem(**row)
        shown = {"message": sentence(problem.message)}
        parts = problem.field.split(".")
        if parts[0] == "peers" and len(parts) > 1 and parts[1].isdecimal() and int(parts[1]) < len(document["peers"]):
            peer = document["peers"][int(parts[1])]
            field = PeerForm.field_of(problem)
            shown |= {
                "peer": peer["name"],
                "url": reverse("peer", args=[peer["id"]]) + (f"#id_{field}" if field else ""),
            }
        found.append(shown)
    return found
