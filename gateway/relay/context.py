"""The state of one client request: what is sent, and what was tried."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.conf import settings

from accounts.pool.request import AccountRequest
from accounts.values.sanitize import truncate
from gateway.relay.error_messages import Attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from accounts.pool.snapshot import PooledAccount
    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.errors import GatewayError
    from gateway.routing.upstream_model import UpstreamModel
    from gateway.translation.request.request import TranslatedRequest

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """What is sent for one upstream model, whichever account sends it."""

    request: MessagesRequest
    model: UpstreamModel
    translated: TranslatedRequest
    session_id: str
    """Google's name for the conversation."""


@dataclass(slots=True)
class Learned:
    """What one client request has learned about one model and the accounts that have it."""

    request: AccountRequest
    last_error: GatewayError | None = None
    last_is_passing: bool = False


@dataclass(slots=True)
class RequestContext:
    """The state of one client request. Times are seconds since the epoch."""

    session_id: str
    """Google's name for the conversation."""
    conversation: str
    """The gateway's name for it, by which its turns stay with one account."""
    started_at: float = field(default_factory=time.time)
    attempts: list[Attempt] = field(default_factory=list)
    """In order; the last one may be under way."""
    opened_at: float = field(default_factory=time.time)
    """When the answer was asked for; a structured answer may be asked for twice."""
    patience_seconds: float = math.inf
    """Limits the wait for the first content, where the settings allow more."""
    is_subagents: bool = False
    """The request is of a subagent, whose user messages were written by the assistant."""
    may_fall_back: bool = True
    """A fallback model may answer, if the setting FALLBACK allows it."""
    deadline: float = math.inf
    """The latest time of the first content."""
    passing_failures: int = 0
    """Calls with a transient failure, on all accounts and addresses."""
    rounds: int = 0
    """Pauses made after such failures."""
    kind: str = ""
    """The kind of the account that was used last."""
    failed_bases: list[str] = field(default_factory=list)
    """Base URLs of those calls, in order."""
    waited_seconds: float = 0.0
    """Total time in the queue, for limits and in pauses."""
    fallback: bool = False
    """The answer comes from another model than the one asked for."""
    unknown_models: set[str] = field(default_factory=set)
    """Names that neither an account's list nor a route has."""
    learned: dict[str, Learned] = field(default_factory=dict)
    """By the model's listed id."""
    is_in_queue: bool = False
    """The request waits for an account, or was cancelled while it did."""
    on_failed_attempt: Callable[[Attempt], None] | None = None
    _waited_before: float = 0.0
    """How much of `waited_seconds` lies before the last attempt began."""

    @property
    def seconds(self) -> float:
        """Since the answer was asked for."""
        return time.time() - self.opened_at

    def open_again(self, longest_wait_seconds: float) -> None:
        """Begin another answer, with its own deadline and rounds; its model may be another one."""
        self.opened_at = time.time()
        self.deadline = self.opened_at + longest_wait_seconds
        self.rounds = 0
        self.fallback = False

    @property
    def seconds_left(self) -> float:
        return self.deadline - time.time()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time within as waited."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.waited_seconds += time.monotonic() - started

    @contextmanager
    def in_queue(self, place: int) -> Iterator[None]:
        """Log and count a wait for an account."""
        logger.info("waits for an account, place %d", place)
        self.is_in_queue = True
        with self.waiting():
            yield
        self.is_in_queue = False

    def learned_about(self, model: UpstreamModel) -> Learned:
        """What is known of the accounts that have the model, for an answer that is asked for now."""
        learned = self.learned.get(model.listed_id)
        if learned is None:
            learned = self.learned[model.listed_id] = Learned(AccountRequest("", "", model.listed_id))
        learned.request.model_key, learned.request.conversation = model.quota_key, self.conversation
        return learned

    @property
    def attempt(self) -> Attempt:
        """The one under way."""
        return self.attempts[-1]

    def begin_attempt(self, account: PooledAccount, model_id: str) -> None:
        self.kind = account.kind
        self.attempts.append(
            Attempt(
                account=account.label,
                email=account.email,
                model_id=model_id,
                started_at=time.time(),
                waited_seconds=self.waited_seconds - self._waited_before,
            )
        )
        self._waited_before = self.waited_seconds

    def end_attempt(
        self, reason: str, decision: str, *, detail: str = "", back_at: float | None = None
    ) -> None:
        """The one under way has failed. `decision` is what is done next."""
        attempt = self.attempt
        attempt.reason, attempt.detail = truncate(reason, 200), detail
        attempt.decision, attempt.back_at = decision, back_at
        attempt.took_seconds = max(0.0, time.time() - attempt.started_at)
        logger.warning("%s", attempt.for_operator(settings.LOCAL_TIME_ZONE))
        if self.on_failed_attempt is not None:
            self.on_failed_attempt(attempt)


def session_id_for(seed: str) -> str:
    """Google's name for a conversation: a minus sign and 63 bits, always the same for one seed."""
    digest = hashlib.sha256(seed.encode("utf-8", "replace")).digest()
    return f"-{int.from_bytes(digest[:8], 'big') >> 1}"
