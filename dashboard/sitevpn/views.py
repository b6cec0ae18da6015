"""The site-to-site VPN page and the form of a peer."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render

from dashboard.core.permissions import needs
from dashboard.fleet import selectors as fleet
from dashboard.publish import selectors as publishing
from dashboard.sitevpn import conflict, explain, peer_table, sealed, selectors, services
from dashboard.sitevpn.authentication_form import FILES
from dashboard.sitevpn.forms import PeerForm, SubnetFormSet, UserForm, parse_subnets, sentence
from dashboard.sitevpn.models import Peer
from dashboard.sitevpn.presets import summary
from vpnengine.contract.problems import Refused


@needs(get="read", post="edit")
def sitevpn(request: HttpRequest) -> HttpResponse:
    """Local subnets, third-party peers, and how far the configuration has come."""
    site = request.access.site
    queryset = site.subnets.order_by("id")
    formset = SubnetFormSet(request.POST or None, queryset=queryset, prefix="subnets")
    problems: list[str] = []
    if request.method == "POST" and formset.is_valid():
        rows = [
            (form.cleaned_data["subnet"], form.cleaned_data["name"], form.cleaned_data["in_vpn"])
            for form in formset.forms
            if form.cleaned_data.get("subnet") and not form.cleaned_data.get("DELETE")
        ]
        try:
            services.save_subnets(site.pk, rows, request.user.pk)
        except Refused as refused:
            problems = [problem.message for problem in refused.problems]
        else:
            messages.success(request, "The local subnets are saved.")
            return redirect("sitevpn")
    asked = peer_table.Asked.of(request.GET)
    page = peer_table.page_of(site.pk, asked)
    peers = list(page.object_list)
    subnets = [row.subnet for row in formset.get_queryset() if row.in_vpn]
    context = {
        "site": site,
        "formset": formset,
        "problems": problems,
        "peers": [(peer, summary(services.policy_of(peer))) for peer in peers],
        "asked": asked,
        "page": page,
        "headings": peer_table.headings(asked),
        "tags": peer_table.tags_of(site.pk, page, asked),
        "previous": asked.query(page=page.previous_page_number()) if page.has_previous() else "",
        "next": asked.query(page=page.next_page_number()) if page.has_next() else "",
        "subnets": subnets,
        "is_ready": bool(subnets and (peers or asked.search or asked.tag)),
        **_state(site.pk),
    }
    return render(request, "sitevpn/site.html", context)


def _state(site_id: int) -> dict[str, Any]:
    """How far the newest revision has come."""
    appliances = fleet.appliances_of(site_id)
    revision = publishing.newest(appliances[0].pk) if appliances else None
    return {
        "revision": revision,
        "refusals": explain.refusals(revision.document, revision.problems) if revision else [],
        "waiting": publishing.waiting_reason(appliances[0].pk) if appliances else "",
    }


@needs(get="read")
def state(request: HttpRequest) -> HttpResponse:
    """The part of the page that says how far the newest revision has come; the page asks for it again and again."""
    return render(request, "sitevpn/state.html", _state(request.access.site.pk))


@needs(post="read")
def check_subnets(request: HttpRequest) -> JsonResponse:
    """What is wrong with subnets that have been typed and not saved."""
    site = request.access.site
    peer = request.POST.get("peer", "")
    try:
        subnets = parse_subnets(request.POST.get("subnets", ""))
        if peer:
            peer = str(selectors.peer(site.pk, UUID(peer)).uuid)
    except ValidationError as error:
        return JsonResponse({"problems": error.messages})
    except ValueError:
        raise Http404 from None
    if request.POST.get("side") == "local" or not subnets:
        return JsonResponse({"problems": []})
    problems = services.subnet_problems(site.pk, subnets, peer or None)
    return JsonResponse({"problems": [sentence(problem) for problem in problems]})


@needs(get="read", post="edit")
def peer(request: HttpRequest, uuid: UUID | None = None) -> HttpResponse:
    """Add or change a peer. What was typed is kept when it is refused, except the secret."""
    site = request.access.site
    row = selectors.peer(site.pk, uuid) if uuid else Peer(site=site)
    data = conflict.resolved(request.POST, row) if request.POST else None
    form = PeerForm(data, request.FILES or None, instance=row)
    if request.method == "POST" and form.is_valid() and _saved(request, form):
        messages.success(request, f"Peer “{row.name}” is saved.")
        return redirect("sitevpn")
    if form.is_bound:
        form.again = _again(form)
    subnets = [subnet.subnet for subnet in selectors.subnets(site.pk) if subnet.in_vpn]
    context = {"form": form, "peer": row, "site": site, "subnets": subnets}
    return render(request, "sitevpn/peer.html", context)


def _again(form: PeerForm) -> str:
    """The secrets and files that were sent: they do not come back to the page, and have to be entered once more."""
    names = [name for name in ("secret", "private_key", "xauth_password") if form.data.get(name)]
    names += [name for name, upload in FILES.items() if upload in form.files and name not in names]
    return ", ".join(f"“{form.fields[name].label}”" for name in names)


@needs(get="read", post="edit")
def users(request: HttpRequest) -> HttpResponse:
    """The users who may log in by XAUTH: add one, or give one another password."""
    site = request.access.site
    form = UserForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        name = form.cleaned_data["user_name"]
        try:
            services.save_user(site.pk, name, form.cleaned_data["user_password"], request.user.pk)
        except Refused as refused:
            for problem in refused.problems:
                form.add_error(None, sentence(problem.message))
        else:
            messages.success(request, f"User “{name}” is saved.")
            return redirect("vpn-users")
    return render(request, "sitevpn/users.html", {"form": form, "site": site, "users": selectors.users(site.pk)})


@needs(post="edit")
def delete_user(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Remove a user."""
    row = selectors.user(request.access.site.pk, uuid)
    try:
        services.delete_user(row, request.user.pk)
    except Refused as refused:
        messages.error(request, " ".join(sentence(problem.message) for problem in refused.problems))
    else:
        messages.success(request, f"User “{row.name}” is removed.")
    return redirect("vpn-users")


def _saved(request: HttpRequest, form: PeerForm) -> bool:
    try:
        services.save_peer(
            form.save(commit=False),
            secret=form.cleaned_data["secret"] or sealed.opened(form.cleaned_data["imported_secret"], request.user.pk),
            private_key=form.cleaned_data["private_key"],
            password=form.cleaned_data["xauth_password"],
            author_id=request.user.pk,
            expected_edit=form.cleaned_data["edit"],
        )
    except Refused as refused:
        form.add_problems(refused.problems)
        return False
    except services.EditConflict:
        form.conflict = conflict.explain(form, form.cleaned_data["edit"])
        form.add_error(None, "Somebody else has changed this peer since you opened it.")
        return False
    return True


@needs(post="edit")
def delete_peer(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Remove a peer."""
    site = request.access.site
    row = selectors.peer(site.pk, uuid)
    services.delete_peer(row, request.user.pk)
    messages.success(request, f"Peer “{row.name}” is removed.")
    return redirect("sitevpn")
