"""The change log and its export."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.http import urlencode

from dashboard.audit import selectors
from dashboard.core import csv
from dashboard.core.permissions import needs

_COLUMNS = ("time", "who", "address", "via", "verb", "kind", "objectId", "name", "before", "after")


def _filters(request: HttpRequest) -> dict[str, str]:
    return {name: request.GET.get(name, "")[:200].replace("\x00", "") for name in selectors.FILTERS}


@needs(get="organization_read")
def changelog(request: HttpRequest) -> HttpResponse:
    """The newest changes that match, a page at a time."""
    organization, filters = request.access.organization, _filters(request)
    before, problem, found = request.GET.get("before", ""), "", []
    try:
        if before and not (before.isdecimal() and len(before) < 19):
            raise selectors.BadFilter("before", "before is the number of a change")
        rows = selectors.changes(organization.pk, filters, int(before) if before else None)
        found = list(rows[: selectors.PAGE + 1])
    except selectors.BadFilter as error:
        problem = str(error)
    shown = found[: selectors.PAGE]
    chosen = {name: value for name, value in filters.items() if value}
    context = {
        "changes": [(row, list(selectors.differences(row))) for row in shown],
        "filters": filters,
        "problem": problem,
        "kinds": selectors.kinds(organization.pk),
        "query": urlencode(chosen),
        "older": urlencode({**chosen, "before": shown[-1].pk}) if len(found) > selectors.PAGE else "",
    }
    return render(request, "audit/changelog.html", context, status=400 if problem else 200)


@needs(get="organization_read")
def export(request: HttpRequest, form: str) -> HttpResponse | StreamingHttpResponse:
    """All changes that match, as CSV or JSON, as a stream."""
    if form not in ("csv", "json"):
        raise Http404
    try:
        rows = selectors.changes(request.access.organization.pk, _filters(request)).iterator(1000)
    except selectors.BadFilter as error:
        return JsonResponse({"field": error.field, "error": str(error)}, status=400)
    documents = (selectors.as_json(row) for row in rows)
    parts = _csv(documents) if form == "csv" else _json(documents)
    kind = "text/csv; charset=utf-8" if form == "csv" else "application/json"
    answer = StreamingHttpResponse(parts, content_type=kind)
    answer["Content-Disposition"] = f'attachment; filename="change-log.{form}"'
    return answer


def _csv(documents: Iterator[dict[str, Any]]) -> Iterator[str]:
    def cells(document: dict[str, Any]) -> list[Any]:
        return [
            json.dumps(document[name], ensure_ascii=False) if name in ("before", "after") else document[name]
            for name in _COLUMNS
        ]

    return csv.lines(_COLUMNS, (cells(document) for document in documents))


def _json(documents: Iterator[dict[str, Any]]) -> Iterator[str]:
    yield "["
    for number, document in enumerate(documents):
        yield (",\n" if number else "\n") + json.dumps(document, ensure_ascii=False)
    yield "\n]\n"
