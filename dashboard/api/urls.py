"""The API's addresses, with the permissions of its operations."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from ninja import NinjaAPI
from ninja.errors import HttpError, Throttled, ValidationError

from dashboard.api import organization, organization_policies, peers, views
from dashboard.api.gate import problem
from dashboard.api.operations import DECLARED, PerKey
from dashboard.core.permissions import mark
from dashboard.core.roles import Permission
from dashboard.sitevpn.services import EditConflict
from vpnengine.contract.problems import Problem, Refused

NAMESPACE = "api-v1"
_DESCRIPTION = (
    "Send a key of the page “API keys” as `Authorization: Bearer …`; what it may do "
    "is its role (`x-permission` says what an operation needs). Lists come in pages: `perPage`, `startingAfter`, and a "
    "`Link` header with `rel=next`. A refusal names each field and rule."
)

api = NinjaAPI(
    title="Culvert",
    version="1",
    description=_DESCRIPTION,
    urls_namespace=NAMESPACE,
    docs_url=None,
    openapi_url=None,
    throttle=[PerKey("600/m")],
    openapi_extra={
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{"key": []}],
    },
)
api.add_router("", peers.router)
api.add_router("", organization.router)
api.add_router("", organization_policies.router)
# The names that the engine's document has for what the API names otherwise.
_NAMES = {
    "remote": "publicIp",
    "remote_subnets": "privateSubnets",
    "local_subnets": "privateSubnets",
    "psk": "secret",
    "local_identity": "localId",
    "remote_identity": "remoteId",
    "phase1": "ipsecPolicies",
    "phase2": "ipsecPolicies",
}


def _refusal(request: HttpRequest, problems: list[Problem], status: int) -> HttpResponse:
    rows = [{"field": p.field, "rule": p.rule, "message": p.message} for p in problems]
    found = {"errors": [f"{p.field}: {p.message}" if p.field else p.message for p in problems], "problems": rows}
    return api.create_response(request, found, status=status)


@api.exception_handler(Refused)
def _refused(request: HttpRequest, error: Refused) -> HttpResponse:
    return _refusal(request, [p.model_copy(update={"field": _field(p.field)}) for p in error.problems], 400)


def _field(name: str) -> str:
    """A field of the engine's document under the API's name."""
    parts = name.split(".")
    if parts[0] == "peers" and len(parts) > 2:
        parts = parts[2:]
    return ".".join([_NAMES.get(parts[0], parts[0]), *parts[1:]])


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Never with the value that was sent: it may be a secret."""
    problems = []
    for item in error.errors:
        place = [str(part) for part in item["loc"] if part not in ("body", "query", "path")]
        message = str(item["msg"]).removeprefix("Value error, ")
        problems.append(Problem(field=".".join(place), rule=str(item["type"]), message=message))
    return _refusal(request, problems, 400)


@api.exception_handler(EditConflict)
def _conflict(request: HttpRequest, error: EditConflict) -> HttpResponse:
    return problem(409, "edit", "Somebody else has changed this since you read it; read it again.", "edit")


@api.exception_handler(Http404)
def _missing(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(404, "not_found", "There is no such object.")


@api.exception_handler(Throttled)
def _throttled(request: HttpRequest, error: Throttled) -> HttpResponse:
    answer = problem(429, "rate", "A key may ask 600 times a minute. Wait, and ask again.")
    answer["Retry-After"] = str(max(1, int(error.wait or 1)))
    return answer


@api.exception_handler(HttpError)
def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    return problem(error.status_code, "request", str(error))


def _patterns() -> list[Any]:
    patterns, _, _ = api.urls
    found = []
    for pattern in patterns:
        if pattern.name in DECLARED:
            mark(pattern.callback, DECLARED[pattern.name])
            found.append(pattern)
    mark(_openapi, {"GET": Permission.OPEN})
    return [path("openapi.json", _openapi, name="openapi-json"), *found]


def _openapi(request: HttpRequest) -> JsonResponse:
    """What there is to ask; no secret, so for everybody."""
    return JsonResponse(api.get_openapi_schema(path_prefix="/api/v1/"))


urlpatterns = [
    path("api/v1/", (_patterns(), "ninja", NAMESPACE)),
    path("api-keys/", views.api_keys, name="api-keys"),
    path("api-keys/<int:pk>/remove/", views.remove, name="api-key-remove"),
]
