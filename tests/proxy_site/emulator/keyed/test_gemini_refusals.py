"""Each request that the emulated Gemini API refuses: one change to a right one, the status, and the words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from proxy_site.emulator.gemini_api.validator import SECOND_SENTINEL, validate
from proxy_site.emulator.google_errors import GoogleError
from proxy_site.emulator.pretend_model.signatures import SENTINEL, Signatures

if TYPE_CHECKING:
    from proxy_site.emulator.server import EmulatorServer

Json = dict[str, Any]
PRO, FLASH = "gemini-2.5-pro", "gemini-3.5-flash"


def said(*parts: Json, role: str = "user") -> Json:
    return {"role": role, "parts": list(parts)}


HELLO = said({"text": "Hello"})
DECLARED = [{"functionDeclarations": [{"name": "Read", "parameters": {"type": "OBJECT"}}]}]


def a_request(**changes: Any) -> Json:
    return {"contents": [HELLO], **changes}


def with_tool(**declaration: Any) -> Json:
    return a_request(tools=[{"functionDeclarations": [{"name": "Read", **declaration}]}])


def thinks(**config: Any) -> Json:
    return a_request(generationConfig={"thinkingConfig": config})


def after_a_call(signature: str | None, *responses: Json) -> Json:
    signed = {"thoughtSignature": signature} if signature else {}
    call = said({"functionCall": {"name": "Read", "args": {}}, **signed}, role="model")
    return a_request(contents=[HELLO, call, said(*responses)], tools=DECLARED)


def response(name: str = "Read", **more: Any) -> Json:
    return {"functionResponse": {"name": name, "response": {"result": "x"}, **more}}


SIGNATURE = Signatures().issue("gemini", "a call")

# (what is wrong, the model, the body, words of the message)
REFUSED: list[tuple[str, str, Any, str]] = [
    ("a list", FLASH, [], "Proto field is not repeating, cannot start list."),
    ("an envelope's model and request", FLASH, {"project": "p", "request": {}}, 'Unknown name "project"'),
    ("session id", FLASH, a_request(sessionId="s"), 'Unknown name "sessionId": Cannot find field.'),
    ("session_id", FLASH, a_request(session_id="s"), 'Unknown name "session_id": Cannot find field.'),
    ("labels", FLASH, a_request(labels={"a": "b"}), 'Unknown name "labels"'),
    (
        "cache_control",
        FLASH,
        a_request(contents=[said({"text": "Hello", "cache_control": {"type": "ephemeral"}})]),
        "Unknown name \"cache_control\" at 'contents[0].parts[0]': Cannot find field.",
    ),
    ("another model inside", FLASH, a_request(model="models/gemini-2.5-pro"), "is not that of the address"),
    ("a cache of nobody", FLASH, a_request(cachedContent="cachedContents/1"), "CachedContent not found"),
    ("no contents", FLASH, {"contents": []}, "contents is not specified"),
    ("no parts", FLASH, a_request(contents=[said()]), "contents.parts must not be empty"),
    (
        "a system role",
        FLASH,
        a_request(contents=[said({"text": "a"}, role="system")]),
        "valid role: user, model",
    ),
    (
        "a model at the end",
        FLASH,
        a_request(contents=[HELLO, said({"text": "a"}, role="model")]),
        "user turn",
    ),
    (
        "both forms of a schema",
        FLASH,
        with_tool(parameters={"type": "OBJECT"}, parametersJsonSchema={"type": "object"}),
        "parameters and parametersJsonSchema are mutually exclusive",
    ),
    (
        "a keyword of JSON Schema",
        FLASH,
        with_tool(parameters={"type": "OBJECT", "additionalProperties": False}),
        "Unknown name \"additionalProperties\" at 'tools[0].function_declarations[0].parameters'",
    ),
    (
        "a schema that is no object",
        FLASH,
        with_tool(parametersJsonSchema={"type": "array"}),
        "of type object",
    ),
    ("a tool's name", FLASH, with_tool(name="1 tool"), "Invalid function name"),
    ("a level and a budget", FLASH, thinks(thinkingLevel="LOW", thinkingBudget=1024), "only set one of"),
    ("no thinking on Pro", PRO, thinks(thinkingBudget=0), "The thinking budget 0 is invalid"),
    ("too little thinking on Pro", PRO, thinks(thinkingBudget=127), "between 128 and 32768"),
    ("a level on 2.5", PRO, thinks(thinkingLevel="LOW"), "Thinking level is not supported for this model."),
    (
        "a level of others",
        "gemini-3-pro-preview",
        thinks(thinkingLevel="MEDIUM"),
        "level MEDIUM is not supported",
    ),
    ("little thinking on Lite", "gemini-2.5-flash-lite", thinks(thinkingBudget=100), "between 512 and 24576"),
    (
        "too hot",
        FLASH,
        a_request(generationConfig={"temperature": 2.1}),
        "from 0 (inclusive) to 2 (inclusive)",
    ),
    (
        "no signature",
        FLASH,
        after_a_call(None, response()),
        "is missing a thought_signature in functionCall parts",
    ),
    (
        "Claude's signature",
        FLASH,
        after_a_call(Signatures().issue("claude", "a"), response()),
        "Corrupted thought signature.",
    ),
    (
        "too many responses",
        FLASH,
        after_a_call(SIGNATURE, response(), response()),
        "number of function response",
    ),
    ("another's response", FLASH, after_a_call(SIGNATURE, response("Write")), "match the function calls"),
    (
        "a file in a response",
        FLASH,
        after_a_call(SIGNATURE, response(parts=[{"fileData": {"fileUri": "gs://a/b"}}])),
        'Unknown name "fileData"',
    ),
]


@pytest.mark.parametrize(
    ("model", "body", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_wrong_body_is_refused(model: str, body: Any, words: str) -> None:
    with pytest.raises(GoogleError) as refused:
        validate(body, model)

    error = refused.value.body["error"]
    assert (refused.value.status, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert words in error["message"]
    assert "v1internal" not in error["message"]


# What is right at the limits of these rules
ACCEPTED: list[tuple[str, str, Json]] = [
    ("a call with a signature", FLASH, after_a_call(SIGNATURE, response())),
    ("a call with the first sentinel", FLASH, after_a_call(SENTINEL, response())),
    ("a call with the second sentinel", FLASH, after_a_call(SECOND_SENTINEL, response())),
    ("no signature before Gemini 3", "gemini-2.5-flash", after_a_call(None, response())),
    (
        "an image in a response",
        FLASH,
        after_a_call(SIGNATURE, response(parts=[{"inlineData": {"mimeType": "image/png", "data": "aaaa"}}])),
    ),
    ("a system text", FLASH, a_request(systemInstruction={"parts": [{"text": "Be brief."}]})),
    (
        "the other form of a schema",
        FLASH,
        with_tool(parametersJsonSchema={"type": "object", "additionalProperties": False}),
    ),
    (
        "names of parameters with a dash",
        FLASH,
        with_tool(parameters={"type": "OBJECT", "properties": {"-A": {"type": "STRING"}}}),
    ),
    (
        "an address of a file",
        FLASH,
        a_request(contents=[said({"fileData": {"fileUri": "https://example.com/a.png"}})]),
    ),
    (
        "safety settings",
        FLASH,
        a_request(safetySettings=[{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]),
    ),
    ("an alias", "gemini-flash-latest", a_request()),
    ("the most thinking", PRO, thinks(thinkingBudget=32_768)),
    ("as much thinking as it likes", PRO, thinks(thinkingBudget=-1)),
]


@pytest.mark.parametrize(("model", "body"), [row[1:] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_a_right_body_is_taken(model: str, body: Json) -> None:
    assert validate(body, model)["contents"]


@pytest.mark.parametrize("model", ["gemini-9", "gemini-embedding-001", "claude-sonnet-4-6"])
def test_a_model_that_does_not_generate_is_not_found(model: str) -> None:
    with pytest.raises(GoogleError) as refused:
        validate(a_request(), model)

    assert refused.value.status == 404
    assert f"models/{model} is not found for API version v1beta" in refused.value.message


KEY = {"x-goog-api-key": "AIza-emulator-ada"}
CREDENTIALS: list[tuple[str, dict[str, str], str, int, str]] = [
    ("a wrong key", {"x-goog-api-key": "AIza-nobody"}, "", 400, "API_KEY_INVALID"),
    ("an Anthropic key", {"x-goog-api-key": "sk-ant-api03-emulator-ada"}, "", 400, "API_KEY_INVALID"),
    ("a key with a blank", {"x-goog-api-key": "AIza-emulator ada"}, "", 400, "LocalizedMessage"),
    ("a key in the address", {}, "?key=AIza-emulator-ada", 400, "API_KEY_INVALID"),
    ("no key", {}, "", 403, "Method doesn't allow unregistered callers"),
    (
        "a key as a token",
        {"Authorization": "Bearer AIza-emulator-ada"},
        "",
        401,
        "Expected OAuth 2 access token",
    ),
]


@pytest.mark.parametrize(
    ("headers", "query", "status", "words"),
    [row[1:] for row in CREDENTIALS],
    ids=[row[0] for row in CREDENTIALS],
)
def test_a_wrong_credential_is_refused(
    emulator: EmulatorServer, headers: dict[str, str], query: str, status: int, words: str
) -> None:
    answer = httpx.get(f"{emulator.gemini_api_url}/v1beta/models{query}", headers=headers)

    assert answer.status_code == status
    assert words in answer.text


def test_count_tokens_refuses_what_is_not_counted(emulator: EmulatorServer) -> None:
    url = f"{emulator.gemini_api_url}/v1beta/models/{FLASH}:countTokens"
    whole = {"generateContentRequest": {"model": f"models/{FLASH}", **a_request(tools=DECLARED)}}

    refused = httpx.post(url, json=a_request(generationConfig={}), headers=KEY)
    assert refused.status_code == 400
    assert 'Unknown name "generationConfig"' in refused.json()["error"]["message"]
    assert httpx.post(url, json={}, headers=KEY).status_code == 400
    bare = httpx.post(url, json=a_request(), headers=KEY).json()["totalTokens"]
    assert httpx.post(url, json=whole, headers=KEY).json()["totalTokens"] > bare > 0


def test_broken_json_and_bad_pages_are_refused(emulator: EmulatorServer) -> None:
    url = f"{emulator.gemini_api_url}/v1beta/models"

    assert httpx.post(f"{url}/{FLASH}:generateContent", content=b"{", headers=KEY).status_code == 400
    assert httpx.get(f"{url}?pageSize=many", headers=KEY).status_code == 400
    assert httpx.get(f"{url}?pageToken=99", headers=KEY).json() == {"models": []}


def test_without_sse_the_chunks_are_one_list(emulator: EmulatorServer) -> None:
    url = f"{emulator.gemini_api_url}/v1beta/models/{FLASH}:streamGenerateContent"
    emulator.state.reply("One two three. " * 10)

    chunks = httpx.post(url, json=a_request(), headers=KEY).json()

    assert len(chunks) > 1
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"


def test_a_long_prefix_is_cached_for_the_project(emulator: EmulatorServer) -> None:
    url = f"{emulator.gemini_api_url}/v1beta/models/gemini-2.5-flash:generateContent"
    body = a_request(systemInstruction={"parts": [{"text": "word " * 3_000}]})

    usages = [
        httpx.post(url, json=body, headers={"x-goog-api-key": key}).json()["usageMetadata"]
        for key in ("AIza-emulator-grace", "AIza-emulator-grace-2", "AIza-emulator-ada")
    ]

    assert [usage.get("cachedContentTokenCount", 0) > 2_048 for usage in usages] == [False, True, False]
