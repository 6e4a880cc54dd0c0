"""Reading the emulator's answers, by the book."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from tests.proxy_site.emulator.builders import Json, a_text_request

if TYPE_CHECKING:
    import httpx

STREAM = "/v1internal:streamGenerateContent?alt=sse"
WHOLE = "/v1internal:generateContent"


def stream(
    http: httpx.Client, envelope: Json | None = None, headers: dict[str, str] | None = None
) -> httpx.Response:
    return http.post(STREAM, json=envelope or a_text_request(), headers=headers)


def chunks_in(answer: httpx.Response) -> list[Json]:
    events = answer.text.replace("\r\n", "\n").split("\n\n")
    return [orjson.loads(event.removeprefix("data: ")) for event in events if event]


def parts_in(chunks: list[Json]) -> list[Json]:
    return [
        part
        for chunk in chunks
        for candidate in chunk["response"].get("candidates") or []
        for part in candidate["content"].get("parts") or []
    ]


def text_in(chunks: list[Json]) -> str:
    return "".join(part["text"] for part in parts_in(chunks) if "text" in part and not part.get("thought"))


def last_of(chunks: list[Json], name: str) -> Any:
    return chunks[-1]["response"]["candidates"][0].get(name)


def message_of(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["message"])
