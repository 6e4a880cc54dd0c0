from __future__ import annotations

import json
from io import StringIO
from itertools import product

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import Account
from accounts.pool.pool import read_usable_accounts
from accounts.status.required_action import required_action

pytestmark = pytest.mark.django_db


@pytest.fixture
def every_account() -> list[Account]:
    """One for each combination of state, switch and terms."""
    return [
        Account.objects.create(
            email=f"{number}@example.com",
            state=state,
            enabled=enabled,
            terms_accepted_at=timezone.now() if accepted else None,
        )
        for number, (state, enabled, accepted) in enumerate(
            product(Account.State.values, [True, False], [True, False])
        )
    ]


def usable_emails() -> set[str]:
    return set(Account.objects.usable().values_list("email", flat=True))


def test_only_one_combination_is_usable(every_account: list[Account]) -> None:
    assert usable_emails() == {"0@example.com"}
    assert every_account[0].state == Account.State.OK


def test_usable_and_unusable_share_no_account(every_account: list[Account]) -> None:
    unusable = set(Account.objects.unusable().values_list("email", flat=True))

    assert usable_emails() | unusable == {account.email for account in every_account}
    assert not usable_emails() & unusable


def test_one_account_and_the_queryset_agree(every_account: list[Account]) -> None:
    assert {account.email for account in every_account if account.is_usable} == usable_emails()


def test_only_a_usable_account_requires_nothing(every_account: list[Account]) -> None:
    assert {account.email for account in every_account if required_action(account) is None} == usable_emails()


def test_pool_and_list_agree(every_account: list[Account]) -> None:
    listed = StringIO()
    call_command("listaccounts", json=True, stdout=listed)
    rows = json.loads(listed.getvalue())["rows"]

    assert {account.name for account in read_usable_accounts()} == usable_emails()
    assert {row["email"] for row in rows if row["usable"]} == usable_emails()
