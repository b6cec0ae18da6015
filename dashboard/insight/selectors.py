"""What is known of a peer now."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from django.http import Http404
from django.utils.translation import gettext as _

from dashboard.fleet import selectors as fleet
from dashboard.insight import diagnosis, picture
from dashboard.insight.light import Light, light
from dashboard.insight.live import seen
from dashboard.publish import services as publishing
from vpnengine.contract.problems import Refused

NEGOTIATING_S = 2  # how often the ladder of a negotiation under way is drawn again


@dataclass(frozen=True)
class View:
    """One peer: its row in the forms, what its engine says (None: nothing), and its light.

    ``signature`` changes when there may be something new in its ladders.
    """

    peer: Any
    appliance: Any
    status: dict[str, Any] | None
    engine: dict[str, Any] | None
    light: Light

    @property
    def signature(self) -> str:
        """Compared by the page."""
        if self.status is None:
            return self.light.state
        phase1, failure = self.status["phase1"], self.status["last_failure"]
        parts = [phase1["state"], phase1["initiator_cookie"] or "", *(sa["spi_in"] for sa in self.status["sas"])]
        parts.append(f"{failure['time']:.0f}" if failure else "")
        if phase1["state"] == "negotiating":
            parts.append(str(int(time.time() / NEGOTIATING_S)))
        return " ".join(parts)

    @property
    def usable(self) -> str:
        """The commands that would do something now, as the page's script reads them."""
        if self.status is None:
            return ""
        sas, phase1 = self.status["sas"], self.status["phase1"]["state"]
        is_up = any(sa["state"] == "mature" for sa in sas)
        usable = ["reset"] if is_up or phase1 != "down" else []
        usable += [] if is_up else ["initiate"]
        usable += ["rekey"] if sas else []
        usable += ["terminate"] if sas or phase1 != "down" else []
        return " ".join(usable)

    @property
    def phase1_word(self) -> str:
        """What phase 1 is doing."""
        words = {"down": _("down"), "negotiating": _("negotiating"), "established": _("established")}
        return words[self.status["phase1"]["state"]] if self.status else ""

    @property
    def nat_word(self) -> str:
        """Where an address translator was seen."""
        words = {
            "none": _("none seen"),
            "local": _("in front of this side"),
            "remote": _("in front of the peer"),
            "both": _("on both sides"),
        }
        return words.get((self.status or {}).get("phase1", {}).get("nat") or "none", "")

    @property
    def data_path(self) -> dict[str, Any] | None:
        """What carries its packets."""
        return (self.engine or {}).get("data_path") if self.status else None


def view(peer: Any) -> View:
    """What is known of one peer."""
    appliances = fleet.appliances_of(peer.site_id)
    if not appliances:
        raise Http404
    appliance, ident = appliances[0], str(peer.uuid)
    found = seen({str(appliance.uuid): [ident]})[str(appliance.uuid)]
    status = found.peers.get(ident)
    return View(peer, appliance, status, found.engine, light(status, found.engine, enabled=peer.enabled))


def ladders(view: View, chosen: str) -> dict[str, Any]:
    """The last negotiations, the newest first, and the one that is drawn: ``chosen`` (its cookie), or the newest."""
    try:
        answer = publishing.ask(view.appliance.uuid, "trace", peer=str(view.peer.uuid))
    except (publishing.EngineAway, Refused) as error:
        return {"negotiations": [], "drawn": None, "why_none": str(error), "chosen": ""}
    found = [picture.draw(one) for one in reversed(answer["negotiations"])]
    drawn = next((one for one in found if one.trace.negotiation == chosen), found[0] if found else None)
    return {"negotiations": found, "drawn": drawn, "why_none": "", "chosen": chosen}


def explained(view: View, organization_id: int) -> dict[str, Any]:
    """The explanation of the last failure with what differs; None in both if there is none."""
    failure = view.status["last_failure"] if view.status else None
    if failure is None:
        return {"failure": None, "offers": []}
    found = diagnosis.explanation(organization_id, str(view.peer.uuid), failure)
    return {"failure": found, "offers": diagnosis.offers(view.peer, found["code"], found["difference"])}
