"""The tables of docs/reliability.md equal those made from the code's own tables here."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings

from accounts.failures import ACCOUNT_POLICIES, FailureKind
from accounts.pool.cooldowns import cooldown_seconds
from accounts.values.times import in_words
from gateway.relay import failover, model_call
from gateway.relay.error_messages import Attempt, sentence
from gateway.relay.error_policy import ERROR_POLICIES
from tests.faults.cases import BEFORE_THE_ANSWER, IN_THE_ANSWER, Fault
from tests.faults.test_faults import assert_idle
from tests.gateway.conftest import a_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import httpx

    from gateway.service import Gateway
    from proxy_site.emulator.server import EmulatorServer

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "reliability.md"
NOW = datetime(2026, 3, 14, 13, 0, tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text()


def table(*rows: tuple[str, ...]) -> str:
    head, *rest = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *rest])


# Kinds of failures


def table_of_failures() -> str:
    head = ("failure kind", "what is tried next", "what becomes of the account", "what the client gets")
    return table(head, *map(failure_row, FailureKind))


def failure_row(kind: FailureKind) -> tuple[str, str, str, str]:
    error = ERROR_POLICIES[kind].error
    return kind.value, tried_next(kind), account_after(kind), f"{error.status} {error.error_type}"


def tried_next(kind: FailureKind) -> str:
    policy = ERROR_POLICIES[kind]
    tries = []
    if ACCOUNT_POLICIES[kind].is_limit:
        tries.append("the same account, if the wait is short")
    if policy.next_address:
        tries.append("the next address")
    if policy.same_account_tries:
        times = "" if policy.same_account_tries == 1 else f", {policy.same_account_tries} times"
        tries.append(f"the {policy.same_account}{times}")
    tries.append("nothing: it is the same everywhere" if policy.ends_request else "the next account")
    if policy.is_passing:
        tries.append("rounds")
    return "; then ".join(tries)


def account_after(kind: FailureKind) -> str:
    policy = ACCOUNT_POLICIES[kind]
    if policy.state:
        return f"leaves the pool: {policy.state}"
    if policy.backoff_steps_seconds:
        return f"nothing; the model is backed off for {steps(policy.backoff_steps_seconds)}"
    if not policy.cools_down_after:
        return "nothing"
    default = settings.LIVE_SETTINGS["DEFAULT_COOLDOWN_MS"].start_value / 1000
    seconds = steps(cooldown_seconds(kind, None, times, default) for times in range(1, 10))
    after = f" after {policy.cools_down_after} in a row" if policy.cools_down_after > 1 else ""
    models = ", for all models" if policy.is_for_all_models else ""
    return f"cools down for {seconds}{after}{models}"


def steps(seconds: Iterable[float]) -> str:
    """1 min, 5 min, 30 min; each once."""
    return ", ".join(dict.fromkeys(in_words(one) for one in seconds))


def test_the_page_shows_every_kind_of_failure(page: str) -> None:
    assert table_of_failures() in page


# Faults


def table_of_faults(faults: list[Fault]) -> str:
    return table(("fault", "what the client sees"), *((fault.name, fault.expectation) for fault in faults))


@pytest.mark.parametrize("faults", [BEFORE_THE_ANSWER, IN_THE_ANSWER], ids=["before", "in"])
def test_the_page_shows_every_fault(faults: list[Fault], page: str) -> None:
    assert table_of_faults(faults) in page


# What is written


def test_the_page_quotes_the_lines_of_the_log_as_they_are(page: str) -> None:
    attempt = Attempt(
        account_label="ad…@e…",
        account_name="ada@example.com",
        model_id="claude-sonnet-4-6",
        reason=FailureKind.QUOTA.value,
        back_at=NOW + 7384,
        endpoint="https://cloudcode-pa.googleapis.com",
        started_at=NOW,
        decision="next account",
    )

    assert attempt.for_operator(ZoneInfo("Europe/Berlin")) in page


def test_the_page_quotes_the_sentence_for_the_client_as_it_is(page: str) -> None:
    attempts = [
        Attempt("ad…@e…", "ada@example.com", "claude-sonnet-4-6", FailureKind.QUOTA.value, NOW + 7384),
        Attempt("gr…@e…", "grace@example.com", "claude-sonnet-4-6", FailureKind.QUOTA.value, NOW + 15600),
        Attempt("li…@e…", "linus@example.com", "claude-sonnet-4-6", FailureKind.NEEDS_VERIFICATION.value),
    ]

    said = sentence("claude-sonnet-4-6", attempts, NOW, ZoneInfo("Europe/Berlin"))
    assert said in " ".join(page.split())


def test_every_setting_on_the_page_exists(page: str) -> None:
    documented = (PAGE.parent / "settings.md").read_text()
    names = set(re.findall(r"`([A-Z][A-Z_]+)`", page))

    assert names
    assert not [name for name in names if f"`{name}`" not in documented]


# The last column, tried out

ALL_REFUSE: dict[str, FailureKind] = {
    "invalid_argument": FailureKind.BAD_REQUEST,
    "unsupported_client": FailureKind.CLIENT_TOO_OLD,
    "not_found": FailureKind.NOT_FOUND,
    "quota_exhausted": FailureKind.QUOTA,
    "rate_limited": FailureKind.RATE_LIMIT,
    "bare_429": FailureKind.UNKNOWN_LIMIT,
    "capacity_exhausted": FailureKind.CAPACITY,
    "internal": FailureKind.SERVER_ERROR,
    "unauthenticated": FailureKind.ACCESS_TOKEN_REFUSED,
    "no_licence": FailureKind.NO_LICENCE,
    "wrong_project": FailureKind.WRONG_PROJECT,
    "permission_denied": FailureKind.WRONG_PROJECT,
    "verification_required": FailureKind.NEEDS_VERIFICATION,
    "account_disabled": FailureKind.DISABLED,
}


PARAMETERS: dict[str, dict[str, Any]] = {
    "invalid_argument": {"message": "odd"},
    "rate_limited": {"delay": 20.0},
    "capacity_exhausted": {"delay": 20.0},
}


@pytest.mark.parametrize("fault", ALL_REFUSE)
async def test_the_error_after_all_accounts_is_the_documented_one(
    fault: str,
    client: httpx.AsyncClient,
    google: EmulatorServer,
    gateway: Gateway,
    live_setting: Callable[[str, Any], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failover, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(model_call, "SHORT_LIMIT_SECONDS", 0.0)
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 3000)
    google.state.fault(fault, model="claude-sonnet-4-6", times=None, **PARAMETERS.get(fault, {}))

    async with asyncio.timeout(20):
        response = await client.post("/v1/messages", json=a_body())

    expected = ERROR_POLICIES[ALL_REFUSE[fault]].error
    assert (response.status_code, response.json()["error"]["type"]) == (expected.status, expected.error_type)
    await assert_idle(gateway, google)
