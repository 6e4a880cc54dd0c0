"""Kinds of failures, and what each kind means for the account that was asked and for the model.

What a kind means for the request and for the client is in gateway/relay/error_policy.py. An upstream only
maps its own errors to kinds. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any


class FailureKind(Enum):
    """The kind of a failure. The database stores the name; the value is text for people and is never
    compared."""

    # A model call, as the upstream answers it
    BAD_REQUEST = "bad request"
    TOO_LARGE = "request too large"
    PROMPT_TOO_LONG = "prompt too long"
    BAD_SIGNATURE = "a thinking signature was refused"
    CLIENT_TOO_OLD = "client version too old"
    NOT_FOUND = "not found"
    QUOTA = "quota"
    RATE_LIMIT = "rate limit"
    UNKNOWN_LIMIT = "limit"
    SPEND_LIMIT = "spend limit"
    OUT_OF_CREDIT = "out of credit"
    CAPACITY = "no capacity"
    SERVER_ERROR = "server error"
    ACCESS_TOKEN_REFUSED = "access token refused"  # noqa: S105
    NO_LICENCE = "no licence for this model"
    WRONG_PROJECT = "project refused"
    FORBIDDEN = "forbidden"
    NEEDS_VERIFICATION = "needs verification"
    DISABLED = "disabled by its provider"
    KEY_REFUSED = "key refused"
    WRONG_ADDRESS = "no answer in Anthropic's format at its address"
    NO_RETRY_HELPS = "says that no retry helps"
    IN_A_CIRCLE = "leads into a circle of gateways"
    PLACE_REFUSED = "not offered where this server is"

    # The connection, and the data received over it
    CONNECTION_FAILED = "connection failed, or no event stream"
    TIMED_OUT = "no answer in time"
    EMPTY_ANSWER = "empty answer"

    # Before a model call: the access token and the project
    CLIENT_SECRET_WRONG = "OAuth client refused"  # noqa: S105
    MUST_SIGN_IN = "must sign in again"
    CREDENTIALS_UNREADABLE = "its credentials cannot be read"
    NO_PROJECT = "has no Cloud project"
    SIGN_IN_FAILED = "Google does not let it sign in just now"
    DATABASE_DOWN = "its access token cannot be renewed without the database"


class Scope(Enum):
    """What else a failure applies to, besides the account that was asked."""

    ACCOUNT = "account"
    QUOTA_GROUP = "quota group"
    """All accounts of the same quota group, which are keys of one project or organisation. Limits always have
    this scope."""
    KIND = "kind"
    """All accounts of the same kind, because the provider refuses this machine's address."""


@dataclass(frozen=True, slots=True)
class QuotaLimit:
    """A limit that a provider reports; "" and None mean that it does not say.

    `subject` is "requests", "input_tokens" or "output_tokens", `period` "minute" or "day", `model` the
    provider's name of the model, or "" for all.
    """

    subject: str
    period: str
    value: int | None
    model: str = ""


@dataclass(frozen=True, slots=True)
class Learned:
    """What an answer tells about the account, besides its content; "" means unknown."""

    tier: str = ""
    quota_group: str = ""
    """The provider's id of the account's project or organisation."""
    limits: tuple[QuotaLimit, ...] = ()


NOTHING_LEARNED = Learned()


@dataclass(eq=False)
class UpstreamError(Exception):
    """An error from an upstream, as an answer or inside a stream.

    `message` and `link` are safe to show and to store; `body` is as it was received.
    """

    kind: FailureKind
    status: int
    """The HTTP status of the response; inside a stream, the code in the error object."""
    message: str
    body: Any
    wait_seconds: float | None = None
    """The wait that the upstream named; None when it named none."""
    link: str = ""
    """The page on which a person can resolve the error."""
    reason: str = ""
    """The upstream's code for the reason, and the project that it names. These are only identifiers, never
    the error's message, which may quote the request."""
    scope: Scope = Scope.ACCOUNT
    learned: Learned = NOTHING_LEARNED
    said: str = ""
    """A shortened, single-line version of the server's error message, which clients and operators may see; ""
    when the message must not be shown."""

    def __str__(self) -> str:
        return f"{self.status} {self.message}"


class AccountCheckFailed(Exception):
    """A provider gave no usable answer about an account. `error` is None when there was no answer, or one
    that is neither an error nor readable."""

    def __init__(self, message: str, error: UpstreamError | None = None) -> None:
        super().__init__(message)
        self.error = error

    @property
    def kind(self) -> FailureKind | None:
        return self.error.kind if self.error is not None else None


@dataclass(frozen=True, slots=True)
class AccountPolicy:
    """The effects of one failure on the account: for the quota of the model that was requested, unless
    `is_for_all_models`. A limit concerns the account's whole quota group."""

    health: float = 0.0
    """Added to the account's score (accounts/pool/strategies.py)."""
    cools_down_after: int = 0
    """How many failures in a row start a cooldown; 0 for no cooldown."""
    cooldown_steps_seconds: tuple[float, ...] = ()
    """Cooldowns in seconds by the number of failures in a row, used when the upstream names no time. Empty
    for DEFAULT_COOLDOWN_MS, doubled each time."""
    is_limit: bool = False
    """The account cannot answer until its cooldown has ended. Other cooldowns only rank it after accounts
    without one."""
    is_for_all_models: bool = False
    """The cooldown is for all models of the account."""
    state: str = ""
    """The value of Account.State that takes the account out of the pool until the operator acts; "" for
    none."""
    backoff_steps_seconds: tuple[float, ...] = ()
    """Backoffs of the model in seconds by the number of reports in a row, for a failure that means that the
    model has no capacity."""
    accepts_account: bool = False
    """A model call with this failure shows that the upstream accepts the account."""


_NO_EFFECT = AccountPolicy()
_ACCEPTED = AccountPolicy(accepts_account=True)
_LIMIT = AccountPolicy(health=-10, cools_down_after=1, is_limit=True, accepts_account=True)
_SET_UP = AccountPolicy(cools_down_after=1)
_REFUSED = AccountPolicy(health=-20, cools_down_after=1)
_FAILED = AccountPolicy(health=-20, cools_down_after=3, cooldown_steps_seconds=(60.0,))

ACCOUNT_POLICIES: dict[FailureKind, AccountPolicy] = {
    FailureKind.BAD_REQUEST: _ACCEPTED,
    FailureKind.TOO_LARGE: _ACCEPTED,
    FailureKind.PROMPT_TOO_LONG: _ACCEPTED,
    FailureKind.BAD_SIGNATURE: _NO_EFFECT,
    FailureKind.CLIENT_TOO_OLD: _NO_EFFECT,
    FailureKind.NOT_FOUND: _ACCEPTED,
    FailureKind.QUOTA: replace(_LIMIT, cooldown_steps_seconds=(60.0, 300.0, 1800.0, 7200.0)),
    FailureKind.RATE_LIMIT: replace(_LIMIT, cooldown_steps_seconds=(30.0,)),
    FailureKind.UNKNOWN_LIMIT: _LIMIT,
    FailureKind.SPEND_LIMIT: replace(_LIMIT, cooldown_steps_seconds=(3600.0,), is_for_all_models=True),
    FailureKind.OUT_OF_CREDIT: replace(
        _SET_UP, cooldown_steps_seconds=(600.0, 3600.0), is_for_all_models=True
    ),
    FailureKind.CAPACITY: AccountPolicy(
        backoff_steps_seconds=(5.0, 10.0, 20.0, 30.0, 60.0), accepts_account=True
    ),
    FailureKind.SERVER_ERROR: _FAILED,
    FailureKind.ACCESS_TOKEN_REFUSED: _REFUSED,
    FailureKind.NO_LICENCE: _SET_UP,
    FailureKind.WRONG_PROJECT: _SET_UP,
    FailureKind.FORBIDDEN: _REFUSED,
    FailureKind.NEEDS_VERIFICATION: AccountPolicy(state="needs_verification"),
    FailureKind.DISABLED: AccountPolicy(state="disabled_by_provider"),
    FailureKind.KEY_REFUSED: AccountPolicy(state="invalid"),
    FailureKind.WRONG_ADDRESS: replace(_SET_UP, is_for_all_models=True),
    FailureKind.NO_RETRY_HELPS: _SET_UP,
    FailureKind.IN_A_CIRCLE: replace(_SET_UP, is_for_all_models=True),
    FailureKind.PLACE_REFUSED: replace(_SET_UP, is_for_all_models=True),
    FailureKind.CONNECTION_FAILED: _FAILED,
    FailureKind.TIMED_OUT: _FAILED,
    FailureKind.EMPTY_ANSWER: _NO_EFFECT,
    FailureKind.CLIENT_SECRET_WRONG: _NO_EFFECT,
    FailureKind.MUST_SIGN_IN: AccountPolicy(state="invalid"),
    FailureKind.CREDENTIALS_UNREADABLE: _NO_EFFECT,
    FailureKind.NO_PROJECT: _NO_EFFECT,
    FailureKind.SIGN_IN_FAILED: _NO_EFFECT,
    FailureKind.DATABASE_DOWN: _NO_EFFECT,
}

LIMITS = frozenset(kind for kind, policy in ACCOUNT_POLICIES.items() if policy.is_limit)
