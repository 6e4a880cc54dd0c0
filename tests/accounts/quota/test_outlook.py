"""How long all accounts together last, as values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.quota.forecast import Forecast
from accounts.quota.outlook import (
    AccountLimits,
    Fate,
    Limit,
    Outlook,
    outlook,
    outlook_sentence,
    outlooks_of,
)
from accounts.quota.pools import QuotaPool
from accounts.quota.snapshots import QuotaForecast

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0


def at(hours: float) -> float:
    """Hours after noon."""
    return NOON + hours * HOUR


def an_account(left: float, rate: float | None, back_in: float | None, **more: Limit) -> AccountLimits:
    return {"own": Limit(left, rate, None if back_in is None else at(back_in)), **more}


def what_becomes(*accounts: AccountLimits, unknown: int = 0) -> str:
    return outlook_sentence("Claude", outlook(accounts, unknown, NOON), NOON, UTC)


@pytest.mark.parametrize(
    ("accounts", "said"),
    [
        ([], "Claude has no account"),
        ([an_account(0.5, 0.1, 4)], "Claude lasts past its reset at 16:00 UTC"),
        ([an_account(0.5, 0.25, 4)], "Claude runs out about 14:00 UTC, back at 16:00 UTC"),
        ([an_account(0.5, 0.25, None)], "Claude runs out about 14:00 UTC, Google does not say till when"),
        ([an_account(0.0, 0.25, 4)], "Claude is empty, back at 16:00 UTC"),
        ([an_account(0.0, 0.25, None)], "Claude is empty, Google does not say till when"),
        ([an_account(0.5, 0.0, 4)], "Claude is not being used, so it lasts"),
        (
            [an_account(0.5, None, 4)],
            "How long Claude lasts is not known yet: its use was seen too briefly",
        ),
        ([an_account(1.0, 0.0, None), an_account(0.5, 0.1, None)], "Claude runs out about 03:00 UTC"),
    ],
)
def test_each_outlook_has_a_sentence(accounts: list[AccountLimits], said: str) -> None:
    assert what_becomes(*accounts).startswith(said)


def test_the_others_take_over_from_an_empty_account() -> None:
    busy, idle = an_account(0.4, 0.4, 5), an_account(0.8, 0.0, 5)

    # Empty at 13:00; the other one then burns 0.4 an hour, for two hours.
    assert what_becomes(busy, idle) == "Claude runs out about 15:00 UTC, back at 17:00 UTC"


def test_an_account_that_is_full_again_in_time_goes_on() -> None:
    first, second = an_account(0.4, 0.4, 2), an_account(0.5, 0.0, 5)

    # Empty from 13:00 to 14:00; at 14:00 the second one has 0.1 left, and the first one is full.
    assert what_becomes(first, second) == "Claude runs out about 16:45 UTC, back at 17:00 UTC"


def test_the_first_account_to_return_is_named() -> None:
    assert what_becomes(an_account(0, 0, 3), an_account(0, 0, 2)) == "Claude is empty, back at 14:00 UTC"


def test_what_an_empty_account_burned_is_not_counted_twice() -> None:
    assert outlook([an_account(0, 0.9, 3), an_account(0.5, 0.1, 3)], 0, NOON).fate is Fate.LASTS


def test_an_empty_week_keeps_an_account_empty() -> None:
    week = {"weekly": Limit(0.0, 0.01, at(50))}

    assert what_becomes(an_account(0.9, 0.1, 3, **week)) == "Claude is empty, back at 03 Mar 14:00 UTC"


def test_a_week_that_ends_first_counts() -> None:
    found = outlook([an_account(0.9, 0.1, 3, weekly=Limit(0.02, 0.01, at(50)))], 0, NOON)

    assert found == Outlook(Fate.RUNS_OUT, at(2), at(50))


def test_an_empty_week_does_not_stretch_the_outlook() -> None:
    found = outlook([an_account(0, 0, 90), an_account(0.9, 0.1, 3)], 0, NOON)

    assert found == Outlook(Fate.LASTS, at(3))


def test_unknown_accounts_are_said() -> None:
    unknown = "How long Claude lasts is not known yet: "
    assert what_becomes(unknown=2) == f"{unknown}2 accounts tell no quota"
    assert what_becomes(an_account(0, 0, 3), unknown=1) == f"{unknown}1 account tells no quota"
    assert what_becomes(an_account(0.9, 0.1, 3), unknown=1).endswith("at 15:00 UTC (1 unknown)")


limits = st.builds(
    Limit,
    remaining=st.one_of(st.just(0.0), st.floats(0, 1)),
    burned_per_hour=st.one_of(st.none(), st.just(0.0), st.floats(0, 60)),
    reset_at=st.one_of(st.none(), st.floats(-1, 200).map(at)),
)
accounts = st.dictionaries(st.sampled_from(["own", "5h", "weekly"]), limits, min_size=1)


@given(st.lists(accounts, max_size=6), st.integers(0, 3))
@settings(max_examples=300)
def test_any_accounts_have_an_outlook(found: list[AccountLimits], unknown: int) -> None:
    one = outlook(found, unknown, NOON)

    assert outlook_sentence("Claude", one, NOON, UTC).startswith(("Claude ", "How long Claude"))
    if one.fate is Fate.RUNS_OUT:
        assert one.at is not None
        assert one.at >= NOON
        assert one.back_at is None or one.back_at >= one.at


def a_pool(name: str, left: float | None, rate: float = 0.1) -> QuotaPool:
    reset = datetime.fromtimestamp(at(3), UTC)
    forecast = None if left is None else Forecast(left, rate, None, at(3))
    mode = "cli" if name.startswith("Gemini") else "antigravity"
    newest = QuotaForecast(1, name, mode, left, reset, reset - timedelta(hours=3), forecast)
    return QuotaPool(name, mode, (name,), newest, refused_until=reset if left == 0 else None)


def test_of_several_quotas_of_a_family_the_fullest_counts() -> None:
    found = outlooks_of([[a_pool("gemini-pro", 0.0), a_pool("gemini-flash", 0.9), a_pool("x", None)]], NOON)

    assert found == {"Claude": Outlook(Fate.UNKNOWN, unknown=1), "Gemini": Outlook(Fate.LASTS, at(3))}


def test_without_accounts_no_family_lasts() -> None:
    assert {one.fate for one in outlooks_of([], NOON).values()} == {Fate.NO_ACCOUNT}


def test_only_families_that_are_offered_are_spoken_of() -> None:
    both = [QuotaPool("Claude, GPT", "antigravity"), a_pool("Gemini (cli)", 0.9)]

    assert set(outlooks_of([both], NOON)) == {"Gemini"}
    assert set(outlooks_of([both, [a_pool("claude", 0.1)]], NOON)) == {"Claude", "Gemini"}
    assert set(outlooks_of([[QuotaPool("Claude, GPT", "antigravity")]], NOON)) == {"Claude", "Gemini"}


def test_accounts_whose_quota_is_not_told_do_not_blur_the_others() -> None:
    told = [QuotaPool("Claude, GPT", "antigravity", refused_until=datetime(2026, 3, 1, 13, tzinfo=UTC))]

    with_key = outlooks_of([told, []], NOON)["Claude"]

    assert (with_key.fate, with_key.unknown) == (Fate.EMPTY, 0)
    assert outlooks_of([[]], NOON) == {}
