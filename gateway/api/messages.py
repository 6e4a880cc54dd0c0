"""Anthropic's Messages API: messages and counts of tokens."""

from __future__ import annotations

from gateway.api.application import ApiRequest, ApiResponse, JsonResponse
from gateway.api.endpoint import endpoint
from gateway.api.serve import serve
from gateway.dialects.anthropic.dialect import ANTHROPIC
from gateway.dialects.base import ClientRequest


@endpoint("POST")
async def messages(request: ApiRequest) -> ApiResponse:
    return await serve(ANTHROPIC, request)


@endpoint("POST")
async def count_tokens(request: ApiRequest) -> ApiResponse:
    """Count the tokens of a request: exactly when only Anthropic would answer it, else by an estimate. This
    needs no account, so it works while all are at their limits."""
    count_request, _ = await request.parse_body(ANTHROPIC.parser(request.headers, only_counts=True))
    model = request.gateway.relay.counting_model(count_request)
    client = ClientRequest(request.raw_body, request.headers, request.query)
    counted = await request.gateway.relay.counted_by_upstream(count_request, client)
    if counted is not None:
        return JsonResponse({"input_tokens": counted})
    tokens = await request.gateway.translator.count(count_request, model.family)
    return JsonResponse({"input_tokens": round(tokens * request.gateway.token_ratios.of(model.listed_id))})
