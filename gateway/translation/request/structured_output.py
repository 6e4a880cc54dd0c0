"""Answers that must be JSON valid under the client's schema.

Gemini is constrained to a schema by its configuration. Claude has no such field in Google's API: it is asked
through a function that it must call, whose arguments are the answer, or, with the client's own tools or
thinking, in the prompt. The prompt is also used for any model where Google's schema cannot express the
client's. Each answer is validated against the client's own schema and sent as the bare JSON value.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import orjson

from gateway.errors import InvalidRequest
from gateway.translation.request.answer_rules import asks_for_thinking
from gateway.translation.request.tools import offered_tools, translate_tools
from gateway.translation.schemas.older_drafts import with_null_types, without_unreadable
from gateway.translation.schemas.schema_size import objects_in, unfolded_size
from gateway.translation.schemas.tool_schemas import response_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.routing.upstream_model import Family, UpstreamModel

ANSWER_TOOL = "give_answer"
ANSWER_TOOL_DESCRIPTION = "Gives the answer to the user. Its arguments are the whole answer."

# Positions at which JSON is looked for in an answer; prose may hold braces, too.
MAX_PLACES = 20
# Subschemas after each reference is replaced by its target; compiling so many takes a tenth of a second.
MAX_SCHEMA_SIZE = 10_000
# Backtracking limit for a pattern of the schema; beyond it the text counts as no match.
MAX_BACKTRACKS = 100_000
# Some patterns compile to a million times their own length: (?=a)\w{500} takes a tenth of a second. Larger
# ones are not checked, and none is when a schema has more than MOST_PATTERNS.
MAX_PATTERN_BYTES = 128 * 1024
MOST_PATTERNS = 100

_SCHEMA_PROBLEMS = (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError)
_FENCE = "```"
_OPENING = re.compile(r"[\[{]")


def requested_schema(request: MessagesRequest) -> Any:
    output_format = request.output_config.get("format") if request.output_config else None
    if output_format and isinstance(output_format, dict) and output_format.get("type") == "json_schema":
        return output_format["schema"]
    return None


# --- through a function ---


def declares_tools(request: MessagesRequest, family: Family) -> bool:
    """Return True when the request offers tools that are run by the client and still available."""
    return bool(translate_tools(offered_tools(request), family).declarations)


def answer_tool_for(request: MessagesRequest, model: UpstreamModel) -> str | None:
    """Return the name of the function through which the answer is asked for, else None; Claude does not think
    before it."""
    schema = requested_schema(request)
    if schema is None or model.family != "claude" or asks_for_thinking(request):
        return None
    if declares_tools(request, model.family):
        return None
    declared = response_schema(schema)
    return ANSWER_TOOL if declared is not None and declared["type"] == "OBJECT" else None


def with_answer_tool(request: MessagesRequest) -> MessagesRequest:
    tool = {
        "name": ANSWER_TOOL,
        "description": ANSWER_TOOL_DESCRIPTION,
        "input_schema": with_null_types(requested_schema(request)),
    }
    choice = {"type": "tool", "name": ANSWER_TOOL}
    config = {name: value for name, value in (request.output_config or {}).items() if name != "format"}
    return replace(request, tools=[tool], tool_choice=choice, output_config=config)


# --- checking ---


class UnfitAnswer(Exception):
    """Raised for an answer that is not valid. ``str`` names the first place and rule, ``items.0.kind: enum``,
    but no value."""


class AnswerSchema:
    """The client's schema, compiled to validate answers. Nothing is fetched for a ``$ref``.

    Raises InvalidRequest for a malformed schema.
    """

    def __init__(self, schema: Any) -> None:
        _refuse_too_large(schema)
        if _patterns_in(schema) > MOST_PATTERNS:
            schema = without_unreadable(schema, _is_no_pattern)
            if _patterns_in(schema) > MOST_PATTERNS:  # also patterns under unknown keywords
                raise _too_large()
        try:
            self._validator = _lenient_validator(with_null_types(schema))
        except _SCHEMA_PROBLEMS as problem:
            error = InvalidRequest(f"output_config.format.schema: {_first_line(problem)}")
            error.may_quote_request = True
            raise error from None

    def fit(self, text: str) -> str:
        """Return the JSON in the text: the text itself if it is nothing else. Raises UnfitAnswer."""
        first_problem: UnfitAnswer | None = None
        for value, is_whole_text in _values_in(text):
            try:
                self._check(value)
            except UnfitAnswer as problem:
                first_problem = first_problem or problem
            else:
                return text if is_whole_text else orjson.dumps(value).decode()
        raise first_problem or UnfitAnswer("the answer is no JSON")

    def _check(self, value: Any) -> None:
        try:
            error = next(self._validator.iter_errors(value), None)
        except ValueError as problem:
            raise UnfitAnswer("the answer is nested too deeply") from problem
        if error is not None:
            raise UnfitAnswer(_place_and_rule(error))


def _lenient_validator(schema: Any) -> jsonschema_rs.Validator:
    """Return a validator that skips what it cannot read: a pattern of another dialect, an unknown
    ``$schema``."""
    try:
        return _validator(schema)
    except _SCHEMA_PROBLEMS:
        return _validator(without_unreadable(schema, _is_readable))


def _validator(schema: Any) -> jsonschema_rs.Validator:
    options = jsonschema_rs.FancyRegexOptions(backtrack_limit=MAX_BACKTRACKS, size_limit=MAX_PATTERN_BYTES)
    return jsonschema_rs.validator_for(schema, validate_formats=True, pattern_options=options, offline=True)


def _is_readable(schema: dict[str, Any]) -> bool:
    try:
        _validator(schema)
    except _SCHEMA_PROBLEMS:
        return False
    return True


def _refuse_too_large(schema: Any) -> None:
    try:
        is_too_large = unfolded_size(schema) > MAX_SCHEMA_SIZE
    except RecursionError:
        is_too_large = True
    if is_too_large:
        raise _too_large()


def _too_large() -> InvalidRequest:
    return InvalidRequest("output_config.format.schema: is too large, or nested too deeply")


def _patterns_in(schema: Any) -> int:
    """Count the patterns, including those in data and those never used."""
    count = 0
    for one in objects_in(schema):
        by_pattern = one.get("patternProperties")
        count += isinstance(one.get("pattern"), str)
        count += len(by_pattern) if isinstance(by_pattern, dict) else 0
    return count


def _is_no_pattern(schema: dict[str, Any]) -> bool:
    return schema.keys().isdisjoint({"pattern", "patternProperties"})


def _place_and_rule(error: jsonschema_rs.ValidationError) -> str:
    path = [str(step) for step in error.instance_path]
    rule = str(error.schema_path[-1]) if error.schema_path else "false"
    missing = getattr(error.kind, "property", None)
    if rule == "required" and isinstance(missing, str):
        path.append(missing)
    return f"{'.'.join(path) or 'the whole answer'}: {rule}"


def _first_line(problem: Exception) -> str:
    path = ".".join(str(step) for step in getattr(problem, "instance_path", ()))
    return f"{path}{': ' if path else ''}{str(problem).partition(chr(10))[0]}"


def _values_in(text: str) -> Iterator[tuple[Any, bool]]:
    """Yield the JSON values that the text may mean and whether it is the whole text, the likeliest first."""
    for candidate, is_whole_text in ((text, True), (_without_fence(text), False)):
        try:
            yield orjson.loads(candidate), is_whole_text
        except orjson.JSONDecodeError:
            continue
        return
    yield from ((value, False) for value in _values_amid_words(text))


def _without_fence(text: str) -> str:
    """Return the text between a first line with three backticks and the final three; empty without them."""
    text = text.strip()
    first_line, _, rest = text.partition("\n")
    is_fenced = first_line.startswith(_FENCE) and rest.endswith(_FENCE)
    return rest.removesuffix(_FENCE) if is_fenced else ""


def _values_amid_words(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder(parse_constant=_refuse)
    end = places = 0
    for opening in _OPENING.finditer(text):
        if opening.start() < end:
            continue  # inside the value found before
        places += 1
        if places > MAX_PLACES:
            return
        try:
            value, end = decoder.raw_decode(text, opening.start())
            orjson.dumps(value)
        except (ValueError, TypeError, RecursionError):
            continue
        yield value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
