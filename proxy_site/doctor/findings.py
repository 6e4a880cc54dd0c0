"""The result of a check: a state, a sentence, and the next step. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class State(Enum):
    OK = "ok"
    WARNING = "warning"
    """The state of something that should be known or repaired, but keeps nothing from working."""
    PROBLEM = "problem"
    SKIPPED = "skipped"
    """The state of something that was not checked or does not exist; neither good nor bad."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `details` are further lines. None of the texts has a secret or a whole e-mail
    address."""

    name: str
    state: State
    sentence: str
    next_step: str = ""
    details: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "state": self.state.value,
            "sentence": self.sentence,
            "next_step": self.next_step,
            "details": list(self.details),
        }


if TYPE_CHECKING:
    Report = Callable[[Finding], None]


def ok(name: str, sentence: str, details: tuple[str, ...] = ()) -> Finding:
    return Finding(name, State.OK, sentence, details=details)


def warning(name: str, sentence: str, next_step: str, details: tuple[str, ...] = ()) -> Finding:
    return Finding(name, State.WARNING, sentence, next_step, details)


def problem(name: str, sentence: str, next_step: str, details: tuple[str, ...] = ()) -> Finding:
    return Finding(name, State.PROBLEM, sentence, next_step, details)


def skipped(name: str, sentence: str, next_step: str = "") -> Finding:
    return Finding(name, State.SKIPPED, sentence, next_step)


def unexpected(name: str, error: BaseException) -> Finding:
    """Return the finding about a check that has failed with an error."""
    return problem(
        name,
        f"The check itself failed: {type(error).__name__}.",
        "Please report it as an issue, with the version and with what is unusual about this machine.",
        (str(error).partition("\n")[0][:200],),
    )


def guarded(name: str, check: Callable[[], Finding]) -> list[Finding]:
    try:
        return [check()]
    except Exception as error:  # the other checks go on
        return [unexpected(name, error)]


def report_all(found: Iterable[Finding], report: Report) -> None:
    for finding in found:
        report(finding)


def is_good(found: Iterable[Finding]) -> bool:
    return all(finding.state is not State.PROBLEM for finding in found)
