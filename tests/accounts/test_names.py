"""Accounts without an e-mail address: their names, and what may not be there twice."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.utils import timezone

from accounts.models import Account
from accounts.pool.pool import read_usable_accounts
from accounts.status.required_action import required_action

pytestmark = pytest.mark.django_db


def a_key(number: int = 1, **fields: object) -> Account:
    values = {"kind": "gemini", "given_name": f"Gemini key {number}", "terms_accepted_at": timezone.now()}
    return Account.objects.create(**values | fields)


def test_accounts_without_addresses_live_side_by_side() -> None:
    first, second = a_key(1), a_key(2)

    assert (first.email, second.email) == ("", "")
    assert [str(first), second.name] == ["Gemini key 1", "Gemini key 2"]


def test_a_label_is_shown_but_names_nothing() -> None:
    account = a_key(label="At work")

    assert (str(account), account.name) == ("At work", "Gemini key 1")


@pytest.mark.parametrize("field", ["email", "given_name", "fingerprint"])
def test_nothing_that_identifies_is_there_twice(field: str) -> None:
    a_key(1, **{field: "the same"})

    with pytest.raises(IntegrityError):
        a_key(2, **{field: "the same"})


def test_the_pool_has_the_given_name() -> None:
    a_key()

    assert [one.name for one in read_usable_accounts()] == ["Gemini key 1"]


def test_commands_take_the_given_name(capsys: pytest.CaptureFixture[str]) -> None:
    account = a_key()

    call_command("disableaccount", "gemini KEY 1")
    account.refresh_from_db()
    call_command("listaccounts")

    assert not account.enabled
    action = required_action(account)
    assert action is not None
    assert action.command == "enableaccount 'Gemini key 1'"
    assert "Gemini key 1" in capsys.readouterr().out


def test_the_list_tells_which_unpaid_key_stands_by(capsys: pytest.CaptureFixture[str]) -> None:
    a_key(1, tier="free")
    a_key(2, tier="free")
    a_key(3, tier="paid")

    call_command("listaccounts")

    lines = [line.split()[:4] for line in capsys.readouterr().out.splitlines() if line.startswith("Gemini")]
    assert [line[3] for line in lines] == ["OK", "stands", "OK"]


@pytest.mark.slow
def test_older_code_gets_addresses_but_no_keys(transactional_db: None) -> None:
    account = a_key(quota_group="lab", base_url="http://127.0.0.1:8001", fingerprint="f" * 64)
    account.credential = {"api_key": "secret"}
    account.save()

    call_command("migrate", "accounts", "0007", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT email, terms_accepted_at FROM accounts_account")
        seen_by_older_code = cursor.fetchall()
    call_command("migrate", "accounts", verbosity=0)

    assert seen_by_older_code == [(f"account-{account.pk}@key.invalid", None)]
    again = Account.objects.get(pk=account.pk)
    assert again.credential == {"api_key": "secret"}
    assert (again.email, again.name, again.quota_group) == ("", "Gemini key 1", "lab")
    assert (again.base_url, again.fingerprint, again.is_usable) == ("http://127.0.0.1:8001", "f" * 64, True)
