"""The paths of compatible servers, all modes on one port: ``/compatible/MODE/v1/messages`` and so on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from proxy_site.emulator.anthropic_api.errors import AnthropicError
from proxy_site.emulator.anthropic_api.messages import MessagesExchange, Prompt, respond
from proxy_site.emulator.anthropic_api.reading import as_google_reads, blocks_of
from proxy_site.emulator.anthropic_api.validator import check_breakpoints, check_messages
from proxy_site.emulator.compatible.peer import pass_on
from proxy_site.emulator.exchange import Exchange, endpoint, json_endpoint

if TYPE_CHECKING:
    from aiohttp import web

    from proxy_site.emulator.anthropic_api.answer import Tokens
    from proxy_site.emulator.compatible.modes import Mode, ModeName
    from proxy_site.emulator.delivery.behaviour import Behaviour
    from proxy_site.emulator.refusal import Json, Refusal
    from proxy_site.emulator.state import EmulatorState

PREFIX = "/compatible"
TRAP_PATH = "/trap"
CREDENTIALS = ("authorization", "x-api-key", "x-goog-api-key", "cookie")
INSTANCE = "emulated-gateway"
"""The name of the gateway mode in ``Via``."""
TAGS = ("claude#", "gemini#", "other-")
"""The beginnings of signatures that a gateway has tagged; no server accepts them."""


class CompatibleExchange(MessagesExchange):
    """A request to a compatible server. The mode is in the path, and is the provider in the log's entry."""

    provider = "compatible"
    keys_of = "compatible"

    def identify(self) -> None:
        super().identify()
        self.entry.provider = self.web_request.match_info["mode"]

    @property
    def behaviour(self) -> Behaviour:
        """Return the behaviour without an error event, if the server would not send one but just end its
        stream."""
        given = super().behaviour
        return given if self.mode.has_error_events else replace(given, error_body=None)

    @property
    def mode(self) -> Mode:
        name: ModeName = self.web_request.match_info["mode"]  # type: ignore[assignment]
        return self.state.modes[name]

    def check_headers(self) -> None:
        """Check the credential, the betas, and that no request comes back to its own gateway."""
        mode, headers = self.mode, self.web_request.headers
        if mode.credential == "bearer" and "x-api-key" in headers:
            raise mode.error(401, "authentication_error", "No auth credentials found")
        if mode.credential != "any" and self.key_or_none is None:
            raise mode.error(401, "authentication_error", "Invalid credentials")
        if self.key_or_none is not None and self.key_or_none.refusal is not None:
            raise self.key_or_none.refusal
        if not mode.takes_betas and "anthropic-beta" in headers:
            named = headers["anthropic-beta"]
            raise mode.error(400, "invalid_request_error", f"unsupported anthropic-beta: {named}")
        if mode.name == "gateway" and INSTANCE in headers.get("Via", ""):
            looped = mode.error(508, "api_error", "This request has come back to the gateway that sent it.")
            looped.headers["x-should-retry"] = "false"
            raise looped

    def json(self) -> Json:
        if not isinstance(self.payload, dict):
            raise self.mode.error(400, "invalid_request_error", "invalid JSON")
        return self.payload

    def sign(self, thought: str) -> str | None:
        return super().sign(thought) if self.mode.signs else ""

    def usage_at_start(self, tokens: Tokens) -> Json:
        if self.mode.usage_starts_at_zero:
            return {"input_tokens": 0, "output_tokens": 0}
        return self.usage_at_end(tokens)

    def usage_at_end(self, tokens: Tokens) -> Json:
        if self.behaviour.usage_instead is not None:
            return self.behaviour.usage_instead
        if self.mode.tells_of_caching:
            return tokens.usage()
        return {"input_tokens": tokens.prompt, "output_tokens": tokens.visible + tokens.thoughts}


async def create_message(exchange: CompatibleExchange) -> web.StreamResponse:
    exchange.check_headers()
    if exchange.mode.name == "gateway" and exchange.state.peer is not None:
        return await pass_on(exchange, exchange.state.peer, INSTANCE)
    return await respond(exchange, _prompt(exchange))


def _prompt(exchange: CompatibleExchange) -> Prompt:
    mode, body = exchange.mode, exchange.json()
    model = mode.model_named(body.get("model"))
    request = _read(mode, body)
    tokens = exchange.state.tokenizers["claude"].count_prompt(request)
    if tokens > model.max_tokens:
        raise mode.error(
            400,
            "exceed_context_size_error",
            "the request exceeds the available context size, try increasing it",
            n_prompt_tokens=tokens,
            n_ctx=model.max_tokens,
        )
    return Prompt(model, request, tokens)


def _read(mode: Mode, body: Json) -> Json:
    """Read the conversation. Anthropic's errors get the server's shape."""
    try:
        check_messages(body)
        if mode.signs:
            check_breakpoints(body)
        for index, message in enumerate(body["messages"]):
            _check_message(mode, message, index)
        messages = [{**message, "content": _with_signatures(message)} for message in body["messages"]]
        return as_google_reads({**body, "messages": messages})
    except AnthropicError as error:
        raise mode.error(error.status, "invalid_request_error", error.message) from error


def _check_message(mode: Mode, message: Json, index: int) -> None:
    if message["role"] == "system" and not mode.takes_system_messages:
        raise _refused_role(mode, index)
    for block in blocks_of(message):
        for one in [block, *(blocks_of(block) if block["type"] == "tool_result" else [])]:
            _check_block(mode, one, f"messages.{index}")


def _refused_role(mode: Mode, index: int) -> Refusal:
    """Return the refusal of a role, in the words of ollama/ollama#16372 and vllm-project/vllm#44000."""
    if mode.error_shape != "openai":
        return mode.error(
            400, "invalid_request_error", "unknown variant 'system', expected 'user' or 'assistant'"
        )
    expected = "'user' or 'assistant'"
    problem = {
        "type": "literal_error",
        "loc": ("body", "messages", index, "role"),
        "msg": f"Input should be {expected}",
        "input": "system",
        "ctx": {"expected": expected},
    }
    return mode.error(400, "Bad Request", f"1 validation error:\n  {problem}", param=None)


def _check_block(mode: Mode, block: Json, at: str) -> None:
    kind, source = block["type"], block.get("source") or {}
    if kind == "document" and not mode.takes_documents:
        raise mode.error(400, "invalid_request_error", f"{at}: document blocks are not supported")
    if kind == "image" and source.get("type") == "url" and not mode.takes_addresses_of_images:
        raise mode.error(400, "invalid_request_error", f"{at}: image URLs are not supported")
    marks = (block.get("signature") or "", block.get("data") or "")
    if any(isinstance(mark, str) and mark.startswith(TAGS) for mark in marks):
        raise mode.error(400, "invalid_request_error", f"{at}: Invalid `signature` in `thinking` block")


def _with_signatures(message: Json) -> list[Json]:
    return [
        {"signature": "", **block} if block["type"] == "thinking" else block for block in blocks_of(message)
    ]


def count_tokens(exchange: CompatibleExchange) -> Json:
    exchange.check_headers()
    mode = exchange.mode
    if not mode.counts_tokens:
        raise mode.error(404, "not_found_error", "404 page not found")
    mode.model_named(exchange.json().get("model"))
    request = _read(mode, exchange.json())
    return {"input_tokens": exchange.state.tokenizers["claude"].count_prompt(request)}


def list_models(exchange: CompatibleExchange) -> Json:
    exchange.check_headers()
    return exchange.mode.listed()


def no_such_path(exchange: CompatibleExchange) -> Any:
    """Answer 404 to ``/v1/v1/messages`` and any other unknown path."""
    raise exchange.mode.error(404, "not_found_error", f"Not Found: {exchange.web_request.path}")


# The trap


class TrapExchange(Exchange):
    """A request that followed a redirect. Any credential in it has leaked."""

    provider = "trap"


def spring(exchange: TrapExchange) -> Json:
    """Note the headers with credentials in ``state.leaks``."""
    sent = [name for name in CREDENTIALS if name in exchange.web_request.headers]
    exchange.state.leaks += sent
    exchange.note(message=f"leaked: {', '.join(sent)}" if sent else None)
    return {"leaked": sent}


def add_routes(router: web.UrlDispatcher, state: EmulatorState) -> None:
    at = f"{PREFIX}/{{mode:{'|'.join(state.modes)}}}"
    router.add_post(f"{at}/v1/messages", endpoint(CompatibleExchange, state, "messages", create_message))
    counted = json_endpoint(CompatibleExchange, state, "count_tokens", count_tokens)
    router.add_post(f"{at}/v1/messages/count_tokens", counted)
    router.add_get(f"{at}/v1/models", json_endpoint(CompatibleExchange, state, "listModels", list_models))
    unknown = json_endpoint(CompatibleExchange, state, "unknown", no_such_path)
    router.add_route("*", f"{at}/{{rest:.*}}", unknown)
    router.add_route("*", f"{TRAP_PATH}{{rest:.*}}", json_endpoint(TrapExchange, state, "trap", spring))
