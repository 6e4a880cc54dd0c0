"""The start and the end of a sign-in on a page, the same on the dashboard and in the admin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms

from accounts.google.oauth import ClientSecretWrong, TokenEndpointDown
from accounts.models import Account
from accounts.operators import audit
from accounts.sign_in import attempts
from accounts.sign_in.callback_server import NoPortFree, shared_listener
from accounts.sign_in.pasted_address import AnswerUnusable

if TYPE_CHECKING:
    from django.http import HttpRequest

    from accounts.models import SignIn

LONGEST_PASTE = 8192


class StartForm(forms.Form):
    problem = ""
    """Why the sign-in could not be started."""

    email = forms.EmailField(
        label="Account",
        required=False,
        help_text="Optional: Google offers this one first.",
        widget=forms.EmailInput({"placeholder": "you@gmail.com"}),
    )
    accept_terms = forms.BooleanField(
        label="I have read this and accept the risk for this account", required=False
    )

    @classmethod
    def of(cls, request: HttpRequest, account: Account | None = None) -> StartForm:
        """Return the form for a new account, or for signing in again as `account`."""
        initial = {
            "email": account.email if account else "",
            "accept_terms": bool(account and account.terms_accepted_at),
        }
        return cls(request.POST or None, initial=initial)

    def posted(self, request: HttpRequest) -> SignIn | None:
        """Return the sign-in that a valid posted form has started. Else None, and `problem` says why when
        Google's OAuth client or token endpoint does not work."""
        if request.method != "POST" or not self.is_valid():
            return None
        try:
            return self._start(request)
        except (ClientSecretWrong, TokenEndpointDown) as error:
            self.problem = str(error)
            return None

    def _start(self, request: HttpRequest) -> SignIn:
        try:
            port = shared_listener().port
        except NoPortFree:
            port = attempts.callback_ports()[0]  # without a callback server the address must be pasted
        attempt = attempts.start(
            port=port,
            started_by=request.user.get_username(),
            terms_accepted=self.cleaned_data["accept_terms"],
            login_hint=self.cleaned_data["email"].lower(),
        )
        attempts.check(attempt)
        audit.record(request.user, "Started a sign-in at Google")
        return attempt


def finish_from_form(request: HttpRequest, attempt: SignIn) -> str:
    """Finish the attempt with the address that was pasted into the form. Returns why that is not possible, or
    "" when it is finished."""
    try:
        attempts.finish_from_paste(attempt, request.POST.get("pasted", "")[:LONGEST_PASTE])
    except AnswerUnusable as error:
        return str(error)
    return ""


def chosen_kind(request: HttpRequest, account: Account | None) -> str:
    """Return the kind of account to add; "" while none is chosen. It is the kind of `account` when that is
    renewed."""
    if account is not None:
        return account.kind
    kind = request.POST.get("kind") or request.GET.get("kind", "")
    return kind or ("google" if request.method == "POST" else "")


def account_to_sign_in_again(request: HttpRequest) -> Account | None:
    """Return the account that the query names by its number, as in `?account=3`; None when there is no such
    account."""
    number = request.GET.get("account", "")
    is_number = number.isascii() and number.isdecimal() and len(number) < 19
    return Account.objects.filter(pk=number).first() if is_number else None
