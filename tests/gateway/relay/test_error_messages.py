from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from accounts.values.times import clock, in_words
from gateway.relay.error_messages import Attempt, sentence

NOON = 1_772_366_400.0  # 2026-03-01 12:00 UTC


def an_attempt(email: str, reason: str, back_at: float | None = None) -> Attempt:
    name, _, domain = email.partition("@")
    return Attempt(f"{name[:2]}…@{domain[:1]}…", email, "claude-sonnet-4-6", reason, back_at, started_at=NOON)


def test_an_account_tried_twice_is_named_once_with_its_last_word() -> None:
    attempts = [an_attempt("ada@example.com", "no answer"), an_attempt("ada@example.com", "quota", NOON + 60)]

    assert sentence("m", attempts, NOON) == (
        "1 account tried for m: ad…@e… quota until 12:01 UTC. Next try in 60 s (12:01 UTC)."
    )


def test_the_operator_reads_the_whole_address_and_what_came_next() -> None:
    attempt = replace(
        an_attempt("ada@example.com", "quota", NOON + 60), endpoint="https://google", decision="next account"
    )

    assert attempt.for_operator() == (
        "ada@example.com for claude-sonnet-4-6 at https://google: quota, back at 12:01 UTC → next account"
    )


def test_the_sentence_names_each_account_and_the_first_to_come_back() -> None:
    attempts = [
        an_attempt("ada@example.com", "quota", NOON + 2 * 3600 + 180),
        an_attempt("grace@example.com", "no capacity"),
    ]

    assert sentence("claude-sonnet-4-6", attempts, NOON) == (
        "2 accounts tried for claude-sonnet-4-6: ad…@e… quota until 14:03 UTC, gr…@e… no capacity. "
        "Next try in 2 h 3 min (14:03 UTC)."
    )


def test_one_account_is_not_called_accounts() -> None:
    assert sentence("m", [an_attempt("ada@example.com", "server error")], NOON) == (
        "1 account tried for m: ad…@e… server error."
    )


def test_accounts_are_counted_by_account_not_by_label() -> None:
    attempts = [
        replace(an_attempt(f"acct{n}@example.com", "quota"), account_label="ac…@e…") for n in range(4)
    ]

    assert sentence("m", attempts, NOON).startswith("4 accounts tried for m: ac…@e… quota, ac…@e… quota")


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("UTC", "(14:03 UTC)"),
        ("Europe/London", "(14:03 UTC)"),
        ("Europe/Berlin", "(15:03 CET, 14:03 UTC)"),
        ("Asia/Kolkata", "(19:33 IST, 14:03 UTC)"),
        ("Asia/Dubai", "(18:03 +04, 14:03 UTC)"),
    ],
)
def test_the_earliest_return_is_said_in_the_servers_zone_too(zone: str, said: str) -> None:
    attempts = [an_attempt("ada@example.com", "quota", NOON + 2 * 3600 + 180)]

    assert sentence("m", attempts, NOON, ZoneInfo(zone)).endswith(f"Next try in 2 h 3 min {said}.")


def test_a_return_on_another_day_has_both_dates() -> None:
    attempts = [an_attempt("ada@example.com", "quota", NOON + 35.5 * 3600)]

    said = sentence("m", attempts, NOON, ZoneInfo("Asia/Tokyo"))

    assert said.endswith("(03 Mar 08:30 JST, 02 Mar 23:30 UTC).")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"), (45, "45 s"), (89, "89 s"), (90, "2 min"), (3600, "1 h"), (7380, "2 h 3 min"),
        (47 * 3600, "47 h"), (98 * 3600, "4 d 2 h"),
    ],
)  # fmt: skip
def test_waits_are_said_in_two_units(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_a_time_beyond_today_has_its_date() -> None:
    assert clock(NOON + 3600, NOON) == "13:00 UTC"
    assert clock(NOON + 48 * 3600, NOON) == "03 Mar 12:00 UTC"


@pytest.mark.parametrize(
    ("following", "came_next"),
    [
        ({"account_name": "grace@example.com"}, "next account"),
        ({"account_name": "grace@example.com", "waited_seconds": 2.0}, "next account, after a wait"),
        ({}, "same account again"),
        ({"waited_seconds": 0.5}, "same account again, after a wait"),
        ({"waited_seconds": 0.01}, "same account again"),
        ({"endpoint": "https://daily"}, "next address"),
        ({"model_id": "gemini-3-flash", "account_name": "grace@example.com"}, "another model"),
    ],
)
def test_what_came_next_is_read_from_what_followed(following: dict[str, Any], came_next: str) -> None:
    first = replace(an_attempt("ada@example.com", "quota", None), endpoint="https://google")

    assert first.came_next(replace(first, **following)) == came_next


def test_an_account_that_got_to_no_address_the_first_time_is_asked_again() -> None:
    first = an_attempt("ada@example.com", "Google does not let it sign in just now", None)

    assert first.came_next(replace(first, endpoint="https://google")) == "same account again"
