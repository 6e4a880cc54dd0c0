from __future__ import annotations

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Account
from accounts.pool.pool import read_usable_accounts
from accounts.pool.unpaid_keys import standing_by
from accounts.pool.view import PooledAccount

ACCOUNTS = st.lists(
    st.builds(
        PooledAccount,
        id=st.integers(1, 9),
        name=st.just("Key"),
        project_id=st.just(""),
        kind=st.sampled_from(["google", "gemini", "anthropic", "compatible"]),
        priority=st.integers(-2, 2),
        is_paid=st.booleans(),
    ),
    unique_by=lambda one: one.id,
)


@given(ACCOUNTS)
def test_of_unpaid_gemini_keys_only_the_first_is_used(accounts: list[PooledAccount]) -> None:
    unpaid = {(one.priority, one.id) for one in accounts if one.kind == "gemini" and not one.is_paid}

    assert standing_by(accounts) == {number for _, number in unpaid - {min(unpaid, default=(0, 0))}}


def a_key(name: str, tier: str, priority: int = 0) -> Account:
    return Account.objects.create(
        kind="gemini", given_name=name, tier=tier, priority=priority, terms_accepted_at=timezone.now()
    )


@pytest.mark.django_db
def test_the_next_key_enters_when_the_operator_disables_the_first() -> None:
    first, second = a_key("Gemini key 1", "free", priority=1), a_key("Gemini key 2", "free", priority=2)
    a_key("Gemini key 3", "unknown")
    assert [one.name for one in read_usable_accounts()] == ["Gemini key 3", "Gemini key 1"]

    first.enabled = False
    first.save()

    assert [one.name for one in read_usable_accounts()] == ["Gemini key 3", second.name]


@pytest.mark.django_db
def test_the_pool_knows_which_accounts_cost_money() -> None:
    for name, tier in [("Gemini key 1", "free"), ("Gemini key 2", "paid"), ("Gemini key 3", "unknown")]:
        a_key(name, tier)

    assert [one.is_paid for one in read_usable_accounts()] == [False, True, True]
