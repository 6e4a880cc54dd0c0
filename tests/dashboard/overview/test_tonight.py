from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from accounts.quota.outlook import Fate, Outlook
from dashboard.overview.tonight import Tonight, end_of_tonight, is_midnight, tonight_of

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def at(hours: float) -> float:
    return NOON.timestamp() + hours * 3600


def of(outlook: Outlook, now: datetime = NOON) -> Tonight:
    (one,) = tonight_of({"Claude": outlook}, now)
    return one


@pytest.mark.parametrize(
    ("outlook", "lasts"),
    [
        (Outlook(Fate.LASTS, at(3)), True),
        (Outlook(Fate.UNUSED), True),
        (Outlook(Fate.UNKNOWN), None),
        (Outlook(Fate.EMPTY, at(0), at(3)), False),
        (Outlook(Fate.RUNS_OUT, at(11.9), at(13)), False),
        (Outlook(Fate.RUNS_OUT, at(12.1), at(13)), True),
    ],
)
def test_a_family_lasts_until_midnight(outlook: Outlook, lasts: bool | None) -> None:
    assert of(outlook).lasts is lasts


@pytest.mark.parametrize("outlook", [Outlook(Fate.EMPTY, at(0), at(3)), Outlook(Fate.RUNS_OUT, at(1), at(3))])
def test_a_family_that_keys_carry_on_lasts(outlook: Outlook) -> None:
    assert [one.lasts for one in tonight_of({"Claude": outlook, "Gemini": outlook}, NOON, ["Claude"])] == [
        True,
        False,
    ]


def test_families_without_an_account_have_no_sentence() -> None:
    assert tonight_of({"Gemini": Outlook(Fate.NO_ACCOUNT)}, NOON) == []


def test_tonight_ends_at_the_operators_midnight_or_hours_later() -> None:
    zone = timezone(timedelta(hours=9))
    assert end_of_tonight(NOON.astimezone(zone)) == datetime(2026, 11, 27, 1, tzinfo=zone)
    assert end_of_tonight(NOON) == datetime(2026, 11, 27, tzinfo=UTC)
    late = datetime(2026, 11, 26, 23, 30, tzinfo=UTC)
    assert end_of_tonight(late) == late + timedelta(hours=4)


@pytest.mark.parametrize(("now", "midnight"), [(NOON, True), (NOON + timedelta(hours=11), False)])
def test_only_a_midnight_is_called_so(now: datetime, midnight: bool) -> None:
    assert is_midnight(end_of_tonight(now)) is midnight
