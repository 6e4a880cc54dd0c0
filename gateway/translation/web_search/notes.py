"""What an answer says on the strength of a source, as the opaque ``encrypted_content`` of a search result.

The client keeps the value and sends it back with the history; there it becomes text again, for whichever
model goes on. Nothing in it is secret, and nothing in it is trusted more than what else the client says.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX = "gateway-1-"
"""No value of Anthropic's has a dash: theirs are plain base64. The number is that of this form. Claude Code
takes a value with any sign but those of base64 for the words of the page."""
LONGEST_VALUE = 64 * 1024

_BASE64 = re.compile(r"[A-Za-z0-9_-]*")


def sealed(texts: Sequence[str]) -> str:
    return PREFIX + base64.urlsafe_b64encode(orjson.dumps(list(texts))).decode().rstrip("=")


def unsealed(value: object) -> list[str]:
    """Nothing for a value that is not ours, such as one of Anthropic's, or that was changed."""
    if not isinstance(value, str) or not value.startswith(PREFIX) or len(value) > LONGEST_VALUE:
        return []
    data = value[len(PREFIX) :]
    if not _BASE64.fullmatch(data):
        return []
    try:
        texts = orjson.loads(base64.urlsafe_b64decode(data + "=" * (-len(data) % 4)))
    except (binascii.Error, orjson.JSONDecodeError):
        return []
    is_ours = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
    return texts if is_ours else []
