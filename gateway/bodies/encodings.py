"""Incremental decompression of request bodies.

A few bytes can hold gigabytes, so each step gives a bounded piece, and the reader stops at its limit.
Names of the codings: RFC 9110, section 8.4.1, and RFC 8878 for zstd.
"""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING, Protocol

from gateway.errors import InvalidRequest, UnsupportedEncoding

if sys.version_info >= (3, 14):
    from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
else:
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

if TYPE_CHECKING:
    from collections.abc import Iterator

STEP_BYTES = 256 * 1024
ZSTD_WINDOW_LOG = 23
"""The largest window, 8 MiB, which RFC 8878 recommends every decoder to support; larger ones are refused."""
ENCODINGS = "gzip, deflate, zstd"


class Decoder(Protocol):
    memory_bytes: int
    """Upper bound of the decoder's memory, besides the pieces."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Decompress into pieces of at most STEP_BYTES. Raises InvalidRequest."""

    @property
    def has_ended(self) -> bool:
        """True when the compressed stream is complete."""


def decoder_for(content_encoding: bytes) -> Decoder | None:
    """Return the decoder; None for an uncompressed body. Raises UnsupportedEncoding."""
    name = content_encoding.decode("latin1").strip().lower()
    if name in {"", "identity"}:
        return None
    if name in {"gzip", "x-gzip"}:
        return _Zlib("gzip", wbits=zlib.MAX_WBITS + 16)
    if name == "deflate":
        return _Deflate()
    if name == "zstd":
        return _Zstd()
    raise UnsupportedEncoding(f"content-encoding: {name[:100]!r} is not read here; {ENCODINGS} are.")


class _Zlib:
    memory_bytes = 64 * 1024

    def __init__(self, name: str, wbits: int) -> None:
        self._name = name
        self._decoder = zlib.decompressobj(wbits)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while data or self._decoder.unconsumed_tail:
            if self._decoder.eof:
                raise _damaged(self._name)
            try:
                piece = self._decoder.decompress(data, STEP_BYTES)
            except zlib.error as error:
                raise _damaged(self._name) from error
            data = self._decoder.unconsumed_tail or self._decoder.unused_data
            if not piece and not data:
                return
            yield piece

    @property
    def has_ended(self) -> bool:
        return self._decoder.eof


class _Deflate:
    """Decodes zlib's format as in RFC 9110, or raw deflate, which some clients send."""

    memory_bytes = _Zlib.memory_bytes

    def __init__(self) -> None:
        self._decoder: _Zlib | None = None
        self._start = b""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        if self._decoder is None:
            data = self._start = self._start + data
            if len(data) < 2:
                return
            is_wrapped = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            self._decoder = _Zlib("deflate", zlib.MAX_WBITS if is_wrapped else -zlib.MAX_WBITS)
        yield from self._decoder.pieces(data)

    @property
    def has_ended(self) -> bool:
        return self._decoder is not None and self._decoder.has_ended


class _Zstd:
    memory_bytes = 1 << ZSTD_WINDOW_LOG

    def __init__(self) -> None:
        self._decoder = ZstdDecompressor(options={DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG})

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while data or not self._decoder.needs_input:
            if self._decoder.eof:
                if data or self._decoder.unused_data:
                    raise _damaged("zstd")
                return
            try:
                piece = self._decoder.decompress(data, STEP_BYTES)
            except ZstdError as error:
                raise _damaged("zstd") from error
            data = b""
            if piece:
                yield piece
        if self._decoder.eof and self._decoder.unused_data:
            raise _damaged("zstd")

    @property
    def has_ended(self) -> bool:
        return self._decoder.eof


def _damaged(name: str) -> InvalidRequest:
    return InvalidRequest(f"content-encoding: the body is not one whole {name} text.")
