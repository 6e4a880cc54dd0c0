"""Constraints that Google's schema has no field for, as text for the description.

Types are written as in TypeScript, which all models know: ``{kind: "a" | "b", size?: integer}[]``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$-]*")


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else as_json(value)


def as_json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return "(nested too deeply to write)"


def name_in_words(name: str) -> str:
    return name if _IDENTIFIER.fullmatch(name) else as_json(name)


def names_in_words(names: Iterable[str]) -> str:
    return ", ".join(map(name_in_words, names))


def alternatives_of_values(values: Iterable[Any]) -> str:
    return " | ".join(map(as_json, values))


def schema_in_words(schema: Mapping[str, Any]) -> str:
    """Write one of our own schemas, as declared to Google, on one line."""
    words = _type_in_words(schema)
    if schema.get("nullable"):
        words += " | null"
    description = schema.get("description")
    if not description:
        return words
    return f"{words} {description}" if description.startswith("(") else f"{words} ({description})"


def _type_in_words(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return alternatives_of_values(schema["enum"])
    if schema["type"] == "ARRAY":
        return array_in_words(schema["items"])
    if schema["type"] == "OBJECT" and schema["properties"]:
        required = schema.get("required", ())
        return (
            "{"
            + ", ".join(
                f"{name_in_words(name)}{'' if name in required else '?'}: {schema_in_words(member)}"
                for name, member in schema["properties"].items()
            )
            + "}"
        )
    return str(schema["type"]).lower()


def array_in_words(items: Mapping[str, Any]) -> str:
    words = schema_in_words(items)
    return f"{words}[]" if words.isalpha() else f"({words})[]"
