"""The pages of alerts and syslog."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from dashboard.core.permissions import needs
from dashboard.eventlog import selectors as eventlog
from dashboard.notify import selectors, services
from dashboard.notify.forms import ChannelForm, MailServerForm, RuleForm, SyslogForm
from dashboard.notify.models import Channel, Delivery, Rule, SyslogTarget
from dashboard.notify.targets import Unreachable
from dashboard.notify.triggers import BY_KEY


def _organization(request: HttpRequest) -> int:
    return int(request.access.organization.pk)


@needs(get="organization_read")
def alerts(request: HttpRequest) -> HttpResponse:
    """Rules, channels, the mail server, and what was sent."""
    organization_id = _organization(request)
    state = request.GET.get("state", "")
    state = state if state in Delivery.State.values else ""
    rules = [
        (row, [BY_KEY[key].title for key in row.triggers if key in BY_KEY]) for row in selectors.rules(organization_id)
    ]
    context = {
        "rules": rules,
        "channels": selectors.channels(organization_id),
        "server": selectors.mail_server(organization_id),
        "deliveries": selectors.deliveries(organization_id, state),
        "dead": selectors.dead_count(organization_id),
        "state": state,
        "states": Delivery.State.choices,
    }
    return render(request, "notify/alerts.html", context)


def _form_page(request: HttpRequest, form: ModelForm, title: str, back: str, **more: Any) -> HttpResponse:
    context = {"form": form, "title": title, "back": back, **more}
    return render(request, "notify/form.html", context, status=400 if form.is_bound else 200)


@needs(get="organization_read", post="organization_edit")
def mail_server(request: HttpRequest) -> HttpResponse:
    """The server that takes the mail."""
    row = selectors.mail_server(_organization(request))
    form = MailServerForm(request.POST or None, instance=row)
    if request.method == "POST" and form.is_valid():
        services.save_mail_server(form.save(commit=False), form.cleaned_data["password"])
        messages.success(request, _("The mail server is saved. Send a test from an e-mail channel."))
        return redirect("alerts")
    return _form_page(request, form, _("Mail server"), "alerts", kept=row.password_fingerprint)


@needs(get="organization_read", post="organization_edit")
def channel(request: HttpRequest, uuid: UUID | None = None) -> HttpResponse:
    """Add or change a channel."""
    organization_id = _organization(request)
    row = selectors.channel(organization_id, uuid) if uuid else Channel(organization_id=organization_id)
    form = ChannelForm(request.POST or None, instance=row)
    if request.method == "POST" and form.is_valid():
        changed = form.save(commit=False)
        changed.recipients = form.cleaned_data["recipients"]
        secret = services.save_channel(changed, form.cleaned_data["url"])
        if secret:
            return _secret_page(request, changed, secret)
        messages.success(request, _("Channel “%(name)s” is saved.") % {"name": row.name})
        return redirect("alerts")
    delete = "alert-channel-delete" if uuid else ""
    return _form_page(request, form, _("Channel"), "alerts", delete=delete, uuid=uuid, row=row)


def _secret_page(request: HttpRequest, row: Channel, secret: str) -> HttpResponse:
    response = render(request, "notify/secret.html", {"row": row, "secret": secret})
    response["Cache-Control"] = "no-store"
    return response


@needs(post="organization_edit")
def channel_secret(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Give a webhook another signing secret, and show it this once."""
    row = selectors.channel(_organization(request), uuid)
    if row.kind != Channel.Kind.WEBHOOK:
        raise Http404("Only webhooks are signed.")
    return _secret_page(request, row, services.renew_secret(row))


@needs(post="organization_edit")
def test_channel(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Send a test by a channel."""
    row = selectors.channel(_organization(request), uuid)
    services.test_channel(row, str(request.user))
    messages.success(request, _("A test is on its way by “%(name)s”; see below what becomes of it.") % {"name": row})
    return redirect("alerts")


@needs(post="organization_edit")
def delete_channel(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Remove a channel."""
    services.delete(selectors.channel(_organization(request), uuid))
    messages.success(request, _("The channel is removed."))
    return redirect("alerts")


@needs(get="organization_read", post="organization_edit")
def rule(request: HttpRequest, uuid: UUID | None = None) -> HttpResponse:
    """Add or change a rule."""
    organization_id = _organization(request)
    row = selectors.rule(organization_id, uuid) if uuid else Rule(organization_id=organization_id)
    form = RuleForm(request.POST or None, instance=row)
    if request.method == "POST" and form.is_valid():
        services.save_rule(form.save(commit=False), form.cleaned_data["channels"])
        messages.success(request, _("Rule “%(name)s” is saved.") % {"name": row.name})
        return redirect("alerts")
    return _form_page(request, form, _("Alert rule"), "alerts", delete="alert-rule-delete" if uuid else "", uuid=uuid)


@needs(post="organization_edit")
def delete_rule(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Remove a rule."""
    services.delete(selectors.rule(_organization(request), uuid))
    messages.success(request, _("The rule is removed."))
    return redirect("alerts")


@needs(post="organization_edit")
def again(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Send once more what was given up."""
    row = selectors.delivery(_organization(request), uuid)
    if row.state == Delivery.State.DEAD:
        services.again(row)
        messages.success(request, _("It is tried again."))
    return redirect("alerts")


@needs(post="organization_edit")
def delete_delivery(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Forget a delivery."""
    services.discard(selectors.delivery(_organization(request), uuid))
    return redirect("alerts")


@needs(get="organization_read")
def syslog_servers(request: HttpRequest) -> HttpResponse:
    """Where events go as they happen, and how far each server has come."""
    organization_id = _organization(request)
    _first, last = eventlog.bounds(organization_id)
    targets = [(row, max(0, last - row.seq)) for row in selectors.syslog_targets(organization_id)]
    return render(request, "notify/syslog.html", {"targets": targets})


@needs(get="organization_read", post="organization_edit")
def syslog_server(request: HttpRequest, uuid: UUID | None = None) -> HttpResponse:
    """Add or change a syslog server."""
    organization_id = _organization(request)
    row = selectors.syslog_target(organization_id, uuid) if uuid else SyslogTarget(organization_id=organization_id)
    form = SyslogForm(request.POST or None, instance=row)
    if request.method == "POST" and form.is_valid():
        services.save_syslog(form.save(commit=False))
        messages.success(request, _("Syslog server “%(name)s” is saved.") % {"name": row.name})
        return redirect("syslog")
    return _form_page(request, form, _("Syslog server"), "syslog", delete="syslog-delete" if uuid else "", uuid=uuid)


@needs(post="organization_edit")
def test_syslog(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Send a line and say what came of it."""
    row = selectors.syslog_target(_organization(request), uuid)
    try:
        services.test_syslog(row, str(request.user))
    except Unreachable as error:
        messages.error(request, _("The test failed: %(reason)s.") % {"reason": error})
    except OSError as error:
        messages.error(request, _("The test failed: %(reason)s.") % {"reason": error.strerror or error})
    else:
        messages.success(request, _("A line was sent to “%(name)s”; look for “test” there.") % {"name": row.name})
    return redirect("syslog")


@needs(post="organization_edit")
def delete_syslog(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Remove a syslog server."""
    services.delete(selectors.syslog_target(_organization(request), uuid))
    messages.success(request, _("The syslog server is removed."))
    return redirect("syslog")
