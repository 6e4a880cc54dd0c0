"""Conversion of the judge's answer to ``tool_uses`` of the client's safeguard_results. Pure.

A call counts as not flagged only when the whole answer is JSON of the requested form, with exactly one
decision (member of ``decisions``) for that call, and its outcome is ``not_flagged``. Anything else is
"unavailable", with a reason.

The results have the form that Claude Code 2.1.332 reads: each tool_use id has a result of type evaluated,
skipped or unavailable; a cited rule is an object with ``type`` and ``path``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

from accounts.values.sanitize import UNSAFE
from gateway.safeguards.prompt import FLAGGED, NOT_FLAGGED, POLICY, Call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


Reason = Literal["timeout", "error"]
"""The reasons after which Claude Code 2.1.332 retries an action once. Its other reasons would misinform the
model: that the reply was cut ("truncated"), or that the conversation was refused for good ("refused")."""
ToolUses = dict[str, dict[str, Any]]
"""The results by tool_use id."""

EXPLANATION_CHARACTERS = 500
"""The most characters of an explanation, without the name of the rule in front."""
RULE_NAME_CHARACTERS = 80
"""The most characters of a rule's name in brackets: Claude Code 2.1.332 shows a longer one as part of the
sentence."""

_FENCE = "```"


def unavailable(calls: Sequence[Call], reason: Reason) -> ToolUses:
    return {call.tool_use_id: _unavailable(reason) for call in calls}


def tool_uses_from(answer: str, calls: Sequence[Call], rules: Mapping[str, str]) -> ToolUses:
    """Return one result for each tool_use id. ``answer`` is the judge's whole answer; ``rules`` are the
    user's rules by label.

    Calls with the same id share one result. Their decisions cannot be told apart, so the result is
    unavailable.
    """
    decisions = _decisions_in(answer)
    if decisions is None or not {decision["call"] for decision in decisions} <= {
        call.label for call in calls
    }:
        return unavailable(calls, "error")
    ids = Counter(call.tool_use_id for call in calls)
    results: ToolUses = {}
    for call in calls:
        own = [decision for decision in decisions if decision["call"] == call.label]
        is_clear = len(own) == 1 and ids[call.tool_use_id] == 1
        results[call.tool_use_id] = _evaluated(own[0], rules) if is_clear else _unavailable("error")
    return results


def _decisions_in(answer: str) -> list[dict[str, Any]] | None:
    """Return the decisions, each an object with the label of a call; None for any other answer."""
    try:
        said = json.loads(_without_fence(answer), object_pairs_hook=_object, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    decisions = said.get("decisions") if isinstance(said, dict) else None
    if not isinstance(decisions, list) or not all(map(_names_a_call, decisions)):
        return None
    return decisions


def _names_a_call(decision: Any) -> bool:
    return isinstance(decision, dict) and isinstance(decision.get("call"), str)


def _without_fence(answer: str) -> str:
    answer = answer.strip()
    first_line, _, rest = answer.partition("\n")
    is_fenced = first_line.rstrip() in (_FENCE, f"{_FENCE}json") and rest.endswith(_FENCE)
    return rest.removesuffix(_FENCE) if is_fenced else answer


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object. Raises ValueError for a repeated name, whose meaning would depend on the reader."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a repeated name")
    return members


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _evaluated(decision: dict[str, Any], rules: Mapping[str, str]) -> dict[str, Any]:
    match decision.get("outcome"):
        case "not_flagged":
            return {"type": "evaluated", "outcome": NOT_FLAGGED}
        case "flagged":
            label = decision.get("cited_rule")
            return {
                "type": "evaluated",
                "outcome": FLAGGED,
                "explanation": _explanation(decision.get("explanation"), _rule_name(label, rules)),
                "cited_rule": _cited_rule(label, rules),
            }
        case _:
            return _unavailable("error")


def _unavailable(reason: Reason) -> dict[str, Any]:
    return {"type": "unavailable", "reason": reason}


def _explanation(words: Any, rule_name: str) -> str | None:
    """Return the explanation on one line, safe for a terminal.

    Claude Code adds a full stop, and shows the rule only when its name precedes the sentence in brackets.
    """
    if not isinstance(words, str):
        return None
    words = _on_one_line(words[: 4 * EXPLANATION_CHARACTERS]).rstrip(".")
    if len(words) > EXPLANATION_CHARACTERS:
        words = f"{words[: EXPLANATION_CHARACTERS - 1]}…"
    return f"[{rule_name}] {words}" if words and rule_name else words or None


def _rule_name(label: Any, rules: Mapping[str, str]) -> str:
    """Return a rule's name as Claude Code forms it, its text up to the first ``: `` or `` [``; empty when
    unusable."""
    if not isinstance(label, str):
        return ""
    if label in POLICY:
        return label.removeprefix("policy.").replace("_", " ").capitalize()
    name = _on_one_line(re.split(r": | \[", rules.get(label, ""), maxsplit=1)[0])
    return name if len(name) <= RULE_NAME_CHARACTERS and not re.search(r"[\[\]]", name) else ""


def _on_one_line(words: str) -> str:
    return " ".join(UNSAFE.sub(" ", words).split())


def _cited_rule(label: Any, rules: Mapping[str, str]) -> dict[str, str] | None:
    """Return the citation that leads the client to its rule: the path in classifier_context."""
    if not isinstance(label, str):
        return None
    if label in rules:
        return {"type": "classifier_context", "path": label}
    return {"type": "policy", "path": label} if label in POLICY else None
