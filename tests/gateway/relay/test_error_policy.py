"""What failures mean, and what of the upstream's words reaches clients."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

from accounts.failures import ACCOUNT_POLICIES, FailureKind, UpstreamError
from accounts.google.code_assist import CodeAssistFailed
from accounts.google.errors import parse_error
from accounts.google.oauth import ClientSecretWrong, SignInExpired, TokenEndpointDown
from accounts.models import Account
from accounts.pool.pool import PooledAccount
from accounts.service import NoProject
from gateway.errors import GatewayError, RateLimited
from gateway.google_api.sse import MalformedStream
from gateway.relay.error_policy import ERROR_POLICIES, as_prompt_too_long, failure_of, without_identifiers
from gateway.translation.response.stream import EmptyAnswer
from gateway.upstreams.transport import TransportFailed, TransportTimedOut

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NOT_USED = (
    "Gemini for Google Cloud API has not been used in project {} before or it is disabled. Enable it by "
    "visiting https://console.developers.google.com/apis/api/x.googleapis.com/overview?project={} then retry."
)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (NOT_USED.format("test-sandbox-395446", "test-sandbox-395446"), NOT_USED.format("…", "…")),
        (NOT_USED.format("681255809395", "681255809395"), NOT_USED.format("…", "…")),
        ("Permission denied on resource project useful-spark-18ucq.", "denied on resource project …."),
        (
            "'a.b' denied on resource '//x.googleapis.com/projects/rising-fact-p41fc/locations/global'",
            "'//x.googleapis.com/projects/…/locations/global'",
        ),
        ("metric 'Requests' for consumer 'project_number:681255809395'.", "consumer 'project_number:…'."),
        ("Project 'my-project-1' not found", "Project '…' not found"),
        ("project 12345 is suspended", "project … is suspended"),
        ("domain-scoped projects/example.com:legacy-app/x", "domain-scoped projects/…/x"),
        ("ada.lovelace+x@mail.example.com may not", "… may not"),
    ],
)
def test_projects_and_people_are_not_named_to_clients(words: str, shown: str) -> None:
    assert without_identifiers(words).endswith(shown)


@pytest.mark.parametrize(
    "words",
    [
        "prompt is too long: 210000 tokens > 200000 maximum",
        "tools.3.custom.input_schema: project is not allowed",
        "the project directory and my project notes",
        "max_tokens: 64001 > 64000, which is the maximum allowed number of output tokens for claude-opus-4-6",
    ],
)
def test_words_that_clients_act_upon_stay_as_they_are(words: str) -> None:
    assert without_identifiers(words) == words


ADA = PooledAccount(1, "ada@example.com", "acme-prod", label="ad…@e…")


def refused(status: int, message: str, reason: str = "") -> UpstreamError:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]
    body = {"error": {"code": status, "message": message, "details": details if reason else []}}
    return parse_error(status, orjson.dumps(body), {}, NOW)


REFUSED_SET_UP = CodeAssistFailed(
    "loadCodeAssist: 403 no", parse_error(403, b'{"error":{"message":"no"}}', {}, NOW)
)
BROKEN_SET_UP = CodeAssistFailed("loadCodeAssist: 400 odd", parse_error(400, b"{}", {}, NOW))


@pytest.mark.parametrize(
    ("error", "status", "should_retry", "words"),
    [
        (refused(401, "no"), 503, False, "ad…@e…: access token refused"),
        (refused(403, NOT_USED.format("p-1", "p-1"), "SERVICE_DISABLED"), 503, False, "project refused"),
        (refused(429, "for 'project_number:12345678'"), 429, None, "for 'project_number:…'"),
        (refused(400, "in project my-app"), 400, None, "in project …"),
        (refused(400, "project: acme-prod is off"), 400, None, "project: … is off"),
        (refused(500, "Internal error"), 502, None, "Internal error"),
        (SignInExpired("revoked"), 503, False, "must sign in again"),
        (NoProject("ada@example.com has no Cloud project yet."), 503, False, "has no Cloud project"),
        (REFUSED_SET_UP, 503, False, "forbidden"),
        (BROKEN_SET_UP, 502, None, "Google does not let it sign in just now"),
        (CodeAssistFailed("nobody there"), 502, None, "Google does not let it sign in just now"),
        (TokenEndpointDown("500"), 502, None, "Google does not let it sign in just now"),
        (ClientSecretWrong("OAUTH_CLIENT_ID is not set."), 503, False, "OAUTH_CLIENT_ID is not set."),
        (TransportFailed("the connection broke (X)"), 502, None, "the connection broke (X)"),
        (TransportTimedOut("no answer within 120 s"), 504, None, "no answer within 120 s"),
        (MalformedStream("no JSON"), 502, None, "no JSON"),
        (EmptyAnswer("STOP"), 502, None, "answered with nothing."),
        (EmptyAnswer(None), 502, None, "answered with nothing."),
        (
            EmptyAnswer("UNEXPECTED_TOOL_CALL"),
            502,
            None,
            "a tool that it was not given (UNEXPECTED_TOOL_CALL)",
        ),
        (EmptyAnswer("SOMETHING_NEW"), 502, None, "answered with nothing (SOMETHING_NEW)"),
    ],
)
def test_each_failure_has_its_error_for_the_client(
    error: Exception, status: int, should_retry: bool | None, words: str
) -> None:
    heard = failure_of(error).as_error(ADA)

    assert (heard.status, heard.should_retry) == (status, should_retry)
    assert words in heard.message
    assert not {"ada@example.com", "acme-prod"} & set(heard.message.replace(",", " ").split())


def test_every_kind_has_both_halves_of_its_policy() -> None:
    assert list(ACCOUNT_POLICIES) == list(ERROR_POLICIES) == list(FailureKind)


@pytest.mark.parametrize("kind", FailureKind)
def test_the_halves_of_a_policy_agree(kind: FailureKind) -> None:
    of_account, of_request = ACCOUNT_POLICIES[kind], ERROR_POLICIES[kind]

    assert issubclass(of_request.error, GatewayError)
    assert of_request.error.status not in {401, 403}
    assert of_request.is_passing + of_request.ends_request + bool(of_request.operator_must) <= 1
    assert of_request.operator_must or not of_account.state
    assert of_account.is_limit == (of_request.error is RateLimited)
    assert of_account.state in {"", *Account.State}


@pytest.mark.parametrize(
    ("status", "message", "estimate"),
    [
        (400, "prompt is too long: 210000 tokens > 200000 maximum", 100),
        (413, "Prompt is too long", 100),
        (500, "Internal error encountered.", 270_000),
    ],
)
def test_a_prompt_that_is_too_long_has_its_own_kind(status: int, message: str, estimate: int) -> None:
    failure = failure_of(as_prompt_too_long(refused(status, message), estimate, 200_000))

    assert failure.kind is FailureKind.PROMPT_TOO_LONG
    heard = failure.as_error(ADA)
    assert (heard.status, heard.error_type) == (400, "invalid_request_error")
    assert heard.message.startswith("prompt is too long: ")


def test_a_500_for_a_shorter_prompt_stays_one() -> None:
    assert as_prompt_too_long(refused(500, "Internal"), 210_000, 200_000).kind is FailureKind.SERVER_ERROR


def test_the_operator_reads_the_reason_and_the_project() -> None:
    details = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "SERVICE_DISABLED",
            "metadata": {"consumer": "projects/my-project", "activationUrl": "https://example.com/"},
        }
    ]
    body = orjson.dumps({"error": {"code": 403, "message": "No.", "details": details}})

    failure = failure_of(parse_error(403, body, {}, NOW))

    assert failure.detail == "SERVICE_DISABLED, projects/my-project"


@pytest.mark.parametrize("status", [400, 403, 429])
def test_googles_sentences_are_no_detail_for_the_log(status: int) -> None:
    assert failure_of(refused(status, "'my secret' is odd", reason="it says my secret")).detail == ""


def test_an_expired_sign_in_takes_the_account_out_of_use() -> None:
    assert ACCOUNT_POLICIES[failure_of(SignInExpired("revoked")).kind].state == Account.State.INVALID
