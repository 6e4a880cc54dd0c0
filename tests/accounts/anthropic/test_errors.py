"""What each error of Anthropic and of compatible servers means."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.anthropic.compatible_errors import compatible_error_in_stream, parse_compatible_error
from accounts.anthropic.errors import anthropic_error_in_stream, parse_anthropic_error
from accounts.failures import FailureKind as K
from accounts.failures import Scope
from gateway.translation.response.errors import prompt_too_long
from proxy_site.emulator.anthropic_api import errors, faults
from proxy_site.emulator.compatible import faults as compatible

if TYPE_CHECKING:
    from proxy_site.emulator.anthropic_api.errors import AnthropicError
    from proxy_site.emulator.delivery.behaviour import Behaviour

NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)
TO_FEBRUARY = (datetime(2027, 2, 1, tzinfo=UTC) - NOW).total_seconds()

ANTHROPIC = [
    (errors.authentication(), K.KEY_REFUSED, None, Scope.ACCOUNT),
    (errors.spend_limit_of_ones_own(), K.SPEND_LIMIT, TO_FEBRUARY, Scope.QUOTA_GROUP),
    (errors.spend_limit_of_ones_own(workspace=True), K.SPEND_LIMIT, TO_FEBRUARY, Scope.QUOTA_GROUP),
    (errors.enforced_spend_limit(), K.SPEND_LIMIT, TO_FEBRUARY, Scope.QUOTA_GROUP),
    (errors.contract_spend_limit(), K.OUT_OF_CREDIT, None, Scope.QUOTA_GROUP),
    (errors.ramp_limit(20), K.RATE_LIMIT, 20.0, Scope.QUOTA_GROUP),
    (errors.rate_limited(12), K.RATE_LIMIT, 12.0, Scope.QUOTA_GROUP),
    (errors.billing(), K.OUT_OF_CREDIT, None, Scope.QUOTA_GROUP),
    (errors.credit_too_low(), K.OUT_OF_CREDIT, None, Scope.QUOTA_GROUP),
    (errors.organization_on_hold(faults.APPEAL), K.DISABLED, None, Scope.QUOTA_GROUP),
    (errors.claude_code_too_old(), K.CLIENT_TOO_OLD, None, Scope.ACCOUNT),
    (errors.permission(), K.FORBIDDEN, None, Scope.ACCOUNT),
    (errors.model_not_found("x"), K.NOT_FOUND, None, Scope.ACCOUNT),
    (errors.conflict(), K.BAD_REQUEST, None, Scope.ACCOUNT),
    (errors.too_large(), K.TOO_LARGE, None, Scope.ACCOUNT),
    (errors.internal(), K.SERVER_ERROR, None, Scope.ACCOUNT),
    (errors.internal("Overloaded"), K.CAPACITY, None, Scope.ACCOUNT),
    (errors.timeout(), K.SERVER_ERROR, None, Scope.ACCOUNT),
    (errors.overloaded(), K.CAPACITY, None, Scope.ACCOUNT),
    (errors.invalid_request("max_tokens: Field required"), K.BAD_REQUEST, None, Scope.ACCOUNT),
    (errors.invalid_request("messages.1.content.0: Invalid `signature` in `thinking` block"),
     K.BAD_SIGNATURE, None, Scope.ACCOUNT),
    (errors.invalid_request("Expected `thinking` or `redacted_thinking`, but found `tool_use`"),
     K.BAD_SIGNATURE, None, Scope.ACCOUNT),
]  # fmt: skip


@pytest.mark.parametrize(("error", "kind", "wait", "scope"), ANTHROPIC)
def test_what_an_error_of_anthropic_means(
    error: AnthropicError, kind: K, wait: float | None, scope: Scope
) -> None:
    found = parse_anthropic_error(error.status, orjson.dumps(error.body), error.headers, NOW)

    assert (found.kind, found.wait_seconds, found.scope) == (kind, wait, scope)
    assert found.message == error.message


def test_a_spend_limit_without_a_date_ends_with_the_month() -> None:
    body = errors.enforced_spend_limit().body
    body["error"]["message"] = "You have reached your monthly API spend limit."

    found = parse_anthropic_error(429, orjson.dumps(body), {}, datetime(2027, 12, 31, 23, tzinfo=UTC))

    assert (found.kind, found.wait_seconds) == (K.SPEND_LIMIT, 3600.0)


@pytest.mark.parametrize(
    ("page", "is_shown"),
    [
        (faults.APPEAL, True),
        ("https://support.anthropic.com/x", True),
        ("http://claude.com/x", False),
        ("https://claude.com.example/x", False),
        ("javascript:alert(1)", False),
        ("https://[claude.com", False),
    ],
)
def test_only_a_page_of_anthropics_own_is_shown(page: str, is_shown: bool) -> None:
    error = errors.organization_on_hold(page)

    found = parse_anthropic_error(400, orjson.dumps(error.body), {}, NOW)

    assert found.link == (page if is_shown else "")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.overloaded(), K.CAPACITY),
        (errors.internal(), K.SERVER_ERROR),
        (errors.rate_limited(), K.UNKNOWN_LIMIT),
        (errors.too_large(), K.TOO_LARGE),
    ],
)
def test_an_error_in_a_stream_is_known_by_its_type(error: AnthropicError, kind: K) -> None:
    assert anthropic_error_in_stream(error.body, NOW).kind is kind


LOOP = '{"type": "error", "error": {"type": "api_error", "message": "This request has come back."}}'
COMPATIBLE = [
    (compatible.compatible_no_credit(), K.OUT_OF_CREDIT),
    (compatible.compatible_provider_error(429), K.UNKNOWN_LIMIT),
    (compatible.compatible_provider_error(400, "not JSON"), K.BAD_REQUEST),
    (compatible.compatible_context_size(), K.PROMPT_TOO_LONG),
    (compatible.compatible_detail(), K.BAD_REQUEST),
    (compatible.compatible_detail(422, [{"loc": ["body"], "msg": "Field required"}]), K.BAD_REQUEST),  # type: ignore[arg-type]
    (compatible.compatible_plain_text(), K.WRONG_ADDRESS),
    (compatible.compatible_plain_text(404, "model 'x' not found"), K.NOT_FOUND),
    (compatible.compatible_plain_text(502, "<html>Bad gateway</html>"), K.SERVER_ERROR),
    (compatible.compatible_plain_text(401, "who are you"), K.KEY_REFUSED),
    (compatible.compatible_plain_text(508, LOOP), K.IN_A_CIRCLE),
    (compatible.compatible_redirect("https://example.com"), K.WRONG_ADDRESS),
]


@pytest.mark.parametrize(("answer", "kind"), COMPATIBLE)
def test_what_an_error_of_a_compatible_server_means(answer: Behaviour, kind: K) -> None:
    found = parse_compatible_error(answer.status or 200, answer.body or b"", {}, NOW)

    assert found.kind is kind
    assert found.message
    assert found.body["type"] == "error"


def test_errors_in_anthropics_own_shape_mean_what_they_mean_there() -> None:
    for error, kind, wait, _ in ANTHROPIC:
        found = parse_compatible_error(error.status, orjson.dumps(error.body), error.headers, NOW)
        assert (found.kind, found.wait_seconds) == (kind, wait)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (403, b'{"error": {"message": "Model x is not in\\nyour plan."}}', "Model x is not in your plan"),
        (403, b'{"type": "error", "error": {"type": "permission_error", "message": "No."}}', "No"),
        (403, b'{"detail": "\\u001b[2JNot here"}', "\\x1b[2JNot here"),
        (403, b"<html>Blocked</html>", "The server answers 403 with an HTML page"),
        (403, b'{"error": "%b"}' % (b"x" * 5000), "x" * 150),
        (401, b'{"error": {"message": "Who are you?"}}', ""),
        (500, b'{"error": {"message": "Oops"}}', ""),
    ],
)
def test_a_server_says_itself_why_it_forbids(status: int, body: bytes, said: str) -> None:
    assert parse_compatible_error(status, body, {}, NOW).said == said


@pytest.mark.parametrize(
    ("status", "should_retry", "kind"),
    [
        (503, "false", K.NO_RETRY_HELPS),
        (503, "true", K.SERVER_ERROR),
        (503, "", K.SERVER_ERROR),
        (429, "false", K.UNKNOWN_LIMIT),
        (401, "false", K.KEY_REFUSED),
        (508, "false", K.IN_A_CIRCLE),
    ],
)
def test_a_gateway_may_say_that_no_retry_helps(status: int, should_retry: str, kind: K) -> None:
    said = "No account can be used now."
    raw = orjson.dumps({"type": "error", "error": {"type": "api_error", "message": said}})

    found = parse_compatible_error(status, raw, {"x-should-retry": should_retry}, NOW)

    assert found.kind is kind
    assert found.said == ("No account can be used now" if kind is K.NO_RETRY_HELPS else "")


def test_the_error_of_the_provider_behind_is_told() -> None:
    found = parse_compatible_error(429, compatible.compatible_provider_error().body or b"", {}, NOW)

    assert found.message == "slow down"


@pytest.mark.parametrize(
    ("error", "tokens"),
    [
        ({"message": "exceeds the available context size", "n_prompt_tokens": 20480, "n_ctx": 16384},
         (20480, 16384)),
        ({"message": "This model's maximum context length is 8192 tokens. You requested 9000 tokens"},
         (9000, 8192)),
        ({"message": "context length exceeded"}, (None, None)),
    ],
)  # fmt: skip
def test_a_prompt_that_is_too_long_is_told_as_anthropic_tells_it(
    error: dict[str, Any], tokens: tuple[int | None, int | None]
) -> None:
    found = parse_compatible_error(400, orjson.dumps({"error": error}), {}, NOW)

    assert found.kind is K.PROMPT_TOO_LONG
    assert prompt_too_long(found.body) == tokens


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["type", "error", "message", "details", "detail", "code", "metadata", "raw"]), inner
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(status=st.integers(300, 599), value=JSON, raw=st.binary() | st.none())
def test_any_body_becomes_a_failure(status: int, value: object, raw: bytes | None) -> None:
    body = raw if raw is not None else json.dumps(value).encode()

    for parse in (parse_anthropic_error, parse_compatible_error):
        found = parse(status, body, {}, NOW)
        assert isinstance(found.message, str)
        assert found.message
    assert compatible_error_in_stream(value).message
    assert anthropic_error_in_stream(value, NOW).message
