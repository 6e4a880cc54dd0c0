"""The report of `doctor`, as lines while the checks run, or as one JSON object. Standard library only."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections import Counter
from typing import TYPE_CHECKING

from accounts.values.sanitize import escape_controls
from proxy_site.doctor.findings import Finding, State

if TYPE_CHECKING:
    from collections.abc import Sequence

HEALTHY, PROBLEMS, WARNINGS = 0, 1, 3
"""Exit statuses; 2 is that of a wrong argument, as for all commands."""
LABELS = {State.OK: "ok", State.WARNING: "warning", State.PROBLEM: "PROBLEM", State.SKIPPED: "-"}
INDENT = " " * 25


class Reporter:
    """Prints findings as they arrive; with `as_json` all of them at the end."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._findings: list[Finding] = []

    def add(self, finding: Finding) -> None:
        self._findings.append(finding)
        if not self._as_json:
            _print("\n".join(lines_of(finding, _width())))
        elif sys.stderr.isatty():
            sys.stderr.write(f"{LABELS[finding.state]:<9}{finding.name}\n")

    def end(self) -> int:
        """Print what has not been printed yet. Returns the exit status."""
        if self._as_json:
            _print(as_json(self._findings))
        else:
            _print(f"\n{summary(self._findings)}")
        return exit_status(self._findings)


def lines_of(finding: Finding, width: int | None) -> list[str]:
    """Return the lines of one finding, wrapped at `width` characters; None for no wrapping."""
    first, *rest = _wrapped(finding.sentence, width, "")
    details = [line for detail in finding.details for line in _wrapped(detail, width, "  ")]
    step = _wrapped(finding.next_step, width, "-> ") if finding.next_step else []
    head = f"{LABELS[finding.state]:<9}{finding.name:<{len(INDENT) - 9}}{first}"
    return [head, *(f"{INDENT}{line}" for line in (*rest, *details, *step))]


def _wrapped(text: str, width: int | None, prefix: str) -> list[str]:
    line = f"{prefix}{escape_controls(text)}"
    if width is None:
        return [line]
    room = max(width - len(INDENT), 30)
    return textwrap.wrap(
        line, room, subsequent_indent=" " * len(prefix), break_long_words=False, break_on_hyphens=False
    )


def summary(findings: Sequence[Finding]) -> str:
    count = Counter(finding.state for finding in findings)
    parts = [
        f"{count[state]} {noun if count[state] == 1 else nouns}"
        for state, noun, nouns in (
            (State.PROBLEM, "problem", "problems"),
            (State.WARNING, "warning", "warnings"),
        )
        if count[state]
    ]
    found = ", ".join(parts) or "Nothing wrong was found"
    return f"{found}. {count[State.OK]} checks are ok, {count[State.SKIPPED]} did not apply."


def as_json(findings: Sequence[Finding]) -> str:
    """Return the findings as JSON in the form of all commands: {"ok", "error"?, "rows"}. `ok` is false when
    there is a problem."""
    status = exit_status(findings)
    outcome = {"ok": False, "error": summary(findings)} if status == PROBLEMS else {"ok": True}
    return json.dumps({**outcome, "rows": [finding.as_json() for finding in findings]}, indent=2)


def exit_status(findings: Sequence[Finding]) -> int:
    states = {finding.state for finding in findings}
    if State.PROBLEM in states:
        return PROBLEMS
    return WARNINGS if State.WARNING in states else HEALTHY


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _width() -> int | None:
    return min(shutil.get_terminal_size().columns, 110) if sys.stdout.isatty() else None
