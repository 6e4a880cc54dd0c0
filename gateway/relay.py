"""One request from beginning to end, and the only place that knows all of it.

Choose a model and an account, translate, send, and hand back the answer once its first content is there.
Until then a failure is met with another account, another model or a wait; from then on it belongs to the
answer. The order: other accounts, then a model that may step in, then waiting, then the error.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from accounts.google.errors import Trouble
from accounts.google.oauth import ClientSecretWrong, SignInExpired
from accounts.live_settings import live
from accounts.models import Account
from accounts.pool import QueueFull, Reconsider, Wanted
from accounts.rest import LIMITS
from accounts.service import AccountTrouble
from gateway import model_catalog
from gateway.answer import Answer
from gateway.errors import (
    GatewayError,
    InvalidRequest,
    NotFound,
    OperatorMustAct,
    Overloaded,
    RateLimited,
    UpstreamFailed,
    UpstreamTimedOut,
)
from gateway.failures import named_if_too_long, verdict_on
from gateway.google_api.sse import MalformedStream
from gateway.journey import NEXT_ACCOUNT, NEXT_ADDRESS, SAME_ACCOUNT, TOLD_THE_CLIENT, Journey, Plan
from gateway.translation.request import TranslationOptions, translate_request
from gateway.translation.stream import EmptyAnswer, MessageStream
from gateway.translation.upstream_model import family_of, upstream_model
from gateway.upstreams.cloud_code import CloudCode, ModelCall, RequestRefused
from gateway.upstreams.transport import TransportFailed, TransportTimedOut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from accounts.google.code_assist import ModelOffer
    from accounts.google.errors import Refusal
    from accounts.pool import Lease
    from accounts.service import AccountsService
    from gateway.anthropic_api.messages import MessagesRequest
    from gateway.routes import Routes
    from gateway.signature_store import StoredSignatures
    from gateway.token_ratios import TokenRatios
    from gateway.translation.upstream_model import UpstreamModel

    Offers = Mapping[str, ModelOffer]

logger = logging.getLogger(__name__)

EMPTY_ANSWER_TRIES = 3
EMPTY_ANSWER_PAUSE_SECONDS = 0.5
SHORT_LIMIT_SECONDS = 3.0
"""A limit this short is waited out with the account whose prompt cache is warm."""
SHORT_LIMIT_TRIES = 3
FAILURE_PAUSE_SECONDS = 0.5
CAPACITY_VOICES = 2
"""So many accounts must say that a model has no capacity before it is left alone for a while."""

MENDABLE = {
    Trouble.ACCESS_TOKEN_REFUSED: SAME_ACCOUNT,
    Trouble.BAD_SIGNATURE: f"{SAME_ACCOUNT}, without thinking",
    Trouble.WRONG_PROJECT: SAME_ACCOUNT,
}
"""What is tried once more, and what the operator reads of it."""

UpstreamTrouble = (RequestRefused, TransportFailed, EmptyAnswer, MalformedStream, *AccountTrouble)


@dataclass(slots=True)
class PassedOver:
    """Ids of the accounts that one request does not ask again for now. Those at a limit are not among them:
    the pool knows when they are back."""

    failed: set[int] = field(default_factory=set)
    without_capacity: set[int] = field(default_factory=set)

    @property
    def all(self) -> set[int]:
        return self.failed | self.without_capacity


class Relay:
    def __init__(
        self,
        accounts: AccountsService,
        cloud_code: CloudCode,
        routes: Callable[[], Routes],
        signatures: StoredSignatures,
        token_ratios: TokenRatios,
    ) -> None:
        self._accounts = accounts
        self._pool = accounts.pool
        self._cloud_code = cloud_code
        self._routes = routes
        self._token_ratios = token_ratios
        self._signatures = signatures
        self._offered_in_cli: tuple[Offers, Offers, Offers] = ({}, {}, {})
        """The lists it was made of, and what may be asked for in header mode cli."""

    async def open(self, request: MessagesRequest, journey: Journey) -> Answer:
        """The answer, once its first content is there. Raises GatewayError.

        Whoever gets the answer must close it: that gives the account back.
        """
        limit = _longest_wait()
        try:
            async with asyncio.timeout(limit or None):
                answer = await self._open(request, journey)
        except TimeoutError as error:
            raise self._timed_out(journey) from error
        logger.debug("%s began after %.3f s", answer.model_id, journey.seconds)
        return answer

    async def offered_models(self) -> Offers:
        """What the usable accounts may use. Raises OperatorMustAct when there is no such account."""
        if not self._pool.accounts:
            raise self._accounts_missing()
        await self._accounts.until_offers_are_known()
        return self._offered()

    def _offered(self) -> Offers:
        """What may be asked for in the header mode of now; put together when something changes."""
        listed, in_cli = self._accounts.offered_models(), self._accounts.cli_models()
        if live("GEMINI_HEADER_MODE") != "cli":
            return listed
        known_listed, known_in_cli, offered = self._offered_in_cli
        if known_listed is not listed or known_in_cli is not in_cli:
            offered = model_catalog.offered_in_cli(listed, in_cli)
            self._offered_in_cli = (listed, in_cli, offered)
        return offered

    def counting_model(self, name: str) -> UpstreamModel:
        """The model that would answer, as far as is known now. Raises NotFound for a name that is neither
        routed nor stands for a model on offer; while nothing is offered yet, any name will do."""
        offered = self._offered()
        routed = self._routes().route(name).upstream_model
        model_id = routed or model_catalog.resolve(name, offered, thinking=None)
        if offered and not routed and model_id not in offered:
            raise self.model_unknown(name)
        return upstream_model(model_id, header_mode=live("GEMINI_HEADER_MODE"))

    # Models

    async def _open(self, request: MessagesRequest, journey: Journey) -> Answer:
        offered = await self.offered_models()
        thinking = _asks_for_thinking(request)
        routes = self._routes()
        routed = routes.route(request.model).upstream_model
        model_id = routed or model_catalog.resolve(request.model, offered, thinking)
        await self._signatures.recall(request, family_of(model_id))
        plan = self._plan(model_id, request, journey)
        chain: list[str] = []
        if live("FALLBACK"):
            chain = routes.fallback_chain(request.model, model_id, offered)
            chain = chain or model_catalog.fallback_chain(model_id, offered, thinking)
        if not chain:
            return await self._try_accounts(plan, journey, may_wait=True)
        try:
            return await self._try_accounts(plan, journey, may_wait=False)
        except (RateLimited, Overloaded) as error:
            logger.warning("%s steps in for %s", chain[0], model_id)
            answer = await self._try_substitutes(chain, request, journey, error)
        return answer or await self._try_accounts(plan, journey, may_wait=True)

    async def _try_substitutes(
        self, chain: list[str], request: MessagesRequest, journey: Journey, error: GatewayError
    ) -> Answer | None:
        """Each is given the client's own request anew; one that cannot take it is passed over."""
        for model_id in chain:
            await self._signatures.recall(request, family_of(model_id))
            try:
                plan = self._plan(model_id, request, journey)
                answer = await self._try_accounts(plan, journey, may_wait=False)
            except (RateLimited, Overloaded, InvalidRequest, NotFound) as failure:
                # Not its sentence: that may quote the request.
                logger.warning("%s cannot step in: %d %s", model_id, failure.status, failure.error_type)
            else:
                journey.stepped_in = True
                return answer
        return None

    def _plan(self, model_id: str, request: MessagesRequest, journey: Journey) -> Plan:
        offer = self._offered().get(model_id)
        model = upstream_model(
            model_id,
            header_mode=live("GEMINI_HEADER_MODE"),
            max_output_tokens=offer.max_output_tokens if offer else None,
            max_input_tokens=offer.max_input_tokens if offer else None,
        )
        return Plan(
            request=request,
            model=model,
            translated=translate_request(
                request,
                model,
                _options(),
                self._signatures,
                token_ratio=self._token_ratios.of(model.listed_id),
            ),
            session_id=journey.session_id,
        )

    # Accounts

    async def _try_accounts(self, plan: Plan, journey: Journey, *, may_wait: bool) -> Answer:
        wanted = Wanted(
            model_key=plan.model.quota_key,
            conversation=journey.conversation,
            able=self._accounts.accounts_with(
                plan.model.listed_id, plan.model.sent_id, plan.model.header_mode
            ),
            listed_id=plan.model.listed_id,
        )
        passed_over = PassedOver()
        while True:
            self._pause_without_capacity(wanted, passed_over, journey)
            lease = self._pool.lease(wanted, passed_over.all)
            if lease is None:
                lease = await self._wait_for_account(plan, wanted, passed_over, journey, may_wait=may_wait)
            if lease is None:
                continue
            answer = await self._try_account(lease, plan, passed_over, journey)
            if answer is not None:
                return answer

    async def _try_account(
        self, lease: Lease, plan: Plan, passed_over: PassedOver, journey: Journey
    ) -> Answer | None:
        """None when another account may do better. The lease goes with the answer, or back."""
        answer = None
        try:
            answer = await self._send(lease, plan, journey)
        except UpstreamTrouble as error:
            trouble = await self._learn_from(error, lease, plan, journey)
            if trouble is Trouble.CAPACITY:
                passed_over.without_capacity.add(lease.account.id)
            elif trouble not in LIMITS:
                passed_over.failed.add(lease.account.id)
        finally:
            if answer is None:
                lease.release()
        if answer is not None:
            self._pool.succeeded(lease)
            answer.lease = lease
        return answer

    def _pause_without_capacity(self, wanted: Wanted, passed_over: PassedOver, journey: Journey) -> None:
        """One voice may be an account's bad luck; two, or all that could be asked, mean the model."""
        voices = len(passed_over.without_capacity)
        if voices >= CAPACITY_VOICES or (voices and not self._pool.ready(wanted, passed_over.all)):
            self._pool.rests.pause_model(wanted.model_key, journey.capacity_hint_seconds)
            passed_over.without_capacity.clear()

    async def _wait_for_account(
        self, plan: Plan, wanted: Wanted, passed_over: PassedOver, journey: Journey, *, may_wait: bool
    ) -> Lease | None:
        """None when something has changed and all must be looked at again. Raises GatewayError when waiting
        is pointless, or longer than the operator allows."""
        back_at = self._pool.first_return(wanted, passed_over.all)
        if self._pool.busy(wanted, passed_over.all):
            if not _may_wait_at_all():
                raise journey.given_up(plan, self._pool, wanted)
        elif passed_over.failed and self._may_go_another_round(wanted, journey):
            with journey.waiting():
                await asyncio.sleep(FAILURE_PAUSE_SECONDS * 2 ** (journey.accounts_given_up - 1))
            passed_over.failed.clear()
            return None
        elif back_at is None or not (may_wait and _is_worth_waiting(back_at, journey)):
            raise self._nobody_left(plan, wanted, journey)
        return await self._queue(wanted, passed_over.all, journey)

    async def _queue(self, wanted: Wanted, excluded: set[int], journey: Journey) -> Lease | None:
        try:
            waiter = self._pool.queue(wanted, excluded)
        except QueueFull as error:
            raise Overloaded("Too many requests wait already.", retry_after_seconds=10) from error
        logger.info("waits for an account, place %d", waiter.place)
        journey.waiter = waiter
        lease = None
        with suppress(Reconsider), journey.waiting():
            lease = await waiter
        journey.waiter = None
        return lease

    def _may_go_another_round(self, wanted: Wanted, journey: Journey) -> bool:
        """Somebody has failed for no lasting reason: after a moment the upstream may answer."""
        is_passing = isinstance(journey.last_error, UpstreamFailed | UpstreamTimedOut)
        may_try = is_passing and journey.accounts_given_up < live("MAX_RETRIES")
        return may_try and bool(self._pool.ready(wanted))

    def _usable(self, wanted: Wanted) -> bool:
        return any(wanted.able is None or account.id in wanted.able for account in self._pool.accounts)

    def _nobody_left(self, plan: Plan, wanted: Wanted, journey: Journey) -> GatewayError:
        if journey.last_error is None and not self._usable(wanted):
            return self._accounts_missing()
        return journey.given_up(plan, self._pool, wanted)

    # One account

    async def _send(self, lease: Lease, plan: Plan, journey: Journey) -> Answer:
        """What a second try on the same account may mend is tried there."""
        mended: set[Trouble] = set()
        empty_answers = short_limits = 0
        while True:
            try:
                return await self._send_once(lease, plan, journey)
            except EmptyAnswer as error:
                empty_answers += 1
                if empty_answers == EMPTY_ANSWER_TRIES:
                    raise
                journey.end_attempt(_reason_of(error), SAME_ACCOUNT)
                with journey.waiting():
                    await asyncio.sleep(EMPTY_ANSWER_PAUSE_SECONDS * 2 ** (empty_answers - 1))
            except RequestRefused as error:
                error.refusal = refusal = named_if_too_long(
                    error.refusal, plan.translated.input_token_estimate, plan.model.max_input_tokens
                )
                if _is_short_limit(refusal) and short_limits < SHORT_LIMIT_TRIES:
                    short_limits += 1
                    journey.end_attempt(_reason_of(error), SAME_ACCOUNT)
                    with journey.waiting():
                        await asyncio.sleep(refusal.wait_seconds or 0)
                    continue
                if refusal.trouble in mended or refusal.trouble not in MENDABLE:
                    raise
                mended.add(refusal.trouble)
                journey.end_attempt(_reason_of(error), MENDABLE[refusal.trouble])
                if refusal.trouble is Trouble.BAD_SIGNATURE:
                    plan = self._without_thinking(plan)
                elif refusal.trouble is Trouble.WRONG_PROJECT:
                    await self._accounts.rediscover_project(lease.account)

    async def _send_once(self, lease: Lease, plan: Plan, journey: Journey) -> Answer:
        account = lease.account
        journey.begin_attempt(account, plan.model.listed_id)
        project_id = await self._accounts.project_of(account)
        access_token = await self._accounts.tokens.get(account.id)
        call = ModelCall(
            access_token=access_token,
            project_id=project_id,
            model_id=plan.model.sent_id,
            mode=plan.model.header_mode,
            interleaved_thinking=plan.model.family == "claude" and plan.model.thinks,
            session_id=plan.session_id,
            request=plan.translated.request,
        )

        def ask_next_address(error: RequestRefused | TransportFailed) -> None:
            journey.attempt.endpoint = error.base_url
            journey.end_attempt(_reason_of(error), NEXT_ADDRESS)
            journey.begin_attempt(account, plan.model.listed_id)

        try:
            response = await self._cloud_code.stream_generate_content(call, ask_next_address)
        except (RequestRefused, TransportFailed) as error:
            journey.attempt.endpoint = error.base_url
            if isinstance(error, RequestRefused) and error.refusal.trouble is Trouble.ACCESS_TOKEN_REFUSED:
                self._accounts.tokens.forget(account.id, access_token)
            raise
        stream = self._message_stream(plan)
        journey.attempt.endpoint, journey.attempt.usage = response.base_url, stream.usage
        return await Answer.begin(response, stream, plan.model.listed_id)

    def _message_stream(self, plan: Plan) -> MessageStream:
        return MessageStream(
            message_id=f"msg_{secrets.token_hex(12)}",
            client_model=plan.request.model,
            translated=plan.translated,
            signatures=self._signatures,
            new_tool_use_id=lambda: f"toolu_{secrets.token_hex(12)}",
            input_token_estimate=plan.translated.input_token_estimate,
        )

    def _without_thinking(self, plan: Plan) -> Plan:
        translated = translate_request(
            plan.request,
            plan.model,
            _options(),
            self._signatures,
            without_thinking=True,
            token_ratio=self._token_ratios.of(plan.model.listed_id),
        )
        return replace(plan, translated=translated)

    # What a failure teaches

    async def _learn_from(
        self, error: Exception, lease: Lease, plan: Plan, journey: Journey
    ) -> Trouble | None:
        """Raises the client's error when no other account would do better."""
        if isinstance(error, RequestRefused):
            return await self._learn_from_refusal(error, lease, journey, plan)
        if isinstance(error, ClientSecretWrong):
            journey.end_attempt(_reason_of(error), TOLD_THE_CLIENT)
            logger.error("No account can be used: %s", error)
            raise OperatorMustAct(str(error))
        if isinstance(error, TransportFailed | MalformedStream):
            self._pool.failed(lease, Trouble.SERVER_ERROR)
        journey.last_error = _error_for(error)
        journey.end_attempt(_reason_of(error), NEXT_ACCOUNT)
        if isinstance(error, SignInExpired):
            await self._accounts.take_out_of_use(lease.account, Account.State.INVALID, str(error))
        return None

    async def _learn_from_refusal(
        self, error: RequestRefused, lease: Lease, journey: Journey, plan: Plan
    ) -> Trouble:
        refusal = error.refusal
        verdict = verdict_on(refusal)
        if refusal.trouble is Trouble.CAPACITY:
            journey.capacity_hint_seconds = refusal.wait_seconds
        rest = self._pool.failed(lease, refusal.trouble, refusal.wait_seconds)
        back_at = rest.until if rest is not None and verdict.is_limit else None
        is_unknown = refusal.trouble is Trouble.NOT_FOUND and lease.wanted.able is None
        final = self.model_unknown(plan.request.model) if is_unknown else verdict.as_error(refusal)
        if verdict.ends_request or is_unknown:
            journey.end_attempt(_reason_of(error), TOLD_THE_CLIENT, back_at=back_at)
            raise final
        journey.last_error = final
        journey.end_attempt(_reason_of(error), NEXT_ACCOUNT, back_at=back_at)
        if verdict.state is not None:
            await self._accounts.take_out_of_use(lease.account, verdict.state, refusal.message, refusal.link)
        return refusal.trouble

    # What the client hears in the end

    def _timed_out(self, journey: Journey) -> GatewayError:
        waited = f"No answer began within {journey.seconds:.0f} s"
        if journey.waiter is not None:
            place = journey.waiter.last_place
            return RateLimited(
                f"{waited}: no account became free; the request was number {place} in line.",
                retry_after_seconds=5,
            )
        failed = [attempt for attempt in journey.attempts if attempt.decision == NEXT_ACCOUNT]
        tried = "; ".join(f"{attempt.account} {attempt.reason}" for attempt in failed)
        return UpstreamTimedOut(f"{waited}{': ' + tried if tried else ''}.")

    def model_unknown(self, name: str) -> NotFound:
        names = ", ".join(self._routes().listed(model_catalog.visible(self._offered())))
        return NotFound(f"model: {name} is not known here. There is: {names or 'none yet'}.")

    def _accounts_missing(self) -> OperatorMustAct:
        if not self._accounts.account_count:
            return OperatorMustAct(
                "There is no account yet. Add one with `manage.py addaccount`, or at /admin/."
            )
        return OperatorMustAct(
            f"None of the {self._accounts.account_count} accounts can be used now. "
            "/admin/accounts/account/ shows what each of them needs."
        )


def _longest_wait() -> float:
    """Seconds; 0 for no limit of our own: then each call has only the limits of the connection."""
    return 0.0 if live("INFINITE_RETRY_MODE") else live("MAX_WAIT_BEFORE_ERROR_MS") / 1000


def _may_wait_at_all() -> bool:
    return bool(live("INFINITE_RETRY_MODE") or live("MAX_WAIT_BEFORE_ERROR_MS") > 0)


def _is_worth_waiting(back_at: float | None, journey: Journey) -> bool:
    if live("INFINITE_RETRY_MODE"):
        return True
    return back_at is not None and back_at - time.time() <= _longest_wait() - journey.seconds


def _is_short_limit(refusal: Refusal) -> bool:
    wait = refusal.wait_seconds
    return refusal.trouble in LIMITS and wait is not None and wait <= SHORT_LIMIT_SECONDS


def _reason_of(error: Exception) -> str:
    if isinstance(error, RequestRefused):
        return error.refusal.trouble.value
    if isinstance(error, SignInExpired):
        return "must sign in again"
    return str(error).rstrip(".")


def _error_for(error: Exception) -> GatewayError:
    kind = UpstreamTimedOut if isinstance(error, TransportTimedOut) else UpstreamFailed
    return kind(f"The upstream failed: {_reason_of(error)}.")


def _asks_for_thinking(request: MessagesRequest) -> bool | None:
    """None when the request says nothing of it."""
    kind = (request.thinking or {}).get("type")
    return None if kind is None else kind != "disabled"


def _options() -> TranslationOptions:
    return TranslationOptions(
        system_preamble=live("SYSTEM_PREAMBLE"),
        default_thinking_budget=live("DEFAULT_THINKING_BUDGET"),
        default_thinking_level=live("DEFAULT_THINKING_LEVEL") or None,
        max_context_tokens=live("MAX_CONTEXT_TOKENS"),
    )
