"""Anthropic's methods, with the required keys and headers, and the limits."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any

import orjson

from proxy_site.emulator.anthropic_api import errors
from proxy_site.emulator.anthropic_api.catalogue import CLAUDE_MODELS, ClaudeModel, claude_model_named
from proxy_site.emulator.anthropic_api.fields import betas_in, check_betas
from proxy_site.emulator.anthropic_api.messages import MessagesExchange, Prompt, respond
from proxy_site.emulator.anthropic_api.rate_headers import rate_headers
from proxy_site.emulator.anthropic_api.reading import as_google_reads, blocks_of
from proxy_site.emulator.anthropic_api.validator import VERSIONS, check, check_frame
from proxy_site.emulator.exchange import endpoint, json_endpoint
from proxy_site.emulator.log import decoded

if TYPE_CHECKING:
    from aiohttp import web

    from proxy_site.emulator.keyed.keys import ApiKey
    from proxy_site.emulator.keyed.limits import Exceeded
    from proxy_site.emulator.refusal import Json
    from proxy_site.emulator.state import EmulatorState

PREFIX = "/anthropic"
SUBSCRIPTION_TOKEN = "sk-ant-oat"  # noqa: S105 -- how such tokens begin
HEADERS_OF_CLIENTS = ("x-claude-code-", "x-forwarded-")
"""Headers that a gateway must not pass on."""
WORDS = {"requests_per_minute": "requests per minute", "input_tokens_per_minute": "input tokens per minute"}


class AnthropicExchange(MessagesExchange):
    """A request to Anthropic. The key is in ``x-api-key``, or a Bearer token as the SDKs send it since their
    version 2."""

    provider = "anthropic"
    keys_of = "anthropic"

    def identify(self) -> None:
        super().identify()
        self.response_headers["request-id"] = f"req_01{secrets.token_hex(11)}"
        if self.key_or_none is not None:
            self.response_headers["anthropic-organization-id"] = self.key_or_none.group.name
            now = self.state.clock.now()
            self.response_headers |= rate_headers(self.key_or_none, str(self.entry.model), now)

    @property
    def key(self) -> ApiKey:
        """Return the key, if the headers are valid. Raises an error of status 400 or 401 otherwise."""
        headers = self.web_request.headers
        if "Origin" in headers:
            raise errors.cross_origin()
        if "x-api-key" in headers and "Authorization" in headers:
            raise errors.authentication("Only one of x-api-key and Authorization may be given.")
        secret = self.secret()
        if secret is None:
            raise errors.authentication("x-api-key header is required")
        if secret.startswith(SUBSCRIPTION_TOKEN):
            raise errors.authentication("OAuth authentication is currently not supported.")
        if self.key_or_none is None:
            raise errors.authentication("invalid x-api-key")
        if self.key_or_none.refusal is not None:
            raise self.key_or_none.refusal
        self._check_other_headers()
        return self.key_or_none

    def _check_other_headers(self) -> None:
        if not self.version:
            raise errors.invalid_request("anthropic-version: header is required")
        if self.version not in VERSIONS:
            raise errors.invalid_request(f'anthropic-version: "{self.version}" is not a valid version')
        for name in self.web_request.headers:
            if name.lower().startswith(HEADERS_OF_CLIENTS):
                raise errors.invalid_request(f"{name}: this header is for the client's gateway only")
        check_betas(self.beta_headers)

    @property
    def version(self) -> str:
        return self.web_request.headers.get("anthropic-version", "")

    @property
    def beta_headers(self) -> list[str]:
        return self.web_request.headers.getall("anthropic-beta", [])

    def sign(self, thought: str) -> str | None:
        signature = self.state.signatures.issue("claude", thought)
        self.state.bind_thought(signature, conversation(self.payload["messages"]))
        return signature

    def error_as_sent(self, body: bytes) -> bytes:
        """Return the body with the request's id, which its header also has."""
        error = decoded(body)
        if not isinstance(error, dict) or error.get("type") != "error":
            return body
        return orjson.dumps({**error, "request_id": self.response_headers["request-id"]})

    def json(self) -> Any:
        if self.payload is None:
            raise errors.invalid_request("The request body is not valid JSON")
        return self.payload


# Answers


async def create_message(exchange: AnthropicExchange) -> web.StreamResponse:
    return await respond(exchange, accept(exchange))


def accept(exchange: AnthropicExchange) -> Prompt:
    """Check the headers, the request, its thoughts, and what is left of the limits."""
    key, state, body = exchange.key, exchange.state, exchange.json()
    request = check(
        body, exchange.version, betas_in(exchange.beta_headers), state.signatures, state.tokenizers
    )
    model = claude_model_named(body["model"])
    assert model is not None
    if model.binds_thinking:
        _check_bound_thoughts(state, body)
    prompt = _counted(state, model, key, body, request)
    now = state.clock.now()
    exceeded = state.keys.take(key, model.model.id, prompt.tokens - prompt.cached, now)
    exchange.response_headers |= rate_headers(key, model.model.id, now)
    if exceeded:
        raise _limited(exceeded, now)
    return prompt


def _counted(state: EmulatorState, model: ClaudeModel, key: ApiKey, body: Json, request: Json) -> Prompt:
    """Return the counted prompt. With breakpoints all but the last turn is cached, for the whole
    organisation."""
    session = key.group.name if b'"cache_control":{' in orjson.dumps(body) else None
    tokens, cached = state.count_prompt(model.model, {**request, "sessionId": session})
    last = state.tokenizers["claude"].count_content(request["contents"][-1])
    return Prompt(model.model, request, tokens, cached, tokens - last if session else 0)


def _limited(exceeded: list[Exceeded], now: float) -> errors.AnthropicError:
    last = exceeded[-1]
    return errors.rate_limited(
        max(1, round(last.resets_at - now)), WORDS.get(last.name, last.name), last.limit
    )


# Thoughts that belong to a conversation


def _check_bound_thoughts(state: EmulatorState, body: Json) -> None:
    """Refuse a thought that was thought after other messages, unless the request lets such thoughts be
    dropped, in Anthropic's words (platform.claude.com, "Preserved thinking")."""
    binding = (body.get("thinking") or {}).get("block_binding") or {}
    if binding.get("prefix_mismatch_behavior") == "drop_block":
        return
    for index, message in enumerate(body["messages"]):
        before = conversation(body["messages"][:index])
        for number, block in enumerate(blocks_of(message)):
            if not state.may_follow(block.get("signature"), before):
                raise errors.invalid_request(
                    f"messages.{index}.content.{number}: Invalid `signature` in `thinking` block. The block "
                    "is bound to a different conversation. Remove the block, or set "
                    '`thinking.block_binding.prefix_mismatch_behavior` to "drop_block".'
                )


def conversation(messages: list[Json]) -> str:
    """Return a digest of messages, without thoughts and breakpoints, since the latter move on with each
    turn."""
    kept = [[message["role"], [_bare(block) for block in blocks_of(message)]] for message in messages]
    return hashlib.sha256(orjson.dumps(kept)).hexdigest()


def _bare(block: Json) -> Json | None:
    if block["type"] in {"thinking", "redacted_thinking"}:
        return None
    return {name: value for name, value in block.items() if name != "cache_control"}


# Counts and models


def count_tokens(exchange: AnthropicExchange) -> Json:
    _ = exchange.key
    body = exchange.json()
    check_frame(body)
    return {"input_tokens": exchange.state.tokenizers["claude"].count_prompt(as_google_reads(body))}


def list_models(exchange: AnthropicExchange) -> Json:
    """List the models, the newest first: ``?limit=&after_id=&before_id=``."""
    _ = exchange.key
    query = exchange.web_request.query
    limit = query.get("limit", "20")
    if not limit.isdecimal() or not 1 <= int(limit) <= 1000:
        raise errors.invalid_request("limit: Input should be between 1 and 1000")
    listed = [model.listed() for model in CLAUDE_MODELS.values()]
    ids = [one["id"] for one in listed]
    start = ids.index(query["after_id"]) + 1 if query.get("after_id") in ids else 0
    page = listed[start : start + int(limit)]
    first, last = (page[0]["id"], page[-1]["id"]) if page else (None, None)
    return {"data": page, "has_more": start + len(page) < len(listed), "first_id": first, "last_id": last}


def get_model(exchange: AnthropicExchange) -> Json:
    _ = exchange.key
    name = exchange.web_request.match_info["model"]
    found = claude_model_named(name) or CLAUDE_MODELS.get(name)
    if found is None:
        raise errors.model_not_found(name)
    return found.listed()


def add_routes(router: web.UrlDispatcher, state: EmulatorState) -> None:
    router.add_post(f"{PREFIX}/v1/messages", endpoint(AnthropicExchange, state, "messages", create_message))
    counted = json_endpoint(AnthropicExchange, state, "count_tokens", count_tokens)
    router.add_post(f"{PREFIX}/v1/messages/count_tokens", counted)
    router.add_get(f"{PREFIX}/v1/models", json_endpoint(AnthropicExchange, state, "listModels", list_models))
    one = json_endpoint(AnthropicExchange, state, "getModel", get_model)
    router.add_get(f"{PREFIX}/v1/models/{{model}}", one)
