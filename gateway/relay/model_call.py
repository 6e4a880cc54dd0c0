"""The call of one account: translate, call, and read until there is content. Retries that may help with the
same account are made here."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from accounts.failures import LIMITS, FailureKind, UpstreamError
from gateway.relay.answer import Answer
from gateway.relay.error_messages import NEXT_ADDRESS, SAME_ACCOUNT
from gateway.relay.error_policy import ERROR_POLICIES, as_prompt_too_long, failure_of
from gateway.translation.response.stream import MessageStream
from gateway.upstreams.base import ModelCall, Upstream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.pool.pool import Lease
    from accounts.service import AccountsService
    from gateway.preparation.translator import RequestTranslator
    from gateway.relay.context import PreparedRequest, RequestContext
    from gateway.translation.signature_families import SignatureStore

SHORT_LIMIT_SECONDS = 3.0
"""Limits up to this length are waited out with the same account, which has the prompt cached."""
SHORT_LIMIT_TRIES = 3


class ModelCaller:
    def __init__(
        self,
        accounts: AccountsService,
        upstreams: Mapping[str, Upstream],
        signatures: SignatureStore,
        translator: RequestTranslator,
    ) -> None:
        self._accounts = accounts
        self._upstreams = upstreams
        self._signatures = signatures
        self._translator = translator

    def bases(self, prepared: PreparedRequest, context: RequestContext) -> list[str]:
        """Base URLs for the kind of account that was asked last; those with the fewest failures in this
        request come first."""
        return _bases(self._upstreams[context.kind], prepared, context)

    async def send(self, lease: Lease, prepared: PreparedRequest, context: RequestContext) -> Answer:
        """Call the account, with retries. Raises what error_policy.FAILURES lists; the attempt in `context`
        is then still open."""
        mended: Counter[FailureKind] = Counter()
        short_limits = 0
        upstream = self._upstreams[lease.account.kind]
        bases = _bases(upstream, prepared, context)
        while True:
            try:
                return await self._send_once(lease, prepared, context, upstream, bases[0])
            except UpstreamError as as_it_came:
                error = as_prompt_too_long(
                    as_it_came, prepared.translated.input_token_estimate, prepared.model.max_input_tokens
                )
                policy = ERROR_POLICIES[error.kind]
                if short_limits < SHORT_LIMIT_TRIES and _is_short_limit(error, context):
                    short_limits += 1
                    _end_attempt(error, SAME_ACCOUNT, context)
                    with context.waiting():
                        await asyncio.sleep(error.wait_seconds or 0)
                elif policy.next_address and len(bases) > 1:
                    _end_attempt(error, NEXT_ADDRESS, context)
                    bases = bases[1:]
                elif mended[error.kind] < policy.same_account_tries:
                    mended[error.kind] += 1
                    _end_attempt(error, policy.same_account, context)
                    prepared = await self._mended(prepared, lease, error.kind)
                else:
                    raise error from None

    async def _mended(self, prepared: PreparedRequest, lease: Lease, kind: FailureKind) -> PreparedRequest:
        """Return the request for another call with the account; a refused access was forgotten already."""
        await self._accounts.prepare_retry(lease.account, kind)
        if kind is not FailureKind.BAD_SIGNATURE or prepared.translated.request_type != "agent":
            return prepared
        translated = await self._translator.translate(prepared.request, prepared.model, without_thinking=True)
        return replace(prepared, translated=translated)

    async def _send_once(
        self,
        lease: Lease,
        prepared: PreparedRequest,
        context: RequestContext,
        upstream: Upstream,
        base: str,
    ) -> Answer:
        account = lease.account
        context.begin_attempt(account, prepared.model.listed_id)
        access = await self._accounts.access(account)
        translated = prepared.translated
        call = ModelCall(
            access, prepared.model, prepared.session_id, translated.request, translated.request_type
        )
        context.attempt.endpoint = base
        try:
            response = await upstream.open_stream(call, base)
        except UpstreamError as error:
            if error.kind is FailureKind.ACCESS_TOKEN_REFUSED:
                self._accounts.forget_access(account, access)
            raise
        stream = self._message_stream(prepared, upstream)
        context.attempt.usage = stream.usage
        return await Answer.begin(response, stream, prepared.model.listed_id, account)

    def _message_stream(self, prepared: PreparedRequest, upstream: Upstream) -> MessageStream:
        return MessageStream(
            message_id=f"msg_{secrets.token_hex(12)}",
            client_model=prepared.request.model,
            translated=prepared.translated,
            signatures=self._signatures,
            new_tool_use_id=lambda: f"toolu_{secrets.token_hex(12)}",
            read_error=upstream.classify_in_stream,
            input_token_estimate=prepared.translated.input_token_estimate,
        )


def _bases(upstream: Upstream, prepared: PreparedRequest, context: RequestContext) -> list[str]:
    return sorted(upstream.addresses(prepared.model), key=context.failed_bases.count)


def _end_attempt(error: UpstreamError, decision: str, context: RequestContext) -> None:
    failure = failure_of(error)
    context.end_attempt(failure.reason, decision, detail=failure.detail)


def _is_short_limit(error: UpstreamError, context: RequestContext) -> bool:
    wait = error.wait_seconds
    if error.kind not in LIMITS or wait is None:
        return False
    return wait <= SHORT_LIMIT_SECONDS and wait < context.seconds_left
