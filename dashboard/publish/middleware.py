"""Comment, confirmation and review for every form that publishes something: no view has to know of them."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.messages import get_messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from dashboard.publish import changes, review
from dashboard.publish.models import Revision

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
REVIEWED = "X-Culvert-Review"


class Changes:
    """Reads the fields ``change-comment``, ``change-confirm`` (minutes) and ``change-review`` of a posted form."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method != "POST" or request.content_type not in FORMS or not request.user.is_authenticated:
            return self._get_response(request)
        with changes.noted(_note_of(request)) as note:
            if "change-review" not in request.POST:
                return self._get_response(request)
            return self._review(request, note)

    def _review(self, request: HttpRequest, note: changes.Note) -> HttpResponse:
        """Let the view save, look at what it has published, and undo it all; what it refuses it answers itself."""
        with transaction.atomic():
            response = self._get_response(request)
            revisions = Revision.objects.select_related("appliance").filter(pk__in=note.published).order_by("pk")
            prepared = [
                (row.appliance.name, review.prepare(review.before_of(row), row.document, ask=row.appliance.is_local))
                for row in revisions
            ]
            transaction.set_rollback(True)
        alone = request.headers.get("X-Requested-With") == "fetch"
        if not prepared and alone and 300 <= response.status_code < 400:
            # It would go on to another page: there is nothing to publish, or the next page would say why not.
            answer = render(request, "publish/review_nothing.html", {"said": list(get_messages(request))})
            answer[REVIEWED] = "nothing"
            return answer
        if not prepared:
            response[REVIEWED] = "no"
            return response
        # What the view would say of its success is not true.
        get_messages(request)._queued_messages.clear()
        found = [(name, review.finish(one)) for name, one in prepared]
        template = "publish/review.html" if alone else "publish/review_page.html"
        answer = render(request, template, {"reviews": found, "several": len(found) > 1})
        answer[REVIEWED] = "yes"
        return answer


def _note_of(request: HttpRequest) -> changes.Note:
    wanted = request.POST.get("change-confirm", "")
    minutes = int(wanted) if wanted.isdecimal() and len(wanted) < 4 else 0
    return changes.Note(
        comment=" ".join(request.POST.get("change-comment", "").split())[: changes.MAX_COMMENT],
        confirm_minutes=minutes if minutes in changes.CONFIRM_MINUTES else 0,
    )
