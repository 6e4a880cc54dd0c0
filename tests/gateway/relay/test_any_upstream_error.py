"""An upstream's error of any shape becomes a sentence for the client that is safe for a terminal."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from accounts.google.errors import parse_error
from accounts.pool.pool import PooledAccount
from accounts.values.sanitize import UNSAFE
from gateway.dialects.anthropic.dialect import ANTHROPIC
from gateway.relay.error_policy import as_prompt_too_long, failure_of
from tests.accounts.values.any_json import ANYTHING, ERROR, HEADERS, encoded

NOW = datetime(2026, 3, 1, 13, 0, tzinfo=UTC)
ADA = PooledAccount(1, "ada@example.com", "project-1")


NASTY = encoded({"error": {"message": "two\r\nlines \x1b]0;title\x07 \u202e \0"}})


@example(400, NASTY, {"retry-after": "nan"})
@example(429, NASTY, {"retry-after": "9" * 400})
@example(502, b"\x1b[2J<html>", {})
@settings(max_examples=300)
@given(st.integers(300, 999), (ERROR | ANYTHING).map(encoded) | st.binary(), HEADERS)
def test_an_error_of_any_shape_reaches_the_client_safely(
    status: int, raw: bytes, headers: dict[str, str]
) -> None:
    upstream_error = as_prompt_too_long(parse_error(status, raw, headers, NOW), 1000, 200_000)

    error = failure_of(upstream_error).as_error(ADA)

    assert 400 <= error.status < 600
    assert error.message
    assert not UNSAFE.search(error.message.replace("\n", "").replace("\t", ""))
    body = orjson.loads(orjson.dumps(ANTHROPIC.error_body(error, "req_1")))
    assert body["error"]["message"] == error.message
    assert all(value.isascii() for value in error.as_headers().values())
