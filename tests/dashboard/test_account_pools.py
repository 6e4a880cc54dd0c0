"""What keys count for in the summaries of pages and of `status`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from accounts.models import Account, Cooldown
from accounts.pool.cooldowns import ALL_MODELS
from dashboard.account_pools import AccountPools, read_account_pools
from dashboard.overview.status_line import FamilyStatus, status_of_families

if TYPE_CHECKING:
    from datetime import datetime

pytestmark = pytest.mark.django_db
SOON = timezone.now() + timedelta(hours=1)
LATER = SOON + timedelta(hours=1)


def a_key(kind: str, name: str, tier: str = "unknown") -> Account:
    return Account.objects.create(
        kind=kind, given_name=name, fingerprint=name, tier=tier, terms_accepted_at=timezone.now()
    )


def test_an_unpaid_key_that_stands_by_is_not_counted_as_available() -> None:
    for number in (1, 2):
        a_key("gemini", f"Gemini key {number}", tier="free")

    assert status_of_families(one.status for one in read_account_pools()) == [FamilyStatus("Gemini", 1, 2)]


def test_a_key_rests_while_a_limit_of_all_its_models_lasts() -> None:
    key = a_key("anthropic", "Anthropic key 1")
    Cooldown.objects.create(account=key, model_key=ALL_MODELS, until=SOON, kind="SPEND_LIMIT", reason="spent")

    (claude,) = status_of_families(one.status for one in read_account_pools())

    assert claude == FamilyStatus("Claude", 0, 1, SOON)


def test_another_cooldown_is_no_limit() -> None:
    key = a_key("anthropic", "Anthropic key 1")
    Cooldown.objects.create(account=key, model_key=ALL_MODELS, until=SOON, kind="OUT_OF_CREDIT", reason="")

    assert status_of_families(one.status for one in read_account_pools()) == [FamilyStatus("Claude", 1, 1)]


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        ({"gemini-a": SOON}, FamilyStatus("Gemini", 1, 1)),
        ({"gemini-a": LATER, "gemini-b": SOON}, FamilyStatus("Gemini", 0, 1, SOON)),
    ],
)
def test_a_family_rests_when_each_of_its_models_does(
    limits: dict[str, datetime], status: FamilyStatus
) -> None:
    key = a_key("gemini", "Gemini key 1")
    one = AccountPools(
        key,
        [],
        ("gemini-a", "gemini-b"),
        limited_until={f"{model}:gemini": end for model, end in limits.items()},
    )

    assert status_of_families([one.status]) == [status]
    assert [pool.models for pool in one.models_at_limit] == [(model,) for model in limits]
