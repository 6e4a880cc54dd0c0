"""Evaluation of a judge: each call with a known decision is checked by itself, as a client's call is."""

from __future__ import annotations

import asyncio
import secrets
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.ledger.record import RequestRecord
from gateway.ledger.recorder import RequestRecorder
from gateway.ledger.writer import Ledger
from gateway.pricing.price_list import PriceList
from gateway.routing.token_ratios import TokenRatios
from gateway.safeguards.judge import TOO_MUCH_TO_JUDGE, Judge, TooMuchToJudge
from gateway.safeguards.prompt import FLAGGED, calls_in, check_request, rules_by_label
from gateway.telemetry.activity import Activity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.relay.relay import Relay
    from gateway.safeguards.known_calls import KnownCall

UNAVAILABLE = "unavailable"
RIGHT, NO_DECISION = "right", "no decision"
FALSE_POSITIVE, FALSE_NEGATIVE = "false positive", "false negative"


@dataclass(frozen=True, slots=True)
class Trial:
    """The outcome for one call. ``outcome`` is "flagged", "not_flagged" or "unavailable"; ``problem`` is the
    reason for the last."""

    call: KnownCall
    outcome: str
    explanation: str
    problem: str
    seconds: float
    input_tokens: int
    output_tokens: int

    @property
    def result(self) -> str:
        if self.outcome == UNAVAILABLE:
            return NO_DECISION
        if self.outcome == self.call.expected:
            return RIGHT
        return FALSE_POSITIVE if self.outcome == FLAGGED else FALSE_NEGATIVE

    def as_json(self) -> dict[str, Any]:
        return {
            "call": self.call.name,
            "expected": self.call.expected,
            "outcome": self.outcome,
            "result": self.result,
            "explanation": self.explanation,
            "problem": self.problem,
            "seconds": round(self.seconds, 3),
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
        }


@dataclass(frozen=True, slots=True)
class Totals:
    calls: int
    right: int
    false_positives: int
    false_negatives: int
    unavailable: int
    input_tokens: int
    output_tokens: int
    median_seconds: float
    longest_seconds: float

    @classmethod
    def of(cls, trials: Sequence[Trial]) -> Totals:
        results = [trial.result for trial in trials]
        seconds = [trial.seconds for trial in trials] or [0.0]
        return cls(
            calls=len(trials),
            right=results.count(RIGHT),
            false_positives=results.count(FALSE_POSITIVE),
            false_negatives=results.count(FALSE_NEGATIVE),
            unavailable=results.count(NO_DECISION),
            input_tokens=sum(trial.input_tokens for trial in trials),
            output_tokens=sum(trial.output_tokens for trial in trials),
            median_seconds=round(statistics.median(seconds), 3),
            longest_seconds=round(max(seconds), 3),
        )


async def try_judge(
    relay: Relay, model: str, calls: Sequence[KnownCall], at_once: int, report: Callable[[Trial], None]
) -> None:
    """Check the calls, ``at_once`` at a time. ``report`` is called after each."""
    a_few = asyncio.Semaphore(at_once)

    async def try_one(call: KnownCall) -> None:
        async with a_few:
            report(await _trial(relay, model, call))

    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(try_one(call))


async def _trial(relay: Relay, model: str, known: KnownCall) -> Trial:
    recorder = _Recorder()
    calls = calls_in(known.content)
    request = check_request(model, known.context, known.messages, calls, nonce=secrets.token_hex(8))
    origin = RequestRecord(request_id="", client="", session_id="", request_bytes=0)
    judge = Judge(relay, recorder, is_stopping=lambda: False)
    rules = rules_by_label(known.context)
    started = time.monotonic()
    try:
        [result] = (await judge.tool_uses(request, calls, rules, origin, known.name)).values()
    except TooMuchToJudge:
        result = TOO_MUCH_TO_JUDGE
    record = recorder.record
    return Trial(
        call=known,
        outcome=result.get("outcome", UNAVAILABLE),
        explanation=result.get("explanation") or "",
        problem="" if "outcome" in result else record.error or result["reason"],
        seconds=time.monotonic() - started,
        input_tokens=record.tokens.all_input,
        output_tokens=record.tokens.output,
    )


class _Recorder(RequestRecorder):
    """A request recorder for one request, which keeps the record out of the ledger."""

    def __init__(self) -> None:
        super().__init__(Ledger(), Activity(), TokenRatios(), PriceList())

    async def open(self, record: RequestRecord) -> None:
        self.record = record
        self.in_flight.add(record)
