"""Bodies that would block a gateway which reads them in its event loop, and a legitimate one of the same
size."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1024 * 1024
HEAD = b'{"model":"claude-sonnet-4-6","max_tokens":9,"messages":['
MESSAGE = b'{"role":"user","content":"x"}'
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def a_text_of(unit: bytes, size: int = 31 * MIB) -> bytes:
    return HEAD + b'{"role":"user","content":"' + unit * (size // len(unit)) + b'"}]}'


def many_messages(count: int) -> bytes:
    return HEAD + b",".join([MESSAGE] * count) + b"]}"


def many_tools(count: int) -> bytes:
    schema = b'{"type":"object","properties":{"a":{"type":"string"}}}'
    return _with_tools(b",".join(b'{"name":"t%d","input_schema":%b}' % (n, schema) for n in range(count)))


def many_branches(count: int) -> bytes:
    branches = b",".join([b'{"type":"string"}'] * count)
    schema = b'{"type":"object","properties":{"a":{"anyOf":[%b]}}}' % branches
    return _with_tools(b'{"name":"t","input_schema":%b}' % schema)


def many_keys(count: int) -> bytes:
    return HEAD + MESSAGE + b'],"metadata":{' + b",".join(b'"k%d":1' % n for n in range(count)) + b"}}"


def many_lists(count: int) -> bytes:
    return HEAD + MESSAGE + b'],"x":[' + b",".join([b"[]"] * count) + b"]}"


def a_history_with_images(count: int = 31) -> bytes:
    """A history with images of a megabyte each, in base64."""
    data = base64.b64encode(PIXEL + bytes(MIB * 3 // 4 - len(PIXEL))).decode()
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    messages = [{"role": "user", "content": [image]}] * count
    return json.dumps({"model": "claude-sonnet-4-6", "max_tokens": 9, "messages": messages}).encode()


def maps_in_maps(count: int, depth: int = 12) -> bytes:
    """Nested maps: each map is read twice, and so is what is in it."""
    schema = b'{"additionalProperties":' * depth + b"{}" + b"}" * depth
    tool = b'{"name":"t%d","input_schema":{"type":"object","properties":{"a":%b}}}'
    return _with_tools(b",".join(tool % (number, schema) for number in range(count)))


def _with_tools(tools: bytes) -> bytes:
    return HEAD + MESSAGE + b'],"tools":[' + tools + b"]}"


ATTACKS: dict[str, tuple[Callable[[], bytes], int]] = {
    "31 MiB of pairs of backslashes": (lambda: a_text_of(rb"\\"), 200),
    "31 MiB of backslashes": (lambda: a_text_of(b"\\", 31 * MIB + 1), 400),
    "30 MiB of halves of characters": (lambda: a_text_of(rb"\ud800", 30 * MIB), 400),
    "31 MiB of escapes": (lambda: a_text_of(rb"\u00e9"), 200),
    "31 MiB of Cyrillic and an emoji": (lambda: a_text_of("ж".encode())[:-6] + "😀".encode() + b'"}]}', 200),
    "100,000 messages": (lambda: many_messages(100_000), 400),
    "49,000 messages": (lambda: many_messages(49_000), 200),
    "10,000 tools": (lambda: many_tools(10_000), 200),
    "400 tools with maps in maps": (lambda: maps_in_maps(400), 200),
    "2^18 branches": (lambda: many_branches(2**18), 400),
    "2.3 million keys": (lambda: many_keys(2_300_000), 400),
    "99,000 lists": (lambda: many_lists(99_000), 200),
    "a history with 31 MiB of images": (a_history_with_images, 200),
}
"""The bodies, and the expected status of the answer."""
