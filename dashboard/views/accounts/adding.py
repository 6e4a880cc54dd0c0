"""`/accounts/add` and `/accounts/sign-in/N`: add an account, or renew the credential of `?account=N`.

The operator chooses a kind first. A key is checked and stored at once. For a Google account the page shows
the notice, opens Google's sign-in in a window of its own, and waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from accounts.adding.forms import KeyForm
from accounts.kinds.registry import KEYED, KINDS
from accounts.models import SignIn
from accounts.sign_in import attempts
from accounts.sign_in.starting import StartForm, account_to_sign_in_again, chosen_kind, finish_from_form
from accounts.terms import NOTICE
from dashboard.pages import operator_page, render_page
from dashboard.views.accounts.forms import ThresholdsForm

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from accounts.models import Account


@operator_page
def add(request: HttpRequest) -> HttpResponse:
    account = account_to_sign_in_again(request)
    kind = chosen_kind(request, account)
    if kind in KEYED:
        return _add_key(request, kind, account)
    if kind in KINDS:
        return _add_google(request, account)
    context = {"here": "accounts", "kinds": KINDS.items(), "is_unknown": bool(kind)}
    return render_page(request, "adding/kinds.html", context)


def _add_key(request: HttpRequest, kind: str, account: Account | None) -> HttpResponse:
    form = KeyForm(request.POST or None, kind=kind, account=account)
    if (added := form.posted(request)) is not None:
        return HttpResponseRedirect(reverse("dashboard:account", args=[added.pk]))
    context = {
        "here": "accounts",
        "account": account,
        "form": form,
        "problem": form.problem,
        "kind": KINDS[kind],
        "kind_name": kind,
    }
    return render_page(request, "adding/key.html", context)


def _add_google(request: HttpRequest, account: Account | None) -> HttpResponse:
    form = StartForm.of(request, account)
    if (started := form.posted(request)) is not None:
        return HttpResponseRedirect(reverse("dashboard:sign_in", args=[started.pk]))
    context = {
        "here": "accounts",
        "account": account,
        "form": form,
        "problem": form.problem,
        "notice": NOTICE,
        "has_client": bool(settings.OAUTH_CLIENT_ID),
    }
    return render_page(request, "adding/add.html", context)


@operator_page
def sign_in(request: HttpRequest, number: int) -> HttpResponse:
    """Show the page of one attempt; a POST finishes it with the pasted address."""
    attempt = attempts.refresh_status(get_object_or_404(SignIn, pk=number))
    problem = finish_from_form(request, attempt) if request.method == "POST" else ""
    if request.method == "POST" and not problem:
        return HttpResponseRedirect(request.path)
    return render_page(request, "adding/sign_in.html", {**_context(attempt), "problem": problem})


@operator_page
def status(request: HttpRequest, number: int) -> HttpResponse:
    """Show the attempt's status. htmx asks for it each second while the attempt is pending, and opens the
    page anew at the end; a reload would post a pasted address again."""
    attempt = attempts.refresh_status(get_object_or_404(SignIn, pk=number))
    context = _context(attempt)
    response = render(request, "dashboard/adding/_status.html", context)
    if not context["is_waiting"]:
        response.headers["HX-Redirect"] = reverse("dashboard:sign_in", args=[attempt.pk])
    return response


def _context(attempt: SignIn) -> dict[str, Any]:
    is_waiting = attempt.status in SignIn.WAITING
    return {
        "here": "accounts",
        "attempt": attempt,
        "is_waiting": is_waiting,
        "google_address": attempts.google_address(attempt) if is_waiting else "",
        "account": attempt.account,
        "thresholds": ThresholdsForm.of(attempt.account) if attempt.account else None,
        "notice": NOTICE,
    }
