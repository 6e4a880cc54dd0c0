"""Pages of the admin to add an account: start a sign-in, show its status, paste the redirect address."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from unfold.widgets import CHECKBOX_CLASSES, INPUT_CLASSES

from accounts.adding.forms import KeyForm
from accounts.kinds.registry import KEYED, KINDS
from accounts.models import Account, SignIn
from accounts.sign_in import attempts
from accounts.sign_in.starting import StartForm, account_to_sign_in_again, chosen_kind, finish_from_form
from accounts.terms import NOTICE


class UnfoldForm(StartForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].widget.attrs["class"] = " ".join(INPUT_CLASSES)
        self.fields["accept_terms"].widget.attrs["class"] = " ".join(CHECKBOX_CLASSES)


class UnfoldKeyForm(KeyForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if isinstance(field, forms.BooleanField):
                field.widget.attrs["class"] = " ".join(CHECKBOX_CLASSES)
            elif not isinstance(field.widget, forms.RadioSelect):
                field.widget.attrs["class"] = " ".join(INPUT_CLASSES)


@never_cache
def start(request: HttpRequest) -> HttpResponse:
    """Show the kinds of account, or the form of the chosen kind."""
    account = account_to_sign_in_again(request)
    kind = chosen_kind(request, account)
    if kind in KEYED:
        return _start_with_key(request, kind, account)
    if kind in KINDS:
        return _start_sign_in(request, account)
    context = {"kinds": KINDS.items(), "is_unknown": bool(kind), "title": "Add an account"}
    return _page(request, "accounts/kinds.html", context)


def _start_with_key(request: HttpRequest, kind: str, account: Account | None) -> HttpResponse:
    form = UnfoldKeyForm(request.POST or None, kind=kind, account=account)
    if form.posted(request) is not None:
        return HttpResponseRedirect(reverse("admin:accounts_account_changelist"))
    title = f"A new key for {account}" if account else f"Add an account: {KINDS[kind].title}"
    context = {"form": form, "problem": form.problem, "kind": KINDS[kind], "kind_name": kind, "title": title}
    return _page(request, "accounts/key.html", context)


def _start_sign_in(request: HttpRequest, account: Account | None) -> HttpResponse:
    form = UnfoldForm.of(request, account)
    if (started := form.posted(request)) is not None:
        return HttpResponseRedirect(reverse("admin:accounts_sign_in", args=[started.pk]))
    context = {"form": form, "problem": form.problem, "notice": NOTICE, "title": "Add an account"}
    return _page(request, "accounts/sign_in_start.html", context)


@never_cache
def attempt(request: HttpRequest, number: int) -> HttpResponse:
    """Show the page of one attempt; a POST finishes it with the pasted address."""
    current = attempts.refresh_status(get_object_or_404(SignIn, pk=number))
    problem = finish_from_form(request, current) if request.method == "POST" else ""
    if request.method == "POST" and not problem:
        return HttpResponseRedirect(request.path)
    return _page(request, "accounts/sign_in.html", {**_context(current), "problem": problem})


@never_cache
def status(request: HttpRequest, number: int) -> HttpResponse:
    """Show the status part of the page, which htmx polls every second while the attempt is pending."""
    current = attempts.refresh_status(get_object_or_404(SignIn, pk=number))
    response = render(request, "accounts/sign_in_status.html", _context(current))
    if current.status not in SignIn.WAITING:
        response.headers["HX-Refresh"] = "true"  # reload the page, whose other parts change, too
    return response


def _context(current: SignIn) -> dict[str, Any]:
    waiting = current.status in SignIn.WAITING
    return {
        "attempt": current,
        "is_waiting": waiting,
        "google_address": attempts.google_address(current) if waiting else "",
        "title": "Sign in at Google",
    }


def _page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    return render(request, template, {**admin.site.each_context(request), **context})
