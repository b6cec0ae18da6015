"""Certificates, users and assigned addresses in the peer's form: what it takes, refuses at its field, and hands on."""

from __future__ import annotations

import re
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from dashboard.publish.models import Revision, SecretVersion
from dashboard.sitevpn import services as vpn
from dashboard.sitevpn.models import Peer, VpnUser
from tests.dashboard.test_dashboard import SECRET, FakeGateway, deliver, isolated, site, user
from tests.pki import Identity, issue, key
from vpnengine.contract.config import parse_config
from vpnengine.ikev1.credentials import credential_problems

pytestmark = pytest.mark.django_db
__all__ = ["isolated", "site", "user"]
ROOT = issue("Root", ca=True)
MIDDLE = issue("Middle", ROOT, ca=True)
OWN = issue("own", MIDDLE, names=("own.example.com",))
CURVE = issue("curve", ROOT, kind="ecdsa-256")
PASSWORD = "the password of carol"
NEW = "/vpn/peers/new/"


@pytest.fixture
def browser(site: Any, user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def fields(**changes: Any) -> dict[str, Any]:
    usual = {"name": "Branch", "remote": "192.0.2.2", "remote_subnets": "10.2.0.0/24", "preset": "strong"}
    found = usual | {"start": "traffic", "enabled": "on"} | changes
    return {name: value for name, value in found.items() if value is not None}


def certified(**changes: Any) -> dict[str, Any]:
    shown = {"authentication": "rsa", "certificate": OWN.chain_pem, "private_key": OWN.key_pem, "trusted_cas": ROOT.pem}
    return fields(**shown | changes)


def document() -> dict[str, Any]:
    revision = Revision.objects.order_by("-number").first()
    assert revision is not None
    return dict(revision.document)


def delivered() -> dict[str, Any]:
    """The newest document as the engine gets it; it has to take it, certificates and all."""
    deliver(Revision.objects.order_by("-number").first())  # type: ignore[arg-type]
    config = FakeGateway.seen[-1]["config"]
    assert credential_problems(parse_config(config)) == []
    return dict(config)


def secret_lines(*keys: Identity) -> list[str]:
    return [line for one in keys for line in one.key_pem.splitlines()[1:-1]]


def assert_nowhere(*secrets: str) -> None:
    """Neither a document nor a row of the database has a secret in clear."""
    rows = str(list(Peer.objects.values())) + str(list(Revision.objects.values())) + str(list(VpnUser.objects.values()))
    rows += str(list(SecretVersion.objects.values()))
    assert not [secret for secret in secrets if secret in rows]


def test_certificates_reach_the_engine_and_the_key_stays_inside(browser: Client) -> None:
    crl = MIDDLE.crl()
    assert browser.post(NEW, certified(crl=crl)).status_code == 302
    row = document()["peers"][0]
    peer = Peer.objects.get()
    assert row["private_key"] == {"$secret": peer.key_version} and "psk" not in row
    assert row["certificate"] == OWN.chain_pem and row["trusted_cas"] == [ROOT.pem] and row["crl"] == crl
    sent = delivered()["peers"][0]
    assert sent["private_key"] == OWN.key_pem and sent["authentication"] == "rsa"
    assert_nowhere(*secret_lines(OWN))
    page = browser.get(f"/vpn/peers/{peer.uuid}/").content.decode()
    assert not any(line in page for line in secret_lines(OWN))
    assert f"fingerprint {peer.key_fingerprint}" in page
    assert "CN=own,O=Example,C=DE" in page and "own.example.com" in page and "CN=Root,O=Example,C=DE" in page


def test_saving_again_keeps_the_key(browser: Client) -> None:
    browser.post(NEW, certified())
    peer = Peer.objects.get()
    again = certified(private_key="", edit=str(peer.edit), name="Renamed")
    assert browser.post(f"/vpn/peers/{peer.uuid}/", again).status_code == 302
    assert delivered()["peers"][0]["private_key"] == OWN.key_pem
    other = issue("other", ROOT, private=key("rsa-2048", "other"))
    answer = browser.post(f"/vpn/peers/{peer.uuid}/", certified(certificate=other.pem, private_key="", edit="2"))
    assert answer.context["form"].errors["private_key"] == ["This key does not belong to the certificate."]


def test_files_count_more_than_what_stands_in_the_fields(browser: Client) -> None:
    der = OWN.private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files = {
        "certificate_file": SimpleUploadedFile("own.der", OWN.der),
        "private_key_file": SimpleUploadedFile("own.key", der),
        "trusted_cas_file": SimpleUploadedFile("cas.pem", (ROOT.pem + MIDDLE.pem).encode()),
    }
    answer = browser.post(NEW, certified(certificate="the old one", private_key=None, trusted_cas="old", **files))
    assert answer.status_code == 302, answer.context["form"].errors
    sent = delivered()["peers"][0]
    assert sent["certificate"] == OWN.pem and sent["private_key"] == OWN.key_pem
    assert sent["trusted_cas"] == [ROOT.pem, MIDDLE.pem]


def _locked() -> str:
    form = serialization.BestAvailableEncryption(b"passphrase")
    return str(OWN.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, form).decode())


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"certificate": ""}, "certificate", "Enter this side's certificate."),
    ({"certificate": "nonsense"}, "certificate", "This is no certificate"),
    ({"certificate": OWN.pem + OWN.key_pem}, "certificate", "holds a private key"),
    ({"certificate": "-----BEGIN PKCS7-----"}, "certificate", "PKCS#7"),
    ({"private_key": ""}, "private_key", "Enter the private key of this side's certificate."),
    ({"private_key": "nonsense"}, "private_key", "This is no private key"),
    ({"private_key": _locked()}, "private_key", "passphrase"),
    ({"private_key": CURVE.key_pem}, "private_key", "does not belong to the certificate"),
    ({"certificate": CURVE.pem, "private_key": CURVE.key_pem}, "authentication", "a key of kind ecdsa"),
    ({"trusted_cas": ""}, "trusted_cas", "needs the certificate of the CA"),
    ({"trusted_cas": "nonsense"}, "trusted_cas", "This is no certificate"),
    ({"crl": "nonsense"}, "crl", "This is no revocation list"),
    ({"authentication": "magic"}, "authentication", "magic"),
    ({"remote": "any", "start": "responder"}, "remote_identity", "needs one that its certificate says"),
    (
        {"remote_identity_type": "key-id", "remote_identity": "x"},
        "remote_identity",
        "cannot prove a key ID",
    ),
    ({"authentication": "hybrid"}, "xauth_role", "choose which of them this side does"),
    ({"xauth_role": "client", "xauth_user": ""}, "xauth_user", "Enter the user's name"),
    ({"xauth_role": "client", "xauth_user": "carol"}, "xauth_password", "Enter the user's password"),
    ({"xauth_role": "server"}, "xauth_role", "Nobody can come in"),
    ({"config_role": "server"}, "pool", "Enter the addresses for clients"),
    ({"config_role": "server", "pool": "10.9.0.1"}, "pool", "is a single address"),
    ({"config_role": "server", "pool": "10.9.0.0/24"}, "remote_subnets", "Leave this empty"),
    (
        {"config_role": "server", "pool": "10.9.0.0/24", "remote_subnets": ""},
        "start",
        "choose “responder”",
    ),
    ({"config_role": "client"}, "start", "choose “immediate”"),
    (
        {"config_role": "server", "pool": "10.9.0.0/24", "pool_dns": "dns"},
        "pool_dns",
        "Line 1: “dns” is no IPv4 address",
    ),
    (
        {"config_role": "server", "pool": "10.9.0.0/24", "default_domain": "no domain"},
        "default_domain",
        "is neither an IP address nor a host name",
    ),
    ({"selectors": "10.1.0.0/24, 10.2.0.0/24, tcp"}, "selectors", "leave one of the two empty"),
    ({"remote_subnets": ""}, "remote_subnets", "Enter at least one subnet"),
    ({"remote_subnets": "", "selectors": "10.1.0.0/24, 10.2.0.0/24, icmp, 1, 2"}, "selectors", "Ports need"),
    ({"remote_subnets": "", "selectors": "10.1.0.0/24, 10.2.0.0/24, tcp, 1, 99999"}, "selectors", "is no port"),
    ({"remote_subnets": "", "selectors": "10.1.0.0/24, 10.2.0.0/24, tpc"}, "selectors", "is no known protocol"),
]


@pytest.mark.parametrize(("changes", "field", "words"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_wrong_is_said_at_its_field(browser: Client, changes: dict[str, Any], field: str, words: str) -> None:
    answer = browser.post(NEW, certified(**changes))
    assert answer.status_code == 200
    errors = answer.context["form"].errors
    assert field in errors, errors
    assert words.lower() in " ".join(errors[field]).lower()
    assert not Peer.objects.exists() and not SecretVersion.objects.exists()
    page = answer.content.decode()
    for line in secret_lines(OWN, CURVE):
        assert line not in page, "a refused key comes back to the page"


def test_secrets_that_were_sent_are_asked_for_again_by_name(browser: Client) -> None:
    sent = certified(name="", xauth_role="client", xauth_user="carol", xauth_password=PASSWORD)
    page = browser.post(NEW, sent).content.decode()
    assert (
        "enter “Private key”, “User&#x27;s password” again" in page or "enter “Private key”, “User's password”" in page
    )
    assert PASSWORD not in page


def test_a_user_on_this_side(browser: Client) -> None:
    changes = {"secret": SECRET, "xauth_role": "client", "xauth_user": "carol", "xauth_password": PASSWORD}
    assert browser.post(NEW, fields(**changes)).status_code == 302
    peer = Peer.objects.get()
    assert document()["peers"][0]["xauth"]["password"] == {"$secret": peer.password_version}
    assert delivered()["peers"][0]["xauth"] == {"role": "client", "user": "carol", "password": PASSWORD}
    assert_nowhere(PASSWORD, SECRET)
    page = browser.get(f"/vpn/peers/{peer.uuid}/").content.decode()
    assert PASSWORD not in page and re.search(r'<details [^>]*id="access"[^>]* open', page)


def test_clients_from_a_pool(browser: Client, site: Any) -> None:
    assert browser.post("/vpn/users/", {"user_name": "carol", "user_password": PASSWORD}).status_code == 302
    changes = {
        "authentication": "hybrid",
        "certificate": OWN.chain_pem,
        "private_key": OWN.key_pem,
        "remote": "any",
        "xauth_role": "server",
        "config_role": "server",
        "pool": "10.9.0.0/24",
        "pool_dns": "10.1.0.53",
        "split_subnets": "10.1.0.0/25\n10.3.0.0/24",
        "split_exclude": "10.3.0.128/25",
        "banner": "Hello",
        "default_domain": "Example.com",
        "save_password": "on",
        "remote_subnets": "",
        "start": "responder",
        "trusted_cas": ROOT.pem,
    }
    answer = browser.post(NEW, fields(**changes))
    assert answer.status_code == 302, answer.context["form"].errors
    peer = Peer.objects.get()
    sent = delivered()
    row = sent["peers"][0]
    assert sent["pools"] == [{"name": str(peer.uuid), "addresses": "10.9.0.0/24", "dns": ["10.1.0.53"]}]
    assert sent["xauth"]["users"] == [{"name": "carol", "password": PASSWORD}]
    assert row["mode_config"]["pool"] == str(peer.uuid) and row["mode_config"]["save_password"] is True
    assert row["local_subnets"] == ["10.1.0.0/25", "10.3.0.0/24"] and row["remote_subnets"] == []
    assert "trusted_cas" not in row, "in hybrid authentication there is no place for it"
    config = parse_config(sent).peers[0]
    assert config.mode_config is not None and config.mode_config.role == "server"
    assert config.mode_config.banner == "Hello" and config.mode_config.split_exclude == ("10.3.0.128/25",)
    page = browser.get(f"/vpn/peers/{peer.uuid}/").content.decode()
    assert "10.1.0.0/25\n10.3.0.0/24" in page and "10.9.0.0/24" in page
    assert "clients, from 10.9.0.0/24" in browser.get("/vpn/").content.decode()
    assert_nowhere(PASSWORD, *secret_lines(OWN))


def test_a_client_need_not_follow_the_gateways_list(browser: Client) -> None:
    changes = {"secret": SECRET, "config_role": "client", "start": "immediate"}
    assert browser.post(NEW, fields(**changes, unity="off")).status_code == 302
    row = delivered()["peers"][0]
    assert row["mode_config"] == {"role": "client", "way": "pull", "unity": False} and row["local_subnets"] == []
    page = browser.get(f"/vpn/peers/{Peer.objects.get().uuid}/").content.decode()
    assert re.search(r'<option value="off" selected>Neither told', page)


def test_selectors_stand_in_place_of_subnets(browser: Client) -> None:
    lines = "10.1.0.0/24, 10.2.0.0/24, tcp, any, 443\n10.1.0.5-10.1.0.9, 10.2.0.0/24, icmp\n10.1.0.0/24, 10.4.0.0/24"
    assert browser.post(NEW, fields(secret=SECRET, remote_subnets="", selectors=lines)).status_code == 302
    row = document()["peers"][0]
    assert row["selectors"][0] == {
        "local": "10.1.0.0/24",
        "remote": "10.2.0.0/24",
        "protocol": 6,
        "remote_port": 443,
    }
    assert row["local_subnets"] == row["remote_subnets"] == []
    found = parse_config(delivered()).peers[0].selectors
    assert [(s.protocol, s.local_port, s.remote_port) for s in found] == [(6, 0, 443), (1, 0, 0), (0, 0, 0)]
    assert lines in browser.get(f"/vpn/peers/{Peer.objects.get().uuid}/").content.decode()
    assert "10.2.0.0/24, 10.4.0.0/24 (selectors)" in browser.get("/vpn/").content.decode()


def test_users_are_added_changed_and_removed(browser: Client) -> None:
    save = {"user_name": "carol", "user_password": PASSWORD}
    assert browser.post("/vpn/users/", save).status_code == 302
    first = VpnUser.objects.get().password_fingerprint
    assert browser.post("/vpn/users/", save | {"user_password": "another password"}).status_code == 302
    carol = VpnUser.objects.get()
    assert carol.password_fingerprint != first
    assert delivered()["xauth"]["users"][0]["password"] == "another password"
    page = browser.get("/vpn/users/").content.decode()
    assert "carol" in page and "another password" not in page and carol.password_fingerprint in page
    short = browser.post("/vpn/users/", {"user_name": "dave", "user_password": "short"})
    assert "at least 8 characters" in str(short.context["form"].errors)
    browser.post(NEW, fields(secret=SECRET, xauth_role="server"))
    refused = browser.post(f"/vpn/users/{carol.uuid}/delete/", follow=True)
    assert "Nobody can come in" in refused.content.decode() and VpnUser.objects.exists()
    vpn.delete_peer(Peer.objects.get(), None)
    browser.post(f"/vpn/users/{carol.uuid}/delete/")
    assert not VpnUser.objects.exists() and "xauth" not in document()


def test_foreign_users_do_not_exist(browser: Client, site: Any) -> None:
    from dashboard.accounts import services as accounts
    from dashboard.fleet import services as fleet

    carol = vpn.save_user(site.pk, "carol", PASSWORD, None)
    stranger = accounts.create_administrator(email="b@example.com", name="B", password="a-long-passphrase-8")
    fleet.create_organization(name="P", site_name="T", administrator_id=stranger.pk)
    client = Client()
    assert client.get("/vpn/users/").status_code == 302
    client.force_login(stranger)
    assert client.post(f"/vpn/users/{carol.uuid}/delete/").status_code == 404
    assert "carol" not in client.get("/vpn/users/").content.decode()
    assert Client(enforce_csrf_checks=True).post("/vpn/users/").status_code == 403


def test_a_large_file_is_refused(browser: Client) -> None:
    large = SimpleUploadedFile("crl.pem", b"x" * 2_000_001)
    answer = browser.post(NEW, certified(crl_file=large))
    assert "larger than 2 MB" in str(answer.context["form"].errors["crl"])
