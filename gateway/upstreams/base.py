"""The interface between the relay and the services that answer, and the code that all of them share.

Each kind of account has one Upstream (gateway/upstreams/registry.py). The relay opens streams through it and
knows neither addresses nor headers nor request formats.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from msgspec import field

from accounts.failures import FailureKind, UpstreamError
from accounts.values.concealed import Concealed
from gateway.pass_through.body import Changes
from gateway.upstreams.decoding import UnreadableEncoding, decoded
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
"""The wire format of an upstream: Google's generateContent, into which requests are translated, or
Anthropic's messages, which pass through."""


class PassedRequest(Concealed):
    """A client's request for an upstream of Anthropic's format: the body in pieces, the headers that are
    passed on, and the query with its question mark, or ""."""

    body: list[bytes | bytearray]
    headers: Mapping[str, str]
    query: str = ""


class ModelCall(Concealed):
    """One request for one model, with the access of the account that sends it.

    `request` is the translated request; the members of a large one are JSON already. `session_id` identifies
    the conversation, by which the upstream finds its prompt cache.
    """

    access: Access
    model: UpstreamModel
    session_id: str = ""
    request: dict[str, Any] = field(default_factory=dict)
    request_type: RequestType = "agent"
    passed: PassedRequest | None = None
    """The request for the dialect "messages", in place of `request`; None for other dialects."""
    account_id: int = 0
    first_byte_seconds: float = 0
    """How long the first bytes may take; 0 for UPSTREAM_FIRST_BYTE_TIMEOUT_MS."""


class WireRequest(Concealed):
    """A POST request without the address. `path` begins with "/"; `body` is sent in these pieces."""

    path: str
    headers: Mapping[str, str]
    body: Sequence[bytes | bytearray]


@dataclass(frozen=True, slots=True)
class Passing:
    """How requests are passed to an upstream of the dialect "messages", and how its answers are passed
    back."""

    changes: Changes
    betas: bool | Collection[str] = True
    """Which values of the client's anthropic-beta are sent: True for all, False for none, or only these."""
    tags_signatures: bool = False
    mends_usage: bool = False
    checks_calls: bool = True
    """True when the upstream itself answers the requested safety checks (`safeguards`)."""
    marks_hops: bool = False
    """True to send headers by which a gateway recognises its own requests (gateway/upstreams/hops.py)."""


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
        """Build the request that opens a stream, for the model `call.model.sent_id`."""

    @abstractmethod
    def classify(self, status: int, body: bytes, headers: Mapping[str, str]) -> UpstreamError:
        """Map an HTTP error to a failure kind."""

    @abstractmethod
    def classify_in_stream(self, body: dict[str, Any]) -> UpstreamError:
        """Map an error inside a stream that has begun with 200; `body` is the decoded event."""

    def passing(self, account: PooledAccount, model: UpstreamModel) -> Passing:
        """Return how requests are passed to this account; used only for the dialect "messages"."""
        return Passing(Changes(model.sent_id))

    def limits(self, headers: Mapping[str, str]) -> tuple[QuotaLimit, ...]:
        """Return the account's limits that the headers of an answer name."""
        return ()

    async def count_tokens(self, call: ModelCall, address: str) -> int | None:
        """Have the upstream count the tokens of a request at no cost; None when it cannot or does not. Raises
        counting.CannotCount when it never will."""
        return None

    def learns_from(self, error: UpstreamError, account_id: int) -> Mapping[str, Any]:
        """Remember a feature that the account's server has refused and that requests can do without. Returns
        the switches (accounts/values/switches.py) with which another call may succeed."""
        return {}

    def addresses(self, model: UpstreamModel, access: Access) -> list[str]:
        """Return the base URLs in the order in which to try them; those that keep failing come last."""
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
            if self.dialect == "messages":  # Google compresses only what asks for it
                response = _decoded_or_closed(response)
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
            body = await decoded(response).read_error_body(self._first_byte_seconds)
        except UnreadableEncoding as error:
            body = f"an error that cannot be read: {error}".encode()
        finally:
            response.abort()
        return self.classify(response.status, _without_secret(body, access.secret), response.headers)


def _decoded_or_closed(response: Response) -> Response:
    try:
        return decoded(response)
    except UnreadableEncoding:
        response.abort()
        raise


def _without_secret(body: bytes, secret: str) -> bytes:
    """Return the body without the account's secret, since some errors quote the key
    (google/generative-ai-docs#356). A very short one is no secret, but a placeholder for a local server."""
    if len(secret) < SHORTEST_SECRET:
        return body
    return body.replace(secret.encode(), "…".encode())


def _is_broken(error: UpstreamError | TransportFailed) -> bool:
    return not isinstance(error, UpstreamError) or error.kind is FailureKind.SERVER_ERROR
