"""docs/reliability.md says what the code does: its tables are made from the code's own, here."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings

from accounts.google.errors import Trouble
from accounts.pool.cooldowns import (
    CAPACITY_STEPS_SECONDS,
    EFFECTS,
    FAILURES_COOLDOWN_SECONDS,
    FAILURES_IN_A_ROW,
    NO_EFFECT,
    cooldown_seconds,
)
from accounts.values.times import in_words
from gateway.relay import failover, model_call
from gateway.relay.error_messages import Attempt, sentence
from gateway.relay.error_policy import VERDICTS, Verdict
from tests.faults.cases import BEFORE_THE_ANSWER, IN_THE_ANSWER, Fault
from tests.faults.test_faults import assert_at_rest
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


# Refusals


def table_of_refusals() -> str:
    head = ("what Google says", "what is tried next", "what becomes of the account", "the last word")
    return table(head, *(refusal_row(trouble, verdict) for trouble, verdict in VERDICTS.items()))


def refusal_row(trouble: Trouble, verdict: Verdict) -> tuple[str, str, str, str]:
    tried_next = "nothing: it is the same everywhere" if verdict.ends_request else "the next account"
    tried_next += ", then rounds" if verdict.is_passing else ""
    last_word = f"{verdict.error.status} {verdict.error.error_type}"
    return trouble.value, tried_next, account_after(trouble, verdict), last_word


def account_after(trouble: Trouble, verdict: Verdict) -> str:
    effect = EFFECTS.get(trouble, NO_EFFECT)
    if verdict.state is not None:
        return f"leaves the pool: {verdict.state.value}"
    if trouble is Trouble.CAPACITY:
        return f"nothing; the model pauses for {steps(CAPACITY_STEPS_SECONDS)}"
    if effect.cools_down:
        default = settings.LIVE_SETTINGS["DEFAULT_COOLDOWN_MS"].start_value / 1000
        return "cools down for " + steps(
            cooldown_seconds(trouble, None, times, default) for times in range(1, 10)
        )
    if effect.health:
        return f"cools down for {in_words(FAILURES_COOLDOWN_SECONDS)} after {FAILURES_IN_A_ROW} in a row"
    return "nothing"


def steps(seconds: Iterable[float]) -> str:
    """1 min, 5 min, 30 min; each once."""
    return ", ".join(dict.fromkeys(in_words(one) for one in seconds))


def test_the_page_shows_every_kind_of_refusal(page: str) -> None:
    assert table_of_refusals() in page


# Faults


def table_of_faults(faults: list[Fault]) -> str:
    return table(("fault", "what the client sees"), *((fault.name, fault.expectation) for fault in faults))


@pytest.mark.parametrize("faults", [BEFORE_THE_ANSWER, IN_THE_ANSWER], ids=["before", "in"])
def test_the_page_shows_every_fault(faults: list[Fault], page: str) -> None:
    assert table_of_faults(faults) in page


# What is written


def test_the_page_quotes_the_lines_of_the_log_as_they_are(page: str) -> None:
    attempt = Attempt(
        account="ad…@e…",
        email="ada@example.com",
        model_id="claude-sonnet-4-6",
        reason=Trouble.QUOTA.value,
        back_at=NOW + 7384,
        endpoint="https://cloudcode-pa.googleapis.com",
        started_at=NOW,
        decision="next account",
    )

    assert attempt.for_operator(ZoneInfo("Europe/Berlin")) in page


def test_the_page_quotes_the_sentence_for_the_client_as_it_is(page: str) -> None:
    attempts = [
        Attempt("ad…@e…", "ada@example.com", "claude-sonnet-4-6", Trouble.QUOTA.value, NOW + 7384),
        Attempt("gr…@e…", "grace@example.com", "claude-sonnet-4-6", Trouble.QUOTA.value, NOW + 15600),
        Attempt("li…@e…", "linus@example.com", "claude-sonnet-4-6", Trouble.NEEDS_VERIFICATION.value),
    ]

    said = sentence("claude-sonnet-4-6", attempts, NOW, ZoneInfo("Europe/Berlin"))
    assert said in " ".join(page.split())


def test_every_setting_on_the_page_exists(page: str) -> None:
    documented = (PAGE.parent / "settings.md").read_text()
    names = set(re.findall(r"`([A-Z][A-Z_]+)`", page))

    assert names
    assert not [name for name in names if f"`{name}`" not in documented]


# The last column, tried out

ALL_REFUSE: dict[str, Trouble] = {
    "invalid_argument": Trouble.BAD_REQUEST,
    "unsupported_client": Trouble.CLIENT_TOO_OLD,
    "not_found": Trouble.NOT_FOUND,
    "quota_exhausted": Trouble.QUOTA,
    "rate_limited": Trouble.RATE_LIMIT,
    "bare_429": Trouble.UNKNOWN_LIMIT,
    "capacity_exhausted": Trouble.CAPACITY,
    "internal": Trouble.SERVER_ERROR,
    "unauthenticated": Trouble.ACCESS_TOKEN_REFUSED,
    "no_licence": Trouble.NO_LICENCE,
    "wrong_project": Trouble.WRONG_PROJECT,
    "permission_denied": Trouble.WRONG_PROJECT,
    "verification_required": Trouble.NEEDS_VERIFICATION,
    "account_disabled": Trouble.DISABLED,
}


PARAMETERS: dict[str, dict[str, Any]] = {
    "invalid_argument": {"message": "odd"},
    "rate_limited": {"delay": 20.0},
    "capacity_exhausted": {"delay": 20.0},
}


@pytest.mark.parametrize("fault", ALL_REFUSE)
async def test_when_all_accounts_refuse_the_last_word_is_what_the_page_says(
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

    expected = VERDICTS[ALL_REFUSE[fault]].error
    assert (response.status_code, response.json()["error"]["type"]) == (expected.status, expected.error_type)
    await assert_at_rest(gateway, google)
