"""Find binary data in JSON of unknown form, take it out and leave a placeholder.

Base64 sent as text fills a model's context without informing it. Results of tools hold it in many shapes:
Anthropic's ``source``, the ``data`` and ``blob`` of MCP, Google's ``inlineData``, ``data:`` URLs, and plain
strings. The placeholder looks like ``[application/pdf, 1.2 MB]``.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from gateway.dialects.anthropic.request_shapes import DOCUMENT_MEDIA_TYPES, IMAGE_MEDIA_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.routing.upstream_model import Family

_ANTHROPIC_TYPES = IMAGE_MEDIA_TYPES | DOCUMENT_MEDIA_TYPES
# https://ai.google.dev/gemini-api/docs: image, document, audio and video understanding. GIF is not among
# them, and is refused (microsoft/vscode#286628).
_GEMINI_TYPES = frozenset(
    {
        *(f"image/{kind}" for kind in ("png", "jpeg", "webp", "heic", "heif")),
        *(f"audio/{kind}" for kind in ("wav", "mp3", "mpeg", "aiff", "aac", "ogg", "flac")),
        *(f"video/{kind}" for kind in ("mp4", "mpeg", "mov", "avi", "x-flv", "mpg", "webm", "wmv", "3gpp")),
        "application/pdf",
    }
)
MEDIA_TYPES: Mapping[Family, frozenset[str]] = {
    "claude": _ANTHROPIC_TYPES,
    "gemini": _GEMINI_TYPES,
    "gpt": _ANTHROPIC_TYPES,
    "unknown": _ANTHROPIC_TYPES,
}
"""Media types that each family accepts as ``inlineData``. Another type fails the whole request."""
NESTED_MEDIA_TYPES = _ANTHROPIC_TYPES
"""Media types that Gemini accepts inside a function response, besides text/plain."""

SHORTEST_BARE_BASE64 = 512
"""The least characters of base64 without a media type beside it; a shorter string counts as text."""

_DATA_FIELDS = ("data", "blob", "base64", "b64_json", "bytes", "file_data")
_MEDIA_TYPE_FIELDS = ("media_type", "mime_type", "mimeType", "mediaType", "content_type", "contentType")
# Long values that only Anthropic's API can read; the last one belongs to its cache.
_DROPPED_FIELDS = frozenset({"encrypted_content", "encrypted_index", "encrypted_stdout", "cache_control"})
_OTHER_SPELLINGS = {"image/jpg": "image/jpeg", "audio/x-wav": "audio/wav"}
_TEXT_TYPE = re.compile(r"text/.*|application/(?:.*\+)?(?:json|xml|javascript|yaml)|image/svg\+xml")
_DATA_URL = re.compile(r"data:(?P<media_type>[^;,]*)(?P<parameters>(?:;[^;,]*)*),(?P<data>.*)", re.DOTALL)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_URL_SAFE = str.maketrans("-_", "+/")
_LINE_LENGTHS = (64, 76)  # of PEM and MIME
_FIRST_BYTES = {
    b"%PDF-": "application/pdf",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
}


@dataclass(frozen=True, slots=True)
class Binary:
    """Binary data found in JSON: ``data`` in standard base64, ``media_type`` empty when it is unknown."""

    media_type: str
    data: str

    @property
    def placeholder(self) -> str:
        return placeholder(self.media_type, self.data)


def placeholder(media_type: str, data: str) -> str:
    """Return ``[image/png, 12.3 kB]`` for base64 ``data``."""
    size = len(data) * 3 // 4 - data.count("=", -2)
    return f"[{media_type or 'binary data'}, {_size_in_words(size)}]"


def _size_in_words(size: int) -> str:
    if size < 1_000:
        return f"{size} bytes"
    return f"{size / 1_000:.1f} kB" if size < 999_950 else f"{size / 1_000_000:.1f} MB"


def take_out_binaries(value: object) -> tuple[Any, list[Binary]]:
    """Return the value with placeholders, and the binaries they stand for. Textual data is decoded and stays
    as text."""
    found: list[Binary] = []
    return _walk(value, found), found


def _walk(value: Any, found: list[Binary]) -> Any:
    """Replace binaries within a value. Uses few stack frames a level: JSON may be some 250 levels deep."""
    if isinstance(value, str):
        return _string(value, found)
    if isinstance(value, list):
        return [_walk(item, found) for item in value]
    if not isinstance(value, dict):
        return value
    data_field, binary = _data_in(value)
    fields = {}
    for key, inner in value.items():
        if binary is not None and key == data_field:
            fields[key] = _described(binary, found)
        elif key not in _DROPPED_FIELDS:
            fields[key] = _walk(inner, found)
    return fields


def _string(text: str, found: list[Binary]) -> str:
    binary = binary_of_url(text) if text.startswith("data:") else _of_bare_base64(text)
    return text if binary is None else _described(binary, found)


def _described(binary: Binary, found: list[Binary]) -> str:
    words = text_in(binary)
    if words is not None:
        return words
    found.append(binary)
    return binary.placeholder


def text_in(binary: Binary) -> str | None:
    """Return the decoded text of a binary with a textual media type; None for others and for undecodable
    ones."""
    if not _TEXT_TYPE.fullmatch(binary.media_type):
        return None
    try:
        return base64.b64decode(binary.data).decode()
    except UnicodeDecodeError:
        return None


# --- the shapes ---


def binary_in(fields: Mapping[str, Any]) -> Binary | None:
    """Return the binary of an object with base64 in one field, as ``{"type": "base64", "media_type",
    "data"}``."""
    return _data_in(fields)[1]


def _data_in(fields: Mapping[str, Any]) -> tuple[str, Binary | None]:
    """Return the field and the binary in it. Base64 counts only when declared so or beside a media type."""
    media_type = _media_type_of(fields)
    for field in _DATA_FIELDS:
        value = fields.get(field)
        if not isinstance(value, str) or not value:
            continue
        is_declared = fields.get("type") == "base64" or field in ("blob", "base64", "b64_json")
        if is_declared or (media_type and not _TEXT_TYPE.fullmatch(media_type)):
            data = standard_base64(value)
            if data is not None:
                return field, Binary(media_type or media_type_of_data(data), data)
    return "", None


def _media_type_of(fields: Mapping[str, Any]) -> str:
    for field in _MEDIA_TYPE_FIELDS:
        value = fields.get(field)
        if isinstance(value, str) and "/" in value:
            media_type = value.partition(";")[0].strip().lower()
            if media_type != "application/octet-stream":
                return _OTHER_SPELLINGS.get(media_type, media_type)
    return ""


def binary_of_url(text: str) -> Binary | None:
    """Return the binary of a ``data:`` URL; None for another URL, and for a text that only resembles one."""
    match = _DATA_URL.fullmatch(text)
    if match is None:
        return None
    content = unquote_to_bytes(match["data"])
    if ";base64" in match["parameters"].lower():
        try:
            content = base64.b64decode(content, validate=True)
        except ValueError:
            return None
    media_type = match["media_type"].lower()
    data = base64.b64encode(content).decode()
    return Binary(_OTHER_SPELLINGS.get(media_type, media_type), data) if content else None


def _of_bare_base64(text: str) -> Binary | None:
    if len(text) < SHORTEST_BARE_BASE64 or not _is_mixed(text[:SHORTEST_BARE_BASE64]):
        return None
    data = standard_base64(text)
    return None if data is None else Binary(media_type_of_data(data), data)


def _is_mixed(text: str) -> bool:
    """Return True for a text with small letters, capitals and digits: so has base64 of some length, unlike a
    long word, a number or a ruler."""
    return (
        any(character.isdigit() for character in text)
        and any(character.islower() for character in text)
        and any(character.isupper() for character in text)
    )


def standard_base64(text: str) -> str | None:
    """Return ``text`` in the standard alphabet, in one line and padded; None when it is no base64."""
    if _is_standard(text):
        return text
    if "\n" in text[: max(_LINE_LENGTHS) + 2]:
        text = _in_one_line(text)
    if _BASE64.fullmatch(text) is None:
        return None
    text = text.translate(_URL_SAFE).rstrip("=")
    return None if len(text) % 4 == 1 else text + "=" * (-len(text) % 4)


def _is_standard(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except ValueError:
        return False


def _in_one_line(text: str) -> str:
    lines = text.split()
    if len(lines[0]) not in _LINE_LENGTHS or any(len(line) != len(lines[0]) for line in lines[:-1]):
        return text
    return "".join(lines)


def media_type_of_data(data: str) -> str:
    """Return the media type of base64 ``data`` by its first bytes; empty when unknown."""
    head = base64.b64decode(data[:16])
    if head.startswith(b"RIFF"):
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12], "")
    return next((kind for first, kind in _FIRST_BYTES.items() if head.startswith(first)), "")
