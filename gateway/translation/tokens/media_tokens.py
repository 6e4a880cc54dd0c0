"""Token estimates for images and documents, from the first and last bytes of their base64.

Claude: width x height / 750 once the longer side is at most 1,568 px, about 1,600 at most (docs.claude.com,
Vision); 1,500 to 3,000 for the text of a page and an image of it (PDF support). Gemini: a fixed number for an
image and for a page (ai.google.dev, Media resolution: 1,120 and 560 for Gemini 3).
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from typing import TYPE_CHECKING

import imagesize

if TYPE_CHECKING:
    from gateway.routing.upstream_model import Family

PIXELS_PER_TOKEN = 750
LONGEST_EDGE = 1_568
MOST_TOKENS_PER_IMAGE = 1_600
GEMINI_TOKENS_PER_IMAGE = 1_120
TOKENS_PER_PAGE = 2_500
GEMINI_TOKENS_PER_PAGE = 560
BYTES_PER_PAGE = 75_000
"""The size of a page, for a PDF whose page count cannot be read cheaply."""

# Bytes to decode: the size of a JPEG stands behind its metadata, the page tree of a PDF near either end.
_IMAGE_HEAD = 64 * 1024
_PDF_HEAD, _PDF_TAIL = 4 * 1024, 32 * 1024
_LINEARIZED_PAGES = re.compile(rb"/Linearized.{0,200}?/N\s+(\d{1,5})", re.DOTALL)
_PAGE_TREE = re.compile(
    rb"/Type\s*/Pages\b[^>]{0,300}?/Count\s+(\d{1,5})|/Count\s+(\d{1,5})[^>]{0,300}?/Type\s*/Pages\b"
)


def image_tokens(data: str, family: Family) -> int:
    """Return the tokens of an image in base64; an unreadable one counts as large."""
    if family == "gemini":
        return GEMINI_TOKENS_PER_IMAGE
    width, height = _size(_decoded(data[:_IMAGE_HEAD]))
    if width <= 0 or height <= 0:
        return MOST_TOKENS_PER_IMAGE
    scale = min(1.0, LONGEST_EDGE / max(width, height))
    tokens = width * scale * height * scale / PIXELS_PER_TOKEN
    return max(1, min(MOST_TOKENS_PER_IMAGE, round(tokens)))


def _size(image: bytes) -> tuple[int, int]:
    """Return width and height in pixels; -1 for both when they cannot be read."""
    width, height = imagesize.get(io.BytesIO(image), exif_rotation=False)
    return int(width), int(height)


def pdf_tokens(data: str, family: Family) -> int:
    return _pages(data) * (GEMINI_TOKENS_PER_PAGE if family == "gemini" else TOKENS_PER_PAGE)


def _pages(data: str) -> int:
    head, tail = _decoded(data[:_PDF_HEAD]), _decoded(data[-(len(data) % 4) - _PDF_TAIL :])
    if found := _LINEARIZED_PAGES.search(head):
        return max(1, int(found[1]))
    counts = [int(before or after) for before, after in _PAGE_TREE.findall(head + tail)]
    return max(counts, default=0) or max(1, len(data) * 3 // 4 // BYTES_PER_PAGE)


def _decoded(data: str) -> bytes:
    """Return the decodable bytes; none when it is no base64."""
    try:
        return base64.b64decode(data[: len(data) // 4 * 4])
    except (binascii.Error, ValueError):
        return b""
