"""Requests for a web search: they are held until the sources are known, or answered without a search, with a
note in the answer. The gateway searches only for a request without other tools, because Google's search
cannot be combined with functions."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.conf import settings

from gateway.dialects.anthropic import stream_events
from gateway.errors import (
    GatewayError,
    InvalidRequest,
    NotFound,
    OperatorMustAct,
    Overloaded,
    RequestTooLarge,
    Unavailable,
    UpstreamFailed,
    UpstreamTimedOut,
)
from gateway.relay.error_messages import TOLD_THE_CLIENT, WITHOUT_SEARCH
from gateway.telemetry.random_ids import random_hex
from gateway.translation.web_search.answer import search_blocks, with_search, without_search, words_beside
from gateway.translation.web_search.sources import Source, query_in, sources_in, to_show
from gateway.upstreams.cloud_code.redirects import Redirects

if TYPE_CHECKING:
    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.dialects.anthropic.stream_events import StreamEvent
    from gateway.relay.answer import Answer
    from gateway.relay.context import RequestContext
    from gateway.relay.relay import Relay
    from gateway.translation.web_search.requested_search import RequestedSearch
    from gateway.upstreams.transport import Transport

logger = logging.getLogger(__name__)

MAX_HELD_CHARACTERS = 1024 * 1024
SEARCH_ERRORS = (
    InvalidRequest, NotFound, OperatorMustAct, Overloaded, RequestTooLarge, Unavailable, UpstreamFailed,
    UpstreamTimedOut,
)  # fmt: skip
"""Errors after which the request is answered without a search, by the model it names. They are about the
search model and its accounts, which the client did not name; on most of them Claude Code would silently retry
for minutes. InvalidRequest: no public report shows the exact form of a search that Google wants."""


class WebSearches:
    def __init__(self, relay: Relay, transport: Transport) -> None:
        self._relay = relay
        self._transport = transport

    async def planned(
        self, request: MessagesRequest, search: RequestedSearch | None
    ) -> tuple[MessagesRequest, RequestedSearch | None]:
        """Return the request and its search; or, if it cannot be made, the request with the search's error,
        and None."""
        if search is None or self._relay.passes_through(request):
            return request, None
        error_code = search.error_code
        if error_code is None and not await self._relay.search_models():
            error_code = "unavailable"
        if error_code is None:
            return request, search
        return without_search(request, search, error_code, _new_id()), None

    async def open(
        self, search: RequestedSearch, request: MessagesRequest, context: RequestContext
    ) -> Answer:
        """Return the complete answer, with its sources in front. When the search fails, return the answer of
        the requested model without one. Raises GatewayError."""
        conversation = context.conversation
        # The conversation itself stays with its account, which has the prompt cached.
        context.conversation += " web search"
        try:
            return await self._searched(search, request, context)
        except SEARCH_ERRORS as error:
            logger.warning("answers without the web search: %d %s", error.status, error.error_type)
        context.conversation = conversation
        return await self._relay.open(without_search(request, search, "unavailable", _new_id()), context)

    async def _searched(
        self, search: RequestedSearch, request: MessagesRequest, context: RequestContext
    ) -> Answer:
        answer = await self._relay.open(request, context, search=search)
        try:
            held = await _held(answer, context)
            found = sources_in(answer.grounding_metadata)
            shown = await self._to_show(found, answer, search)
        except BaseException:
            answer.close()
            raise
        query = query_in(answer.grounding_metadata) or search.query
        text = words_beside(stream_events.text_in(held), found, shown)
        answer.set_events(with_search(held, search_blocks(_new_id(), query, shown), text))
        return answer

    async def _to_show(self, found: list[Source], answer: Answer, search: RequestedSearch) -> list[Source]:
        """Select the sources to show. The account is released before other servers are asked."""
        answer.close()
        redirects = Redirects(self._transport, settings.WEB_SEARCH_REDIRECT_URL)
        locations = await redirects.locations([source.address for source in found])
        return to_show(found, locations, search.domains)


async def _held(answer: Answer, context: RequestContext) -> list[StreamEvent]:
    try:
        return await answer.hold(MAX_HELD_CHARACTERS)
    except GatewayError as error:
        is_told = not isinstance(error, SEARCH_ERRORS)
        context.end_attempt("broke off", TOLD_THE_CLIENT if is_told else WITHOUT_SEARCH)
        raise


def _new_id() -> str:
    return f"srvtoolu_{random_hex(12)}"
