"""Failures by kind, and what each kind means for the account that was asked and for the model.

What a kind means for the request and for the client is the other half, gateway/relay/error_policy.py. An
upstream maps its own errors to kinds and decides nothing else. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any


class FailureKind(Enum):
    """The name is what the database stores; the value is the text for people, which nothing compares."""

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
    CAPACITY = "no capacity"
    SERVER_ERROR = "server error"
    ACCESS_TOKEN_REFUSED = "access token refused"  # noqa: S105
    NO_LICENCE = "no licence for this model"
    WRONG_PROJECT = "project refused"
    FORBIDDEN = "forbidden"
    NEEDS_VERIFICATION = "needs verification"
    DISABLED = "disabled by Google"

    # The connection, and what came over it
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


@dataclass(eq=False)
class UpstreamError(Exception):
    """An error answer of an upstream, before a stream or inside it.

    `message` and `link` are safe to show and to store, `body` is as it came.
    """

    kind: FailureKind
    status: int
    """Of the answer; inside a stream, the code that the error names."""
    message: str
    body: Any
    wait_seconds: float | None = None
    """None: the upstream names no time."""
    link: str = ""
    """The page where a person can settle it."""
    reason: str = ""
    """The upstream's code for the reason, and the project that it names: identifiers alone, never its
    sentence, which may quote the request."""

    def __str__(self) -> str:
        return f"{self.status} {self.message}"


class AccountCheckFailed(Exception):
    """A provider did not answer about an account as it should.

    `error` is None when no answer came at all, or one that is no error and cannot be read.
    """

    def __init__(self, message: str, error: UpstreamError | None = None) -> None:
        super().__init__(message)
        self.error = error

    @property
    def kind(self) -> FailureKind | None:
        return self.error.kind if self.error is not None else None


@dataclass(frozen=True, slots=True)
class AccountPolicy:
    """What one failure does to the account, for the quota of the model that was asked for."""

    health: float = 0.0
    """Added to the account's score (accounts/pool/strategies.py)."""
    cools_down_after: int = 0
    """Failures in a row until the account cools down; 0: it does not."""
    cooldown_steps_seconds: tuple[float, ...] = ()
    """By failures in a row, where the upstream names no time; empty: DEFAULT_COOLDOWN_MS, doubled each
    time."""
    is_limit: bool = False
    """The account can answer again when its cooldown is over, and not before. Other cooldowns only put it
    behind the accounts without one."""
    state: str = ""
    """The value of Account.State in which the account leaves the pool until the operator acts."""
    backoff_steps_seconds: tuple[float, ...] = ()
    """The model has no capacity: its backoff, by reports in a row."""
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
