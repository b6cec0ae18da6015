"""Requests that are too large are answered with a sentence, before anything else looks into them."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

MAX_UPLOAD = 24 << 20
"""Octets of a form with files: revocation lists may have 16 MB."""


class BodyLimit:
    """Refuses with 413, or 400 if the form cannot be read. Stands before what reads forms, such as the CSRF check."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return self._get_response(request)
        files = request.content_type == "multipart/form-data"
        limit = MAX_UPLOAD if files else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isascii() or not length.isdigit() or int(length) > limit:
            return _refused(limit)
        try:
            request.POST  # noqa: B018 - reading it is what may fail
        except RequestDataTooBig:
            return _refused(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        except (TooManyFieldsSent, TooManyFilesSent, MultiPartParserError):
            return _page(_("This form cannot be read."), 400)
        return self._get_response(request)


def _refused(limit: int) -> HttpResponse:
    sentence = _("What was sent is too large: at most %(most)d MB are taken. Go back; nothing was saved.")
    return _page(sentence % {"most": limit >> 20}, 413)


def _page(sentence: str, status: int) -> HttpResponse:
    return HttpResponse(render_to_string("413.html", {"sentence": sentence}), status=status)
