"""Anthropic's checks for Claude models: texts, ids, pairing, thinking. Their messages are inside Google's.

Positions are Anthropic's: ``messages.1.content.0`` counts turns after neighbours of one role are merged.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from proxy_site.emulator.google_errors import GoogleError, Json, claude_invalid_request
from proxy_site.emulator.rules.generation_rules import thinking_budget
from proxy_site.emulator.rules.tool_rules import declared_functions
from proxy_site.emulator.rules.turn_rules import Part, Turn, merged_turns

if TYPE_CHECKING:
    from proxy_site.emulator.models import Model
    from proxy_site.emulator.pretend_model.signatures import Signatures

TOOL_USE_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
MEDIA_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp", "application/pdf"})


def check_claude(request: Json, model: Model, signatures: Signatures) -> None:
    turns = merged_turns(request["contents"])
    for index, turn in enumerate(turns):
        for number, part in enumerate(turn.parts):
            _check_part(part, f"messages.{index}.content.{number}", signatures)
            _check_speaker(part, turn.role, f"messages.{index}.content.{number}")
    _check_tools_are_defined(turns, request)
    _check_system(request.get("systemInstruction") or {})
    _check_ids(turns)
    _check_pairs(turns)
    _check_last_turn(turns, model, thinks=thinking_budget(request) > 0)


# Single parts


def _check_part(part: Part, at: str, signatures: Signatures) -> None:
    if part.get("thought"):
        _check_thinking(part, at, signatures)
    elif "thoughtSignature" in part:
        raise claude_invalid_request(f"{at}.signature: Extra inputs are not permitted")
    elif "text" in part and not part["text"].strip():
        raise claude_invalid_request("messages: text content blocks must contain non-whitespace text")
    for one in [part, *((part.get("functionResponse") or {}).get("parts") or [])]:
        if "inlineData" in one and one["inlineData"]["mimeType"] not in MEDIA_TYPES:
            raise claude_invalid_request(
                f"{at}.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', "
                "'image/gif' or 'image/webp'"
            )


def _check_speaker(part: Part, role: str, at: str) -> None:
    """Check that assistant turns have no files (SEMOSS/Semoss#2323)."""
    if role == "model" and "inlineData" in part:
        kind = "document" if part["inlineData"]["mimeType"] == "application/pdf" else "image"
        raise claude_invalid_request(f"{at}: '{kind}' blocks are not permitted within assistant turns")


def _check_tools_are_defined(turns: list[Turn], request: Json) -> None:
    """Check that a history with calls declares tools (anthropics/anthropic-sdk-python#494)."""
    if any(turn.calls or turn.responses for turn in turns) and not declared_functions(request):
        raise claude_invalid_request(
            "Requests which include `tool_use` or `tool_result` blocks must define tools"
        )


def _check_thinking(part: Part, at: str, signatures: Signatures) -> None:
    """Check the signatures. A signature covers the thought: an empty text is accepted, a changed one is
    not."""
    signature, words = part.get("thoughtSignature"), part.get("text", "")
    if not signature:
        raise claude_invalid_request(f"{at}.thinking.signature: Field required")
    genuine = (
        signatures.is_genuine_for("claude", words, signature)
        if words
        else signatures.is_genuine("claude", signature)
    )
    if not genuine:
        raise claude_invalid_request(f"{at}: Invalid `signature` in `thinking` block")


def _check_system(system_instruction: Json) -> None:
    if any(not part["text"].strip() for part in system_instruction.get("parts") or []):
        raise claude_invalid_request("system: text content blocks must contain non-whitespace text")


# Calls and results


def _check_ids(turns: list[Turn]) -> None:
    seen: set[str] = set()
    for index, turn in enumerate(turns):
        for number, part in enumerate(turn.parts):
            at = f"messages.{index}.content.{number}"
            if "functionCall" in part:
                _check_id(part["functionCall"], f"{at}.tool_use.id")
            if "functionResponse" in part:
                _check_id(part["functionResponse"], f"{at}.tool_result.tool_use_id")
        for call in turn.calls:
            if call["id"] in seen:
                raise claude_invalid_request(f"messages.{index}: `tool_use` ids must be unique")
            seen.add(call["id"])


def _check_id(one: Json, at: str) -> None:
    if not one.get("id"):
        raise claude_invalid_request(f"{at}: Field required")
    if not TOOL_USE_ID.fullmatch(one["id"]):
        raise claude_invalid_request(f"{at}: String should match pattern '^[a-zA-Z0-9_-]+$'")


def _check_pairs(turns: list[Turn]) -> None:
    for index, turn in enumerate(turns):
        if turn.role == "model":
            _check_calls_come_last(turn, index)
            after = turns[index + 1] if index + 1 < len(turns) else Turn("user", [])
            _check_answered(turn, after, index)
        else:
            before = turns[index - 1] if index else Turn("model", [])
            _check_asked_for(turn, before, index)


def _check_calls_come_last(turn: Turn, index: int) -> None:
    """Check that calls end their turn. Text after a tool_use would stand between it and its result."""
    first = next((at for at, part in enumerate(turn.parts) if "functionCall" in part), len(turn.parts))
    if any("functionCall" not in part and not part.get("thought") for part in turn.parts[first:]):
        raise _unanswered([call["id"] for call in turn.calls], index)


def _check_answered(turn: Turn, after: Turn, index: int) -> None:
    """Check that results are the first blocks of the next turn."""
    at_head: set[str] = set()
    for part in after.parts:
        if "functionResponse" not in part:
            break
        at_head.add(part["functionResponse"]["id"])
    missing = [call["id"] for call in turn.calls if call["id"] not in at_head]
    if missing:
        raise _unanswered(missing, index)


def _unanswered(ids: list[str], index: int) -> GoogleError:
    return claude_invalid_request(
        f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(ids)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
        "message."
    )


def _check_asked_for(turn: Turn, before: Turn, index: int) -> None:
    asked = {call["id"] for call in before.calls}
    answered: set[str] = set()
    for number, part in enumerate(turn.parts):
        if "functionResponse" not in part:
            continue
        id_ = part["functionResponse"]["id"]
        at = f"messages.{index}.content.{number}"
        if id_ not in asked:
            raise claude_invalid_request(
                f"{at}: unexpected `tool_use_id` found in `tool_result` blocks: {id_}. Each `tool_result` "
                "block must have a corresponding `tool_use` block in the previous message."
            )
        if id_ in answered:
            raise claude_invalid_request(
                f"{at}: each tool_use must have a single result. Found multiple `tool_result` blocks with "
                f"id: {id_}"
            )
        answered.add(id_)


# The end of the conversation


def _check_last_turn(turns: list[Turn], model: Model, *, thinks: bool) -> None:
    last = turns[-1]
    if last.role == "model":
        _check_prefill(last, model, thinks=thinks)
    elif thinks and last.responses:
        _check_loop_begins_with_thinking(turns)


def _check_prefill(last: Turn, model: Model, *, thinks: bool) -> None:
    """Check the prefill (anthropics/claude-code#52433)."""
    if not model.takes_prefill:
        raise claude_invalid_request(
            "This model does not support assistant message prefill. "
            "The conversation must end with a user message."
        )
    if thinks:
        raise claude_invalid_request(
            "This model does not support assistant message prefill when thinking is enabled. "
            "The conversation must end with a user message."
        )
    if last.parts[-1].get("text", "").rstrip() != last.parts[-1].get("text", ""):
        raise claude_invalid_request("messages: final assistant content cannot end with trailing whitespace")


def _check_loop_begins_with_thinking(turns: list[Turn]) -> None:
    index = len(turns) - 2
    first = turns[index].parts[0]
    if first.get("thought"):
        return
    found = "tool_use" if "functionCall" in first else "text"
    raise claude_invalid_request(
        f"messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`."
        " When `thinking` is enabled, a final `assistant` message must start with a thinking block "
        "(preceeding the lastmost set of `tool_use` and `tool_result` blocks). To avoid this requirement, "
        "disable `thinking`."
    )
