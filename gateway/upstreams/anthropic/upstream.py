"""Anthropic's API: the client's request is sent as it is, with the account's key in place of the client's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from accounts.anthropic.errors import anthropic_error_in_stream, parse_anthropic_error
from accounts.anthropic.limits import limits_in
from gateway.upstreams import counting
from gateway.upstreams.base import ModelCall, PassedRequest, Upstream, UpstreamDialect, WireRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.failures import QuotaLimit, UpstreamError
    from accounts.kinds.access import Access
    from gateway.routing.upstream_model import UpstreamModel

PATH = "/v1/messages"


class AnthropicApi(Upstream):
    """The upstream of kind "anthropic". `Access.secret` is the key, `Access.details` has the "base_url"."""

    dialect: ClassVar[UpstreamDialect] = "messages"

    def addresses_of(self, model: UpstreamModel, access: Access) -> list[str]:
        return [access.details["base_url"]]

    def prepare(self, call: ModelCall) -> WireRequest:
        passed = call.passed or PassedRequest([], {})
        headers = {**passed.headers, "x-api-key": call.access.secret}
        return WireRequest(PATH + passed.query, headers, passed.body)

    def limits(self, headers: Mapping[str, str]) -> tuple[QuotaLimit, ...]:
        return limits_in(headers)

    async def count_tokens(self, call: ModelCall, address: str) -> int | None:
        url = f"{address}{counting.PATH}{call.passed.query if call.passed else ''}"
        try:
            return await counting.counted(self._transport, url, self.prepare(call))
        except counting.CannotCount:
            return None

    def classify(self, status: int, body: bytes, headers: Mapping[str, str]) -> UpstreamError:
        return parse_anthropic_error(status, body, headers, datetime.now(UTC))

    def classify_in_stream(self, body: dict[str, Any]) -> UpstreamError:
        return anthropic_error_in_stream(body, datetime.now(UTC))
