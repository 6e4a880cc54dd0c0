"""Sign-in attempts: started by a command or a page, finished by the OAuth callback or a pasted address.

Each attempt is a row, identified by OAuth's `state` value, which returns with Google's answer. Any listener
in any process can finish any attempt, and attempts may run concurrently. An answer counts once: an UPDATE
that changes one row or none claims it.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.credentials.encryption import CredentialsUnreadable, seal, unseal
from accounts.google.client_check import check_client
from accounts.google.oauth import ClientSecretWrong, TokenEndpointDown
from accounts.google.oauth_errors import explain
from accounts.google.sign_in import (
    CodeRefused,
    SignedIn,
    SignInFailed,
    authorization_url,
    exchange_code,
    new_code_verifier,
)
from accounts.kinds.registry import KINDS
from accounts.models import Account, ClientProblem, SharedToken, SignIn
from accounts.sign_in.pasted_address import CALLBACK_PATH, AnswerUnusable, parse_pasted
from accounts.values.outside import word

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_STATE = 64
KEPT = timedelta(days=30)
TRY_AGAIN = "Copy the whole address once more; or open Google's page again and sign in anew."


def callback_ports() -> range:
    """Return the ports for the callback server, in the order to try them."""
    return range(settings.OAUTH_CALLBACK_PORT, settings.OAUTH_CALLBACK_PORT + 6)


def start(*, port: int, started_by: str, terms_accepted: bool, login_hint: str = "") -> SignIn:
    """Create an attempt. `port` is the one the callback server has bound, or the first of `callback_ports`
    when the address will be pasted.

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


def check(attempt: SignIn) -> str:
    """Check the OAuth client before the operator signs in; returns a note about what could not be checked, or
    "".

    Raises ClientSecretWrong or TokenEndpointDown, which end the attempt.
    """
    try:
        return check_client(google_address(attempt), attempt.redirect_uri)
    except (ClientSecretWrong, TokenEndpointDown) as error:
        attempt.status, attempt.reason = SignIn.Status.FAILED, str(error)
        attempt.save(update_fields=["status", "reason"])
        raise


def google_address(attempt: SignIn) -> str:
    """Google's authorization URL of this attempt."""
    return authorization_url(
        state=attempt.state,
        code_verifier=unseal(attempt.sealed_code_verifier),
        redirect_uri=attempt.redirect_uri,
        login_hint=attempt.login_hint,
    )


def refresh_status(attempt: SignIn) -> SignIn:
    """Reload the attempt, marking it as expired first when its lifetime is over."""
    too_old = timezone.now() - SignIn.LIFETIME
    SignIn.objects.filter(pk=attempt.pk, status__in=SignIn.WAITING, started_at__lte=too_old).update(
        status=SignIn.Status.EXPIRED, reason="Nobody signed in within ten minutes."
    )
    attempt.refresh_from_db()
    return attempt


# Google's answer


def finish_from_callback(query: Mapping[str, str]) -> SignIn:
    """Finish an attempt from the query of the redirect address, for the callback server.

    Raises AnswerUnusable for an unknown state value, and for an answer that was already used.
    """
    state = word(query.get("state"), LONGEST_STATE)
    attempt = SignIn.objects.filter(state=state).first() if state else None
    if attempt is None:
        raise AnswerUnusable("This address belongs to no sign-in that was started here.")
    return _finish(attempt, query)


def finish_from_paste(attempt: SignIn, pasted: str) -> SignIn:
    """Finish an attempt from the pasted redirect address or the bare code.

    Raises AnswerUnusable, also when Google refuses the code; the attempt then stays pending.
    """
    answer = parse_pasted(pasted)
    _check_state(attempt, answer)
    if error := answer.get("error"):
        raise AnswerUnusable(f"{explain(error)} {TRY_AGAIN}")
    _finish(attempt, answer, is_final=False)
    if attempt.status == SignIn.Status.PENDING:
        raise AnswerUnusable(f"{attempt.reason} {TRY_AGAIN}")
    return attempt


def _finish(attempt: SignIn, answer: Mapping[str, str], *, is_final: bool = True) -> SignIn:
    """Complete or fail the attempt; it stays pending when Google refuses the code and `is_final` is not set.

    Raises AnswerUnusable when the answer is not for this attempt.
    """
    _check_state(attempt, answer)
    if "code" not in answer and "error" not in answer:
        raise AnswerUnusable("Google's answer holds neither a code nor an error.")
    _claim(attempt)
    try:
        if error := answer.get("error"):
            raise SignInFailed(explain(error))
        signed_in = exchange_code(
            code=answer["code"],
            code_verifier=unseal(attempt.sealed_code_verifier),
            redirect_uri=attempt.redirect_uri,
        )
        attempt.account = store(signed_in, terms_accepted=attempt.terms_accepted)
        attempt.reason = _remarks(attempt.login_hint, signed_in)
        attempt.status = SignIn.Status.COMPLETED
    except ClientSecretWrong as error_:
        ClientProblem.note(str(error_))
        attempt.status, attempt.reason = SignIn.Status.FAILED, str(error_)
    except (SignInFailed, CredentialsUnreadable) as error_:
        can_go_on = isinstance(error_, CodeRefused) and not is_final
        attempt.status = SignIn.Status.PENDING if can_go_on else SignIn.Status.FAILED
        attempt.reason = str(error_)
    finally:
        if attempt.status == SignIn.Status.FINISHING:
            attempt.status, attempt.reason = SignIn.Status.FAILED, "The gateway failed; its log says why."
        attempt.save(update_fields=["status", "reason", "account"])
    return attempt


def _check_state(attempt: SignIn, answer: Mapping[str, str]) -> None:
    """Raise AnswerUnusable when the answer has another attempt's state value."""
    state = answer.get("state")
    if state is not None and not secrets.compare_digest(
        state.encode("utf-8", "replace"), attempt.state.encode()
    ):
        raise AnswerUnusable("That address belongs to another sign-in. Use the one of this sign-in.")


def _claim(attempt: SignIn) -> None:
    refresh_status(attempt)
    pending = SignIn.objects.filter(pk=attempt.pk, status=SignIn.Status.PENDING)
    if pending.update(status=SignIn.Status.FINISHING) != 1:
        attempt.refresh_from_db()
        raise AnswerUnusable(
            f"This sign-in is over ({attempt.get_status_display().lower()}). Start a new one."
        )
    attempt.refresh_from_db()


def _remarks(asked: str, signed_in: SignedIn) -> str:
    """Return remarks for the operator about a successful sign-in: another account than asked for, missing
    scopes."""
    remarks = []
    if asked and asked != signed_in.email:
        remarks.append(f"You asked for {asked}, but signed in as {signed_in.email}.")
    if missing := signed_in.missing_scopes:
        remarks.append(
            f"Google has not granted {' and '.join(missing)}; the account works without. To have it granted, "
            "sign in again and tick every box."
        )
    return " ".join(remarks)


def store(signed_in: SignedIn, *, terms_accepted: bool) -> Account:
    """Add the account, or store the new refresh token of a known one and reset its state to OK."""
    with transaction.atomic():
        account = Account.objects.filter(email=signed_in.email).first() or Account(email=signed_in.email)
        account.credential = KINDS[account.kind].credential(signed_in.refresh_token)
        account.enter_state(Account.State.OK)
        if terms_accepted:
            account.terms_accepted_at = account.terms_accepted_at or timezone.now()
        account.save()
        SharedToken.objects.filter(account=account).delete()
        ClientProblem.clear()
    return account
