"""How the two ends prove themselves: the pre-shared secret's alternatives, users, and addresses from a pool."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pydantic
from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from dashboard.sitevpn import certificates
from dashboard.sitevpn.certificates import Summary
from dashboard.sitevpn.lines import LinesField
from dashboard.sitevpn.models import Peer
from vpnengine.contract.problems import problems_of
from vpnengine.contract.remote_access import AddressPool, ConfigServer
from vpnengine.contract.types import subnet

MAX_FILE = 2_000_000
MAX_CAS = 64
# Field → the one that a file is uploaded with.
FILES = {name: f"{name}_file" for name in ("certificate", "private_key", "trusted_cas", "crl")}
_READERS: dict[str, Callable[[bytes], Any]] = {
    "certificate": certificates.read_certificates,
    "private_key": certificates.read_key,
    "trusted_cas": certificates.read_certificates,
    "crl": certificates.read_crl,
}
REMOTE_ACCESS = (
    *(
        "xauth_role",
        "xauth_user",
        "xauth_password",
        "config_role",
        "config_way",
        "unity",
        "pool",
        "pool_dns",
        "split_subnets",
    ),
    *("split_exclude", "banner", "default_domain", "save_password"),
)
_SERVER_TEXTS = ("banner", "default_domain")


def _address(line: str) -> str:
    try:
        return str(ipaddress.IPv4Address(line))
    except ValueError:
        raise ValueError(f"“{line}” is no IPv4 address") from None


class PublicArea(forms.Textarea):
    """A text area for what anybody may see; a private key that was put into it by mistake does not come back."""

    def format_value(self, value: Any) -> str | None:
        """The text, unless a private key is in it."""
        return "" if "PRIVATE KEY" in str(value) else super().format_value(value)


class SecretArea(forms.Textarea):
    """A text area whose contents never come back to the page."""

    def format_value(self, value: Any) -> str | None:
        """Nothing."""
        return ""


def _area(rows: int, kind: type[forms.Textarea] = PublicArea) -> forms.Textarea:
    return kind(attrs={"rows": rows, "spellcheck": "false", "autocomplete": "off"})


def _upload(label: str) -> forms.FileField:
    return forms.FileField(label=f"{label} from a file", required=False, widget=forms.FileInput())


class AuthenticationForm(forms.Form):
    """Certificates, users and assigned addresses, as a part of the peer's form."""

    authentication = forms.ChoiceField(
        label="Authentication",
        required=False,
        choices=Peer.Authentication.choices,
        help_text="How the two gateways prove who they are; both are set to the same.",
    )
    certificate = forms.CharField(
        label="Certificate",
        required=False,
        widget=_area(4),
        help_text="This side's own, PEM, then the CAs between it and the root. Shown to the other gateway.",
    )
    certificate_file = _upload("Certificate")
    private_key = forms.CharField(
        label="Private key",
        required=False,
        widget=_area(3, SecretArea),
        help_text="Of that certificate, PEM, without a passphrase.",
    )
    private_key_file = _upload("Private key")
    trusted_cas = forms.CharField(
        label="Trusted CAs",
        required=False,
        widget=_area(4),
        help_text="The certificates of the CAs that may have issued the other gateway's, PEM; or that one itself.",
    )
    trusted_cas_file = _upload("Trusted CAs")
    crl = forms.CharField(
        label="Revocation list",
        required=False,
        widget=_area(2),
        help_text="What those CAs have revoked, PEM. Not fetched by itself: enter a new one before this is out of "
        "date, or nobody is let in.",
    )
    crl_file = _upload("Revocation list")
    xauth_role = forms.ChoiceField(
        label="Users (XAUTH)",
        required=False,
        choices=[
            ("", "None"),
            ("client", "This side logs in as a user"),
            ("server", "The peer logs in as one of the users here"),
        ],
        help_text="After the gateways have proven themselves, one of them also shows a user's name and password.",
    )
    xauth_user = forms.CharField(
        label="User name",
        required=False,
        max_length=128,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    xauth_password = forms.CharField(
        label="User's password",
        required=False,
        strip=False,
        max_length=128,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    config_role = forms.ChoiceField(
        label="Addresses (Mode Config)",
        required=False,
        choices=[
            ("", "None: the subnets of both sides are entered"),
            ("client", "The peer gives this side an address"),
            ("server", "This side gives clients addresses from a pool"),
        ],
    )
    config_way = forms.ChoiceField(
        label="Given",
        required=False,
        choices=[("pull", "When the client asks (pull)"), ("push", "By itself (push)")],
    )
    unity = forms.ChoiceField(
        label="Split lists (Cisco Unity)",
        required=False,
        choices=[("on", "Told and followed, if both ends know them"), ("off", "Neither told nor followed")],
        help_text="With a split list only the listed subnets go into the client's tunnel, and the rest beside it.",
    )
    pool = forms.CharField(
        label="Address pool",
        required=False,
        max_length=64,
        help_text="A subnet or a range that is used for nothing else, like 10.9.0.0/24 or 10.9.0.10-10.9.0.99.",
    )
    pool_dns = LinesField(
        label="Name servers", read=_address, show=str, most=4, help_text="Told to the clients, one a line."
    )
    split_subnets = LinesField(
        label="Split subnets",
        read=subnet,
        show=str,
        most=256,
        help_text="What clients reach through the tunnel, one a line; 0.0.0.0/0 is all. Empty: this site's local "
        "subnets.",
    )
    split_exclude = LinesField(
        label="Not through the tunnel",
        read=subnet,
        show=str,
        most=64,
        help_text="Subnets that clients reach directly all the same, one a line.",
    )
    banner = forms.CharField(label="Banner", required=False, max_length=1024, help_text="Shown to users who log in.")
    default_domain = forms.CharField(label="Default domain", required=False, max_length=253)
    save_password = forms.BooleanField(label="Clients may keep the password", required=False)

    @staticmethod
    def authentication_initial(peer: Peer) -> dict[str, Any]:
        """The fields' values for what is stored; of secrets there are none."""
        stored, access = peer.certificates, peer.remote_access
        xauth, config, pool = (access.get(name, {}) for name in ("xauth", "mode_config", "pool"))
        return {
            "authentication": peer.authentication,
            "certificate": stored.get("certificate", ""),
            "trusted_cas": "".join(stored.get("trusted_cas", [])),
            "crl": stored.get("crl", ""),
            "xauth_role": xauth.get("role", ""),
            "xauth_user": xauth.get("user", ""),
            "config_role": config.get("role", ""),
            "config_way": config.get("way", "pull"),
            "unity": "on" if config.get("unity", True) else "off",
            "pool": pool.get("addresses", ""),
            "pool_dns": pool.get("dns", []),
            "split_subnets": access.get("split_subnets", []),
            "split_exclude": config.get("split_exclude", []),
            "banner": config.get("banner", ""),
            "default_domain": config.get("default_domain", ""),
            "save_password": config.get("save_password", False),
        }

    def say_what_is_kept(self, peer: Peer) -> None:
        """Secrets are never shown again; the hint says that there is one."""
        for name, print_ in (("private_key", peer.key_fingerprint), ("xauth_password", peer.password_fingerprint)):
            if print_:
                self.fields[name].help_text = f"One is set (fingerprint {print_}). Leave this empty to keep it."

    def clean_authentication(self) -> str:
        """The pre-shared secret, unless another way is chosen."""
        return self.cleaned_data["authentication"] or Peer.Authentication.PSK

    def read_certificates(self, data: dict[str, Any]) -> dict[str, Any]:
        """What was pasted or uploaded, as parts of a ``PeerConfig``; errors are added to the fields."""
        found: dict[str, Any] = {}
        for name, upload in FILES.items():
            raw = self._raw(name, data.get(name) or "", data.get(upload))
            if not raw:
                continue
            try:
                found[name] = _READERS[name](raw)
            except ValueError as error:
                self.add_error(name, str(error))
        data["private_key"] = found.pop("private_key", "")
        if "certificate" in found:
            found["certificate"] = "".join(found["certificate"])
        if len(found.get("trusted_cas", [])) > MAX_CAS:
            self.add_error("trusted_cas", f"{len(found['trusted_cas'])} are too many; at most {MAX_CAS}.")
        return found

    def _raw(self, name: str, text: str, upload: Any) -> bytes:
        """A file counts more than what stands in the field, which may be the old one."""
        if upload is None:
            return str(text).strip().encode()
        if upload.size > MAX_FILE:
            self.add_error(name, f"This file is larger than {MAX_FILE // 1_000_000} MB.")
            return b""
        content: bytes = upload.read()
        return content

    def remote_access_of(self, data: dict[str, Any]) -> dict[str, Any]:
        """Users and addresses, as they are stored; errors are added to the fields."""
        found: dict[str, Any] = {}
        role = data.get("xauth_role")
        if role == "client":
            if not data.get("xauth_user"):
                self.add_error("xauth_user", "Enter the user's name that the peer knows.")
            found["xauth"] = {"role": role, "user": data.get("xauth_user", "")}
        elif role:
            found["xauth"] = {"role": role}
        config = data.get("config_role")
        if config:
            found["mode_config"] = {"role": config, "way": data.get("config_way") or "pull"}
        if config and data.get("unity") == "off":
            found["mode_config"]["unity"] = False
        if config == "server":
            found["pool"] = self._pool(data)
            found["mode_config"] |= self._told(data)
            if data.get("split_subnets"):
                found["split_subnets"] = data["split_subnets"]
        return found

    def _pool(self, data: dict[str, Any]) -> dict[str, Any]:
        pool = {"addresses": data.get("pool", ""), "dns": data.get("pool_dns") or []}
        if not pool["addresses"]:
            self.add_error("pool", "Enter the addresses for clients, like 10.9.0.0/24.")
            return pool
        try:
            pool["addresses"] = AddressPool(name="pool", **pool).addresses
        except pydantic.ValidationError as error:
            self.add_error("pool", _sentences(error))
        return pool

    def _told(self, data: dict[str, Any]) -> dict[str, Any]:
        told = {name: data[name] for name in (*_SERVER_TEXTS, "split_exclude", "save_password") if data.get(name)}
        try:
            ConfigServer(role="server", pool="pool", **told)
        except pydantic.ValidationError as error:
            for problem in problems_of(error):
                field = problem.field.split(".")[0]
                self.add_error(field if field in self.fields else None, _upper(problem.message))
        return told

    @property
    def certificate_summaries(self) -> dict[str, list[Summary]]:
        """What the stored certificates say, for the page."""
        stored = self.instance.certificates  # type: ignore[attr-defined]
        now = timezone.now()
        texts = {"own": stored.get("certificate", ""), "cas": "".join(stored.get("trusted_cas", []))}
        return {name: certificates.summaries(text, now) for name, text in texts.items()}

    @property
    def access_open(self) -> bool:
        """True if the page shows users and addresses at once."""
        return bool(self.instance.remote_access) or any(  # type: ignore[attr-defined]
            name in self.errors for name in REMOTE_ACCESS
        )


def _sentences(error: pydantic.ValidationError) -> list[str]:
    return [_upper(problem.message) for problem in problems_of(error)]


def _upper(message: str) -> str:
    return message[:1].upper() + message[1:].rstrip(".") + "."


def check_own(certificate: str, key: str, method: str) -> ValidationError | None:
    """What is wrong with this side's certificate and key together, at the field it is to be mended in."""
    if not certificates.belongs(certificate, key):
        return ValidationError({"private_key": "This key does not belong to the certificate."})
    kind = certificates.key_kind(certificate)
    wanted = "rsa" if method == "hybrid" else method
    if kind != wanted:
        text = f"The certificate has a key of kind {kind}; choose the authentication for it, or another certificate."
        return ValidationError({"authentication": text})
    return None
