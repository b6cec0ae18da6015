"""Every address with every role, as docs/roles.md says; and nothing of others can be found."""

from __future__ import annotations

import json
import re
from typing import Any
from unittest.mock import patch

import pytest
from django.core.management import call_command
from django.db import transaction
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from appliance.paths import ROOT
from dashboard.accounts import role_table
from dashboard.accounts.access import Access, access_for
from dashboard.accounts.middleware import Permissions
from dashboard.core.permissions import needs
from dashboard.core.roles import Grant, OrganizationRole, Permission, SiteRole
from dashboard.fleet.models import Membership
from tests.dashboard.role_samples import BODIES, NOBODYS, SAMPLES, World, make_world, nothing

pytestmark = pytest.mark.django_db
HEADER = "| request | needs |"
MEND = "run: .venv/bin/python manage.py roles --write (and look at what it says)"


@pytest.fixture(autouse=True)
def isolated(settings: Any, tmp_path: Any) -> Any:
    settings.CULVERT_KEYRING = tmp_path / "keyring.json"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.ACCOUNT_RATE_LIMITS = False
    # What is behind the page is not the question here.
    with patch("dashboard.publish.services.request_action", return_value=True):
        yield


@pytest.fixture
def world() -> World:
    return make_world()


def listed() -> dict[tuple[str, str], dict[str, bool]]:
    """docs/roles.md as it is committed: (method, address) to role to permitted."""
    lines = (ROOT / "docs" / "roles.md").read_text().splitlines()
    head = next(index for index, line in enumerate(lines) if line.startswith(HEADER))
    roles = [cell.strip() for cell in lines[head].strip("|").split("|")][2:]
    found = {}
    for line in lines[head + 2 :]:
        cells = [cell.strip() for cell in re.split(r"(?<!<)\|", line.strip("|"))]
        method, route = re.match(r"(\w+) `(.+)`", cells[0]).groups()
        assert set(cells[2:]) <= {"yes", "no"}, line
        found[method, route] = dict(zip(roles, [cell == "yes" for cell in cells[2:]], strict=True))
    return found


def client_of(world: World, role: str) -> Client:
    client = Client()
    if role != role_table.ANONYMOUS:
        client.force_login(world.users[role])
        client.key = world.keys[role]
    return client


def send(client: Client, row: role_table.Row, world: World, kwargs: dict[str, Any]) -> HttpResponse:
    """With what it accepts: a form from a page, JSON with a key from a program."""
    address = reverse(row.name, kwargs=kwargs)
    body = BODIES.get(f"{row.method} {row.name}") or (BODIES.get(row.name) if row.method == "POST" else None)
    if row.name.startswith("api-v1:"):
        key = getattr(client, "key", "")
        headers = {"authorization": f"Bearer {key}"} if key else {}
        data = json.dumps(body(world)) if body else ""
        return client.generic(row.method, address, data, content_type="application/json", headers=headers)
    return client.post(address, body(world)) if body else client.generic(row.method, address)


def ask(client: Client, row: role_table.Row, world: World, kwargs: dict[str, Any]) -> HttpResponse:
    """Really ask; whatever it does is undone."""
    with transaction.atomic():
        answer = send(client, row, world, kwargs)
        transaction.set_rollback(True)
    return answer


def outcome(answer: HttpResponse) -> str:
    """permitted, refused, sign-in, or what should not be."""
    if answer.status_code == 302 and "/account/login/?next=" in answer["Location"]:
        return "refused"
    if answer.status_code in (401, 403):
        return "refused"
    return "permitted" if answer.status_code not in (404, 405, 500) else f"answered {answer.status_code}"


def test_every_address_is_listed_for_every_role() -> None:
    table = listed()
    rows = {(row.method, row.route) for row in role_table.rows()}
    assert rows == set(table), MEND
    for pair, roles in table.items():
        assert set(roles) == set(role_table.ROLES), (pair, MEND)
    assert (ROOT / "docs" / "roles.md").read_text() == role_table.markdown(), MEND


def test_every_address_declares_a_permission_and_has_a_sample() -> None:
    for row in role_table.rows():
        assert row.permission is not None, f"{row.route}: decorate the view with @needs(get=…)"
        assert "<" not in row.route or row.name in SAMPLES, f"{row.name}: add it to role_samples.SAMPLES"


def test_every_pair_is_answered_as_listed(world: World) -> None:
    table, wrong = listed(), []
    rows = role_table.rows()
    for role in role_table.ROLES:
        client = client_of(world, role)
        for row in rows:
            kwargs = SAMPLES[row.name](world) if "<" in row.route else {}
            expected = "permitted" if table[row.method, row.route][role] else "refused"
            found = outcome(ask(client, row, world, kwargs))
            if found != expected:
                wrong.append(f"{row.method} {row.route} as {role}: {found}, not {expected}")
            if row.name == "account_logout":
                client = client_of(world, role)
    assert wrong == []
    assert len(rows) * len(role_table.ROLES) > 150


@pytest.mark.parametrize("who", ["stranger", "elsewhere"])
def test_what_belongs_to_others_is_as_if_it_did_not_exist(world: World, who: str) -> None:
    """Another organization's full administrator, and one of another site of the same organization."""
    client, asked = Client(), 0
    client.force_login(getattr(world, who))
    client.key = world.keys[who]
    for row in role_table.rows():
        if "<" not in row.route or row.name in NOBODYS:
            continue
        kwargs = SAMPLES[row.name](world)
        theirs, none = ask(client, row, world, kwargs), ask(client, row, world, nothing(kwargs))
        # A site is not even reached by who has no role there; else the role is judged before the object is looked for.
        at_site = "site_id" in kwargs
        expected = 403 if who == "elsewhere" and not row.permits("Site: full") and not at_site else 404
        assert (theirs.status_code, none.status_code) == (expected, expected), row
        # The token against forged requests is masked anew on every page.
        theirs, none = (re.sub(rb'value="\w{64}"', b"", answer.content) for answer in (theirs, none))
        assert theirs == none, row
        asked += 1
    assert asked >= 4
    for path in ("/vpn/", "/vpn/users/", "/events/"):
        page = client.get(path).content.decode()
        assert "Branch" not in page and "road" not in page, path


def test_a_view_without_a_declaration_is_closed(world: World) -> None:
    request = RequestFactory().get("/forgotten/")
    request.user, request.session, request.resolver_match = world.users["Organization: full"], {}, None
    answer = Permissions(lambda request: HttpResponse())
    assert answer.process_view(request, lambda request: HttpResponse(), (), {}).status_code == 403
    declared = needs(get="edit")(lambda request: HttpResponse())
    assert answer.process_view(request, declared, (), {}) is None
    with pytest.raises(ValueError, match="everything"):
        needs(get="everything")


def test_controls_that_are_off_say_who_could(world: World) -> None:
    reader, editor = client_of(world, "Site: read-only"), client_of(world, "Site: full")
    for path in ("/vpn/", f"/vpn/peers/{world.peer.uuid}/", "/vpn/users/"):
        page = reader.get(path).content.decode()
        assert "<fieldset disabled>" in page and "Needs the role “Organization: full” or “Site: full”." in page, path
        assert "<fieldset disabled>" not in editor.get(path).content.decode()
    refused = client_of(world, "Site: monitor-only").get("/vpn/", headers={"accept": "text/html"})
    assert "Your role is “Site: monitor-only”" in refused.content.decode()
    asked = client_of(world, "Site: read-only").post(f"/status/initiate/{world.peer.uuid}/", headers={"accept": "*/*"})
    assert asked.status_code == 403 and "Site: full" in asked.json()["error"]


def test_the_start_page_is_one_that_the_role_may_see(world: World) -> None:
    for role in world.users:
        assert client_of(world, role).get("/", follow=True).status_code == 200, role


def test_switching_organizations_and_sites(world: World) -> None:
    user = world.stranger
    Membership.objects.create(organization=world.site.organization, user=user, role="read-only")
    client = Client()
    client.force_login(user)
    assert "Branch" in client.get("/vpn/").content.decode()
    own = user.memberships.exclude(organization=world.site.organization).get().organization
    assert client.post("/switch/", {"place": f"{own.uuid}/"}).status_code == 302
    page = client.get("/vpn/").content.decode()
    assert "Branch" not in page and "<fieldset disabled>" not in page
    place = f"{world.site.organization.uuid}/{world.other_site.uuid}"
    client.post("/switch/", {"place": place})
    page = client.get("/vpn/").content.decode()
    assert f'value="{place}" selected' in page and "Branch" not in page and "<fieldset disabled>" in page
    outsider = client_of(world, "Site: full")
    for foreign in (f"{own.uuid}/", place, "nonsense", ""):
        assert outsider.post("/switch/", {"place": foreign}).status_code == 404


def test_roles_add_up() -> None:
    grant = Grant(OrganizationRole.READ_ONLY, {7: SiteRole.FULL, 8: SiteRole.MONITOR_ONLY})
    assert grant.may(Permission.EDIT, 7) and not grant.may(Permission.EDIT, 8) and grant.may(Permission.READ, 8)
    assert grant.label(7) == "Site: full" and grant.label(8) == "Organization: read-only"
    assert not Grant().may(Permission.MONITOR, 7) and Grant().may(Permission.SIGNED_IN, None)
    assert not Access().may("monitor")


def test_without_an_organization_there_is_nothing(world: World) -> None:
    Membership.objects.filter(user=world.stranger).delete()
    client = Client()
    client.force_login(world.stranger)
    assert client.get("/vpn/").status_code == 403
    assert access_for(world.stranger.pk, {}).organization is None


def test_the_command_prints_the_table(capsys: Any) -> None:
    call_command("roles")
    assert capsys.readouterr().out.strip() == role_table.markdown().strip()
