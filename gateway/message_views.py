"""Read, hand over, answer, and close the books: requests for a message.

Errors leave as exceptions of gateway.errors; gateway/api.py puts them into Anthropic's envelope.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING

from django.conf import settings

from accounts.plain_text import fitting
from gateway.answer import KEEP_ALIVE_SECONDS
from gateway.anthropic_api.messages import (
    OLDEST_VERSION,
    parse_count_tokens_request,
    parse_messages_request,
)
from gateway.anthropic_api.sse import PING, encode_event
from gateway.api import OUR_FAULT, STOPPING, EventStream, JsonResponse
from gateway.endpoints import endpoint
from gateway.errors import GatewayError, Overloaded
from gateway.journey import Journey, session_id_for
from gateway.ledger.record import RequestRecord
from gateway.safeguards.checked_answer import CheckedAnswer
from gateway.structured_answers import open_structured
from gateway.translation.structured_output import wanted_schema
from gateway.translation.token_estimate import estimate_input_tokens

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from django.http.response import HttpResponseBase

    from gateway.answer import Answer
    from gateway.anthropic_api.messages import MessagesRequest
    from gateway.api import ApiRequest
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
    await gateway.books.open(record)
    try:
        message_request = parse_messages_request(
            await request.json(), version=_version(request), betas=_betas(request)
        )
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("asks for %s", _shape_of(request, message_request))
        journey = _journey(request, message_request)
        gateway.books.describe(record, message_request, journey)
        if message_request.stream:
            return await _stream(gateway, message_request, journey, record)
        response = await _whole(gateway, message_request, journey, record)
    except BaseException as error:
        _note_failure(record, error, gateway)
        gateway.books.close(record)
        raise
    record.succeed()
    gateway.books.close(record)
    return response


async def _whole(
    gateway: Gateway, message_request: MessagesRequest, journey: Journey, record: RequestRecord
) -> HttpResponseBase:
    answer = await _open(gateway, message_request, journey, record)
    try:
        response = JsonResponse(await answer.message(), headers=_upstream_headers(answer))
    finally:
        answer.close()
    record.response_bytes = len(response.content)
    return response


async def _open(
    gateway: Gateway, message_request: MessagesRequest, journey: Journey, record: RequestRecord
) -> AnyAnswer:
    message_request, search = await gateway.web_searches.planned(message_request)
    if search is not None:
        answer = await gateway.web_searches.open(search, message_request, journey)
    elif wanted_schema(message_request) is None:
        answer = await gateway.relay.open(message_request, journey)
    else:
        answer = await open_structured(gateway.relay, message_request, journey)
    gateway.books.begin(record, answer)
    check = gateway.judge.check_for(message_request, record, journey)
    return answer if check is None else CheckedAnswer(answer, check)


async def _stream(
    gateway: Gateway, message_request: MessagesRequest, journey: Journey, record: RequestRecord
) -> HttpResponseBase:
    """A failure within the first ten seconds still gets its real status; after that the stream is open and
    kept alive with pings, and a failure leaves as an `error` event."""
    opening = asyncio.create_task(_open(gateway, message_request, journey, record))
    try:
        await asyncio.wait({opening}, timeout=KEEP_ALIVE_SECONDS)
        headers = _upstream_headers(opening.result()) if opening.done() else {}
    except BaseException:
        await _give_up(opening)
        raise
    pieces = _event_bytes(opening, record, gateway)
    return EventStream(pieces, headers, let_go=partial(_let_go, opening, record, gateway))


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


async def _give_up(opening: asyncio.Task[AnyAnswer]) -> None:
    """Whatever has become of it: stop trying, or close the answer. A failure was told to the client."""
    opening.cancel()
    with suppress(asyncio.CancelledError, Exception):
        (await opening).close()


async def _let_go(opening: asyncio.Task[AnyAnswer], record: RequestRecord, gateway: Gateway) -> None:
    try:
        await _give_up(opening)
    finally:
        if record.status is None and gateway.is_stopping:
            record.fail(Overloaded(STOPPING))
        gateway.books.close(record)


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
        client="AUTH_TOKEN" if settings.AUTH_TOKEN else "loopback",
        session_id=fitting(request.headers.get(SESSION_HEADER, ""), 200),
        request_bytes=len(request.raw_body),
    )


def _upstream_headers(answer: AnyAnswer) -> dict[str, str]:
    """The message names the model the client asked for; this is the one that answered."""
    return {"x-upstream-model": answer.model_id}


def _shape_of(request: ApiRequest, message_request: MessagesRequest) -> str:
    """What a request looks like, without a word of what it says."""
    return (
        f"{message_request.model}, {len(request.raw_body)} bytes, {len(message_request.messages)} messages, "
        f"{len(message_request.tools or ())} tools, max_tokens {message_request.max_tokens}, "
        f"thinking {bool(message_request.thinking)}, stream {message_request.stream}"
    )


def _journey(request: ApiRequest, message_request: MessagesRequest) -> Journey:
    """Both names are the same for each turn, also after a restart. Google finds its prompt cache by the
    session id; a subagent has one of its own, but stays with the account of its client's session."""
    client_session = request.headers.get(SESSION_HEADER, "")
    seed = f"{client_session}\0{_first_user_text(message_request)}"
    return Journey(
        session_id=session_id_for(seed),
        conversation=client_session[:200] or hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest(),
        is_subagents=SUBAGENT_HEADER in request.headers,
    )


def _first_user_text(message_request: MessagesRequest) -> str:
    content = message_request.messages[0]["content"]
    if isinstance(content, str):
        return content
    return next((block["text"] for block in content if block.get("type") == "text"), "")


@endpoint("POST")
async def count_tokens(request: ApiRequest) -> HttpResponseBase:
    """An estimate: nobody is asked, so that it is as good when every account is at its limit."""
    count_request = parse_count_tokens_request(
        await request.json(), version=_version(request), betas=_betas(request)
    )
    model = request.gateway.relay.counting_model(count_request)
    tokens = estimate_input_tokens(count_request, model.family)
    return JsonResponse({"input_tokens": round(tokens * request.gateway.token_ratios.of(model.listed_id))})
