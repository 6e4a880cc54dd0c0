"""The move of 0.1's refresh tokens into credentials, and back."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.fernet import Fernet
from django.apps import apps
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.credentials.encryption import keys, seal, seal_fields, unseal, unseal_fields, write_keys
from accounts.models import Account

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django import Settings

MIGRATION: Any = import_module("accounts.migrations.0008_credential")
EDITOR = SimpleNamespace(connection=connection)
TOKENS = st.text(min_size=1).filter(lambda text: not text.startswith("{"))


@pytest.fixture
def account(db: None, settings: Settings, tmp_path: Path) -> Account:
    settings.CREDENTIALS_KEYS = []
    settings.CREDENTIALS_KEYS_FILE = tmp_path / "credentials_keys"
    write_keys([Fernet.generate_key().decode()])
    return Account.objects.create(email="ada@example.com", sealed_credential=seal("1//ada"))


def sealed(account: Account) -> str:
    account.refresh_from_db()
    return account.sealed_credential


@pytest.mark.slow
def test_a_refresh_token_becomes_a_field_and_comes_back(account: Account) -> None:
    MIGRATION.to_fields(apps, EDITOR)
    assert unseal(sealed(account)) == '{"refresh_token":"1//ada"}'
    assert account.credential == {"refresh_token": "1//ada"}

    MIGRATION.to_refresh_tokens(apps, EDITOR)
    assert unseal(sealed(account)) == "1//ada"


def test_migrating_twice_changes_nothing(account: Account) -> None:
    for move in (MIGRATION.to_fields, MIGRATION.to_fields):
        move(apps, EDITOR)
    assert account.credential == {"refresh_token": "1//ada"}

    for move in (MIGRATION.to_refresh_tokens, MIGRATION.to_refresh_tokens):
        move(apps, EDITOR)
    assert unseal(sealed(account)) == "1//ada"


def test_what_no_key_opens_stays_and_works_later(account: Account) -> None:
    ours, before = keys(), sealed(account)
    write_keys([Fernet.generate_key().decode()])

    MIGRATION.to_fields(apps, EDITOR)
    assert sealed(account) == before

    write_keys(ours)
    assert account.credential == {"refresh_token": "1//ada"}


@settings(max_examples=300)
@given(fields=st.dictionaries(st.text(), st.text()), token=TOKENS)
def test_any_fields_and_any_token_open_as_they_were(fields: dict[str, str], token: str) -> None:
    assert unseal_fields(seal_fields(fields)) == fields
    assert unseal_fields(seal(token)) == {"refresh_token": token}
