"""Serve requests for a message, whole or as a stream, in any dialect.

Errors are raised as exceptions of gateway.errors; gateway/api/application.py makes responses of them.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from accounts.values.sanitize import truncate
from gateway.api.application import (
    DIRECT_SENDER,
    ApiRequest,
    ApiResponse,
    EventStream,
    JsonResponse,
    begin_stream,
    send_piece,
)
from gateway.dialects.base import ClientRequest
from gateway.errors import OUR_FAULT, STOPPING, GatewayError, Overloaded
from gateway.ledger.record import RequestRecord
from gateway.relay.answer import KEEP_ALIVE_SECONDS, Answer
from gateway.relay.context import RequestContext, digest_of, session_id_for
from gateway.relay.structured_answers import open_structured
from gateway.safeguards.checked_answer import CheckedAnswer
from gateway.timeouts import NEVER, Waiting, timeouts
from gateway.translation.request.structured_output import requested_schema

if TYPE_CHECKING:
    from gateway.api.application import DirectSender
    from gateway.dialects.anthropic.stream_events import StreamEvent
    from gateway.dialects.base import Dialect
    from gateway.preparation.request import RequestSummary
    from gateway.preparation.translator import ReadRequest
    from gateway.service import Gateway

    AnyAnswer = Answer | CheckedAnswer

logger = logging.getLogger(__name__)

SESSION_HEADER = "x-claude-code-session-id"
SUBAGENT_HEADER = "x-claude-code-agent-id"


async def serve(dialect: Dialect, request: ApiRequest) -> ApiResponse:
    """Have the relay answer the request. Raises GatewayError. Its record is closed here or, for a stream,
    after the last byte has been sent."""
    gateway = request.gateway
    record = RequestRecord(
        request_id=request.request_id,
        client=request.client.name,
        session_id=truncate(request.headers.get(SESSION_HEADER, ""), 200),
        request_bytes=len(request.raw_body),
    )
    exchange = _Exchange(dialect, gateway, record)
    await gateway.recorder.open(record)
    try:
        read = await request.parse_body(dialect.parser(request.headers))
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("request: %s", _shape_of(request, read))
        message_request, summary = read
        context = _request_context(request, summary)
        gateway.recorder.describe(record, message_request, context)
        client = ClientRequest(request.raw_body, request.headers, request.query)
        if message_request.stream:
            return await exchange.stream(request, read, context, client)
        response = await exchange.whole(read, context, client)
    except BaseException as error:
        if not exchange.is_hang_up(error):
            exchange.note_failure(error)
        gateway.recorder.close(record)
        raise
    record.succeed()
    gateway.recorder.close(record)
    return response


class _Exchange:
    """One request and its response. It keeps no request body, since a stream may last for long."""

    __slots__ = ("dialect", "gateway", "record")

    def __init__(self, dialect: Dialect, gateway: Gateway, record: RequestRecord) -> None:
        self.dialect = dialect
        self.gateway = gateway
        self.record = record

    async def whole(self, read: ReadRequest, context: RequestContext, client: ClientRequest) -> ApiResponse:
        answer = await self._open(read, context, client)
        try:
            message = await answer.message()
            body = self.dialect.message_body(message)
            as_sent = answer.whole_bytes if body is message else b""
            response = JsonResponse(body, headers=_upstream_headers(answer), encoded=as_sent)
        finally:
            answer.close()
        self.record.response_bytes = len(response.content)
        return response

    async def stream(
        self, request: ApiRequest, read: ReadRequest, context: RequestContext, client: ClientRequest
    ) -> ApiResponse:
        """Open a stream. A failure within KEEP_ALIVE_SECONDS has its own status. After that the stream is
        open, with pings until the answer begins, and a failure is its last event."""
        pings = Pings(request, self.dialect.ping)
        try:
            answer = await self._open(read, context, client)
        except (asyncio.CancelledError, Exception) as error:
            await pings.abort()
            if not request.has_begun_response or self.is_hang_up(error):
                raise
            return self._as_stream(None, self.last_event(error))
        context.progress = {}  # which only another attempt would need
        stream = self._as_stream(answer, sender=request.scope.get(DIRECT_SENDER))
        try:
            await pings.end()
        except BaseException:
            answer.close()
            raise
        return stream

    def _as_stream(
        self, answer: AnyAnswer | None, last: bytes = b"", sender: DirectSender | None = None
    ) -> EventStream:
        headers = {} if answer is None else _upstream_headers(answer)
        return EventStream(_Pieces(self, answer, last, sender), headers)

    async def _open(self, read: ReadRequest, context: RequestContext, client: ClientRequest) -> AnyAnswer:
        gateway = self.gateway
        asked, summary = read
        message_request, search = await gateway.web_searches.planned(asked, summary.search)
        as_sent = client if message_request is asked else None
        if search is not None:
            answer = await gateway.web_searches.open(search, message_request, context)
        elif requested_schema(message_request) is None:
            answer = await gateway.relay.open(message_request, context, as_sent)
        else:
            answer = await open_structured(gateway.relay, message_request, context, as_sent)
        gateway.recorder.begin(self.record, answer)
        if answer.checks_calls:
            return answer
        check = gateway.judge.check_for(asked.safeguards, summary.typed_messages, self.record, context)
        return answer if check is None else CheckedAnswer(answer, check)

    def is_hang_up(self, error: BaseException) -> bool:
        """Return whether the client has hung up, so that no error can be sent. The recorder notes that
        itself."""
        return isinstance(error, asyncio.CancelledError) and not self.gateway.is_stopping

    def note_failure(self, error: BaseException) -> GatewayError:
        """Record the error that is sent to the client."""
        if isinstance(error, GatewayError):
            sent = error
        elif isinstance(error, asyncio.CancelledError):
            sent = Overloaded(STOPPING)
        else:
            sent = GatewayError(OUR_FAULT)
        self.record.fail(sent)
        return sent

    def last_event(self, error: BaseException) -> bytes:
        """Record the error that ends the stream, and return the error event for the client."""
        if not isinstance(error, asyncio.CancelledError | GatewayError):
            logger.error("the gateway failed while it streamed", exc_info=error)
        return self.dialect.error_event(self.note_failure(error), self.record.request_id)


class _Pieces:
    """The bytes of a stream: one piece for the events that arrived together, and after a failure the error
    event. This is an iterator, since the event loop would keep track of an async generator. With a sender,
    pieces that arrive while the iterator waits are sent at once, and the iterator returns the others."""

    __slots__ = ("_answer", "_batches", "_encoded", "_exchange", "_last", "_record", "_sender")

    def __init__(
        self, exchange: _Exchange, answer: AnyAnswer | None, last: bytes, sender: DirectSender | None
    ) -> None:
        self._exchange = exchange
        self._record = exchange.record
        self._answer = answer
        self._batches = None if answer is None else answer.batches()
        self._encoded = exchange.dialect.event_encoder()
        self._last = last
        self._sender = sender
        if sender is not None and isinstance(answer, Answer):
            answer.push_to(self)

    def __aiter__(self) -> _Pieces:
        return self

    def send_now(self, events: list[StreamEvent]) -> bool:
        """Send the events as a piece, unless the client is slow or gone."""
        sender = self._sender
        if sender is None or not sender.can_send:
            return False
        piece = self._encoded(events)
        self._record.response_bytes += len(piece)
        sender.send_piece(piece)
        return True

    @property
    def is_at_end(self) -> bool:
        return self._answer is not None and self._batches is not None and self._answer.has_ended

    async def __anext__(self) -> bytes:
        if self._batches is None:
            return self._take_last()
        exchange = self._exchange
        try:
            events = await self._batches.__anext__()
            piece = self._encoded(events) if events else exchange.dialect.ping
            self._record.response_bytes += len(piece)
        except StopAsyncIteration:
            self._record.succeed()
            raise
        except (asyncio.CancelledError, Exception) as error:
            if exchange.is_hang_up(error):
                raise
            await self._close_batches()
            self._last = exchange.last_event(error)
            return self._take_last()
        return piece

    def _take_last(self) -> bytes:
        if not self._last:
            raise StopAsyncIteration
        last, self._last = self._last, b""
        return last

    async def clean_up(self) -> None:
        try:
            await self._close_batches()
        finally:
            if self._answer is not None:
                self._answer.close()
            gateway, record = self._exchange.gateway, self._record
            if record.status is None and gateway.is_stopping:
                record.fail(Overloaded(STOPPING))
            gateway.recorder.close(record)

    async def _close_batches(self) -> None:
        """Stop reading the answer."""
        batches, self._batches = self._batches, None
        if batches is not None:
            await batches.aclose()


class Pings(Waiting):
    """Pings for a client that waits for its answer. After KEEP_ALIVE_SECONDS the response begins with a ping,
    and another follows after each further KEEP_ALIVE_SECONDS. No task is made before the first ping. A
    request that the gateway makes itself gets no pings."""

    __slots__ = ("_answer_is_there", "_ping", "_request", "_sending", "_timeouts")

    def __init__(self, request: ApiRequest, ping: bytes) -> None:
        self.deadline = self.looked_at = NEVER
        self._request = request
        self._ping = ping
        self._answer_is_there: asyncio.Event | None = None
        self._sending: asyncio.Task[None] | None = None
        self._timeouts = timeouts()
        if request.send is not None:
            self.deadline = self._timeouts.loop.time() + KEEP_ALIVE_SECONDS
            self._timeouts.watch(self)

    def expire(self) -> None:
        self._answer_is_there = asyncio.Event()
        self._sending = asyncio.create_task(self._send(self._answer_is_there))

    async def end(self) -> None:
        """Stop the pings. A ping that is being sent is sent whole."""
        self._timeouts.forget(self)
        if self._sending is not None and self._answer_is_there is not None:
            self._answer_is_there.set()
            await self._sending

    async def abort(self) -> None:
        """Stop the pings like `end`, but without waiting for a client that does not read."""
        self._timeouts.forget(self)
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    async def _send(self, answer_is_there: asyncio.Event) -> None:
        await begin_stream(self._request)
        while not answer_is_there.is_set():
            await send_piece(self._request, self._ping)
            with suppress(TimeoutError):
                async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                    await answer_is_there.wait()


def _upstream_headers(answer: AnyAnswer) -> dict[str, str]:
    """Return headers with the model that answered (the message names the one that was requested), and with
    the upstream's own id of the request."""
    headers = {"x-upstream-model": answer.model_id}
    if answer.upstream_request_id:
        headers["x-upstream-request-id"] = answer.upstream_request_id
    return headers


def _shape_of(request: ApiRequest, read: ReadRequest) -> str:
    """Format sizes and options of a request, without any of its text."""
    message_request, summary = read
    return (
        f"{message_request.model}, {len(request.raw_body)} bytes, {summary.message_count} messages, "
        f"{summary.tool_count} tools, max_tokens {message_request.max_tokens}, "
        f"thinking {bool(message_request.thinking)}, stream {message_request.stream}"
    )


def _request_context(request: ApiRequest, summary: RequestSummary) -> RequestContext:
    """Build the context. Its ids are the same for each turn of a conversation, also after a restart. Google's
    prompt cache uses the session id. A subagent has a session id of its own, but shares the conversation, and
    so the account, of its client's session."""
    client_session = request.headers.get(SESSION_HEADER, "")
    digest = digest_of(f"{client_session}\0{summary.first_text}")
    return RequestContext(
        session_id=session_id_for(digest),
        conversation=client_session[:200] or digest.hex(),
        is_subagents=SUBAGENT_HEADER in request.headers,
    )
