"""One request from beginning to end, and the only place that knows all of it.

Choose a model and an account, translate, send, and hand back the answer once its first content is there.
Until then a failure is met with another account; from then on it belongs to the answer.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from django.conf import settings

from accounts.google.errors import Trouble
from accounts.google.oauth import ClientSecretWrong, SignInExpired
from accounts.models import Account
from accounts.service import AccountTrouble
from gateway import model_catalog
from gateway.answer import Answer
from gateway.errors import (
    GatewayError,
    NotFound,
    OperatorMustAct,
    Overloaded,
    RateLimited,
    UpstreamFailed,
    UpstreamTimedOut,
)
from gateway.explanations import Attempt, sentence
from gateway.failures import verdict_on
from gateway.google_api.sse import MalformedStream
from gateway.translation.request import TranslatedRequest, TranslationOptions, translate_request
from gateway.translation.signatures import SignatureCache
from gateway.translation.stream import EmptyAnswer, MessageStream
from gateway.translation.token_estimate import estimate_input_tokens
from gateway.translation.upstream_model import upstream_model
from gateway.upstreams.cloud_code import CloudCode, ModelCall, RequestRefused
from gateway.upstreams.transport import TransportFailed, TransportTimedOut

if TYPE_CHECKING:
    from accounts.google.code_assist import ModelOffer
    from accounts.pool import PooledAccount
    from accounts.service import AccountsService
    from gateway.anthropic_api.messages import MessagesRequest
    from gateway.translation.upstream_model import UpstreamModel

logger = logging.getLogger(__name__)

EMPTY_ANSWER_TRIES = 3
EMPTY_ANSWER_PAUSE_SECONDS = 0.5
RETRY_BY_ITSELF_SECONDS = 60.0
"""Claude Code waits this long for a `retry-after` and gives up at once when it is longer."""

UpstreamTrouble = (RequestRefused, TransportFailed, EmptyAnswer, MalformedStream, *AccountTrouble)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent, whichever account sends it."""

    request: MessagesRequest
    model: UpstreamModel
    translated: TranslatedRequest
    session_id: str
    input_token_estimate: int

    @property
    def quota(self) -> str:
        """Gemini models have one quota in each header mode."""
        return f"{self.model.id}:{self.model.header_mode}"


@dataclass(frozen=True, slots=True)
class Failure:
    """One account that could not answer, and what the client would hear if it was the last."""

    attempt: Attempt
    error: GatewayError
    ends_request: bool = False


class Relay:
    def __init__(self, accounts: AccountsService, cloud_code: CloudCode) -> None:
        self._accounts = accounts
        self._cloud_code = cloud_code
        self._signatures = SignatureCache()

    async def open(self, request: MessagesRequest, session_id: str) -> Answer:
        """The answer, once its first content is there. Raises GatewayError."""
        limit = settings.MAX_WAIT_BEFORE_ERROR_SECONDS or None
        asked_at = time.monotonic()
        try:
            async with asyncio.timeout(limit):
                answer = await self._open(request, session_id)
        except TimeoutError as error:
            raise UpstreamTimedOut(f"No answer began within {limit:.0f} s.") from error
        logger.debug("%s began after %.0f ms", answer.model_id, 1000 * (time.monotonic() - asked_at))
        return answer

    async def offered_models(self) -> dict[str, ModelOffer]:
        """What the usable accounts may use. Raises OperatorMustAct when there is no such account."""
        if not self._accounts.pool.accounts:
            raise self._accounts_missing()
        await self._accounts.until_offers_are_known()
        return self._accounts.offered_models()

    async def _open(self, request: MessagesRequest, session_id: str) -> Answer:
        offered = await self.offered_models()
        thinking = _asks_for_thinking(request)
        model_id = model_catalog.resolve(request.model, offered, thinking)
        try:
            return await self._open_with(model_id, request, session_id)
        except (RateLimited, Overloaded):
            substitute = (
                model_catalog.steps_in_for(model_id, offered, thinking) if settings.FALLBACK else None
            )
            if substitute is None:
                raise
            logger.warning("%s steps in for %s", substitute, model_id)
            return await self._open_with(substitute, request, session_id)

    async def _open_with(self, model_id: str, request: MessagesRequest, session_id: str) -> Answer:
        plan = self._plan(model_id, request, session_id)
        able = self._accounts.accounts_with(model_id)
        failures: list[Failure] = []
        tried: set[int] = set()
        while (account := self._accounts.pool.choose(plan.quota, able or None, tried)) is not None:
            tried.add(account.id)
            try:
                return await self._send(account, plan)
            except UpstreamTrouble as error:
                failure = await self._learn_from(error, account, plan)
            if failure.ends_request:
                raise failure.error
            failures.append(failure)
            logger.info("%s for %s: %s", account.email, plan.model.id, failure.error.message)
        raise self._given_up(plan, failures)

    def _plan(self, model_id: str, request: MessagesRequest, session_id: str) -> Plan:
        offer = self._accounts.offered_models().get(model_id)
        model = upstream_model(
            model_id,
            header_mode=settings.GEMINI_HEADER_MODE,
            max_output_tokens=offer.max_output_tokens if offer else None,
            max_input_tokens=offer.max_input_tokens if offer else None,
        )
        return Plan(
            request=request,
            model=model,
            translated=translate_request(request, model, _options(), self._signatures),
            session_id=session_id,
            input_token_estimate=estimate_input_tokens(request),
        )

    # One account

    async def _send(self, account: PooledAccount, plan: Plan) -> Answer:
        """What a second try on the same account may mend is tried once."""
        mended: set[Trouble] = set()
        empty_answers = 0
        while True:
            try:
                return await self._send_once(account, plan)
            except RequestRefused as error:
                trouble = error.refusal.trouble
                if trouble in mended:
                    raise
                mended.add(trouble)
                if trouble is Trouble.BAD_SIGNATURE:
                    plan = self._without_thinking(plan)
                elif trouble is Trouble.WRONG_PROJECT:
                    await self._accounts.rediscover_project(account)
                elif trouble is not Trouble.ACCESS_TOKEN_REFUSED:
                    raise
            except EmptyAnswer:
                empty_answers += 1
                if empty_answers == EMPTY_ANSWER_TRIES:
                    raise
                await asyncio.sleep(EMPTY_ANSWER_PAUSE_SECONDS * 2 ** (empty_answers - 1))

    async def _send_once(self, account: PooledAccount, plan: Plan) -> Answer:
        project_id = await self._accounts.project_of(account)
        access_token = await self._accounts.tokens.get(account.id)
        call = ModelCall(
            access_token=access_token,
            project_id=project_id,
            model_id=plan.model.id,
            mode=plan.model.header_mode,
            interleaved_thinking=plan.model.family == "claude" and plan.model.thinks,
            session_id=plan.session_id,
            request=plan.translated.request,
        )
        try:
            response = await self._cloud_code.stream_generate_content(call)
        except RequestRefused as error:
            if error.refusal.trouble is Trouble.ACCESS_TOKEN_REFUSED:
                self._accounts.tokens.forget(account.id, access_token)
            raise
        return await Answer.begin(response, self._message_stream(plan), plan.model.id)

    def _message_stream(self, plan: Plan) -> MessageStream:
        return MessageStream(
            message_id=f"msg_{secrets.token_hex(12)}",
            client_model=plan.request.model,
            translated=plan.translated,
            signatures=self._signatures,
            new_tool_use_id=lambda: f"toolu_{secrets.token_hex(12)}",
            input_token_estimate=plan.input_token_estimate,
        )

    def _without_thinking(self, plan: Plan) -> Plan:
        logger.warning("%s refused a thinking signature: sent again without thinking", plan.model.id)
        translated = translate_request(
            plan.request, plan.model, _options(), self._signatures, without_thinking=True
        )
        return replace(plan, translated=translated)

    # What a failure teaches

    async def _learn_from(self, error: Exception, account: PooledAccount, plan: Plan) -> Failure:
        if isinstance(error, RequestRefused):
            return await self._learn_from_refusal(error, account, plan)
        if isinstance(error, ClientSecretWrong):
            return Failure(
                Attempt(account.short_name, "sign-in"), OperatorMustAct(str(error)), ends_request=True
            )
        if isinstance(error, SignInExpired):
            await self._accounts.take_out_of_use(account, Account.State.INVALID, str(error))
            reason = "must sign in again"
        elif isinstance(error, TransportTimedOut):
            return Failure(
                Attempt(account.short_name, str(error)), UpstreamTimedOut(f"The upstream failed: {error}.")
            )
        elif isinstance(error, EmptyAnswer):
            reason = "answered with nothing"
        else:
            reason = str(error).rstrip(".")
        return Failure(Attempt(account.short_name, reason), UpstreamFailed(f"The upstream failed: {reason}."))

    async def _learn_from_refusal(self, error: RequestRefused, account: PooledAccount, plan: Plan) -> Failure:
        refusal = error.refusal
        verdict = verdict_on(refusal)
        back_at = None
        if verdict.state is not None:
            await self._accounts.take_out_of_use(account, verdict.state, refusal.message, refusal.link)
        elif verdict.cools_account:
            seconds = refusal.wait_seconds or settings.DEFAULT_COOLDOWN_SECONDS
            back_at = self._accounts.pool.cool_down(account, plan.quota, seconds, refusal.trouble.value).until
        unknown = refusal.trouble is Trouble.NOT_FOUND and not self._is_offered(plan.model.id)
        return Failure(
            Attempt(account.short_name, refusal.trouble.value, back_at),
            self._model_unknown(plan) if unknown else verdict.as_error(refusal),
            ends_request=verdict.ends_request or unknown,
        )

    def _is_offered(self, model_id: str) -> bool:
        return model_id in self._accounts.offered_models()

    # What the client hears in the end

    def _given_up(self, plan: Plan, failures: list[Failure]) -> GatewayError:
        """Limits speak first: they say when it will work again."""
        now = time.time()
        attempts = [failure.attempt for failure in failures] + self._resting(plan, failures)
        text = sentence(plan.model.id, attempts, now)
        back = [attempt.back_at for attempt in attempts if attempt.back_at is not None]
        if back:
            wait = min(back) - now
            by_itself = None if wait <= RETRY_BY_ITSELF_SECONDS else False
            return RateLimited(text, retry_after_seconds=wait, should_retry=by_itself)
        if not failures:
            return self._accounts_missing()
        return type(failures[-1].error)(text) if len(failures) > 1 else failures[-1].error

    def _resting(self, plan: Plan, failures: list[Failure]) -> list[Attempt]:
        """The accounts not tried because they are cooling down."""
        tried = {failure.attempt.account for failure in failures}
        return [
            Attempt(account.short_name, cooling.reason, cooling.until)
            for account in self._accounts.pool.accounts
            if account.short_name not in tried
            and (cooling := self._accounts.pool.cooldown(account, plan.quota)) is not None
        ]

    def _model_unknown(self, plan: Plan) -> NotFound:
        names = ", ".join(model_catalog.visible(self._accounts.offered_models()))
        return NotFound(f"model: {plan.request.model} is not known here. There is: {names or 'none yet'}.")

    def _accounts_missing(self) -> OperatorMustAct:
        if not self._accounts.account_count:
            return OperatorMustAct(
                "There is no account yet. Add one with `manage.py importaccounts FILE --accept-terms`; "
                "accounts are listed at /admin/."
            )
        return OperatorMustAct(
            f"None of the {self._accounts.account_count} accounts can be used now. "
            "/admin/accounts/account/ shows what each of them needs."
        )


def _asks_for_thinking(request: MessagesRequest) -> bool | None:
    """None when the request says nothing of it."""
    kind = (request.thinking or {}).get("type")
    return None if kind is None else kind != "disabled"


def _options() -> TranslationOptions:
    return TranslationOptions(
        system_preamble=settings.SYSTEM_PREAMBLE,
        default_thinking_budget=settings.DEFAULT_THINKING_BUDGET,
        default_thinking_level=settings.DEFAULT_THINKING_LEVEL or None,
        max_context_tokens=settings.MAX_CONTEXT_TOKENS,
    )
