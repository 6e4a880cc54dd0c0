"""The call of one account: build it, send it, and read until there is content. Retries that may help with the
same account are made here."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from accounts.failures import LIMITS, FailureKind, UpstreamError
from accounts.inspection import AccountErrors
from gateway.relay.answer import Answer
from gateway.relay.error_messages import NEXT_ADDRESS, SAME_ACCOUNT
from gateway.relay.error_policy import ERROR_POLICIES, as_prompt_too_long, failure_of
from gateway.upstreams.counting import CannotCount

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.kinds.access import Access
    from accounts.pool.pool import Lease, PooledAccount
    from accounts.service import AccountsService
    from gateway.relay.context import PreparedRequest, RequestContext
    from gateway.relay.formats.base import Format
    from gateway.upstreams.base import Upstream, UpstreamDialect

SHORT_LIMIT_SECONDS = 3.0
"""Limits up to this length are waited out with the same account, which has the prompt cached."""
SHORT_LIMIT_TRIES = 3


class ModelCaller:
    def __init__(
        self,
        accounts: AccountsService,
        upstreams: Mapping[str, Upstream],
        formats: Mapping[UpstreamDialect, Format],
    ) -> None:
        self._accounts = accounts
        self._upstreams = upstreams
        self._formats = formats

    def format_of(self, kind: str) -> Format:
        return self._formats[self._upstreams[kind].dialect]

    async def prepare(self, prepared: PreparedRequest) -> None:
        """Do what can be done before an account is chosen. Raises GatewayError."""
        for kind, model in prepared.models.items():
            await self.format_of(kind).prepare(prepared, model)

    async def send(self, lease: Lease, prepared: PreparedRequest, context: RequestContext) -> Answer:
        """Call the account, with retries. Raises what error_policy.FAILURES lists; the attempt in `context`
        is then still open."""
        mended: Counter[FailureKind] = Counter()
        short_limits = 0
        form = self.format_of(lease.account.kind)
        addresses: list[str] = []
        while True:
            try:
                context.begin_attempt(lease.account, prepared.models[lease.account.kind].listed_id)
                access = await self._accounts.access(lease.account)
                addresses = addresses or self._addresses(lease, prepared, access, context)
                return await self._send_once(lease, prepared, context, access, addresses[0])
            except UpstreamError as as_it_came:
                await self._accounts.learn(lease, as_it_came.learned)
                model = prepared.models[lease.account.kind]
                error = as_prompt_too_long(
                    as_it_came, await form.token_estimate(prepared, model, as_it_came), model.max_input_tokens
                )
                policy = ERROR_POLICIES[error.kind]
                if short_limits < SHORT_LIMIT_TRIES and _is_short_limit(error, context):
                    short_limits += 1
                    _end_attempt(error, SAME_ACCOUNT, context)
                    with context.waiting():
                        await asyncio.sleep(error.wait_seconds or 0)
                elif switches := self._upstreams[lease.account.kind].learns_from(error, lease.account.id):
                    await self._accounts.learn_switches(lease.account, switches)
                    _end_attempt(error, f"{SAME_ACCOUNT}, without what it refuses", context)
                elif policy.next_address and len(addresses) > 1:
                    _end_attempt(error, NEXT_ADDRESS, context)
                    addresses = addresses[1:]
                elif mended[error.kind] < policy.same_account_tries:
                    mended[error.kind] += 1
                    _end_attempt(error, policy.same_account, context)
                    # A refused access was forgotten already.
                    await self._accounts.prepare_retry(lease.account, error.kind)
                    prepared = form.mended(prepared, error.kind)
                else:
                    raise error from None

    async def count(self, account: PooledAccount, prepared: PreparedRequest) -> int | None:
        """Have the account's upstream count the tokens; None where it cannot. May raise GatewayError."""
        upstream = self._upstreams[account.kind]
        try:
            access = await self._accounts.access(account)
        except AccountErrors:
            return None
        outgoing = await self.format_of(account.kind).outgoing(prepared, account, access, upstream)
        address = upstream.addresses(outgoing.call.model, access)[0]
        try:
            return await upstream.count_tokens(outgoing.call, address)
        except CannotCount:
            await self._accounts.learn_switches(account, {"count_tokens": False})
            return None

    def _addresses(
        self, lease: Lease, prepared: PreparedRequest, access: Access, context: RequestContext
    ) -> list[str]:
        """Base URLs for the account; those with the fewest failures in this request come first."""
        kind = lease.account.kind
        addresses = self._upstreams[kind].addresses(prepared.models[kind], access)
        context.addresses = sorted(addresses, key=context.failed_bases.count)
        return context.addresses

    async def _send_once(
        self,
        lease: Lease,
        prepared: PreparedRequest,
        context: RequestContext,
        access: Access,
        address: str,
    ) -> Answer:
        account, model = lease.account, prepared.models[lease.account.kind]
        upstream = self._upstreams[account.kind]
        outgoing = await self.format_of(account.kind).outgoing(prepared, account, access, upstream)
        context.attempt.endpoint = address
        try:
            response = await upstream.open_stream(outgoing.call, address)
        except UpstreamError as error:
            if error.kind is FailureKind.ACCESS_TOKEN_REFUSED:
                self._accounts.forget_access(account, access)
            raise
        if limits := upstream.limits(response.headers):
            self._accounts.pool.learn(lease, limits)
        context.attempt.usage = outgoing.reader.usage
        return await Answer.begin(response, outgoing.reader, model.listed_id, account)


def _end_attempt(error: UpstreamError, decision: str, context: RequestContext) -> None:
    failure = failure_of(error)
    context.end_attempt(failure.reason, decision, detail=failure.detail)


def _is_short_limit(error: UpstreamError, context: RequestContext) -> bool:
    wait = error.wait_seconds
    if error.kind not in LIMITS or wait is None:
        return False
    return wait <= SHORT_LIMIT_SECONDS and wait < context.seconds_left
