from __future__ import annotations

import codecs
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from django.core.management import call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.credentials.passphrases import PassphraseWrong
from accounts.models import Account, Revision
from accounts.status.required_action import required_action
from accounts.status.state_changes import enter_state
from accounts.transfer.documents import ImportFileUnusable
from accounts.transfer.exporting import export
from accounts.transfer.importing import preview, store
from accounts.transfer.readers import parse_rows
from accounts.values.sanitize import UNSAFE
from tests.accounts.values.any_json import ANYTHING, TEXTS, encoded, like, several

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db


def rows_of(*entries: Any) -> Any:
    return parse_rows(orjson.dumps(list(entries)))


def entry(email: str = "ada@example.com", **more: Any) -> dict[str, Any]:
    return {"email": email, "refresh_token": f"token of {email}", **more}


def test_rows_are_added_then_updated() -> None:
    rows = rows_of(entry(), entry("Linus@Example.com", project_id="proj"))

    first, second = store(rows, terms_accepted=True), store(rows, terms_accepted=True)

    assert [one.result for one in first] == ["added", "added"]
    assert [one.result for one in second] == ["updated", "updated"]
    assert Account.objects.get(email="linus@example.com").project_id == "proj"


def test_the_file_of_other_tools_is_read_and_its_packed_token_split() -> None:
    packed = {"email": "ada@example.com", "refreshToken": "1//tok||managed", "addedAt": "2026-01-01"}

    rows = parse_rows(orjson.dumps({"accounts": [packed], "settings": {}, "activeIndex": 0}))

    assert (rows[0].refresh_token, rows[0].project_id) == ("1//tok", "managed")


def test_an_account_disabled_by_another_tool_stays_disabled() -> None:
    (outcome,) = store(rows_of(entry(isInvalid=True, invalidReason="invalid_grant")), terms_accepted=True)

    account = Account.objects.get()
    told = "Switched off in the imported file (isInvalid: invalid_grant)"
    assert (outcome.result, outcome.reason) == ("added", told)
    assert (account.enabled, account.state, account.state_reason) == (False, Account.State.OK, told)
    action = required_action(account)
    assert action is not None
    assert (action.problem, action.reason) == ("Switched off", told)


def test_an_account_disabled_here_stays_disabled() -> None:
    store(rows_of(entry()), terms_accepted=True)
    Account.objects.update(enabled=False)

    (outcome,) = store(rows_of(entry(enabled=True)), terms_accepted=True)

    assert (outcome.result, outcome.reason) == ("updated", "It stays switched off here")
    assert Account.objects.get().enabled is False


def test_a_check_at_google_leaves_the_reason_until_it_is_switched_on() -> None:
    store(rows_of(entry(disabled=True)), terms_accepted=True)
    account = Account.objects.get()

    enter_state(account.pk, Account.State.OK)
    assert Account.objects.get().state_reason == "Switched off in the imported file (disabled)"

    call_command("enableaccount", account.email)
    assert (Account.objects.get().enabled, Account.objects.get().state_reason) == (True, "")


def test_a_sign_in_of_another_oauth_client_is_refused_by_name(settings: Settings) -> None:
    settings.OAUTH_CLIENT_ID = "ours.apps.googleusercontent.com"
    theirs = {"client_id": "theirs.apps.googleusercontent.com", "refresh_token": "1//their-token"}
    ours = {"client_id": settings.OAUTH_CLIENT_ID, "refresh_token": "1//our-token", "email": "b@example.com"}

    outcomes = preview(rows_of(theirs, ours))

    assert [one.result for one in outcomes] == ["would fail", "would be added"]
    assert "theirs.apps.googleusercontent.com" in outcomes[0].reason


def test_a_byte_order_mark_before_the_list_is_ignored() -> None:
    (row,) = parse_rows(codecs.BOM_UTF8 + orjson.dumps([entry()]))

    assert row.email == "ada@example.com"


@pytest.mark.parametrize(
    "text",
    [b"", b"not json", b"{}", b'"text"', b"[]", b'{"accounts": {}}', b"\xff\xfe", b"[" * 300 + b"]" * 300],
)
def test_what_is_no_list_of_accounts_is_refused_as_a_whole(text: bytes) -> None:
    with pytest.raises(ImportFileUnusable):
        parse_rows(text)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (7, "it is neither an object nor a refresh token of Google"),
        (None, "it is neither an object nor a refresh token of Google"),
        ({}, "refresh_token: there is none"),
        ("nobody@example.com", "it is neither an object nor a refresh token of Google"),
        ({"email": 7}, "email: must be an e-mail address"),
        ({"email": "no address"}, "email: must be an e-mail address"),
        ({"email": '"<script>"@example.com'}, "email: must be an e-mail address"),
        ({"email": "a\x1b[31m@example.com"}, "email: must be an e-mail address"),
        ({"email": f"{'a' * 300}@example.com"}, "email: must be an e-mail address"),
        ({"email": "a@example.com"}, "refresh_token: there is none"),
        ({"email": "a@example.com", "refresh_token": ["x"]}, "refresh_token: must be a text"),
        ({"email": "a@example.com", "refresh_token": "  "}, "refresh_token: must be a text"),
        ({"email": "a@example.com", "refresh_token": "|proj"}, "refresh_token: is empty or too long"),
        (entry(project_id=7), "project_id: must be a text of at most 200 characters"),
        (entry(project_id="p" * 201), "project_id: must be a text of at most 200 characters"),
    ],
)
def test_a_bad_row_is_reported_and_the_others_come_in(bad: Any, reason: str) -> None:
    outcomes = store(rows_of(bad, entry("good@example.com")), terms_accepted=True)

    assert [one.result for one in outcomes] == ["failed", "added"]
    assert outcomes[0].reason == reason
    assert Account.objects.count() == 1


ENTRY = like(
    type=st.sampled_from(["antigravity", "gemini"]) | TEXTS,
    provider=TEXTS,
    token=like(refresh_token=TEXTS, project_id=TEXTS),
    client_id=TEXTS,
    refresh=TEXTS,
    status=TEXTS,
    coolingDownUntil=st.floats() | TEXTS,
    quota=like(is_forbidden=st.booleans(), forbidden_reason=TEXTS),
    email=st.sampled_from(["ada@example.com", "linus@example.com"]) | TEXTS,
    refresh_token=st.just("1//token") | TEXTS,
    refreshToken=TEXTS,
    project_id=TEXTS,
    enabled=st.booleans() | TEXTS,
    disabled=st.booleans(),
    invalidReason=TEXTS,
)


@settings(max_examples=300)
@given((several(ENTRY) | like(accounts=several(ENTRY)) | ANYTHING).map(encoded) | st.binary())
def test_rows_of_any_file_can_be_shown_and_stored(text: bytes) -> None:
    with suppress(ImportFileUnusable, PassphraseWrong):
        for row in parse_rows(text):
            shown = " ".join([row.email, row.place, row.project_id, row.off_reason, row.problem])
            assert not UNSAFE.search(shown + row.refresh_token + row.client_id)
            assert len(row.project_id) <= 200
            assert row.problem or row.refresh_token


def test_of_duplicates_the_first_counts() -> None:
    outcomes = store(rows_of(entry(), entry("ADA@example.com", refresh_token="other")), terms_accepted=True)

    assert (outcomes[1].result, outcomes[1].reason) == ("failed", "the same e-mail as in row 1")
    assert outcomes[1].place == "row 2"
    assert Account.objects.get().credential["refresh_token"] == "token of ada@example.com"


@pytest.mark.slow
def test_ten_thousand_rows_take_seconds() -> None:
    rows = rows_of(*(entry(f"user{number}@example.com") for number in range(10_000)))

    started = time.process_time()
    outcomes = store(rows, terms_accepted=True)

    assert time.process_time() - started < 15
    assert {one.result for one in outcomes} == {"added"}
    assert Account.objects.count() == 10_000


def test_a_preview_changes_nothing() -> None:
    Account.objects.create(email="known@example.com", sealed_credential="-")

    outcomes = preview(rows_of(entry("known@example.com"), entry("new@example.com"), 7))

    assert [one.result for one in outcomes] == ["would be updated", "would be added", "would fail"]
    assert Account.objects.count() == 1


def test_only_a_new_token_resets_the_state() -> None:
    store(rows_of(entry()), terms_accepted=True)
    Account.objects.update(state=Account.State.DISABLED_BY_PROVIDER)

    store(rows_of(entry()), terms_accepted=True)
    assert Account.objects.get().state == Account.State.DISABLED_BY_PROVIDER

    store(rows_of(entry(refresh_token="a new one")), terms_accepted=True)
    assert Account.objects.get().state == Account.State.OK


def test_an_import_raises_the_revision() -> None:
    before = Revision.current()

    store(rows_of(entry()), terms_accepted=True)

    assert Revision.current() > before


# There and back again


def test_an_export_can_be_imported() -> None:
    store(rows_of(entry(project_id="proj", enabled=False)), terms_accepted=True)

    rows = parse_rows(export(Account.objects.all()))

    assert (rows[0].refresh_token, rows[0].project_id, rows[0].off_reason == "") == (
        "token of ada@example.com",
        "proj",
        False,
    )


def test_an_encrypted_export_shows_nothing_and_opens_with_its_passphrase() -> None:
    store(rows_of(entry()), terms_accepted=True)

    sealed = export(Account.objects.all(), "correct horse")

    assert b"ada@" not in sealed
    assert parse_rows(sealed, lambda: "correct horse")[0].email == "ada@example.com"
    with pytest.raises(PassphraseWrong):
        parse_rows(sealed, lambda: "wrong horse")


@pytest.mark.parametrize("damage", [{"salt": "zz"}, {"n": 2**30}, {"sealed": 7}, {"sealed": "x"}])
def test_a_damaged_export_is_refused(damage: dict[str, Any]) -> None:
    sealed = orjson.loads(export([], "correct horse"))

    with pytest.raises(PassphraseWrong):
        parse_rows(orjson.dumps({**sealed, **damage}), lambda: "correct horse")
