"""Restore the arguments of a call to what the client's schema asks for.

Only a text is ever parsed as another type, and only where the schema allows no text there, or where the
gateway itself declared another value as text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.translation.schemas.shapes import KINDS

# JSON in a text may be nested deeper than arguments can be written.
MAX_TEXT_DEPTH = 64
# JavaScript's and Google's numbers are exact up to here.
MAX_EXACT_INTEGER = 2**53

# What models write in Python's notation
_PYTHON_WORDS = {"True": "true", "False": "false", "None": "null"}


@dataclass(slots=True)
class Case:
    """One alternative of a union, identified by constants: the restorations that apply when they match."""

    conditions: dict[str, frozenset[str]]
    properties: dict[str, Restoration]

    def applies_to(self, value: dict[str, Any]) -> bool:
        return all(
            isinstance(value.get(name), str) and value[name] in values
            for name, values in self.conditions.items()
        )


@dataclass(slots=True)
class Restoration:
    """What to undo in the arguments of a call, at this position and below it."""

    # Name of the property added to an object without any
    placeholder: str | None = None
    # Declared name -> the client's name, where the client's is not legal upstream
    names: dict[str, str] = field(default_factory=dict)
    properties: dict[str, Restoration] = field(default_factory=dict)
    other_properties: Restoration | None = None
    cases: tuple[Case, ...] = ()
    items: Restoration | None = None
    first_items: tuple[Restoration, ...] = ()
    # Members of an enum that were declared as text
    enum_values: dict[str, Any] = field(default_factory=dict)
    # JSON types that a text is parsed as; a text that is none of them stays
    reads_text_as: frozenset[str] = frozenset()
    # Texts that are never parsed
    texts: frozenset[str] = frozenset()

    def is_needed(self) -> bool:
        return bool(
            self.placeholder
            or self.names
            or self.properties
            or self.other_properties
            or self.cases
            or self.items
            or any(below.is_needed() for below in self.first_items)
            or self.enum_values
            or self.reads_text_as
        )

    def apply(self, value: Any) -> Any:
        if isinstance(value, str):
            value = self._read(value)
        if isinstance(value, dict):
            return self._apply_to_object(value)
        if isinstance(value, list):
            return [self._apply_to_item(index, item) for index, item in enumerate(value)]
        return value

    def restorations_for(self, value: dict[str, Any]) -> dict[str, Restoration]:
        """Return the restorations of the properties, by the client's names, for the case that the value
        matches."""
        restorations = self.properties
        for case in self.cases:
            if case.applies_to(value):
                restorations = {**restorations, **case.properties}
        return restorations

    def _apply_to_object(self, value: dict[str, Any]) -> dict[str, Any]:
        restored = {
            self.names.get(name, name): member for name, member in value.items() if name != self.placeholder
        }
        restorations = self.restorations_for(restored)
        for name, member in restored.items():
            below = restorations.get(name, self.other_properties)
            if below is not None:
                restored[name] = below.apply(member)
        return restored

    def _apply_to_item(self, index: int, item: Any) -> Any:
        below = self.first_items[index] if index < len(self.first_items) else self.items
        return below.apply(item) if below else item

    def _read(self, text: str) -> Any:
        if text in self.enum_values:
            return self.enum_values[text]
        if not self.reads_text_as or text in self.texts:
            return text
        return read_text(text, self.reads_text_as)


def read_text(text: str, kinds: frozenset[str]) -> Any:
    """Return the JSON value that a text stands for, when it is of one of the kinds; else the text itself."""
    word = text.strip()
    if "string" not in kinds:
        word = _PYTHON_WORDS.get(word, word)
    try:
        value = orjson.loads(word)
    except ValueError:
        return text
    if isinstance(value, float):
        return _read_number(word, value, text, kinds)
    kind = KINDS[type(value)]
    if kind not in kinds and not (kind == "integer" and "number" in kinds):
        return text
    if isinstance(value, (dict, list)) and _depth_exceeds(value, MAX_TEXT_DEPTH):
        return text
    return value


def _read_number(word: str, value: float, text: str, kinds: frozenset[str]) -> Any:
    """Return the number. Where a text is allowed as well, only JSON's own notation counts: ``1.50`` may be a
    version."""
    if "string" in kinds and orjson.dumps(value).decode() != word:
        return text
    if "number" in kinds:
        return value
    if "integer" in kinds and value.is_integer() and abs(value) <= MAX_EXACT_INTEGER:
        return int(value)
    return text


def _depth_exceeds(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels):
        layer = [
            member
            for one in layer
            if isinstance(one, (dict, list))
            for member in (one.values() if isinstance(one, dict) else one)
        ]
        if not layer:
            return False
    return True
