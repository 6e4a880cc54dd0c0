"""What each kind of failure means: for the client, and for what is tried next.

One table, so that the whole policy can be read at once. How long the account cools down is in
accounts/pool/cooldowns.py.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from accounts.command_line import manage
from accounts.credentials.encryption import CredentialsUnreadable
from accounts.database.watch import DatabaseDown
from accounts.google.code_assist import CodeAssistFailed
from accounts.google.errors import Trouble
from accounts.google.oauth import ClientSecretWrong, SignInExpired
from accounts.models import Account
from accounts.service import AccountTrouble, NoProject
from accounts.values.sanitize import truncate
from gateway.errors import (
    GatewayError,
    InvalidRequest,
    NotFound,
    OperatorMustAct,
    Overloaded,
    RateLimited,
    RequestTooLarge,
    Unavailable,
    UpstreamFailed,
    UpstreamTimedOut,
)
from gateway.google_api.sse import MalformedStream
from gateway.translation.response.errors import PromptTooLong, client_message, prompt_too_long
from gateway.translation.response.stream import EmptyAnswer
from gateway.upstreams.cloud_code.upstream import RequestRefused
from gateway.upstreams.transport import TransportFailed, TransportTimedOut

if TYPE_CHECKING:
    from accounts.google.errors import Refusal
    from accounts.pool.pool import PooledAccount

ACCOUNTS_PAGE = "/admin/accounts/account/"


@dataclass(frozen=True, slots=True)
class Verdict:
    error: type[GatewayError]
    """What the client gets when this is the last word."""
    ends_request: bool = False
    """The same everywhere: no other account is tried."""
    is_limit: bool = False
    """The account may answer this very request later: its rest is worth waiting for."""
    is_passing: bool = False
    """Nobody's fault: the next call may succeed. Counts towards UPSTREAM_CALL_LIMIT."""
    state: Account.State | None = None
    """The account leaves the pool until the operator acts."""
    operator_must: str = ""
    """About the account: the client reads this instead of the upstream's own words, which name projects."""

    def as_error(self, refusal: Refusal, account: PooledAccount) -> GatewayError:
        words = client_message(refusal.body) or refusal.message
        error = self.error(without_identifiers(words, account.project_id, account.email))
        error.may_quote_request = True
        return error


def _of_account(operator_must: str, state: Account.State | None = None) -> Verdict:
    return Verdict(OperatorMustAct, state=state, operator_must=operator_must)


PASSING = Verdict(UpstreamFailed, is_passing=True)
SILENCE = Verdict(UpstreamTimedOut, is_passing=True)
WITHOUT_DATABASE = Verdict(Unavailable, is_passing=True)
LIMIT = Verdict(RateLimited, is_limit=True)
MUST_SIGN_IN = _of_account("sign it in again", state=Account.State.INVALID)
WITHOUT_PROJECT = _of_account("give it a Cloud project")
UNREADABLE = _of_account("restore the key that its credentials were encrypted with, or sign it in again")

VERDICTS: dict[Trouble, Verdict] = {
    Trouble.BAD_REQUEST: Verdict(InvalidRequest, ends_request=True),
    Trouble.BAD_SIGNATURE: Verdict(InvalidRequest, ends_request=True),
    Trouble.CLIENT_TOO_OLD: Verdict(OperatorMustAct, ends_request=True),
    Trouble.NOT_FOUND: Verdict(NotFound),
    Trouble.QUOTA: LIMIT,
    Trouble.RATE_LIMIT: LIMIT,
    Trouble.UNKNOWN_LIMIT: LIMIT,
    Trouble.CAPACITY: Verdict(Overloaded),
    Trouble.SERVER_ERROR: PASSING,
    Trouble.ACCESS_TOKEN_REFUSED: _of_account("sign it in again"),
    Trouble.NO_LICENCE: _of_account("get it a licence for this model, or switch it off"),
    Trouble.WRONG_PROJECT: _of_account("give it a Cloud project that it may use, with the API switched on"),
    Trouble.FORBIDDEN: _of_account(f"look it over with `{manage('verifyaccounts')}`"),
    Trouble.NEEDS_VERIFICATION: _of_account("verify it with Google's link", Account.State.NEEDS_VERIFICATION),
    Trouble.DISABLED: _of_account("remove it, or settle it with Google", Account.State.DISABLED_BY_PROVIDER),
}

CLEARLY_TOO_LONG = 1.3
"""So many times the model's maximum, by our estimate, which is good to about 30 % at first."""

TOO_LARGE = Verdict(RequestTooLarge, ends_request=True)


def verdict_on(refusal: Refusal) -> Verdict:
    return TOO_LARGE if refusal.status == 413 else VERDICTS[refusal.trouble]


def named_if_too_long(refusal: Refusal, estimate: int, maximum: int | None) -> Refusal:
    """A prompt that is too long is a bad request in Anthropic's words, whatever it was in the upstream's.

    Gemini answers some of them with 500 INTERNAL (ai.google.dev, Troubleshooting): then the estimate decides
    what the matter is. By itself it never refuses anything.
    """
    too_long = prompt_too_long(refusal.body)
    if too_long is None and refusal.status == 500 and estimate > (maximum or math.inf) * CLEARLY_TOO_LONG:
        too_long = PromptTooLong(None, None)
    if too_long is None:
        return refusal
    sentence = too_long.sentence(estimate, maximum)
    return replace(
        refusal,
        trouble=Trouble.BAD_REQUEST,
        status=400,
        message=sentence,
        body={"error": {"code": 400, "message": sentence, "status": "INVALID_ARGUMENT"}},
    )


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call to the upstream, or what must come before it, came to nothing."""

    verdict: Verdict
    reason: str
    """In plain words, without an e-mail address, a project or a word of the request."""
    detail: str = ""
    """More about the account, for the operator alone."""
    trouble: Trouble | None = None
    """What the account's score and its rest depend on; None: nothing."""
    refusal: Refusal | None = None
    """Of the model call itself."""

    def as_error(self, account: PooledAccount, what: str = "No account can answer") -> GatewayError:
        """What the client hears when no other account can serve; `what` has come of the request then."""
        if self.verdict.operator_must:
            must = f"The operator must {self.verdict.operator_must}, at {ACCOUNTS_PAGE}"
            return OperatorMustAct(f"{what}. {account.label}: {self.reason}. {must}.")
        if self.refusal is not None:
            return self.verdict.as_error(self.refusal, account)
        if self.verdict.ends_request:
            return self.verdict.error(self.reason)
        if self.verdict is WITHOUT_DATABASE:
            return Unavailable(f"The gateway's database does not answer. {account.label}: {self.reason}.")
        return self.verdict.error(f"The upstream failed: {self.reason}.")


FAILURES = (RequestRefused, TransportFailed, EmptyAnswer, MalformedStream, *AccountTrouble)
"""The exceptions that `failure_of` knows."""


def failure_of(error: Exception) -> Failure:
    if isinstance(error, RequestRefused):
        refusal = error.refusal
        verdict = verdict_on(refusal)
        detail = refusal.reason if verdict.operator_must else ""
        return Failure(verdict, refusal.trouble.value, detail, refusal.trouble, refusal)
    if isinstance(error, EmptyAnswer):
        return Failure(PASSING, str(error))
    if isinstance(error, TransportFailed | MalformedStream):
        verdict = SILENCE if isinstance(error, TransportTimedOut) else PASSING
        return Failure(verdict, str(error).rstrip("."), trouble=Trouble.SERVER_ERROR)
    return _failure_of_account(error)


def _failure_of_account(error: Exception) -> Failure:
    """Classify a failure to get the access token or the project, before any model call."""
    detail = truncate(str(error), 300)
    if isinstance(error, ClientSecretWrong):
        return Failure(Verdict(OperatorMustAct, ends_request=True), str(error))
    if isinstance(error, SignInExpired):
        return Failure(MUST_SIGN_IN, "must sign in again", detail)
    if isinstance(error, CredentialsUnreadable):
        return Failure(UNREADABLE, "its credentials cannot be read", detail)
    if isinstance(error, NoProject):
        return Failure(WITHOUT_PROJECT, "has no Cloud project", detail)
    if isinstance(error, CodeAssistFailed) and error.refusal is not None:
        verdict = verdict_on(error.refusal)
        if verdict.operator_must:
            return Failure(verdict, error.refusal.trouble.value, detail)
    if isinstance(error, DatabaseDown):
        return Failure(WITHOUT_DATABASE, "its access token cannot be renewed without the database", detail)
    # The token endpoint or Code Assist is down, or says something new.
    return Failure(PASSING, "Google does not let it sign in just now", detail)


# What must not reach clients: the operator's projects, and the people who own the accounts.
IDENTIFIERS = re.compile(
    r"""(?x)
    (?P<before>
        \bprojects/ | \bproject_(?:number|id)[:=]\s? | [?&]project=    # in names of resources and in links
      | \b(?:in|resource)\ project\ \#?['"]?                        # in sentences
      | \bproject\ \#?['"]?(?=[a-z0-9-]*[0-9-][a-z0-9-]*\b)            # anything that looks like an id
    )
    [\w:-]+(?:\.[\w:-]+)*
  | [\w.+-]+@[\w-]+(?:\.[\w-]+)+                                       # an e-mail address
    """,
    re.IGNORECASE,
)


def without_identifiers(text: str, *known: str) -> str:
    """Project ids, project numbers and e-mail addresses become `…`, and so do the `known` ones, wherever they
    stand; all else stays as it is."""
    for identifier in filter(None, known):
        text = text.replace(identifier, "…")
    return IDENTIFIERS.sub(lambda found: f"{found['before'] or ''}…", text)
