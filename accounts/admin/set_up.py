"""The one-time page on which the first operator chooses a password, and which leads to the overview.

The server's banner shows its address.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import login
from django.contrib.auth.password_validation import validate_password
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import get_script_prefix
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from unfold.widgets import INPUT_CLASSES

from accounts.network import is_loopback, is_private
from accounts.operators import audit, passwords


def _password_input() -> forms.PasswordInput:
    return forms.PasswordInput({"class": " ".join(INPUT_CLASSES), "autocomplete": "new-password"})


class PasswordForm(forms.Form):
    password = forms.CharField(widget=_password_input(), strip=False, max_length=200)
    again = forms.CharField(label="The same again", widget=_password_input(), strip=False, max_length=200)

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        validate_password(password)
        return password

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "password" in cleaned and cleaned.get("again") != cleaned["password"]:
            self.add_error("again", "The two are not the same.")
        return cleaned


@never_cache
@sensitive_post_parameters()
def set_up(request: HttpRequest, token: str) -> HttpResponse:
    """Show the set-up page, on this machine only, while the link is valid and there is no operator; else
    404."""
    address = request.META.get("REMOTE_ADDR") or ""
    is_near = is_private(address) if settings.IN_CONTAINER else is_loopback(address)
    if not is_near or not passwords.is_set_up_token(token):
        raise Http404
    form = PasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        operator = passwords.use_set_up_token(token, form.cleaned_data["password"])
        if operator is None:
            raise Http404
        audit.record(operator, "Chose the operator's password by the set-up link", operator, audit.ADDITION)
        login(request, operator, backend="django.contrib.auth.backends.ModelBackend")
        return HttpResponseRedirect(get_script_prefix())
    context = {"form": form, "title": "Welcome", **admin.site.each_context(request)}
    return render(request, "accounts/set_up.html", context)
