"""The interface between the relay and the services that answer, and what all of them share.

Each kind of account has one Upstream (gateway/upstreams/registry.py). The relay opens streams through it and
knows neither addresses nor headers nor request formats.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from accounts.failures import FailureKind, UpstreamError
from gateway.pass_through.body import Changes
from gateway.upstreams.endpoint_health import EndpointHealth, FailingEndpoint
from gateway.upstreams.transport import Response, Transport, TransportFailed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from accounts.failures import QuotaLimit
    from accounts.kinds.access import Access
    from accounts.pool.view import PooledAccount
    from gateway.google_api.content import RequestType
    from gateway.routing.upstream_model import UpstreamModel


SHORTEST_SECRET = 8

UpstreamDialect = Literal["generate_content", "messages"]
"""What an upstream speaks: Google's generateContent, into which requests are translated, or Anthropic's
messages, which pass through."""


@dataclass(frozen=True, slots=True)
class PassedRequest:
    """A client's request for an upstream that speaks Anthropic's messages: the body in pieces, the headers
    that may go on, and the query with its question mark, or nothing."""

    body: list[bytes | bytearray]
    headers: Mapping[str, str] = field(repr=False)
    query: str = ""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One request for one model, with the access of the account that sends it.

    `request` is the translated request, whose members may be JSON already (of a large request); `session_id`
    names the conversation, which lets the upstream find its prompt cache again.
    """

    access: Access = field(repr=False)
    model: UpstreamModel
    session_id: str = ""
    request: dict[str, Any] = field(default_factory=dict)
    request_type: RequestType = "agent"
    passed: PassedRequest | None = None
    """For the dialect "messages", instead of `request`."""
    account_id: int = 0
    first_byte_seconds: float = 0
    """0: UPSTREAM_FIRST_BYTE_TIMEOUT_MS."""


@dataclass(frozen=True, slots=True)
class WireRequest:
    """A POST as it is sent, without the address. `path` begins with "/"; `body` is sent in these pieces."""

    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: Sequence[bytes | bytearray]


@dataclass(frozen=True, slots=True)
class Passing:
    """What passes to an upstream of the dialect "messages", and what of its answers is trusted."""

    changes: Changes
    betas: bool | Collection[str] = True
    """Which values of the client's anthropic-beta are sent: all, none, or these."""
    tags_signatures: bool = False
    mends_usage: bool = False
    checks_calls: bool = True
    """It answers the requested safety checks (`safeguards`) by itself."""
    marks_hops: bool = False
    """Requests carry what tells a gateway that they come back (gateway/upstreams/hops.py)."""


class Upstream(ABC):
    """The interface of an upstream. A kind implements the abstract methods.

    The inspection of an account lists the models (`Inspection.offers`), not the upstream, because one answer
    of Cloud Code has an account's models and remaining quotas.
    """

    dialect: ClassVar[UpstreamDialect] = "generate_content"

    def __init__(self, transport: Transport, first_byte_seconds: float) -> None:
        self._transport = transport
        self._first_byte_seconds = first_byte_seconds
        self._health = EndpointHealth()

    @abstractmethod
    def addresses_of(self, model: UpstreamModel, access: Access) -> list[str]:
        """Return the base URLs that serve the model for the account, the preferred one first."""

    @abstractmethod
    def prepare(self, call: ModelCall) -> WireRequest:
        """Build the request that opens a stream. `call.model.sent_id` names the model."""

    @abstractmethod
    def classify(self, status: int, body: bytes, headers: Mapping[str, str]) -> UpstreamError:
        """Map an HTTP error to a failure kind."""

    @abstractmethod
    def classify_in_stream(self, body: dict[str, Any]) -> UpstreamError:
        """Map an error inside a stream that has begun with 200; `body` is the decoded event."""

    def passing(self, account: PooledAccount, model: UpstreamModel) -> Passing:
        """How requests pass to this account; for the dialect "messages" only."""
        return Passing(Changes(model.sent_id))

    def limits(self, headers: Mapping[str, str]) -> tuple[QuotaLimit, ...]:
        """Read the limits of the account that an answer names."""
        return ()

    async def count_tokens(self, call: ModelCall, address: str) -> int | None:
        """Have the upstream count the tokens of a request, without cost; None where it cannot or does not.
        Raises counting.CannotCount where it never will."""
        return None

    def learns_from(self, error: UpstreamError, account_id: int) -> Mapping[str, Any]:
        """Remember what the account's server has refused, when requests can do without it. Returns the
        switches (accounts/values/switches.py) for which another call may succeed."""
        return {}

    def addresses(self, model: UpstreamModel, access: Access) -> list[str]:
        """Return the base URLs in the order to try them: those that keep failing come last."""
        return self._health.in_order(self.addresses_of(model, access))

    def failing(self) -> list[FailingEndpoint]:
        return self._health.failing()

    async def open_stream(self, call: ModelCall, address: str) -> Response:
        """Open a stream. Raises UpstreamError or TransportFailed."""
        request = self.prepare(call)
        try:
            response = await self._transport.post(
                address + request.path,
                headers=request.headers,
                body=request.body,
                first_byte_seconds=call.first_byte_seconds or self._first_byte_seconds,
            )
            if response.status != 200:
                raise await self._read_error(response, call.access)
        except (UpstreamError, TransportFailed) as error:
            if _is_broken(error):
                self._health.failed(address)
            else:
                self._health.succeeded(address)
            raise
        self._health.succeeded(address)
        return response

    async def _read_error(self, response: Response, access: Access) -> UpstreamError:
        try:
            body = await response.read_error_body(self._first_byte_seconds)
        finally:
            response.abort()
        return self.classify(response.status, _without_secret(body, access.secret), response.headers)


def _without_secret(body: bytes, secret: str) -> bytes:
    """The body without the account's secret: some errors name the key (google/generative-ai-docs#356). A
    shorter one is no secret, but what a local server is given in its place."""
    if len(secret) < SHORTEST_SECRET:
        return body
    return body.replace(secret.encode(), "…".encode())


def _is_broken(error: UpstreamError | TransportFailed) -> bool:
    return not isinstance(error, UpstreamError) or error.kind is FailureKind.SERVER_ERROR
