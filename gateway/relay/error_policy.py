"""What each kind of failure means for the request and for the client.

What a kind means for the account and for the model is the other half, accounts/failures.py.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from accounts.command_line import manage
from accounts.credentials.encryption import CredentialsUnreadable
from accounts.database.watch import DatabaseDown
from accounts.failures import AccountCheckFailed, FailureKind, UpstreamError
from accounts.google.oauth import ClientSecretWrong, SignInExpired
from accounts.inspection import AccountErrors
from accounts.service import NoProject
from accounts.values.sanitize import truncate
from gateway.errors import (
    GatewayError,
    InvalidRequest,
    NotFound,
    OperatorMustAct,
    Overloaded,
    PromptTooLong,
    RateLimited,
    RequestTooLarge,
    Unavailable,
    UpstreamFailed,
    UpstreamTimedOut,
)
from gateway.google_api.sse import MalformedStream
from gateway.relay.error_messages import SAME_ACCOUNT
from gateway.translation.response.errors import PromptLength, client_message, prompt_too_long
from gateway.translation.response.stream import EmptyAnswer
from gateway.upstreams.transport import TransportFailed, TransportTimedOut

if TYPE_CHECKING:
    from accounts.pool.pool import PooledAccount

ACCOUNTS_PAGE = "/admin/accounts/account/"


@dataclass(frozen=True, slots=True)
class ErrorPolicy:
    """What is tried next: the same account, the next address, then the next account, unless `ends_request`.
    And what the client gets when nothing is left to try."""

    error: type[GatewayError] = OperatorMustAct
    """Its status and type."""
    sentence: str = "The upstream failed: {reason}."
    """For the client, with {label} of the account and {reason}; an upstream's own message goes before it."""
    operator_must: str = ""
    """About the account: goes before both, because an upstream's message would name projects."""
    same_account_tries: int = 0
    """So often is the same account asked again for one request, after what may mend it."""
    same_account: str = SAME_ACCOUNT
    """The decision that is logged then."""
    next_address: bool = False
    """Another base URL may answer otherwise, for the same account."""
    ends_request: bool = False
    """Each account would get the same answer."""
    is_passing: bool = False
    """The next call may succeed; one of UPSTREAM_CALL_LIMIT calls, in rounds with pauses between them."""


_LIMIT = ErrorPolicy(RateLimited)
_PASSING = ErrorPolicy(UpstreamFailed, is_passing=True)

ERROR_POLICIES: dict[FailureKind, ErrorPolicy] = {
    FailureKind.BAD_REQUEST: ErrorPolicy(InvalidRequest, ends_request=True),
    FailureKind.TOO_LARGE: ErrorPolicy(RequestTooLarge, ends_request=True),
    FailureKind.PROMPT_TOO_LONG: ErrorPolicy(PromptTooLong, ends_request=True),
    FailureKind.BAD_SIGNATURE: ErrorPolicy(
        InvalidRequest,
        ends_request=True,
        same_account_tries=1,
        same_account=f"{SAME_ACCOUNT}, without thinking",
    ),
    FailureKind.CLIENT_TOO_OLD: ErrorPolicy(OperatorMustAct, ends_request=True),
    FailureKind.NOT_FOUND: ErrorPolicy(NotFound, next_address=True),
    FailureKind.QUOTA: _LIMIT,
    FailureKind.RATE_LIMIT: _LIMIT,
    FailureKind.UNKNOWN_LIMIT: replace(_LIMIT, next_address=True),
    FailureKind.CAPACITY: ErrorPolicy(Overloaded),
    FailureKind.SERVER_ERROR: _PASSING,
    # The token at hand may be dead, and so may the one that another server has stored since.
    FailureKind.ACCESS_TOKEN_REFUSED: ErrorPolicy(operator_must="sign it in again", same_account_tries=2),
    FailureKind.NO_LICENCE: ErrorPolicy(
        operator_must="get it a licence for this model, or switch it off", next_address=True
    ),
    FailureKind.WRONG_PROJECT: ErrorPolicy(
        operator_must="give it a Cloud project that it may use, with the API switched on",
        same_account_tries=1,
    ),
    FailureKind.FORBIDDEN: ErrorPolicy(
        operator_must=f"look it over with `{manage('verifyaccounts')}`", next_address=True
    ),
    FailureKind.NEEDS_VERIFICATION: ErrorPolicy(operator_must="verify it with Google's link"),
    FailureKind.DISABLED: ErrorPolicy(operator_must="remove it, or settle it with Google"),
    FailureKind.CONNECTION_FAILED: _PASSING,
    FailureKind.TIMED_OUT: ErrorPolicy(UpstreamTimedOut, is_passing=True),
    FailureKind.EMPTY_ANSWER: _PASSING,
    FailureKind.CLIENT_SECRET_WRONG: ErrorPolicy(OperatorMustAct, "{reason}", ends_request=True),
    FailureKind.MUST_SIGN_IN: ErrorPolicy(operator_must="sign it in again"),
    FailureKind.CREDENTIALS_UNREADABLE: ErrorPolicy(
        operator_must="restore the key that its credentials were encrypted with, or sign it in again"
    ),
    FailureKind.NO_PROJECT: ErrorPolicy(operator_must="give it a Cloud project"),
    FailureKind.SIGN_IN_FAILED: _PASSING,
    FailureKind.DATABASE_DOWN: ErrorPolicy(
        Unavailable, "The gateway's database does not answer. {label}: {reason}.", is_passing=True
    ),
}

CLEARLY_TOO_LONG = 1.3
"""So many times the model's maximum, by our estimate, which is good to about 30 % at first."""


def named_if_too_long(error: UpstreamError, estimate: int, maximum: int | None) -> UpstreamError:
    """Give a prompt that is too long its kind and Anthropic's words, whatever kind it was.

    Gemini answers some of them with 500 INTERNAL (ai.google.dev, Troubleshooting): then the estimate of
    tokens decides. By itself it never rejects a request.
    """
    too_long = prompt_too_long(error.body)
    if too_long is None and error.status == 500 and estimate > (maximum or math.inf) * CLEARLY_TOO_LONG:
        too_long = PromptLength(None, None)
    if too_long is None:
        return error
    sentence = too_long.sentence(estimate, maximum)
    return replace(
        error,
        kind=FailureKind.PROMPT_TOO_LONG,
        status=400,
        message=sentence,
        body={"error": {"code": 400, "message": sentence, "status": "INVALID_ARGUMENT"}},
    )


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call to the upstream, or what must come before it, came to nothing."""

    kind: FailureKind
    reason: str
    """In plain words, without an e-mail address, a project or a word of the request."""
    detail: str = ""
    """More about the account, for the operator alone."""
    error: UpstreamError | None = None
    """Of the model call itself."""
    is_of_call: bool = True
    """False: there was no model call, and the account's score and cooldowns stay as they are."""

    @property
    def policy(self) -> ErrorPolicy:
        return ERROR_POLICIES[self.kind]

    @property
    def wait_seconds(self) -> float | None:
        """None: the upstream names no time."""
        return self.error.wait_seconds if self.error is not None else None

    def as_error(self, account: PooledAccount, what: str = "No account can answer") -> GatewayError:
        """What the client gets when no other account can answer; `what` has become of the request."""
        policy = self.policy
        if policy.operator_must:
            must = f"The operator must {policy.operator_must}, at {ACCOUNTS_PAGE}"
            return policy.error(f"{what}. {account.label}: {self.reason}. {must}.")
        if self.error is not None:
            words = client_message(self.error.body)
            error = policy.error(without_identifiers(words, account.project_id, account.email))
            error.may_quote_request = True
            return error
        return policy.error(policy.sentence.format(label=account.label, reason=self.reason))


FAILURES = (UpstreamError, TransportFailed, EmptyAnswer, MalformedStream, *AccountErrors)
"""The exceptions that `failure_of` takes."""


def failure_of(error: Exception) -> Failure:
    if isinstance(error, UpstreamError):
        detail = error.reason if ERROR_POLICIES[error.kind].operator_must else ""
        # Without its traceback, whose frames hold the failure: both would wait for the garbage collector.
        return Failure(error.kind, error.kind.value, detail, error.with_traceback(None))
    if isinstance(error, EmptyAnswer):
        return Failure(FailureKind.EMPTY_ANSWER, str(error))
    if isinstance(error, TransportFailed | MalformedStream):
        is_late = isinstance(error, TransportTimedOut)
        kind = FailureKind.TIMED_OUT if is_late else FailureKind.CONNECTION_FAILED
        return Failure(kind, str(error).rstrip("."))
    kind = _kind_before_call(error)
    if kind is FailureKind.CLIENT_SECRET_WRONG:
        return Failure(kind, str(error), is_of_call=False)
    return Failure(kind, kind.value, truncate(str(error), 300), is_of_call=False)


KINDS_BEFORE_CALL = {
    ClientSecretWrong: FailureKind.CLIENT_SECRET_WRONG,
    SignInExpired: FailureKind.MUST_SIGN_IN,
    CredentialsUnreadable: FailureKind.CREDENTIALS_UNREADABLE,
    NoProject: FailureKind.NO_PROJECT,
    DatabaseDown: FailureKind.DATABASE_DOWN,
}
"""Of exceptions by which the access token or the project cannot be had. Any other: the token endpoint or Code
Assist is down, or answers something new."""


def _kind_before_call(error: Exception) -> FailureKind:
    if isinstance(error, AccountCheckFailed) and error.kind and ERROR_POLICIES[error.kind].operator_must:
        return error.kind
    kinds = (kind for exception, kind in KINDS_BEFORE_CALL.items() if isinstance(error, exception))
    return next(kinds, FailureKind.SIGN_IN_FAILED)


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
