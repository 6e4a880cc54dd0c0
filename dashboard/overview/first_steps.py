"""The steps of a first run, which the overview shows until there are an account and a request. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    title: str
    text: str
    label: str
    url_name: str
    is_done: bool


def first_steps(*, has_account: bool, has_request: bool, has_test_message: bool) -> list[Step]:
    """Return the steps in their order; empty once all of them are done."""
    if has_account and (has_request or has_test_message):
        return []
    return [
        Step(
            "Add an account",
            "Read the notice about Google's terms, and sign in; or import accounts that you have.",
            "Add an account",
            "dashboard:account_add",
            has_account,
        ),
        Step(
            "Point Claude Code at it",
            "Two lines for your shell or editor. This page shows its requests as they come.",
            "Show the lines",
            "dashboard:connect",
            has_request,
        ),
        Step(
            "Try it",
            "Send a test message from the browser, and see how it is answered.",
            "Send a message",
            "dashboard:connect",
            has_test_message,
        ),
    ]
