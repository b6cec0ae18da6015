"""Measure every page of this process's database; the figures go to standard output as one line of JSON."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "appliance.settings")

# Nobody wants a page that signs out, and a file as a whole is no page.
SKIPPED = ("event-choices", "logout", "export", "health", "login", "claim")
MOST_ARGUMENTS = 12


def main() -> int:
    """Fill, measure, print."""
    size = json.loads(sys.argv[1])
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    # Neither Redis nor an engine belongs to this measurement, and sign-ins are not throttled.
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    logging.disable(logging.WARNING)
    call_command("migrate", verbosity=0, interactive=False)
    from appliance.bench import web_data
    from appliance.bench.stack import BenchError

    try:
        web_data.fill(size["appliances"], size["peers"], size["events"])
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    found = [_figures(name, address, connection.vendor, size["runs"]) for name, address in addresses()]
    print(json.dumps([row for row in found if row]))
    return 0


def addresses() -> Iterator[tuple[str, str]]:
    """Every page that can be looked at, and the Event Log's rows by each filter."""
    from django.urls import get_resolver, reverse

    seen: set[str] = set()
    for name, pattern in _patterns(get_resolver().url_patterns, ""):
        if name in seen or any(word in name for word in SKIPPED):
            continue
        seen.add(name)
        if address := _address(name, pattern):
            yield name, address
        else:
            print(f"no object was found for the page {name}, so it is not measured", file=sys.stderr)
    yield "event-choices?peer", f"{reverse('event-choices')}?kind=peer&q=7"
    for label, query in filters():
        yield f"event-rows?{label}", f"{reverse('event-rows')}?{urlencode(query)}"


def _address(name: str, pattern: Any) -> str | None:
    """The address of the page with the first object that it answers for."""
    from django.urls import NoReverseMatch, reverse

    for arguments in _arguments(pattern):
        try:
            address = reverse(name, kwargs=arguments)
        except NoReverseMatch:
            continue
        if not arguments or client().get(address).status_code == 200:
            return address
    return None


def _patterns(patterns: Any, space: str) -> Iterator[tuple[str, Any]]:
    from django.urls import URLResolver

    from dashboard.core.permissions import needs_of

    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{space}{pattern.namespace}:" if pattern.namespace else space
            yield from _patterns(pattern.url_patterns, inner)
        elif pattern.name and "GET" in (needs_of(pattern.callback) or {}):
            yield space + pattern.name, pattern


def _arguments(pattern: Any) -> Iterator[dict[str, Any]]:
    """What to try for the parameters of an address: ids of objects that the first site has."""
    converters = pattern.pattern.converters
    if not converters:
        yield {}
        return
    if len(converters) != 1:
        return
    ((name, converter),) = converters.items()
    kind = type(converter).__name__
    values = _uuids() if "uuid" in kind.lower() else [1, 2] if "int" in kind.lower() else ["json", "csv"]
    yield from ({name: value} for value in values[:MOST_ARGUMENTS])


def _uuids() -> list[Any]:
    """UUIDs of the newest objects of every model that has them."""
    from django.apps import apps
    from django.db.models import UUIDField

    found = []
    for model in apps.get_models():
        for field in model._meta.fields:
            if isinstance(field, UUIDField):
                found += list(model._default_manager.order_by("pk").values_list(field.name, flat=True)[:1])
    return found


def filters() -> list[tuple[str, list[tuple[str, str]]]]:
    """Filters of every kind: what is plenty, what is rare, what is not there."""
    from appliance.bench.web_data import CODES, NEEDLE
    from dashboard.eventlog.models import EventRow
    from dashboard.fleet.models import Appliance

    row = EventRow.objects.order_by("id").first()
    home = Appliance.objects.select_related("site").get(pk=row.appliance_id)
    ago = datetime.now(UTC) - timedelta(days=11)
    range_of = [("from", ago.isoformat()), ("to", (ago + timedelta(hours=6)).isoformat())]
    return [
        ("nothing", []),
        ("severity", [("severity", "error,warning")]),
        ("type", [("type", CODES[-1][0])]),
        ("not", [("not", "ike.phase1,ike.phase2")]),
        ("peer", [("peer", row.peer_id)]),
        ("peer and severity", [("peer", row.peer_id), ("severity", "error")]),
        ("appliance", [("appliance", str(home.uuid))]),
        ("site", [("site", str(home.site.uuid))]),
        ("negotiation", [("negotiation", row.negotiation)]),
        ("time", range_of),
        ("time and text", [*range_of, ("q", "seems to be dead")]),
        ("text, plenty", [("q", "established")]),
        ("text, once", [("q", NEEDLE)]),
        ("text, never", [("q", "there is no such text")]),
        ("site and text", [("site", str(home.site.uuid)), ("q", "negotiation")]),
        ("type and severity that never meet", [("type", CODES[0][0]), ("severity", "error")]),
        ("jump", [("at", ago.isoformat())]),
    ]


_client: Any = None


def client() -> Any:
    """A browser that is signed in."""
    global _client
    if _client is None:
        from django.test import Client

        from appliance.bench.web_data import EMAIL
        from dashboard.accounts.models import User

        _client = Client(raise_request_exception=False, HTTP_HOST="localhost")
        _client.force_login(
            User.objects.get(email=EMAIL), backend="allauth.account.auth_backends.AuthenticationBackend"
        )
    return _client


def _figures(name: str, address: str, backend: str, runs: int) -> dict[str, Any] | None:
    from django.db import connection

    asked: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        answer = client().get(address)
    if answer.status_code >= 400:
        print(f"{name} ({address}) is answered with {answer.status_code}, so it is not measured", file=sys.stderr)
        return None
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        client().get(address)
        times.append((time.perf_counter() - began) * 1000)
    times.sort()
    p95 = times[min(len(times) - 1, int(len(times) * 0.95))]
    return {"name": name, "backend": backend, "p95_ms": round(p95, 1), "queries": len(asked)}


if __name__ == "__main__":
    sys.exit(main())
