"""Answers that a server has compressed although nobody asked it to (router-for-me/CLIProxyAPI#1763)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.bodies.encodings import Decoder, decoder_for
from gateway.errors import InvalidRequest, UnsupportedEncoding
from gateway.upstreams.response import Response, TransportFailed

if TYPE_CHECKING:
    from collections.abc import Iterator


class UnreadableEncoding(TransportFailed):
    """The answer has a content-encoding that nothing here decodes."""


def decoded(response: Response) -> Response:
    """Return the response, with its body decompressed if a header says that it is compressed. Raises
    UnreadableEncoding."""
    encoding = response.content_encoding
    if not encoding:
        return response
    try:
        decoder = decoder_for(encoding.encode("latin1", "replace"))
    except UnsupportedEncoding:
        named = encoding[:40].strip()
        raise UnreadableEncoding(
            f"the server compresses its answer with {named!r}, which the gateway neither asks for nor reads"
        ) from None
    return response if decoder is None else DecodedResponse(response, decoder, encoding[:40].strip())


class DecodedResponse(Response):
    """A response whose body is decompressed as it is read."""

    def __init__(self, response: Response, decoder: Decoder, encoding: str) -> None:
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._decoder = decoder
        self._encoding = encoding
        self._pieces: Iterator[bytes] = iter(())

    def forget_headers(self) -> None:
        self.headers = {}
        self._response.forget_headers()

    async def read(self, timeout_seconds: float) -> bytes:
        while True:
            try:
                if piece := next((one for one in self._pieces if one), b""):
                    return piece
            except InvalidRequest:
                raise TransportFailed(f"the answer is said to be {self._encoding}, but is not") from None
            data = await self._response.read(timeout_seconds)
            if not data:
                return self._end()
            self._pieces = self._decoder.pieces(data)

    def _end(self) -> bytes:
        if not self._decoder.has_ended:
            raise TransportFailed(f"the answer, compressed with {self._encoding}, broke off")
        return b""

    @property
    def is_at_end(self) -> bool:
        return False  # only `read` tells whether the compressed data is whole

    def release(self) -> None:
        self._response.release()

    def abort(self) -> None:
        self._response.abort()
