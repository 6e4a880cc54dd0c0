"""A client's request body with the changes that one upstream needs. All other bytes stay as they came.

An upstream may check thinking together with the messages before it. So those are changed only where the
upstream would refuse them, and in the same way on every turn.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from gateway.pass_through.json_spans import JsonText, Text
from gateway.pass_through.signatures import ANTHROPIC, THINKING, Signer, signature_field, without_tags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.pass_through.json_spans import Span

Block = dict[str, Any]
Message = dict[str, Any]

ATTRIBUTION_PREFIX = "x-anthropic-billing-header:"
THINKING_OFF = b'{"type":"disabled"}'
OF_BETAS = ("context_management", "mcp_servers", "container", "fallbacks", "compaction", "tags")
"""Fields that exist only under a beta. A strict server refuses them without it."""
NO_DOCUMENT = {"type": "text", "text": "(A document was left out: this server takes none.)"}
_TO_LOOK_AT = re.compile(rb'"(?:signature|data)"\s*:\s*"(?:[a-z][a-z0-9-]*#|")|"gateway-1-')
"""Finds signatures that are empty or tagged, and search results that the gateway made."""
OF_OUR_SEARCH = "gateway-1-"
"""The prefix of the search results that the gateway encrypts
(gateway/translation/web_search/encrypted_content.py)."""


class ParsedRequest(Protocol):
    """The fields of a request that are read here."""

    @property
    def messages(self) -> list[Message]: ...
    @property
    def thinking(self) -> dict[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes that an upstream needs. The defaults suit Anthropic's own API."""

    model: str
    signer: Signer = ANTHROPIC
    drops_thinking: bool = False
    """True to leave out the thinking of earlier turns, after a signature was refused."""
    never_thinks: bool = False
    """True when the model cannot be asked to think."""
    keeps_system_messages: bool = True
    keeps_documents: bool = True
    keeps_attribution: bool = True
    keeps_blank_texts: bool = True
    keeps_fields_of_betas: bool = True
    most_breakpoints: int = 0
    """The most breakpoints of the prompt cache; 0 for no limit."""

    @property
    def concern_all(self) -> bool:
        """True when the changes may apply to any body, not only to one with signatures or search results to
        replace."""
        return self != Changes(self.model, self.signer)


def may_change(body: Text, changes: Changes) -> bool:
    """Return False when nothing but the model's name can have to change, which is found without parsing the
    body."""
    return changes.concern_all or _TO_LOOK_AT.search(body) is not None


def thinks_too_late(request: ParsedRequest) -> bool:
    """Return True when thinking must be turned off: the last turn is in a loop of tool calls and does not
    begin with thinking, which Anthropic refuses with "Expected `thinking` or `redacted_thinking`"."""
    return _is_in_loop_without_thinking(request.messages, request.thinking, drops_thinking=False)


def with_model(body: Text, model: str) -> list[Text]:
    """Return the body with another model's name, in pieces."""
    span = JsonText(body).member("model")
    if span is None:
        return [body]
    return [body[: span[0]], orjson.dumps(model), body[span[1] :]]


def changed_body(
    body: Text, messages: Sequence[Message], thinking: Mapping[str, Any] | None, changes: Changes
) -> list[Text]:
    """Return the changed body in pieces. `messages` and `thinking` are the parsed values in it."""
    if not changes.concern_all and not _is_in_loop_without_thinking(messages, thinking, drops_thinking=False):
        untagged = None if OF_OUR_SEARCH.encode() in body else without_tags(body, messages, changes.signer)
        if untagged is not None:
            return with_model(untagged, changes.model)
    return _changed_members(body, messages, thinking, changes)


def _changed_members(
    body: Text, messages: Sequence[Message], thinking: Mapping[str, Any] | None, changes: Changes
) -> list[Text]:
    text = JsonText(body)
    spans = text.members()
    replaced: dict[str, bytes | None] = {"model": orjson.dumps(changes.model)}
    kept = [_changed(message, changes) for message in messages]
    if any(new is not old for new, old in zip(kept, messages, strict=True)):
        replaced["messages"] = _messages(body, text.elements(spans["messages"][0]), kept, messages, changes)
    left = [one for one in kept if one is not None]
    if _is_in_loop_without_thinking(left, thinking, drops_thinking=changes.drops_thinking):
        replaced |= _without_thinking(body, spans)
    replaced |= _fields(body, spans, changes)
    if changes.most_breakpoints and body.count(b'"cache_control"') > changes.most_breakpoints:
        replaced |= _fewer_breakpoints(body, spans, replaced, changes.most_breakpoints)
    return _with_members(body, spans, {name: one for name, one in replaced.items() if name in spans})


# Messages


def _changed(message: Message, changes: Changes) -> Message | None:
    """Return the message with the changes; the same object when nothing changes, None when nothing is left of
    it."""
    if message["role"] == "system" and not changes.keeps_system_messages:
        message = {**message, "role": "user"}
    content = message.get("content")
    if not isinstance(content, list):
        return message
    blocks = [_changed_block(block, changes) for block in content]
    if all(new is old for new, old in zip(blocks, content, strict=True)):
        return message
    left = [block for block in blocks if block is not None]
    return {**message, "content": left} if left else None


def _changed_block(block: Block, changes: Changes) -> Block | None:
    kind = block.get("type")
    if kind in THINKING:
        return _changed_thinking(block, changes)
    if kind == "text":
        is_blank = not changes.keeps_blank_texts and not str(block.get("text")).strip()
        return None if is_blank else block
    if kind == "document" and not changes.keeps_documents:
        return NO_DOCUMENT
    if kind == "tool_result" and isinstance(block.get("content"), list):
        content = [_changed_block(one, changes) for one in block["content"]]
        if any(new is not old for new, old in zip(content, block["content"], strict=True)):
            return {**block, "content": [one for one in content if one is not None]}
    if kind in ("server_tool_use", "web_search_tool_result") and OF_OUR_SEARCH in json.dumps(block):
        return _as_text(block)
    return block


def _changed_thinking(block: Block, changes: Changes) -> Block | None:
    field = signature_field(block)
    own = changes.signer.own(block.get(field))
    if own is None or changes.drops_thinking or changes.never_thinks:
        return None
    return block if own == block[field] else {**block, field: own}


def _as_text(block: Block) -> Block:
    """Return the results of a search as text, since only this gateway can read what it has encrypted in
    them."""
    found = [one for one in block.get("content") or () if isinstance(one, dict)]
    lines = [f"{one.get('title') or ''} {one.get('url') or ''}".strip() for one in found]
    return {"type": "text", "text": "Search results:\n" + "\n".join(lines)}


def _messages(
    body: Text,
    spans: Sequence[Span],
    kept: Sequence[Message | None],
    before: Sequence[Message],
    changes: Changes,
) -> bytes:
    """Return the messages as JSON. A changed message is made from its own bytes, so that no number or
    character in it is altered."""
    written: list[bytes] = []
    for new, old, (start, end) in zip(kept, before, spans, strict=True):
        if new is old:
            written.append(bytes(body[start:end]))
        elif new is not None:
            written.append(_written(_changed(json.loads(bytes(body[start:end])), changes)))
    return b"[" + b",".join(written) + b"]"


def _written(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a character, which JSON can only escape
        return json.dumps(value, separators=(",", ":")).encode()


# Thinking


def _is_in_loop_without_thinking(
    messages: Sequence[Message], thinking: Mapping[str, Any] | None, *, drops_thinking: bool
) -> bool:
    kind = (thinking or {}).get("type")
    if kind != "enabled" and not (kind == "adaptive" and drops_thinking):
        return False
    if not messages or not any(block.get("type") == "tool_result" for block in _blocks(messages[-1])):
        return False
    last = next((one for one in reversed(messages) if one["role"] == "assistant"), None)
    blocks = _blocks(last) if last is not None else []
    return bool(blocks) and blocks[0].get("type") not in THINKING


def _blocks(message: Message) -> list[Block]:
    content = message.get("content")
    return content if isinstance(content, list) else []


def _without_thinking(body: Text, spans: Mapping[str, Span]) -> dict[str, bytes | None]:
    """Return the changes that turn thinking off, and remove a context rule that requires thinking."""
    replaced: dict[str, bytes | None] = {"thinking": THINKING_OFF}
    if "context_management" in spans and b"clear_thinking" in _of(body, spans["context_management"]):
        replaced["context_management"] = None
    return replaced


# Other fields


def _fields(body: Text, spans: Mapping[str, Span], changes: Changes) -> dict[str, bytes | None]:
    replaced: dict[str, bytes | None] = {}
    if changes.never_thinks:
        replaced["thinking"] = None
    if not changes.keeps_fields_of_betas:
        replaced |= dict.fromkeys(OF_BETAS)
    if not changes.keeps_attribution and "system" in spans:
        system = json.loads(_of(body, spans["system"]))
        if isinstance(system, list) and system and _is_attribution(system[0]):
            replaced["system"] = _written(system[1:]) if system[1:] else None
    return replaced


def _is_attribution(block: Any) -> bool:
    """Return True for Claude Code's first block, which differs by conversation and would spoil the prompt
    cache of a local server."""
    text = block.get("text") if isinstance(block, dict) else None
    return isinstance(text, str) and text.strip().startswith(ATTRIBUTION_PREFIX)


def _fewer_breakpoints(
    body: Text, spans: Mapping[str, Span], replaced: Mapping[str, bytes | None], most: int
) -> dict[str, bytes | None]:
    """Remove breakpoints of the prompt cache, those in earlier messages first, since the last breakpoints
    also cache everything before them."""
    values: dict[str, Any] = {}
    for name in ("messages", "system", "tools"):
        text = replaced[name] if name in replaced else _of(body, spans[name]) if name in spans else None
        if text is not None:
            values[name] = json.loads(text)
    marked = [block for name in values for block in _marked(values[name])]
    for block in marked[: max(0, len(marked) - most)]:
        del block["cache_control"]
    return {name: _written(value) for name, value in values.items()}


def _marked(value: Any) -> list[Block]:
    """Return the blocks with a breakpoint, in order."""
    if isinstance(value, list):
        return [block for one in value for block in _marked(one)]
    if not isinstance(value, dict):
        return []
    return ([value] if value.get("cache_control") else []) + _marked(value.get("content"))


# Bytes


def _of(body: Text, span: Span) -> bytes:
    return bytes(body[span[0] : span[1]])


def _with_members(body: Text, spans: Mapping[str, Span], replaced: Mapping[str, bytes | None]) -> list[Text]:
    """Return the body in pieces, with the values in `replaced`; None removes a member."""
    if None in replaced.values():
        left = [
            orjson.dumps(name) + b":" + (replaced.get(name) or _of(body, span))
            for name, span in spans.items()
            if replaced.get(name, b"") is not None
        ]
        return [b"{" + b",".join(left) + b"}"]
    changed = {spans[name]: value for name, value in replaced.items() if value is not None}
    changed = {span: value for span, value in changed.items() if _of(body, span) != value}
    pieces: list[Text] = []
    at = 0
    for (start, end), value in sorted(changed.items()):
        pieces += [body[at:start], value]
        at = end
    return [*pieces, body[at:]] if changed else [body]
