"""One request from beginning to end: which model answers it, and by when.

The relay chooses a model, has an account answer (gateway/relay/failover.py), and returns the answer once it
has content. Before that, a failure leads to another account, another model or a wait; after that, it ends the
answer. Other accounts are tried first, then a fallback model; then the request waits; last comes the
error.
"""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from accounts import live_settings
from accounts.command_line import manage
from accounts.live_settings import live
from gateway.errors import (
    GatewayError,
    NotFound,
    OperatorMustAct,
    Overloaded,
    RateLimited,
    Unavailable,
    UpstreamTimedOut,
)
from gateway.relay.context import PreparedRequest, RequestContext
from gateway.relay.failover import Failover, learn_after_content
from gateway.relay.formats.generate_content import GenerateContent
from gateway.relay.formats.messages import Messages
from gateway.relay.model_call import ModelCaller
from gateway.relay.models.choice import Chosen, ModelChoice, chosen
from gateway.routing import resolution
from gateway.routing.upstream_model import CLOUD_CODE, UpstreamModel, upstream_model
from gateway.timeouts import time_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from accounts.offers import ModelOffer
    from accounts.service import AccountsService
    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.dialects.base import ClientRequest
    from gateway.ledger.signature_store import StoredSignatures
    from gateway.preparation.translator import RequestTranslator
    from gateway.relay.answer import Answer
    from gateway.relay.formats.base import Format
    from gateway.routing.routes import Routes
    from gateway.translation.web_search.requested_search import RequestedSearch
    from gateway.upstreams.base import Upstream, UpstreamDialect

    Offers = Mapping[str, ModelOffer]

logger = logging.getLogger(__name__)

ANTHROPIC = "anthropic"
COUNTING = ({ANTHROPIC}, {"compatible"})
"""The kind of account whose upstream is Anthropic itself."""
"""Sets of kinds that count tokens. A set applies when only these kinds would answer the request."""
MODELS_KNOWN_SECONDS = 5
"""The `retry-after` in seconds when no list of models could be fetched."""


class Relay:
    def __init__(
        self,
        accounts: AccountsService,
        upstreams: Mapping[str, Upstream],
        routes: Callable[[], Routes],
        signatures: StoredSignatures,
        translator: RequestTranslator,
    ) -> None:
        self._accounts = accounts
        self._pool = accounts.pool
        self._routes = routes
        self.choice = ModelChoice(accounts, routes)
        formats: dict[UpstreamDialect, Format] = {
            "generate_content": GenerateContent(translator, signatures),
            "messages": Messages(translator),
        }
        self._caller = ModelCaller(accounts, upstreams, formats)
        self._learn_after_content = partial(learn_after_content, accounts)

    async def open(
        self,
        request: MessagesRequest,
        context: RequestContext,
        client: ClientRequest | None = None,
        search: RequestedSearch | None = None,
    ) -> Answer:
        """Return the answer, once it has content. The caller must close it, which releases the account.

        `client` is the request as the client sent it; None when the gateway has made or changed it, and then
        the events of the answer are always parsed. With `search`, a model that searches the web answers,
        whichever model the request names. Raises GatewayError.
        """
        limit = _longest_wait()
        if context.longest_wait_seconds < limit:
            limit = context.longest_wait_seconds
        context.open_again(limit)
        try:
            with time_limit(limit if limit > 0 else math.inf):
                if search is None:
                    answer = await self._open(request, context, client)
                else:
                    answer = await self._open_search(search, request, context)
        except TimeoutError as error:
            raise self._timed_out(context) from error
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s began after %.3f s", answer.model_id, context.seconds)
        return answer

    async def offered_models(self) -> Offers:
        """Return the models that usable accounts offer. Raises OperatorMustAct when there is no usable
        account, and Unavailable when an account was added or removed a moment ago."""
        if not self._pool.accounts:
            await self._accounts.poll_now()
        if not self._pool.accounts:
            raise self._accounts_missing()
        await self._accounts.until_offers_are_known()
        return self.known_models()

    async def search_models(self) -> list[str]:
        """Return the models that search the web, the newest first. Raises OperatorMustAct."""
        await self.offered_models()
        return resolution.search_models(self._accounts.merged_offers().by_kind.get(CLOUD_CODE, {}))

    def known_models(self) -> Offers:
        """Return the models offered in the present header mode, as far as they are known."""
        return self.choice.known_models()

    def counting_model(self, request: MessagesRequest) -> UpstreamModel:
        """Return the model that would answer, as far as is known. Raises NotFound for a name that is neither
        routed nor resolves to an offered model; while none is offered yet, any name is accepted."""
        named = self.choice.named(request.model, _asks_for_thinking(request))
        if named.is_unknown:
            raise self._model_unknown(request.model)
        if not named.models:
            return upstream_model(request.model, header_mode=live("GEMINI_HEADER_MODE"))
        return next(iter(named.models.values()))

    def passes_through(self, request: MessagesRequest) -> bool:
        """Return True when only Anthropic itself would answer, which knows every feature of its own
        format."""
        return self.choice.named(request.model, _asks_for_thinking(request)).models.keys() == {ANTHROPIC}

    async def counted_by_upstream(self, request: MessagesRequest, client: ClientRequest) -> int | None:
        """Count tokens where that is free and exact: at Anthropic or a compatible server, if only that kind
        would answer. None otherwise. May raise GatewayError."""
        named = self.choice.named(request.model, _asks_for_thinking(request))
        if named.models.keys() not in COUNTING:
            return None
        view = self._pool.view(named.targets)
        prepared = PreparedRequest(request, named, "", client=client)
        for account in (view.healthy or view.free)[:1]:
            return await self._caller.count(account, prepared)
        return None

    def _failover(self, prepared: PreparedRequest, context: RequestContext) -> Failover:
        progress = context.progress_on(prepared.chosen)
        return Failover(
            self._accounts,
            self._caller,
            self._model_unknown,
            self._learn_after_content,
            prepared,
            context,
            progress,
        )

    # Models

    async def _open(
        self, request: MessagesRequest, context: RequestContext, client: ClientRequest | None
    ) -> Answer:
        if not self._accounts.has_offers:
            await self.offered_models()
        thinking = _asks_for_thinking(request)
        named = self.choice.named(request.model, thinking)
        if not named.models:
            raise self._model_unknown(request.model)
        prepared = await self._prepare(named, request, context, client)
        model_id = named.listed_id
        if named.is_unknown:
            context.unknown_models |= {model.listed_id for model in named.models.values()}
        chain: list[str] = []
        if live_settings.current["FALLBACK"] and context.may_fall_back:
            offered = self.known_models()
            chain = self._routes().fallback_chain(request.model, model_id, offered)
            chain = chain or resolution.fallback_chain(model_id, offered, thinking)
        if not chain:
            return await self._failover(prepared, context).answer(may_wait=True)
        try:
            return await self._failover(prepared, context).answer(may_wait=False)
        except (RateLimited, Overloaded):
            logger.warning("%s falls back to %s", model_id, chain[0])
            answer = await self._try_substitutes(chain, request, context, client)
        return answer or await self._failover(prepared, context).answer(may_wait=True)

    async def _try_substitutes(
        self,
        chain: list[str],
        request: MessagesRequest,
        context: RequestContext,
        client: ClientRequest | None,
    ) -> Answer | None:
        """Try the fallback models in order, each with the client's original request. Returns None when none
        of them answers."""
        for model_id in chain:
            try:
                substitute = self.choice.of_id(model_id, _asks_for_thinking(request))
                prepared = await self._prepare(substitute, request, context, client)
                answer = await self._failover(prepared, context).answer(may_wait=False, may_pause=False)
            except GatewayError as failure:
                # The message is left out, since it may quote the request.
                logger.warning("The fallback %s failed: %d %s", model_id, failure.status, failure.error_type)
            else:
                context.fallback = True
                return answer
        return None

    async def _prepare(
        self,
        chosen: Chosen,
        request: MessagesRequest,
        context: RequestContext,
        client: ClientRequest | None,
    ) -> PreparedRequest:
        """Return the request with its models. Raises GatewayError for a request that cannot be translated, if
        that is known before an account is chosen."""
        prepared = PreparedRequest(
            request, chosen, context.session_id, client=client, wants_events=client is None
        )
        if len(chosen.models) == 1:
            await self._caller.prepare(prepared)
        return prepared

    # Models that search the web

    async def _open_search(
        self, search: RequestedSearch, request: MessagesRequest, context: RequestContext
    ) -> Answer:
        """Use the first model that is not at its limit; if all are, wait for the first one."""
        models = await self.search_models()
        plans = [await self._search_plan(one, search, request, context) for one in models]
        if not plans:
            raise Unavailable("No account can search the web now.", retry_after_seconds=MODELS_KNOWN_SECONDS)
        for prepared in plans:
            unable = self._accounts.unable_to_search(prepared.chosen.listed_id)
            context.progress_on(prepared.chosen).request.refused |= unable
        for prepared in plans if len(plans) > 1 else ():
            with suppress(RateLimited, Overloaded):
                return await self._failover(prepared, context).answer(may_wait=False)
        return await self._failover(plans[0], context).answer(may_wait=True)

    async def _search_plan(
        self, model_id: str, search: RequestedSearch, request: MessagesRequest, context: RequestContext
    ) -> PreparedRequest:
        model = upstream_model(model_id, header_mode="antigravity")
        prepared = PreparedRequest(request, chosen({CLOUD_CODE: model}), context.session_id, search=search)
        await self._caller.prepare(prepared)
        return prepared

    # Errors

    def _timed_out(self, context: RequestContext) -> GatewayError:
        waited = f"No answer began within {context.seconds:.0f} s"
        if context.is_in_queue:
            waiting = f"{self._pool.waiting} request{'' if self._pool.waiting == 1 else 's'} wait"
            return RateLimited(f"{waited}: no account became free; {waiting}.", retry_after_seconds=5)
        failed = [attempt for attempt in context.attempts if attempt.reason]
        tried = "; ".join(f"{attempt.account_label} {attempt.reason}" for attempt in failed)
        return UpstreamTimedOut(f"{waited}{': ' + tried if tried else ''}.")

    def _model_unknown(self, name: str) -> GatewayError:
        if not self.known_models():
            return Unavailable(
                f"model: {name} was asked for as it is, because no account has been able to say yet which "
                "models it offers, and the upstream does not know it.",
                retry_after_seconds=MODELS_KNOWN_SECONDS,
            )
        offered = self.known_models()
        names = ", ".join(self._routes().listed(resolution.visible(offered), offered))
        return NotFound(f"model: {name} is not known here. There is: {names or 'none yet'}.")

    def _accounts_missing(self) -> GatewayError:
        count = self._accounts.account_count
        sentence = (
            f"None of the {count} accounts can be used now. `{manage('listaccounts')}` says what each needs, "
            "and so does /admin/accounts/account/."
            if count
            else f"There is no account yet. Add one with `{manage('addaccount')}`, or at /admin/."
        )
        if self._accounts.have_just_changed:
            return Unavailable(sentence, retry_after_seconds=1)
        return OperatorMustAct(sentence)


def _longest_wait() -> float:
    """Return the longest wait for the first content in seconds: infinite in INFINITE_RETRY_MODE, 0 when
    requests must not wait."""
    current = live_settings.current
    return math.inf if current["INFINITE_RETRY_MODE"] else current["MAX_WAIT_BEFORE_ERROR_MS"] / 1000


def _asks_for_thinking(request: MessagesRequest) -> bool | None:
    """Return whether thinking is on; None when the request does not set it."""
    if not request.thinking:
        return None
    kind = request.thinking.get("type")
    return None if kind is None else kind != "disabled"
