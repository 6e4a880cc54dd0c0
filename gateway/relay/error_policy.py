"""What each kind of failure means for the request and for the client.

accounts/failures.py has what it means for the account and for the model.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from accounts.anthropic.errors import STATUS_OF_TYPE
from accounts.command_line import manage
from accounts.credentials.encryption import CredentialsUnreadable
from accounts.database.watch import DatabaseDown
from accounts.failures import AccountCheckFailed, FailureKind, Scope, UpstreamError
from accounts.google.oauth import ClientSecretWrong, SignInExpired
from accounts.inspection import AccountErrors
from accounts.service import NoProject
from accounts.values.outside import as_object
from accounts.values.sanitize import truncate
from gateway.errors import (
    GatewayError,
    InvalidRequest,
    LoopDetected,
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
    """The next step after a failure, and the error for the client when nothing is left to try.

    The same account is tried first, then the next address, then the next account, unless `ends_request`.
    """

    error: type[GatewayError] = OperatorMustAct
    """The class of the error, which has its status and type."""
    sentence: str = "The upstream failed: {reason}."
    """The message for the client, with {label} of the account and {reason}. An upstream's own message
    replaces it."""
    operator_must: str = ""
    """What the operator must do about the account. It replaces `sentence` and the upstream's message, which
    would name projects."""
    same_account_tries: int = 0
    """How often the same account is asked again for one request, when that may help."""
    same_account: str = SAME_ACCOUNT
    """The decision to log when the same account is asked again."""
    next_address: bool = False
    """True when another base URL may give another answer, for the same account."""
    ends_request: bool = False
    """True when every account would give the same answer."""
    is_passing: bool = False
    """True for a transient failure: one of UPSTREAM_CALL_LIMIT calls, in rounds with pauses between them."""


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
    FailureKind.SPEND_LIMIT: _LIMIT,
    FailureKind.OUT_OF_CREDIT: ErrorPolicy(operator_must="add credit to it at its provider"),
    FailureKind.CAPACITY: ErrorPolicy(Overloaded),
    FailureKind.SERVER_ERROR: _PASSING,
    # Both the token in memory and the one that another server has stored may be invalid.
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
    FailureKind.DISABLED: ErrorPolicy(operator_must="remove it, or settle it with its provider"),
    FailureKind.KEY_REFUSED: ErrorPolicy(operator_must="replace its key"),
    FailureKind.WRONG_ADDRESS: ErrorPolicy(
        operator_must="correct its address, which is the one for ANTHROPIC_BASE_URL, without /v1/messages"
    ),
    FailureKind.NO_RETRY_HELPS: ErrorPolicy(operator_must="see to what its server says"),
    FailureKind.IN_A_CIRCLE: ErrorPolicy(LoopDetected, operator_must="change its address, or remove it"),
    FailureKind.PLACE_REFUSED: ErrorPolicy(
        operator_must="let this server reach the provider from a place where it is offered, or add billing "
        "to the key's project"
    ),
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
"""A prompt whose estimate exceeds the model's maximum by this factor is too long. The estimate is good to
about 30 % at first."""


def as_prompt_too_long(error: UpstreamError, estimate: int, maximum: int | None) -> UpstreamError:
    """Return the error as PROMPT_TOO_LONG with Anthropic's message, if that is what it means.

    Gemini answers some prompts that are too long with 500 INTERNAL (ai.google.dev, Troubleshooting): then the
    estimate of tokens decides. The estimate alone never rejects a request.
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
        body={**_head_of(error.body), "error": {"type": "invalid_request_error", "message": sentence}},
    )


def _head_of(body: object) -> dict[str, object]:
    """Return the members of Anthropic's envelope besides the error."""
    return {name: value for name, value in as_object(body).items() if name in ("type", "request_id")}


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure of a call to the upstream, or of a step before it."""

    kind: FailureKind
    reason: str
    """The reason as text, without an e-mail address, a project or any part of the request."""
    detail: str = ""
    """Further facts about the account, for the operator only."""
    error: UpstreamError | None = None
    """The upstream's error; None when the call did not get one."""
    is_of_call: bool = True
    """False when there was no model call; the account's score and cooldowns are then unchanged."""

    @property
    def policy(self) -> ErrorPolicy:
        return ERROR_POLICIES[self.kind]

    @property
    def wait_seconds(self) -> float | None:
        """The wait that the upstream named; None when it named none."""
        return self.error.wait_seconds if self.error is not None else None

    @property
    def scope(self) -> Scope:
        return self.error.scope if self.error is not None else Scope.ACCOUNT

    def as_error(self, account: PooledAccount, what: str = "No account can answer") -> GatewayError:
        """Return the client's error when no other account can answer. `what` begins its message."""
        policy = self.policy
        if policy.operator_must:
            must = f"The operator must {policy.operator_must}, at {ACCOUNTS_PAGE}"
            return policy.error(f"{what}. {account.label}: {self.reason}. {must}.")
        if self.error is not None:
            words = client_message(self.error.body)
            error = policy.error(without_identifiers(words, account.project_id, account.name))
            error.may_quote_request = True
            return _as_anthropic_said(error, self.error) if policy.ends_request else error
        return policy.error(policy.sentence.format(label=account.label, reason=self.reason))


def _as_anthropic_said(error: GatewayError, said: UpstreamError) -> GatewayError:
    """Keep status, type, details and the request id if the upstream uses Anthropic's format."""
    body = as_object(said.body)
    theirs = as_object(body.get("error"))
    error_type, request_id = theirs.get("type"), body.get("request_id")
    if body.get("type") != "error" or STATUS_OF_TYPE.get(str(error_type)) != said.status:
        return error
    error.status, error.error_type = said.status, str(error_type)
    error.details = as_object(theirs.get("details")) or None
    if isinstance(request_id, str) and REQUEST_ID.fullmatch(request_id):
        error.request_id = request_id
    return error


REQUEST_ID = re.compile(r"[\w-]{1,100}", re.ASCII)

FAILURES = (UpstreamError, TransportFailed, EmptyAnswer, MalformedStream, *AccountErrors)
"""Exceptions of a failed call, which `failure_of` classifies."""


def failure_of(error: Exception) -> Failure:
    if isinstance(error, UpstreamError):
        detail = error.reason if ERROR_POLICIES[error.kind].operator_must else ""
        said = f" ({without_identifiers(error.said)})" if error.said else ""
        # The traceback is removed, since its frames refer to the failure: both would wait for the garbage
        # collector.
        return Failure(error.kind, f"{error.kind.value}{said}", detail, error.with_traceback(None))
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
"""Kinds of exceptions raised while the access token or the project is fetched. For any other the token
endpoint or Code Assist is unreachable, or its answer is unknown."""


def _kind_before_call(error: Exception) -> FailureKind:
    if isinstance(error, AccountCheckFailed) and error.kind and ERROR_POLICIES[error.kind].operator_must:
        return error.kind
    kinds = (kind for exception, kind in KINDS_BEFORE_CALL.items() if isinstance(error, exception))
    return next(kinds, FailureKind.SIGN_IN_FAILED)


# Must not reach clients: the operator's projects, and the owners of accounts.
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
    """Replace project ids, project numbers, e-mail addresses and the `known` texts by `…`."""
    for identifier in filter(None, known):
        text = text.replace(identifier, "…")
    return IDENTIFIERS.sub(lambda found: f"{found['before'] or ''}…", text)
