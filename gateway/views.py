"""Read, authenticate, hand over, answer.

Errors leave as exceptions of gateway.errors; gateway/api.py puts them into Anthropic's envelope.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.db import DatabaseError

from accounts.standing import standing
from gateway import model_catalog
from gateway.answer import KEEP_ALIVE_SECONDS
from gateway.anthropic_api.messages import parse_count_tokens_request, parse_messages_request
from gateway.anthropic_api.sse import PING, encode_event
from gateway.api import OUR_FAULT, STOPPING, EventStream, JsonResponse
from gateway.authentication import check_client, log_refusal
from gateway.errors import GatewayError, InvalidRequest, MethodNotAllowed, NotFound, Overloaded
from gateway.journey import Journey
from gateway.ledger.record import RequestRecord
from gateway.operator_access import is_operator, may_be_operator
from gateway.plain_text import fitting
from gateway.translation.token_estimate import estimate_input_tokens

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

    from django.http.response import HttpResponseBase

    from accounts.google.code_assist import ModelOffer
    from gateway.answer import Answer
    from gateway.anthropic_api.messages import MessagesRequest
    from gateway.api import ApiRequest
    from gateway.service import Gateway

    View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]

logger = logging.getLogger(__name__)

SESSION_HEADER = "x-claude-code-session-id"
MAX_MODELS_PAGE = 1000
DEFAULT_MODELS_PAGE = 20
UNKNOWN_RELEASE = "1970-01-01T00:00:00Z"
"""Google does not say when a model came out; Anthropic's own API answers with the epoch then."""


def endpoint(*methods: str, for_clients: bool = True) -> Callable[[View], View]:
    """Which methods it answers, and whether the caller must be a known client."""

    def decorate(view: View) -> View:
        @wraps(view)
        async def checked(request: ApiRequest, **kwargs: Any) -> HttpResponseBase:
            if for_clients:
                try:
                    check_client(request)
                except GatewayError as error:
                    log_refusal(request, error)
                    raise
            if request.method not in methods:
                raise MethodNotAllowed(
                    f"{request.path_info} does not answer {request.method}.", allow=", ".join(methods)
                )
            return await view(request, **kwargs)

        return checked

    return decorate


# Messages


@endpoint("POST")
async def messages(request: ApiRequest) -> HttpResponseBase:
    """Whatever comes of it is in the books: closed here, or, for a stream, when it has been sent."""
    gateway = request.gateway
    record = _record(request)
    await gateway.books.open(record)
    try:
        message_request = parse_messages_request(request.json())
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
) -> Answer:
    answer = await gateway.relay.open(message_request, journey)
    gateway.books.begin(record, answer)
    return answer


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
    opening: asyncio.Task[Answer], record: RequestRecord, gateway: Gateway
) -> AsyncGenerator[bytes, None]:
    """Is not given the request itself: its body need not be kept for as long as the stream lasts."""
    try:
        while not opening.done():
            yield PING
            await asyncio.wait({opening}, timeout=KEEP_ALIVE_SECONDS)
        async for events in opening.result().batches():
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


async def _give_up(opening: asyncio.Task[Answer]) -> None:
    """Whatever has become of it: stop trying, or close the answer. A failure was told to the client."""
    opening.cancel()
    with suppress(asyncio.CancelledError, Exception):
        (await opening).close()


async def _let_go(opening: asyncio.Task[Answer], record: RequestRecord, gateway: Gateway) -> None:
    try:
        await _give_up(opening)
    finally:
        if record.status is None and gateway.is_stopping:
            record.fail(Overloaded(STOPPING))
        gateway.books.close(record)


def _record(request: ApiRequest) -> RequestRecord:
    return RequestRecord(
        request_id=request.request_id,
        client="AUTH_TOKEN" if settings.AUTH_TOKEN else "loopback",
        session_id=fitting(request.headers.get(SESSION_HEADER, ""), 200),
        request_bytes=len(request.raw_body),
    )


def _upstream_headers(answer: Answer) -> dict[str, str]:
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
    digest = hashlib.sha256(seed.encode("utf-8", "replace")).digest()
    return Journey(
        session_id=f"-{int.from_bytes(digest[:8], 'big') >> 1}",
        conversation=client_session[:200] or digest.hex(),
    )


def _first_user_text(message_request: MessagesRequest) -> str:
    content = message_request.messages[0]["content"]
    if isinstance(content, str):
        return content
    return next((block["text"] for block in content if block.get("type") == "text"), "")


@endpoint("POST")
async def count_tokens(request: ApiRequest) -> HttpResponseBase:
    return JsonResponse({"input_tokens": estimate_input_tokens(parse_count_tokens_request(request.json()))})


# Models


@endpoint("GET", "HEAD")
async def models(request: ApiRequest) -> HttpResponseBase:
    offered = await request.gateway.relay.offered_models()
    names = request.gateway.routes.listed(model_catalog.visible(offered))
    page = _page(names, request.GET.get("after_id"), request.GET.get("before_id"), _limit(request))
    return JsonResponse(
        {
            "object": "list",
            "data": [_model_object(name, offered[_upstream_id(request, name, offered)]) for name in page],
            "has_more": _has_more(names, page, backwards="before_id" in request.GET),
            "first_id": page[0] if page else None,
            "last_id": page[-1] if page else None,
        }
    )


@endpoint("GET", "HEAD")
async def model(request: ApiRequest, model_id: str) -> HttpResponseBase:
    """A name that stands for a model on offer is answered as well, under the name asked for."""
    offered = await request.gateway.relay.offered_models()
    offer = offered.get(_upstream_id(request, model_id, offered))
    if offer is None:
        there = ", ".join(request.gateway.routes.listed(model_catalog.visible(offered)))
        raise NotFound(f"model: {model_id} is not known here. There is: {there}.")
    return JsonResponse(_model_object(model_id, offer))


def _upstream_id(request: ApiRequest, name: str, offered: dict[str, ModelOffer]) -> str:
    routed = request.gateway.routes.route(name).upstream_model
    return routed or model_catalog.resolve(name, offered, thinking=None)


def _model_object(model_id: str, offer: ModelOffer) -> dict[str, Any]:
    """Anthropic's fields and OpenAI's together: clients of both kinds read this list."""
    return {
        "type": "model",
        "object": "model",
        "id": model_id,
        "display_name": offer.display_name,
        "created_at": UNKNOWN_RELEASE,
        "created": 0,
        "owned_by": "google",
        "max_input_tokens": offer.max_input_tokens,
        "max_tokens": offer.max_output_tokens,
    }


def _limit(request: ApiRequest) -> int:
    text = request.GET.get("limit", str(DEFAULT_MODELS_PAGE))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_MODELS_PAGE):
        raise InvalidRequest(f"limit: must be a whole number from 1 to {MAX_MODELS_PAGE}.")
    return int(text)


def _page(names: list[str], after: str | None, before: str | None, limit: int) -> list[str]:
    """A name that is not in the list counts as its end."""
    if before is not None:
        return names[: names.index(before) if before in names else len(names)][-limit:]
    if after is not None:
        names = names[names.index(after) + 1 if after in names else len(names) :]
    return names[:limit]


def _has_more(names: list[str], page: list[str], *, backwards: bool) -> bool:
    if not page:
        return False
    return page[0] != names[0] if backwards else page[-1] != names[-1]


# What clients ask beside


@endpoint("HEAD", "POST", for_clients=False)
async def heartbeat(request: ApiRequest) -> HttpResponseBase:
    return JsonResponse({"status": "ok"})


@endpoint("HEAD", "GET", for_clients=False)
async def hello(request: ApiRequest) -> HttpResponseBase:
    return JsonResponse({"status": "ok"})


@endpoint("POST", for_clients=False)
async def event_logging(request: ApiRequest) -> HttpResponseBase:
    """Claude Code's telemetry: accepted and dropped unread."""
    return JsonResponse({"status": "ok"})


@endpoint("GET", "HEAD", for_clients=False)
async def health(request: ApiRequest) -> HttpResponseBase:
    """From memory, so that it may be asked often. Anybody may ask; only the operator hears names."""
    gateway = request.gateway
    now = standing(gateway.accounts)
    knows_names = False
    with suppress(DatabaseError):  # the answer must not depend on it
        knows_names = may_be_operator(request) and await database_sync_to_async(is_operator)(request)
    return JsonResponse(
        {
            "status": "ok",
            "timestamp": datetime.now(UTC),
            "summary": now.sentence,
            "counts": {
                "total": now.total,
                "available": now.available,
                "rateLimited": now.limited,
                "unusable": now.unusable,
            },
            "requests": {"inFlight": len(gateway.books.in_flight), "waiting": now.waiting},
            "ledger": {"unwritten": gateway.ledger.waiting},
            "accounts": [
                {"email": one.email if knows_names else f"account {number}", **one.as_json()}
                for number, one in enumerate(now.accounts, 1)
            ],
        }
    )
