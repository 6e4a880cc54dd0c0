"""Each request that the emulated Anthropic API refuses: a change to a right one, and the words."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from proxy_site.emulator.anthropic_api.errors import AnthropicError, organization_on_hold
from proxy_site.emulator.anthropic_api.validator import validate
from proxy_site.emulator.pretend_model.signatures import Signatures

if TYPE_CHECKING:
    from proxy_site.emulator.server import EmulatorServer

Json = dict[str, Any]
SONNET, HAIKU = "claude-sonnet-4-6", "claude-haiku-4-5"
HELLO: Json = {"role": "user", "content": "Hello"}
AN_EFFORT_ALONE: Json = {"role": "system", "output_config": {"effort": "low"}}
AN_EFFORT: Json = {"role": "system", "content": "Be brief.", "output_config": {"effort": "medium"}}
TOOL: Json = {"name": "Read", "input_schema": {"type": "object"}}
CALL: Json = {"type": "tool_use", "id": "toolu_01", "name": "Read", "input": {}}
RESULT: Json = {"type": "tool_result", "tool_use_id": "toolu_01", "content": "x"}
BREAKPOINT: Json = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}


def a_request(**changes: Any) -> Json:
    return {"model": SONNET, "max_tokens": 2000, "messages": [HELLO], **changes}


def without(name: str) -> Json:
    return {key: value for key, value in a_request().items() if key != name}


def with_user(*blocks: Json) -> Json:
    return a_request(messages=[{"role": "user", "content": list(blocks)}])


def with_assistant(*blocks: Json, **changes: Any) -> Json:
    said = {"role": "assistant", "content": list(blocks)}
    return a_request(messages=[HELLO, said, HELLO], **changes)


def with_result(*blocks: Json, **changes: Any) -> Json:
    turns = [HELLO, {"role": "assistant", "content": [*blocks, CALL]}, {"role": "user", "content": [RESULT]}]
    return a_request(messages=turns, tools=[TOOL], **changes)


def thought(signature: str, words: str = "I think.") -> Json:
    return {"type": "thinking", "thinking": words, "signature": signature}


def thinks(budget: Any, **changes: Any) -> Json:
    return a_request(thinking={"type": "enabled", "budget_tokens": budget}, **changes)


GENUINE = Signatures().issue("claude", "I think.")
NEW = "2026-10-21"
DOCUMENT: Json = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}

# (what is wrong, the version, the body, words of the message)
REFUSED: list[tuple[str, str, Any, str]] = [
    ("a list", "", [], "Input should be a valid dictionary"),
    ("no model", "", without("model"), "model: Field required"),
    ("no messages", "", without("messages"), "messages: Field required"),
    ("no max_tokens", "", without("max_tokens"), "max_tokens: Field required"),
    ("empty messages", "", a_request(messages=[]), "messages: at least one message is required"),
    ("another role", "", a_request(messages=[{"role": "tool", "content": "a"}]), "Input should be 'user' or"),
    (
        "empty content",
        "",
        a_request(messages=[{"role": "user", "content": []}]),
        "must have non-empty content",
    ),
    ("content of a number", "", a_request(messages=[{"role": "user", "content": 1}]), "valid string or list"),
    ("a block without type", "", with_user({"text": "a"}), "type: Field required"),
    (
        "a text without text",
        "",
        with_user({"type": "text"}),
        "messages.0.content.0.text.text: Field required",
    ),
    ("a blank text", "", with_user({"type": "text", "text": " "}), "must contain non-whitespace text"),
    ("an unknown field", "", a_request(session_id="s"), "session_id: Extra inputs are not permitted"),
    ("a field of a beta", "", a_request(context_management={}), "context_management: Extra inputs"),
    ("a thread", "", a_request(thread={}), "thread: Extra inputs are not permitted"),
    (
        "a field of a block",
        "",
        with_user({**BREAKPOINT, "id": "x"}),
        "messages.0.content.0.text.id: Extra inputs",
    ),
    (
        "a field of a tool",
        "",
        a_request(tools=[{**TOOL, "parameters": {}}]),
        "tools.0.custom.parameters: Extra",
    ),
    (
        "a field of a message",
        "",
        a_request(messages=[{**HELLO, "name": "x"}]),
        "messages.0.name: Extra inputs",
    ),
    (
        "an effort of a turn without its beta",
        NEW,
        a_request(model="claude-opus-5-5", messages=[HELLO, AN_EFFORT]),
        "messages.1.output_config: Extra inputs",
    ),
    ("temperature", NEW, a_request(temperature=1), "temperature: Extra inputs are not permitted"),
    ("top_p", NEW, a_request(top_p=0.99), "top_p: Extra inputs are not permitted"),
    ("top_k", NEW, a_request(top_k=5), "top_k: Extra inputs are not permitted"),
    ("an assistant's document", NEW, with_assistant(DOCUMENT), "'document' blocks are not permitted within"),
    ("a user's citations", NEW, with_user({**BREAKPOINT, "citations": [{}]}), "text.citations: Extra inputs"),
    ("too hot", "", a_request(temperature=1.5), "temperature: range: 0..1"),
    (
        "too long an answer",
        "",
        a_request(max_tokens=64_001),
        "max_tokens: 64001 > 64000, which is the maximum",
    ),
    (
        "a budget like max_tokens",
        "",
        thinks(2000),
        "`max_tokens` must be greater than `thinking.budget_tokens`",
    ),
    ("a small budget", "", thinks(1023), "Input should be greater than or equal to 1024"),
    (
        "no budget",
        "",
        a_request(thinking={"type": "enabled"}),
        "thinking.enabled.budget_tokens: Field required",
    ),
    (
        "a forced call while thinking",
        "",
        thinks(1024, tools=[TOOL], tool_choice={"type": "any"}),
        "Thinking may not be enabled when tool_choice forces tool use",
    ),
    (
        "five breakpoints",
        "",
        with_user(*[BREAKPOINT] * 5),
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    (
        "no signature",
        "",
        with_assistant({"type": "thinking", "thinking": "I"}),
        "thinking.signature: Field required",
    ),
    ("an empty signature", "", with_assistant(thought("")), "signature: Field required"),
    (
        "Gemini's signature",
        "",
        with_assistant(thought(Signatures().issue("gemini", "I"))),
        "Invalid `signature` in `thinking` block",
    ),
    (
        "a tagged signature",
        "",
        with_assistant(thought("claude#" + GENUINE)),
        "Invalid `signature` in `thinking` block",
    ),
    (
        "a changed thought",
        "",
        with_assistant(thought(GENUINE, "I thought.")),
        "Invalid `signature` in `thinking` block",
    ),
    (
        "a call without result",
        "",
        with_assistant(CALL, tools=[TOOL]),
        "without `tool_result` blocks immediately after: toolu_01",
    ),
    (
        "a result without call",
        "",
        a_request(messages=[HELLO, {"role": "user", "content": [RESULT]}], tools=[TOOL]),
        "unexpected `tool_use_id`",
    ),
    ("calls without tools", "", {**with_result(), "tools": []}, "must define tools"),
    (
        "a loop without a thought",
        "",
        with_result(thinking={"type": "enabled", "budget_tokens": 1024}),
        "Expected `thinking` or `redacted_thinking`, but found `tool_use`",
    ),
    (
        "a prefill",
        "",
        a_request(messages=[HELLO, {"role": "assistant", "content": "{"}]),
        "does not support assistant message prefill",
    ),
    (
        "a tool's name",
        "",
        a_request(tools=[{**TOOL, "name": "a.b"}]),
        "tools.0.custom.name: String should match",
    ),
    ("a tool twice", "", a_request(tools=[TOOL, TOOL]), "Tool names must be unique"),
    ("no schema", "", a_request(tools=[{"name": "Read"}]), "tools.0.custom.input_schema: Field required"),
    (
        "a schema of a list",
        "",
        a_request(tools=[{"name": "Read", "input_schema": {"type": "array"}}]),
        "Input should be 'object'",
    ),
    (
        "a tool choice",
        "",
        a_request(tools=[TOOL], tool_choice={"type": "some"}),
        "does not match any of the expected tags",
    ),
]


@pytest.mark.parametrize(
    ("version", "body", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_wrong_body_is_refused(version: str, body: Any, words: str) -> None:
    with pytest.raises(AnthropicError) as refused:
        validate(body, version=version or "2023-06-01")

    assert (refused.value.status, refused.value.body["error"]["type"]) == (400, "invalid_request_error")
    assert words in refused.value.message


ACCEPTED: list[tuple[str, str, list[str], Json]] = [
    ("sampling before", "2023-06-01", [], a_request(temperature=0.5, top_k=5)),
    ("a document before", "2023-06-01", [], with_user(DOCUMENT)),
    (
        "a prefill of an older model",
        "2023-06-01",
        [],
        a_request(model=HAIKU, messages=[HELLO, {"role": "assistant", "content": "{"}]),
    ),
    (
        "a system message",
        NEW,
        [],
        a_request(model="claude-opus-5-5", messages=[HELLO, {"role": "system", "content": "Be brief."}]),
    ),
    *(
        (
            f"an effort of a turn, with {beta}",
            NEW,
            [beta],
            a_request(model="claude-opus-5-5", messages=[HELLO, effort]),
        )
        for beta in ("per-turn-control-2026-07-01", "mid-conversation-output-config-2026-07-01")
        for effort in (AN_EFFORT, {**AN_EFFORT, "content": []}, AN_EFFORT_ALONE)
    ),
    ("four breakpoints", NEW, [], with_user(*[BREAKPOINT] * 4)),
    ("a field with its beta", NEW, ["context-management-2025-06-27"], a_request(context_management={})),
    ("safeguards", NEW, ["dangerous-tool-use-2026-09-03,afk-mode-2026-01-31"], a_request(safeguards={})),
    ("a thought", NEW, [], with_assistant(thought(GENUINE))),
    ("a thought without its text", NEW, [], with_assistant(thought(GENUINE, ""))),
    (
        "a loop that begins with a thought",
        NEW,
        [],
        with_result(thought(GENUINE), thinking={"type": "adaptive"}),
    ),
    (
        "a server tool",
        NEW,
        [],
        a_request(tools=[{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]),
    ),
]


@pytest.mark.parametrize(
    ("version", "betas", "body"), [row[1:] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED]
)
def test_a_right_body_is_taken(version: str, betas: list[str], body: Json) -> None:
    assert validate(body, version=version, betas=betas)["contents"]


CLAUDE_CODE_BETAS = (
    "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,effort-2025-11-24,"
    "thinking-token-count-2026-05-13,advanced-tool-use-2025-11-20,per-turn-control-2026-07-01,"
    "mid-conversation-tool-changes-2026-07-01,extended-cache-ttl-2025-04-11,context-1m-2025-08-07"
)


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"])
def test_a_request_of_claude_code_is_taken(model: str) -> None:
    """The main request of version 2.1.330, in the middle of a tool search."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"-A": {}},
    }
    found = {
        "type": "tool_result",
        "tool_use_id": "toolu_01",
        "content": [{"type": "tool_reference", "tool_name": "Read"}],
    }
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
        {"role": "system", "content": [BREAKPOINT]},
        {"role": "assistant", "content": [thought(GENUINE), {**CALL, "name": "ToolSearch"}]},
        {"role": "user", "content": [found]},
        {"role": "system", "content": "A reminder."},
    ]
    system = [{"type": "text", "text": "x-anthropic-billing-header: a"}, BREAKPOINT, BREAKPOINT]
    body = a_request(
        model=model,
        max_tokens=128_000,
        messages=messages,
        system=system,
        tools=[
            {"name": "ToolSearch", "input_schema": schema},
            {"name": "Read", "input_schema": schema, "defer_loading": True},
        ],
        metadata={"user_id": '{"device_id":"0"}'},
        thinking={"type": "adaptive", "display": "omitted"},
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        output_config={"effort": "medium"},
        stream=True,
    )

    assert validate(body, betas=[CLAUDE_CODE_BETAS])["contents"]


def test_an_unknown_beta_is_named() -> None:
    with pytest.raises(AnthropicError, match=r"Unexpected value\(s\) `earthquake-2026-01-01`, `x` for the"):
        validate(a_request(), betas=["effort-2025-11-24, earthquake-2026-01-01", "x"])


@pytest.mark.parametrize("model", ["gpt-5", "claude-3-opus-20240229", "", None, 7])
def test_a_model_that_does_not_answer_is_not_found(model: Any) -> None:
    with pytest.raises(AnthropicError) as refused:
        validate(a_request(model=model))

    assert (refused.value.status, refused.value.message) == (404, f"model: {model}")


RIGHT = {"x-api-key": "sk-ant-api03-emulator-ada", "anthropic-version": "2023-06-01"}
HEADERS: list[tuple[str, dict[str, str | None], int, str]] = [
    ("no key", {"x-api-key": None}, 401, "x-api-key header is required"),
    ("a wrong key", {"x-api-key": "sk-ant-api03-nobody"}, 401, "invalid x-api-key"),
    ("a Gemini key", {"x-api-key": "AIza-emulator-ada"}, 401, "invalid x-api-key"),
    ("the client's own key", {"x-api-key": "sk-antigravity-client"}, 401, "invalid x-api-key"),
    ("both forms of a key", {"Authorization": "Bearer sk-ant-api03-emulator-ada"}, 401, "Only one of"),
    ("a subscription's token", {"x-api-key": None, "Authorization": "Bearer sk-ant-oat01-x"}, 401, "OAuth"),
    ("a password", {"x-api-key": None, "Authorization": "Basic c2s="}, 401, "x-api-key header is required"),
    ("no version", {"anthropic-version": None}, 400, "anthropic-version: header is required"),
    ("another version", {"anthropic-version": "2024-01-01"}, 400, "is not a valid version"),
    ("an origin", {"Origin": "http://localhost"}, 401, "CORS requests are not allowed"),
    ("a header of Claude Code", {"x-claude-code-session-id": "1"}, 400, "x-claude-code-session-id"),
    ("a forwarded address", {"X-Forwarded-For": "192.0.2.1"}, 400, "X-Forwarded-For"),
    ("an unknown beta", {"anthropic-beta": "earthquake-2026-01-01"}, 400, "`earthquake-2026-01-01`"),
]


@pytest.mark.parametrize(
    ("changes", "status", "words"), [row[1:] for row in HEADERS], ids=[row[0] for row in HEADERS]
)
@pytest.mark.parametrize("path", ["messages", "messages/count_tokens"])
def test_wrong_headers_are_refused(
    emulator: EmulatorServer, path: str, changes: dict[str, str | None], status: int, words: str
) -> None:
    headers = {name: value for name, value in {**RIGHT, **changes}.items() if value is not None}

    answer = httpx.post(f"{emulator.anthropic_api_url}/v1/{path}", json=a_request(), headers=headers)

    assert answer.status_code == status
    assert answer.json()["type"] == "error"
    assert answer.json()["request_id"] == answer.headers["request-id"]
    assert words in answer.json()["error"]["message"]


def test_a_bearer_token_is_a_key_as_well(emulator: EmulatorServer) -> None:
    headers = {"Authorization": "Bearer sk-ant-api03-emulator-ada", "anthropic-version": "2026-10-21"}

    answer = httpx.get(f"{emulator.anthropic_api_url}/v1/models?limit=1", headers=headers)

    assert answer.json()["has_more"] is True
    assert answer.headers["anthropic-organization-id"].startswith("0f3a7c1e-")


def test_the_log_has_the_hash_of_the_body_and_no_key(emulator: EmulatorServer) -> None:
    body = b'{ "model":"claude-sonnet-4-6","max_tokens":9,  "messages":[{"role":"user","content":"\\u00e9"}]}'

    httpx.post(f"{emulator.anthropic_api_url}/v1/messages", content=body, headers=RIGHT)

    entry = emulator.state.log.entries("messages")[0]
    assert entry.body_sha256 == hashlib.sha256(body).hexdigest()
    assert entry.as_json()["body_sha256"] == entry.body_sha256
    assert "sk-ant" not in str(entry.as_json())


@pytest.mark.parametrize("limit", ["0", "1001", "many"])
def test_a_page_of_models_has_bounds(emulator: EmulatorServer, limit: str) -> None:
    answer = httpx.get(f"{emulator.anthropic_api_url}/v1/models?limit={limit}", headers=RIGHT)

    assert answer.status_code == 400


def test_broken_json_is_refused(emulator: EmulatorServer) -> None:
    answer = httpx.post(f"{emulator.anthropic_api_url}/v1/messages", content=b"{", headers=RIGHT)

    assert answer.json()["error"] == {
        "type": "invalid_request_error",
        "message": "The request body is not valid JSON",
    }


def test_a_key_may_be_refused_until_restored(emulator: EmulatorServer) -> None:
    url = f"{emulator.anthropic_api_url}/v1/models"
    emulator.state.keys.refuse("anthropic-ada", organization_on_hold("https://claude.com/appeal"))

    held = httpx.get(url, headers=RIGHT)
    emulator.state.keys.refuse("anthropic-ada", None)

    assert held.json()["error"]["details"]["error_code"] == "organization_on_hold"
    assert httpx.get(url, headers=RIGHT).status_code == 200
    emulator.state.keys.remove("anthropic-ada")
    assert httpx.get(url, headers=RIGHT).status_code == 401
