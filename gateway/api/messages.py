"""Read, hand over, answer, and close the books: requests for a message.

Errors leave as exceptions of gateway.errors; gateway/api/application.py puts them into Anthropic's envelope.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING

from accounts.values.sanitize import truncate
from gateway.api.application import EventStream, JsonResponse
from gateway.api.endpoint import endpoint
from gateway.dialects.anthropic.messages import OLDEST_VERSION
from gateway.dialects.anthropic.sse import PING, encode_event
from gateway.errors import OUR_FAULT, STOPPING, GatewayError, Overloaded
from gateway.large_requests.request import RequestParser
from gateway.ledger.record import RequestRecord
from gateway.relay.answer import KEEP_ALIVE_SECONDS
from gateway.relay.context import RequestContext, session_id_for
from gateway.relay.structured_answers import open_structured
from gateway.safeguards.checked_answer import CheckedAnswer
from gateway.translation.request.structured_output import wanted_schema

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from django.http.response import HttpResponseBase

    from gateway.api.application import ApiRequest
    from gateway.large_requests.request import RequestSummary
    from gateway.large_requests.translator import ReadRequest
    from gateway.relay.answer import Answer
    from gateway.service import Gateway

    AnyAnswer = Answer | CheckedAnswer

logger = logging.getLogger(__name__)

SESSION_HEADER = "x-claude-code-session-id"
SUBAGENT_HEADER = "x-claude-code-agent-id"


@endpoint("POST")
async def messages(request: ApiRequest) -> HttpResponseBase:
    """Whatever comes of it is in the books: closed here, or, for a stream, when it has been sent."""
    gateway = request.gateway
    record = _record(request)
    await gateway.recorder.open(record)
    try:
        read = await _read(request, only_counts=False)
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("asks for %s", _shape_of(request, read))
        context = _request_context(request, read.summary)
        gateway.recorder.describe(record, read.request, context)
        if read.request.stream:
            return await _stream(gateway, read, context, record)
        response = await _whole(gateway, read, context, record)
    except BaseException as error:
        _note_failure(record, error, gateway)
        gateway.recorder.close(record)
        raise
    record.succeed()
    gateway.recorder.close(record)
    return response


async def _whole(
    gateway: Gateway, read: ReadRequest, context: RequestContext, record: RequestRecord
) -> HttpResponseBase:
    answer = await _open(gateway, read, context, record)
    try:
        response = JsonResponse(await answer.message(), headers=_upstream_headers(answer))
    finally:
        answer.close()
    record.response_bytes = len(response.content)
    return response


async def _open(
    gateway: Gateway, read: ReadRequest, context: RequestContext, record: RequestRecord
) -> AnyAnswer:
    message_request, search = await gateway.web_searches.planned(read.request, read.summary.search)
    if search is not None:
        answer = await gateway.web_searches.open(search, message_request, context)
    elif wanted_schema(message_request) is None:
        answer = await gateway.relay.open(message_request, context)
    else:
        answer = await open_structured(gateway.relay, message_request, context)
    gateway.recorder.begin(record, answer)
    check = gateway.judge.check_for(read.request.safeguards, read.summary.typed_messages, record, context)
    return answer if check is None else CheckedAnswer(answer, check)


async def _stream(
    gateway: Gateway, read: ReadRequest, context: RequestContext, record: RequestRecord
) -> HttpResponseBase:
    """A failure within the first ten seconds still gets its real status; after that the stream is open and
    kept alive with pings, and a failure leaves as an `error` event."""
    opening = asyncio.create_task(_open(gateway, read, context, record))
    try:
        await asyncio.wait({opening}, timeout=KEEP_ALIVE_SECONDS)
        headers = _upstream_headers(opening.result()) if opening.done() else {}
    except BaseException:
        await _cancel(opening)
        raise
    pieces = _event_bytes(opening, record, gateway)
    return EventStream(pieces, headers, opening, clean_up=partial(_clean_up, opening, record, gateway))


async def _event_bytes(
    opening: asyncio.Task[AnyAnswer], record: RequestRecord, gateway: Gateway
) -> AsyncGenerator[bytes, None]:
    """Is not given the request itself: its body need not be kept for as long as the stream lasts."""
    try:
        while not opening.done():
            yield PING
            await asyncio.wait({opening}, timeout=KEEP_ALIVE_SECONDS)
        async with aclosing(opening.result().batches()) as batches:
            async for events in batches:
                piece = b"".join([encode_event(event) for event in events]) if events else PING
                record.response_bytes += len(piece)
                yield piece
                del piece
        record.succeed()
    except (asyncio.CancelledError, Exception) as error:
        if isinstance(error, asyncio.CancelledError) and not gateway.is_stopping:
            raise
        if not isinstance(error, asyncio.CancelledError | GatewayError):
            logger.exception("the gateway failed while it streamed")
        yield encode_event(_note_failure(record, error, gateway).as_body(record.request_id))


def _note_failure(record: RequestRecord, error: BaseException, gateway: Gateway) -> GatewayError:
    """What the client hears. One who has hung up hears nothing, and the record says so by itself."""
    if isinstance(error, GatewayError):
        heard = error
    elif isinstance(error, asyncio.CancelledError):
        heard = Overloaded(STOPPING)
        if not gateway.is_stopping:
            return heard
    else:
        heard = GatewayError(OUR_FAULT)
    record.fail(heard)
    return heard


async def _cancel(opening: asyncio.Task[AnyAnswer]) -> None:
    """Whatever has become of it: stop trying, or close the answer. A failure was told to the client."""
    opening.cancel()
    with suppress(asyncio.CancelledError, Exception):
        (await opening).close()


async def _clean_up(opening: asyncio.Task[AnyAnswer], record: RequestRecord, gateway: Gateway) -> None:
    try:
        await _cancel(opening)
    finally:
        if record.status is None and gateway.is_stopping:
            record.fail(Overloaded(STOPPING))
        gateway.recorder.close(record)


async def _read(request: ApiRequest, *, only_counts: bool) -> ReadRequest:
    request.check_content_type()
    parser = RequestParser(only_counts, _version(request), _betas(request))
    return await request.gateway.translator.read(request.raw_body, parser)


def _version(request: ApiRequest) -> str:
    """Anthropic requires the header. Tools that were written without it know the oldest rules.

    A header that comes more than once has been joined with commas; the first one counts.
    """
    return request.headers.get("anthropic-version", "").partition(",")[0].strip() or OLDEST_VERSION


def _betas(request: ApiRequest) -> frozenset[str]:
    """A header that comes more than once has been joined with commas."""
    return frozenset(beta.strip() for beta in request.headers.get("anthropic-beta", "").split(","))


def _record(request: ApiRequest) -> RequestRecord:
    return RequestRecord(
        request_id=request.request_id,
        client=request.client.name,
        session_id=truncate(request.headers.get(SESSION_HEADER, ""), 200),
        request_bytes=len(request.raw_body),
    )


def _upstream_headers(answer: AnyAnswer) -> dict[str, str]:
    """The message names the model the client asked for; this is the one that answered."""
    return {"x-upstream-model": answer.model_id}


def _shape_of(request: ApiRequest, read: ReadRequest) -> str:
    """What a request looks like, without a word of what it says."""
    message_request, summary = read
    return (
        f"{message_request.model}, {len(request.raw_body)} bytes, {summary.message_count} messages, "
        f"{summary.tool_count} tools, max_tokens {message_request.max_tokens}, "
        f"thinking {bool(message_request.thinking)}, stream {message_request.stream}"
    )


def _request_context(request: ApiRequest, summary: RequestSummary) -> RequestContext:
    """Both names are the same for each turn, also after a restart. Google finds its prompt cache by the
    session id; a subagent has one of its own, but stays with the account of its client's session."""
    client_session = request.headers.get(SESSION_HEADER, "")
    seed = f"{client_session}\0{summary.first_text}"
    return RequestContext(
        session_id=session_id_for(seed),
        conversation=client_session[:200] or hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest(),
        is_subagents=SUBAGENT_HEADER in request.headers,
    )


@endpoint("POST")
async def count_tokens(request: ApiRequest) -> HttpResponseBase:
    """An estimate: nobody is asked, so that it is as good when every account is at its limit."""
    count_request, _ = await _read(request, only_counts=True)
    model = request.gateway.relay.counting_model(count_request)
    tokens = await request.gateway.translator.count(count_request, model.family)
    return JsonResponse({"input_tokens": round(tokens * request.gateway.token_ratios.of(model.listed_id))})
