from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

import pytest
from django.db import OperationalError, connection

from accounts.failures import FailureKind
from accounts.models import Account, Cooldown
from accounts.pool.cooldown_store import read_cooldowns, store_cooldowns
from accounts.pool.cooldowns import ActiveCooldown

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ids() -> list[int]:
    return [
        Account.objects.create(email=f"{name}@example.com", sealed_credential="x").pk
        for name in ("ada", "linus")
    ]


def in_an_hour(reason: str = "quota") -> ActiveCooldown:
    return ActiveCooldown(time.time() + 3600, FailureKind.QUOTA, reason)


def test_what_is_stored_is_read_and_what_has_ended_is_forgotten(ids: list[int]) -> None:
    ada, linus = ids

    store_cooldowns({(ada, "one:cli"): in_an_hour(), (linus, "two:cli"): in_an_hour("rate limit")})
    store_cooldowns({(ada, "one:cli"): None})

    ((key, cooldown),) = read_cooldowns().items()
    assert (key, cooldown.reason) == ((linus, "two:cli"), "rate limit")


POISON = {
    "an end that never comes": ("model:cli", math.inf),
    "an end that is no number": ("model:cli", math.nan),
    "an end after the last year": ("model:cli", 1e15),
    "half a character in the name": ("half \ud83d:cli", time.time() + 3600),
}


@pytest.mark.parametrize("name", POISON)
def test_a_rejected_row_does_not_stop_the_others(
    name: str, ids: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    ada, linus = ids
    model_key, until = POISON[name]
    changes = {
        (ada, "first:cli"): in_an_hour(),
        (ada, model_key): ActiveCooldown(until, FailureKind.QUOTA, "quota"),
        (linus, "last:cli"): in_an_hour(),
    }

    with caplog.at_level(logging.ERROR):
        store_cooldowns(changes)

    assert read_cooldowns().keys() == {(ada, "first:cli"), (linus, "last:cli")}
    assert "A cooldown cannot be stored" in caplog.text


def test_a_cooldown_of_a_removed_account_is_dropped(ids: list[int]) -> None:
    ada, linus = ids
    Account.objects.get(pk=ada).delete()

    store_cooldowns({(ada, "one:cli"): in_an_hour(), (linus, "two:cli"): in_an_hour()})

    assert read_cooldowns().keys() == {(linus, "two:cli")}


def test_a_stored_reason_is_escaped_and_truncated(ids: list[int]) -> None:
    store_cooldowns({(ids[0], "one:cli"): in_an_hour("a\r\n\x1b[31mb\0" + "c" * 300)})

    reason = Cooldown.objects.get().reason
    assert reason.startswith(r"a\x0d\x0a\x1b[31mb\x00ccc")
    assert len(reason) == 200


@pytest.fixture
def refusing_database() -> Iterator[None]:
    def refuse(*_: object) -> None:
        raise OperationalError("database is locked")

    with connection.execute_wrapper(refuse):
        yield


def test_a_database_that_rejects_all_rows_raises(ids: list[int], refusing_database: None) -> None:
    with pytest.raises(OperationalError):
        store_cooldowns({(ids[0], "one:cli"): in_an_hour()})
