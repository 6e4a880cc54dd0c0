"""Near enough to tokenizers of real models, and always fast."""

from __future__ import annotations

import base64
import struct
import time
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.token_estimate import Row, boxes, measure
from gateway.errors import InvalidRequest
from gateway.translation.tokens.media_tokens import image_tokens, pdf_tokens
from gateway.translation.tokens.text_tokens import SAMPLE_CHARACTERS, text_tokens
from gateway.translation.tokens.token_estimate import Gathered, estimate_input_tokens
from gateway.translation.web_search.encrypted_content import sealed
from tests.builders import (
    PNG,
    a_messages_request,
    a_text,
    a_thinking,
    a_tool,
    a_tool_result,
    a_tool_use,
    an_image,
    assistant,
    user,
)
from tests.vocabularies import claude_counter

if TYPE_CHECKING:
    from pathlib import Path

PROSE = (
    "The gateway reads each request once, decides which account may answer it, and writes the answer back "
    "as it arrives. Nothing is stored of what people say to each other. "
)
RUSSIAN = "Шлюз читает каждый запрос один раз и решает, какая учётная запись может на него ответить. "
WIDE = a_tool(
    "Read",
    {
        "type": "object",
        "properties": {f"field_{i}": {"type": "string", "description": PROSE} for i in range(20)},
    },
)
PAYLOAD = base64.b64encode(bytes(range(256)) * 200).decode()


def estimate(*blocks: dict[str, Any], **fields: Any) -> int:
    return estimate_input_tokens(a_messages_request(user(a_text("hi"), *blocks), **fields), "claude")


BARE = estimate()


# --- against tokenizers that are not ours ---

PROMISED = ("English", "Russian", "Chinese", "Thai", "code", "JSON", "images", "tools", "all kinds in turn")


@pytest.fixture(scope="module")
def vocabularies(pytestconfig: pytest.Config) -> Path:
    return pytestconfig.cache.mkdir("vocabularies")


@pytest.fixture(scope="module")
def rows(vocabularies: Path) -> list[Row]:
    return measure(vocabularies)


@pytest.mark.needs("node")
def test_first_requests_are_estimated_within_30_percent(rows: list[Row]) -> None:
    assert [row for row in rows if row.kind in PROMISED and row.first >= 30] == []


@pytest.mark.needs("node")
def test_after_twenty_answers_estimates_are_within_10_percent(rows: list[Row]) -> None:
    of_one_kind = [row for row in rows if row.kind in PROMISED[:-1]]

    assert {row.family for row in of_one_kind} == {"claude", "gemini"}
    assert [row for row in of_one_kind if row.after_twenty >= 10] == []


@pytest.mark.needs("node")
@pytest.mark.parametrize("text", [RUSSIAN * 200, boxes(), "ประตูอ่านคำขอแต่ละรายการหนึ่งครั้งและตัดสินใจ" * 50])
def test_scripts_are_not_counted_like_english(text: str, vocabularies: Path) -> None:
    counted = claude_counter(vocabularies)(text)

    assert 0.7 * counted < text_tokens(text, "claude") < 1.3 * counted


# --- what counts ---


def test_everything_that_is_sent_counts() -> None:
    words = {"type": "text", "media_type": "text/plain", "data": PROSE}

    assert estimate({"type": "document", "source": words}) - BARE > 30
    assert (
        estimate({"type": "document", "source": {"type": "content", "content": [a_text(PROSE)]}}) - BARE > 30
    )
    assert estimate_input_tokens(a_messages_request(user("hi"), assistant(a_thinking(PROSE))), "claude") > 40
    assert estimate({"type": "from_the_future", "words": PROSE}) - BARE > 30
    assert estimate(tools=[WIDE]) - BARE > 500
    assert estimate(system=PROSE) - BARE > 30
    assert estimate(output_config={"format": {"type": "json_schema", "schema": WIDE["input_schema"]}}) > 500


def test_a_tool_loop_counts_its_calls_and_results() -> None:
    loop = [
        user("hi"),
        assistant(a_tool_use(input={"text": PROSE})),
        user(a_tool_result(content=[a_text(PROSE), an_image()])),
    ]

    assert 1_650 < estimate_input_tokens(a_messages_request(*loop), "claude") < 1_800


@pytest.mark.parametrize(
    "block",
    [
        {"type": "from_the_future", "source": {"type": "base64", "media_type": "text/x", "data": PAYLOAD}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [
            {"type": "web_search_result", "url": "https://x.y", "title": "t", "encrypted_content": PAYLOAD}]},
        {"type": "from_the_future", "bytes": PAYLOAD},
        {"type": "from_the_future", "bytes": [{"deep": PAYLOAD}]},
        {"type": "document", "source": {"type": "url", "url": "data:text/x;base64," + PAYLOAD}},
        {"type": "redacted_thinking", "data": PAYLOAD},
    ],
)  # fmt: skip
def test_base64_never_counts_as_words(block: dict[str, Any]) -> None:
    by_the_assistant = {"redacted_thinking", "web_search_tool_result"}
    message = (assistant if block["type"] in by_the_assistant else user)(a_text("hi"), block)

    assert estimate_input_tokens(a_messages_request(message), "claude") < 100


def test_our_own_source_counts_by_its_text() -> None:
    source = {"type": "web_search_result", "url": "https://x.y", "title": "t"}
    counted = [
        estimate_input_tokens(
            a_messages_request(
                user("hi"),
                assistant(
                    {
                        "type": "web_search_tool_result",
                        "tool_use_id": "s",
                        "content": [{**source, "encrypted_content": sealed(texts)}],
                    }
                ),
            ),
            "claude",
        )
        for texts in ([], [PROSE])
    ]

    assert 0 <= counted[1] - counted[0] - text_tokens(PROSE, "claude") < 5


def test_a_pdf_in_a_fetched_page_counts_by_its_pages() -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": a_pdf(b"/Type /Pages /Count 3")}
    document = {"type": "document", "source": source}
    fetched = {"type": "web_fetch_result", "url": "https://x.y", "content": document}

    counted = estimate({"type": "web_fetch_tool_result", "tool_use_id": "s", "content": fetched}) - BARE

    assert 7_500 <= counted < 7_600


# --- images and documents ---


def a_pdf(words: bytes, size: int = 1_000) -> str:
    return base64.b64encode(b"%PDF-1.7\n" + words.ljust(size, b" ") + b"\n%%EOF").decode()


def a_jpeg(width: int, height: int) -> str:
    """With as much metadata before its size as a camera writes."""
    exif = b"\xff\xe1" + struct.pack(">H", 30_000) + bytes(29_998)
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return base64.b64encode(b"\xff\xd8" + exif + frame + b"\xff\xd9").decode()


def a_png(width: int, height: int) -> str:
    return base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II9x", width, height)).decode()


def a_gif(width: int, height: int) -> str:
    return base64.b64encode(b"GIF89a" + struct.pack("<HH", width, height) + bytes(20)).decode()


def a_webp(width: int, height: int) -> str:
    size = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return base64.b64encode(b"RIFF\x1e\0\0\0WEBPVP8X" + struct.pack("<II", 10, 0) + size + bytes(20)).decode()


@pytest.mark.parametrize(
    ("data", "tokens"),
    [
        (a_jpeg(750, 500), 500),
        (a_gif(200, 200), 53),
        (a_webp(1_000, 750), 1_000),
        (a_png(1_500, 500), 1_000),
        (a_png(1_500, 1_000), 1_600),
        (a_jpeg(6_000, 600), 328),
        (a_gif(1, 1), 1),
        (PNG[:20], 1_600),
        ("not base64!", 1_600),
        ("", 1_600),
    ],
)
def test_an_image_counts_by_the_size_it_is_scaled_to(data: str, tokens: int) -> None:
    assert image_tokens(data, "claude") == tokens


def test_gemini_counts_fixed_tokens_per_image_and_page() -> None:
    assert image_tokens(PNG, "gemini") == image_tokens("", "gemini") == 1_120
    assert pdf_tokens(a_pdf(b"/Type /Pages /Count 2"), "gemini") == 2 * 560


@pytest.mark.parametrize(
    ("data", "pages"),
    [
        (a_pdf(b"<</Type /Pages /Kids [1 0 R] /Count 12>>"), 12),
        (a_pdf(b"<</Count 7 /Kids [1 0 R]/Type/Pages>>", size=500_000), 7),
        (a_pdf(b" " * 480_000 + b"<</Type/Pages/Count 9>>"), 9),
        (a_pdf(b"<</Linearized 1/L 9000/H [ 1 2 ]/O 5/E 6/N 41/T 7>>"), 41),
        (a_pdf(b"<</Type /Outlines /Count 99>>"), 1),
        (a_pdf(b"", size=750_000), 10),
        ("not base64!", 1),
    ],
)
def test_pdf_pages_are_read_or_estimated_from_size(data: str, pages: int) -> None:
    assert pdf_tokens(data, "claude") == pages * 2_500


# --- how long it takes, and what it refuses ---


def test_a_long_text_is_looked_at_in_samples() -> None:
    text = (PROSE + RUSSIAN) * (20 * SAMPLE_CHARACTERS // len(PROSE + RUSSIAN))
    in_full = sum(text_tokens(text[at : at + 1000], "claude") for at in range(0, len(text), 1000))

    assert text_tokens(text, "claude") == pytest.approx(in_full, rel=0.05)


@pytest.mark.parametrize(
    "words", [PROSE, RUSSIAN, "a" + PAYLOAD[:200] + " "], ids=["English", "Russian", "odd"]
)
def test_a_history_of_a_million_characters_takes_milliseconds(words: str) -> None:
    piece = words * (3_000 // len(words))
    history = a_messages_request(*[user(piece) for _ in range(500)])
    took = []
    for _ in range(5):
        started = time.process_time()
        estimate_input_tokens(history, "claude")
        took.append(time.process_time() - started)

    assert min(took) < 0.02


@pytest.mark.parametrize("text", ["", " ", "\0", "\ud800", "a\udc00", "😀", "\U0010ffff" * 20_000])
def test_any_text_can_be_counted(text: str) -> None:
    assert 0 <= text_tokens(text, "claude") < 5 * len(text) + 1


@pytest.mark.parametrize(
    "block",
    [
        {"type": "from_the_future", "x": "\n" * 3_000_000 + "!"},
        {"type": "from_the_future", "x": "A" * 3_000_000 + "!"},
        {"type": "image", "source": {"type": "url", "url": "data:" + "x" * 3_000_000}},
        {
            "type": "document",
            "source": {
                "type": "base64",
                "media_type": "application/pdf",
                "data": base64.b64encode(bytes(3_000_000)).decode(),
            },
        },
    ],
    ids=["newlines", "letters", "data URL", "PDF"],
)
def test_no_block_takes_long_to_count(block: dict[str, Any]) -> None:
    request = a_messages_request(user(block))
    started = time.process_time()

    estimate_input_tokens(request, "claude")

    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "content", ["x", 5, None, [], [5], ["x"], [{"type": "text"}], [{"type": 3}], [{"type": []}], [{}]]
)
def test_a_document_of_odd_content_does_not_fail(content: Any) -> None:
    block = {"type": "document", "source": {"type": "content", "content": content}}

    gathered = Gathered("claude")
    gathered.add_content([block])
    assert 0 <= gathered.tokens < 20


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [a_tool(schema=nested(400))]},
        {"messages": [assistant(a_tool_use(input=nested(400)))]},
        {"messages": [user({"type": "from_the_future", "x": nested(400)})]},
    ],
)
def test_what_is_nested_too_deeply_is_a_bad_request(fields: dict[str, Any]) -> None:
    request = a_messages_request(*fields.pop("messages", [user("hi")]), **fields)

    with pytest.raises(InvalidRequest, match="nested too deeply"):
        estimate_input_tokens(request, "claude")
