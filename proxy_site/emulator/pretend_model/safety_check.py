"""Parsing of a safety check as a model reads it: which parts of the prompt are instructions, and which are
data.

Only the prompt is used: the system text names the fences, a line with a fence opens or closes a section, and
whatever stands outside of them is an instruction. A section that could be closed from inside would let its
author give instructions, which ``judge.py`` would follow.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

SECTIONS = ("rules", "calls", "context")

_NAMED_FENCES = re.compile(r"<rules-([0-9a-f]{8,64})>.*<calls-\1>.*<context-\1>", re.DOTALL)
_HEADING = re.compile(r"([\w.]+):")
_RULE = re.compile(r"- ([\w.]+): (.*)")


@dataclass(frozen=True)
class Rule:
    """An entry of one of the user's lists: ``auto_mode.hard_deny.0`` in ``auto_mode.hard_deny``."""

    list_name: str
    label: str
    words: str


@dataclass(frozen=True)
class SafetyCheck:
    """A parsed check. ``orders`` is the text outside the fences. Calls are in the order of the prompt."""

    orders: str
    rules: list[Rule]
    calls: list[Json]
    context: Json

    @property
    def requests(self) -> str:
        """The user's last requests."""
        return "\n".join(map(str, self.context.get("recent_requests") or []))

    @property
    def environment(self) -> Json:
        """The client's classifier_context without the rules."""
        return dict(self.context.get("environment") or {})


def is_safety_check(request: object) -> bool:
    """Return True for a request whose system text names the fences. ``request`` may be any JSON."""
    return _nonce_of(request) is not None


def read_safety_check(request: Json) -> SafetyCheck | None:
    """Parse a safety check; None for any other request."""
    nonce = _nonce_of(request)
    if nonce is None:
        return None
    orders, sections = _split(_text_of(request["contents"][-1]), nonce)
    return SafetyCheck(
        orders=orders,
        rules=_rules_in(sections["rules"]),
        calls=[call for line in sections["calls"] if isinstance(call := _json_in(line), dict)],
        context=_json_in("\n".join(sections["context"])) or {},
    )


def _nonce_of(request: object) -> str | None:
    system = request.get("systemInstruction") if isinstance(request, dict) else None
    found = _NAMED_FENCES.search(_text_of(system))
    return found.group(1) if found else None


def _text_of(content: object) -> str:
    parts = content.get("parts") if isinstance(content, dict) else None
    texts = [part.get("text") for part in parts or [] if isinstance(part, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _split(message: str, nonce: str) -> tuple[str, dict[str, list[str]]]:
    """Return the lines outside the fences, and those of each section."""
    openings = {f"<{name}-{nonce}>": name for name in SECTIONS}
    orders: list[str] = []
    sections: dict[str, list[str]] = defaultdict(list)
    inside = ""
    for line in message.splitlines():
        if not inside and line in openings:
            inside = openings[line]
        elif inside and line == f"</{inside}-{nonce}>":
            inside = ""
        else:
            (sections[inside] if inside else orders).append(line)
    return "\n".join(orders), sections


def _rules_in(lines: list[str]) -> list[Rule]:
    """Parse a list's name and its entries; further lines of an entry are indented."""
    rules: list[Rule] = []
    list_name = ""
    for line in lines:
        if heading := _HEADING.fullmatch(line):
            list_name = heading.group(1)
        elif entry := _RULE.fullmatch(line):
            rules.append(Rule(list_name, entry.group(1), entry.group(2)))
        elif line.startswith("  ") and rules:
            last = rules.pop()
            rules.append(Rule(last.list_name, last.label, f"{last.words}\n{line.strip()}"))
    return rules


def _json_in(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
