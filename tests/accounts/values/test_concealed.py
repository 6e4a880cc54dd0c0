"""The text of what holds secrets or prompts, as a traceback or a debugger would show it."""

from __future__ import annotations

import pytest

from accounts.kinds.access import Access
from gateway.dialects.anthropic.messages import MessagesParser, MessagesRequest
from gateway.dialects.base import ClientRequest
from gateway.preparation.request import LargeRequest, RequestSummary
from gateway.routing.upstream_model import upstream_model
from gateway.upstreams.base import ModelCall, PassedRequest, WireRequest

SECRET = "not-to-be-shown"
BODY = SECRET.encode()
PARSER = MessagesParser(only_counts=False, version="2023-06-01", betas=frozenset())
MODEL = upstream_model("claude-sonnet-4-6", header_mode="antigravity")


@pytest.mark.parametrize(
    "value",
    [
        Access(SECRET, {"project_id": SECRET}),
        ClientRequest(SECRET.encode(), {"x-api-key": SECRET}, SECRET),
        MessagesRequest(SECRET, 1, [{"role": "user", "content": SECRET}], system=SECRET),
        LargeRequest(SECRET, 1, [], body=BODY, parser=PARSER, unsigned_calls=(), signature_keys=()),
        RequestSummary(1, 0, SECRET, None, [{"content": SECRET}]),
        ModelCall(Access(SECRET), MODEL, SECRET, {"contents": SECRET}),
        PassedRequest([SECRET.encode()], {"authorization": SECRET}),
        WireRequest("/", {"authorization": SECRET}, [SECRET.encode()]),
    ],
)
def test_its_content_is_not_shown(value: object) -> None:
    for text in (repr(value), str(value), f"{[value]}"):
        assert SECRET not in text
        assert type(value).__name__ in text
