"""Attempts to sign in: started by a command or a page, finished by whoever brings Google's answer.

Each attempt is a row. Its state value names it to Google, and comes back with the answer; so any listener
and any process can finish any attempt, and attempts do not disturb one another. An answer counts once: it is
claimed by an UPDATE that changes one row or none.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.credentials import CredentialsUnreadable, seal, unseal
from accounts.google.oauth import ClientSecretWrong
from accounts.google.sign_in import (
    SignedIn,
    SignInFailed,
    authorization_url,
    exchange_code,
    new_code_verifier,
)
from accounts.models import Account, ClientProblem, SharedToken, SignIn
from accounts.outside_values import word
from accounts.plain_text import fitting

if TYPE_CHECKING:
    from collections.abc import Mapping

CALLBACK_PATH = "/oauth-callback"
SHORTEST_CODE = 10
LONGEST_STATE = 64
KEPT = timedelta(days=30)


class AnswerUnusable(Exception):
    """What was brought is no answer to this attempt, which goes on waiting. The text is for the operator."""


def callback_ports() -> range:
    """In the order to try them."""
    return range(settings.OAUTH_CALLBACK_PORT, settings.OAUTH_CALLBACK_PORT + 6)


def start(*, port: int, started_by: str, terms_accepted: bool, login_hint: str = "") -> SignIn:
    """`port` is the one a listener has bound, or the first when the answer will be pasted.

    Raises ClientSecretWrong when no client id is set.
    """
    attempt = SignIn(
        state=secrets.token_hex(16),
        sealed_code_verifier=seal(new_code_verifier()),
        redirect_uri=f"http://localhost:{port}{CALLBACK_PATH}",
        login_hint=login_hint,
        terms_accepted=terms_accepted,
        started_by=started_by,
    )
    google_address(attempt)
    SignIn.objects.filter(started_at__lt=timezone.now() - KEPT).delete()
    attempt.save()
    return attempt


def google_address(attempt: SignIn) -> str:
    """Where the person signs in."""
    return authorization_url(
        state=attempt.state,
        code_verifier=unseal(attempt.sealed_code_verifier),
        redirect_uri=attempt.redirect_uri,
        login_hint=attempt.login_hint,
    )


def refresh_status(attempt: SignIn) -> SignIn:
    """As it is now; one whose time is over is marked as expired on the way."""
    waiting = [SignIn.Status.PENDING, SignIn.Status.FINISHING]
    too_old = timezone.now() - SignIn.LIFETIME
    SignIn.objects.filter(pk=attempt.pk, status__in=waiting, started_at__lte=too_old).update(
        status=SignIn.Status.EXPIRED, reason="Nobody signed in within ten minutes."
    )
    attempt.refresh_from_db()
    return attempt


# Google's answer


def finish_from_callback(query: Mapping[str, str]) -> SignIn:
    """For the listener: `query` is what Google appended to the redirect address.

    Raises AnswerUnusable for a stranger, and for an answer that was already used.
    """
    state = word(query.get("state"), LONGEST_STATE)
    attempt = SignIn.objects.filter(state=state).first() if state else None
    if attempt is None:
        raise AnswerUnusable("This address belongs to no sign-in that was started here.")
    return _finish(attempt, query)


def finish_from_paste(attempt: SignIn, pasted: str) -> SignIn:
    """`pasted` is the address the browser ended at, or the code alone. Raises AnswerUnusable."""
    return _finish(attempt, parse_pasted(pasted))


def parse_pasted(pasted: str) -> dict[str, str]:
    text = pasted.strip()
    if "://" in text or text.startswith(("?", "code=", "localhost", "127.0.0.1")):
        answer = _query_of(text)
        if "code" not in answer and "error" not in answer:
            raise AnswerUnusable(
                f"That address holds no code. Copy the whole address of the page that could not be opened, "
                f"it begins with http://localhost and contains {CALLBACK_PATH}?"
            )
        return answer
    if len(text) < SHORTEST_CODE or not text.isascii() or any(character.isspace() for character in text):
        raise AnswerUnusable("That is neither the address nor a code.")
    return {"code": unquote(text)}


def _query_of(address: str) -> dict[str, str]:
    """Of a whole address or its end; the first value of each name. Empty for what is no address."""
    try:
        query = urlsplit(address).query or address.lstrip("?")
        return {name: values[0] for name, values in parse_qs(query).items()}
    except ValueError:
        return {}


def _finish(attempt: SignIn, answer: Mapping[str, str]) -> SignIn:
    """The attempt, completed or failed. Raises AnswerUnusable when it is not for this attempt."""
    state = answer.get("state")
    if state is not None and not secrets.compare_digest(
        state.encode("utf-8", "replace"), attempt.state.encode()
    ):
        raise AnswerUnusable("That address belongs to another sign-in. Use the one of this sign-in.")
    if "code" not in answer and "error" not in answer:
        raise AnswerUnusable("Google's answer holds neither a code nor an error.")
    _claim(attempt)
    try:
        if error := answer.get("error"):
            raise SignInFailed(_explain(error))
        signed_in = exchange_code(
            code=answer["code"],
            code_verifier=unseal(attempt.sealed_code_verifier),
            redirect_uri=attempt.redirect_uri,
        )
        attempt.account = store(signed_in, terms_accepted=attempt.terms_accepted)
        attempt.reason = _other_account(attempt.login_hint, signed_in.email)
        attempt.status = SignIn.Status.COMPLETED
    except ClientSecretWrong as error_:
        ClientProblem.note(str(error_))
        attempt.status, attempt.reason = SignIn.Status.FAILED, str(error_)
    except (SignInFailed, CredentialsUnreadable) as error_:
        attempt.status, attempt.reason = SignIn.Status.FAILED, str(error_)
    finally:
        if attempt.status == SignIn.Status.FINISHING:
            attempt.status, attempt.reason = SignIn.Status.FAILED, "The gateway failed; its log says why."
        attempt.save(update_fields=["status", "reason", "account"])
    return attempt


def _claim(attempt: SignIn) -> None:
    refresh_status(attempt)
    pending = SignIn.objects.filter(pk=attempt.pk, status=SignIn.Status.PENDING)
    if pending.update(status=SignIn.Status.FINISHING) != 1:
        attempt.refresh_from_db()
        raise AnswerUnusable(
            f"This sign-in is over ({attempt.get_status_display().lower()}). Start a new one."
        )
    attempt.refresh_from_db()


def _explain(error: str) -> str:
    if error == "access_denied":
        return "The sign-in was cancelled at Google, or the account may not use this program."
    return f"Google refused the sign-in: {fitting(error, 100)}."


def _other_account(asked: str, came: str) -> str:
    return "" if not asked or asked == came else f"You asked for {asked}, but signed in as {came}."


def store(signed_in: SignedIn, *, terms_accepted: bool) -> Account:
    """Add the account, or give the known one its new sign-in and a fresh start."""
    with transaction.atomic():
        account = Account.objects.filter(email=signed_in.email).first() or Account(email=signed_in.email)
        account.refresh_token = signed_in.refresh_token
        account.enter_state(Account.State.OK)
        if terms_accepted:
            account.terms_accepted_at = account.terms_accepted_at or timezone.now()
        account.save()
        SharedToken.objects.filter(account=account).delete()
        ClientProblem.clear()
    return account
