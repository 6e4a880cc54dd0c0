"""Errors of compatible servers as faults for scripts, each under the name of its function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy_site.emulator.delivery.behaviour import Behaviour, refuse

if TYPE_CHECKING:
    from collections.abc import Callable


def compatible_no_credit(asked: int = 8192, affordable: int = 1775) -> Behaviour:
    """Answer with OpenRouter's 402 (continuedev/continue#10705)."""
    message = (
        f"This request requires more credits, or fewer max_tokens. You requested up to {asked} tokens, but "
        f"can only afford {affordable}. To increase, visit https://openrouter.ai/settings/credits and "
        "upgrade to a paid account"
    )
    return refuse(402, {"error": {"message": message, "code": 402}})


def compatible_provider_error(status: int = 429, raw: str = '{"error":{"message":"slow down"}}') -> Behaviour:
    """Answer with an error of the provider behind OpenRouter, which wraps it (hotovo/aider-desk#513)."""
    metadata = {"raw": raw, "provider_name": "Anthropic"}
    return refuse(
        status, {"error": {"message": "Provider returned error", "code": status, "metadata": metadata}}
    )


def compatible_context_size(tokens: int = 20_480, maximum: int = 16_384) -> Behaviour:
    """Refuse a prompt that is too long for llama.cpp."""
    message = "the request exceeds the available context size, try increasing it"
    error = {"code": 400, "message": message, "type": "exceed_context_size_error"}
    return refuse(400, {"error": {**error, "n_prompt_tokens": tokens, "n_ctx": maximum}})


def compatible_detail(status: int = 422, detail: str = "Unprocessable Entity") -> Behaviour:
    """Answer with an error of FastAPI's own."""
    return refuse(status, {"detail": detail})


def compatible_plain_text(status: int = 404, text: str = "404 page not found") -> Behaviour:
    return Behaviour(status=status, body=text.encode(), content_type="text/plain")


def compatible_openai_answer() -> Behaviour:
    """Answer with a chat completion and status 200, as an address does that does not use Anthropic's
    format."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    return refuse(200, {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice]})


def compatible_redirect(location: str, status: int = 307) -> Behaviour:
    """Redirect the client, with its key, to another address."""
    return Behaviour(status=status, body=b"", content_type="text/plain", headers={"Location": location})


def compatible_late_signature() -> Behaviour:
    """Send the signature of a thought after its block, as OpenRouter does (rikkahub/rikkahub#1075)."""
    return Behaviour(late_signature=True)


def compatible_wrong_usage() -> Behaviour:
    """Send usage of wrong types, with impossible numbers."""
    return Behaviour(usage_instead={"input_tokens": None, "output_tokens": "many", "total_tokens": -1})


COMPATIBLE_FAULTS: dict[str, Callable[..., Behaviour]] = {
    fault.__name__: fault
    for fault in (
        compatible_no_credit,
        compatible_provider_error,
        compatible_context_size,
        compatible_detail,
        compatible_plain_text,
        compatible_openai_answer,
        compatible_redirect,
        compatible_late_signature,
        compatible_wrong_usage,
    )
}
