"""`/accounts/N/action`: an action on one account, by a button. htmx gets the part of the page with the
button, including the result of the action. A browser without JavaScript is redirected back, and shown the
result there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponseBadRequest, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts import actions
from accounts.models import Account
from accounts.status.required_action import required_action
from dashboard.pages import operator_page
from dashboard.views.accounts.cards import Said, cards_of
from dashboard.views.accounts.forms import FORMS
from dashboard.views.accounts.pages import facts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from django.http import HttpRequest, HttpResponse

    from accounts.inspection import CheckResult
    from dashboard.views.accounts.forms import AccountForm

    Check = Callable[[actions.Operator, Iterable[Account]], list[CheckResult]]
    Change = Callable[[actions.Operator, Iterable[Account]], None]

CHECKS: dict[str, tuple[Check, str, str]] = {
    "verify": (actions.verify, "Checked: it works.", "Checked: it cannot be used."),
    "refresh": (actions.refresh_quota, "Quota refreshed.", "The quota could not be read."),
}
"""The checks by the action's name, with the message of a success and the beginning of that of a failure."""
CHANGES: dict[str, tuple[Change, str]] = {
    "enable": (actions.enable, "Switched on."),
    "disable": (actions.disable, "Switched off. Answers that are on their way are finished."),
    "accept_terms": (actions.accept_terms, "Notice accepted."),
}
TRY_AGAIN = "Try again in a minute; if it fails again, the page Logs says more."


@operator_page
@require_POST
def account_action(request: HttpRequest, number: int) -> HttpResponse:
    account = get_object_or_404(Account, pk=number)
    action = request.POST.get("action", "")
    if action not in {*CHECKS, *CHANGES, *FORMS, "project"}:
        return HttpResponseBadRequest("There is no such action.")
    form = FORMS[action](request.POST) if action in FORMS else None
    said = _act(request, account, action, form)
    account = get_object_or_404(Account, pk=number)
    if request.htmx:  # type: ignore[attr-defined]  # set by HtmxMiddleware
        return _part(request, account, said, None if said.is_good else form)
    level = messages.SUCCESS if said.is_good else messages.WARNING
    messages.add_message(request, level, f"{account}: {said.text}")
    return HttpResponseRedirect(_back(request, number))


def _act(request: HttpRequest, account: Account, action: str, form: AccountForm | None) -> Said:
    if action in CHECKS:
        check, success, failure = CHECKS[action]
        (result,) = check(request.user, [account])
        return _failed(result, failure) if result.problem else Said(success)
    if action in CHANGES:
        change, text = CHANGES[action]
        change(request.user, [account])
        return Said(text)
    try:
        return _set(request, account, form)
    except ValidationError as error:
        return Said(" ".join(error.messages), is_good=False)


def _failed(result: CheckResult, failure: str) -> Said:
    """Return a message that says what happened, why, and what to do about it."""
    account = Account.objects.filter(pk=result.account_id).first()
    action = required_action(account) if account is not None else None
    reason = f"{result.problem.rstrip('.')}."
    if result.is_unreachable:
        return Said(f"It could not be checked, and is as it was. {reason} {TRY_AGAIN}", is_good=False)
    return Said(f"{failure} {reason} {action.what_to_do if action else TRY_AGAIN}", is_good=False)


def _set(request: HttpRequest, account: Account, form: AccountForm | None) -> Said:
    """Store the values of a form. Raises ValidationError."""
    if form is None:
        actions.set_project(request.user, account, request.POST.get("project", "").strip())
        return Said("Project set." if account.project_id else "The project is looked up at the next check.")
    if not form.is_valid():
        return Said(f"The {form.action} were not changed.", is_good=False)
    form.store(request.user, account)
    return Said(f"{form.action.capitalize()} set.")


def _part(request: HttpRequest, account: Account, said: Said, form: AccountForm | None) -> HttpResponse:
    """Return the part of the page that the form names: a card, a row of the table, or the account's own
    page."""
    part = request.POST.get("part")
    if part == "page":
        return render(request, "dashboard/accounts/_facts.html", facts_of(account, said, form))
    template = "_row.html" if part == "row" else "_card.html"
    context: dict[str, Any] = {"card": cards_of([account], said)[0]}
    return render(request, f"dashboard/accounts/{template}", context)


def _back(request: HttpRequest, number: int) -> str:
    part, accounts = request.POST.get("part"), reverse("dashboard:accounts")
    if part == "overview":
        return reverse("dashboard:overview")
    if part == "page":
        return reverse("dashboard:account", args=[number])
    return f"{accounts}?as={'table' if part == 'row' else 'cards'}"
