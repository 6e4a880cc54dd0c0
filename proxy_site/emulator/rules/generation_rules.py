"""Checks of sampling, lengths, and thinking budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy_site.emulator.google_errors import (
    GoogleError,
    Json,
    claude_invalid_request,
    invalid_argument,
)
from proxy_site.emulator.rules.schema_rules import check_schema

if TYPE_CHECKING:
    from proxy_site.emulator.models import Model

CLAUDE_LEAST_BUDGET = 1024
GEMINI_MOST_STOP_SEQUENCES = 5


def check_generation(request: Json, model: Model) -> None:
    config = request.get("generationConfig") or {}
    _check_lengths(config, model)
    _check_sampling(config, model)
    _check_stop_sequences(config, model)
    _check_format(request, config, model)
    if model.family == "claude":
        _check_claude_thinking(request, config)
    else:
        _check_thinking(config.get("thinkingConfig") or {}, model)


def thinking_budget(request: Json) -> int:
    """Return the thinking budget of a Claude model, which does not think without one."""
    config = (request.get("generationConfig") or {}).get("thinkingConfig") or {}
    return int(config.get("thinkingBudget") or 0)


def _out_of_range(name: str, value: object, least: object, most: object) -> GoogleError:
    return invalid_argument(
        f"Unable to submit request because it has a {name} value of {value} but the supported range is from "
        f"{least} (inclusive) to {most} (inclusive). Update the value and try again.",
        f"generation_config.{name}",
    )


def _check_lengths(config: Json, model: Model) -> None:
    asked = config.get("maxOutputTokens")
    if asked is None:
        return
    most = model.max_output_tokens
    if model.family == "claude" and asked > most:
        limit = f"the maximum allowed number of output tokens for {model.id}"
        raise claude_invalid_request(f"max_tokens: {asked} > {most}, which is {limit}")
    if not 1 <= asked <= most:
        raise _out_of_range("maxOutputTokens", asked, 1, most)


def _check_sampling(config: Json, model: Model) -> None:
    hottest = 1 if model.family == "claude" else 2
    temperature = config.get("temperature", 1)
    if not 0 <= temperature <= hottest and model.family == "claude":
        raise claude_invalid_request("temperature: range: 0..1")
    if not 0 <= temperature <= hottest:
        raise _out_of_range("temperature", temperature, 0, hottest)
    if not 0 <= config.get("topP", 1) <= 1:
        raise _out_of_range("topP", config["topP"], 0, 1)
    if config.get("topK", 1) < 1:
        raise _out_of_range("topK", config["topK"], 1, 64)
    if config.get("candidateCount", 1) != 1:
        raise _out_of_range("candidateCount", config["candidateCount"], 1, 1)


def _check_stop_sequences(config: Json, model: Model) -> None:
    sequences = config.get("stopSequences") or []
    if model.family == "claude" and not all(sequence.strip() for sequence in sequences):
        raise claude_invalid_request("stop_sequences: each stop sequence must contain non-whitespace")
    if model.family == "gemini" and len(sequences) > GEMINI_MOST_STOP_SEQUENCES:
        raise _out_of_range("stopSequences", len(sequences), 0, GEMINI_MOST_STOP_SEQUENCES)


def _check_format(request: Json, config: Json, model: Model) -> None:
    wants_json = config.get("responseMimeType") == "application/json"
    if "responseSchema" in config and not wants_json:
        raise invalid_argument("A response schema requires the response mime type application/json.")
    if wants_json and model.family != "gemini":
        raise invalid_argument(f"Response mime type application/json is not supported by {model.id}.")
    if wants_json and request.get("tools") and not model.is_gemini_3:
        raise invalid_argument(
            "Function calling with a response mime type: 'application/json' is unsupported"
        )
    if "responseSchema" in config:
        check_schema(config["responseSchema"], "generation_config.response_schema")
    if request.get("safetySettings") and model.family != "gemini":
        raise invalid_argument(f"Safety settings are not supported by {model.id}.", "safety_settings")


# Thinking


def _check_thinking(thinking: Json, model: Model) -> None:
    if not thinking:
        return
    if model.thinking_budgets is None:
        raise invalid_argument(
            f"Thinking is not supported by {model.id}.", "generation_config.thinking_config"
        )
    budget, level = thinking.get("thinkingBudget"), thinking.get("thinkingLevel")
    if budget is not None and level is not None:
        raise invalid_argument("You can only set one of thinking budget and thinking level.")
    if level is not None and not model.thinking_levels:
        raise invalid_argument("Thinking level is not supported for this model.")
    least, most = model.thinking_budgets
    # -1 lets the model choose.
    if budget is not None and budget != -1 and not least <= budget <= most:
        raise invalid_argument(
            f"The thinking budget {budget} is invalid. Please choose a value between {least} and {most}."
        )


def _check_claude_thinking(request: Json, config: Json) -> None:
    thinking = config.get("thinkingConfig") or {}
    if "thinkingLevel" in thinking:
        raise invalid_argument("Thinking level is not supported for this model.")
    if "thinkingBudget" not in thinking:
        return
    _check_claude_budget(thinking["thinkingBudget"], config.get("maxOutputTokens"))
    if _forces_a_call(request):
        raise claude_invalid_request("Thinking may not be enabled when tool_choice forces tool use.")
    _check_claude_sampling_with_thinking(config)


def _check_claude_budget(budget: int, max_output_tokens: int | None) -> None:
    if budget < CLAUDE_LEAST_BUDGET:
        raise claude_invalid_request(
            f"thinking.enabled.budget_tokens: Input should be greater than or equal to {CLAUDE_LEAST_BUDGET}"
        )
    if max_output_tokens is not None and max_output_tokens <= budget:
        raise claude_invalid_request("`max_tokens` must be greater than `thinking.budget_tokens`.")


def _forces_a_call(request: Json) -> bool:
    config = (request.get("toolConfig") or {}).get("functionCallingConfig") or {}
    return bool(config.get("mode") == "ANY")


def _check_claude_sampling_with_thinking(config: Json) -> None:
    if config.get("temperature", 1) != 1:
        raise claude_invalid_request("`temperature` may only be set to 1 when thinking is enabled.")
    if config.get("topP", 1) < 0.95:
        raise claude_invalid_request(
            "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled."
        )
    if "topK" in config:
        raise claude_invalid_request("`top_k` must be unset when thinking is enabled.")
