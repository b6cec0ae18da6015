"""One change to many peers: they are changed together and published once, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from dashboard.audit import services as audit
from dashboard.core.permissions import needs
from dashboard.fleet import services as fleet
from dashboard.sitevpn import peer_table, services
from dashboard.sitevpn.forms import sentence
from dashboard.sitevpn.models import Peer
from vpnengine.contract.problems import Problem, Refused

MAX_PICKED = 1_000
MAX_LOGGED = 100
VERBS = {"enable": "enabled", "disable": "disabled", "delete": "removed"}


@transaction.atomic
def change_peers(site_id: int, organization_id: int, uuids: list[UUID], action: str, author_id: int | None) -> int:
    """Enable, disable or delete peers of a site; the number of those that are changed by it.

    :raises Refused: if the resulting configuration is not valid, as when two would claim one subnet; nothing is
        changed then.
    """
    if action not in VERBS:
        raise Refused([Problem(field="action", rule="choice", message="Choose enable, disable or delete.")])
    fleet.lock_site(site_id)
    rows = Peer.objects.filter(site_id=site_id, uuid__in=uuids)
    if action != "delete":
        rows = rows.exclude(enabled=action == "enable")
    found = list(rows.order_by("id").values_list("pk", "name"))
    if not found:
        return 0
    chosen = Peer.objects.filter(pk__in=[pk for pk, _name in found])
    if action == "delete":
        chosen.delete()
    else:
        # The number of the edit goes up, so that an open form of the peer notices.
        chosen.update(enabled=action == "enable", edit=F("edit") + 1)
    names = [name for _pk, name in found]
    audit.record(
        organization_id=organization_id,
        site_id=site_id,
        kind="peers",
        verb=VERBS[action],
        name=f"{len(names)}: {', '.join(names)}",
        after={"peers": names[:MAX_LOGGED]},
    )
    services.publish_site(site_id, author_id, f"{len(names)} peers {VERBS[action]}")
    return len(found)


@needs(post="edit")
def bulk(request: HttpRequest) -> HttpResponse:
    """Change the peers that are ticked, or all that the filter finds."""
    site = request.access.site
    action = request.POST.get("action", "")
    asked = peer_table.Asked.of(request.POST)
    try:
        uuids = _picked(request, lambda: list(peer_table.matching(site.pk, asked).values_list("uuid", flat=True)))
        count = change_peers(site.pk, site.organization_id, uuids, action, request.user.pk)
    except Refused as refused:
        messages.error(request, " ".join(sentence(problem.message) for problem in refused.problems[:5]))
    else:
        done = {"enable": _("enabled"), "disable": _("disabled"), "delete": _("removed")}[action]
        text = ngettext("%(count)d peer is %(done)s.", "%(count)d peers are %(done)s.", count)
        messages.success(request, text % {"count": count, "done": done})
    return redirect(reverse("sitevpn") + asked.query() + "#h-peers")


def _picked(request: HttpRequest, every: Callable[[], list[UUID]]) -> list[UUID]:
    if request.POST.get("all") == "on":
        return every()
    texts = request.POST.getlist("peer")
    if not texts:
        raise Refused([Problem(field="peer", rule="required", message=_("Tick at least one peer first."))])
    if len(texts) > MAX_PICKED:
        message = _("These are more than 1000 peers: filter them, and choose all that are found.")
        raise Refused([Problem(field="peer", rule="most", message=message)])
    try:
        return [UUID(text) for text in texts]
    except ValueError:
        message = _("One of the ticked rows is no peer: load the page again.")
        raise Refused([Problem(field="peer", rule="uuid", message=message)]) from None
