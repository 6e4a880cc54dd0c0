from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet

from accounts.credentials import encryption, key_rotation
from accounts.credentials.encryption import (
    CredentialsUnreadable,
    keys,
    seal,
    unseal,
    unseal_fields,
    write_keys,
)
from accounts.models import Account, Revision

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django import Settings


@pytest.fixture(autouse=True)
def key_file(settings: Settings, tmp_path: Path) -> Path:
    settings.CREDENTIALS_KEYS = []
    settings.CREDENTIALS_KEYS_FILE = tmp_path / "credentials_keys"
    write_keys([Fernet.generate_key().decode()])
    return tmp_path / "credentials_keys"


@pytest.fixture
def account(db: None) -> Account:
    account = Account(email="ada@example.com")
    account.credential = {"refresh_token": "the secret"}
    account.save()
    return account


def test_a_sealed_secret_does_not_show_and_opens_again() -> None:
    sealed = seal("the secret")

    assert "secret" not in sealed
    assert unseal(sealed) == "the secret"


def test_the_key_file_is_for_its_owner_only(key_file: Path) -> None:
    write_keys(keys())

    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600


def test_keys_in_the_environment_win(settings: Settings) -> None:
    settings.CREDENTIALS_KEYS = [Fernet.generate_key().decode()]

    assert keys() == settings.CREDENTIALS_KEYS


def test_rotation_encrypts_anew_and_old_keys_still_open(account: Account) -> None:
    before, revision = account.sealed_credential, Revision.current()

    key_rotation.add_key()
    assert key_rotation.encrypt_anew() == 1

    assert Revision.current() > revision  # so that servers read it anew
    account.refresh_from_db()
    assert account.sealed_credential != before
    assert account.credential["refresh_token"] == "the secret"
    assert unseal_fields(before) == {"refresh_token": "the secret"}
    assert len(keys()) == 2


def test_forgetting_the_old_keys_makes_old_backups_useless(account: Account) -> None:
    before = account.sealed_credential
    key_rotation.add_key()

    key_rotation.forget_old_keys()

    account.refresh_from_db()
    assert account.credential["refresh_token"] == "the secret"
    with pytest.raises(CredentialsUnreadable):
        unseal(before)


def test_a_sign_in_during_the_rotation_is_not_undone(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row changes between being read and being written back."""
    key_rotation.add_key()
    reseal = encryption.reseal

    def sign_in_meanwhile(sealed: str) -> str:
        account.credential = {"refresh_token": "a newer one"}
        account.save()
        return reseal(sealed)

    monkeypatch.setattr(key_rotation, "reseal", sign_in_meanwhile)

    key_rotation.encrypt_anew()

    account.refresh_from_db()
    assert account.credential["refresh_token"] == "a newer one"


def test_a_database_without_its_key_is_refused_in_a_sentence(account: Account) -> None:
    write_keys([Fernet.generate_key().decode()])

    with pytest.raises(CredentialsUnreadable, match="were encrypted with another key"):
        key_rotation.check_keys()


@pytest.mark.parametrize("content", ["", "no key", "schlüssel"])
def test_a_damaged_file_of_keys_is_refused_in_a_sentence(
    content: str, account: Account, key_file: Path
) -> None:
    key_file.write_text(content)

    with pytest.raises(CredentialsUnreadable, match="Put that one back"):
        key_rotation.check_keys()
    with pytest.raises(CredentialsUnreadable, match="Put that one back"):
        seal("secret")


def test_an_account_added_since_lets_the_server_start(account: Account) -> None:
    write_keys([Fernet.generate_key().decode()])
    other = Account(email="linus@example.com")
    other.credential = {"refresh_token": "opens"}
    other.save()

    key_rotation.check_keys()
