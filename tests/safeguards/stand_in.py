"""The question as the emulator's model gets it, and what that makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxy_site.emulator.pretend_model.judge import decision_on
from proxy_site.emulator.pretend_model.safety_check import SafetyCheck, read_safety_check
from tests.safeguards.calls import question_about

if TYPE_CHECKING:
    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.safeguards.known_calls import KnownCall


def as_google_request(question: MessagesRequest) -> dict[str, Any]:
    """The texts alone."""
    return {
        "systemInstruction": {"parts": [{"text": question.system}]},
        "contents": [{"role": "user", "parts": [{"text": one["content"]}]} for one in question.messages],
    }


def as_read(question: MessagesRequest) -> SafetyCheck:
    """What the stand-in takes for orders, rules, calls and context."""
    check = read_safety_check(as_google_request(question))
    assert check is not None
    return check


def outcome_of(call: KnownCall) -> str:
    check = as_read(question_about(call))
    [only] = check.calls
    return str(decision_on(only, check)["outcome"])
