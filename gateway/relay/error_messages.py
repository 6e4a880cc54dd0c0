"""Attempts as values, and the error message that lists them. Pure."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import TYPE_CHECKING

from msgspec import Struct

from accounts.values.times import clock, clocks, in_words
from gateway.translation.response.usage import NO_TOKENS, Tokens, TokenUsage

if TYPE_CHECKING:
    from collections.abc import Sequence

# The next step after a failed attempt
NEXT_ACCOUNT = "next account"
NEXT_ADDRESS = "next address"
SAME_ACCOUNT = "same account again"
ANOTHER_TRY = "another try"
ANOTHER_MODEL = "another model"
TOLD_THE_CLIENT = "returned to the client"
CLIENT_GONE = "the client had left"
SAME_QUESTION = "asked once more"
WITHOUT_SEARCH = "answered without the search"
FORESEEN = {NEXT_ACCOUNT, NEXT_ADDRESS, SAME_ACCOUNT, ANOTHER_TRY}
"""Steps that were planned when the attempt failed; the real next attempt may differ from them."""
NOTICEABLE_WAIT_SECONDS = 0.1
"""A shorter wait counts as none in timelines and statistics."""


class Attempt(Struct):
    """One account that was asked, or that could not be asked. Times are seconds since the epoch."""

    account_label: str
    """The account's label (accounts/pool/labels.py), which clients may see."""
    account_name: str
    """The account's name, for the operator: its whole e-mail address, or "Gemini key 1"."""
    model_id: str
    reason: str = ""
    """Why the attempt failed, as text; "" while it is running."""
    back_at: float | None = None
    detail: str = ""
    """Further facts, for the operator."""
    endpoint: str = ""
    started_at: float = 0.0
    waited_seconds: float = 0.0
    """The wait before the attempt: in the queue, for a limit to end, or between two tries."""
    took_seconds: float = 0.0
    decision: str = ""
    """The next step after the attempt."""
    usage: TokenUsage | None = None
    """The counts so far, while the answer is being read."""
    tokens: Tokens = NO_TOKENS
    """The upstream's final counts."""
    cache_writes: tuple[int, int] = (0, 0)
    """The part of the input that was written to a cache, for five minutes and for an hour."""
    kind: str = ""
    """The kind of the account."""
    is_paid: bool = False
    """True when the account's requests cost money or may do so."""
    cost: int | None = None
    """The cost in billionths of a dollar; None when the tokens are not billed, or the price is unknown."""
    unpriced: int = 0
    """1 when the tokens are billed at a price that is unknown, else 0."""

    def for_operator(self, zone: tzinfo = UTC) -> str:
        where = f" at {self.endpoint}" if self.endpoint else ""
        until = f", back at {clock(self.back_at, self.started_at, zone)}" if self.back_at is not None else ""
        return f"{self.account_name} for {self.model_id}{where}: {self.whole_reason}{until} → {self.decision}"

    def came_next(self, following: Attempt) -> str:
        """Return the step that was taken, which may differ from the one planned at the failure."""
        if following.model_id != self.model_id:
            what = ANOTHER_MODEL
        elif following.account_name != self.account_name:
            what = NEXT_ACCOUNT
        elif self.endpoint and following.endpoint != self.endpoint:
            what = NEXT_ADDRESS
        else:
            what = SAME_ACCOUNT
        return f"{what}, after a wait" if following.waited_seconds >= NOTICEABLE_WAIT_SECONDS else what

    @property
    def whole_reason(self) -> str:
        """The reason and the details, for the operator."""
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


def sentence(model_id: str, attempts: Sequence[Attempt], now: float, zone: tzinfo = UTC) -> str:
    """Build the message, for example: 2 accounts tried for claude-sonnet-4-6: ad…@e… quota until 17:03 CEST,
    gr…@e… no capacity. Next try in 2 h 3 min (17:03 CEST, 15:03 UTC)."""
    last_of_each = {attempt.account_name: attempt for attempt in attempts}
    count = len(last_of_each)
    accounts = ", ".join(_one(attempt, now, zone) for attempt in last_of_each.values())
    text = f"{count} account{'' if count == 1 else 's'} tried for {model_id}: {accounts}."
    first_back = min((at for one in last_of_each.values() if (at := one.back_at) is not None), default=None)
    return text if first_back is None else f"{text} {next_try(first_back, now, zone)}"


def next_try(at: float, now: float, zone: tzinfo = UTC) -> str:
    return f"Next try in {in_words(at - now)} ({clocks(at, now, zone)})."


def _one(attempt: Attempt, now: float, zone: tzinfo) -> str:
    until = f" until {clock(attempt.back_at, now, zone)}" if attempt.back_at is not None else ""
    return f"{attempt.account_label} {attempt.reason}{until}"
