"""Translation of content blocks into parts.

Every part is built from known fields, so cache_control, citations and future fields never reach Google. A
block without a counterpart becomes text: no request fails because of a block's type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from gateway.dialects.anthropic.tool_changes import changed_tool_name
from gateway.google_api.content import Part, inline_data_part, text_part
from gateway.translation.request.binary_data import (
    Binary,
    binary_in,
    binary_of_url,
    media_type_of_data,
    placeholder,
    take_out_binaries,
    text_in,
)
from gateway.translation.web_search.encrypted_content import unsealed

Block = Mapping[str, Any]

# Levels of results within results of unknown form. Deeper ones are written as JSON.
MAX_RENDERED_DEPTH = 20

_MARKDOWN_IMAGE = re.compile(r"!\[[^\]\n]*\]\((data:image/[a-z0-9.+-]+;base64,[A-Za-z0-9+/=]+)\)")


def block_to_parts(block: Block) -> list[Part]:
    """Translate a block that needs no context; calls, results and thinking need their turn (turns.py)."""
    translate = _TRANSLATORS.get(block["type"])
    if translate is not None:
        return translate(block)
    if block["type"].endswith("_tool_result"):
        return _server_tool_result(block)
    return _unknown(block)


def blocks_to_parts(content: object) -> list[Part]:
    """Translate a string or a list of blocks."""
    if isinstance(content, str):
        return _text(content)
    if not isinstance(content, list):
        return []
    return [part for block in content for part in block_to_parts(block)]


def _text(text: object) -> list[Part]:
    """Return a text part, or none for a blank text, which both upstreams refuse."""
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
    """Return a ``data:`` URL as a file, another URL as text. Google fetches no foreign addresses, and
    fetching them here would allow server-side request forgery."""
    if not url.startswith("data:"):
        return text_part(f"[{kind}: {url}]")
    binary = binary_of_url(url)
    if binary is None:
        return text_part(f"[{kind}: unreadable data URL]")
    words = text_in(binary)
    if words is not None and words.strip():
        return text_part(f"[{kind}: {words}]")
    media_type = binary.media_type or media_type_of_data(binary.data) or default_media_type
    return inline_data_part(media_type, binary.data)


def text_with_images(text: str) -> list[Part]:
    """Translate an assistant's text, in which an image of the model is Markdown with a ``data:`` URL, as it
    was sent."""
    parts: list[Part] = []
    for index, piece in enumerate(_MARKDOWN_IMAGE.split(text)):
        is_image = index % 2 == 1
        parts += [_url_to_part(piece, "image", "image/png")] if is_image else _text(piece)
    return parts


def described(part: Part) -> str:
    """Return the placeholder for an inlineData part."""
    return placeholder(part["inlineData"]["mimeType"], part["inlineData"]["data"])


# --- everything else, as text and the files that are in it ---


def _search_result(block: Block) -> list[Part]:
    head = _labelled(("Title", block.get("title")), ("Source", block.get("source")))
    parts = _render(block.get("content"))
    return [*_text(_under(head, text_of(parts))), *_files_in(parts)]


def _server_tool_use(block: Block) -> list[Part]:
    return _call_in_words(f"server tool {block.get('name')}", block)


def _mcp_tool_use(block: Block) -> list[Part]:
    return _call_in_words(f"MCP tool {block.get('name')} of {block.get('server_name')}", block)


def _call_in_words(tool: str, block: Block) -> list[Part]:
    arguments, _ = take_out_binaries(as_arguments(block.get("input")))
    return _text(f"[{tool} called with {_as_json(arguments)}]")


def as_arguments(value: object) -> dict[str, Any]:
    """Return a call's input as an object: {} for nothing, JSON text of an object parsed, anything else under
    ``value``."""
    if type(value) is dict:
        return value
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            parsed = orjson.loads(value)
        except orjson.JSONDecodeError:
            parsed = None
        if isinstance(parsed, dict):
            return parsed
    return {"value": value}


def _web_search_result(block: Block) -> list[Part]:
    """Return one line a source, followed by the texts that cited it when the result is the gateway's own."""
    content = block.get("content")
    if isinstance(content, dict) and isinstance(content.get("error_code"), str):
        return _text(f"[error of web search: {content['error_code']}]")
    if not isinstance(content, list):
        return _server_tool_result(block)
    parts = [part for item in content for part in _source(item)]
    return _in_brackets("result of web search:\n", parts or [text_part("nothing was found")])


def _source(item: object) -> list[Part]:
    if not isinstance(item, dict) or item.get("type") != "web_search_result":
        return _render(item)
    told, binaries = take_out_binaries({key: item.get(key) for key in ("title", "url", "page_age")})
    head = ", ".join(value for value in told.values() if isinstance(value, str) and value)
    texts = [f"    {text}" for text in unsealed(item.get("encrypted_content"))]
    return [text_part("\n".join([f"- {head}", *texts])), *map(_file, binaries)]


def _server_tool_result(block: Block) -> list[Part]:
    """Translate ``mcp_tool_result`` and other results of server tools."""
    kind = block["type"].removesuffix("_tool_result").replace("_", " ")
    outcome = "error" if block.get("is_error") else "result"
    return _in_brackets(f"{outcome} of {kind}: ", _render(block.get("content")))


def _unknown(block: Block) -> list[Part]:
    """Translate a block of an unknown type, newer or of another API: its texts and files are kept."""
    fields = {key: value for key, value in block.items() if key not in ("type", "index", "cache_control")}
    label = f"unsupported content: {block['type']}"
    return _in_brackets(f"{label}: ", _render(fields)) if fields else [text_part(f"[{label}]")]


def _in_brackets(label: str, parts: list[Part]) -> list[Part]:
    return [text_part(f"[{label}{text_of(parts)}]"), *_files_in(parts)]


def _files_in(parts: Iterable[Part]) -> list[Part]:
    return [part for part in parts if "text" not in part]


def _render(content: object, depth: int = 0) -> list[Part]:
    """Render content of unknown form: blocks as blocks, the ``content`` of an object after its other fields,
    anything else as JSON."""
    if content is None:
        return []
    if isinstance(content, str):
        words, binaries = take_out_binaries(content)
        return [*_text(words), *map(_file, binaries)]
    if isinstance(content, list) and depth < MAX_RENDERED_DEPTH:
        return [part for item in content for part in _render(item, depth + 1)]
    if isinstance(content, dict) and depth < MAX_RENDERED_DEPTH:
        return _render_object(content, depth + 1)
    return _as_json_and_files(content)


def _render_object(item: dict[str, Any], depth: int) -> list[Part]:
    if item.get("type") == "text" and isinstance(item.get("text"), str):
        return _text(item["text"])
    source = item.get("source")
    if item.get("type") in ("image", "document") and isinstance(source, dict):
        parts = _render_source(source, depth)
        if parts:
            return [*_text(_document_head(item)), *parts]
    inner = item.get("content")
    if not isinstance(inner, dict | list):
        return _as_json_and_files(item)
    rest = {key: value for key, value in item.items() if key != "content"}
    return [*_as_json_and_files(rest), *_render(inner, depth)]


def _render_source(source: dict[str, Any], depth: int) -> list[Part]:
    """Render a ``source``; no parts for a malformed one."""
    binary = binary_in(source)
    if binary is not None:
        words = text_in(binary)
        return [text_part(binary.placeholder), _file(binary)] if words is None else _text(words)
    if source.get("type") == "text":
        return _text(source.get("data"))
    return _render(source.get("content"), depth) if source.get("type") == "content" else []


def _as_json_and_files(value: object) -> list[Part]:
    words, binaries = take_out_binaries(value)
    return [text_part(_as_json(words)), *map(_file, binaries)]


def _file(binary: Binary) -> Part:
    """Return a binary as a file part; its placeholder is in the text before it. turns.py drops types the
    model does not accept."""
    return inline_data_part(binary.media_type or "application/octet-stream", binary.data)


def _as_json(value: object) -> str:
    return orjson.dumps(value).decode()


def announced_tool(block: Block) -> str | None:
    """Return the name of the tool that a block declares available from here on, else None."""
    if block["type"] == "tool_addition":
        return changed_tool_name(block)
    name = block.get("tool_name") if block["type"] == "tool_reference" else None
    return name if isinstance(name, str) else None


def _announcement(block: Block) -> list[Part]:
    """Announce a tool in words. turns.py drops the part when the tool is not declared."""
    name = announced_tool(block)
    return _text(f"[The tool {name} is now available]") if name else []


def _tool_removal(block: Block) -> list[Part]:
    """State in words where a tool was removed: the declarations are those at the end of the conversation
    (tools.py)."""
    name = changed_tool_name(block)
    return _text(f"[The tool {name} is no longer available]") if name else []


def _compaction(block: Block) -> list[Part]:
    return _render(block.get("content"))


def _nothing(block: Block) -> list[Part]:
    return []


_TRANSLATORS: dict[str, Callable[[Block], list[Part]]] = {
    "text": _text_block,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "server_tool_use": _server_tool_use,
    "web_search_tool_result": _web_search_result,
    "mcp_tool_use": _mcp_tool_use,
    "tool_reference": _announcement,
    "tool_addition": _announcement,
    "tool_removal": _tool_removal,
    "compaction": _compaction,
    "text_delta": _text_block,
    # Only an assistant turn may hold thinking; turns.py translates it.
    "thinking": _nothing,
    "redacted_thinking": _nothing,
    # Stream events that a client stored among its blocks; history.py has merged their content.
    **dict.fromkeys(("input_json_delta", "thinking_delta", "signature_delta", "citations_delta"), _nothing),
    # Blocks of Anthropic's bookkeeping, which its models are not shown either.
    **dict.fromkeys(("fallback", "mcp_tool_listing"), _nothing),
}


def text_of(parts: Iterable[Part]) -> str:
    return "\n".join(part["text"] for part in parts if "text" in part)
