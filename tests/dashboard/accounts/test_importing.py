from __future__ import annotations

import random
import re
from base64 import b64encode
from typing import TYPE_CHECKING

import orjson
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import Account
from accounts.operators import passwords
from accounts.transfer import sealed_preview
from accounts.transfer.exporting import export
from tests.dashboard.accounts.builders import SCRIPT, an_account, logged

if TYPE_CHECKING:
    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.django_db
IMPORT, CONFIRM = "/accounts/import", "/accounts/import/confirm"
TOKEN = "1//a-refresh-token-that-must-not-show"


def entries(*emails: str) -> bytes:
    return orjson.dumps([{"email": email, "refresh_token": f"{TOKEN}-{email}"} for email in emails])


def upload(client: Client, *contents: bytes, name: str = "accounts.json", **fields: str) -> str:
    files = [SimpleUploadedFile(name, content) for content in contents]
    answer = client.post(IMPORT, {"files": files, **fields})
    assert answer.status_code == 200
    return answer.content.decode()


def sealed_in(page: str) -> str:
    found = re.search('name="rows" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def confirm(client: Client, rows: str, **fields: str) -> str:
    answer = client.post(CONFIRM, {"rows": rows, **fields})
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_preview_stores_nothing_and_shows_no_token(operator: Client) -> None:
    an_account("linus@example.com")

    page = upload(operator, entries("ada@example.com", "linus@example.com", "no address"))

    assert "Import 2 accounts?" in page
    assert "would be added" in page
    assert "already there, would be updated" in page
    assert "email: must be an e-mail address" in page
    assert "accounts.json, row 3" in page
    assert "refresh-token-that-must-not-show" not in page
    assert list(Account.objects.values_list("email", flat=True)) == ["linus@example.com"]
    assert logged() == []


def test_the_confirmed_preview_is_imported(operator: Client) -> None:
    rows = sealed_in(upload(operator, entries("ada@example.com"), entries("linus@example.com")))

    page = confirm(operator, rows, accept_terms="on")

    assert "2 accounts imported" in page
    assert TOKEN not in page
    ada = Account.objects.get(email="ada@example.com")
    assert ada.credential == {"refresh_token": f"{TOKEN}-ada@example.com"}
    assert ada.is_usable
    assert logged() == ["Imported accounts: 2 added, 0 updated, 0 failed"]


def test_without_the_notice_imported_accounts_are_not_used(operator: Client) -> None:
    confirm(operator, sealed_in(upload(operator, entries("ada@example.com"))))
    assert not Account.objects.get().is_usable


def test_an_encrypted_export_asks_for_its_passphrase(operator: Client) -> None:
    account = an_account()
    account.credential = {"refresh_token": TOKEN}
    text = export([account], "correct horse battery")

    assert "None of it can be imported" in upload(operator, text)
    assert "None of it can be imported" in upload(operator, text, passphrase="wrong")
    assert "Import 1 account?" in upload(operator, text, passphrase="correct horse battery")


def test_google_is_asked_for_an_address_at_the_import_only(operator: Client, google: EmulatorServer) -> None:
    token = google.state.account("ada@example.com").refresh_token
    page = upload(operator, orjson.dumps([{"refresh_token": token}]))
    assert "Google is asked for its e-mail" in page
    assert google.state.log.received == 0

    assert "ada@example.com" in confirm(operator, sealed_in(page))
    assert Account.objects.get().email == "ada@example.com"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 1000,
        b"PK\x03\x04",
        b"[" * 100_000,
        b'{"claudeAiOauth": {}}',
        b"\xff\xfe<script>alert(1)</script>",
        SCRIPT.encode(),
        orjson.dumps([{"email": SCRIPT, "refresh_token": SCRIPT}]),
        orjson.dumps([{"email": "a@example.com", "type": SCRIPT}]),
        orjson.dumps({SCRIPT: {"refresh_token": 1}}),
        orjson.dumps([SCRIPT, 1, None, [], {}]),
        orjson.dumps([{"email": "a@example.com", "refresh_token": "\u202e" + "x" * 10_000}]),
    ],
)
def test_a_hostile_file_is_told_and_stays_text(operator: Client, content: bytes) -> None:
    page = upload(operator, content, name="<img src=x onerror=alert(1)>.json")
    assert "cannot be imported" in page or "None of it" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert 'name="rows"' not in page


@pytest.mark.slow
def test_as_many_accounts_as_the_page_takes(operator: Client) -> None:
    emails = [f"{number}@example.com" for number in range(1001)]
    assert "1,001 accounts are more than the page takes" in upload(operator, entries(*emails))

    page = upload(operator, entries(*emails[:1000]))

    assert "Import 1000 accounts?" in page
    assert "1000 accounts imported" in confirm(operator, sealed_in(page))
    assert Account.objects.count() == 1000


def test_too_many_addresses_are_not_asked_for(operator: Client) -> None:
    tokens = orjson.dumps([{"refresh_token": f"{TOKEN}-{number}"} for number in range(101)])
    assert "more than 100 e-mail addresses" in upload(operator, tokens)


def test_tokens_that_make_the_form_too_large_are_not_taken(operator: Client) -> None:
    chance = random.Random(1)
    tokens = ["1//" + b64encode(chance.randbytes(1800)).decode() for _ in range(900)]
    rows = [{"email": f"{number}@example.com", "refresh_token": one} for number, one in enumerate(tokens)]
    assert "These are too many accounts for a page." in upload(operator, orjson.dumps(rows))


def test_a_file_that_is_too_large_is_dropped(operator: Client) -> None:
    assert "No file has come" in upload(operator, b"x" * 2_700_000)


def test_too_many_files_get_a_page(operator: Client) -> None:
    operator.raise_request_exception = False
    files = [SimpleUploadedFile("a.json", b"[]") for _ in range(101)]
    answer = operator.post(IMPORT, {"files": files})
    assert answer.status_code == 400
    assert b"The request cannot be read" in answer.content


def test_without_a_file_the_form_says_so(operator: Client) -> None:
    assert "No file has come" in operator.post(IMPORT, {}).content.decode()
    assert operator.get(CONFIRM)["Location"] == IMPORT


@pytest.mark.parametrize("rows", ["", "x", "gAAAA", SCRIPT, "\u00e4", "A" * 2_000_000])
def test_a_forged_preview_is_refused(operator: Client, rows: str) -> None:
    page = confirm(operator, rows)
    assert "This preview cannot be read." in page
    assert "<script>alert" not in page


def test_a_preview_of_another_session_is_refused(operator: Client) -> None:
    rows = sealed_in(upload(operator, entries("ada@example.com")))
    other = Client()
    other.force_login(passwords.set_password("a long and good one"))
    assert "belongs to another session" in confirm(other, rows)
    assert not Account.objects.exists()


def test_an_old_preview_is_refused(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_preview, "LIFETIME_SECONDS", -1)
    rows = sealed_in(upload(operator, entries("ada@example.com")))
    assert "older than a quarter of an hour" in confirm(operator, rows)


def test_a_sealed_secret_is_no_preview(operator: Client) -> None:
    account = an_account()
    account.credential = {"refresh_token": TOKEN}
    page = confirm(operator, account.sealed_credential)
    assert "This preview cannot be read." in page
    assert TOKEN not in page
