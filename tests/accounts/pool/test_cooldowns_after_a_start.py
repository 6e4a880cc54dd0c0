"""Stored cooldowns and their use after a start."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from accounts.failures import FailureKind
from accounts.models import Cooldown
from accounts.pool.cooldown_store import read_cooldowns, store_cooldowns
from accounts.pool.cooldowns import ActiveCooldown, Cooldowns

if TYPE_CHECKING:
    from pytest import MonkeyPatch  # noqa: PT013

    from accounts.models import Account

pytestmark = pytest.mark.django_db

KEY = "gemini-3-flash:cli"
HOUR = 3600.0


def cooldown_of_an_hour(account: Account) -> ActiveCooldown:
    now = time.time()
    cooldown = ActiveCooldown(until=now + HOUR, kind=FailureKind.QUOTA, reason="quota", since=now)
    store_cooldowns({(account.pk, KEY): cooldown})
    return cooldown


def after_a_start(account: Account) -> ActiveCooldown | None:
    cooldowns = Cooldowns(now=lambda: timezone.now().timestamp())
    cooldowns.load(read_cooldowns())
    return cooldowns.get((account.pk, KEY))


def test_a_cooldown_outlives_a_restart(ada: Account) -> None:
    cooldown = cooldown_of_an_hour(ada)

    loaded = after_a_start(ada)

    assert loaded is not None
    assert (loaded.kind, loaded.reason, loaded.is_limit) == (FailureKind.QUOTA, "quota", True)
    assert loaded.until - loaded.since == pytest.approx(HOUR)
    assert loaded.until == pytest.approx(cooldown.until)


def test_a_clock_set_back_does_not_lengthen_a_stored_cooldown(ada: Account, monkeypatch: MonkeyPatch) -> None:
    """Two hours back: it would last three hours instead of one."""
    cooldown_of_an_hour(ada)

    set_clock(monkeypatch, -2 * HOUR)

    assert after_a_start(ada) is None
    assert not Cooldown.lasting().exists()


def test_a_stored_cooldown_without_a_start_still_counts(ada: Account) -> None:
    cooldown_of_an_hour(ada)
    Cooldown.objects.update(since=Cooldown._meta.get_field("since").get_default())

    assert after_a_start(ada) is not None


def test_a_cooldown_of_an_unknown_kind_is_no_limit(ada: Account) -> None:
    """Another version has stored it."""
    cooldown_of_an_hour(ada)
    Cooldown.objects.update(kind="SOMETHING_NEW")

    loaded = after_a_start(ada)

    assert loaded is not None
    assert (loaded.kind, loaded.is_limit) == (None, False)
    store_cooldowns({(ada.pk, KEY): loaded})
    assert Cooldown.objects.get().kind == ""


def set_clock(monkeypatch: MonkeyPatch, seconds: float) -> None:
    moment = timezone.now() + timedelta(seconds=seconds)
    monkeypatch.setattr(timezone, "now", lambda: moment)
