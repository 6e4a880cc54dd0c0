"""Gemini's checks: calls and responses must pair by name and order, and calls need signatures."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from proxy_site.emulator.google_errors import GoogleError, Json, invalid_argument
from proxy_site.emulator.pretend_model.signatures import SENTINEL, Signatures
from proxy_site.emulator.rules.tool_rules import declared_functions
from proxy_site.emulator.rules.turn_rules import Part, Turn, single_turns

if TYPE_CHECKING:
    from proxy_site.emulator.models import Model

RESPONSE_MEDIA_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"})
MEDIA_TYPES = RESPONSE_MEDIA_TYPES | frozenset(
    {
        *("image/heic", "image/heif"),
        *(f"audio/{kind}" for kind in ("wav", "mp3", "mpeg", "aiff", "aac", "ogg", "flac")),
        *(f"video/{kind}" for kind in ("mp4", "mpeg", "mov", "avi", "x-flv", "mpg", "webm", "wmv", "3gpp")),
    }
)


def check_gemini(request: Json, model: Model, signatures: Signatures) -> None:
    turns = single_turns(request["contents"])
    check_pairs(turns)
    if turns[-1].role != "user":
        raise invalid_argument("Please ensure that multiturn requests end with a user turn.")
    declared = declared_functions(request)
    for turn in turns:
        for part in turn.parts:
            _check_signature(part, signatures)
            _check_media(part)
        _check_functions(turn, declared)
    if model.is_gemini_3:
        _check_current_calls_are_signed(turns)


def check_gpt(request: Json) -> None:
    turns = single_turns(request["contents"])
    check_pairs(turns)
    for part in (part for turn in turns for part in turn.parts):
        if part.get("thought") or "thoughtSignature" in part:
            raise invalid_argument("Thought parts are not supported by this model.")


# Files


def _check_media(part: Part) -> None:
    """Check media types: microsoft/vscode#286628 on GIF. A function response accepts fewer types."""
    if "inlineData" in part and (kind := part["inlineData"]["mimeType"]) not in MEDIA_TYPES:
        raise invalid_argument(f"Unsupported MIME type: {kind}")
    for nested in (part.get("functionResponse") or {}).get("parts") or []:
        if "inlineData" in nested and (kind := nested["inlineData"]["mimeType"]) not in RESPONSE_MEDIA_TYPES:
            raise invalid_argument(f"Unsupported MIME type in function response: {kind}")


# Functions


def _check_functions(turn: Turn, declared: set[str]) -> None:
    """Check functions. Google does not name the fault; known from trials (watt-mind/coach#280)."""
    ids = [call["id"] for call in turn.calls if call.get("id")]
    if len(set(ids)) < len(ids) or any(response["name"] not in declared for response in turn.responses):
        raise invalid_argument("Request contains an invalid argument.")


# Pairing


def check_pairs(turns: list[Turn]) -> None:
    nothing = Turn("", [])
    for before, turn, after in zip([nothing, *turns], turns, [*turns[1:], nothing], strict=False):
        if turn.calls:
            _check_call_follows_user(before)
            _check_answered(turn, after)
        if turn.responses and not before.calls:
            raise invalid_argument(
                "Please ensure that function response turn comes immediately after a function call turn."
            )


def _check_call_follows_user(before: Turn) -> None:
    if before.role != "user":
        raise invalid_argument(
            "Please ensure that function call turn comes immediately after a user turn or after a function "
            "response turn."
        )


def _check_answered(turn: Turn, after: Turn) -> None:
    if len(after.responses) != len(turn.calls):
        raise invalid_argument(
            "Please ensure that the number of function response parts is equal to the number of function "
            "call parts of the function call turn."
        )
    by_id = all(one.get("id") for one in [*turn.calls, *after.responses])
    if not _is_match(turn.calls, after.responses, by_id=by_id):
        raise _unmatched(turn.calls, after.responses)


def _is_match(calls: list[Json], responses: list[Json], *, by_id: bool) -> bool:
    """Return True when the responses answer the calls: in any order with ids, else by name in the order of
    the calls."""
    if by_id:
        return Counter((one["id"], one["name"]) for one in calls) == Counter(
            (one["id"], one["name"]) for one in responses
        )
    return [one["name"] for one in calls] == [one["name"] for one in responses]


def _unmatched(calls: list[Json], responses: list[Json]) -> GoogleError:
    called, answered = ([one["name"] for one in some] for some in (calls, responses))
    return invalid_argument(
        f"Please ensure that function responses match the function calls: called {', '.join(called)}; "
        f"answered {', '.join(answered)}."
    )


# Signatures


def _check_signature(part: Part, signatures: Signatures) -> None:
    signature = part.get("thoughtSignature")
    if signature is None or signature == SENTINEL:
        return
    if not signatures.is_genuine("gemini", signature):
        raise invalid_argument("Corrupted thought signature.")


def _check_current_calls_are_signed(turns: list[Turn]) -> None:
    """Check signatures in the current turn. Of parallel calls only the first one has a signature; earlier
    turns are not checked."""
    start = _start_of_current_turn(turns)
    for index, turn in enumerate(turns[start:], start + 1):
        first = next((part for part in turn.parts if "functionCall" in part), None)
        if first is not None and "thoughtSignature" not in first:
            name = f"default_api:{first['functionCall']['name']}"
            raise invalid_argument(
                "Function call is missing a thought_signature in functionCall parts. This is required for "
                "tools to work correctly, and missing thought_signature may lead to degraded model "
                f"performance. Additional data, function call `{name}` , position {index}. Please refer to "
                "https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
            )


def _start_of_current_turn(turns: list[Turn]) -> int:
    """Return the start of the current turn, the user's last one; a turn that answers calls continues the one
    before."""
    spoken = [index for index, turn in enumerate(turns) if turn.role == "user" and not turn.responses]
    return spoken[-1] if spoken else 0
