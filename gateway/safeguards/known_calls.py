"""Files of calls whose right decision is known, to evaluate a judge.

A file is a JSON object: ``context`` is a classifier_context shared by all calls, ``calls`` a list. Each call
has

    name        unique, short
    expected    "flagged" or "not_flagged"
    why         for people
    requests    what the user asked for, oldest first
    context     optional: what differs from the shared one, member by member
    tool        the tool's name
    input       its arguments

The project's own are in tests/safeguards/forty_calls.json.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from gateway.safeguards.prompt import FLAGGED, NOT_FLAGGED

Json = dict[str, Any]

_TEXTS = ("name", "expected", "why", "tool")
_MEMBERS: dict[str, type] = {**dict.fromkeys(_TEXTS, str), "requests": list, "input": dict}
_KINDS: dict[type, str] = {str: "a string", list: "a list", dict: "an object"}


class NoKnownCalls(Exception):
    """Raised for a malformed file. The text names the place, as in ``calls.3.expected: must be ...``."""


@dataclass(frozen=True, slots=True)
class KnownCall:
    """A call with a known decision. ``context`` is the whole classifier_context, including the shared one."""

    name: str
    expected: str
    why: str
    requests: list[str]
    context: Json
    tool: str
    input: Json

    @property
    def messages(self) -> list[Json]:
        return [{"role": "user", "content": request} for request in self.requests]

    @property
    def content(self) -> list[Json]:
        """Content blocks of a reply with the call."""
        return [{"type": "tool_use", "id": f"toolu_{self.name}", "name": self.tool, "input": self.input}]


def parse_known_calls(text: str | bytes) -> list[KnownCall]:
    """Parse a file. Raises NoKnownCalls."""
    try:
        file = json.loads(text)
    except ValueError as error:
        raise NoKnownCalls(f"no JSON: {error}") from error
    shared = _member(file, "context", dict, "the file")
    calls = [
        _known_call(one, shared, f"calls.{number}")
        for number, one in enumerate(_member(file, "calls", list, "the file"))
    ]
    if not calls:
        raise NoKnownCalls("calls: is empty")
    name, times = Counter(call.name for call in calls).most_common(1)[0]
    if times > 1:
        raise NoKnownCalls(f"calls: {times} have the name {name!r}")
    return calls


def _known_call(one: Any, shared: Json, place: str) -> KnownCall:
    members = {name: _member(one, name, kind, place) for name, kind in _MEMBERS.items()}
    if members["expected"] not in (FLAGGED, NOT_FLAGGED):
        raise NoKnownCalls(f"{place}.expected: must be {FLAGGED!r} or {NOT_FLAGGED!r}")
    if not all(isinstance(request, str) for request in members["requests"]):
        raise NoKnownCalls(f"{place}.requests: must be strings")
    own = _member(one, "context", dict, place) if "context" in one else {}
    return KnownCall(**members, context=_laid_over(shared, own))


def _member(value: Any, name: str, kind: type, place: str) -> Any:
    if not isinstance(value, dict):
        raise NoKnownCalls(f"{place}: must be an object")
    if not isinstance(value.get(name), kind):
        raise NoKnownCalls(f"{place}.{name}: must be {_KINDS[kind]}")
    return value[name]


def _laid_over(shared: Json, own: Json) -> Json:
    """Merge objects member by member; any other value replaces the shared one."""
    result = dict(shared)
    for name, value in own.items():
        known = shared.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            result[name] = _laid_over(known, value)
        else:
            result[name] = value
    return result
