"""A new third-party peer from five questions, which can be left and come back to.

What was answered is a draft in the session, one per site. The secret is in it sealed with the keyring, for one user
and one day; of what was typed and is not valid yet everything else is kept too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from dashboard.core.permissions import needs
from dashboard.core.subnets import sentence
from dashboard.peerside import selectors as peerside
from dashboard.sitevpn import sealed, selectors, services
from dashboard.sitevpn import wizard_summary as summaries
from dashboard.sitevpn.presets import BY_KEY
from dashboard.sitevpn.wizard_forms import (
    MAKERS,
    AddressForm,
    MakerForm,
    Question,
    SecretForm,
    StartForm,
    SubnetsForm,
    secret_problem,
    starts,
    strong_secret,
)
from vpnengine.contract.problems import Problem, Refused

_SESSION = "peer-wizard"
_MAX_KEPT = 20_000  # characters of one field that a draft keeps; more is in no valid answer
SUMMARY = "summary"
_FORMS: dict[str, tuple[str | Promise, type[Question]]] = {
    "maker": (gettext_lazy("Who is the other side?"), MakerForm),
    "address": (gettext_lazy("Where is it?"), AddressForm),
    "subnets": (gettext_lazy("What is behind it?"), SubnetsForm),
    "secret": (gettext_lazy("What do both sides know?"), SecretForm),
    "start": (gettext_lazy("When does it start?"), StartForm),
}
# Where a problem of the engine is mended: the last part of its path that is known → question.
_PLACES = {
    "name": "maker",
    "remote": "address",
    "remote_subnets": "subnets",
    "local_subnets": "subnets",
    "psk": "secret",
    "secret": "secret",
    "start": "start",
}


@dataclass(frozen=True)
class Step:
    """One step: ``told`` says in a few words what was answered."""

    key: str
    title: str | Promise
    done: bool
    told: str = ""


class Draft:
    """The answers so far: of each question what was ``typed``, and what is ``valid``."""

    def __init__(self, request: HttpRequest) -> None:
        self._session, self._user_id = request.session, request.user.pk
        self._site = str(request.access.site.uuid)
        self._parts: dict[str, dict[str, Any]] = dict(self._session.get(_SESSION, {}).get(self._site, {}))

    @property
    def answers(self) -> dict[str, Any]:
        """All valid answers in one."""
        found: dict[str, Any] = {}
        for part in self._parts.values():
            found |= part.get("valid") or {}
        return found

    def typed(self, key: str) -> dict[str, Any]:
        """What stands in the fields of a question."""
        return dict(self._parts.get(key, {}).get("typed", {}))

    @property
    def secret(self) -> str:
        """The secret; empty if there is none, or if it is too old."""
        return sealed.opened(self.answers.get("sealed", ""), self._user_id)

    def keep(self, key: str, typed: dict[str, Any], valid: dict[str, Any] | None) -> None:
        """Keep an answer; ``valid`` is None if it is not."""
        self._parts[key] = {"typed": typed, "valid": valid}
        self._write(self._parts)

    def keep_secret(self, secret: str, source: str) -> None:
        """Keep the secret, sealed."""
        self.keep("secret", {}, {"sealed": sealed.seal(secret, self._user_id), "source": source})

    def discard(self) -> None:
        """Forget everything."""
        self._parts = {}
        self._write({})

    def _write(self, parts: dict[str, Any]) -> None:
        drafts = dict(self._session.get(_SESSION, {}))
        drafts.pop(self._site, None)
        self._session[_SESSION] = drafts | ({self._site: parts} if parts else {})

    def unfinished(self, key: str) -> bool:
        """True if something was typed that is no answer yet."""
        part = self._parts.get(key, {})
        return bool(part.get("typed")) and not part.get("valid")

    def done(self, key: str) -> bool:
        """True if a question is answered, and the answers to the others have left it valid."""
        answers = self.answers
        if key == "secret":
            secret = self.secret
            return bool(secret) and not secret_problem(secret, answers.get("maker", ""))
        if key == "start":
            return answers.get("start") in dict(starts(answers))
        return bool(self._parts.get(key, {}).get("valid"))


def _steps(draft: Draft) -> list[Step]:
    answers = draft.answers
    told = {
        "maker": f"{answers.get('name')}, {dict(MAKERS).get(answers.get('maker', ''), '')}",
        "address": _("It calls us") if answers.get("remote") == "any" else str(answers.get("remote", "")),
        "subnets": _shortened(answers.get("remote_subnets", [])),
        "secret": _("Generated here") if answers.get("source") == "generate" else _("Entered"),
        "start": str(dict(starts(answers)).get(answers.get("start", ""), "")),
    }
    questions = [Step(key, title, draft.done(key), told[key]) for key, (title, _form) in _FORMS.items()]
    return [*questions, Step(SUMMARY, _("Look and save"), False)]


def _shortened(subnets: list[str]) -> str:
    return ", ".join(subnets[:3]) + (", …" if len(subnets) > 3 else "")


@sensitive_variables("secret")
@sensitive_post_parameters("secret")
@needs(get="edit", post="edit")
def wizard(request: HttpRequest) -> HttpResponse:
    """The next open question, the one that is asked for again, or the summary."""
    draft = Draft(request)
    if request.method == "POST" and request.POST.get("go") == "discard":
        draft.discard()
        return redirect("peer-wizard")
    steps = _steps(draft)
    step = _chosen(steps, request.GET.get("step", ""))
    if step.key == SUMMARY:
        return _summary(request, draft, steps)
    return _question(request, draft, step)


def _chosen(steps: list[Step], wanted: str) -> Step:
    """What is asked for, if everything before it is answered."""
    following = next(step for step in steps if not step.done)
    reachable = [step for step in steps if step.done or step is following]
    return next((step for step in reachable if step.key == wanted), following)


def _question(request: HttpRequest, draft: Draft, step: Step) -> HttpResponse:
    form = _form(request, draft, step.key)
    secret = ""
    if request.method == "POST":
        valid = form.is_valid()
        secret = _keep(draft, step.key, form, valid)
        if request.POST.get("go") == "back":
            before = [*_FORMS][max(0, [*_FORMS].index(step.key) - 1)]
            return redirect(f"{reverse('peer-wizard')}?step={before}")
        if valid and not secret:
            return redirect("peer-wizard")
    steps = _steps(draft)
    context = {
        **_frame(request, draft, steps, step),
        "form": form,
        "secret": secret,
        "lost": _lost(draft) if step.key == "secret" else "",
        "retype": step.key == "secret" and form.is_bound and bool(form.errors) and bool(form.data.get("secret")),
        "subnets": [row.subnet for row in selectors.subnets(request.access.site.pk) if row.in_vpn],
    }
    return render(request, "sitevpn/wizard.html", context)


def _frame(request: HttpRequest, draft: Draft, steps: list[Step], step: Step) -> dict[str, Any]:
    """What every step of the page shows."""
    count = sum(one.done for one in steps)
    return {"steps": steps, "step": step, "done": count, "begun": bool(draft.answers), "site": request.access.site}


def _form(request: HttpRequest, draft: Draft, key: str) -> Question:
    """The form of a question. What was typed and is not valid yet comes back with what is wrong with it."""
    typed = draft.typed(key)
    data: Any = typed if draft.unfinished(key) else None
    if request.method == "POST":
        data = request.POST
    more: dict[str, Any] = {"kept": draft.done(key)} if key == "secret" else {}
    return _FORMS[key][1](data, answers=draft.answers, site_id=request.access.site.pk, initial=typed, **more)


def _lost(draft: Draft) -> str:
    """Why a secret that was set has to be set again; empty if there was none."""
    if "sealed" not in draft.answers or draft.done("secret"):
        return ""
    if not draft.secret:
        return _("A secret is kept for one day, which is over: it has to be set again.")
    problem = secret_problem(draft.secret, draft.answers.get("maker", ""))
    return _("The secret that was set does not suit this gateway. %(problem)s") % {"problem": problem}


def _keep(draft: Draft, key: str, form: Question, valid: bool) -> str:
    """Put the answer into the draft. A secret that was generated is returned, to be shown this once."""
    if key != "secret":
        names = [name for name in form.fields if len(form.data.get(name, "")) <= _MAX_KEPT]
        typed = {name: form.data[name] for name in names if name in form.data}
        draft.keep(key, typed, dict(form.cleaned_data) if valid else None)
        return ""
    if not valid or form.cleaned_data["source"] == "keep" or form.data.get("go") == "back":
        return ""
    source = form.cleaned_data["source"]
    secret = strong_secret() if source == "generate" else form.cleaned_data["secret"]
    draft.keep_secret(secret, source)
    return secret if source == "generate" else ""


def _summary(request: HttpRequest, draft: Draft, steps: list[Step]) -> HttpResponse:
    answers, site = draft.answers, request.access.site
    problems: list[Problem] = []
    if request.method == "POST":
        preset = request.POST.get("preset", "")
        if preset in BY_KEY:
            draft.keep(SUMMARY, {}, {"preset": preset, "for": answers["maker"]})
        if request.POST.get("go") == "save" or "change-review" in request.POST:
            try:
                return _saved(request, draft)
            except Refused as refused:
                problems = refused.problems
        elif preset in BY_KEY:
            return redirect("peer-wizard")
    found = summaries.summary(site, _with_preset(draft))
    context = {
        **_frame(request, draft, steps, steps[-1]),
        "summary": found,
        "problems": [_told(problem) for problem in (*problems, *found.problems)],
        "maker": dict(MAKERS)[answers["maker"]],
        "generated": answers.get("source") == "generate",
        "ours": [row.subnet for row in selectors.subnets(site.pk) if row.in_vpn],
    }
    return render(request, "sitevpn/wizard_summary.html", context)


def _with_preset(draft: Draft) -> dict[str, Any]:
    """The answers; a policy that was chosen for another maker is none for this one."""
    answers = draft.answers
    return answers | ({} if answers.get("for") == answers["maker"] else {"preset": ""})


def _told(problem: Problem) -> tuple[str, str, str | Promise]:
    """A problem as a sentence, with the question where it is mended and its title, both empty if it is none."""
    parts = [_PLACES[part] for part in problem.field.split(".") if part in _PLACES]
    key = parts[-1] if parts else ""
    return sentence(problem.message), key, _FORMS[key][0] if key else ""


def _saved(request: HttpRequest, draft: Draft) -> HttpResponse:
    """Save, and go on to what the other side has to have.

    :raises Refused: if the resulting configuration is not valid; the draft stays.
    """
    answers = _with_preset(draft)
    peer = services.save_peer(
        summaries.peer_of(request.access.site, answers), secret=draft.secret, author_id=request.user.pk
    )
    if "change-review" not in request.POST:  # the session is not undone with the rest
        draft.discard()
    messages.success(request, _("Peer “%(name)s” is saved. The other side needs what follows.") % {"name": peer.name})
    vendor = peerside.vendor(answers["maker"])
    return redirect(reverse("other-side", args=[peer.uuid]) + (f"?vendor={vendor.key}" if vendor else ""))
