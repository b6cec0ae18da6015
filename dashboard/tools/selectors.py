"""Questions about runs."""

from __future__ import annotations

from uuid import UUID

from django.shortcuts import get_object_or_404

from dashboard.tools.models import Run

SHOWN = 10


def run_at(site_ids: list[int], uuid: UUID) -> Run:
    """One run at one of these sites.

    :raises Http404: if there is none.
    """
    return get_object_or_404(Run, site_id__in=site_ids, uuid=uuid)


def newest(site_id: int) -> list[Run]:
    """The last runs of a site without their output."""
    return list(Run.objects.filter(site_id=site_id).defer("output").order_by("-id")[:SHOWN])
