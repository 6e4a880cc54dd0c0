"""System, sampling, limits, structured answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.errors import InvalidRequest
from gateway.translation.request.request import TranslatedRequest, TranslationOptions, translate_request
from gateway.translation.signature_families import SignatureCache
from tests.builders import (
    CLAUDE,
    CLAUDE_THINKING,
    GEMINI_3,
    GPT,
    a_messages_request,
    a_model,
    a_text,
    a_tool,
    a_tool_result,
    a_tool_use,
    an_image,
    assistant,
    translated,
    user,
)

ATTRIBUTION = "x-anthropic-billing-header: cc_version=2.1.330.abc; cc_entrypoint=cli;"


def system_of(**fields: Any) -> Any:
    return translated(**fields).request.get("systemInstruction")


# --- system (3) ---


@pytest.mark.parametrize(
    ("system", "texts"),
    [
        ("Be brief.", ["Be brief."]),
        ([a_text("One"), a_text(" "), a_text("Two", cache_control={"type": "ephemeral"})], ["One", "Two"]),
        ([a_text(ATTRIBUTION), a_text("One")], ["One"]),
        ([a_text("One"), a_text(ATTRIBUTION)], ["One", ATTRIBUTION]),
        ([a_text(ATTRIBUTION + "\nYou are"), a_text("One")], [ATTRIBUTION + "\nYou are", "One"]),
    ],
)
def test_the_system_prompt_is_one_part_a_text_without_the_attribution(system: Any, texts: list[str]) -> None:
    assert system_of(system=system) == {"role": "user", "parts": [{"text": text} for text in texts]}


@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "gemini-3-flash", "gpt-oss-120b-medium"])
def test_no_family_reads_the_attribution(model: str) -> None:
    system = system_of(system=[a_text(ATTRIBUTION), a_text("One")], model=model)

    assert system["parts"] == [{"text": "One"}]


@pytest.mark.parametrize("system", [None, "", [], [a_text(" ")], ATTRIBUTION])
def test_without_system_prompt_the_field_is_left_out(system: Any) -> None:
    assert system_of(system=system) is None


def test_the_operators_preamble_comes_first_and_nothing_else_is_added() -> None:
    options = TranslationOptions(system_preamble="House rules.")

    system = system_of(
        system="Be brief.", options=options, model="claude-sonnet-4-5-thinking", tools=[a_tool()]
    )

    assert system["parts"] == [{"text": "House rules."}, {"text": "Be brief."}]


# --- sampling and limits (8) ---


def test_sampling_has_other_names_upstream() -> None:
    config = translated(max_tokens=100, temperature=0.5, top_p=0.9, top_k=40, stop_sequences=["END"]).request[
        "generationConfig"
    ]

    assert config == {
        "maxOutputTokens": 100,
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "stopSequences": ["END"],
    }


def test_zeros_and_nothing_are_left_out() -> None:
    config = translated(top_k=0, stop_sequences=[], temperature=None).request["generationConfig"]

    assert set(config) == {"maxOutputTokens"}


def test_a_temperature_of_zero_is_a_temperature() -> None:
    assert translated(temperature=0).request["generationConfig"]["temperature"] == 0


def test_gemini_gets_five_stop_sequences_at_most() -> None:
    sequences = list("abcdefg")

    assert translated(stop_sequences=sequences).request["generationConfig"]["stopSequences"] == sequences
    config = translated(model=GEMINI_3, stop_sequences=sequences).request["generationConfig"]
    assert config["stopSequences"] == sequences[:5]


@pytest.mark.parametrize(
    ("model", "limit", "expected"),
    [(CLAUDE, None, 64_000), (GEMINI_3, None, 65_536), (GPT, None, 32_768), (CLAUDE, 8_000, 8_000)],
)
def test_max_tokens_is_clamped_in_silence(model: str, limit: int | None, expected: int) -> None:
    request = translated(model=a_model(model, max_output_tokens=limit), max_tokens=128_000).request

    assert request["generationConfig"]["maxOutputTokens"] == expected


# --- structured answers (8) ---

TITLE = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
FORMAT = {"format": {"type": "json_schema", "schema": TITLE}}


def test_gemini_answers_by_a_schema() -> None:
    request = translated(model=GEMINI_3, output_config=FORMAT).request

    config = request["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseSchema"]["properties"] == {"title": {"type": "STRING"}}
    assert "systemInstruction" not in request


@pytest.mark.parametrize(("model", "tools"), [(CLAUDE, [a_tool()]), (GPT, None), (GEMINI_3, [a_tool()])])
def test_other_models_and_tools_put_the_schema_into_the_prompt(model: str, tools: Any) -> None:
    request = translated(model=model, output_config=FORMAT, tools=tools).request

    assert "responseSchema" not in request["generationConfig"]
    assert '"title"' in request["systemInstruction"]["parts"][-1]["text"]


def test_the_older_spelling_of_the_format_is_understood() -> None:
    older = translated(model=GEMINI_3, output_format=FORMAT["format"]).request

    assert "responseSchema" in older["generationConfig"]


# --- context (9) ---

LONG = "word " * 4_000  # about 5,000 tokens


def test_a_prompt_however_long_is_left_for_google_to_judge() -> None:
    request = translated(user(LONG), model=a_model(CLAUDE, max_input_tokens=100)).request

    assert request["contents"][0]["parts"] == [{"text": LONG}]


def test_the_ratio_of_the_model_corrects_the_estimate_and_the_limit() -> None:
    messages = [user("old"), assistant("old " + LONG), user("a"), assistant("b"), user("c")]
    plain = translated(*messages, model=GEMINI_3)
    corrected = a_translation(*messages, token_ratio=1.5)
    shortened = a_translation(*messages, token_ratio=1.5, max_context_tokens=plain.input_token_estimate + 100)

    assert corrected.raw_token_estimate == plain.raw_token_estimate == plain.input_token_estimate
    assert corrected.input_token_estimate == round(1.5 * plain.input_token_estimate)
    assert len(corrected.request["contents"]) == 5
    assert len(shortened.request["contents"]) == 3
    assert shortened.input_token_estimate < 100


def a_translation(*messages: dict[str, Any], token_ratio: float, **options: Any) -> TranslatedRequest:
    request = a_messages_request(*messages)
    settings = TranslationOptions(**options)
    return translate_request(request, a_model(GEMINI_3), settings, SignatureCache(), token_ratio=token_ratio)


def test_a_second_try_without_thinking_teaches_nothing_of_the_estimate() -> None:
    assert translated(user(LONG), without_thinking=True).raw_token_estimate == 0


def test_a_prompt_that_is_mostly_images_teaches_nothing_of_the_estimate() -> None:
    assert translated(user(a_text(LONG[:1_000]), an_image())).raw_token_estimate == 0
    assert translated(user(a_text(LONG), an_image())).raw_token_estimate > 5_000


def texts_after_shortening(*messages: dict[str, Any], limit: int, **fields: Any) -> list[str]:
    options = TranslationOptions(max_context_tokens=limit)
    contents = translated(*messages, options=options, model="gemini-2.0-flash", **fields).request["contents"]
    return [next(iter(part)) if "text" not in part else part["text"] for c in contents for part in c["parts"]]


def test_with_a_limit_the_newest_turns_are_kept() -> None:
    messages = [user("old"), assistant("old " + LONG), user("a"), assistant("b"), user("c")]

    assert texts_after_shortening(*messages, limit=100) == ["a", "b", "c"]


def test_the_newest_turn_is_kept_in_any_case() -> None:
    assert texts_after_shortening(user("a"), assistant("b"), user(LONG), limit=10) == ["a", "b", LONG][2:]


def test_system_and_tools_count_against_the_limit() -> None:
    messages = [user("a"), assistant("b"), user("c")]

    assert texts_after_shortening(*messages, limit=1_200, tools=[a_tool(description=LONG)]) == ["c"]
    assert texts_after_shortening(*messages, limit=1_200, system=LONG)[-1] == "c"


def test_a_kept_result_keeps_its_call_and_the_user_before_it() -> None:
    messages = [
        user("old"),
        assistant("old"),
        user("do"),
        assistant(a_tool_use()),
        user(a_tool_result(), a_text(LONG)),
    ]

    assert texts_after_shortening(*messages, limit=10) == ["do", "functionCall", "functionResponse", LONG]


def test_a_result_whose_call_is_left_out_becomes_text() -> None:
    messages = [
        user("old"),
        assistant(a_tool_use("a")),
        user(a_tool_result("a", "first")),
        assistant(a_tool_use("b")),
        user(a_tool_result("b", LONG)),
    ]

    texts = texts_after_shortening(*messages, limit=10)

    assert "first" in texts[0]
    assert texts[1:] == ["functionCall", "functionResponse"]


def test_a_limit_that_is_not_reached_changes_nothing() -> None:
    assert texts_after_shortening(user("a"), assistant("b"), user("c"), limit=10_000) == ["a", "b", "c"]


# --- nested without end ---


def nested(levels: int, innermost: Any = 1) -> Any:
    for _ in range(levels):
        innermost = {"a": innermost}
    return innermost


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [assistant(a_tool_use(input=nested(247)))]},
        {"messages": [user({"type": "from_the_future", "content": nested(300)})]},
        {"tools": [a_tool(schema={"type": "object", "properties": nested(300, {})})]},
        {"output_config": {"format": {"type": "json_schema", "schema": nested(300)}}},
    ],
)
def test_what_is_nested_deeper_than_we_could_write_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        translated(**fields)


def test_what_we_accept_we_can_write() -> None:
    request = translated(user("hi"), assistant(a_tool_use(input=nested(240))), user(a_tool_result()))

    assert orjson.dumps({"request": request.request})


@pytest.mark.parametrize("model", [CLAUDE, CLAUDE_THINKING, GEMINI_3, GPT])
def test_without_tokens_to_answer_with_the_least_is_generated(model: str) -> None:
    request = replace(a_messages_request(thinking={"type": "adaptive"}), max_tokens=0)

    made = translate_request(request, a_model(model), TranslationOptions(), SignatureCache())

    assert made.request["generationConfig"]["maxOutputTokens"] == 1
    assert made.request["generationConfig"].get("thinkingConfig", {}).get("includeThoughts") is not True
    assert made.answer_rules.without_content
