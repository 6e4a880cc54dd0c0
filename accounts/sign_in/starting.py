"""The start of a sign-in on a page, the same on the dashboard and in the admin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms

from accounts.models import Account
from accounts.operators import audit
from accounts.sign_in import attempts
from accounts.sign_in.callback_server import NoPortFree, shared_listener

if TYPE_CHECKING:
    from django.http import HttpRequest

    from accounts.models import SignIn


class StartForm(forms.Form):
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

    def start(self, request: HttpRequest) -> SignIn:
        """Start the sign-in that the valid form asks for.

        Raises ClientSecretWrong or TokenEndpointDown.
        """
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
