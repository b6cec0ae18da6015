"""The API: keys, peers, refusals that name field and rule, pages of lists, and whatever a fuzzer thinks of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
import schemathesis
from django.core.cache import cache
from django.core.wsgi import get_wsgi_application
from django.db import transaction
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings

from dashboard.api import keys
from dashboard.api.models import ApiKey
from dashboard.audit.models import Change
from dashboard.fleet.models import Membership
from dashboard.sitevpn.models import Peer
from tests.dashboard.role_samples import SECRET, World, api_peer, make_world

pytestmark = pytest.mark.django_db
EXAMPLES = 25


@pytest.fixture(autouse=True)
def isolated(settings: Any, tmp_path: Any) -> Iterator[None]:
    settings.CULVERT_KEYRING = tmp_path / "keyring.json"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    cache.clear()
    with (
        patch("dashboard.publish.services.request_action", return_value=True),
        patch("dashboard.publish.services.read_status", return_value={"engine": "up", "peers": []}),
    ):
        yield


@pytest.fixture
def world() -> World:
    return make_world()


class Api:
    """A program with a key."""

    def __init__(self, key: str) -> None:
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._client = Client()

    def __call__(self, method: str, path: str, body: Any = None, **extra: Any) -> Any:
        data = body if isinstance(body, str | bytes) else json.dumps(body) if body is not None else ""
        return self._client.generic(
            method, f"/api/v1{path}", data, content_type="application/json", headers=self._headers, **extra
        )


@pytest.fixture
def api(world: World) -> Api:
    return Api(world.keys["Organization: full"])


@pytest.fixture
def peers(world: World) -> str:
    return f"/sites/{world.site.uuid}/thirdPartyVPNPeers"


def test_a_peer_from_beginning_to_end(api: Api, peers: str, world: World) -> None:
    made = api("POST", peers, api_peer(privateSubnets=["10.3.0.0/24"]), REMOTE_ADDR="203.0.113.5")
    assert made.status_code == 201, made.content
    peer = made.json()
    assert SECRET not in made.content.decode() and re.fullmatch("[0-9a-f]{8}", peer["secretFingerprint"])
    assert (
        peer["ipsecPolicies"]["ikeCipherAlgo"] == ["aes256"]
        and "aes256gcm16" in peer["ipsecPolicies"]["childCipherAlgo"]
    )
    row = Change.objects.order_by("-id").first()
    assert (row.who, row.via, row.address, row.verb) == ("API key “Organization: full”", "api", "203.0.113.5", "added")
    path = f"{peers}/{peer['id']}"
    changed = api("PUT", path, api_peer(privateSubnets=["10.4.0.0/24"], secret="", edit=peer["edit"]))
    assert changed.status_code == 200 and changed.json()["privateSubnets"] == ["10.4.0.0/24"]
    assert changed.json()["secretFingerprint"] == peer["secretFingerprint"]
    again = api("PUT", path, api_peer(privateSubnets=["10.5.0.0/24"], edit=peer["edit"]))
    assert again.status_code == 409 and again.json()["problems"][0]["field"] == "edit"
    assert api("GET", path).json()["privateSubnets"] == ["10.4.0.0/24"]
    assert api("POST", f"{path}/actions/initiate").status_code == 202
    assert api("POST", f"{path}/actions/explode").status_code == 404
    assert api("DELETE", path).status_code == 204 and api("GET", path).status_code == 404


def test_policies_under_their_known_names(api: Api, peers: str) -> None:
    policies = {
        "ikeCipherAlgo": ["tripledes"],
        "ikeAuthAlgo": ["sha1"],
        "ikeDiffieHellmanGroup": ["group2"],
        "ikeLifetime": 28800,
        "childCipherAlgo": ["aes256", "aes128"],
        "childAuthAlgo": ["sha1", "md5"],
        "childPfsGroup": ["disabled"],
        "childLifetime": 28800,
    }
    body = api_peer(privateSubnets=["10.3.0.0/24"], ipsecPoliciesPreset="custom", ipsecPolicies=policies)
    weak = api("POST", peers, body)
    assert weak.status_code == 400 and weak.json()["problems"][0]["field"].startswith("ipsecPolicies")
    policies["allowLegacy"] = True
    made = api("POST", peers, body)
    assert made.status_code == 201, made.content
    assert made.json()["ipsecPolicies"] == policies
    policy = Peer.objects.get(uuid=made.json()["id"]).policy
    assert policy["phase1"]["proposals"] == [{"encryption": "3des", "hash": "sha1", "group": "modp1024"}]
    assert len(policy["phase2"]["proposals"]) == 4 and policy["phase2"]["pfs_group"] is None


@pytest.mark.parametrize(
    ("change", "field", "rule"),
    [
        ({"name": ""}, "name", "too_short"),
        ({"name": "x" * 81}, "name", "too_long"),
        ({"name": "a\x00b"}, "name", "value_error"),
        ({"nmae": "x"}, "nmae", "extra_forbidden"),
        ({"name": "Branch"}, "name", "unique"),
        ({"publicIp": "not an address!"}, "publicIp", ""),
        ({"privateSubnets": ["10.3.0.1/24"]}, "privateSubnets.0", ""),
        ({"privateSubnets": ["10.1.0.0/25"]}, "privateSubnets", ""),
        ({"privateSubnets": [f"10.3.{n}.0/24" for n in range(257)]}, "privateSubnets", "too_long"),
        ({"secret": "", "privateSubnets": ["10.3.0.0/24"]}, "secret", "required"),
        ({"ipsecPoliciesPreset": "best"}, "ipsecPoliciesPreset", "enum"),
        ({"ipsecPoliciesPreset": "custom"}, "ipsecPolicies", "required"),
        ({"ikeVersion": "2"}, "ikeVersion", "literal_error"),
        ({"edit": -1}, "edit", "greater_than_equal"),
    ],
)
def test_a_refusal_names_field_and_rule(api: Api, peers: str, change: dict[str, Any], field: str, rule: str) -> None:
    before = Peer.objects.count()
    answer = api("POST", peers, api_peer(privateSubnets=["10.3.0.0/24"]) | change)
    problems = answer.json()["problems"]
    assert answer.status_code == 400 and problems, answer.content
    assert problems[0]["field"].startswith(field) and problems[0]["rule"].startswith(rule), problems
    assert SECRET not in answer.content.decode() and answer.json()["errors"]
    assert Peer.objects.count() == before


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"text"', b"\xff\xfe", '{"name": "\\ud800"}', "[" * 5000])
def test_nonsense_is_refused(api: Api, peers: str, body: str | bytes) -> None:
    answer = api("POST", peers, body)
    assert answer.status_code == 400 and answer.json()["problems"], answer.content


def test_a_huge_body_is_refused(api: Api, peers: str) -> None:
    assert api("POST", peers, "x" * (3 << 20)).status_code in (400, 413)


def test_keys_that_are_no_good(world: World, peers: str) -> None:
    row = ApiKey.objects.get(name="Organization: full", organization=world.site.organization)
    good = world.keys["Organization: full"]
    assert good not in str(list(ApiKey.objects.values())) + str(list(Change.objects.values()))
    for bad in ("", "culvert_nonsense", good + "x", good[:-1], "\u00ff"):
        answer = Api(bad)("GET", peers)
        assert answer.status_code == 401 and "Bearer" in answer["WWW-Authenticate"], bad
    assert Api(good)("GET", peers).status_code == 200
    row.refresh_from_db()
    assert row.last_used and row.last_address == "127.0.0.1"
    ApiKey.objects.filter(pk=row.pk).update(expires=timezone.now() - timedelta(seconds=1))
    assert Api(good)("GET", peers).status_code == 401
    ApiKey.objects.filter(pk=row.pk).update(expires=None)
    with transaction.atomic():
        assert not keys.remove(world.site.organization_id + 1, row.pk) and keys.remove(
            world.site.organization_id, row.pk
        )
    assert Api(good)("GET", peers).status_code == 401


def test_a_session_opens_nothing_here(world: World, peers: str) -> None:
    client = Client()
    client.force_login(world.users["Organization: full"])
    assert client.get(f"/api/v1{peers}").status_code == 401


def test_the_page_shows_a_key_once(world: World) -> None:
    client = Client()
    client.force_login(world.users["Organization: full"])
    page = client.post("/api-keys/", {"name": "monitoring", "role": "read-only", "days": "30"}).content.decode()
    key = re.search(r'value="(culvert_[\w-]+)"', page)[1]
    assert key not in client.get("/api-keys/").content.decode()
    assert Api(key)("GET", "/administrators").status_code == 200
    assert Api(key)("POST", "/administrators", {"email": "x@example.com", "orgAccess": "full"}).status_code == 403
    again = client.post("/api-keys/", {"name": "monitoring", "role": "read-only", "days": "30"})
    assert "exists" in again.content.decode() or "of this name already" in again.content.decode()
    row = ApiKey.objects.get(name="monitoring")
    assert timedelta(days=29) < row.expires - timezone.now() < timedelta(days=31)
    client.post(f"/api-keys/{row.pk}/remove/")
    assert Api(key)("GET", "/administrators").status_code == 401


def test_a_key_of_one_site_sees_only_that(world: World) -> None:
    api = Api(world.keys["Site: read-only"])
    sites = api("GET", "/sites").json()
    assert [(site["name"], site["role"]) for site in sites] == [("S", "Site: read-only")]
    assert api("GET", f"/sites/{world.other_site.uuid}/subnets").status_code == 404
    assert api("GET", f"/sites/{uuid4()}/subnets").status_code == 404
    refused = api("PUT", f"/sites/{world.site.uuid}/subnets", {"subnets": []})
    assert refused.status_code == 403 and "Site: full" in refused.json()["errors"][0]


def test_lists_come_in_pages(api: Api, peers: str, world: World) -> None:
    for number in range(3, 8):
        api(
            "POST",
            peers,
            api_peer(name=f"P{number}", publicIp=f"192.0.2.{number}", privateSubnets=[f"10.{number}.0.0/24"]),
        )
    path, names = f"{peers}?perPage=2", []
    while path:
        answer = api("GET", path)
        names += [peer["name"] for peer in answer.json()]
        assert len(answer.json()) <= 2
        link = answer.headers.get("Link", "")
        path = re.match(r"</api/v1(.+)>; rel=next", link)[1] if link else ""
    assert names == ["Branch", "P3", "P4", "P5", "P6", "P7"]
    for bad in ("perPage=0", "perPage=x", "perPage=999999", "startingAfter=x"):
        assert api("GET", f"{peers}?{bad}").status_code == 400, bad
    first = api("GET", "/changeLog?perPage=1")
    assert len(first.json()) == 1 and "startingAfter=" in first["Link"]
    assert api("GET", "/changeLog?since=yesterday").json()["problems"][0] == {
        "field": "since",
        "rule": "day",
        "message": "since is a day like 2026-01-31",
    }
    assert api("GET", f"/changeLog?startingAfter={10**30}").status_code == 400


def test_administrators(api: Api, world: World) -> None:
    found = {row["email"]: row for row in api("GET", "/administrators").json()}
    assert found["site-full@example.com"]["sites"] == [{"siteId": str(world.site.uuid), "access": "full"}]
    path = f"/administrators/{world.member.pk}"
    body = {"orgAccess": "none", "sites": [{"siteId": str(world.site.uuid), "access": "monitor-only"}]}
    assert api("PUT", path, body).json()["sites"][0]["access"] == "monitor-only"
    foreign = {"orgAccess": "none", "sites": [{"siteId": str(uuid4()), "access": "full"}]}
    assert api("PUT", path, foreign).json()["problems"][0]["field"] == "sites.0.siteId"
    invited = api("POST", "/administrators", {"email": "y@example.com", "orgAccess": "read-only"}).json()
    assert Client().get(invited["path"]).status_code == 200
    full = Membership.objects.filter(organization=world.site.organization, role="full")
    answers = [api("DELETE", f"/administrators/{row.pk}") for row in full]
    assert [answer.status_code for answer in answers] == [204] * (len(answers) - 1) + [400]
    assert answers[-1].json()["problems"][0]["rule"] == "last_administrator"


def test_a_key_that_asks_too_often_waits(api: Api, world: World) -> None:
    answers = [api("GET", "/sites").status_code for _ in range(601)]
    assert set(answers[:600]) == {200} and answers[600] == 429
    refused = api("GET", "/sites")
    assert int(refused["Retry-After"]) >= 1 and refused.json()["problems"][0]["rule"] == "rate"
    assert Api(world.keys["Site: full"])("GET", "/sites").status_code == 200


def test_status_and_events(api: Api, world: World) -> None:
    status = api("GET", f"/sites/{world.site.uuid}/status").json()
    assert [row["engine"] for row in status] == ["up"]
    assert api("GET", f"/sites/{world.site.uuid}/events?severity=error").json() == []
    nonsense = api("GET", f"/sites/{world.site.uuid}/events?severity=loud")
    assert nonsense.status_code == 400 and nonsense.json()["problems"][0]["field"] == "severity"


schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app=get_wsgi_application())
OPERATIONS = [operation.ok() for operation in schema.get_all_operations()]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_nothing_that_is_sent_breaks_it(world: World, operation: Any, settings: Any) -> None:
    """Whatever the fuzzer sends, right or wrong, is answered, and refused with fields and rules."""
    del settings
    headers = {"Authorization": f"Bearer {world.keys['Organization: full']}"}
    places = {
        "site_id": str(world.site.uuid),
        "peer_id": str(world.peer.uuid),
        "administrator_id": str(world.member.pk),
    }
    seen: list[int] = []

    @_bounded
    @given(case=operation.as_strategy())
    def run(case: Any) -> None:
        # At objects that exist, or every answer would be that there is none.
        case.path_parameters.update({name: places[name] for name in case.path_parameters if name in places})
        cache.clear()
        with transaction.atomic():
            answer = case.call(headers=headers)
            transaction.set_rollback(True)
        seen.append(answer.status_code)
        assert answer.status_code < 500, (case.body, case.query, answer.content)
        if answer.status_code >= 400:
            assert answer.json()["problems"][0].keys() == {"field", "rule", "message"}

    run()
    assert len(seen) >= 1


_bounded = settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
