"""One account is asked: translate, call, and read until there is content.

What another call with the same account may mend is tried here.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from accounts.google.errors import Trouble
from accounts.pool.cooldowns import LIMITS
from gateway.relay.answer import Answer
from gateway.relay.error_messages import NEXT_ADDRESS, SAME_ACCOUNT
from gateway.relay.error_policy import failure_of, named_if_too_long
from gateway.translation.response.stream import MessageStream
from gateway.upstreams.cloud_code.upstream import WORTH_ANOTHER_BASE, ModelCall, RequestRefused

if TYPE_CHECKING:
    from accounts.google.errors import Refusal
    from accounts.pool.pool import Lease
    from accounts.service import AccountsService
    from gateway.large_requests.translator import RequestTranslator
    from gateway.relay.context import PreparedRequest, RequestContext
    from gateway.translation.signatures import SignatureStore
    from gateway.upstreams.cloud_code.upstream import CloudCode

SHORT_LIMIT_SECONDS = 3.0
"""A limit this short is waited out with the account whose prompt cache is warm."""
SHORT_LIMIT_TRIES = 3

MENDABLE = {
    Trouble.ACCESS_TOKEN_REFUSED: SAME_ACCOUNT,
    Trouble.BAD_SIGNATURE: f"{SAME_ACCOUNT}, without thinking",
    Trouble.WRONG_PROJECT: SAME_ACCOUNT,
}
"""What is tried once more, and what the operator reads of it."""
TOKEN_TRIES = 2
"""The token at hand may be dead, and so may the one that another server has shared since."""


class ModelCaller:
    def __init__(
        self,
        accounts: AccountsService,
        cloud_code: CloudCode,
        signatures: SignatureStore,
        translator: RequestTranslator,
    ) -> None:
        self._accounts = accounts
        self._cloud_code = cloud_code
        self._signatures = signatures
        self._translator = translator

    def bases(self, prepared: PreparedRequest, context: RequestContext) -> list[str]:
        """Those that have failed this request least often come first."""
        return sorted(self._cloud_code.bases(prepared.model.header_mode), key=context.failed_bases.count)

    async def send(self, lease: Lease, prepared: PreparedRequest, context: RequestContext) -> Answer:
        """Raises what gateway.failures.FAILURES lists; the attempt in the journey is then still open."""
        mended: Counter[Trouble] = Counter()
        short_limits = 0
        bases = self.bases(prepared, context)
        while True:
            try:
                return await self._send_once(lease, prepared, context, bases[0])
            except RequestRefused as error:
                error.refusal = refusal = named_if_too_long(
                    error.refusal, prepared.translated.input_token_estimate, prepared.model.max_input_tokens
                )
                if short_limits < SHORT_LIMIT_TRIES and _is_short_limit(refusal, context):
                    short_limits += 1
                    _end_attempt(error, SAME_ACCOUNT, context)
                    with context.waiting():
                        await asyncio.sleep(refusal.wait_seconds or 0)
                elif refusal.trouble in WORTH_ANOTHER_BASE and len(bases) > 1:
                    _end_attempt(error, NEXT_ADDRESS, context)
                    bases = bases[1:]
                elif refusal.trouble in MENDABLE and mended[refusal.trouble] < _tries(refusal.trouble):
                    mended[refusal.trouble] += 1
                    _end_attempt(error, MENDABLE[refusal.trouble], context)
                    prepared = await self._mended(prepared, lease, refusal.trouble)
                else:
                    raise

    async def _mended(self, prepared: PreparedRequest, lease: Lease, trouble: Trouble) -> PreparedRequest:
        """The access token was forgotten when it was refused."""
        if trouble is Trouble.WRONG_PROJECT:
            await self._accounts.rediscover_project(lease.account)
        if trouble is not Trouble.BAD_SIGNATURE or prepared.translated.request_type != "agent":
            return prepared
        translated = await self._translator.translate(prepared.request, prepared.model, without_thinking=True)
        return replace(prepared, translated=translated)

    async def _send_once(
        self, lease: Lease, prepared: PreparedRequest, context: RequestContext, base: str
    ) -> Answer:
        account = lease.account
        context.begin_attempt(account, prepared.model.listed_id)
        project_id = await self._accounts.project_of(account)
        access_token = await self._accounts.tokens.get(account.id)
        call = ModelCall(
            access_token=access_token,
            project_id=project_id,
            model_id=prepared.model.sent_id,
            mode=prepared.model.header_mode,
            interleaved_thinking=prepared.model.family == "claude" and prepared.model.thinks,
            session_id=prepared.session_id,
            request=prepared.translated.request,
            request_type=prepared.translated.request_type,
        )
        context.attempt.endpoint = base
        try:
            response = await self._cloud_code.stream_generate_content(call, base)
        except RequestRefused as error:
            if error.refusal.trouble is Trouble.ACCESS_TOKEN_REFUSED:
                self._accounts.tokens.forget(account.id, access_token)
            raise
        stream = self._message_stream(prepared)
        context.attempt.usage = stream.usage
        return await Answer.begin(response, stream, prepared.model.listed_id, account)

    def _message_stream(self, prepared: PreparedRequest) -> MessageStream:
        return MessageStream(
            message_id=f"msg_{secrets.token_hex(12)}",
            client_model=prepared.request.model,
            translated=prepared.translated,
            signatures=self._signatures,
            new_tool_use_id=lambda: f"toolu_{secrets.token_hex(12)}",
            input_token_estimate=prepared.translated.input_token_estimate,
        )


def _end_attempt(error: RequestRefused, decision: str, context: RequestContext) -> None:
    failure = failure_of(error)
    context.end_attempt(failure.reason, decision, detail=failure.detail)


def _tries(trouble: Trouble) -> int:
    return TOKEN_TRIES if trouble is Trouble.ACCESS_TOKEN_REFUSED else 1


def _is_short_limit(refusal: Refusal, context: RequestContext) -> bool:
    wait = refusal.wait_seconds
    return (
        refusal.trouble in LIMITS
        and wait is not None
        and wait <= SHORT_LIMIT_SECONDS
        and wait < context.seconds_left
    )
