"""Content blocks into parts.

Every part is built from the few fields we know, so cache_control, citations and whatever comes next never
reach Google. What has no counterpart becomes text: nothing a client sends fails because of its type.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson

from gateway.anthropic_api.messages import DOCUMENT_MEDIA_TYPES, IMAGE_MEDIA_TYPES
from gateway.google_api.content import Part, inline_data_part, text_part

Block = Mapping[str, Any]

# Claude refuses other types, and would fail the whole request.
INLINE_MEDIA_TYPES = IMAGE_MEDIA_TYPES | DOCUMENT_MEDIA_TYPES

_DATA_URL = re.compile(r"data:(?P<media_type>[^;,]*)(?P<parameters>(?:;[^;,]*)*),(?P<data>.*)", re.DOTALL)
# Only Anthropic can read these, and they are long.
_OPAQUE_FIELDS = frozenset({"encrypted_content", "encrypted_index", "encrypted_stdout"})


def block_to_parts(block: Block) -> list[Part]:
    """For the blocks that stand for themselves; calls, results and thinking need their turn (turns.py)."""
    translate = _TRANSLATORS.get(block["type"])
    if translate is not None:
        return translate(block)
    if block["type"].endswith("_tool_result"):
        return _server_tool_result(block)
    return _unsupported(block)


def blocks_to_parts(content: object) -> list[Part]:
    """Of a string or a list of blocks."""
    if isinstance(content, str):
        return _text(content)
    if not isinstance(content, list):
        return []
    return [part for block in content for part in block_to_parts(block)]


def _text(text: object) -> list[Part]:
    """Both upstreams refuse a blank text."""
    return [text_part(text)] if isinstance(text, str) and text.strip() else []


def _text_block(block: Block) -> list[Part]:
    return _text(block.get("text"))


# --- images and documents ---


def _image(block: Block) -> list[Part]:
    return _source_to_parts(block.get("source") or {}, "image", "image/jpeg")


def _document(block: Block) -> list[Part]:
    source = block.get("source") or {}
    head = _document_head(block)
    if source.get("type") == "text":
        return _text(_under(head, source["data"]))
    parts = (
        blocks_to_parts(source.get("content"))
        if source.get("type") == "content"
        else _source_to_parts(source, "document", "application/pdf")
    )
    return [*_text(head), *parts]


def _document_head(block: Block) -> str:
    return _labelled(("Title", block.get("title")), ("Context", block.get("context")))


def _labelled(*fields: tuple[str, object]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in fields if isinstance(value, str) and value)


def _under(head: str, text: str) -> str:
    return f"{head}\n{text}" if head else text


def _source_to_parts(source: Block, kind: str, default_media_type: str) -> list[Part]:
    if source.get("type") == "base64":
        return [inline_data_part(source.get("media_type") or default_media_type, source["data"])]
    if source.get("type") == "url":
        return [_url_to_part(source["url"], kind, default_media_type)]
    return _text(f"[{kind}: {source.get('file_id') or source.get('type')}]")


def _url_to_part(url: str, kind: str, default_media_type: str) -> Part:
    """Google fetches no foreign addresses, and fetching them here would let a client make us call anyone."""
    match = _DATA_URL.fullmatch(url)
    if match is None:
        return text_part(f"[{kind}: {url}]")
    media_type = match["media_type"] or default_media_type
    content = _content_of(match)
    if content is None:
        return text_part(f"[{kind}: unreadable data URL]")
    if media_type in INLINE_MEDIA_TYPES:
        return inline_data_part(media_type, base64.b64encode(content).decode())
    return text_part(f"[{kind}: data URL of type {media_type}]")


def _content_of(match: re.Match[str]) -> bytes | None:
    content = unquote_to_bytes(match["data"])
    if ";base64" not in match["parameters"].lower():
        return content or None
    try:
        return base64.b64decode(content, validate=True) or None
    except ValueError:
        return None


# --- everything else, as text ---


def _search_result(block: Block) -> list[Part]:
    head = _labelled(("Title", block.get("title")), ("Source", block.get("source")))
    return _text(_under(head, _render(block.get("content"))))


def _server_tool_use(block: Block) -> list[Part]:
    return _text(f"[server tool {block.get('name')} called with {_as_json(block.get('input'))}]")


def _mcp_tool_use(block: Block) -> list[Part]:
    name = f"{block.get('name')} of {block.get('server_name')}"
    return _text(f"[MCP tool {name} called with {_as_json(block.get('input'))}]")


def _server_tool_result(block: Block) -> list[Part]:
    """``web_search_tool_result``, ``mcp_tool_result`` and their like."""
    kind = block["type"].removesuffix("_tool_result").replace("_", " ")
    outcome = "error" if block.get("is_error") else "result"
    return _text(f"[{outcome} of {kind}: {_render(block.get('content'))}]")


def _render(content: object) -> str:
    """A string, or blocks a line each; nothing is known of their form."""
    if content is None:
        return ""
    return "\n".join(map(_render_one, content if isinstance(content, list) else [content]))


def _render_one(item: object) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, dict) and item.get("type") == "text":
        return str(item.get("text"))
    if isinstance(item, dict):
        item = {key: value for key, value in item.items() if key not in _OPAQUE_FIELDS}
    return _as_json(item)


def _as_json(value: object) -> str:
    return orjson.dumps(value).decode()


def _tool_reference(block: Block) -> list[Part]:
    return _text(f"[The tool {block.get('tool_name')} is now available]")


def _compaction(block: Block) -> list[Part]:
    return _text(_render(block.get("content")))


def _nothing(block: Block) -> list[Part]:
    return []


def _unsupported(block: Block) -> list[Part]:
    return [text_part(f"[unsupported content: {block['type']}]")]


_TRANSLATORS: dict[str, Callable[[Block], list[Part]]] = {
    "text": _text_block,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "server_tool_use": _server_tool_use,
    "mcp_tool_use": _mcp_tool_use,
    "tool_reference": _tool_reference,
    "compaction": _compaction,
    # Thinking belongs to the assistant's turns, where turns.py deals with it.
    "thinking": _nothing,
    "redacted_thinking": _nothing,
}


def text_of(parts: Iterable[Part]) -> str:
    return "\n".join(part["text"] for part in parts if "text" in part)
