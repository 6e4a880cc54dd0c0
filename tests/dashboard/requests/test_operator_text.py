"""What a client was told, as the operator reads it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from django.core.cache import cache
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.pool.labels import short_labels
from accounts.values.times import clock, clocks
from dashboard.requests.explanation import note
from dashboard.requests.listed import local_times
from dashboard.requests.operator_text import operator_text
from gateway.relay.error_messages import Attempt, sentence

if TYPE_CHECKING:
    from pytest_django.fixtures import DjangoAssertNumQueries

BEGUN = datetime(2026, 3, 28, 22, 30, 10, tzinfo=UTC)
EMAILS = {1: "ada@example.com", 2: "adam@example.com", 3: "linus@example.com", 4: "linas@example.com"}
NAMES = {label: EMAILS[key] for key, label in short_labels(EMAILS).items()}


def no_names() -> dict[str, str]:
    raise AssertionError("asked for names without need")


@given(
    st.integers(0, 29 * 24 * 60),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/Sao_Paulo"]),
)
@settings(max_examples=300)
def test_each_time_becomes_its_instant(minutes: int, name: str) -> None:
    zone, now = ZoneInfo(name), BEGUN.timestamp()
    at = now + minutes * 60 + 7
    expected = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%MZ}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.conf.settings.LOCAL_TIME_ZONE", zone)
        assert operator_text(f"Until {clock(at, now, zone)}.", BEGUN, no_names) == f"Until {expected}."
        assert operator_text(f"({clocks(at, now, zone)})", BEGUN, no_names) == f"({expected})"


def test_accounts_have_their_whole_names() -> None:
    now = BEGUN.timestamp()
    attempts = [Attempt(label, email, "opus", "quota", back_at=now + 600) for label, email in NAMES.items()]

    text = operator_text(sentence("opus", attempts, now), BEGUN, lambda: NAMES)

    assert text == (
        "4 accounts tried for opus: "
        + ", ".join(f"{email} quota until 2026-03-28T22:40Z" for email in EMAILS.values())
        + ". Next try at 2026-03-28T22:40Z."
    )
    unknown = operator_text("gr…@e… quota", BEGUN, lambda: NAMES)
    assert unknown == "gr…@e… quota"


@pytest.mark.parametrize(
    "text", ["", "25:00 UTC", "99 Feb 10:00 UTC", "30 Feb 10:00 UTC", "10:00", "…@…" * 200, "a…@b"]
)
def test_what_is_no_time_or_name_stays(text: str) -> None:
    assert operator_text(text, BEGUN, lambda: NAMES) == text


def test_a_page_shows_an_instant_as_a_time() -> None:
    shown = local_times("Until 2026-03-28T22:40Z <b>")
    assert '<time datetime="2026-03-28T22:40:00+00:00" data-form="short"' in shown
    assert shown.endswith("&lt;b&gt;")


def test_a_note_says_why_and_what_to_do() -> None:
    assert (
        note("answered", 200, "", BEGUN)
        == note("hung_up", 499, "", BEGUN)
        == note("open", None, "", BEGUN)
        == ""
    )
    assert note("interrupted", None, "", BEGUN).endswith("Send it again.")
    assert note("api_error", 502, "It broke off.", BEGUN).startswith("It broke off.\n→ Send it again.")
    assert note("overloaded_error", 503, "The operator must act.", BEGUN).endswith("what each account needs.")


@pytest.mark.parametrize(
    ("minutes_ago", "advice"), [(120, "Send it again: that is past."), (-1, "Wait until then, or add")]
)
def test_a_limit_whose_time_is_past_is_not_waited_for(minutes_ago: int, advice: str) -> None:
    begun = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    back_at = begun.timestamp() + 38
    said = sentence("opus", [Attempt("one", "one", "opus", "quota", back_at=back_at)], begun.timestamp())

    until = f"{datetime.fromtimestamp(back_at, UTC):%Y-%m-%dT%H:%MZ}"
    assert f"1 account tried for opus: one quota until {until}.\n→ {advice}" in note(
        "rate_limit_error", 429, said, begun
    )


@pytest.mark.django_db
def test_names_are_read_once_a_minute(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    cache.clear()
    with django_assert_num_queries(1):
        for _ in range(3):
            operator_text("ad…@e… quota", BEGUN)


def test_a_reason_that_all_accounts_share_is_said_once() -> None:
    attempts = [Attempt(label, email, "opus-4.6", "quota") for label, email in NAMES.items()]
    said = sentence("opus-4.6", attempts, BEGUN.timestamp())
    assert note("rate_limit_error", 429, said, BEGUN).startswith("4 accounts tried: quota.\n")

    attempts[0].reason = "no capacity"
    said = sentence("opus-4.6", attempts, BEGUN.timestamp())
    assert f"{next(iter(NAMES.values()))} no capacity, " in note(
        "rate_limit_error", 429, said, BEGUN, lambda: NAMES
    )
