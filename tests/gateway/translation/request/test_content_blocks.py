"""Content blocks as parts, row by row."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from gateway.dialects.anthropic.messages import MessagesRequest
from gateway.translation.request.content_blocks import block_to_parts
from gateway.translation.request.request import TranslationOptions, translate_request
from gateway.translation.signature_families import SignatureCache
from gateway.translation.web_search.encrypted_content import sealed
from proxy_site.emulator.rules.validator import validate_generate
from tests.builders import (
    CLAUDE,
    GEMINI_2_5,
    GEMINI_3,
    GPT,
    PNG,
    a_model,
    a_text,
    a_tool_result,
    a_tool_use,
    an_image,
    assistant,
    translated,
    user,
)
from tests.gateway.translation.schemas.test_schema_properties import an_envelope

IMAGE_PART = {"inlineData": {"mimeType": "image/png", "data": PNG}}
PDF = base64.b64encode(b"%PDF-").decode()
PDF_PART = {"inlineData": {"mimeType": "application/pdf", "data": PDF}}
WAV = base64.b64encode(b"RIFF\0\0\0\0WAVE").decode()
A_TOOL_ADDED = {
    "type": "tool_addition",
    "tool": {"type": "tool_definition", "definition": {"name": "X", "input_schema": {"type": "object"}}},
}
A_TOOL_REMOVED = {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "X"}}
A_TOOLSET_REMOVED = {
    "type": "tool_removal",
    "tool": {"type": "mcp_toolset_reference", "server_name": "files", "name": "X"},
}


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
        [IMAGE_PART],
    ),
    (
        "image data url broken",
        image(type="url", url="data:image/png;base64,???"),
        [{"text": "[image: unreadable data URL]"}],
    ),
    (
        "image data url of another type",
        image(type="url", url="data:image/svg+xml,<svg/>"),
        [{"text": "[image: <svg/>]"}],
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
            "content": [
                {
                    "type": "web_search_result",
                    "url": "https://x.y/tides",
                    "title": "Tides",
                    "encrypted_content": sealed(["High water is at noon."]),
                    "page_age": None,
                }
            ],
        },
        [{"text": "[result of web search:\n- Tides, https://x.y/tides\n    High water is at noon.]"}],
    ),
    (
        "web_search_tool_result of Anthropic",
        {
            "type": "web_search_tool_result",
            "content": [
                {
                    "type": "web_search_result",
                    "url": "https://x.y",
                    "title": "T",
                    "encrypted_content": "EqgfCioIARgBIiQ3YTAwMjY1Mi1m",
                    "page_age": "April 30, 2025",
                },
                {"type": "web_search_result", "url": "https://z"},
            ],
        },
        [{"text": "[result of web search:\n- T, https://x.y, April 30, 2025\n- https://z]"}],
    ),
    (
        "web_search_tool_result with an error",
        {
            "type": "web_search_tool_result",
            "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"},
        },
        [{"text": "[error of web search: unavailable]"}],
    ),
    (
        "web_search_tool_result of nothing",
        {"type": "web_search_tool_result", "content": []},
        [{"text": "[result of web search:\nnothing was found]"}],
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
    (
        "unknown",
        {"type": "hologram", "data": "x", "index": 3},
        [{"text": '[unsupported content: hologram: {"data":"x"}]'}],
    ),
    (
        "audio of MCP",
        {"type": "audio", "data": WAV, "mimeType": "audio/x-wav"},
        [
            {
                "text": '[unsupported content: audio: {"data":"[audio/wav, 12 bytes]",'
                '"mimeType":"audio/x-wav"}]'
            },
            {"inlineData": {"mimeType": "audio/wav", "data": WAV}},
        ],
    ),
    (
        "resource of MCP",
        {"type": "resource", "resource": {"uri": "file:///a", "mimeType": "text/plain", "blob": "d29yZHM="}},
        [
            {
                "text": '[unsupported content: resource: {"resource":{"uri":"file:///a",'
                '"mimeType":"text/plain","blob":"words"}}]'
            }
        ],
    ),
    (
        "web_fetch_tool_result",
        {
            "type": "web_fetch_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": {
                "type": "web_fetch_result",
                "url": "https://x.y/a.pdf",
                "content": document(
                    {"type": "base64", "media_type": "application/pdf", "data": PDF}, title="Paper"
                ),
            },
        },
        [
            {
                "text": '[result of web fetch: {"type":"web_fetch_result","url":"https://x.y/a.pdf"}\n'
                "Title: Paper\n[application/pdf, 5 bytes]]"
            },
            PDF_PART,
        ],
    ),
    (
        "code_execution_tool_result",
        {
            "type": "code_execution_tool_result",
            "content": {
                "type": "code_execution_result",
                "stdout": "done",
                "content": [{"type": "plot", "source": {"type": "base64", "data": PNG}}],
            },
        },
        [
            {
                "text": '[result of code execution: {"type":"code_execution_result","stdout":"done"}\n'
                '{"type":"plot","source":{"type":"base64","data":"[image/png, 24 bytes]"}}]'
            },
            IMAGE_PART,
        ],
    ),
    ("tool_addition", A_TOOL_ADDED, [{"text": "[The tool X is now available]"}]),
    ("tool_removal", A_TOOL_REMOVED, [{"text": "[The tool X is no longer available]"}]),
    ("a toolset of an MCP server removed", A_TOOLSET_REMOVED, []),
    ("input_json_delta", {"type": "input_json_delta", "index": 1, "partial_json": "{}"}, []),
    ("fallback", {"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}}, []),
    ("thinking in a user turn", {"type": "thinking", "thinking": "t"}, []),
]


ROWS_BY_NAME = {name: block for name, block, _ in ROWS}


@pytest.mark.parametrize(("block", "parts"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_block(block: dict[str, Any], parts: list[dict[str, Any]]) -> None:
    assert block_to_parts(block) == parts


@pytest.mark.parametrize("block", [row[1] for row in ROWS], ids=[row[0] for row in ROWS])
def test_no_block_fails_a_request(block: dict[str, Any]) -> None:
    """Also one that is not whole, which validation refuses."""
    messages = [user(a_text(), block), assistant(a_text(), block), user("go on")]

    request = translate_request(
        MessagesRequest("any", 1_000, messages), a_model(), TranslationOptions(), SignatureCache()
    )

    assert len(request.request["contents"]) == 3


def test_cache_control_and_its_like_reach_google_nowhere() -> None:
    extra: dict[str, Any] = {
        "cache_control": {"type": "ephemeral"},
        "citations": [],
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
        ("", {}),
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


def test_other_models_get_images_after_all_results() -> None:
    calls = [a_tool_use("a"), a_tool_use("b")]
    results = [a_tool_result("b", [an_image()]), a_text("and?"), a_tool_result("a", [an_image()])]

    contents = translated(user("hi"), assistant(*calls), user(*results), model=GEMINI_2_5).request["contents"]

    parts = contents[2]["parts"]
    assert [part.get("functionResponse", {}).get("id") for part in parts] == ["a", "b", None, None, None]
    assert parts[2:] == [IMAGE_PART, IMAGE_PART, {"text": "and?"}]


def test_gpt_is_told_of_images_in_results_in_words() -> None:
    (part,) = a_round(GPT, a_tool_result(content=[a_text("see"), an_image()]))

    assert part["functionResponse"]["response"] == {"result": "see\n[image/png, 24 bytes]"}


# --- binary data never becomes words ---

FETCHED = {
    "type": "web_fetch_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": {
        "type": "web_fetch_result",
        "url": "https://x.y/a.pdf",
        "content": document({"type": "base64", "media_type": "application/pdf", "data": PDF}),
    },
}
LONG = base64.b64encode(bytes(range(256)) * 8).decode()


@pytest.mark.parametrize("model", [CLAUDE, GEMINI_3, GEMINI_2_5, GPT])
def test_a_fetched_pdf_goes_to_the_next_turn_of_the_user(model: str) -> None:
    contents = translated(user("hi"), assistant(FETCHED, a_text("So.")), user("Go on."), model=model).request[
        "contents"
    ]

    assert "[application/pdf, 5 bytes]" in contents[1]["parts"][0]["text"]
    assert contents[2]["parts"] == [PDF_PART, {"text": "Go on."}]


def test_files_of_the_assistant_follow_the_results() -> None:
    contents = translated(
        user("hi"), assistant(an_image(), a_tool_use()), user(a_tool_result(), a_text("And?"))
    ).request["contents"]

    assert contents[1]["parts"][0] == {"text": "[image/png, 24 bytes]"}
    assert [next(iter(part)) for part in contents[2]["parts"]] == ["functionResponse", "inlineData", "text"]


@pytest.mark.parametrize(("model", "takes_it"), [(CLAUDE, True), (GEMINI_3, False)])
def test_a_file_the_model_does_not_take_is_named(model: str, takes_it: bool) -> None:
    """A GIF fails a request to Gemini (microsoft/vscode#286628)."""
    gif = image(type="base64", media_type="image/gif", data="R0lGODlh")

    (content,) = translated(user(gif), model=model).request["contents"]

    named = {"text": "[image/gif, 6 bytes]"}
    assert content["parts"] == (
        [{"inlineData": {"mimeType": "image/gif", "data": "R0lGODlh"}}] if takes_it else [named]
    )


def test_gemini_hears_audio_beside_the_result_it_belongs_to() -> None:
    recording = {"type": "audio", "data": WAV, "mimeType": "audio/wav"}

    response, audio = a_round(GEMINI_3, a_tool_result(content=[recording]))

    assert "parts" not in response["functionResponse"]
    assert audio == {"inlineData": {"mimeType": "audio/wav", "data": WAV}}


def test_an_image_of_the_model_is_not_sent_back_as_words() -> None:
    """The gateway tells clients of it in Markdown, and they keep that."""
    drawn = a_text(f"Here:\n![image](data:image/png;base64,{PNG})\nNice?")

    contents = translated(user("Draw."), assistant(drawn), user("Bluer."), model=GEMINI_3).request["contents"]

    assert PNG not in repr(contents[1])
    assert [part["text"] for part in contents[1]["parts"]] == ["Here:\n", "[image/png, 24 bytes]", "\nNice?"]
    assert contents[2]["parts"][0] == IMAGE_PART


def test_what_the_user_pastes_stays_as_it_is() -> None:
    pasted = f"url(data:image/png;base64,{PNG}) {LONG}"

    (content,) = translated(user(pasted)).request["contents"]

    assert content["parts"] == [{"text": pasted}]


HIDDEN = [
    ("a data URL", f"data:image/png;base64,{PNG}"),
    ("a long string", LONG),
    ("lines as in a mail", "\r\n".join(LONG[at : at + 76] for at in range(0, len(LONG), 76))),
    ("another alphabet", LONG.replace("+", "-").replace("/", "_")),
    ("Anthropic", {"source": {"type": "base64", "media_type": "image/png", "data": PNG}}),
    ("MCP", {"data": PNG, "mimeType": "image/png"}),
    ("MCP's resources", {"resource": {"blob": "AAEC/w==", "mimeType": "application/octet-stream"}}),
    ("Google", {"inlineData": {"mimeType": "image/png", "data": PNG}}),
    ("OpenAI", {"image_url": {"url": f"data:image/png;base64,{PNG}"}}),
    ("an archive", {"media_type": "application/zip", "data": "UEsDBAoAAAAAAA=="}),
]


@pytest.mark.parametrize("hidden", [value for _, value in HIDDEN], ids=[name for name, _ in HIDDEN])
@pytest.mark.parametrize("depth", [0, 1, 30])
@pytest.mark.parametrize("block_type", ["x_tool_result", "mcp_tool_result", "hologram"])
def test_base64_is_found_in_any_shape_at_any_depth(hidden: Any, depth: int, block_type: str) -> None:
    content: Any = hidden
    for _ in range(depth):
        content = {"content": [content]} if depth % 2 else {"inner": content}

    parts = block_to_parts({"type": block_type, "content": [content, "words"]})

    words = " ".join(part.get("text", "") for part in parts)
    assert "bytes]" in words or "kB]" in words
    assert not any(base64_ in words for base64_ in (PNG, LONG[:76], LONG[-40:-4], "AAEC", "UEsDB"))
    assert "words" in words


NOT_HIDDEN = [
    {"media_type": "text/plain", "data": "plain"},
    {"mimeType": "application/json", "data": "abcd"},
    {"data": "abcdefgh"},
    {"content_type": "none", "data": "abcd"},
    "a" * 2_000,
    "0123456789" * 200,
    "/usr/lib/x" * 200,
    "data: abc",
]


@pytest.mark.parametrize("value", NOT_HIDDEN)
def test_words_are_not_taken_for_base64(value: Any) -> None:
    (part,) = block_to_parts({"type": "x_tool_result", "content": {"inner": [value]}})

    assert part["text"] == f"[result of x: {orjson.dumps({'inner': [value]}).decode()}]"


@pytest.mark.parametrize(
    "source",
    [
        None,
        5,
        {},
        {"type": "base64"},
        {"type": "base64", "media_type": 5, "data": PNG},
        {"type": "base64", "media_type": "image/png", "data": "no base64!"},
        {"type": "text", "data": 5},
        {"type": "content", "content": {"type": 5}},
        {"type": "url", "url": None},
    ],
)
def test_a_broken_source_in_a_result_breaks_nothing(source: Any) -> None:
    result = {"type": "x_tool_result", "content": {"type": "document", "source": source}}

    request = translated(user("hi"), assistant(result), user("go on"))

    validate_generate(an_envelope(request.model.sent_id, request.request))
