"""The forms of alerts and syslog."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, validate_email
from django.utils.translation import gettext_lazy as _

from dashboard.notify import syslog
from dashboard.notify.models import Channel, MailServer, Rule, SyslogTarget
from dashboard.notify.triggers import TRIGGERS
from dashboard.sitevpn import selectors as sitevpn
from dashboard.sitevpn.certificates import read_certificates
from vpnengine.contract.types import host as checked_host

MAX_RECIPIENTS = 20
MAX_CA = 100_000
_PORT = (MinValueValidator(1, _("A port is at least 1.")), MaxValueValidator(65535, _("A port is at most 65535.")))


class _Form(forms.ModelForm):
    """Names are unique within the organization, which the form does not show."""

    def clean_host(self) -> str:
        """A name or address."""
        try:
            return checked_host(self.cleaned_data["host"].strip())
        except ValueError as error:
            raise ValidationError(str(error)) from None

    def clean_name(self) -> str:
        """Say it here, not as an error of the database."""
        name: str = self.cleaned_data["name"].strip()
        rows = type(self.instance).objects.filter(organization_id=self.instance.organization_id, name__iexact=name)
        if rows.exclude(pk=self.instance.pk).exists():
            raise ValidationError(_("“%(name)s” is already the name of another one."), params={"name": name})
        return name


class MailServerForm(_Form):
    """Where mail is handed in."""

    port = forms.IntegerField(validators=_PORT, help_text=_("587 for STARTTLS, 465 for TLS, 25 within a network."))
    password = forms.CharField(
        required=False,
        strip=False,
        max_length=256,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("Empty keeps the one that is stored."),
    )

    class Meta:
        model = MailServer
        fields = ("host", "port", "security", "username", "sender")


class ChannelForm(_Form):
    """E-mail addresses, or the address of a webhook."""

    recipients = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("For e-mail: one address on each line, at most 20."),
    )
    url = forms.CharField(
        label=_("Webhook's address"),
        required=False,
        max_length=2000,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=_("For a webhook. It is kept like a secret, and only its host is shown. Empty keeps the stored one."),
    )

    class Meta:
        model = Channel
        fields = ("name", "kind", "enabled")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["recipients"].initial = "\n".join(self.instance.recipients)

    def clean_recipients(self) -> list[str]:
        """Addresses, each once."""
        rows = list(dict.fromkeys(self.cleaned_data["recipients"].replace(",", "\n").split()))
        if len(rows) > MAX_RECIPIENTS:
            raise ValidationError(_("At most 20 addresses; %(count)s are entered."), params={"count": len(rows)})
        for row in rows:
            try:
                validate_email(row)
            except ValidationError:
                raise ValidationError(_("“%(row)s” is no e-mail address."), params={"row": row[:80]}) from None
        return rows

    def clean_url(self) -> str:
        """An absolute http or https address without a user in it."""
        url: str = self.cleaned_data["url"].strip()
        if not url:
            return ""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValidationError(_("This is no address of a web server.")) from None
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
            raise ValidationError(_("Enter the whole address, beginning with https://."))
        if parts.username or parts.password:
            raise ValidationError(_("Leave user name and password out of the address."))
        if not url.isascii() or any(sign <= " " for sign in url):
            raise ValidationError(_("Write signs that are not ASCII as %%XX, and no spaces."))
        return url

    def clean(self) -> dict[str, Any]:
        """What the kind needs is there."""
        data: dict[str, Any] = super().clean() or {}
        kind = data.get("kind")
        if kind == Channel.Kind.EMAIL and "recipients" in data and not data["recipients"]:
            self.add_error("recipients", _("Enter at least one e-mail address."))
        if kind == Channel.Kind.WEBHOOK and "url" in data and not data["url"] and self.instance.url_version is None:
            self.add_error("url", _("Enter the address that alerts are sent to."))
        return data


class RuleForm(_Form):
    """What is told to whom."""

    triggers = forms.MultipleChoiceField(
        label=_("Tell when"),
        choices=[(row.key, f"{row.title}. {row.explanation}") for row in TRIGGERS],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose at least one occasion.")},
    )
    peers = forms.CharField(
        label=_("Only for these peers"),
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("The name of one peer on each line. Empty means all of them."),
    )
    hold_s = forms.IntegerField(
        label=_("A tunnel counts as down after, in seconds"),
        initial=60,
        validators=(MinValueValidator(0), MaxValueValidator(86400)),
    )
    quiet_s = forms.IntegerField(
        label=_("Gather more of the same for, in seconds"),
        initial=300,
        validators=(MinValueValidator(0), MaxValueValidator(86400)),
        help_text=_("The first is told at once, those that follow within this time together. 0 tells each."),
    )

    class Meta:
        model = Rule
        fields = ("name", "enabled", "triggers", "peers", "hold_s", "quiet_s", "channels")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = sitevpn.names_of(self.instance.organization_id, self.instance.peers)
        self.initial["peers"] = "\n".join(sorted(names.values()))
        channels = self.fields["channels"]
        channels.queryset = Channel.objects.filter(organization_id=self.instance.organization_id).order_by("name")
        channels.widget = forms.CheckboxSelectMultiple(choices=channels.choices)
        channels.error_messages["required"] = _("Choose at least one channel; make one first if there is none.")

    def clean_peers(self) -> list[str]:
        """The identities of the peers that are named."""
        names = list(dict.fromkeys(row.strip() for row in self.cleaned_data["peers"].splitlines() if row.strip()))
        found = sitevpn.peers_named(self.instance.organization_id, names)
        missing = [name for name in names if name.lower() not in found]
        if missing:
            raise ValidationError(_("There is no peer “%(name)s”."), params={"name": missing[0][:80]})
        return [uuid for name in names for uuid in found[name.lower()]]


class SyslogForm(_Form):
    """Where events are sent as they happen."""

    port = forms.IntegerField(validators=_PORT, help_text=_("514 is usual for UDP and TCP, 6514 for TLS."))
    severity = forms.ChoiceField(label=_("From severity"), choices=[(row, row) for row in syslog.SEVERITIES])
    facility = forms.TypedChoiceField(choices=list(syslog.FACILITIES.items()), coerce=int)
    ca = forms.CharField(
        label=_("Certificate authority (PEM)"),
        required=False,
        max_length=MAX_CA,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=_("For TLS: who signed the server's certificate. Empty means the public authorities."),
    )

    class Meta:
        model = SyslogTarget
        fields = ("name", "enabled", "host", "port", "protocol", "ca", "severity", "facility")

    def clean_ca(self) -> str:
        """PEM certificates, if any."""
        text: str = self.cleaned_data["ca"].strip()
        try:
            return "".join(read_certificates(text.encode())) if text else ""
        except ValueError as error:
            raise ValidationError(str(error)) from None
