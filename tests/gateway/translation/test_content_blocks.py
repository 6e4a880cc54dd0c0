"""Content blocks as parts, row by row."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from gateway.translation.content_blocks import block_to_parts
from tests.builders import (
    CLAUDE,
    GEMINI_2_5,
    GEMINI_3,
    GPT,
    PNG,
    a_text,
    a_tool_result,
    a_tool_use,
    an_image,
    assistant,
    translated,
    user,
)

IMAGE_PART = {"inlineData": {"mimeType": "image/png", "data": PNG}}
PDF = base64.b64encode(b"%PDF").decode()


def image(**source: Any) -> dict[str, Any]:
    return {"type": "image", "source": source}


def document(source: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "document", "source": source, **fields}


ROWS: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = [
    ("text", a_text("  kept as it is\n"), [{"text": "  kept as it is\n"}]),
    ("text blank", a_text(" \n"), []),
    ("image base64", an_image(), [IMAGE_PART]),
    ("image url", image(type="url", url="https://x.y/cat.png"), [{"text": "[image: https://x.y/cat.png]"}]),
    ("image data url", image(type="url", url=f"data:image/png;base64,{PNG}"), [IMAGE_PART]),
    (
        "image data url without base64",
        image(type="url", url="data:image/gif,GIF89a%21"),
        [{"inlineData": {"mimeType": "image/gif", "data": base64.b64encode(b"GIF89a!").decode()}}],
    ),
    (
        "image data url without type",
        image(type="url", url=f"data:;base64,{PNG}"),
        [{"inlineData": {"mimeType": "image/jpeg", "data": PNG}}],
    ),
    (
        "image data url broken",
        image(type="url", url="data:image/png;base64,???"),
        [{"text": "[image: unreadable data URL]"}],
    ),
    (
        "image data url of another type",
        image(type="url", url="data:image/svg+xml,<svg/>"),
        [{"text": "[image: data URL of type image/svg+xml]"}],
    ),
    ("image file", image(type="file", file_id="file_1"), [{"text": "[image: file_1]"}]),
    ("image source of the future", image(type="hologram"), [{"text": "[image: hologram]"}]),
    (
        "document base64",
        document({"type": "base64", "media_type": "application/pdf", "data": PDF}),
        [{"inlineData": {"mimeType": "application/pdf", "data": PDF}}],
    ),
    (
        "document text",
        document({"type": "text", "media_type": "text/plain", "data": "words"}, title="T", context="C"),
        [{"text": "Title: T\nContext: C\nwords"}],
    ),
    (
        "document content",
        document({"type": "content", "content": [a_text("words"), an_image()]}, title="T"),
        [{"text": "Title: T"}, {"text": "words"}, IMAGE_PART],
    ),
    (
        "document text without title",
        document({"type": "text", "media_type": "text/plain", "data": "  words"}),
        [{"text": "  words"}],
    ),
    ("document content string", document({"type": "content", "content": "words"}), [{"text": "words"}]),
    (
        "document url",
        document({"type": "url", "url": "https://x.y/a.pdf"}),
        [{"text": "[document: https://x.y/a.pdf]"}],
    ),
    ("document file", document({"type": "file", "file_id": "file_1"}), [{"text": "[document: file_1]"}]),
    (
        "search_result",
        {"type": "search_result", "title": "T", "source": "S", "content": [a_text("one"), a_text("two")]},
        [{"text": "Title: T\nSource: S\none\ntwo"}],
    ),
    (
        "server_tool_use",
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
        [{"text": '[server tool web_search called with {"query":"q"}]'}],
    ),
    (
        "web_search_tool_result",
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": [{"type": "web_search_result", "url": "u", "encrypted_content": "secret"}],
        },
        [{"text": '[result of web search: {"type":"web_search_result","url":"u"}]'}],
    ),
    (
        "mcp_tool_use",
        {"type": "mcp_tool_use", "id": "m", "name": "list", "server_name": "files", "input": {}},
        [{"text": "[MCP tool list of files called with {}]"}],
    ),
    (
        "mcp_tool_result",
        {"type": "mcp_tool_result", "is_error": True, "content": [a_text("no")]},
        [{"text": "[error of mcp: no]"}],
    ),
    (
        "a tool result as text",
        {"type": "bash_code_execution_tool_result", "content": "ok"},
        [{"text": "[result of bash code execution: ok]"}],
    ),
    ("a tool result as a number", {"type": "x_tool_result", "content": 5}, [{"text": "[result of x: 5]"}]),
    (
        "tool_reference",
        {"type": "tool_reference", "tool_name": "X"},
        [{"text": "[The tool X is now available]"}],
    ),
    (
        "tool_search_tool_result",
        {"type": "tool_search_tool_result", "content": {"tool_references": [{"tool_name": "X"}]}},
        [{"text": '[result of tool search: {"tool_references":[{"tool_name":"X"}]}]'}],
    ),
    (
        "search_result of strings",
        {"type": "search_result", "content": ["  one", "two"]},
        [{"text": "  one\ntwo"}],
    ),
    ("container_upload", {"type": "container_upload"}, [{"text": "[unsupported content: container_upload]"}]),
    ("compaction", {"type": "compaction", "content": "summary"}, [{"text": "summary"}]),
    ("compaction without content", {"type": "compaction", "content": None}, []),
    ("unknown", {"type": "hologram", "data": "x"}, [{"text": "[unsupported content: hologram]"}]),
    ("thinking in a user turn", {"type": "thinking", "thinking": "t"}, []),
]


ROWS_BY_NAME = {name: block for name, block, _ in ROWS}


@pytest.mark.parametrize(("block", "parts"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_block(block: dict[str, Any], parts: list[dict[str, Any]]) -> None:
    assert block_to_parts(block) == parts


@pytest.mark.parametrize("block", [row[1] for row in ROWS], ids=[row[0] for row in ROWS])
def test_no_block_fails_a_request(block: dict[str, Any]) -> None:
    request = translated(user(a_text(), block), assistant(a_text(), block), user("go on"))

    assert len(request.request["contents"]) == 3


def test_cache_control_and_its_like_reach_google_nowhere() -> None:
    extra: dict[str, Any] = {
        "cache_control": {"type": "ephemeral"},
        "citations": {"enabled": True},
        "caller": {"type": "direct"},
    }
    request = translated(
        user(a_text(**extra), an_image() | extra),
        assistant(a_tool_use() | extra),
        user(a_tool_result(content=[a_text(**extra), an_image() | extra]) | extra),
        system=[a_text("Be brief.", **extra)],
    )

    assert not any(name in repr(request.request) for name in extra)


# --- tool calls and results (5.1, 5.2) ---


def a_round(model: str, result: dict[str, Any], call: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The parts of the turn that answers."""
    contents = translated(user("hi"), assistant(call or a_tool_use()), user(result), model=model).request[
        "contents"
    ]
    parts: list[dict[str, Any]] = contents[2]["parts"]
    return parts


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ({"city": "Oslo"}, {"city": "Oslo"}),
        (None, {}),
        ('{"city":"Oslo"}', {"city": "Oslo"}),
        ("not json", {"value": "not json"}),
        ("[1]", {"value": "[1]"}),
        ([1], {"value": [1]}),
        (5, {"value": 5}),
    ],
)
def test_the_arguments_of_a_call_are_always_an_object(given: Any, arguments: dict[str, Any]) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "get-weather.v2", "input": given}

    contents = translated(user("hi"), assistant(call), user(a_tool_result())).request["contents"]

    assert contents[1]["parts"] == [
        {"functionCall": {"name": "get-weather_v2", "args": arguments, "id": "toolu_1"}}
    ]


RESULTS = [
    ("text", a_tool_result(content="sunny"), {"result": "sunny"}),
    ("texts are joined", a_tool_result(content=[a_text("a"), a_text("b")]), {"result": "a\nb"}),
    ("nothing", a_tool_result(content=None), {"result": ""}),
    ("an empty list", a_tool_result(content=[]), {"result": ""}),
    ("an error", a_tool_result(content="no", is_error=True), {"error": "no"}),
    ("JSON stays text", a_tool_result(content='{"a":1}'), {"result": '{"a":1}'}),
    (
        "a document",
        a_tool_result(content=[ROWS_BY_NAME["document text"]]),
        {"result": "Title: T\nContext: C\nwords"},
    ),
    (
        "an image by url",
        a_tool_result(content=[ROWS_BY_NAME["image url"]]),
        {"result": "[image: https://x.y/cat.png]"},
    ),
    (
        "a search result",
        a_tool_result(content=[ROWS_BY_NAME["search_result"]]),
        {"result": "Title: T\nSource: S\none\ntwo"},
    ),
]


@pytest.mark.parametrize(
    ("result", "response"), [row[1:] for row in RESULTS], ids=[row[0] for row in RESULTS]
)
@pytest.mark.parametrize("model", [CLAUDE, GEMINI_3, GPT])
def test_result(model: str, result: dict[str, Any], response: dict[str, Any]) -> None:
    assert a_round(model, result) == [
        {"functionResponse": {"id": "toolu_1", "name": "get_weather", "response": response}}
    ]


@pytest.mark.parametrize("model", [CLAUDE, GEMINI_3])
def test_images_of_a_result_are_nested_where_the_model_takes_them(model: str) -> None:
    (part,) = a_round(model, a_tool_result(content=[a_text("see"), an_image()]))

    assert part["functionResponse"]["response"] == {"result": "see"}
    assert part["functionResponse"]["parts"] == [IMAGE_PART]


def test_elsewhere_images_wait_until_all_results_are_told() -> None:
    calls = [a_tool_use("a"), a_tool_use("b")]
    results = [a_tool_result("b", [an_image()]), a_text("and?"), a_tool_result("a", [an_image()])]

    contents = translated(user("hi"), assistant(*calls), user(*results), model=GEMINI_2_5).request["contents"]

    parts = contents[2]["parts"]
    assert [part.get("functionResponse", {}).get("id") for part in parts] == ["a", "b", None, None, None]
    assert parts[2:] == [IMAGE_PART, IMAGE_PART, {"text": "and?"}]


def test_gpt_is_told_of_images_in_results_in_words() -> None:
    (part,) = a_round(GPT, a_tool_result(content=[a_text("see"), an_image()]))

    assert part["functionResponse"]["response"] == {"result": "see\n[image/png]"}
