"""The call of one account: it is built, sent, and read until there is content. Retries that may help with the
same account are made here."""

from __future__ import annotations

import asyncio
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
    from gateway.relay.formats.base import Format, Outgoing
    from gateway.routing.upstream_model import UpstreamModel
    from gateway.upstreams.base import Upstream, UpstreamDialect

SHORT_LIMIT_SECONDS = 3.0
"""A limit up to this length is waited for with the same account, which has the prompt cached."""
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

    async def prepare(self, prepared: PreparedRequest) -> None:
        """Do what can be done before an account is chosen. Raises GatewayError."""
        for kind in prepared.chosen.models:
            await self._formats[self._upstreams[kind].dialect].prepare(prepared, kind)

    async def send(self, lease: Lease, prepared: PreparedRequest, context: RequestContext) -> Answer:
        """Call the account, with retries. Raises what error_policy.FAILURES lists; then the attempt in
        `context` is still open."""
        mended: dict[FailureKind, int] = {}
        short_limits = 0
        kind = lease.account.kind
        model, upstream = prepared.chosen.models[kind], self._upstreams[kind]
        form = self._formats[upstream.dialect]
        addresses: list[str] = []
        while True:
            try:
                context.begin_attempt(lease.account, model.listed_id)
                access = await self._accounts.access(lease.account)
                addresses = addresses or _addresses(upstream, model, access, context)
                outgoing = await form.outgoing(prepared, lease.account, access, upstream)
                return await self._send_once(lease, outgoing, context, upstream, addresses[0])
            except UpstreamError as as_it_came:
                await self._accounts.learn(lease, as_it_came.learned)
                error = as_prompt_too_long(
                    as_it_came, await form.token_estimate(prepared, kind, as_it_came), model.max_input_tokens
                )
                policy = ERROR_POLICIES[error.kind]
                if short_limits < SHORT_LIMIT_TRIES and _is_short_limit(error, context):
                    short_limits += 1
                    _end_attempt(error, SAME_ACCOUNT, context)
                    with context.waiting():
                        await asyncio.sleep(error.wait_seconds or 0)
                elif switches := upstream.learns_from(error, lease.account.id):
                    await self._accounts.learn_switches(lease.account, switches)
                    _end_attempt(error, f"{SAME_ACCOUNT}, without what it refuses", context)
                elif policy.next_address and len(addresses) > 1:
                    _end_attempt(error, NEXT_ADDRESS, context)
                    addresses = addresses[1:]
                elif (times := mended.get(error.kind, 0)) < policy.same_account_tries:
                    mended[error.kind] = times + 1
                    _end_attempt(error, policy.same_account, context)
                    # A refused access was forgotten already.
                    await self._accounts.prepare_retry(lease.account, error.kind)
                    prepared = form.mended(prepared, error.kind)
                else:
                    raise error from None

    async def count(self, account: PooledAccount, prepared: PreparedRequest) -> int | None:
        """Have the account's upstream count the tokens; None when it cannot. May raise GatewayError."""
        upstream = self._upstreams[account.kind]
        try:
            access = await self._accounts.access(account)
        except AccountErrors:
            return None
        form = self._formats[upstream.dialect]
        outgoing = await form.outgoing(prepared, account, access, upstream)
        address = upstream.addresses(outgoing.call.model, access)[0]
        try:
            return await upstream.count_tokens(outgoing.call, address)
        except CannotCount:
            await self._accounts.learn_switches(account, {"count_tokens": False})
            return None

    async def _send_once(
        self, lease: Lease, outgoing: Outgoing, context: RequestContext, upstream: Upstream, address: str
    ) -> Answer:
        call, reader, attempt = outgoing.call, outgoing.reader, context.attempts[-1]
        attempt.endpoint = address
        try:
            response = await upstream.open_stream(call, address)
        except UpstreamError as error:
            if error.kind is FailureKind.ACCESS_TOKEN_REFUSED:
                self._accounts.forget_access(lease.account, call.access)
            raise
        if reader.passes_through and (limits := upstream.limits(response.headers)):
            self._accounts.pool.learn(lease, limits)
        attempt.usage = reader.usage
        answer = Answer(response, reader, call.model.listed_id, lease.account)
        await answer.begin()
        return answer


def _addresses(
    upstream: Upstream, model: UpstreamModel, access: Access, context: RequestContext
) -> list[str]:
    """Return the base URLs for the account, those with the fewest failures in this request first."""
    addresses = upstream.addresses(model, access)
    if context.failed_bases:
        addresses = sorted(addresses, key=context.failed_bases.count)
    context.addresses = addresses
    return addresses


def _end_attempt(error: UpstreamError, decision: str, context: RequestContext) -> None:
    failure = failure_of(error)
    context.end_attempt(failure.reason, decision, detail=failure.detail)


def _is_short_limit(error: UpstreamError, context: RequestContext) -> bool:
    wait = error.wait_seconds
    if error.kind not in LIMITS or wait is None:
        return False
    return wait <= SHORT_LIMIT_SECONDS and wait < context.seconds_left
