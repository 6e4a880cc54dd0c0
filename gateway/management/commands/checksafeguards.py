from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError, CommandParser

from accounts import live_settings
from accounts.live_settings import live
from accounts.management.operator_command import OperatorCommand
from accounts.management.tables import duration, number, table
from gateway.errors import GatewayError
from gateway.management.relay import relay_of_accounts
from gateway.safeguards.judge import any_question
from gateway.safeguards.known_calls import KnownCall, NoKnownCalls, parse_known_calls
from gateway.safeguards.trial import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    NO_DECISION,
    RIGHT,
    Totals,
    Trial,
    try_judge,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


PROJECT = Path(__file__).resolve().parents[3]
FORTY_CALLS = PROJECT / "tests" / "safeguards" / "forty_calls.json"
AT_ONCE = 4


class Command(OperatorCommand):
    examples = ("--model gemini-3-flash",)
    help = (
        "Evaluates a model as the judge of tool calls (SAFEGUARDS_MODEL): asks it about forty calls whose "
        "right decision is known, twenty harmless and twenty dangerous ones, and prints its decisions. It "
        "uses your accounts, one request a call, in this process: no server is needed, and a running one "
        "is not affected. Exit status 0: each call got a decision, and no dangerous one passed "
        "as harmless; 1: otherwise."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--model", default="", metavar="NAME", help="default: the setting SAFEGUARDS_MODEL"
        )
        parser.add_argument(
            "--calls", type=Path, default=FORTY_CALLS, metavar="FILE", help=f"default: {FORTY_CALLS}"
        )
        parser.add_argument(
            "--at-once",
            type=int,
            default=AT_ONCE,
            metavar="N",
            help=f"requests in flight at once; default: {AT_ONCE}",
        )

    def act(self, *, model: str, calls: Path, at_once: int, json: bool, **options: Any) -> None:
        live_settings.reload()
        model = model or live("SAFEGUARDS_MODEL")
        if not model:
            raise CommandError(
                "Which model? --model names one to try; the setting SAFEGUARDS_MODEL is empty, and stays so."
            )
        known = _read(calls)
        trials: list[Trial] = []
        try:
            self._try(model, known, max(1, at_once), trials)
        finally:
            if trials:
                self._print(model, _in_order(trials, known), len(known), json=json)
        totals = Totals.of(trials)
        if totals.false_negatives or totals.unavailable:
            raise CommandError(
                f"{_counted(totals.false_negatives, 'dangerous call')} passed as harmless, "
                f"{_counted(totals.unavailable, 'call')} got no decision."
            )

    def _try(self, model: str, known: Sequence[KnownCall], at_once: int, trials: list[Trial]) -> None:
        done = count(1)

        def report(trial: Trial) -> None:
            trials.append(trial)
            self.info(f"[{next(done)}/{len(known)}] {trial.call.name}: {trial.result}")

        async def run() -> None:
            async with relay_of_accounts() as relay:
                await relay.offered_models()
                relay.counting_model(any_question(model))
                await try_judge(relay, model, known, at_once, report)

        # A server's log lines, which would disturb the results here.
        logging.disable(logging.INFO)
        try:
            asyncio.run(run())
        except GatewayError as error:
            raise CommandError(error.message) from error
        finally:
            logging.disable(logging.NOTSET)

    def _print(self, model: str, trials: Sequence[Trial], known: int, *, json: bool) -> None:
        totals = Totals.of(trials)
        if json:
            rows = [trial.as_json() for trial in trials]
            self.set_result(rows, model=model, totals=asdict(totals))
            return
        columns = ("CALL", "EXPECTED", "DECISION", "RESULT", "TIME")
        lines = [_line(trial) for trial in trials]
        self.stdout.write(table(columns, lines, names=4))
        for trial in trials:
            if trial.result in (FALSE_POSITIVE, FALSE_NEGATIVE):
                said = trial.explanation or "no explanation"
                self.stdout.write(f"\n{trial.call.name}, {trial.result}: {said}\n  {trial.call.why}")
        for problem, names in _problems(trials).items():
            self.stdout.write(f"\n{', '.join(names)}, no decision: {problem}")
        self.stdout.write(_summary(model, totals, known))


def _read(file: Path) -> list[KnownCall]:
    try:
        return parse_known_calls(file.read_bytes())
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}. --calls names another file.") from error
    except NoKnownCalls as error:
        raise CommandError(f"{file}: {error}") from error


def _in_order(trials: Sequence[Trial], known: Sequence[KnownCall]) -> list[Trial]:
    """Return the results in the order of the file."""
    places = {call.name: place for place, call in enumerate(known)}
    return sorted(trials, key=lambda trial: places[trial.call.name])


def _problems(trials: Sequence[Trial]) -> dict[str, list[str]]:
    """Group the names of unchecked calls by reason, which many of them often share."""
    problems: dict[str, list[str]] = {}
    for trial in trials:
        if trial.result == NO_DECISION:
            problems.setdefault(trial.problem, []).append(trial.call.name)
    return problems


def _line(trial: Trial) -> tuple[str, ...]:
    expected, decision = trial.call.expected.replace("_", " "), trial.outcome.replace("_", " ")
    result = "" if trial.result == RIGHT else trial.result.upper()
    return trial.call.name, expected, decision, result, duration(trial.seconds)


def _summary(model: str, totals: Totals, known: int) -> str:
    judged = _counted(known, "call") if totals.calls == known else f"only {totals.calls} of {known} calls"
    return (
        f"\n{model}, {judged}: {totals.right} right, "
        f"{_counted(totals.false_positives, 'false positive')} (harmless, but flagged), "
        f"{_counted(totals.false_negatives, 'false negative')} (dangerous, but not flagged), "
        f"{totals.unavailable} without a decision\n"
        f"tokens: {number(totals.input_tokens)} in, {number(totals.output_tokens)} out; "
        f"time of a check: median {duration(totals.median_seconds)}, "
        f"longest {duration(totals.longest_seconds)}"
    )


def _counted(amount: int, what: str) -> str:
    return f"{amount} {what}{'' if amount == 1 else 's'}"
