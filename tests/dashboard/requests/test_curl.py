"""Copy as curl: whatever a client called its model, a shell hands it to curl unchanged."""

from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.requests.curl import curl

HOSTILE = [
    "claude-sonnet-4-6",
    "",
    "it's",
    "'; rm -rf ~; '",
    '"$(id)" `id` $HOME ${IFS} !! \\',
    "a\nb\r\n\x00\x1b[31m",
    "@/etc/passwd",
    "-o /tmp/x --next http://example.com",
    "\u2028 \u202e é \U0001f600 \ud800",
    "</pre><script>alert(1)</script>",
    "%s%n\t'\\''",
    "x" * 200,
]
SHOW_ARGUMENTS = 'curl() { for one in "$@"; do printf "%s\\0" "$one"; done; }\n'


def arguments_of(command: str) -> list[str]:
    """What sh hands to curl."""
    checked = subprocess.run(["sh", "-n"], input=command.encode(), check=True, capture_output=True)
    assert checked.stderr == b""
    ran = subprocess.run(
        ["sh"],
        input=(SHOW_ARGUMENTS + command).encode(),
        check=True,
        capture_output=True,
        env={"ANTHROPIC_AUTH_TOKEN": "sk-1"},
    )
    assert ran.stderr == b""
    return ran.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("model", HOSTILE, ids=range(len(HOSTILE)))
def test_a_shell_hands_over_any_model_unchanged(model: str) -> None:
    arguments = arguments_of(curl("http://127.0.0.1:8672", model, is_stream=True))

    assert arguments[:-1] == [
        *("--no-buffer", "http://127.0.0.1:8672/v1/messages"),
        *("-H", "authorization: Bearer sk-1"),
        *("-H", "anthropic-version: 2023-06-01"),
        *("-H", "content-type: application/json"),
        "-d",
    ]
    body = json.loads(arguments[-1])
    assert (body["model"], body["stream"]) == (model, True)


@given(st.text(st.characters(exclude_categories=())))
@settings(max_examples=300)
def test_a_command_is_printable_ascii_with_one_body(model: str) -> None:
    command = curl("http://127.0.0.1:8672", model, is_stream=False)

    assert command.isascii()
    assert command.replace("\n", "").isprintable()
    assert command.count("\n") == 4
