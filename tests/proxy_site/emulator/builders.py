"""Requests that Google would take, for tests to break in one place."""

from __future__ import annotations

import copy
from typing import Any

from proxy_site.emulator.pretend_model.signatures import SENTINEL, Signatures

Json = dict[str, Any]

SIGNATURES = Signatures()
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def text(words: str) -> Json:
    return {"text": words}


def image(mime_type: str = "image/png") -> Json:
    return {"inlineData": {"mimeType": mime_type, "data": PIXEL}}


def thought(words: str = "I should look.", *, signed_as: str | None = None) -> Json:
    """A Claude thought; ``signed_as`` is the text that the signature was issued for."""
    signature = SIGNATURES.issue("claude", words if signed_as is None else signed_as)
    return {"text": words, "thought": True, "thoughtSignature": signature}


def call(name: str = "Read", id_: str | None = "toolu_1", **extra: Any) -> Json:
    function_call: Json = {"name": name, "args": {"file_path": "/tmp/a.txt"}}
    return {"functionCall": {**function_call, **({"id": id_} if id_ else {})}, **extra}


def signed_call(name: str = "Read", id_: str | None = "toolu_1") -> Json:
    return call(name, id_, thoughtSignature=SIGNATURES.issue("gemini", name))


def response(name: str = "Read", id_: str | None = "toolu_1", **extra: Any) -> Json:
    function_response: Json = {"name": name, "response": {"result": "hello"}, **extra}
    return {"functionResponse": {**function_response, **({"id": id_} if id_ else {})}}


def user(*parts: Json) -> Json:
    return {"role": "user", "parts": list(parts)}


def model(*parts: Json) -> Json:
    return {"role": "model", "parts": list(parts)}


def declaration(name: str = "Read") -> Json:
    return {
        "name": name,
        "description": "Read a file",
        "parameters": {
            "type": "OBJECT",
            "properties": {
                "file_path": {"type": "STRING", "description": "Absolute path"},
                "lines": {"type": "ARRAY", "items": {"type": "INTEGER"}},
                "encoding": {"type": "STRING", "enum": ["utf-8", "latin-1"], "nullable": True},
            },
            "required": ["file_path"],
        },
    }


def tools(*names: str) -> list[Json]:
    return [{"functionDeclarations": [declaration(name) for name in names]}]


def envelope(model_id: str, contents: list[Json], **request: Any) -> Json:
    return {
        "project": "emulator-project-ada",
        "model": model_id,
        "userAgent": "antigravity",
        "requestType": "agent",
        "requestId": "agent-1",
        "request": {"contents": contents, **request},
    }


def a_text_request(model_id: str = "claude-sonnet-4-6", words: str = "Hello", **request: Any) -> Json:
    return envelope(model_id, [user(text(words))], **request)


def a_claude_request() -> Json:
    """A tool loop with thinking, two parallel calls, and an image in a result."""
    contents = [
        user(text("Compare the files."), image()),
        model(thought(), text("Let me see."), call("Read", "toolu_1"), call("Grep", "toolu_2")),
        user(response("Read", "toolu_1", parts=[image()]), response("Grep", "toolu_2"), text("Go on.")),
    ]
    return envelope(
        "claude-opus-4-6-thinking",
        contents,
        systemInstruction={"role": "user", "parts": [text("Be brief.")]},
        tools=tools("Read", "Grep"),
        toolConfig={"functionCallingConfig": {"mode": "VALIDATED"}},
        generationConfig={
            "maxOutputTokens": 32_000,
            "temperature": 1,
            "topP": 0.95,
            "stopSequences": ["END"],
            "thinkingConfig": {"include_thoughts": True, "thinking_budget": 16_000},
        },
        sessionId="session-1",
    )


def a_gemini_request(model_id: str = "gemini-3-flash") -> Json:
    """A tool loop with a signature, a sentinel and parallel calls."""
    contents = [
        user(text("Compare the files."), image()),
        model({"text": "Hm.", "thought": True}, signed_call("Read", None), call("Grep", None)),
        user(response("Read", None), response("Grep", None)),
        model(call("Read", None, thoughtSignature=SENTINEL)),
        user(response("Read", None)),
    ]
    thinking = {"includeThoughts": True, "thinkingBudget": 8_000}
    return envelope(
        model_id,
        contents,
        systemInstruction={"parts": [text("Be brief.")]},
        tools=tools("Read", "Grep"),
        toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["Read"]}},
        generationConfig={"maxOutputTokens": 8_192, "temperature": 0.5, "thinkingConfig": thinking},
        sessionId="session-1",
    )


def a_gpt_request() -> Json:
    contents = [
        user(text("Read it.")),
        model(call()),
        user(response()),
        model(text("Done.")),
        user(text("Ok")),
    ]
    return envelope("gpt-oss-120b-medium", contents, tools=tools("Read"))


def changed(original: Json, path: str, value: Any) -> Json:
    """A copy with one place set: ``"request.contents.0.role"``; Ellipsis takes the place away."""
    result = copy.deepcopy(original)
    *way, last = path.split(".")
    place: Any = result
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    key = int(last) if isinstance(place, list) else last
    if value is ...:
        del place[key]
    elif isinstance(place, list) and key == len(place):
        place.append(value)
    else:
        place[key] = value
    return result


def a_web_search_request(query: str = "tides in Oslo") -> Json:
    image_search = {"imageSearch": {"maxResultCount": 5}}
    return {
        "project": "emulator-project-ada",
        "model": "gemini-3.1-flash-lite",
        "userAgent": "antigravity",
        "requestType": "web_search",
        "request": {
            "contents": [user(text(query))],
            "systemInstruction": {"parts": [text("Search the web.")]},
            "tools": [{"googleSearch": {"enhancedContent": image_search}}],
            "generationConfig": {"candidateCount": 1},
        },
    }
