from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.status.required_action import RequiredAction
from dashboard.overview import attention
from dashboard.overview.status_line import FamilyStatus


def test_the_worst_comes_first() -> None:
    action = RequiredAction("Sign-in expired", "Sign in again.", "addaccount")
    notices = [
        *attention.of_quota(timedelta(hours=1), "/accounts"),
        *attention.of_ledger(5000, "/logs"),
        *attention.of_failures(8, 20, "/requests"),
        *attention.of_families([FamilyStatus("Claude", 0, 2)], "/accounts"),
        attention.of_account("ada", "/accounts/1", action, []),
        attention.of_client("invalid_client", "/accounts"),
    ]
    subjects = [notice.subject for notice in attention.in_order(notices)]
    assert subjects == [
        *("Google refuses the OAuth client", "ada", "Claude cannot be used", "Many failures"),
        *("The ledger waits", "Old quotas"),
    ]


def test_a_time_is_said_to_be_since_when() -> None:
    since = timezone.now()
    action = RequiredAction("Sign-in expired", "Sign in again.", "addaccount", since)

    notice = attention.of_account("ada", "/accounts/1", action, [])

    assert (notice.text, notice.further, notice.at) == ("Sign-in expired.", "Sign in again. Since", since)


@pytest.mark.parametrize(("failed", "requests"), [(0, 0), (9, 9), (2, 10), (20, 100)])
def test_few_failures_are_no_notice(failed: int, requests: int) -> None:
    assert not attention.of_failures(failed, requests, "")


def test_an_available_family_is_no_notice() -> None:
    assert not attention.of_families([FamilyStatus("Claude", 1, 2), FamilyStatus("Gemini", 0, 0)], "")


@pytest.mark.parametrize("age", [None, timedelta(minutes=14)])
def test_a_recent_quota_is_no_notice(age: timedelta | None) -> None:
    assert not attention.of_quota(age, "")
