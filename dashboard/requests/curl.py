"""A request as a shell command, without its prompt, which is not stored anywhere. Pure."""

from __future__ import annotations

import json
import shlex

HEADERS = ("anthropic-version: 2023-06-01", "content-type: application/json")
KEY = "authorization: Bearer $ANTHROPIC_AUTH_TOKEN"
MAX_TOKENS = 1024
PROMPT = "Hello"


def curl(base_url: str, model: str, *, is_stream: bool) -> str:
    """Return the command for sh and similar shells, on several lines. `model` is the client's text, and may
    be anything."""
    body = {
        "model": model,
        "max_tokens": MAX_TOKENS,
        "stream": is_stream,
        "messages": [{"role": "user", "content": PROMPT}],
    }
    parts = [
        f"curl{' --no-buffer' if is_stream else ''} {shlex.quote(f'{base_url}/v1/messages')}",
        f'-H "{KEY}"',
        *(f"-H {shlex.quote(header)}" for header in HEADERS),
        f"-d {shlex.quote(json.dumps(body))}",
    ]
    return " \\\n  ".join(parts)
