"""Checks of the part of JSON Schema that function parameters and response schemas may use.

``wire.py`` has already refused unknown keywords, type lists, tuple items and enum members that are not
strings. The checks here are about several fields together. Paths are Google's:
``parameters.properties[city]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy_site.emulator.google_errors import GoogleError, Json, invalid_argument

if TYPE_CHECKING:
    from collections.abc import Iterator

# Each level of a schema is two messages deep on the wire, and protocol buffers stop at a hundred.
MAX_SCHEMA_DEPTH = 45

FORMATS = {
    "STRING": {"enum", "date-time"},
    "INTEGER": {"int32", "int64"},
    "NUMBER": {"float", "double"},
}


def check_schema(schema: Json, at: str, *, needs_properties: bool = False, depth: int = 1) -> None:
    """``needs_properties``: an OBJECT must name at least one property, as Claude's VALIDATED mode wants."""
    if depth > MAX_SCHEMA_DEPTH:
        raise _refused(at, "Message too deep. Max recursion depth reached.")
    _check_type(schema, at)
    _check_enum(schema, at)
    _check_required(schema, at)
    if needs_properties and schema["type"] == "OBJECT" and not schema.get("properties"):
        raise _refused(f"{at}.properties", "should be non-empty for OBJECT type")
    for inner, inner_at in _inner_schemas(schema, at):
        check_schema(inner, inner_at, needs_properties=needs_properties, depth=depth + 1)


def _check_type(schema: Json, at: str) -> None:
    kind = schema.get("type")
    if kind is None:
        raise _refused(at, "schema didn't specify the schema type field.")
    if "properties" in schema and kind != "OBJECT":
        raise _refused(f"{at}.properties", "only allowed for OBJECT type")
    if "required" in schema and kind != "OBJECT":
        raise _refused(f"{at}.required", "only allowed for OBJECT type")
    if "items" in schema and kind != "ARRAY":
        raise _refused(f"{at}.items", "only allowed for ARRAY type")
    if kind == "ARRAY" and "items" not in schema:
        raise _refused(f"{at}.items", "missing field.")
    if "format" in schema and schema["format"] not in FORMATS.get(kind, set()):
        supported = ", ".join(sorted(FORMATS.get(kind, set()))) or "none"
        raise _refused(f"{at}.format", f"only {supported} are supported for {kind} type")


def _check_enum(schema: Json, at: str) -> None:
    if "enum" not in schema:
        return
    if schema["type"] != "STRING":
        raise _refused(f"{at}.enum", "only allowed for STRING type")
    for index, member in enumerate(schema["enum"]):
        if not member:
            raise _refused(f"{at}.enum[{index}]", "cannot be empty")


def _check_required(schema: Json, at: str) -> None:
    properties = schema.get("properties") or {}
    for index, name in enumerate(schema.get("required") or []):
        if name not in properties:
            raise _refused(f"{at}.required[{index}]", "property is not defined")


def _inner_schemas(schema: Json, at: str) -> Iterator[tuple[Json, str]]:
    for name, inner in (schema.get("properties") or {}).items():
        yield inner, f"{at}.properties[{name}]"
    if "items" in schema:
        yield schema["items"], f"{at}.items"


def _refused(at: str, why: str) -> GoogleError:
    return invalid_argument(f"* GenerateContentRequest.{at}: {why}", at)
