from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from gateway.dialects.anthropic.dialect import ANTHROPIC
from gateway.dialects.anthropic.messages import OLDEST_VERSION, MessagesParser
from gateway.errors import InvalidRequest, RateLimited

if TYPE_CHECKING:
    from gateway.dialects.base import Dialect

A_BODY = {"model": "claude-sonnet-4-6", "max_tokens": 10, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.parametrize(
    ("header", "version"),
    [
        ("", OLDEST_VERSION),
        (" ", OLDEST_VERSION),
        ("2023-01-01", "2023-01-01"),
        (" 2023-01-01 , 2023-06-01", "2023-01-01"),
        (",2023-01-01", OLDEST_VERSION),
    ],
)
def test_the_first_version_counts(header: str, version: str) -> None:
    assert ANTHROPIC.parser({"anthropic-version": header}).version == version


def test_betas_of_several_headers_are_joined() -> None:
    assert ANTHROPIC.parser({"anthropic-beta": "one, two,two"}).betas == {"one", "two"}


def test_no_headers_are_the_oldest_rules() -> None:
    assert ANTHROPIC.parser({}) == MessagesParser(False, OLDEST_VERSION, frozenset({""}))


def test_a_parser_survives_the_way_to_a_worker() -> None:
    parser = ANTHROPIC.parser({"anthropic-beta": "one"})

    assert pickle.loads(pickle.dumps(parser)).parse(A_BODY) == parser.parse(A_BODY)


def test_only_a_count_needs_no_max_tokens() -> None:
    body = {name: value for name, value in A_BODY.items() if name != "max_tokens"}

    assert ANTHROPIC.parser({}, only_counts=True).parse(body).max_tokens == 0
    with pytest.raises(InvalidRequest, match="max_tokens"):
        ANTHROPIC.parser({}).parse(body)


def test_an_error_is_the_same_in_body_and_stream() -> None:
    dialect: Dialect = ANTHROPIC
    error = RateLimited("Wait.", retry_after_seconds=2)
    text = b'{"type":"error","error":{"type":"rate_limit_error","message":"Wait."},"request_id":"req_1"}'

    assert dialect.error_event(error, "req_1") == b"event: error\ndata: %b\n\n" % text
    assert dialect.error_body(error, "req_1") == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "Wait."},
        "request_id": "req_1",
    }
