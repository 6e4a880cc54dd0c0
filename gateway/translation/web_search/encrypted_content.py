"""The opaque ``encrypted_content`` of a search result: the texts of the answer that cite the source.

The client stores the value and sends it back with the history, where it becomes text for the next model. It
is not secret, and is trusted no more than the client's other content.
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
"""Anthropic's values are plain base64 and contain no dash. The number is the version of this format. Claude
Code takes a value with any character outside base64 for the text of the page."""
LONGEST_VALUE = 64 * 1024

_BASE64 = re.compile(r"[A-Za-z0-9_-]*")


def sealed(texts: Sequence[str]) -> str:
    return PREFIX + base64.urlsafe_b64encode(orjson.dumps(list(texts))).decode().rstrip("=")


def unsealed(value: object) -> list[str]:
    """Return the texts; none for a value that is Anthropic's or was changed."""
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
