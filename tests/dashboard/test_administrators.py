"""Administrators, invitations, second factors, sign-in history and sessions, over the pages."""

from __future__ import annotations

import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from dashboard.accounts import invitations
from dashboard.accounts import services as accounts
from dashboard.accounts.models import Invitation, SignIn, User
from dashboard.audit.models import Change
from dashboard.fleet import services as fleet
from dashboard.fleet.models import Membership, Site

pytestmark = pytest.mark.django_db
PASSWORD = "a-long-passphrase-7"


@pytest.fixture(autouse=True)
def isolated(settings: Any, tmp_path: Any) -> None:
    settings.CULVERT_KEYRING = tmp_path / "keyring.json"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    cache.clear()


@pytest.fixture
def ada() -> User:
    return accounts.create_administrator(email="ada@example.com", name="Ada", password=PASSWORD)


@pytest.fixture
def site(ada: User) -> Site:
    return fleet.create_organization(name="O", site_name="S", administrator_id=ada.pk).site


@pytest.fixture
def bob(site: Site) -> User:
    user = accounts.create_administrator(email="bob@example.com", name="Bob", password=PASSWORD)
    fleet.add_member(organization_id=site.organization_id, user_id=user.pk, role="none", sites={site.pk: "full"})
    return user


def sign_in(email: str = "ada@example.com", password: str = PASSWORD, client: Client | None = None) -> Client:
    client = client or Client()
    client.answer = client.post("/account/login/", {"login": email, "password": password})
    return client


def code_of(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time())))


def link_in(page: str) -> str:
    return re.search(r"http://testserver(/invitation/[\w-]+/)", page)[1]


def test_an_invitation_makes_an_administrator_once(ada: User, site: Site) -> None:
    admin = sign_in()
    form = {"email": "New@Example.com", "role": "none", "site-0": site.pk, "site-role-0": "read-only"}
    page = admin.post("/administrators/", form).content.decode()
    link = link_in(page)
    assert link_in(page) not in admin.get("/administrators/").content.decode()
    token = link.split("/")[2]
    assert token not in str(list(Invitation.objects.values())) + str(list(Change.objects.values()))
    guest = Client()
    assert "new@example.com" in guest.get(link).content.decode()
    weak = guest.post(link, {"name": "New", "password": "password"})
    assert (
        weak.status_code == 200 and "too common" in weak.content.decode() and not User.objects.filter(first_name="New")
    )
    assert guest.post(link, {"name": "New", "password": PASSWORD}).status_code == 302
    assert guest.get("/vpn/").status_code == 200
    member = Membership.objects.get(user__email="new@example.com")
    assert member.role == "none" and [row.role for row in member.site_access.all()] == ["read-only"]
    assert guest.post("/vpn/peers/new/").status_code == 403
    used = Client().get(link)
    assert used.status_code == 404 and Client().get("/invitation/nonsense/").content == used.content
    assert [row.verb for row in Change.objects.filter(kind="administrator").order_by("id")] == ["invited", "added"]


def test_an_old_or_withdrawn_invitation_does_not_work(ada: User, site: Site) -> None:
    token = invitations.invite(
        organization_id=site.organization_id, email="x@example.com", role="full", sites={}, by_id=None
    )
    admin, row = sign_in(), Invitation.objects.get()
    Invitation.objects.update(expires=timezone.now())
    assert Client().get(f"/invitation/{token}/").status_code == 404
    Invitation.objects.update(expires=timezone.now() + invitations.LIFETIME)
    assert Client().get(f"/invitation/{token}/").status_code == 200
    assert admin.post(f"/administrators/invitations/{row.pk}/withdraw/").status_code == 302
    assert Client().get(f"/invitation/{token}/").status_code == 404


def test_an_account_that_exists_joins_by_signing_in(ada: User, site: Site) -> None:
    eve = accounts.create_administrator(email="eve@example.com", name="Eve", password=PASSWORD)
    token = invitations.invite(
        organization_id=site.organization_id, email="eve@example.com", role="full", sites={}, by_id=None
    )
    stranger = Client()
    assert "Sign in" in stranger.get(f"/invitation/{token}/").content.decode()
    taken = stranger.post(f"/invitation/{token}/", {"name": "Not Eve", "password": PASSWORD})
    assert "has an account already" in taken.content.decode() and not eve.memberships.exists()
    wrong = sign_in().post(f"/invitation/{token}/").content.decode()
    assert "This invitation is for eve@example.com" in wrong
    assert sign_in("eve@example.com").post(f"/invitation/{token}/").status_code == 302
    assert eve.memberships.get().role == "full"


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"email": "", "role": "full"}, "Enter the e-mail address"),
        ({"email": "bob", "role": "full"}, "like ada@example.com"),
        ({"email": "ada@example.com", "role": "full"}, "administers the organization already"),
        ({"email": "c@example.com", "role": "none"}, "or at one site at least"),
        ({"email": "c@example.com", "role": "king"}, "king"),
        ({"email": "c@example.com", "role": "none", "site-0": "99999", "site-role-0": "full"}, "99999"),
        ({"email": "c@example.com", "role": "full", "site-0": "", "site-role-0": "full"}, "Choose the site"),
    ],
)
def test_a_wrong_invitation_says_what_is_wrong(ada: User, site: Site, form: dict[str, str], sentence: str) -> None:
    answer = sign_in().post("/administrators/", form)
    assert answer.status_code == 200 and sentence in answer.content.decode()
    assert not Invitation.objects.exists()


def test_a_change_of_roles_ends_the_sessions(ada: User, site: Site, bob: User) -> None:
    admin, his = sign_in(), sign_in("bob@example.com")
    assert his.get("/vpn/").status_code == 200
    member = bob.memberships.get()
    form = {"role": "none", "site-0": site.pk, "site-role-0": "monitor-only"}
    assert admin.post(f"/administrators/{member.pk}/", form).status_code == 302
    assert his.get("/vpn/").status_code == 302
    again = sign_in("bob@example.com")
    assert again.get("/vpn/").status_code == 403 and again.get("/status/").status_code == 200
    row = Change.objects.filter(kind="administrator").order_by("-id").first()
    assert (row.before, row.after) == ({"sites": ["S: full"]}, {"sites": ["S: monitor-only"]}) and row.who == ada.email
    admin.post(f"/administrators/{member.pk}/", form)
    assert again.get("/status/").status_code == 200, "what is the same ends nothing"
    assert admin.post(f"/administrators/{member.pk}/remove/").status_code == 302
    assert again.get("/status/").status_code == 302 and not bob.memberships.exists()


def test_the_last_full_administrator_stays(ada: User, site: Site, bob: User) -> None:
    admin, mine = sign_in(), ada.memberships.get()
    refused = admin.post(f"/administrators/{mine.pk}/", {"role": "read-only"})
    assert refused.status_code == 200 and "last administrator" in refused.content.decode()
    page = admin.post(f"/administrators/{mine.pk}/remove/", follow=True).content.decode()
    assert "last administrator" in page and ada.memberships.get().role == "full"
    his = bob.memberships.get()
    admin.post(f"/administrators/{his.pk}/", {"role": "full"})
    assert admin.post(f"/administrators/{mine.pk}/", {"role": "read-only"}).status_code == 302
    assert admin.get("/vpn/").status_code == 200, "who changes himself stays signed in here"
    assert ada.memberships.get().role == "read-only"


def test_the_second_factor(ada: User, site: Site) -> None:
    client = sign_in()
    asked = client.get("/account/security/app/add/")
    assert asked["Location"].startswith("/account/reauthenticate/"), "even a fresh session is asked once more"
    assert client.post(asked["Location"], {"password": "wrong"}).status_code == 200
    assert client.post(asked["Location"], {"password": PASSWORD}).status_code == 302
    page = client.get("/account/security/app/add/").content.decode()
    secret = re.search(r"<code>(\w{32})</code>", page)[1]
    assert client.post("/account/security/app/add/", {"code": "000000"}).status_code == 200
    assert client.post("/account/security/app/add/", {"code": code_of(secret)}).status_code == 302
    sealed = Authenticator.objects.get(type="totp").data["secret"]
    assert secret not in sealed
    codes = re.findall(r"<code>(\d{8})</code>", client.get("/account/security/codes/").content.decode())
    assert len(codes) == 10
    cache.clear()  # a code works once; the next one would take half a minute
    guest = sign_in()
    assert guest.answer["Location"].startswith("/account/login/second/")
    assert guest.get("/vpn/").status_code == 302, "the password alone opens nothing"
    assert guest.post("/account/login/second/", {"code": "123456"}).status_code == 200
    assert guest.post("/account/login/second/", {"code": code_of(secret)}).status_code == 302
    assert guest.get("/vpn/").status_code == 200
    other = sign_in()
    assert other.post("/account/login/second/", {"code": codes[0]}).status_code == 302
    assert (
        sign_in(client=(again := Client()))
        and again.post("/account/login/second/", {"code": codes[0]}).status_code == 200
    )
    history = [(row.method, row.success) for row in SignIn.objects.order_by("id")]
    assert ("authenticator app", False) in history and ("password + authenticator app", True) in history
    assert ("password + recovery code", True) in history
    assert Change.objects.filter(kind="account", who=ada.email, verb="added").count() == 2
    assert "on</span>" in client.get("/administrators/").content.decode()


def test_the_history_of_sign_ins(ada: User, site: Site, bob: User) -> None:
    browser = {"HTTP_USER_AGENT": "Browser 1", "REMOTE_ADDR": "198.51.100.9"}
    Client().post("/account/login/", {"login": "bob@example.com", "password": "wrong"}, **browser)
    Client().post("/account/login/", {"login": "nobody@example.com", "password": "wrong"}, **browser)
    Client().post("/account/login/", {"login": "my-secret-typed-in-the-wrong-field", "password": "x"}, **browser)
    admin = sign_in()
    rows = {(row.email, row.success, row.address) for row in SignIn.objects.all()}
    assert {("bob@example.com", False, "198.51.100.9"), ("nobody@example.com", False, "198.51.100.9")} <= rows
    assert ("ada@example.com", True, "127.0.0.1") in rows and "my-secret" not in str(rows)
    page = admin.get("/signins/?only=failed").content.decode()
    assert "bob@example.com" in page and "nobody@example.com" in page and "Browser 1" in page and "refused" in page
    other = accounts.create_administrator(email="eve@example.com", name="E", password=PASSWORD)
    fleet.create_organization(name="P", site_name="T", administrator_id=other.pk)
    foreign = sign_in("eve@example.com").get("/signins/").content.decode()
    assert "eve@example.com" in foreign and "bob@example.com" not in foreign and "nobody@example.com" not in foreign


def test_guessing_passwords_is_slowed_down(ada: User, site: Site) -> None:
    answers = [Client().post("/account/login/", {"login": ada.email, "password": f"wrong{n}"}) for n in range(7)]
    last = answers[-1]
    assert last.status_code == 429 or "Too many" in last.content.decode()
    assert sign_in().get("/vpn/").status_code == 302, "not even the right one, for a while"


def test_a_sign_in_makes_a_new_session_key(ada: User, site: Site) -> None:
    client = Client()
    session = client.session
    session["from before"] = 1
    session.save()
    key = session.session_key
    sign_in(client=client)
    assert client.session.session_key != key
    assert Client(headers={"cookie": f"sessionid={key}"}).get("/vpn/").status_code == 302


def test_signing_out_elsewhere(ada: User, site: Site) -> None:
    here, elsewhere = sign_in(), sign_in()
    page = here.get("/account/sessions/").content.decode()
    assert page.count("127.0.0.1") == 2 and "this one" in page
    here.post("/account/sessions/")
    assert here.get("/vpn/").status_code == 200 and elsewhere.get("/vpn/").status_code == 302


def test_a_new_password_ends_other_sessions(ada: User, site: Site) -> None:
    here, elsewhere = sign_in(), sign_in()
    new = "another-passphrase-8"
    form = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    assert here.post("/account/password/", form).status_code == 302
    assert here.get("/vpn/").status_code == 200 and elsewhere.get("/vpn/").status_code == 302
    assert Change.objects.filter(kind="account", verb="changed").get().name == "ada@example.com: password"


def test_pages_ask_the_database_little(ada: User, site: Site, django_assert_max_num_queries: Any) -> None:
    for number in range(20):
        user = User.objects.create(username=f"u{number}", email=f"u{number}@example.com")
        fleet.add_member(organization_id=site.organization_id, user_id=user.pk, role="none", sites={site.pk: "full"})
    admin = sign_in()
    for path in ("/administrators/", "/signins/", "/account/security/"):
        with django_assert_max_num_queries(13):
            assert admin.get(path).status_code == 200
