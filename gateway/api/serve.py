"""Serve requests for a message, whole or as a stream, in any dialect.

Errors leave as exceptions of gateway.errors; gateway/api/application.py makes responses of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING

from accounts.values.sanitize import truncate
from gateway.api.application import ApiRequest, ApiResponse, EventStream, JsonResponse
from gateway.dialects.base import ClientRequest
from gateway.errors import OUR_FAULT, STOPPING, GatewayError, Overloaded
from gateway.ledger.record import RequestRecord
from gateway.relay.answer import KEEP_ALIVE_SECONDS, Answer
from gateway.relay.context import RequestContext, session_id_for
from gateway.relay.structured_answers import open_structured
from gateway.safeguards.checked_answer import CheckedAnswer
from gateway.translation.request.structured_output import requested_schema

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

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
            logger.debug("asks for %s", _shape_of(request, read))
        context = _request_context(request, read.summary)
        gateway.recorder.describe(record, read.request, context)
        client = ClientRequest(request.raw_body, request.headers, request.query)
        if read.request.stream:
            return await exchange.stream(read, context, client)
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
    """One request and its response. Keeps no request body, since a stream may last for long."""

    def __init__(self, dialect: Dialect, gateway: Gateway, record: RequestRecord) -> None:
        self._dialect = dialect
        self._gateway = gateway
        self._record = record

    async def whole(self, read: ReadRequest, context: RequestContext, client: ClientRequest) -> ApiResponse:
        answer = await self._open(read, context, client)
        try:
            message = await answer.message()
            body = self._dialect.message_body(message)
            as_sent = answer.whole_bytes if body is message else b""
            response = JsonResponse(body, headers=_upstream_headers(answer), encoded=as_sent)
        finally:
            answer.close()
        self._record.response_bytes = len(response.content)
        return response

    async def stream(self, read: ReadRequest, context: RequestContext, client: ClientRequest) -> ApiResponse:
        """Open a stream. A failure within KEEP_ALIVE_SECONDS has its own status. After that the stream is
        open, with pings until the answer begins, and a failure is its last event."""
        opening = asyncio.create_task(self._open(read, context, client))
        try:
            await asyncio.wait({opening}, timeout=KEEP_ALIVE_SECONDS)
            headers = _upstream_headers(opening.result()) if opening.done() else {}
        except BaseException:
            await _cancel(opening)
            raise
        return EventStream(self._bytes_of(opening), headers, opening, partial(self._clean_up, opening))

    async def _open(self, read: ReadRequest, context: RequestContext, client: ClientRequest) -> AnyAnswer:
        gateway = self._gateway
        message_request, search = await gateway.web_searches.planned(read.request, read.summary.search)
        as_sent = client if message_request is read.request else None
        if search is not None:
            answer = await gateway.web_searches.open(search, message_request, context)
        elif requested_schema(message_request) is None:
            answer = await gateway.relay.open(message_request, context, as_sent)
        else:
            answer = await open_structured(gateway.relay, message_request, context, as_sent)
        gateway.recorder.begin(self._record, answer)
        if answer.checks_calls:
            return answer
        check = gateway.judge.check_for(
            read.request.safeguards, read.summary.typed_messages, self._record, context
        )
        return answer if check is None else CheckedAnswer(answer, check)

    async def _bytes_of(self, opening: asyncio.Task[AnyAnswer]) -> AsyncGenerator[bytes, None]:
        ping, encoded = self._dialect.ping, self._dialect.event_encoder()
        try:
            while not opening.done():
                yield ping
                await asyncio.wait({opening}, timeout=KEEP_ALIVE_SECONDS)
            async with aclosing(opening.result().batches()) as batches:
                async for events in batches:
                    piece = encoded(events) if events else ping
                    self._record.response_bytes += len(piece)
                    yield piece
                    del piece
            self._record.succeed()
        except (asyncio.CancelledError, Exception) as error:
            if self.is_hang_up(error):
                raise
            if not isinstance(error, asyncio.CancelledError | GatewayError):
                logger.exception("the gateway failed while it streamed")
            yield self._dialect.error_event(self.note_failure(error), self._record.request_id)

    def is_hang_up(self, error: BaseException) -> bool:
        """Whether nobody is left to be told. The record notes that by itself."""
        return isinstance(error, asyncio.CancelledError) and not self._gateway.is_stopping

    def note_failure(self, error: BaseException) -> GatewayError:
        """Record the error that is sent to the client."""
        if isinstance(error, GatewayError):
            sent = error
        elif isinstance(error, asyncio.CancelledError):
            sent = Overloaded(STOPPING)
        else:
            sent = GatewayError(OUR_FAULT)
        self._record.fail(sent)
        return sent

    async def _clean_up(self, opening: asyncio.Task[AnyAnswer]) -> None:
        try:
            await _cancel(opening)
        finally:
            if self._record.status is None and self._gateway.is_stopping:
                self._record.fail(Overloaded(STOPPING))
            self._gateway.recorder.close(self._record)


async def _cancel(opening: asyncio.Task[AnyAnswer]) -> None:
    """Cancel the opening of the answer, or close it. The client has been sent an error already."""
    opening.cancel()
    with suppress(asyncio.CancelledError, Exception):
        (await opening).close()


def _upstream_headers(answer: AnyAnswer) -> dict[str, str]:
    """Headers with the model that answered (the message names the one that was requested), and with the
    upstream's own id of the request."""
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
    seed = f"{client_session}\0{summary.first_text}"
    return RequestContext(
        session_id=session_id_for(seed),
        conversation=client_session[:200] or hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest(),
        is_subagents=SUBAGENT_HEADER in request.headers,
    )
