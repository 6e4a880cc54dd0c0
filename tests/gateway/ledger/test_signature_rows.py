"""Signatures of tool calls in the database."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet
from django.utils import timezone

from gateway.ledger import signature_rows
from gateway.ledger.signature_rows import KEPT, STEP_ROWS, find, newest, prune_step, store
from gateway.models import CallSignature

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

pytestmark = pytest.mark.django_db


def expire(*ids: str) -> None:
    CallSignature.objects.filter(pk__in=ids).update(expires_at=timezone.now())


def test_what_is_stored_is_found_with_its_family() -> None:
    store({"toolu_1": "gemini#c2lnbmVk", "toolu_2": "gemini#b3RoZXI="})

    assert find(["toolu_1", "toolu_3"]) == {"toolu_1": "gemini#c2lnbmVk"}


def test_no_signature_can_be_read_in_the_database() -> None:
    store({"toolu_1": "gemini#c2lnbmVk"})

    row = CallSignature.objects.get()
    assert "c2lnbmVk" not in row.sealed
    assert row.family == "gemini"
    assert timedelta() < row.expires_at - timezone.now() <= KEPT


def test_a_newer_signature_for_one_call_wins() -> None:
    store({"toolu_1": "gemini#b2xk"})
    store({"toolu_1": "gemini#bmV3", "toolu_2": "gemini#b25l"})

    assert find(["toolu_1", "toolu_2"]) == {"toolu_1": "gemini#bmV3", "toolu_2": "gemini#b25l"}


def test_the_newest_are_read_first_and_come_last() -> None:
    for number in range(3):
        store({f"toolu_{number}": "gemini#c2lnbmVk"})

    assert list(newest(2)) == ["toolu_1", "toolu_2"]


def test_an_expired_signature_is_not_found() -> None:
    store({"toolu_1": "gemini#c2lnbmVk"})
    expire("toolu_1")

    assert find(["toolu_1"]) == newest(10) == {}


def test_expired_signatures_go_in_steps() -> None:
    ids = [f"toolu_{number}" for number in range(STEP_ROWS + 5)]
    store(dict.fromkeys(ids, "gemini#c2lnbmVk"))
    expire(*ids[1:])

    assert [prune_step(), prune_step(), prune_step()] == [STEP_ROWS, 4, 0]
    assert CallSignature.objects.get().pk == "toolu_0"


def test_a_signature_that_no_key_opens_counts_as_lost(settings: Settings) -> None:
    settings.CREDENTIALS_KEYS = [Fernet.generate_key().decode()]
    store({"toolu_1": "gemini#c2lnbmVk"})
    settings.CREDENTIALS_KEYS = [Fernet.generate_key().decode()]
    store({"toolu_2": "gemini#c2lnbmVk"})

    assert find(["toolu_1", "toolu_2"]) == {"toolu_2": "gemini#c2lnbmVk"}


def test_a_batch_is_larger_than_one_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signature_rows, "STEP_ROWS", 10)

    store({f"toolu_{number}": "gemini#c2lnbmVk" for number in range(25)})

    assert CallSignature.objects.count() == 25
