"""The body of ``POST /v1/messages`` and ``POST /v1/messages/count_tokens``, checked, as named fields.

What Anthropic refuses is refused here, naming the field in Anthropic's way (``messages.0.content``):
request_shapes.py checks each field by itself, request_rules.py the fields together. What is newer than those
tables passes unchanged: unknown fields, block types and tool types.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.dialects.anthropic.checks import Check, Mismatch
from gateway.dialects.anthropic.known_messages import Conversation
from gateway.dialects.anthropic.nesting import count_values
from gateway.dialects.anthropic.plain_messages import values_if_plain
from gateway.dialects.anthropic.request_rules import (
    check_choices,
    check_content,
    check_empty_answer,
    check_rules,
)
from gateway.dialects.anthropic.request_shapes import REQUEST_BODY, REQUEST_BODY_2026, model_name
from gateway.dialects.anthropic.tool_changes import tool_changes
from gateway.dialects.anthropic.tool_lists import NO_TOOLS, checked_tools
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping


OLDEST_VERSION = "2023-06-01"
BODY_OF_VERSION: dict[str, Check] = {"2023-01-01": REQUEST_BODY, OLDEST_VERSION: REQUEST_BODY}
"""Values of the header ``anthropic-version``. The newest rules apply to any other."""
MOST_VALUES = 10_000
"""The most values in a request that is parsed as plain; so many are translated within milliseconds."""
TEXT_FIELDS: dict[str, type] = {
    "model": str,
    "max_tokens": int,
    "messages": list,
    "stream": bool,
    "system": str,
}
"""The types of the fields of a plain request. No rule connects two of them unless ``max_tokens`` is 0."""


@dataclass(slots=True, repr=False)
class MessagesRequest:
    """A checked request, whose repr shows none of it. Blocks, tools and options are the parsed plain dicts.

    ``max_tokens`` is 0 for a request that asks for no answer, and for a count_tokens request that gives none.
    ``output_config`` also holds what an older client put into ``output_format``. ``betas`` are the values of
    the header ``anthropic-beta``. ``safeguards`` are the requested checks of the answer, one of a type.
    ``said_first`` is added by the gateway: whole content blocks that precede the answer.
    ``may_change_tools`` is False when it is known that no message adds or removes tools.
    """

    model: str
    max_tokens: int
    messages: list[dict[str, Any]]
    system: str | list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    stream: bool = False
    metadata: dict[str, Any] | None = None
    betas: frozenset[str] = frozenset()
    safeguards: list[dict[str, Any]] = field(default_factory=list)
    said_first: tuple[dict[str, Any], ...] = ()
    may_change_tools: bool = True


@dataclass(frozen=True, slots=True)
class MessagesParser:
    """A parser of bodies, for one request's headers ``anthropic-version`` and ``anthropic-beta``."""

    only_counts: bool
    version: str
    betas: frozenset[str]

    def parse(self, value: object) -> MessagesRequest:
        """Parse a body. Raises InvalidRequest."""
        parse = parse_count_tokens_request if self.only_counts else parse_messages_request
        return parse(value, version=self.version, betas=self.betas)

    def parse_plain(self, value: object) -> MessagesRequest | None:
        """Parse a small body of mostly plain messages, in a fraction of the time of `parse`. Returns None for
        any other body, which `parse` may still accept."""
        try:
            return _parse_texts(value, self) or _parse_plain(value, self)
        except (InvalidRequest, Mismatch, KeyError, TypeError):
            return None


def as_blocks(content: str | list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Return content or a system prompt as blocks; none for an empty text."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content or []


def parse_messages_request(
    body: object, *, version: str = OLDEST_VERSION, betas: frozenset[str] = frozenset()
) -> MessagesRequest:
    """Parse a request for a message. Raises InvalidRequest for what Anthropic answers with 400."""
    body = _object(body)
    _check_max_tokens(body)
    request = _parse(body, version, betas)
    check_empty_answer(request)
    return request


def parse_count_tokens_request(
    body: object, *, version: str = OLDEST_VERSION, betas: frozenset[str] = frozenset()
) -> MessagesRequest:
    """Parse a request to count tokens. Raises InvalidRequest."""
    return _parse(_object(body), version, betas)


def _parse(body: dict[str, Any], version: str, betas: frozenset[str]) -> MessagesRequest:
    _refuse_threads(body)
    _check_shapes(body, version)
    request = _request({**body, "messages": _messages(body["messages"])}, betas)
    request.may_change_tools = any(tool_changes(request.messages))
    check_rules(request)
    return request


def _parse_texts(body: Any, parser: MessagesParser) -> MessagesRequest | None:
    """Parse a body of plain messages and no other fields than TEXT_FIELDS, of which the types are checked.
    None for any other body; also raises Mismatch, KeyError or TypeError."""
    for name in body:
        if name not in TEXT_FIELDS or type(body[name]) is not TEXT_FIELDS[name]:
            return None
    if "max_tokens" not in body or body["max_tokens"] < 1 or parser.version not in BODY_OF_VERSION:
        return None
    messages, values = body["messages"], len(TEXT_FIELDS)
    for message in messages:
        of_message = values_if_plain(message)
        if not of_message:
            return None
        values += of_message
    if not messages or values > MOST_VALUES:
        return None
    model_name(body["model"])
    system = body["system"] if "system" in body else None  # noqa: SIM401 -- no call
    request = MessagesRequest(body["model"], body["max_tokens"], messages, system)
    request.stream = "stream" in body and body["stream"]
    request.betas = parser.betas
    request.may_change_tools = False
    return request


def _parse_plain(body: Any, parser: MessagesParser) -> MessagesRequest | None:
    """Parse a body as `_parse` does, but check with the table only what is neither a plain message nor a
    known list of tools. Also raises Mismatch, KeyError or TypeError for a body that is not valid."""
    messages, tools = body["messages"], body.get("tools")
    known_values, further = 0, messages
    if type(messages) is Conversation:
        known_values, further = messages.known_values, messages[messages.known_count :]
    counts = [values_if_plain(message) for message in further]
    others = [message for message, count in zip(further, counts, strict=True) if not count]
    rest = {**body, "messages": others or messages[:1], "tools": None if tools else tools}
    known_tools = checked_tools(tools) if tools else NO_TOOLS
    if known_values + sum(counts) + count_values(rest) + known_tools.values > MOST_VALUES:
        return None
    _refuse_threads(body)
    _check_shapes(rest, parser.version)
    check_content([*others, messages[-1]])
    if others:
        completed = _messages(further)
        messages = Conversation(messages.known, completed) if type(messages) is Conversation else completed
    request = _request({**body, "messages": messages, "tools": known_tools or tools}, parser.betas)
    request.may_change_tools = bool(others) and any(tool_changes(_messages(others)))
    check_choices(request)
    if not parser.only_counts:
        _check_max_tokens(body)
        check_empty_answer(request)
    return request


def _request(body: Mapping[str, Any], betas: frozenset[str]) -> MessagesRequest:
    return MessagesRequest(
        model=body["model"],
        max_tokens=body.get("max_tokens") or 0,
        messages=body["messages"],
        system=body.get("system"),
        tools=body.get("tools"),
        tool_choice=body.get("tool_choice"),
        thinking=body.get("thinking"),
        output_config=_output_config(body),
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        top_k=body.get("top_k"),
        stop_sequences=body.get("stop_sequences"),
        stream=body.get("stream") or False,
        metadata=body.get("metadata"),
        betas=betas,
        safeguards=_safeguards(body.get("safeguards")),
    )


def _check_shapes(body: dict[str, Any], version: str) -> None:
    try:
        BODY_OF_VERSION.get(version, REQUEST_BODY_2026)(body)
    except Mismatch as mismatch:
        raise InvalidRequest(str(mismatch)) from None


def _check_max_tokens(body: Mapping[str, Any]) -> None:
    """Check the one field that only an answer needs."""
    if body.get("max_tokens") is None:
        raise InvalidRequest("max_tokens: Field required")


def _object(body: object) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise InvalidRequest("request body: must be a JSON object")
    return body


def _refuse_threads(body: Mapping[str, Any]) -> None:
    """Refuse threads with an error after which the SDKs' tool runners send the whole history. Ignoring the
    field would lose it."""
    if body.get("thread"):
        raise InvalidRequest(
            "thread: this server holds no threads; send the whole history",
            details={"error_code": "thread_unsupported_request"},
        )


def _messages(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages that all have content: a system message that changes the effort may have none."""
    return [
        message if "content" in message and message["content"] is not None else {**message, "content": []}
        for message in messages
    ]


def _safeguards(asked: object) -> list[dict[str, Any]]:
    """Return the well-formed safeguards, each type once. Malformed ones are ignored, because Claude Code
    would answer a 400 by sending the request without the field."""
    if not isinstance(asked, list):
        return []
    named = [one for one in asked if isinstance(one, dict) and isinstance(one.get("type"), str)]
    times = Counter(one["type"] for one in named)
    return [one for one in named if times[one["type"]] == 1]


def _output_config(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return ``output_config`` with ``format`` from its older spelling ``output_format``."""
    config: dict[str, Any] | None = body.get("output_config")
    older = body.get("output_format")
    if older is not None and (config is None or "format" not in config):
        return {**(config or {}), "format": older}
    return config
