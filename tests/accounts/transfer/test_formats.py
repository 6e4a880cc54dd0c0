"""The files of other tools, in the shapes that their public sources have; docs/accounts.md says which."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from accounts.transfer.disabled_flags import OFF_WHEN, off_reason
from accounts.transfer.documents import ImportFileUnusable
from accounts.transfer.owners import find_owners
from accounts.transfer.readers import READERS, parse_rows
from accounts.transfer.rows import ImportedRow
from proxy_site.emulator.delivery.behaviour import refuse
from tests.accounts.values.any_json import ANYTHING, TEXTS, like

if TYPE_CHECKING:
    from proxy_site.emulator.server import EmulatorServer

ADA, TOKEN = "ada@example.com", "1//0gFAKE_refresh-token"
OWN = ImportedRow(ADA, TOKEN, "proj")
NAMELESS = ImportedRow("", TOKEN, "proj")


def only(content: Any) -> ImportedRow:
    """The one row of a file, without where it stands."""
    (row,) = parse_rows(content if isinstance(content, bytes) else orjson.dumps(content))
    return ImportedRow(
        row.email, row.refresh_token, row.project_id, row.off_reason, row.problem, row.client_id
    )


CLIPROXYAPI = {
    "access_token": "ya29.x", "disabled": False, "email": ADA, "expired": "2026-01-01T00:00:00Z",
    "expires_in": 3599, "project_id": "proj", "refresh_token": TOKEN, "status": "active",
    "timestamp": 1770000000000, "type": "antigravity", "unavailable": False,
}  # fmt: skip
ANTIGRAVITY_MANAGER = {
    "id": "0f2d", "email": ADA, "name": None, "priority": 50,
    "token": {
        "access_token": "ya29.x", "refresh_token": TOKEN, "expires_in": 3599, "expiry_timestamp": 1770000000,
        "token_type": "Bearer", "email": ADA, "project_id": "proj", "is_gcp_tos": True,
    },
    "quota": {"models": [], "last_updated": 1770000000, "is_forbidden": False}, "disabled": False,
    "proxy_disabled": False, "protected_models": ["gemini-3-pro"], "validation_blocked": False,
    "created_at": 1770000000, "last_used": 1770000000,
}  # fmt: skip
GCLI2API = {
    "access_token": "ya29.x", "client_id": "id.apps.googleusercontent.com", "client_secret": "GOCSPX-x",
    "expiry": "2026-01-01T00:00:00+00:00", "project_id": "proj", "refresh_token": TOKEN,
    "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
    "token_uri": "https://oauth2.googleapis.com/token",
}  # fmt: skip
OPENCODE_ACCOUNTS = {
    "version": 4, "activeIndex": 0, "activeIndexByFamily": {"claude": 0, "gemini": 0},
    "accounts": [
        {
            "email": ADA, "refreshToken": TOKEN, "projectId": "proj", "managedProjectId": "managed",
            "addedAt": 1770000000000, "lastUsed": 1770000000000, "enabled": True,
            "rateLimitResetTimes": {"claude": 9900000000000}, "cachedQuota": {},
        }
    ],
}  # fmt: skip
PROXY_ACCOUNTS = {
    "accounts": [
        {
            "email": ADA, "source": "oauth", "enabled": True, "refreshToken": f"{TOKEN}|proj|managed",
            "addedAt": "2026-01-01T00:00:00Z", "isInvalid": False, "invalidReason": None,
            "modelRateLimits": {"gemini-3-flash": {"isRateLimited": True, "resetTime": 9900000000000}},
            "subscription": {"tier": "pro"}, "quota": {"models": {}, "lastChecked": None},
        }
    ],
    "settings": {}, "activeIndex": 0,
}  # fmt: skip
CREDS_TOML = f'''
["antigravity-ada.json"]
refresh_token = "{TOKEN}"
client_id = "id.apps.googleusercontent.com"
project_id = "proj"
disabled = false
error_codes = [403]
user_email = "{ADA}"
last_success = 2026-01-01T00:00:00Z
'''.encode()


@pytest.mark.parametrize(
    ("content", "row"),
    [
        (CLIPROXYAPI, OWN),
        ([CLIPROXYAPI], OWN),
        (ANTIGRAVITY_MANAGER, OWN),
        ({"accounts": [ANTIGRAVITY_MANAGER]}, OWN),
        ({"accounts": [{"email": ADA, "refresh_token": TOKEN}]}, ImportedRow(ADA, TOKEN)),
        (GCLI2API, ImportedRow("", TOKEN, "proj", client_id="id.apps.googleusercontent.com")),
        (CREDS_TOML, ImportedRow(ADA, TOKEN, "proj", client_id="id.apps.googleusercontent.com")),
        (OPENCODE_ACCOUNTS, OWN),
        (PROXY_ACCOUNTS, OWN),
        (
            {"google": {"type": "oauth", "refresh": f"{TOKEN}|proj|managed", "access": "x"}},
            NAMELESS,
        ),
        ([{"access_token": "x", "refresh_token": TOKEN, "enable": True, "projectId": "proj"}], NAMELESS),
        ([{"email": ADA, "refresh_token": TOKEN, "project_id": "proj", "enabled": True}], OWN),
        ({"email": ADA, "refresh_token": TOKEN, "project_id": "proj"}, OWN),
        ([TOKEN], ImportedRow("", TOKEN)),
        (f"# mine\n\n  {TOKEN}|proj \n".encode(), NAMELESS),
        (f'"{TOKEN}",\r\n'.encode(), ImportedRow("", TOKEN)),
    ],
)
def test_each_tools_file_is_read(content: Any, row: ImportedRow) -> None:
    assert only(content) == row


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({**CLIPROXYAPI, "type": "gemini", "token": {"refresh_token": TOKEN}}, "an account of Gemini CLI"),
        ({**CLIPROXYAPI, "type": "claude"}, "an account of Claude: such accounts cannot be added yet"),
        ({**CLIPROXYAPI, "type": "codex", "id_token": "x"}, "an account of OpenAI Codex: such"),
        ({**CLIPROXYAPI, "type": "qwen"}, "an account of qwen: such"),
        ({"type": "authorized_user", "client_id": "x", "refresh_token": TOKEN}, "an account of gcloud: such"),
        ({"type": "service_account", "private_key": "x"}, "an account of a Google service account: such"),
        ({**ANTIGRAVITY_MANAGER, "provider": "kiro"}, "an account of kiro: such"),
        ({"anthropic": {"type": "oauth", "refresh": "x"}}, "an account of anthropic: such"),
        ({"google": {"type": "api", "key": "AIzaX"}}, "an account of google (api): such"),
        ([{"email": ADA, "refresh_token": "sk-ant-oat01-x"}], "a credential of Anthropic; addaccount"),
        ([{"email": ADA, "refresh_token": "AIzaSyX"}], "a Gemini API key, which addaccount"),
        ([{"email": ADA, "refresh_token": "rt_x"}], "a credential of OpenAI: such"),
        ([{"email": ADA, "refresh_token": "ya29.x"}], "refresh_token: that is an access token"),
        ({"accounts": [{"email": ADA, "source": "manual", "apiKey": "x"}]}, "it is no sign-in (source: man"),
        ({"version": "2.0", "accounts": [{"id": "1", "email": ADA, "created_at": 1, "last_used": 1}]},
         "holds no sign-in: this is the tool's index"),
        ([{"email": ADA, "refresh_token": ""}], "refresh_token: there is none"),
    ],
)  # fmt: skip
def test_accounts_of_other_providers_are_refused_by_name(content: Any, problem: str) -> None:
    row = only(content)

    assert row.problem.startswith(problem)
    assert row.refresh_token == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"\xef\xbb\xbf \n", "it is empty"),
        (b"PK\x03\x04\x14\x00", "unpack it"),
        (b'{"claudeAiOauth": {"refreshToken": "x"}}', "Claude Code's own sign-in"),
        (b'{"OPENAI_API_KEY": null, "tokens": {"refresh_token": "x"}}', "Codex"),
        (b'{"installed": {"client_id": "x", "client_secret": "y"}}', "belong into .env"),
        (b'{"theme": "dark", "port": 8045}', "it holds neither"),
        (b'{"proxy": {"port": 8045}, "ui": {}}', "it holds neither"),
        (b"port: 8317\nauth-dir: ~/.cli-proxy-api\n", "it holds neither"),
        (b"[section]\nkey = 1\n", "it holds neither"),
        (b"\xff\xfe1\x00/\x00/\x00", "nor a list of refresh tokens"),
        (b"[" * 100_000, "nor a list of refresh tokens"),
        (b"a = " + b"[" * 5000, "nor a list of refresh tokens"),
        (b"[a]\nb = " + b"[" * 5000 + b"]" * 5000, "nor a list of refresh tokens"),
        (b"[a]\n" + b"b = 1\n" * 500_000, "nor a list of refresh tokens"),
    ],
    ids=range(14),
)
def test_a_file_of_something_else_is_refused_as_a_whole(text: bytes, why: str) -> None:
    with pytest.raises(ImportFileUnusable, match=why):
        parse_rows(text)


def test_a_line_that_is_no_token_is_named_beside_the_others() -> None:
    good, bad = parse_rows(f"{TOKEN}\nsomething else\n".encode())

    assert (good.refresh_token, good.problem) == (TOKEN, "")
    assert (bad.place, bad.problem) == ("row 2", "it is neither an object nor a refresh token of Google")


def test_every_reader_makes_a_kind_there_is() -> None:
    assert {reader.kind for reader in READERS} == {"google"}


# Off


@pytest.mark.parametrize("name", OFF_WHEN)
@pytest.mark.parametrize("written", [bool, int, str, lambda value: str(value).lower()])
def test_every_flag_disables_in_every_spelling(name: str, written: Any) -> None:
    assert off_reason({name: written(OFF_WHEN[name])}) == f"Switched off in the imported file ({name})"
    assert off_reason({name: written(not OFF_WHEN[name])}) == ""
    assert off_reason({name: None}) == ""


SOON, LONG_AGO = int(time.time()) + 3600, 1_600_000_000


@pytest.mark.parametrize(
    ("entry", "mark"),
    [
        ({"status": "disabled"}, "status disabled"),
        ({"status": "error", "status_message": "invalid_grant"}, "status error: invalid_grant"),
        ({"status": "Banned"}, "status Banned"),
        ({"state": 0}, "state 0"),
        ({"status": "something new"}, "status something new"),
        ({"disabled": True, "disabled_reason": "invalid_grant"}, "disabled: invalid_grant"),
        ({"proxy_disabled": True, "proxy_disabled_reason": "by hand"}, "proxy_disabled: by hand"),
        ({"validation_blocked": True, "validation_blocked_reason": "verify"}, "validation_blocked: verify"),
        ({"verificationRequired": True, "verificationRequiredReason": "x"}, "verificationRequired: x"),
        ({"unavailable": True, "last_error": {"message": "403"}}, "unavailable: 403"),
        ({"quota": {"is_forbidden": True, "forbidden_reason": "403"}}, "is_forbidden: 403"),
        ({"isInvalid": "yes", "invalidReason": ["\x1b[31m"]}, "isInvalid"),
        ({"isInvalid": "yes", "invalidReason": " a\n\x1b[31mb"}, r"isInvalid: a\x0a\x1b[31mb"),
        ({"isRateLimited": True}, "isRateLimited"),
        ({"isRateLimited": True, "rateLimitResetTime": SOON * 1000}, "isRateLimited"),
    ],
)
def test_the_off_reason_has_mark_and_reason(entry: dict[str, Any], mark: str) -> None:
    assert off_reason(entry) == f"Switched off in the imported file ({mark})"


@pytest.mark.parametrize(
    "until",
    [SOON, SOON * 1000, float(SOON), "2999-01-01T00:00:00Z", "2999-01-01"],
    ids=["seconds", "milliseconds", "a float", "a time", "a date"],
)
def test_a_limit_of_the_whole_account_counts_until_it_ends(until: Any) -> None:
    told = off_reason({"coolingDownUntil": until, "cooldownReason": "auth-failure"})

    assert told.startswith("Switched off in the imported file (coolingDownUntil ")
    assert told.endswith(" UTC: auth-failure)")


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"enabled": True, "disabled": "false", "isInvalid": None, "status": "Active"},
        {"status": ""},
        {"status": {"code": 1}},
        {"coolingDownUntil": LONG_AGO},
        {"coolingDownUntil": "2020-01-01T00:00:00Z"},
        {"coolingDownUntil": "soon"},
        {"coolingDownUntil": 1e300},
        {"coolingDownUntil": "9999-12-31T23:59:59.999999-23:59"},
        {"isRateLimited": True, "rateLimitResetTime": LONG_AGO * 1000},
        {"unavailable": True, "next_retry_after": "2020-01-01T00:00:00Z"},
        {"rateLimitResetTimes": {"claude": SOON * 1000}, "protected_models": ["x"], "error_codes": [429]},
        {"disabled": False, "disabled_reason": "an old one"},
        {"quota": {"is_forbidden": False}},
    ],
)
def test_limits_of_single_models_do_not_disable(entry: dict[str, Any]) -> None:
    assert off_reason(entry) == ""


MARKS = ["status", "enabled", "coolingDownUntil", "quota", "last_error"]


@settings(max_examples=300)
@given(like(**dict.fromkeys(MARKS, ANYTHING)) | st.dictionaries(TEXTS, ANYTHING))
def test_any_mark_gives_one_short_line(entry: Any) -> None:
    if isinstance(entry, dict):
        assert len(off_reason(entry)) < 400


FIELDS = [
    "accounts", "email", "refresh_token", "refreshToken", "refresh", "token", "type", "provider", "platform",
    "source", "client_id", "project_id", "format", "id",
]  # fmt: skip
ANY_FILE = st.recursive(
    st.none() | st.booleans() | st.sampled_from(["", "oauth", "1//abcdefghijkl", "a@b.example", "claude"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300)
@given(ANY_FILE)
@example({"antigravity": {"type": []}})
def test_any_file_gives_rows_or_a_reason(content: Any) -> None:
    with suppress(ImportFileUnusable):
        assert parse_rows(orjson.dumps(content))


# Whose it is


@pytest.fixture
def tokens(google: EmulatorServer) -> dict[str, str]:
    """Refresh tokens that look like Google's, by e-mail."""
    for account in google.state.accounts:
        account.refresh_token = f"1//emulator-{account.short_name}"
    return {account.email: account.refresh_token for account in google.state.accounts}


def test_missing_e_mails_are_looked_up_at_google(google: EmulatorServer, tokens: dict[str, str]) -> None:
    google.state.refresh_tokens_of_other_clients.add("1//of-another-client")
    told: list[ImportedRow] = []
    rows = [
        ImportedRow("", tokens[ADA]),
        ImportedRow("", "1//never-seen-by-google"),
        ImportedRow("", "1//of-another-client"),
        ImportedRow("known@example.com", "1//known"),
        ImportedRow("", "", problem="an account of Claude"),
    ]

    found = find_owners(rows, told.append)

    assert [row.email for row in found] == [ADA, "", "", "known@example.com", ""]
    assert "expired or was revoked" in found[1].problem
    assert "made with another OAuth client" in found[2].problem
    assert found[3:] == rows[3:]
    assert (len(told), len(google.state.log.entries("token"))) == (3, 3)


@pytest.mark.parametrize("body", ["", "[]", '{"email": 7}', '{"email": "a\\u001b@example.com"}', "[" * 9999])
def test_an_owner_that_is_no_address_is_a_problem_of_the_row(
    google: EmulatorServer, tokens: dict[str, str], body: str
) -> None:
    google.state.fault(refuse(200, body), method="userinfo")

    (row,) = find_owners([ImportedRow("", tokens[ADA])])

    assert "did not say whose account it is" in row.problem
