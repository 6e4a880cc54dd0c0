from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from channels.db import database_sync_to_async

from accounts.credentials import access_tokens
from accounts.credentials.access_tokens import AccessToken, AccessTokens
from accounts.credentials.encryption import seal
from accounts.database.watch import DatabaseDown, DatabaseWatch
from accounts.google.oauth import ClientSecretWrong, SignInExpired, TokenEndpointDown, TokenGrant
from accounts.models import Account, ClientProblem, SharedToken
from accounts.network import AccountsClient
from proxy_site.emulator.delivery.behaviour import Behaviour, refuse
from tests.live_gateway import PROJECT, clean_environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pytest_django import Settings

    from proxy_site.emulator.server import EmulatorServer

INVALID_GRANT = refuse(400, {"error": "invalid_grant", "error_description": "expired or revoked"})


class WallClock:
    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


@asynccontextmanager
async def tokens_of_a_process(now: WallClock | None = None) -> AsyncIterator[AccessTokens]:
    client = AccountsClient()
    yield AccessTokens(client, now or WallClock())
    await client.close()


def refreshes(google: EmulatorServer) -> int:
    return len(google.state.log.entries("token"))


async def state_of(account: Account) -> str:
    return (await Account.objects.aget(pk=account.pk)).state


async def test_a_hundred_requests_with_an_expired_token_refresh_once(
    ada: Account, google: EmulatorServer
) -> None:
    clock = WallClock()
    async with tokens_of_a_process(clock) as tokens:
        await tokens.get(ada.pk)
        clock.seconds += 3600

        found = await asyncio.gather(*(tokens.get(ada.pk) for _ in range(100)))

    assert len(set(found)) == 1
    assert refreshes(google) == 2  # the first token and its successor


async def test_processes_refresh_once_together(ada: Account, google: EmulatorServer) -> None:
    google.state.fault(Behaviour(stall_before_headers=0.3), method="token")

    async with tokens_of_a_process() as one, tokens_of_a_process() as other:
        found = await asyncio.gather(*(tokens.get(ada.pk) for tokens in (one, other) for _ in range(50)))

    assert len(set(found)) == 1
    assert refreshes(google) == 1


async def test_a_claim_counts_for_a_process_whose_time_is_a_little_earlier(
    ada: Account, google: EmulatorServer
) -> None:
    """It read its time before the other one claimed, or its clock is behind."""
    early, late = WallClock(), WallClock()
    early.seconds -= 0.05
    google.state.fault(Behaviour(stall_before_headers=0.5), method="token")

    async with tokens_of_a_process(late) as first, tokens_of_a_process(early) as second:
        claiming = asyncio.ensure_future(first.get(ada.pk))
        await asyncio.to_thread(google.state.log.wait_for, lambda entry: entry.method == "token")
        found = [await second.get(ada.pk), await claiming]

    assert len(set(found)) == 1
    assert refreshes(google) == 1


async def test_a_token_that_another_process_fetched_a_moment_ago_is_taken(
    ada: Account, google: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not there when this one looked, and there was nothing to wait for any more when it claimed."""
    claim, clock = access_tokens._claim, WallClock()

    def claim_late(account_id: int, owner: str, now: float) -> bool:
        SharedToken.objects.create(
            account_id=account_id, sealed_access_token=seal("theirs"), good_until=now + 3000
        )
        return claim(account_id, owner, now)

    monkeypatch.setattr(access_tokens, "_claim", claim_late)
    async with tokens_of_a_process(clock) as tokens:
        assert await tokens.get(ada.pk) == "theirs"

    assert refreshes(google) == 0
    shared = await SharedToken.objects.aget()
    assert (shared.claimed_until, shared.good_until) == (0.0, clock() + 3000)


@pytest.mark.slow
def test_real_processes_refresh_once_together(
    google: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from tests.live_gateway import accounts_file, manage

    env = clean_environment(tmp_path_factory.mktemp("data"), **google.gateway_settings())
    manage("importaccounts", "-", "--accept-terms", env=env, stdin=accounts_file(google))
    google.state.fault(Behaviour(stall_before_headers=0.5), method="token")
    ask = [sys.executable, "manage.py", "refreshquota", "ada@example.com"]

    processes = [subprocess.Popen(ask, cwd=PROJECT, env=env, stdout=-3, stderr=-3) for _ in range(2)]
    statuses = [process.wait(30) for process in processes]

    assert statuses == [0, 0]
    assert refreshes(google) == 1


async def test_a_claim_of_a_process_that_died_runs_out(ada: Account, google: EmulatorServer) -> None:
    clock = WallClock()
    await SharedToken.objects.acreate(account=ada, claimed_until=clock() + 40)
    async with tokens_of_a_process(clock) as tokens:
        waiting = asyncio.ensure_future(tokens.get(ada.pk))
        await asyncio.sleep(0.2)
        assert not waiting.done()

        clock.seconds += 41

        assert await waiting


async def test_a_claim_that_was_overtaken_is_ended_by_its_new_owner_alone(
    ada: Account, google: EmulatorServer
) -> None:
    clock = WallClock()
    google.state.fault(Behaviour(stall_before_headers=0.5), method="token")
    async with tokens_of_a_process(clock) as slow:
        waiting = asyncio.ensure_future(slow.get(ada.pk))
        await asyncio.sleep(0.2)
        theirs = {"claimed_until": clock() + 80, "claimed_by": "another process"}
        await SharedToken.objects.filter(account=ada).aupdate(**theirs)

        assert await waiting

    shared = await SharedToken.objects.aget()
    assert (shared.claimed_until, shared.claimed_by) == (clock() + 80, "another process")
    assert shared.sealed_access_token == ""


async def test_who_is_cancelled_ends_no_claim_but_its_own(ada: Account, google: EmulatorServer) -> None:
    google.state.fault(Behaviour(stall_before_headers=5), method="token")
    for owner, left in ((None, ""), ("another process", "another process")):
        async with tokens_of_a_process() as tokens:
            waiting = asyncio.ensure_future(tokens.get(ada.pk))
            await asyncio.sleep(0.2)
            if owner:
                await SharedToken.objects.filter(account=ada).aupdate(claimed_by=owner)
            await tokens.stop()
            with suppress(asyncio.CancelledError):
                await waiting

        assert (await SharedToken.objects.aget()).claimed_by == left


async def test_a_claim_from_before_the_clock_was_set_back_counts_for_nothing(
    ada: Account, google: EmulatorServer
) -> None:
    clock = WallClock()
    await SharedToken.objects.acreate(account=ada, claimed_until=clock() + 3600, claimed_by="another process")

    async with tokens_of_a_process(clock) as tokens, asyncio.timeout(5):
        assert await tokens.get(ada.pk)


async def test_a_token_is_shared_encrypted(ada: Account, google: EmulatorServer) -> None:
    async with tokens_of_a_process() as tokens:
        text = await tokens.get(ada.pk)

    row = await SharedToken.objects.aget()
    assert row.sealed_access_token
    assert text not in row.sealed_access_token


async def test_a_refused_token_is_not_taken_from_the_others_again(
    ada: Account, google: EmulatorServer
) -> None:
    async with tokens_of_a_process() as tokens:
        first = await tokens.get(ada.pk)
        tokens.forget(ada.pk, first)

        assert await tokens.get(ada.pk) != first


async def test_invalid_grant_puts_the_account_in_state_invalid(ada: Account, google: EmulatorServer) -> None:
    google.state.revoke("ada@example.com")

    async with tokens_of_a_process() as tokens:
        with pytest.raises(SignInExpired):
            await tokens.get(ada.pk)

    account = await Account.objects.aget()
    assert (account.state, account.state_reason) == (
        Account.State.INVALID,
        "Google says the sign-in has expired or was revoked.",
    )


async def test_a_sign_in_meanwhile_keeps_its_token(ada: Account, google: EmulatorServer) -> None:
    google.state.fault(INVALID_GRANT, Behaviour(stall_before_headers=0.3), method="token")

    async with tokens_of_a_process() as tokens:
        waiting = asyncio.ensure_future(tokens.get(ada.pk))
        await asyncio.to_thread(google.state.log.wait_for, lambda entry: entry.method == "token")
        ada.credential = {"refresh_token": google.state.account("linus@example.com").refresh_token}
        await ada.asave(update_fields=["sealed_credential"])

        assert await waiting

    assert await state_of(ada) == Account.State.OK
    assert refreshes(google) == 2


@pytest.mark.parametrize(
    "failure",
    [
        refuse(500, {"error": "internal_failure"}),
        refuse(429, {"error": "rate_limit_exceeded"}),
        refuse(503, "<html>unavailable</html>"),
        refuse(200, {"token_type": "Bearer"}),
        Behaviour(close_before_headers=True),
    ],
)
async def test_an_error_of_the_token_endpoint_changes_no_state(
    failure: Behaviour, ada: Account, google: EmulatorServer
) -> None:
    google.state.fault(failure, method="token", times=None)

    async with tokens_of_a_process() as tokens:
        with pytest.raises(TokenEndpointDown):
            await tokens.get(ada.pk)

    assert await state_of(ada) == Account.State.OK


async def test_half_a_minute_without_a_token_endpoint_is_survived(
    ada: Account, google: EmulatorServer, settings: Settings
) -> None:
    clock = WallClock()
    working, settings.OAUTH_TOKEN_URL = settings.OAUTH_TOKEN_URL, "http://127.0.0.1:9/token"

    async with tokens_of_a_process(clock) as tokens:
        for _ in range(30):
            with pytest.raises(TokenEndpointDown):
                await tokens.get(ada.pk)
            clock.seconds += 1
        settings.OAUTH_TOKEN_URL = working

        assert await tokens.get(ada.pk)

    assert await state_of(ada) == Account.State.OK


async def test_a_wrong_client_secret_blames_no_account_and_is_cleared_when_right(
    ada: Account, google: EmulatorServer, settings: Settings
) -> None:
    right, settings.OAUTH_CLIENT_SECRET = settings.OAUTH_CLIENT_SECRET, "wrong"

    async with tokens_of_a_process() as tokens:
        with pytest.raises(ClientSecretWrong):
            await tokens.get(ada.pk)
        assert "invalid_client" in (await ClientProblem.objects.aget()).reason
        settings.OAUTH_CLIENT_SECRET = right
        await tokens.get(ada.pk)

    assert await state_of(ada) == Account.State.OK
    assert not await ClientProblem.objects.aexists()


@pytest.mark.parametrize(
    "answer",
    [
        {"access_token": "two\r\nlines: 1", "expires_in": 3599},
        {"access_token": "t\u00f6ken", "expires_in": 3599},
        {"access_token": "a" * 100_000, "expires_in": 3599},
        {"access_token": "", "expires_in": 3599},
        {"access_token": ["fresh"], "expires_in": 3599},
        b'{"access_token": "fresh", "expires_in": ' + b"9" * 400 + b"}",
        b'{"access_token": "fresh", "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"access_token": "fresh", "expires_in": NaN}',
        b'{"access_token": "\\ud83d", "expires_in": 3599}',
        b'{"access_token": "fresh", "more": "' + b"a" * 1024 * 1024 + b'"}',
    ],
)
async def test_a_token_that_cannot_be_sent_is_a_failure_of_the_endpoint(
    answer: Any, ada: Account, google: EmulatorServer
) -> None:
    google.state.fault(refuse(200, answer.decode() if isinstance(answer, bytes) else answer), method="token")

    async with tokens_of_a_process() as tokens:
        with pytest.raises(TokenEndpointDown):
            await tokens.get(ada.pk)

    assert await state_of(ada) == Account.State.OK
    assert (await SharedToken.objects.aget()).sealed_access_token == ""


@pytest.mark.parametrize("lifetime", [-1, 0, 1e300, 10**18, 86401, True, "3599", None, [3599]])
async def test_a_token_whose_lifetime_is_nonsense_is_used_for_a_few_minutes(
    lifetime: Any, ada: Account, google: EmulatorServer
) -> None:
    google.state.fault(refuse(200, {"access_token": "fresh", "expires_in": lifetime}), method="token")
    clock = WallClock()

    async with tokens_of_a_process(clock) as tokens:
        assert await tokens.get(ada.pk) == "fresh"

    assert 0 < (await SharedToken.objects.aget()).good_until - clock() <= 300


async def test_a_new_refresh_token_from_google_is_kept(ada: Account, google: EmulatorServer) -> None:
    answer = {"access_token": "fresh", "expires_in": 3599, "refresh_token": "a-successor"}
    google.state.fault(refuse(200, answer), method="token")

    async with tokens_of_a_process() as tokens:
        await tokens.get(ada.pk)

    assert (await Account.objects.aget()).credential["refresh_token"] == "a-successor"


# While the database is gone


@asynccontextmanager
async def tokens_without_database() -> AsyncIterator[tuple[AccessTokens, DatabaseWatch]]:
    watch, client = DatabaseWatch(), AccountsClient()
    tokens = AccessTokens(client, WallClock(), watch)
    tokens.remember(await database_sync_to_async(access_tokens.sealed_credentials)())
    watch.problem = "The PostgreSQL database does not answer."
    yield tokens, watch
    await client.close()


async def test_a_token_is_renewed_from_memory_once_for_all_requests(
    ada: Account, google: EmulatorServer
) -> None:
    async with tokens_without_database() as (tokens, _):
        found = await asyncio.gather(*(tokens.get(ada.pk) for _ in range(100)))

    assert len(set(found)) == 1
    assert refreshes(google) == 1
    assert not await SharedToken.objects.aexists()


async def test_an_account_that_memory_does_not_have_waits_for_the_database(
    ada: Account, google: EmulatorServer
) -> None:
    async with tokens_without_database() as (tokens, _):
        tokens.remember({})
        with pytest.raises(DatabaseDown, match="does not answer"):
            await tokens.get(ada.pk)

    assert refreshes(google) == 0


async def test_a_refused_sign_in_is_judged_when_the_database_is_back(
    ada: Account, google: EmulatorServer
) -> None:
    google.state.revoke("ada@example.com")

    async with tokens_without_database() as (tokens, watch):
        with pytest.raises(DatabaseDown):
            await tokens.get(ada.pk)
        assert await state_of(ada) == Account.State.OK
        watch.problem = ""
        with pytest.raises(SignInExpired):
            await tokens.get(ada.pk)

    assert await state_of(ada) == Account.State.INVALID


async def test_a_refresh_token_that_google_replaced_meanwhile_is_used_and_stored_later(
    ada: Account, google: EmulatorServer
) -> None:
    for access_token, successor in (("first", "a-successor"), ("second", "its-successor")):
        answer = {"access_token": access_token, "expires_in": 3599, "refresh_token": successor}
        google.state.fault(refuse(200, answer), method="token")

    async with tokens_without_database() as (tokens, watch):
        tokens.forget(ada.pk, await tokens.get(ada.pk))
        tokens.forget(ada.pk, await tokens.get(ada.pk))
        watch.problem = ""
        await tokens.store_unsaved()

    sent = [parse_qs(entry.body.decode())["refresh_token"] for entry in google.state.log.entries("token")]
    assert sent == [["emulator-refresh-ada"], ["a-successor"]]
    assert (await Account.objects.aget()).credential["refresh_token"] == "its-successor"


async def test_a_refresh_token_that_google_replaces_while_the_one_before_is_stored_is_kept(
    ada: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    successors = iter(["a-successor", "its-successor"])

    async def answer_late(_client: AccountsClient, refresh_token: str) -> TokenGrant:
        await tokens.store_unsaved()
        return TokenGrant("an-access-token", 3599, next(successors))

    monkeypatch.setattr(access_tokens, "refresh_access_token", answer_late)

    async with tokens_without_database() as (tokens, _):
        for _ in range(2):
            tokens.forget(ada.pk, await tokens.get(ada.pk))
        await tokens.store_unsaved()

    assert (await Account.objects.aget()).credential["refresh_token"] == "its-successor"


async def test_a_refresh_token_that_google_replaces_at_the_end_of_storing_is_kept(
    ada: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_success = access_tokens._note_success

    def note_slowly(account_id: int, used: str, replacement: str) -> None:
        note_success(account_id, used, replacement)
        tokens._unsaved[account_id] = used, "its-successor"
        monkeypatch.setattr(access_tokens, "_note_success", note_success)

    monkeypatch.setattr(access_tokens, "_note_success", note_slowly)

    async with tokens_without_database() as (tokens, _):
        tokens._unsaved[ada.pk] = "emulator-refresh-ada", "a-successor"
        await tokens.store_unsaved()
        await tokens.store_unsaved()

    assert (await Account.objects.aget()).credential["refresh_token"] == "its-successor"


def test_a_token_does_not_show_itself() -> None:
    assert "secret-text" not in repr(AccessToken("secret-text", 1.0))


async def test_a_stop_ends_a_refresh_and_frees_its_claim(ada: Account, google: EmulatorServer) -> None:
    google.state.fault(Behaviour(stall_before_headers=30), method="token")

    async with tokens_of_a_process() as tokens:
        waiting = asyncio.create_task(tokens.get(ada.pk))
        await asyncio.to_thread(google.state.log.wait_for, lambda entry: entry.method == "token", 10)
        await tokens.stop()

        with pytest.raises(asyncio.CancelledError):
            await waiting
    shared = await SharedToken.objects.aget(account=ada)
    assert shared.claimed_until == 0
