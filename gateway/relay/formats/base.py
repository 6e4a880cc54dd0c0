"""The interface of a format: it turns a client's request into the call of one upstream, and reads the
answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from accounts.failures import FailureKind, UpstreamError
    from accounts.kinds.access import Access
    from accounts.pool.view import PooledAccount
    from gateway.dialects.anthropic.stream_events import StreamEvent
    from gateway.relay.context import PreparedRequest
    from gateway.translation.response.usage import TokenUsage
    from gateway.upstreams.base import ModelCall, Upstream


class AnswerReader(Protocol):
    """Turns the bytes of one answer into stream events."""

    usage: TokenUsage
    """The token counts so far."""
    has_content: bool
    """True once content has come since it was last set to False, including content without an event."""

    passes_through: bool
    """True when the answer is the upstream's own, in Anthropic's format."""
    checks_calls: bool
    """True when the upstream itself answers the requested safety checks."""

    @property
    def stop_reason(self) -> str: ...

    @property
    def is_complete(self) -> bool:
        """True when the rest of the bytes need not be read."""

    @property
    def declares_tools(self) -> bool:
        """True when the request declares tools of the client."""

    @property
    def grounding_metadata(self) -> dict[str, Any]:
        """Google's groundingMetadata; empty without a web search."""

    def receive(self, data: bytes) -> list[StreamEvent]:
        """Read bytes that have arrived; b"" at their end.

        Raises UpstreamError, MalformedStream, EmptyAnswer or BrokenAnswer.
        """

    def close(self) -> list[StreamEvent]:
        """Return the last events, at the end or as soon as `is_complete`. Raises the same errors as
        `receive`."""


class Outgoing(Struct):
    """One call of an upstream, and the reader of its answer."""

    call: ModelCall
    reader: AnswerReader


class Format(ABC):
    """A format, one subclass for each dialect of upstreams (`Upstream.dialect`)."""

    @abstractmethod
    async def prepare(self, prepared: PreparedRequest, kind: str) -> None:
        """Do what needs only the kind of account, if it is not done yet. Raises GatewayError."""

    @abstractmethod
    async def outgoing(
        self, prepared: PreparedRequest, account: PooledAccount, access: Access, upstream: Upstream
    ) -> Outgoing:
        """Build the call. Raises GatewayError for a request that the upstream cannot answer."""

    @abstractmethod
    async def token_estimate(self, prepared: PreparedRequest, kind: str, error: UpstreamError) -> int:
        """Estimate the tokens of the prompt, for an error that does not name them."""

    @abstractmethod
    def mended(self, prepared: PreparedRequest, kind: FailureKind) -> PreparedRequest:
        """Return the request for another call after a failure of this kind."""
