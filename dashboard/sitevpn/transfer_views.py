"""The page of export and import."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters

from box.archive import MIN_PASSPHRASE
from dashboard.accounts.confirmation import NotConfirmed, confirm_password
from dashboard.core.permissions import needs
from dashboard.core.subnets import sentence
from dashboard.sitevpn import transfer
from vpnengine.contract.problems import Refused


def _password(label: Any, hint: Any = "", **more: Any) -> forms.CharField:
    widget = forms.PasswordInput(attrs={"autocomplete": "off"})
    return forms.CharField(label=label, help_text=hint, widget=widget, strip=False, max_length=512, **more)


class ExportForm(forms.Form):
    """The passphrase, twice: nobody can open the file without it."""

    prefix = "export"
    passphrase = _password(
        gettext_lazy("Passphrase"),
        gettext_lazy("At least 12 characters. Without it nobody can open the file, and nobody can find it out."),
        min_length=MIN_PASSPHRASE,
    )
    again = _password(gettext_lazy("Passphrase, again"))
    password = _password(gettext_lazy("Your password"), gettext_lazy("The file has every secret of the site in it."))

    def clean(self) -> dict[str, Any]:
        """Both are the same."""
        found = super().clean() or {}
        if "again" in found and found.get("passphrase") not in (None, found["again"]):
            self.add_error("again", _("This is not the passphrase above; enter it again."))
        return found


class LoadForm(forms.Form):
    """A file and its passphrase."""

    prefix = "load"
    file = forms.FileField(label=gettext_lazy("File"), help_text=gettext_lazy("As “Export” has made it."))
    passphrase = _password(gettext_lazy("Passphrase"))
    replace = forms.BooleanField(
        label=gettext_lazy("Replace the VPN configuration of this site"),
        required=False,
        help_text=gettext_lazy("Without this, the import is only tried, and you are told what it would do."),
    )


@needs(get="edit")
def transfer_page(request: HttpRequest) -> HttpResponse:
    """Both forms."""
    return _page(request)


@sensitive_post_parameters()
@needs(post="edit")
def export(request: HttpRequest) -> HttpResponse:
    """The file, for who enters the password again: whoever has it and the passphrase has all secrets of the site."""
    form = ExportForm(request.POST)
    if not form.is_valid():
        return _page(request, export_form=form, status=400)
    site = request.access.site
    try:
        confirm_password(request, form.cleaned_data["password"], "export of a site")
        sealed = transfer.export(site, form.cleaned_data["passphrase"])
    except NotConfirmed as refusal:
        form.add_error("password", str(refusal))
        return _page(request, export_form=form, status=400)
    except Refused as refused:
        _say(form, refused)
        return _page(request, export_form=form, status=400)
    answer = HttpResponse(sealed, content_type="application/octet-stream")
    name = f"{slugify(site.name) or 'site'}-{timezone.now():%Y%m%d-%H%M}.culvert"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Cache-Control"] = "no-store"
    return answer


@sensitive_post_parameters()
@needs(post="edit")
def load(request: HttpRequest) -> HttpResponse:
    """Try an import, or do it."""
    form = LoadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, load_form=form, status=400)
    data = form.cleaned_data
    try:
        plan = transfer.load(
            request.access.site,
            data["file"].read(),
            data["passphrase"],
            request.user.pk,
            dry_run=not data["replace"],
        )
    except Refused as refused:
        _say(form, refused)
        return _page(request, load_form=form, status=400)
    if data["replace"]:
        messages.success(request, _("The configuration is imported and on its way to the appliance."))
        return redirect("sitevpn")
    return _page(request, load_form=form, plan=plan)


def _say(form: forms.Form, refused: Refused) -> None:
    for problem in refused.problems:
        name = problem.field if problem.field in form.fields else None
        label = f"{form.fields[name].label} " if name else ""
        form.add_error(name, sentence(label + problem.message))


def _page(request: HttpRequest, status: int = 200, **more: Any) -> HttpResponse:
    plan = more.get("plan")
    verbs = (("added", _("Added")), ("changed", _("Changed")), ("removed", _("Removed")))
    rows = [(words, title, names) for verb, words in verbs for title, names in getattr(plan, verb, {}).items() if names]
    forms_ = {"export_form": ExportForm(), "load_form": LoadForm()}
    answer = render(request, "sitevpn/transfer.html", {**forms_, **more, "rows": rows}, status=status)
    answer["Cache-Control"] = "no-store"
    return answer
