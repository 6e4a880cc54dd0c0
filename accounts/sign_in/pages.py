"""Pages to add an account: start a sign-in, show its status, paste the redirect address."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from unfold.widgets import CHECKBOX_CLASSES, INPUT_CLASSES

from accounts.google.oauth import ClientSecretWrong, TokenEndpointDown
from accounts.models import Account, SignIn
from accounts.operators import audit
from accounts.sign_in import attempts
from accounts.sign_in.callback_server import NoPortFree, shared_listener
from accounts.sign_in.pasted_address import AnswerUnusable
from accounts.terms import NOTICE

TEXT = " ".join(INPUT_CLASSES)
CHECKBOX = " ".join(CHECKBOX_CLASSES)


class StartForm(forms.Form):
    email = forms.EmailField(
        label="Account",
        required=False,
        help_text="Optional: Google offers this one first.",
        widget=forms.EmailInput({"class": TEXT, "placeholder": "you@gmail.com"}),
    )
    accept_terms = forms.BooleanField(
        label="I have read this and accept the risk for this account",
        required=False,
        widget=forms.CheckboxInput({"class": CHECKBOX}),
    )


@never_cache
def start(request: HttpRequest) -> HttpResponse:
    known = _known_account(request)
    initial = {"email": known.email if known else "", "accept_terms": bool(known and known.terms_accepted_at)}
    form = StartForm(request.POST or None, initial=initial)
    problem = ""
    if request.method == "POST" and form.is_valid():
        try:
            attempt = _start(request, form.cleaned_data)
        except (ClientSecretWrong, TokenEndpointDown) as error:
            problem = str(error)
        else:
            return HttpResponseRedirect(reverse("admin:accounts_sign_in", args=[attempt.pk]))
    context = {"form": form, "problem": problem, "notice": NOTICE, "title": "Add an account"}
    return _page(request, "accounts/sign_in_start.html", context)


@never_cache
def attempt(request: HttpRequest, number: int) -> HttpResponse:
    """The page of one attempt; a POST finishes it with the pasted address."""
    current = attempts.refresh_status(get_object_or_404(SignIn, pk=number))
    problem = ""
    if request.method == "POST":
        try:
            attempts.finish_from_paste(current, request.POST.get("pasted", "")[:8192])
        except AnswerUnusable as error:
            problem = str(error)
        else:
            return HttpResponseRedirect(request.path)
    return _page(request, "accounts/sign_in.html", {**_context(current), "problem": problem})


@never_cache
def status(request: HttpRequest, number: int) -> HttpResponse:
    """The status part of the page, polled by htmx every second while the attempt is pending."""
    current = attempts.refresh_status(get_object_or_404(SignIn, pk=number))
    response = render(request, "accounts/sign_in_status.html", _context(current))
    if current.status not in SignIn.WAITING:
        response.headers["HX-Refresh"] = "true"  # reload the page, whose other parts change, too
    return response


def _start(request: HttpRequest, cleaned: dict[str, Any]) -> SignIn:
    """Raises ClientSecretWrong or TokenEndpointDown."""
    try:
        port = shared_listener().port
    except NoPortFree:
        port = attempts.callback_ports()[0]  # without a callback server the address must be pasted
    current = attempts.start(
        port=port,
        started_by=request.user.get_username(),
        terms_accepted=cleaned["accept_terms"],
        login_hint=cleaned["email"].lower(),
    )
    attempts.check(current)
    audit.record(request.user, "Started a sign-in at Google")
    return current


def _known_account(request: HttpRequest) -> Account | None:
    account_id = request.GET.get("account", "")
    return Account.objects.filter(pk=account_id).first() if account_id.isdecimal() else None


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
