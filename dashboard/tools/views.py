"""The page of ping and traceroute; what a run says comes again by itself."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from dashboard.core.permissions import needs
from dashboard.tools import command, selectors, services
from dashboard.tools.forms import RunForm
from dashboard.tools.models import Run


@needs(get="read", post="operate")
def tools(request: HttpRequest) -> HttpResponse:
    """The form, the run that was asked for, and earlier ones."""
    form, status = RunForm(request.POST if request.method == "POST" else None), 200
    if form.is_bound and form.is_valid():
        try:
            started = services.start(request.access.site, **form.cleaned_data)
        except services.TooMuch as problem:
            form.add_error(None, str(problem))
            status = 429
        except command.NotUsable as problem:
            form.add_error(None, str(problem))
        else:
            return redirect(f"{reverse('tools')}?run={started.uuid}")
    runs = selectors.newest(request.access.site.pk)
    context = {"form": form, "runs": runs, "run": _chosen(request, runs)}
    return render(request, "tools/tools.html", context, status=status)


@needs(get="read")
def run(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The part of the page with one run."""
    sites = [site.pk for site in request.access.sites_where("read")]
    return render(request, "tools/run.html", {"run": selectors.run_at(sites, uuid)})


def _chosen(request: HttpRequest, runs: list[Run]) -> Run | None:
    with suppress(ValueError, Http404):
        return selectors.run_at([request.access.site.pk], UUID(request.GET.get("run", "")))
    return runs[0] if runs else None
