"""Is this a request that the Gemini API would take? Pure.

    validate(body, "gemini-2.5-flash")     passes, or raises GoogleError

The rules that it shares with Cloud Code are in ``rules/``; here is what differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxy_site.emulator.gemini_api import errors, wire
from proxy_site.emulator.gemini_api.catalogue import Offer, offer_named
from proxy_site.emulator.google_errors import invalid_argument, prompt_too_long
from proxy_site.emulator.pretend_model.signatures import SENTINEL, Signatures
from proxy_site.emulator.pretend_model.tokenizer import TOKENIZERS, Tokenizers
from proxy_site.emulator.rules.gemini_rules import check_gemini
from proxy_site.emulator.rules.generation_rules import check_generation
from proxy_site.emulator.rules.tool_rules import check_tools
from proxy_site.emulator.rules.turn_rules import check_contents

if TYPE_CHECKING:
    from proxy_site.emulator.google_errors import Json

SECOND_SENTINEL = "context_engineering_is_the_way_to_go"
"""A text that stands in for a missing signature, only at this API (pydantic-ai's Google model names both)."""

LEAST_LITE_BUDGET = 512


def validate(body: Any, model_id: str, signatures: Signatures | None = None) -> Json:
    """Return a valid request in camelCase names. ``signatures`` are those of a default emulator."""
    return check(body, offer_for(model_id, "generateContent"), signatures or Signatures())


def offer_for(model_id: str, method: str) -> Offer:
    offer = offer_named(model_id)
    if offer is None or method not in offer.methods:
        raise errors.model_not_found(model_id, method)
    return offer


def check(body: Any, offer: Offer, signatures: Signatures, tokenizers: Tokenizers = TOKENIZERS) -> Json:
    request, model = wire.read(wire.GENERATE_CONTENT, body), offer.model
    if request.pop("model", f"models/{model.id}").removeprefix("models/") != model.id:
        raise invalid_argument("The model in the body is not that of the address.", "model")
    if "cachedContent" in request:
        raise invalid_argument("CachedContent not found (or permission denied)", "cached_content")
    check_contents(request, model)
    _check_declarations(request)
    check_tools(request, model)
    check_generation(request, model)
    _check_thinking((request.get("generationConfig") or {}).get("thinkingConfig") or {}, offer)
    check_gemini(_with_one_sentinel(request), model, signatures)
    tokens = tokenizers[model.family].count_prompt(request)
    if tokens > model.max_tokens:
        raise prompt_too_long("gemini", tokens, model.max_tokens)
    return request


def _check_declarations(request: Json) -> None:
    declared = [one for tool in request.get("tools") or [] for one in tool.get("functionDeclarations") or []]
    for index, one in enumerate(declared):
        for name, twin in (("parameters", "parametersJsonSchema"), ("response", "responseJsonSchema")):
            if name in one and twin in one:
                at = f"tools[0].function_declarations[{index}]"
                raise invalid_argument(
                    f"* GenerateContentRequest.{at}: {name} and {twin} are mutually exclusive."
                )
        if one.get("parametersJsonSchema", {}).get("type", "object") != "object":
            at = f"tools[0].function_declarations[{index}].parameters_json_schema"
            raise invalid_argument(f"* GenerateContentRequest.{at}: schema should be of type object.", at)


def _check_thinking(thinking: Json, offer: Offer) -> None:
    level, budget = thinking.get("thinkingLevel"), thinking.get("thinkingBudget")
    if level is not None and level not in offer.levels:
        raise invalid_argument(
            f"Thinking level {level} is not supported for this model. Please retry with other thinking level."
        )
    if offer.model.id == "gemini-2.5-flash-lite" and budget is not None and 0 < budget < LEAST_LITE_BUDGET:
        raise invalid_argument(
            f"The thinking budget {budget} is invalid. Please choose a value between {LEAST_LITE_BUDGET} "
            "and 24576."
        )


def _with_one_sentinel(request: Json) -> Json:
    contents = [
        {**content, "parts": [_with_first_sentinel(part) for part in content["parts"]]}
        for content in request["contents"]
    ]
    return {**request, "contents": contents}


def _with_first_sentinel(part: Json) -> Json:
    is_second = part.get("thoughtSignature") == SECOND_SENTINEL
    return {**part, "thoughtSignature": SENTINEL} if is_second else part
