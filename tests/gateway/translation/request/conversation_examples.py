"""Conversations as clients send them: with tools, thinking, interruptions and a change of model anywhere.

Signatures are genuine ones of the emulator, for the very text they sign. Files and the words beside them are
each there once, so that they can be looked for in what Google gets.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from proxy_site.emulator.pretend_model.signatures import Signatures
from tests.builders import (
    CLAUDE,
    CLAUDE_THINKING,
    GEMINI_2_5,
    GEMINI_3,
    GPT,
    PNG,
    a_text,
    a_thinking,
    a_tool,
    a_tool_result,
    a_tool_use,
    an_image,
)

Shape = Callable[[str, str], list[dict[str, Any]]]
"""Blocks that hold a word and a file in base64."""

ISSUED = Signatures()
TOOLS = ["Read", "mcp__files__list", "9lives", "x" * 80]
OTHER_NAMES = ["not.declared", "default_api:Read", "Later"]
WORDS = st.sampled_from(["Yes.", "  indented", "line\n", "ünïcode ✓", "a" * 300])
MODELS = st.sampled_from(
    [
        CLAUDE,
        CLAUDE_THINKING,
        "claude-sonnet-4-6",
        GEMINI_3,
        "gemini-3-pro",
        "gemini-3-flash",
        GEMINI_2_5,
        GPT,
    ]
)
SPEAKERS_OF_CHANGES: list[dict[str, Any]] = [
    {"role": "system"},
    {"role": "system", "output_config": {"effort": "low"}},
    {"role": "user"},
]
ORIGINS = st.sampled_from(["claude", "gemini", "gpt"])


@dataclass
class Conversation:
    body: dict[str, Any]
    target: str
    header_mode: str
    traits: dict[str, bool] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    """That stand in blocks which have no counterpart."""
    files: list[str] = field(default_factory=list)
    """The base64 of what stands there, too: PNG and PDF."""


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    author = _Author(draw)
    messages = author.write()
    body = {"model": "any", "max_tokens": draw(st.sampled_from([64, 5_000, 128_000])), "messages": messages}
    if draw(st.integers(0, 4)):
        body["tools"] = [*(a_tool(name) for name in TOOLS), a_tool("Later", defer_loading=True)]
        body |= draw(_tool_choices())
    body |= draw(_thinking(body))
    body |= draw(_options(body))
    header_mode = draw(st.sampled_from(["cli", "antigravity"]))
    words, files = author.marked.in_messages(messages)
    return Conversation(body, draw(MODELS), header_mode, author.traits(), words, files)


class _Author:
    """Writes turn by turn, and remembers what it has written."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._messages: list[dict[str, Any]] = []
        self._calls = 0
        self._origins: set[str] = set()
        self._has = {
            "thinking": False,
            "tools": False,
            "parallel_calls": False,
            "interruption": False,
            "tool_changes": False,
        }
        self.marked = _Marked(draw)

    def traits(self) -> dict[str, bool]:
        return {**self._has, "model_switch": len(self._origins) > 1, "files": bool(self.marked.files)}

    def write(self) -> list[dict[str, Any]]:
        for _ in range(self._draw(st.integers(1, 4))):
            self._say("user", self._draw(st.lists(_user_blocks(), min_size=1, max_size=2)))
            self._change_tools()
            origin = self._draw(ORIGINS)
            for _ in range(self._draw(st.integers(0, 3))):
                if not self._one_round_of_tools(origin):
                    break
                origin = self._draw(st.one_of(st.just(origin), ORIGINS))
            else:
                self._answer(origin)
        self._end()
        return self._messages

    def _say(self, role: str, blocks: list[dict[str, Any]]) -> None:
        if blocks:
            as_system = role == "user" and self._draw(st.integers(0, 9)) == 0
            is_only_text = all(block["type"] == "text" for block in blocks)
            self._messages.append(
                {"role": "system" if as_system and is_only_text else role, "content": blocks}
            )

    def _change_tools(self) -> None:
        changes = self._draw(st.lists(_tool_changes(), max_size=2))
        if changes:
            self._has["tool_changes"] = True
            speaker: dict[str, Any] = self._draw(st.sampled_from(SPEAKERS_OF_CHANGES))
            self._messages.append({**speaker, "content": changes})

    def _one_round_of_tools(self, origin: str) -> bool:
        """False when the user interrupted it."""
        draw = self._draw
        blocks = self._thoughts(origin)
        if draw(st.booleans()):
            blocks.append(a_text(draw(WORDS)))
        calls = [self._call(origin, blocks) for _ in range(draw(st.sampled_from([1, 1, 2, 3])))]
        if draw(st.integers(0, 5)) == 0:
            blocks.append(a_text("One more thing."))
        blocks += self.marked.blocks()
        self._say("assistant", blocks)
        self._has["tools"] = True
        self._has["parallel_calls"] |= len(calls) > 1
        results = [a_tool_result(call, self._result(), is_error=draw(st.booleans())) for call in calls]
        if draw(st.integers(0, 3)) == 0:
            self._has["interruption"] = True
            self._say("user", [*results[1:], a_text("Stop. Do something else.")])
            return False
        self._say("user", [*draw(st.permutations(results)), *draw(st.lists(_user_blocks(), max_size=1))])
        return True

    def _call(self, origin: str, blocks: list[dict[str, Any]]) -> str:
        self._calls += 1
        self._origins.add(origin)
        tool_use_id = self._draw(st.sampled_from([f"toolu_{self._calls}", f"call.{self._calls}:" + "i" * 70]))
        if origin == "gemini" and self._draw(st.booleans()):
            blocks.append(a_thinking("", "gemini#" + ISSUED.issue("gemini", str(self._calls))))
        if origin == "claude" and blocks and self._draw(st.integers(0, 3)) == 0:
            blocks.append(_thought("claude", f"Interleaved {self._calls}"))
        blocks.append(a_tool_use(tool_use_id, self._draw(st.sampled_from([*TOOLS, *OTHER_NAMES]))))
        return tool_use_id

    def _answer(self, origin: str) -> None:
        self._origins.add(origin)
        blocks = self._thoughts(origin)
        blocks += self.marked.blocks()
        if not blocks or self._draw(st.integers(0, 9)):
            blocks.append(a_text(self._draw(WORDS)))
        self._say("assistant", blocks)

    def _thoughts(self, origin: str) -> list[dict[str, Any]]:
        kind = self._draw(st.sampled_from(["none", "signed", "signed", "unsigned", "foreign", "redacted"]))
        if kind == "none" or origin == "gpt":
            return []
        self._has["thinking"] = True
        if kind == "signed":
            return [_thought(origin, self._draw(WORDS))]
        if kind == "redacted":
            return [{"type": "redacted_thinking", "data": "b3BhcXVl"}]
        return [a_thinking("I think", "" if kind == "unsigned" else "gpt#abcd")]

    def _result(self) -> Any:
        result = self._draw(
            st.sampled_from(["", "done", [a_text("one"), an_image()], [an_image()], None, [_DOCUMENT], ...])
        )
        return self.marked.blocks(SHAPES[1:]) if result is ... else result

    def _end(self) -> None:
        """With the user, or with a prefill."""
        if self._messages[-1]["role"] != "assistant" or self._draw(st.integers(0, 3)):
            self._say("user", [a_text("Go on.")])
        elif self._messages[-1]["content"][-1]["type"] == "text":
            self._messages[-1]["content"][-1]["text"] = "I would say"


class _Marked:
    """Blocks of server tools, of MCP, of other APIs, and of a stream."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self.words: list[str] = []
        self.files: list[str] = []

    def in_messages(self, messages: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
        """The words and files that are there: an interrupted call has no result."""
        everything = repr(messages)
        there = [pair for pair in zip(self.words, self.files, strict=True) if pair[1] in everything]
        return [word for word, _ in there], [file for _, file in there]

    def blocks(self, shapes: list[Shape] | None = None) -> list[dict[str, Any]]:
        shapes = self._draw(st.lists(st.sampled_from(shapes or SHAPES), max_size=2))
        return [block for shape in shapes for block in shape(self._word(), self._file())]

    def _word(self) -> str:
        self.words.append(f"word{len(self.words)}.")
        return self.words[-1]

    def _file(self) -> str:
        """Long enough to be told from words without anything beside it."""
        number = len(self.files)
        head = self._draw(st.sampled_from([b"%PDF-1.7\n", base64.b64decode(PNG)]))
        body = b"".join(hashlib.sha256(f"{number} {part}".encode()).digest() for part in range(20))
        self.files.append(base64.b64encode(head + body).decode())
        return self.files[-1]


def _media_type(file: str) -> str:
    return "application/pdf" if file.startswith("JVBERi0") else "image/png"


def _fetched(word: str, file: str) -> list[dict[str, Any]]:
    """The media type is Anthropic's only one here, whatever the file is."""
    source = {"type": "base64", "media_type": "application/pdf", "data": file}
    document = {"type": "document", "title": word, "source": source}
    content = {"type": "web_fetch_result", "url": "https://x.y/a", "content": document}
    return [{"type": "web_fetch_tool_result", "tool_use_id": "srvtoolu_1", "content": content}]


def _executed(word: str, file: str) -> list[dict[str, Any]]:
    output = {"type": "code_execution_output", "file_id": "file_1", "file": {"base64": file}}
    content = {
        "type": "code_execution_result",
        "stdout": word,
        "stderr": "",
        "return_code": 0,
        "content": [output],
    }
    return [{"type": "code_execution_tool_result", "tool_use_id": "srvtoolu_2", "content": content}]


def _of_mcp(word: str, file: str) -> list[dict[str, Any]]:
    resource = {"type": "resource", "resource": {"uri": "a:b", "mimeType": _media_type(file), "blob": file}}
    return [{"type": "mcp_tool_result", "tool_use_id": "m", "content": [a_text(word), resource]}]


def _of_another_api(word: str, file: str) -> list[dict[str, Any]]:
    url = f"data:{_media_type(file)};base64,{file}"
    return [{"type": "image_url", "image_url": {"url": url, "detail": [{"said": word}]}}]


def _of_the_future(word: str, file: str) -> list[dict[str, Any]]:
    content: Any = {"bare": [file], "said": {"deep": word}}
    return [{"type": "dream_tool_result", "content": [{"type": "dream", "content": [content]}]}]


def _of_a_stream(word: str, file: str) -> list[dict[str, Any]]:
    half = len(word) // 2
    pieces = [{"type": "text_delta", "text": text, "index": 0} for text in (word[:half], word[half:])]
    return [*pieces, {"type": "input_json_delta", "index": 1, "partial_json": "{"}, *_fetched("T", file)]


SHAPES: list[Shape] = [_of_a_stream, _fetched, _executed, _of_mcp, _of_another_api, _of_the_future]


def _tool_changes() -> st.SearchStrategy[dict[str, Any]]:
    names, legal_names = (
        st.sampled_from([*TOOLS, "Later", "not.declared"]),
        st.sampled_from([*TOOLS, "Later"]),
    )
    by_name = st.builds(lambda name: {"type": "tool_reference", "name": name}, names)
    by_value = st.builds(lambda name: {"type": "tool_definition", "definition": a_tool(name)}, legal_names)
    addition = st.builds(lambda tool: {"type": "tool_addition", "tool": tool}, by_name | by_value)
    removal = st.builds(lambda tool: {"type": "tool_removal", "tool": tool}, by_name)
    return addition | removal | st.just(a_text("Mind the gap."))


def _thought(origin: str, text: str) -> dict[str, Any]:
    return a_thinking(text, f"{origin}#" + ISSUED.issue("claude" if origin == "claude" else "gemini", text))


_DOCUMENT = {
    "type": "document",
    "title": "Paper",
    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
}


def _user_blocks() -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from(
        [
            a_text("Hello", cache_control={"type": "ephemeral"}),
            a_text("   "),
            an_image(),
            _DOCUMENT,
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
            {"type": "document", "source": {"type": "content", "content": [a_text("inner"), an_image()]}},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}},
            {"type": "image", "source": {"type": "url", "url": f"data:image/png;base64,{PNG}"}},
            {"type": "search_result", "source": "s", "title": "t", "content": [a_text("found")]},
            {"type": "container_upload", "file_id": "file_1"},
            {"type": "from_the_future", "anything": [1, None]},
        ]
    )


def _tool_choices() -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from(
        [
            {},
            {},
            {"tool_choice": {"type": "auto"}},
            {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
            {"tool_choice": {"type": "tool", "name": TOOLS[2]}},
            {"tool_choice": {"type": "none"}},
        ]
    )


@st.composite
def _thinking(draw: st.DrawFn, body: dict[str, Any]) -> dict[str, Any]:
    is_forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
    choices: list[dict[str, Any]] = [
        {},
        {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "max"}},
        {"thinking": {"type": "adaptive"}},
        {"thinking": {"type": "disabled"}},
    ]
    if body["max_tokens"] > 2_000 and not is_forced:
        choices.append({"thinking": {"type": "enabled", "budget_tokens": body["max_tokens"] - 1}})
    return draw(st.sampled_from(choices))


@st.composite
def _options(draw: st.DrawFn, body: dict[str, Any]) -> dict[str, Any]:
    options = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "system": st.sampled_from(
                    ["Be brief.", [a_text("x-anthropic-billing-header: a=1;"), a_text("B")]]
                ),
                "top_p": st.sampled_from([0.5, 0.97, 1]),
                "top_k": st.sampled_from([0, 40]),
                "stop_sequences": st.lists(st.text("abc", min_size=1), max_size=7),
                "temperature": st.sampled_from([0, 0.5, 1]),
                "context_management": st.just({"edits": []}),
                "metadata": st.just({"user_id": "u"}),
            },
        )
    )
    if body.get("thinking", {}).get("type") == "enabled":
        for excluded in ("temperature", "top_p", "top_k"):
            options.pop(excluded, None)
    return options
