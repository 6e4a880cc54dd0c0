"""The state of one client request: the request to send, and the attempts so far."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.conf import settings
from msgspec import Struct, field

from accounts.pool.request import AccountRequest
from accounts.values.sanitize import truncate
from gateway.relay.error_messages import Attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from accounts.pool.view import PooledAccount
    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.dialects.base import ClientRequest
    from gateway.errors import GatewayError
    from gateway.relay.models.choice import Chosen
    from gateway.translation.request.request import TranslatedRequest
    from gateway.translation.web_search.requested_search import RequestedSearch

logger = logging.getLogger(__name__)


class PreparedRequest(Struct):
    """A request and the model that answers it at each kind of account. gateway/relay/formats makes the call
    for the account that sends it. It is not frozen, since each request makes one, which would take twice as
    long."""

    request: MessagesRequest
    chosen: Chosen
    """The model at each kind of account. A kind without a model cannot answer the request."""
    session_id: str
    """Google's id of the conversation."""
    client: ClientRequest | None = None
    """The request as the client sent it; None when the gateway has made or changed it."""
    wants_events: bool = False
    """True when the events of the answer must be parsed, because the gateway reads them or writes them in
    another format."""
    search: RequestedSearch | None = None
    """The web search to make in place of an answer; None for an ordinary request."""
    without_thinking: bool = False
    """True to leave thinking out, after a signature was refused."""
    translations: dict[str, TranslatedRequest] = field(default_factory=dict)
    """The translations made so far, by the kind of account."""


class ModelProgress(Struct):
    """What one client request has learned about one model and the accounts that have it."""

    request: AccountRequest
    last_error: GatewayError | None = None
    last_is_passing: bool = False


class RequestContext(Struct):
    """The state of one client request. Times are seconds since the epoch."""

    session_id: str
    """Google's id of the conversation."""
    conversation: str
    """The gateway's id of the conversation, which keeps its turns with one account."""
    is_subagents: bool = False
    """True for a request of a subagent, whose user messages were written by the assistant."""
    started_at: float = field(default_factory=time.time)
    attempts: list[Attempt] = field(default_factory=list)
    """The attempts in order; the last one may still be running."""
    opened_at: float = 0.0
    """When the present answer was requested; a structured answer may be requested twice."""
    longest_wait_seconds: float = math.inf
    """The longest wait for the first content, if it is shorter than the settings allow."""
    may_fall_back: bool = True
    """True when a fallback model may answer, if the setting FALLBACK allows it."""
    deadline: float = math.inf
    """The latest time of the first content."""
    passing_failures: int = 0
    """The number of calls with a transient failure, on all accounts and addresses."""
    rounds: int = 0
    """The number of pauses after transient failures."""
    addresses: list[str] = field(default_factory=list)
    """The base URLs that serve the model for the account that was asked last."""
    failed_bases: list[str] = field(default_factory=list)
    """The base URLs of calls with a transient failure, in order."""
    waited_seconds: float = 0.0
    """The total time in the queue, in waits for limits, and in pauses."""
    fallback: bool = False
    """True when the answer comes from another model than the one asked for."""
    unknown_models: frozenset[str] = frozenset()
    """The names that neither an account's list nor a route has."""
    progress: dict[str, ModelProgress] = field(default_factory=dict)
    """The progress with each model, by its listed id."""
    is_in_queue: bool = False
    """True while the request waits for an account, and when it was cancelled while waiting."""
    on_failed_attempt: Callable[[Attempt], None] | None = None
    _waited_before: float = 0.0
    """The part of `waited_seconds` before the last attempt began."""

    @property
    def seconds(self) -> float:
        """Seconds since the answer was requested."""
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
        """Count the time within the context as waited."""
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

    def progress_on(self, chosen: Chosen) -> ModelProgress:
        """Return the progress with a model, given as each kind has it, prepared for a new answer."""
        key = chosen.listed_id
        if key not in self.progress:
            self.progress[key] = ModelProgress(AccountRequest(chosen.targets, self.conversation))
        progress = self.progress[key]
        progress.request.targets = chosen.targets
        progress.request.conversation = self.conversation
        return progress

    @property
    def attempt(self) -> Attempt:
        """The running attempt."""
        return self.attempts[-1]

    def begin_attempt(self, account: PooledAccount, model_id: str) -> None:
        self.attempts.append(
            Attempt(
                account_label=account.label,
                account_name=account.name,
                model_id=model_id,
                started_at=time.time(),
                waited_seconds=self.waited_seconds - self._waited_before,
                kind=account.kind,
                is_paid=account.is_paid,
            )
        )
        self._waited_before = self.waited_seconds

    def end_attempt(
        self, reason: str, decision: str, *, detail: str = "", back_at: float | None = None
    ) -> None:
        """End the running attempt as failed. `decision` is the next step."""
        attempt = self.attempt
        attempt.reason, attempt.detail = truncate(reason, 200), detail
        attempt.decision, attempt.back_at = decision, back_at
        attempt.took_seconds = max(0.0, time.time() - attempt.started_at)
        logger.warning("%s", attempt.for_operator(settings.LOCAL_TIME_ZONE))
        if self.on_failed_attempt is not None:
            self.on_failed_attempt(attempt)


def digest_of(seed: str) -> bytes:
    """Return the SHA-256 digest that identifies a conversation, the same for each equal seed."""
    return hashlib.sha256(seed.encode("utf-8", "replace"), usedforsecurity=False).digest()


def session_id_for(digest: bytes) -> str:
    """Return Google's id of a conversation: a minus sign and 63 bits of its digest."""
    return f"-{int.from_bytes(digest[:8], 'big') >> 1}"
