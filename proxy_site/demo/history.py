"""A made-up day of requests as the ledger records them. It is the same each time, apart from the hours.

Four clients hold conversations until now, mostly in working hours. Most turns are answered at the first
attempt, with most of the prompt from the cache; ci holds one conversation of which nothing is cached.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, TypeVar

from django.conf import settings

from gateway.translation.response.usage import Tokens
from proxy_site.demo import turns
from proxy_site.demo.quotas import (
    ADA,
    ADA_WITHOUT_GEMINI_SECONDS,
    GRACE,
    GRACE_UNVERIFIED_SECONDS,
    LINUS,
    MINUTE,
)
from proxy_site.demo.turns import GEMINI_FLASH, GEMINI_PRO, GPT_OSS, HAIKU, OPUS, SONNET, Model, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.ledger.record import RequestRecord
    from proxy_site.demo.turns import Outcome

Thing = TypeVar("Thing")

REQUESTS = 600
SEED = 19
MINUTES = 24 * 60
LAST_MINUTE = 2
"""No request begins later than this many minutes ago, so that each has ended by now."""
BY_HOUR = (2, 1, 1, 1, 1, 2, 6, 14, 30, 44, 48, 40, 28, 40, 48, 46, 40, 32, 22, 16, 14, 12, 8, 4)
"""How busy each hour of the day is, on the machine's clock."""
AT_LEAST = {15: 120, 180: 50}
"""How busy the last minutes are at least, whatever the hour, by minutes before now."""


@dataclass(frozen=True, slots=True, eq=False)
class Client:
    """A client of the demo. `weight` is its share of all requests; `models` has how many of its conversations
    use each model."""

    name: str
    weight: int
    models: Mapping[Model, int]
    uses_cache: bool = True
    context: int = 22_000
    """The tokens of its tools and its system prompt."""


CLAUDE_CLI = Client("claude-cli", 42, {OPUS: 1, SONNET: 1})
ALICE = Client("alice", 30, {SONNET: 3, OPUS: 1})
BOB = Client("bob", 20, {SONNET: 1, GEMINI_PRO: 2})
CI = Client("ci", 8, {GEMINI_FLASH: 1}, uses_cache=False, context=9_000)
CLIENTS = (CLAUDE_CLI, ALICE, BOB, CI)
ACCOUNTS = {ADA: 50, LINUS: 35, GRACE: 15}
"""How often each account answers."""
STOP_REASONS = {"tool_use": 60, "end_turn": 38, "max_tokens": 2}
LONGEST_CONVERSATION = 40
LARGEST_CONTEXT = 170_000
"""The tokens of a conversation at which the client compacts it."""
CACHE_SECONDS = 60 * MINUTE
ONE_ASIDE_IN = 6
"""One of this many turns is a small question beside the conversation, to a small model."""
ASIDE = Tokens(2_600, 40)


@dataclass(frozen=True, slots=True)
class Special:
    """A request with an unusual course."""

    minutes_ago: float
    client: Client
    model: Model
    outcome: Outcome
    account: str = LINUS


SPECIAL = (
    Special(26.3, ALICE, SONNET, turns.broken_off),
    Special(ADA_WITHOUT_GEMINI_SECONDS / MINUTE, BOB, GEMINI_PRO, turns.answered_by_third),
    Special(124.1, CLAUDE_CLI, OPUS, turns.answered_by_fallback),
    Special(124.9, CLAUDE_CLI, OPUS, turns.answered_by_fallback),
    Special(125.6, CLAUDE_CLI, OPUS, turns.answered_by_fallback),
    Special(126.4, CI, GPT_OSS, turns.limited),
    Special(208.2, BOB, SONNET, turns.answered_after_wait, ADA),
    Special(311.7, CLAUDE_CLI, OPUS, turns.hung_up),
    Special(547.5, BOB, GEMINI_PRO, turns.interrupted),
)
ONE_FAILOVER_IN = 40
"""One of this many other turns is answered by the second account that is asked."""


@dataclass(slots=True)
class Conversation:
    client: Client
    model: Model
    account: str
    session_id: str
    turns_left: int
    context: int
    last_at: float = 0.0


class Day:
    """The 24 hours before `now`, in seconds since the epoch."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._choice = Random(SEED)  # noqa: S311  # no secret
        self._conversations: dict[Client, Conversation] = {}

    def records(self) -> list[RequestRecord]:
        """Return REQUESTS records, oldest first; one of them is still open."""
        planned = {self._now - one.minutes_ago * MINUTE: one for one in SPECIAL}
        times = sorted([*planned, *self._times(REQUESTS - len(planned))])
        return [self._special(at, planned[at]) if at in planned else self._usual(at) for at in times]

    def _times(self, count: int) -> Iterator[float]:
        minutes = range(LAST_MINUTE, MINUTES)
        weights = list(accumulate(map(self._busyness, minutes)))
        for minute in self._choice.choices(minutes, cum_weights=weights, k=count):
            yield self._now - (minute + self._choice.random()) * MINUTE

    def _busyness(self, minutes_ago: int) -> int:
        hour = datetime.fromtimestamp(self._now - minutes_ago * MINUTE, settings.LOCAL_TIME_ZONE).hour
        least = next((least for minutes, least in AT_LEAST.items() if minutes_ago < minutes), 0)
        return max(BY_HOUR[hour], least)

    # One request

    def _special(self, at: float, special: Special) -> RequestRecord:
        turn = self._turn(self._conversation(special.client), special.model, at)
        turn.account = special.account
        return special.outcome(turn)

    def _usual(self, at: float) -> RequestRecord:
        conversation = self._conversation(self._one_of({client: client.weight for client in CLIENTS}))
        is_aside = conversation.client.uses_cache and not self._choice.randrange(ONE_ASIDE_IN)
        turn = self._turn(conversation, HAIKU if is_aside else conversation.model, at)
        if not self._can_use(turn.account, turn.model, at):
            turn.account = LINUS
        if not self._choice.randrange(ONE_FAILOVER_IN) and self._can_use(GRACE, turn.model, at):
            return turns.answered_by_another(turn)
        return turns.answered(turn)

    def _conversation(self, client: Client) -> Conversation:
        conversation = last = self._conversations.get(client)
        if conversation is None or conversation.turns_left == 0:
            conversation = self._conversations[client] = self._new_conversation(client)
            conversation.last_at = last.last_at if last else 0.0  # the system prompt is the same
        conversation.turns_left -= 1
        return conversation

    def _new_conversation(self, client: Client) -> Conversation:
        turns_left = self._choice.randint(5, LONGEST_CONVERSATION) if client.uses_cache else REQUESTS
        session_id = str(uuid.UUID(int=self._choice.getrandbits(128), version=4))
        model, account = self._one_of(client.models), self._one_of(ACCOUNTS)
        return Conversation(client, model, account, session_id, turns_left, client.context)

    def _can_use(self, account: str, model: Model, at: float) -> bool:
        if account == GRACE:
            return self._now - at > GRACE_UNVERIFIED_SECONDS
        return account != ADA or not model.is_gemini or self._now - at > ADA_WITHOUT_GEMINI_SECONDS

    def _turn(self, conversation: Conversation, model: Model, at: float) -> Turn:
        choice, is_aside = self._choice, model is HAIKU
        return Turn(
            request_id=f"req_{int(at * 1000):012x}{choice.getrandbits(48):012x}",
            at=at,
            client=conversation.client.name,
            session_id=conversation.session_id,
            model=model,
            account=conversation.account,
            tokens=ASIDE if is_aside else self._tokens(conversation, model, at),
            first_event_seconds=model.first_event_seconds * min(choice.lognormvariate(0, 0.4), 4.0),
            is_stream=conversation.client is not CI,
            stop_reason="end_turn" if is_aside else self._one_of(STOP_REASONS),
        )

    def _tokens(self, conversation: Conversation, model: Model, at: float) -> Tokens:
        """Return the tokens of the next turn, and add them to the conversation."""
        fresh = min(int(self._choice.lognormvariate(6.3, 0.8)), 12_000)
        output = min(int(self._choice.lognormvariate(5.7, 0.8)), 3_000)
        is_cached = conversation.client.uses_cache and at - conversation.last_at < CACHE_SECONDS
        cached = int(conversation.context * (0.985 if is_cached else 0.03))
        whole = conversation.context + fresh
        conversation.last_at = at
        if conversation.client.uses_cache:
            conversation.context = whole + output if whole < LARGEST_CONTEXT else conversation.client.context
        return Tokens(whole - cached, output, cached, int(output * model.thinking))

    def _one_of(self, weights: Mapping[Thing, int]) -> Thing:
        return self._choice.choices(list(weights), list(weights.values()))[0]
