"""A request as Claude Code sends it in the middle of a session: 20 tools, 40 messages, about 125 kB.

Shares of that: a third are descriptions and schemas of tools, a tenth is the system prompt, and the rest
is the conversation, most of it results of tools. Built from the same words each time.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.canned_answers import SIGNATURE

TOOLS = (
    "Agent", "AskUserQuestion", "Bash", "BashOutput", "Edit", "EnterPlanMode", "ExitPlanMode", "Glob", "Grep",
    "KillShell", "MultiEdit", "NotebookEdit", "Read", "Skill", "TaskCreate", "TaskUpdate", "ToolSearch",
    "WebFetch", "WebSearch", "Write",
)  # fmt: skip
CALLS = 19
VOCABULARY = (
    "the file to read must be an absolute path and not a relative one when you edit text keep its exact "
    "indentation tabs spaces as they appear before never guess use this tool only if user asks for it "
    "results are returned with line numbers starting at one"
)
CODE = (
    "def handle(request: Request) -> Response:",
    '    """Answers one request, "quoted" or not."""',
    "    account = pool.choose(request.model, tried=set())",
    "    if account is None:",
    "        raise NoAccount(f'none of {len(pool)} accounts is left')",
    "    return Response(status=200, body=account.send(request))  # the first that can",
    "",
)


def claude_code_request(calls: int = CALLS, tools: int = len(TOOLS)) -> dict[str, Any]:
    """Build the request of a conversation with so many calls so far, 3.7 kB each with its result, and so many
    tools of 2 kB. Beyond those of Claude Code, tools have a number behind their name."""
    writer = _Writer(seed=1)
    return {
        "model": "claude-opus-5-5",
        "max_tokens": 32000,
        "stream": True,
        "thinking": {"type": "adaptive"},
        "metadata": {"user_id": '{"session_id":"1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"}'},
        "system": _system(writer),
        "tools": [_tool(writer, name) for name in _tool_names(tools)],
        "messages": _messages(writer, calls),
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    }


CLAUDE_CODE_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Authorization": "Bearer benchmark",
    "Content-Type": "application/json",
    "User-Agent": "claude-cli/2.1.330 (external, cli)",
    "X-Claude-Code-Session-Id": "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed",
    "X-Stainless-Arch": "x64",
    "X-Stainless-Lang": "js",
    "X-Stainless-OS": "Linux",
    "X-Stainless-Package-Version": "0.94.0",
    "X-Stainless-Retry-Count": "0",
    "X-Stainless-Runtime": "node",
    "X-Stainless-Runtime-Version": "v24.3.0",
    "X-Stainless-Timeout": "600",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27",
    "anthropic-dangerous-direct-browser-access": "true",
    "anthropic-version": "2023-06-01",
    "x-app": "cli",
}


class _Writer:
    """Generates texts of a given length, the same in each run."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def prose(self, length: int) -> str:
        words: list[str] = []
        while sum(map(len, words)) + len(words) < length:
            words += self._random.choices(VOCABULARY.split(), k=10)
        return " ".join(words)[:length]

    def code(self, length: int) -> str:
        """A file as the Read tool shows it."""
        lines: list[str] = []
        while sum(map(len, lines)) < length:
            lines.append(f"{len(lines) + 1:6}\t{self._random.choice(CODE)}\n")
        return "".join(lines)


def _system(writer: _Writer) -> list[dict[str, Any]]:
    return [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330; cc_entrypoint=cli;"},
        {"type": "text", "text": "You are Claude Code, Anthropic's official CLI for Claude."},
        {"type": "text", "text": writer.prose(12_000), "cache_control": {"type": "ephemeral"}},
    ]


def _tool(writer: _Writer, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "description": writer.prose(1200),
        "input_schema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "file_path": {"type": "string", "description": writer.prose(120)},
                "limit": {"type": "integer", "exclusiveMinimum": 0, "description": writer.prose(80)},
                "mode": {"type": "string", "enum": ["content", "files", "count"], "default": "files"},
                "pattern": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "null"}]},
                "todos": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "content": {"type": "string", "minLength": 1},
                            "status": {"type": "string", "enum": ["pending", "in_progress", "completed"]},
                        },
                        "required": ["content", "status"],
                        "additionalProperties": False,
                    },
                },
            },
            "required": ["file_path"],
            "additionalProperties": False,
        },
    }


def _tool_names(count: int) -> list[str]:
    return [f"{name}{number or ''}" for number in range(count // len(TOOLS) + 1) for name in TOOLS][:count]


def _messages(writer: _Writer, calls: int) -> list[dict[str, Any]]:
    """The conversation: a question, calls and their results, and a reminder at the end, as newer models get
    it."""
    question = {"role": "user", "content": [{"type": "text", "text": writer.prose(900)}]}
    exchanges = [message for number in range(calls) for message in _call_and_result(writer, number)]
    return [question, *exchanges, {"role": "system", "content": writer.prose(300)}]


def _call_and_result(writer: _Writer, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    tool_use_id = f"toolu_{number:024}"
    call = [
        {"type": "thinking", "thinking": writer.prose(200), "signature": f"claude#{SIGNATURE}"},
        {"type": "text", "text": writer.prose(100)},
        {"type": "tool_use", "id": tool_use_id, "name": "Read", "input": {"file_path": f"/src/{number}.py"}},
    ]
    result = [{"type": "tool_result", "tool_use_id": tool_use_id, "content": writer.code(2500)}]
    return {"role": "assistant", "content": call}, {"role": "user", "content": result}
