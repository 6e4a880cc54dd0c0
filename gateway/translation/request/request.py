"""Translation of a messages request into the ``request`` member of Google's generateContent envelope."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
from msgspec import Struct, field

from gateway.google_api.content import Part, RequestType, text_part
from gateway.translation.request.answer_rules import AnswerRules, answer_rules
from gateway.translation.request.history import as_turns, pair_tools
from gateway.translation.request.plain_history import History, plain_history
from gateway.translation.request.structured_output import answer_tool_for, requested_schema, with_answer_tool
from gateway.translation.request.thinking import ThinkingPlan, lacks_thinking_in_tool_loop, plan_thinking
from gateway.translation.request.tools import (
    function_calling,
    is_forced,
    offered_tools,
    translate_tools,
)
from gateway.translation.request.turns import ContentsBuilder
from gateway.translation.schemas.tool_schemas import response_schema
from gateway.translation.tokens.context_limit import keep_newest_turns
from gateway.translation.tokens.token_estimate import estimate_input

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.routing.upstream_model import Family, UpstreamModel
    from gateway.translation.request.history import Message
    from gateway.translation.schemas.restoration import Restoration
    from gateway.translation.signature_families import SignatureStore
    from gateway.translation.tool_names import ToolNames

ATTRIBUTION_PREFIX = "x-anthropic-billing-header:"
# The least top_p that Anthropic accepts with thinking on; it accepts no other sampling parameter there.
MIN_TOP_P_WITH_THINKING = 0.95
MAX_GEMINI_STOP_SEQUENCES = 5


class TranslationOptions(Struct):
    """The operator's settings for translation. With ``max_context_tokens`` 0 no turns are left out."""

    system_preamble: str = ""
    default_thinking_budget: int = 16_000
    default_thinking_level: str | None = None
    max_context_tokens: int = 0


class TranslatedRequest(Struct):
    """A request ready for JSON (the sender adds sessionId), and what is needed to read its answer.

    ``raw_token_estimate`` is the estimate before the model's token ratio was applied; 0 when it must not
    update the ratio. ``request_type`` is the envelope's requestType. ``declares_tools`` is True when the
    request declares tools of the client, not only stand-ins for the history.
    """

    request: dict[str, Any]
    model: UpstreamModel
    tool_names: ToolNames
    input_token_estimate: int
    raw_token_estimate: int = 0
    request_type: RequestType = "agent"
    declares_tools: bool = False
    thinks: bool = False
    restorations: Mapping[str, Restoration] = field(default_factory=dict)
    answer_rules: AnswerRules = field(default_factory=AnswerRules)


def translate_request(
    request: MessagesRequest,
    model: UpstreamModel,
    options: TranslationOptions,
    signatures: SignatureStore,
    *,
    without_thinking: bool = False,
    token_ratio: float = 1.0,
) -> TranslatedRequest:
    """Translate a request. Raises InvalidRequest.

    ``without_thinking`` leaves all thinking out, for the retry after Google refused a signature.
    ``token_ratio`` is the number of tokens that Google counted for this model so far, divided by our
    estimates.
    """
    schema = requested_schema(request)
    answer_tool = None if schema is None else answer_tool_for(request, model)
    rules = answer_rules(request, answer_tool=answer_tool)
    if answer_tool is not None:
        request, schema = with_answer_tool(request), None
    history = _history_within_context(request, model, options, token_ratio)
    turns, estimate = history.turns, history.estimate
    plan = plan_thinking(
        request,
        model,
        default_budget=options.default_thinking_budget,
        default_level=options.default_thinking_level,
        may_think=not without_thinking
        and not rules.without_content
        and not _rules_out_thinking(request, model, history.lacks_thinking),
    )
    tools = translate_tools(offered_tools(request), model.family)
    names = tools.names.copy()
    keeps_thinking = not without_thinking and (plan.is_on or model.family == "gemini")
    builder = ContentsBuilder(model, names, signatures, declared=tools.names, keeps_thinking=keeps_thinking)
    answers_with_json = answer_tool is not None or schema is not None
    if history.known is not None:
        builder.begin_with(history.known, turns[: history.known_count])
    contents = builder.build(
        turns, may_end_with_assistant=not answers_with_json and _may_prefill(turns, model, plan)
    )
    translated: dict[str, Any] = {"contents": contents}
    calling = function_calling(tools, names.added_after(tools.names), request.tool_choice, model.family)
    json_config = {} if calling or schema is None else _json_config(schema, model)
    system = _system_parts(request, options, schema=None if "responseSchema" in json_config else schema)
    if system:
        translated["systemInstruction"] = {"role": "user", "parts": system}
    config = _generation_config(request, model, plan, generates=not rules.without_content)
    translated |= {**calling, "generationConfig": {**config, **json_config}}
    return TranslatedRequest(
        translated,
        model,
        names,
        input_token_estimate=round(estimate.tokens * token_ratio),
        raw_token_estimate=estimate.tokens if estimate.is_mostly_text and not without_thinking else 0,
        declares_tools=answer_tool is None and bool(tools.declarations),
        thinks=plan.is_on,
        restorations=tools.restorations,
        answer_rules=rules,
    )


def _may_prefill(turns: list[Message], model: UpstreamModel, plan: ThinkingPlan) -> bool:
    """Return True when the answer may continue a final assistant message: with an older Claude, unless it
    thinks first."""
    if not turns or turns[-1]["role"] != "assistant":
        return False
    return model.takes_prefill and not plan.is_on


def _history_within_context(
    request: MessagesRequest, model: UpstreamModel, options: TranslationOptions, token_ratio: float
) -> History:
    """Return the turns to send, and the raw estimate of the request with these."""
    limit = options.max_context_tokens / token_ratio
    history = plain_history(request, model.family)
    if history is None or 0 < limit < history.estimate.tokens:
        return mended_history(request, model.family, limit)
    return history


def mended_history(request: MessagesRequest, family: Family, limit: float) -> History:
    """Return any history, repaired, with as many of its newest turns as fit into the limit; 0 for no
    limit."""
    turns = as_turns(request.messages)
    estimate = estimate_input(request, family)
    if turns and 0 < limit < estimate.tokens:
        turns = keep_newest_turns(turns, request, family, limit)
        estimate = estimate_input(replace(request, messages=turns), family)
    turns = pair_tools(turns)
    return History(turns, estimate, lacks_thinking_in_tool_loop(turns))


def _rules_out_thinking(request: MessagesRequest, model: UpstreamModel, lacks_thinking: bool) -> bool:
    """Return True for a forced call, or a tool loop that began without thinking: Claude does not think in
    either."""
    if model.family != "claude" or not model.thinks:
        return False
    return is_forced(request.tool_choice) or lacks_thinking


# --- system ---


def _system_parts(request: MessagesRequest, options: TranslationOptions, *, schema: Any) -> list[Part]:
    """Return the system prompt. With a schema, it also asks for JSON that is valid for the schema."""
    texts = [options.system_preamble] if options.system_preamble else []
    if request.system:
        texts += system_texts(request.system)
    if schema is not None:
        texts.append(
            "Answer with JSON only, without any text around it. It must be valid for this JSON Schema: "
            + orjson.dumps(schema).decode()
        )
    return [text_part(text) for text in texts if text.strip()] if texts else []


def system_texts(system: str | list[dict[str, Any]] | None) -> list[str]:
    """Return the system texts without Claude Code's attribution line."""
    texts = [system] if isinstance(system, str) else [block["text"] for block in system or ()]
    if texts and _is_attribution(texts[0]):
        return texts[1:]
    return texts


def _is_attribution(text: str) -> bool:
    """Return True for Claude Code's first block, which differs by conversation and would defeat prompt
    caching."""
    text = text.strip()
    return text.startswith(ATTRIBUTION_PREFIX) and "\n" not in text


# --- generationConfig ---


def _generation_config(
    request: MessagesRequest, model: UpstreamModel, plan: ThinkingPlan, *, generates: bool
) -> dict[str, Any]:
    """Return generationConfig. Without ``generates`` the model only has to read the prompt, and its answer is
    limited to one token."""
    config: dict[str, Any] = {"maxOutputTokens": plan.max_output_tokens if generates else 1}
    is_bound = plan.is_on and model.family == "claude"
    if request.temperature is not None and not is_bound:
        config["temperature"] = request.temperature
    if request.top_p is not None and (not is_bound or request.top_p >= MIN_TOP_P_WITH_THINKING):
        config["topP"] = request.top_p
    if request.top_k and not is_bound:
        config["topK"] = request.top_k
    if request.stop_sequences:
        config["stopSequences"] = _stop_sequences(request.stop_sequences, model)
    if plan.config is not None:
        config["thinkingConfig"] = plan.config
    return config


def _stop_sequences(sequences: list[str], model: UpstreamModel) -> list[str]:
    """Return the stop sequences; of more than five only the first five for Gemini, which refuses a sixth."""
    return sequences[:MAX_GEMINI_STOP_SEQUENCES] if model.family == "gemini" else sequences


def _json_config(schema: Any, model: UpstreamModel) -> dict[str, Any]:
    """Return Gemini's fields for JSON output, which exclude function declarations; other models are asked in
    text."""
    if model.family != "gemini":
        return {}
    declared = response_schema(schema)
    config = {"responseMimeType": "application/json"}
    return config if declared is None else {**config, "responseSchema": declared}
