"""What becomes of a request when accounts and Google do not do what they should."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import replace
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any

import pytest

from accounts import service
from accounts.failures import FailureKind
from accounts.models import Account, Cooldown, Revision
from accounts.pool.cooldowns import ActiveCooldown
from accounts.pool.pool import AccountRequest, Pool, Target
from gateway.dialects.anthropic.messages import parse_messages_request
from gateway.google_api.content import NO_SIGNATURE_SENTINEL
from gateway.relay import failover
from gateway.relay.context import RequestContext
from proxy_site.emulator import google_errors
from proxy_site.emulator.accounts import sample_account
from proxy_site.emulator.delivery.behaviour import fault_named, finish, pace, refuse
from proxy_site.emulator.google_errors import bare_429
from proxy_site.emulator.pretend_model.replies import function_call, thinking
from tests.gateway.conftest import a_body, a_client, add_accounts, in_database, started_gateway, text_of
from tests.live_gateway import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    from pytest_django.fixtures import Settings

    from accounts.pool.pool import Lease
    from gateway.service import Gateway
    from proxy_site.emulator.server import EmulatorServer

    LiveSetting = Callable[[str, Any], None]

ADA, GRACE, LINUS = "ada@example.com", "grace@example.com", "linus@example.com"


async def ask(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    return await client.post("/v1/messages", json=a_body(**changes))


def tried(google: EmulatorServer) -> list[str | None]:
    return [entry.account for entry in google.state.log.generations()]


async def test_an_answer_comes_back_as_a_message(client: httpx.AsyncClient, google: EmulatorServer) -> None:
    google.state.reply("Good morning.")

    message = (await ask(client)).json()

    assert message["type"] == "message"
    assert message["model"] == "claude-sonnet-4-6"
    assert message["content"] == [{"type": "text", "text": "Good morning."}]
    assert message["stop_reason"] == "end_turn"


async def test_a_stream_says_the_same_as_the_message(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.reply("Good morning.")

    response = await ask(client, stream=True)

    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert '"text":"Good ' in response.text
    assert response.text.rstrip().endswith('data: {"type":"message_stop"}')


async def test_a_client_name_is_answered_by_what_is_on_offer(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    response = await ask(client, model="claude-opus-5-5", thinking={"type": "adaptive"})

    assert response.json()["model"] == "claude-opus-5-5"
    assert response.headers["x-upstream-model"] == "claude-opus-4-6-thinking"


@pytest.mark.parametrize(
    "fault",
    [
        "quota_exhausted", "rate_limited", "bare_429", "capacity_exhausted", "internal", "unavailable",
        "html_502", "overloaded", "close_before_headers", "reset_after_first_byte", "ok_with_error_body",
        "ok_with_html", "verification_required", "account_disabled", "no_licence", "permission_denied",
        "insufficient_credits",
    ],
)  # fmt: skip
async def test_the_next_account_answers_when_one_cannot(
    fault: str, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault(fault, account=ADA, times=None)

    response = await ask(client, stream=True)

    assert response.status_code == 200
    assert response.text.count("event: message_start") == 1
    assert "event: error" not in response.text
    assert tried(google)[-1] != ADA


async def test_an_account_at_its_limit_is_left_alone_until_it_is_back(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("quota_exhausted", account=ADA)
    await ask(client)
    google.state.log.clear()

    await ask(client)

    assert ADA not in tried(google)


async def test_a_limit_of_one_model_leaves_the_others_free(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("quota_exhausted", model="claude-sonnet-4-6", times=None)

    limited = await ask(client)
    free = await ask(client, model="gemini-3-flash")

    assert (limited.status_code, free.status_code) == (429, 200)


async def test_when_all_are_at_their_limit_one_sentence_says_when_it_works_again(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("quota_exhausted", times=None)

    response = await ask(client)

    error = response.json()["error"]
    assert response.status_code == 429
    assert error["type"] == "rate_limit_error"
    assert re.match(r"3 accounts tried for claude-sonnet-4-6: \w\w…@e… quota until ", error["message"])
    assert "Next try in 2 h 3 min" in error["message"]
    assert 7300 < int(response.headers["retry-after"]) <= 7385
    assert response.headers["x-should-retry"] == "false"


async def test_a_short_limit_lets_the_client_come_back_by_itself(
    client: httpx.AsyncClient, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 5000)
    google.state.fault("rate_limited", delay=20, times=None)

    response = await ask(client)

    assert response.status_code == 429
    assert int(response.headers["retry-after"]) <= 20
    assert "x-should-retry" not in response.headers


async def test_the_same_sentence_comes_without_asking_google_again(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("quota_exhausted", times=None)
    await ask(client)
    google.state.log.clear()

    response = await ask(client)

    assert response.status_code == 429
    assert tried(google) == []


@pytest.mark.parametrize("retry_after", ["nan", "inf", "-inf", "1e400"])
async def test_a_retry_after_that_is_no_number_is_a_normal_429(
    retry_after: str, client: httpx.AsyncClient, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 5000)
    google.state.fault(refuse(429, bare_429().body, {"retry-after": retry_after}), times=None)

    response = await ask(client)

    assert response.status_code == 429
    assert 1 <= int(response.headers["retry-after"]) <= 10
    async with asyncio.timeout(5):
        while await in_database(Cooldown.objects.count)() < 3:
            await asyncio.sleep(0.01)


async def test_no_capacity_anywhere_is_an_overload(
    client: httpx.AsyncClient, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 5000)
    google.state.fault("capacity_exhausted", times=None)

    response = await ask(client)

    assert response.status_code == 529
    assert response.json()["error"]["type"] == "overloaded_error"


async def test_a_model_steps_in_when_fallback_is_on(
    client: httpx.AsyncClient, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    live_setting("FALLBACK", True)
    google.state.fault("quota_exhausted", model="claude-sonnet-4-6", times=None)

    response = await ask(client)

    assert response.status_code == 200
    assert response.json()["model"] == "claude-sonnet-4-6"
    assert response.headers["x-upstream-model"].startswith("gemini-")


async def test_a_bad_request_stays_one_and_is_tried_once(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("claude_invalid_request", message="messages.0: is odd", times=None)

    response = await ask(client)

    assert response.status_code == 400
    assert response.json()["error"] == {"type": "invalid_request_error", "message": "messages.0: is odd"}
    assert len(tried(google)) == 1


async def test_an_unknown_model_gets_a_list_of_what_there_is(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    response = await ask(client, model="my-own-model")

    message = response.json()["error"]["message"]
    assert response.status_code == 404
    assert "my-own-model" in message
    assert "claude-sonnet-4-6" in message
    assert len(tried(google)) == 1


async def test_an_expired_token_is_refreshed_and_nobody_notices(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.expire_tokens()

    response = await ask(client)

    assert response.status_code == 200
    assert tried(google)[-1] == ADA


async def test_a_revoked_account_becomes_invalid_and_the_next_one_answers(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.revoke(ADA)

    response = await ask(client)

    account = await in_database(Account.objects.get)(email=ADA)
    assert response.status_code == 200
    assert account.state == Account.State.INVALID


async def test_an_account_that_must_be_verified_leaves_the_pool_with_googles_link(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.require_verification(ADA)

    await ask(client)
    await ask(client)

    account = await in_database(Account.objects.get)(email=ADA)
    assert account.state == Account.State.NEEDS_VERIFICATION
    assert account.state_link.startswith("https://accounts.google.com/")
    assert tried(google).count(ADA) == 1


async def test_a_wrong_client_secret_blames_no_account(
    client: httpx.AsyncClient, google: EmulatorServer, settings: Settings
) -> None:
    settings.OAUTH_CLIENT_SECRET = "wrong"
    google.state.expire_tokens()

    response = await ask(client)

    states = await in_database(lambda: set(Account.objects.values_list("state", flat=True)))()
    assert response.status_code == 503
    assert "OAUTH_CLIENT_SECRET" in response.json()["error"]["message"]
    assert response.headers["x-should-retry"] == "false"
    assert states == {"ok"}


async def test_a_token_endpoint_that_is_down_changes_no_state(
    client: httpx.AsyncClient, google: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failover, "FIRST_PAUSE_SECONDS", 0.001)
    google.state.expire_tokens()
    google.state.fault("unavailable", method="token", times=None)

    response = await ask(client)

    states = await in_database(lambda: set(Account.objects.values_list("state", flat=True)))()
    assert response.status_code == 502
    assert states == {"ok"}


async def test_an_empty_answer_is_asked_for_on_other_accounts(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("empty_answer", times=2)
    google.state.reply("At last.")

    response = await ask(client)

    assert text_of(response.json()) == "At last."
    assert sorted(tried(google)) == [ADA, GRACE, LINUS]  # type: ignore[type-var]


async def test_a_refused_signature_is_sent_again_without_thinking(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    thinking = {"type": "thinking", "thinking": "I changed this.", "signature": "claude#" + "A" * 80}
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": [thinking, {"type": "text", "text": "Hi"}]},
        {"role": "user", "content": "Go on"},
    ]

    response = await ask(
        client,
        model="claude-sonnet-4-5-thinking",
        max_tokens=9000,
        messages=messages,
        thinking={"type": "enabled", "budget_tokens": 2000},
    )

    assert response.status_code == 200
    assert [entry.status for entry in google.state.log.generations()] == [400, 200]


async def test_an_error_after_the_first_content_is_an_error_event(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("error_mid_stream", pace(chunk_delay=0.05), after_chunks=2)

    response = await ask(client, stream=True)

    assert response.status_code == 200
    assert response.text.count("event: message_start") == 1
    assert response.text.count("event: error") == 1
    assert '"type":"overloaded_error"' in response.text
    assert "message_stop" not in response.text
    assert len(tried(google)) == 1


async def test_an_error_in_a_plain_answer_gets_its_status(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("error_mid_stream", pace(chunk_delay=0.05), after_chunks=2)

    assert (await ask(client)).status_code == 529


async def test_an_account_refused_amid_its_answer_leaves_the_pool(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    refused = google_errors.verification_required("https://accounts.google.com/verify")
    google.state.fault("error_mid_stream", pace(chunk_delay=0.05), after_chunks=2, body=refused.body)

    response = await ask(client)

    account = await in_database(Account.objects.get)(email=tried(google)[0])
    message = response.json()["error"]["message"]
    assert (response.status_code, response.headers["x-should-retry"]) == (503, "false")
    assert message.startswith(f"The answer broke off. {account.email[:2]}…@")
    assert "accounts.google.com" not in message
    assert (account.state, account.state_link) == (
        Account.State.NEEDS_VERIFICATION,
        "https://accounts.google.com/verify",
    )


@pytest.mark.parametrize("fault", ["no_licence", "empty_answer"])
async def test_a_fallback_model_that_fails_leaves_the_first_to_be_waited_for(
    fault: str, client: httpx.AsyncClient, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    live_setting("FALLBACK", True)
    google.state.fault("rate_limited", model="claude-sonnet-4-6", delay=4, times=3)
    for model in ("gemini-3-flash-preview", "gemini-3.1-pro-preview", "gemini-3-pro-preview"):
        google.state.fault(fault, model=model, times=None)

    response = await ask(client)

    assert (response.status_code, response.headers["x-upstream-model"]) == (200, "claude-sonnet-4-6")


async def test_a_short_limit_beyond_the_deadline_is_told_at_once(
    client: httpx.AsyncClient, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 0)
    google.state.fault("rate_limited", delay=2.9, times=None)

    response = await ask(client)

    assert (response.status_code, response.headers["retry-after"]) == (429, "3")
    assert len(tried(google)) == 3


async def test_a_model_is_not_unknown_while_no_list_could_be_fetched(google: EmulatorServer) -> None:
    google.state.fault("unavailable", method="fetchAvailableModels", times=None)
    google.state.fault("unavailable", method="retrieveUserQuota", times=None)

    async with started_gateway() as gateway, a_client(gateway) as client:
        response = await ask(client, model="claude-sonnet-4-5-20250929")

    assert (response.status_code, response.headers["retry-after"]) == (503, "5")


async def test_without_any_account_the_operator_is_told_what_to_do(google: EmulatorServer) -> None:
    await in_database(Account.objects.all().delete)()

    async with started_gateway() as gateway, a_client(gateway) as client:
        response = await ask(client)

    assert response.status_code == 503
    assert response.json()["error"]["message"].startswith("There is no account yet. Add one with")
    assert response.headers["x-should-retry"] == "false"


async def test_with_no_usable_account_the_page_that_says_why_is_named(google: EmulatorServer) -> None:
    await in_database(Account.objects.update)(terms_accepted_at=None)

    async with started_gateway() as gateway, a_client(gateway) as client:
        response = await ask(client)

    assert response.status_code == 503
    assert "None of the 3 accounts can be used" in response.json()["error"]["message"]


async def test_an_account_added_while_the_gateway_runs_is_used_at_once(
    google: EmulatorServer,
) -> None:
    await in_database(Account.objects.all().delete)()

    async with started_gateway() as gateway, a_client(gateway) as client:
        await in_database(add_accounts)(google)
        response = await ask(client)

    assert response.status_code == 200


async def test_clients_may_try_again_for_two_seconds_after_the_accounts_have_changed(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    assert (await ask(client)).status_code == 200

    await in_database(disable_accounts)()
    while (at_once := await ask(client)).status_code == 200:
        await asyncio.sleep(0.01)
    await asyncio.sleep(service.JUST_CHANGED_SECONDS)
    later = await ask(client)

    assert (at_once.status_code, later.status_code) == (503, 503)
    assert at_once.json()["error"] == later.json()["error"]
    assert (at_once.headers["retry-after"], at_once.headers.get("x-should-retry")) == ("1", None)
    assert (later.headers.get("retry-after"), later.headers["x-should-retry"]) == (None, "false")


def disable_accounts() -> None:
    Account.objects.update(enabled=False)
    Revision.bump()


async def test_without_capacity_nobody_waits_for_the_busy_ones(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway, live_setting: LiveSetting
) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    google.state.fault("capacity_exhausted", account=ADA, times=None)
    held = [hold(gateway, email) for email in (GRACE, LINUS)]

    response = await ask(client)

    for lease in held:
        lease.release()
    assert response.status_code == 529
    assert tried(google) == [ADA]


async def test_a_transient_failure_is_not_reported_as_a_limit(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("quota_exhausted", account=ADA, times=None)
    google.state.fault("quota_exhausted", account=GRACE, times=None)
    google.state.fault("internal", account=LINUS, times=1)

    response = await ask(client)

    assert response.status_code == 200
    assert tried(google)[-2:] == [LINUS, LINUS]


async def test_an_upstream_that_keeps_failing_stays_a_server_error(
    client: httpx.AsyncClient, google: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failover, "FIRST_PAUSE_SECONDS", 0.001)
    google.state.fault("quota_exhausted", account=ADA, times=None)
    google.state.fault("internal", times=None)

    assert (await ask(client)).status_code == 502


async def test_who_waits_for_a_busy_account_hears_at_once_that_it_is_at_its_limit(
    client: httpx.AsyncClient, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 2)
    google.state.fault("quota_exhausted", times=None)

    async with asyncio.timeout(10):
        responses = await asyncio.gather(*(ask(client) for _ in range(20)))

    assert {response.status_code for response in responses} == {429}
    assert all("quota until" in response.json()["error"]["message"] for response in responses)


async def test_a_project_found_anew_serves_the_request_that_found_it(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("wrong_project", account=ADA, times=1)

    response = await ask(client)

    assert response.status_code == 200
    assert tried(google) == [ADA, ADA]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("unauthenticated", "access token refused. The operator must sign it in again"),
        ("no_licence", "no licence for this model. The operator must get it a licence"),
        ("wrong_project", "project refused. The operator must give it a Cloud project"),
        ("permission_denied", "project refused. The operator must give it a Cloud project"),
        ("verification_required", "needs verification. The operator must verify it"),
        ("account_disabled", "disabled by its provider. The operator must remove it"),
    ],
)
async def test_an_unusable_account_is_left_to_the_operator(
    fault: str, words: str, google: EmulatorServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Never the client's own failure to authenticate, and never a limit."""
    await in_database(Account.objects.exclude(email=ADA).delete)()
    google.state.fault(fault, times=None)

    async with asyncio.timeout(10), started_gateway() as gateway, a_client(gateway) as client:
        response = await ask(client)

    message = response.json()["error"]["message"]
    assert (response.status_code, response.json()["error"]["type"]) == (503, "api_error")
    assert response.headers["x-should-retry"] == "false"
    assert message.startswith("No account can answer. ad…@e…: ")
    assert words in message
    assert ADA not in message
    assert "no-such-project" not in message
    assert any(line.startswith(f"{ADA} for ") for line in caplog.messages if "next account" in line)


async def test_an_account_that_must_sign_in_again_is_the_operators_too(google: EmulatorServer) -> None:
    await in_database(Account.objects.exclude(email=ADA).delete)()

    async with started_gateway() as gateway, a_client(gateway) as client:
        google.state.revoke(ADA)
        response = await ask(client)

    assert response.status_code == 503
    assert "ad…@e…: must sign in again. The operator must sign it in again" in response.text


async def test_each_of_several_accounts_is_named_with_its_failure(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    for email, fault in ((ADA, "no_licence"), (GRACE, "account_disabled"), (LINUS, "unauthenticated")):
        google.state.fault(fault, account=email, times=None)

    response = await ask(client)

    message = response.json()["error"]["message"]
    assert response.status_code == 503
    assert message.startswith("3 accounts tried for claude-sonnet-4-6: ")
    for said in (
        "ad…@e… no licence for this model",
        "gr…@e… disabled by its provider",
        "/admin/accounts/account/",
    ):
        assert said in message


async def test_accounts_with_names_alike_are_all_counted(google: EmulatorServer) -> None:
    with_accounts(google, [f"acct{number}@example.com" for number in range(1, 5)])
    await in_database(add_accounts)(google)
    await in_database(Account.objects.exclude(email__startswith="acct").delete)()
    google.state.fault("quota_exhausted", times=None)

    async with started_gateway() as gateway, a_client(gateway) as client:
        message = (await ask(client)).json()["error"]["message"]

    assert message.startswith("4 accounts tried for claude-sonnet-4-6: ")
    assert all(f"ac…{number}@e… quota until " in message for number in range(1, 5))
    assert "Next try in 2 h 3 min (" in message


# How often is asked


def with_accounts(google: EmulatorServer, emails: list[str]) -> None:
    for email in emails:
        google.state.add_account(sample_account(email, email, "g1-pro-tier"))


async def set_account_count(google: EmulatorServer, count: int) -> None:
    if count < 3:
        emails = [account.email for account in google.state.accounts][:count]
        await in_database(Account.objects.exclude(email__in=emails).delete)()
    else:
        with_accounts(google, [f"more{number}@example.com" for number in range(count - 3)])
        await in_database(add_accounts)(google)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 50])
@pytest.mark.parametrize("fault", ["internal", "close_before_headers"])
async def test_a_blip_of_five_seconds_is_survived(count: int, fault: str, google: EmulatorServer) -> None:
    await set_account_count(google, count)

    async with started_gateway() as gateway, a_client(gateway) as client:
        google.state.fault(fault, method="streamGenerateContent", times=None)
        asking = asyncio.create_task(ask(client, stream=True))
        await asyncio.sleep(5)
        google.state.clear_scripts()
        response = await asking

    assert response.status_code == 200
    assert response.text.rstrip().endswith('data: {"type":"message_stop"}')
    assert len(tried(google)) <= 8


@pytest.mark.slow
@pytest.mark.parametrize(("count", "calls"), [(1, 6), (3, 8), (12, 8)])
@pytest.mark.parametrize("fault", ["internal", "ok_with_html", "empty_answer"])
async def test_passing_failures_cost_a_few_calls_on_as_many_accounts(
    count: int, calls: int, fault: str, google: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failover, "FIRST_PAUSE_SECONDS", 0.001)
    await set_account_count(google, count)

    async with started_gateway() as gateway, a_client(gateway) as client:
        google.state.fault(fault, times=None, method="streamGenerateContent")
        response = await ask(client)

    assert response.status_code == 502
    assert len(tried(google)) == calls
    assert len(set(tried(google))) == min(count, calls)
    assert count == 1 or all(one != other for one, other in pairwise(tried(google)))


async def test_the_call_limit_counts_over_all_rounds(
    client: httpx.AsyncClient,
    google: EmulatorServer,
    settings: Settings,
    live_setting: LiveSetting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failover, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(failover, "LONGEST_PAUSE_SECONDS", 0.001)
    settings.UPSTREAM_CALL_LIMIT = 4
    live_setting("MAX_RETRIES", 20)
    google.state.fault("internal", times=None)

    await ask(client)

    assert len(tried(google)) == 4


async def test_refusals_are_not_counted_as_calls(google: EmulatorServer) -> None:
    await set_account_count(google, 20)

    async with started_gateway() as gateway, a_client(gateway) as client:
        for number, account in enumerate(google.state.accounts[:-1]):
            fault = ("quota_exhausted", "no_licence", "verification_required")[number % 3]
            google.state.fault(fault, account=account.email, method="streamGenerateContent", times=None)
        response = await ask(client)

    assert response.status_code == 200
    assert len(tried(google)) == len(set(tried(google)))


async def test_a_pause_never_outlasts_the_deadline(
    client: httpx.AsyncClient, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 1000)
    google.state.fault("internal", times=None)

    response = await ask(client)

    assert response.status_code == 502


async def test_with_no_wait_allowed_a_passing_failure_is_told_at_once(
    client: httpx.AsyncClient, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 0)
    google.state.fault("internal", times=None)

    response = await ask(client)

    assert response.status_code == 502
    assert len(set(tried(google))) == len(tried(google)) == 3


async def test_an_account_added_meanwhile_serves_who_waits(google: EmulatorServer) -> None:
    await set_account_count(google, 1)
    google.state.fault("rate_limited", account=ADA, delay=60, times=None)

    async with asyncio.timeout(20), started_gateway() as gateway, a_client(gateway) as client:
        asking = asyncio.create_task(ask(client))
        while not gateway.accounts.pool.waiting:
            await asyncio.sleep(0.01)
        await in_database(add_accounts)(google)
        response = await asking

    assert response.status_code == 200
    assert tried(google)[-1] != ADA


async def test_another_address_and_another_account_are_tried_together(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway, settings: Settings
) -> None:
    settings.CLOUDCODE_ENDPOINTS = [f"http://127.0.0.1:{free_port()}", *settings.CLOUDCODE_ENDPOINTS]
    began_at = time.monotonic()

    response = await ask(client)

    assert response.status_code == 200
    assert time.monotonic() - began_at < 0.5
    pool = gateway.accounts.pool
    assert all(pool.state.score(account.id, time.time()).health >= 70 for account in pool.accounts)


@pytest.mark.parametrize("fault", ["not_found", "no_licence", "bare_429"])
async def test_another_address_may_know_better_of_the_same_account(
    fault: str, client: httpx.AsyncClient, google: EmulatorServer, settings: Settings
) -> None:
    settings.CLOUDCODE_ENDPOINTS = [google.url, google.url.replace("127.0.0.1", "localhost")]
    google.state.fault(fault, times=1)

    assert (await ask(client)).status_code == 200
    assert tried(google) == [ADA, ADA]


# No capacity


@pytest.mark.parametrize("stream", [True, False])
async def test_a_model_without_capacity_is_an_overload_before_any_header(
    stream: bool, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("capacity_exhausted", times=None)
    began_at = time.monotonic()

    first = await ask(client, stream=stream)
    then = time.monotonic()
    google.state.log.clear()
    second = await ask(client, stream=stream)

    assert (then - began_at, time.monotonic() - then) < (6, 0.5)
    for response in (first, second):
        assert response.status_code == 529
        assert response.json()["error"]["type"] == "overloaded_error"
        assert "retry-after" not in response.headers
        assert "has no capacity at the moment" in response.json()["error"]["message"]
    assert tried(google) == []


async def test_who_waits_already_hears_of_missing_capacity_too(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway, live_setting: LiveSetting
) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    held = [hold(gateway, email) for email in (ADA, GRACE, LINUS)]
    asking = asyncio.create_task(ask(client))
    while not gateway.accounts.pool.waiting:
        await asyncio.sleep(0.01)

    gateway.accounts.pool.back_off("claude-sonnet-4-6:antigravity", 30)
    async with asyncio.timeout(1):
        response = await asking

    for lease in held:
        lease.release()
    assert response.status_code == 529


async def test_a_fallback_model_is_tried_before_the_overload_is_told(
    client: httpx.AsyncClient, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    live_setting("FALLBACK", True)
    google.state.fault("capacity_exhausted", model="claude-sonnet-4-6", times=None)

    response = await ask(client)

    assert response.status_code == 200
    assert response.headers["x-upstream-model"].startswith("gemini-")


# Two requests at one moment


class Clock:
    """The pool's; it moves when it is told to."""

    ahead_seconds = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_seconds


@pytest.mark.parametrize("longest_wait", [0, 120_000])
async def test_a_newcomer_at_the_end_of_a_cooldown_is_answered(
    longest_wait: int, google: EmulatorServer, live_setting: LiveSetting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one who waits has not been woken yet when the newcomer asks."""
    clock = Clock()
    monkeypatch.setattr(service, "Pool", lambda: Pool(clock))
    await set_account_count(google, 1)
    google.state.fault("rate_limited", account=ADA, delay=60, times=1)

    async with asyncio.timeout(20), started_gateway() as gateway, a_client(gateway) as client:
        waiting = asyncio.create_task(ask(client))
        while not gateway.accounts.pool.waiting:
            await asyncio.sleep(0.01)
        live_setting("MAX_WAIT_BEFORE_ERROR_MS", longest_wait)
        clock.ahead_seconds = 61
        newcomer = await ask(client)
        first = await waiting

    assert (newcomer.status_code, first.status_code) == (200, 200)


@pytest.mark.parametrize("looks_before_the_end", range(0, 24, 3))
async def test_a_cooldown_that_ends_while_it_is_looked_at_is_no_fault(
    looks_before_the_end: int,
    client: httpx.AsyncClient,
    google: EmulatorServer,
    gateway: Gateway,
    live_setting: LiveSetting,
) -> None:
    """Whichever look at the clock is the first one after the end."""
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 0)
    pool, looks, ends_at = gateway.accounts.pool, count(), time.time() + 3600
    for account in pool.accounts:
        key = (account.id, "claude-sonnet-4-6:antigravity")
        pool.cooldowns.load({key: ActiveCooldown(ends_at, FailureKind.QUOTA, "quota", time.time())})

    def now() -> float:
        return ends_at + (1 if next(looks) >= looks_before_the_end else -1)

    pool._now = pool.cooldowns._now = now
    response = await ask(client)

    assert response.status_code in {200, 429}
    assert response.status_code == 200 or looks_before_the_end


def hold(gateway: Gateway, email: str) -> Lease:
    """A request of somebody else that keeps the account busy."""
    others = {one.id for one in gateway.accounts.pool.accounts if one.name != email}
    request = AccountRequest({"google": Target("claude-sonnet-4-6:antigravity")}, refused=others)
    lease = gateway.accounts.pool.lease(request)
    assert lease is not None
    return lease


# A model with two names: listed as gemini-3-flash, sent in header mode cli as gemini-3-flash-preview


@pytest.mark.parametrize("name", ["gemini-3-flash", "gemini-3-flash-preview"])
async def test_an_account_without_a_model_list_is_not_the_only_one_asked(
    name: str, google: EmulatorServer, live_setting: LiveSetting
) -> None:
    live_setting("ACCOUNT_STRATEGY", "round-robin")
    google.state.fault("unavailable", account=ADA, method="fetchAvailableModels", times=None)
    google.state.fault("unavailable", account=ADA, times=None)

    async with started_gateway() as gateway, a_client(gateway) as client:
        await until_lists_are_known(gateway, {GRACE, LINUS})
        response = await ask(client, model=name)

    assert response.status_code == 200
    assert response.headers["x-upstream-model"] == name
    assert google.state.log.generations()[-1].account in {GRACE, LINUS}


async def test_in_mode_cli_only_accounts_with_the_sent_model_are_asked(
    google: EmulatorServer, live_setting: LiveSetting
) -> None:
    live_setting("ACCOUNT_STRATEGY", "round-robin")
    google.state.accounts[0].withheld_models.append("gemini-3-flash-preview")

    async with started_gateway() as gateway, a_client(gateway) as client:
        await until_lists_are_known(gateway, {ADA, GRACE, LINUS})
        responses = [
            await ask(client, model="gemini-3-flash", messages=[{"role": "user", "content": text}])
            for text in ("one", "two", "three", "four")
        ]

    assert {response.status_code for response in responses} == {200}
    assert set(tried(google)) == {GRACE, LINUS}


async def test_a_model_no_account_lists_is_unknown_at_the_first_refusal(
    client: httpx.AsyncClient, gateway: Gateway, google: EmulatorServer
) -> None:
    await until_lists_are_known(gateway, {ADA, GRACE, LINUS})

    response = await ask(client, model="gemini-3-pro-image-preview")

    assert response.status_code == 404
    assert len(tried(google)) == 1


async def until_lists_are_known(gateway: Gateway, emails: set[str]) -> None:
    """Until just these accounts have said which models they may use."""
    accounts = gateway.accounts
    async with asyncio.timeout(10):
        while {one.name for one in accounts.pool.accounts if one.id in accounts._offers} != emails:
            await asyncio.sleep(0.01)


async def test_in_mode_cli_its_own_names_are_on_offer(
    gateway: Gateway, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    await until_lists_are_known(gateway, {ADA, GRACE, LINUS})

    response = await ask(client, model="google/gemini-3-pro")
    listed = [model["id"] for model in (await client.get("/v1/models?limit=1000")).json()["data"]]

    assert response.headers["x-upstream-model"] == "gemini-3-pro-preview"
    assert google.state.log.generations()[-1].model == "gemini-3-pro-preview"
    assert "gemini-3-flash" in listed
    assert "gemini-3-flash-preview" not in listed


# What answers hold

READ_TOOL = {
    "name": "Read",
    "input_schema": {"type": "object", "properties": {"file_path": {"type": "string"}}},
}
READ = function_call("Read", {"file_path": "/a"})
ADAPTIVE = {"type": "adaptive"}


@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "gemini-3-flash", "gpt-oss-120b-medium"])
@pytest.mark.parametrize(
    "fault",
    [
        "calls_in_thoughts", "calls_beside_texts", "calls_by_module", "bare_signatures", "halved_characters",
        "finish_in_every_chunk", "usage_only_last",
    ],
)  # fmt: skip
async def test_an_oddity_of_the_upstream_reaches_no_client(
    fault: str, model: str, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.reply("Look 😀 here.", READ, behaviour=fault_named(fault))

    message = (await ask(client, model=model, tools=[READ_TOOL])).json()

    text, call = message["content"]
    assert text == {"type": "text", "text": "Look 😀 here."}
    assert (call["name"], call["input"]) == ("Read", {"file_path": "/a"})
    assert message["stop_reason"] == "tool_use"


async def test_an_upstream_that_closes_without_a_finish_reason_broke_off(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("without_finish", times=None)

    whole, streamed = await ask(client), await ask(client, stream=True)

    said = "The answer broke off: the upstream closed the stream without a finish reason."
    assert (whole.status_code, whole.json()["error"]["message"]) == (502, said)
    assert said in streamed.text
    assert "message_stop" not in streamed.text
    assert "end_turn" not in streamed.text


async def test_a_call_that_could_not_be_read_names_itself(
    client: httpx.AsyncClient, google: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failover, "FIRST_PAUSE_SECONDS", 0.001)
    google.state.fault("empty_answer", finish("MALFORMED_FUNCTION_CALL"), times=None)
    empty = await ask(client)
    google.state.clear_scripts()
    google.state.fault("finish", reason="MALFORMED_FUNCTION_CALL", times=None)
    begun = await ask(client)

    words = "the model's tool call could not be read (MALFORMED_FUNCTION_CALL)"
    assert (empty.status_code, begun.status_code) == (502, 502)
    assert words in empty.json()["error"]["message"]
    assert begun.json()["error"]["message"] == f"The answer broke off: {words}."


async def test_an_account_disabled_amid_its_answer_leaves_the_pool(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("empty_answer", finish("PUP_LIMITED_DISABLED"), account=ADA, times=None)

    response = await ask(client)

    account = await in_database(Account.objects.get)(email=ADA)
    assert response.status_code == 200
    assert account.state == Account.State.DISABLED_BY_PROVIDER


async def test_a_signature_that_google_misses_is_done_without(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("empty_answer", finish("MISSING_THOUGHT_SIGNATURE"))

    response = await ask(client, model="gemini-3-flash", thinking=ADAPTIVE)

    assert response.status_code == 200
    assert len(tried(google)) == 2


@pytest.mark.parametrize("fault", ["bare_signatures", "usage_only_last"])
async def test_parallel_calls_that_are_disabled_are_not_shown(
    fault: str, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.reply("One.", READ, "Two.", READ, behaviour=fault_named(fault))
    choice = {"type": "auto", "disable_parallel_tool_use": True}

    message = (await ask(client, tools=[READ_TOOL], tool_choice=choice)).json()

    assert [block["type"] for block in message["content"]] == ["text", "tool_use"]
    assert message["stop_reason"] == "tool_use"
    (entry,) = google.state.log.generations()
    assert message["usage"]["output_tokens"] == entry.usage["candidatesTokenCount"]


async def test_the_turn_ends_with_the_first_call_though_the_upstream_goes_on(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.reply(READ, "And then " * 200, behaviour=pace(chunk_delay=1))
    choice = {"type": "auto", "disable_parallel_tool_use": True}

    async with asyncio.timeout(10):
        response = await ask(client, tools=[READ_TOOL], tool_choice=choice, stream=True)
        await asyncio.to_thread(google.state.log.wait_until_idle, 5)

    assert '"stop_reason":"tool_use"' in response.text
    assert "And then" not in response.text


async def test_a_stop_sequence_that_google_passes_over_is_kept_and_named(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.reply("one </block> two", behaviour=fault_named("ignore_stop_sequences"))

    message = (await ask(client, stop_sequences=["</block>", "never"])).json()

    assert text_of(message) == "one "
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "</block>")


async def test_all_stop_sequences_count_though_gemini_takes_five(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.reply("one seven two")
    sequences = [f"stop {number}" for number in range(6)] + ["seven"]

    message = (await ask(client, model="gemini-3-flash", stop_sequences=sequences)).json()

    assert (text_of(message), message["stop_sequence"]) == ("one ", "seven")


@pytest.mark.parametrize(
    ("thinking_field", "kinds"),
    [
        (None, ["text", "tool_use"]),
        ({"type": "disabled"}, ["text", "tool_use"]),
        ({"type": "adaptive", "display": "omitted"}, ["text", "thinking", "tool_use"]),
        (ADAPTIVE, ["thinking", "text", "thinking", "tool_use"]),
    ],
)
async def test_geminis_signature_comes_back_with_the_call_whether_shown_or_not(
    thinking_field: Any, kinds: list[str], client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    asked: dict[str, Any] = {"model": "gemini-3-flash", "tools": [READ_TOOL], "thinking": thinking_field}
    google.state.reply(thinking("Hm."), "I look.", READ)
    message = (await ask(client, **asked)).json()
    call_id = message["content"][-1]["id"]
    result = {"type": "tool_result", "tool_use_id": call_id, "content": "nothing"}
    history = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": message["content"]},
        {"role": "user", "content": [result]},
    ]

    response = await ask(client, messages=history, **asked)

    parts = google.state.log.generations()[-1].envelope["request"]["contents"][1]["parts"]
    (signature,) = [part["thoughtSignature"] for part in parts if "functionCall" in part]
    assert [block["type"] for block in message["content"]] == kinds
    assert response.status_code == 200
    assert signature != NO_SIGNATURE_SENTINEL


@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "claude-opus-4-6-thinking", "gemini-3-flash"])
async def test_a_request_for_no_tokens_fills_the_cache_and_says_nothing(
    model: str, gateway: Gateway, google: EmulatorServer
) -> None:
    request = replace(parse_messages_request(a_body(model=model)), max_tokens=0)

    answer = await gateway.relay.open(request, RequestContext("-1", "a conversation"))
    message = await answer.message()
    answer.close()

    (entry,) = google.state.log.generations()
    assert entry.envelope["request"]["generationConfig"]["maxOutputTokens"] == 1
    assert (message["content"], message["stop_reason"]) == ([], "max_tokens")
    assert message["usage"]["input_tokens"] == entry.usage["promptTokenCount"]
