"""Token estimates for requests, made without a tokenizer and fast enough for each request.

Texts and JSON are collected and counted together (text_tokens.py). Images and documents count by their size
(media_tokens.py); base64 in them, and in results that are files, does not count as text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson
from msgspec import Struct

from gateway.dialects.anthropic.tool_lists import ToolList
from gateway.errors import InvalidRequest
from gateway.translation.tokens.media_tokens import image_tokens, pdf_tokens
from gateway.translation.tokens.text_tokens import text_tokens
from gateway.translation.web_search.encrypted_content import unsealed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.routing.upstream_model import Family

TOKENS_PER_CALL = 10
TOKENS_PER_MESSAGE = 4

APART_CHARACTERS = 100_000
"""A text of at least this many characters is counted separately, so that it is not copied."""

_DATA_URL = re.compile(r"data:([^;,]{0,100})[^,]{0,200},")
_PAYLOAD = re.compile(r"[A-Za-z0-9+/_\-\r\n]{256,}+={0,2}\s{0,2}")
"""Matches a word so long that it must be binary data in base64, or encrypted."""


class InputEstimate(Struct, frozen=True):
    tokens: int
    media: int
    """The share of ``tokens`` that images and documents have."""

    @property
    def is_mostly_text(self) -> bool:
        """Return True when text dominates. Media have fixed prices, whatever the tokenizer."""
        return self.media * 3 <= self.tokens


def estimate_input(request: MessagesRequest, family: Family) -> InputEstimate:
    """Estimate a request's input. Raises InvalidRequest for what is nested too deeply."""
    gathered = Gathered(family)
    gathered.add_preface(request)
    gathered.add_messages(request.messages)
    return gathered.estimate()


def estimate_input_tokens(request: MessagesRequest, family: Family) -> int:
    return estimate_input(request, family).tokens


def estimate_preface(request: MessagesRequest, family: Family) -> int:
    """Estimate what precedes the conversation: system and tools."""
    gathered = Gathered(family)
    gathered.add_preface(request)
    return gathered.tokens


def estimate_message(message: Mapping[str, Any], family: Family) -> int:
    gathered = Gathered(family)
    gathered.add_messages([message])
    return gathered.tokens


class Gathered:
    """Texts that are counted together, and the tokens of everything else: ``media`` those of images and
    documents, ``fixed`` those of messages and calls, whatever they contain."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self.texts: list[str] = []
        self.inputs: list[Any] = []
        """The arguments of calls, which count as JSON."""
        self.fixed = 0
        self.media = 0

    def estimate(self) -> InputEstimate:
        return InputEstimate(1 + self.tokens, self.media)

    @property
    def tokens(self) -> int:
        texts = [*self.texts, _as_json_values(self.inputs)] if self.inputs else self.texts
        counted = 0.0
        if max(map(len, texts), default=0) >= APART_CHARACTERS:
            apart = [text for text in texts if len(text) >= APART_CHARACTERS]
            counted = sum([text_tokens(text, self._family) for text in apart])
            texts = [text for text in texts if len(text) < APART_CHARACTERS]
        return self.fixed + self.media + round(counted + text_tokens("".join(texts), self._family))

    def add(self, others: Gathered) -> None:
        """Add what was gathered elsewhere."""
        self.texts += others.texts
        self.inputs += others.inputs
        self.fixed += others.fixed
        self.media += others.media

    def add_preface(self, request: MessagesRequest) -> None:
        """Add system and tools."""
        if request.system:
            self.add_content(request.system)
        if request.output_config and (output_format := request.output_config.get("format")):
            self.texts.append(as_json(output_format))
        if request.tools:
            tools = request.tools
            self.texts.append(tools.text if isinstance(tools, ToolList) else as_json(tools))

    def add_messages(self, messages: Sequence[Mapping[str, Any]]) -> None:
        self.fixed += TOKENS_PER_MESSAGE * len(messages)
        for message in messages:
            self.add_content(message["content"])

    def add_content(self, content: Any) -> None:
        """Add a string, a list of blocks, or nothing."""
        if type(content) is not list:
            self._add_words(content)
            return
        for block in content:
            try:
                kind = block["type"]
                if kind in _WORDS:  # the most frequent kinds, without a call for each of them
                    words = block[kind] if kind in block else None  # noqa: SIM401
                    if type(words) is str:
                        self.texts.append(words)
                    continue
                add = _BLOCKS[kind]
            except (TypeError, KeyError):  # an unknown type, or no block at all
                add = Gathered._add_unknown
            add(self, block)

    def _add_words(self, words: object) -> None:
        if type(words) is str:
            self.texts.append(words)

    # Blocks

    def _add_tool_use(self, block: Mapping[str, Any]) -> None:
        self.fixed += TOKENS_PER_CALL
        if "name" in block and type(block["name"]) is str:
            self.texts.append(block["name"])
        self.inputs.append(block.get("input"))

    def add_tool_result(self, block: Mapping[str, Any]) -> None:
        self.fixed += TOKENS_PER_CALL
        content = block["content"] if "content" in block else None  # noqa: SIM401 -- a call
        if type(content) is str:  # as most are
            self.texts.append(content)
        else:
            self.add_content(content)

    def _add_media(self, block: Mapping[str, Any]) -> None:
        source = block.get("source")
        if isinstance(source, dict):
            self._add_source(source)
        self._add_words(block.get("title"))
        self._add_words(block.get("context"))

    def _add_source(self, source: Mapping[str, Any]) -> None:
        kind, data = source.get("type"), source.get("data")
        if kind == "text":
            self._add_words(data)
        elif kind == "content":
            self.add_content(source.get("content"))
        elif kind == "base64" and isinstance(data, str):
            self._add_payload(str(source.get("media_type")), data)
        elif isinstance(url := source.get("url"), str) and (start := _DATA_URL.match(url)):
            self._add_payload(start[1], url[start.end() :])

    def _add_payload(self, media_type: str, data: str) -> None:
        if media_type.startswith("image/"):
            self.media += image_tokens(data, self._family)
        elif media_type == "application/pdf":
            self.media += pdf_tokens(data, self._family)

    def _add_unknown(self, block: object) -> None:
        """Add results of server tools and unknown blocks as JSON, without binary or encrypted data."""
        as_json(block)  # raises for deep nesting, so that the recursion below cannot fail
        self.texts.append(as_json(self._readable(block)))

    def _readable(self, value: Any) -> Any:
        if isinstance(value, dict):
            if value.get("type") == "base64":
                self._add_source(value)
                return None
            if "encrypted_content" in value:
                value = {**value, "encrypted_content": unsealed(value["encrypted_content"])}
            return {name: self._readable(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self._readable(one) for one in value]
        return None if isinstance(value, str) and _PAYLOAD.fullmatch(value) else value


_WORDS = frozenset({"text", "thinking"})
"""Kinds of blocks whose words are in the field of the same name."""
_BLOCKS: dict[str, Callable[[Gathered, Any], None]] = {
    "tool_use": Gathered._add_tool_use,
    "tool_result": Gathered.add_tool_result,
    "image": Gathered._add_media,
    "document": Gathered._add_media,
}


def as_json(value: object) -> str:
    """Return ``value`` as JSON. Raises InvalidRequest for what is nested deeper than the request can be
    written.

    The limit is 254 levels; a call's input lies eight levels deep in Google's request.
    """
    return _as_json_values([value])


def _as_json_values(values: list[Any]) -> str:
    """Return the values as JSON, with commas between them. Raises the same errors as `as_json`."""
    try:
        return orjson.dumps([[[[[[[values]]]]]]])[8:-8].decode()
    except orjson.JSONEncodeError:
        raise InvalidRequest("request body: nested too deeply") from None
