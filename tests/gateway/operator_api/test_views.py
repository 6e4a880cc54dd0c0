"""Statistics, limits and requests over HTTP, for the operator and nobody else."""

from __future__ import annotations

import base64
import itertools
import re
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone

from accounts.models import Account, Cooldown, QuotaSnapshot
from accounts.operators import passwords
from gateway.ledger.record import HUNG_UP, RequestRecord
from gateway.ledger.rows_and_sums import entry_of, store
from gateway.models import ServerInstance
from gateway.relay.error_messages import Attempt
from gateway.translation.response.usage import Tokens
from tests.gateway.conftest import in_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from gateway.ledger.rows_and_sums import Entry

PASSWORD = "a long and good one"
SONNET, FLASH = "claude-sonnet-4-6", "gemini-3-flash"
STATISTICS = ["model", "account", "client", "session", "history", "tokens", "retries", "servers"]
EVERYTHING = [f"/api/stats/{name}" for name in STATISTICS] + [
    "/api/requests",
    "/api/requests/req_1",
    "/api/activity",
    "/account-limits",
]
numbers = itertools.count(1)
SPENT = Tokens(input=100, output=20, cache_read=50, thinking=5)


@pytest.fixture(autouse=True)
def no_failed_logins() -> Iterator[None]:
    yield
    cache.clear()


@pytest.fixture
def browser(db: None) -> Client:
    """Somebody who has not logged in."""
    return Client()


@pytest.fixture
def operator(browser: Client) -> Client:
    browser.force_login(passwords.set_password(PASSWORD))
    return browser


def basic(password: str, name: str = "admin") -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def read(operator: Client, path: str, **query: Any) -> Any:
    answer = operator.get(path, query)
    assert answer.status_code == 200, answer.content
    return answer.json()


# What the ledger holds


def an_attempt(
    account: str = "ada@example.com",
    model: str = SONNET,
    *,
    reason: str = "answered",
    decision: str = "",
    tokens: Tokens = SPENT,
    after: float = 0.0,
    took: float = 1.0,
) -> Attempt:
    return Attempt(
        account_label=account[:2],
        account_name=account,
        model_id=model,
        reason=reason,
        decision=decision,
        endpoint="https://google.example",
        started_at=after,
        took_seconds=took,
        tokens=tokens,
    )


def an_entry(request_id: str = "", *attempts: Attempt, ago: float = 60.0, **facts: Any) -> Entry:
    """Of a request that was answered, unless `facts` say otherwise; attempts begin after it did."""
    number = next(numbers)
    record = RequestRecord(request_id or f"req_{number}", "AUTH_TOKEN", "", request_bytes=300, id=number)
    record.started_at = time.time() - ago
    record.client_model, record.status = "sonnet", 200
    record.first_event_seconds, record.duration_seconds = 0.5, 2.0
    record.attempts = list(attempts or [an_attempt()])
    for attempt in record.attempts:
        attempt.started_at += record.started_at
    record.tokens = Tokens.sum([attempt.tokens for attempt in record.attempts])
    for name, value in facts.items():
        setattr(record, name, value)
    return entry_of(record, 1)


def keep(*entries: Entry) -> list[int]:
    """Their ids."""
    store(entries, 1)
    return [entry.request.id for entry in entries]


def two_tries(request_id: str = "req_two", **facts: Any) -> Entry:
    """Ada is at her limit, Grace answers."""
    refused = an_attempt(reason="quota", decision="next account", tokens=Tokens(), took=0.25)
    answered = an_attempt("grace@example.com", after=0.5, took=1.5)
    return an_entry(request_id, refused, answered, **facts)


FAILED: dict[str, Any] = {"problem": "overloaded_error", "status": 529, "error": "No capacity."}
LEFT: dict[str, Any] = {"problem": HUNG_UP, "status": 499}


# Who may look


@pytest.mark.parametrize("path", EVERYTHING)
def test_unauthenticated_hear_how_to_log_in(path: str, browser: Client) -> None:
    answer = browser.get(path)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="operator", charset="UTF-8"'
    assert answer.json()["error"]["type"] == "authentication_error"
    assert "/admin/" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", EVERYTHING)
def test_the_operator_of_the_pages_may_look(path: str, operator: Client) -> None:
    keep(an_entry("req_1"))

    assert operator.get(path).status_code == 200


@pytest.mark.parametrize("password", [PASSWORD, "with:two:colons", ":", "grüße 日本", " spaces "])
def test_a_script_sends_the_password(password: str, browser: Client) -> None:
    passwords.set_password(password)

    assert browser.get("/api/stats/model", headers=basic(password)).status_code == 200


def test_the_name_of_the_scheme_may_be_written_in_any_way(browser: Client) -> None:
    passwords.set_password(PASSWORD)
    header = basic(PASSWORD)["authorization"].replace("Basic ", "bAsIc  ")

    assert browser.get("/api/stats/model", headers={"authorization": header}).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [
        basic("wrong")["authorization"],
        basic("")["authorization"],
        basic(PASSWORD, "Admin")["authorization"],
        basic(PASSWORD, "")["authorization"],
        basic(PASSWORD)["authorization"].replace("Basic", "Bearer"),
        f"Bearer {PASSWORD}",
        "Basic",
        "Basic %%%",
        "Basic YWRtaW4",
        "Basic " + base64.b64encode(b"admin").decode(),
        "Basic " + base64.b64encode(b"admin:\xff\xfe").decode(),
        "Basic " + base64.b64encode(b"admin:\x00").decode(),
        f"Basic admin:{PASSWORD}",
    ],
)
def test_anything_else_is_refused(authorization: str, browser: Client) -> None:
    passwords.set_password(PASSWORD)

    answer = browser.get("/api/stats/model", headers={"authorization": authorization})

    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "authentication_error"


def test_five_wrong_passwords_lock_out_the_right_one_too(browser: Client) -> None:
    passwords.set_password(PASSWORD)

    statuses = [browser.get("/api/stats/model", headers=basic(f"guess {n}")).status_code for n in range(5)]
    locked_out = browser.get("/api/stats/model", headers=basic(PASSWORD))

    assert statuses[:4] == [401, 401, 401, 401]
    assert statuses[4] in {401, 429}
    assert locked_out.status_code in {401, 429}
    assert Client(REMOTE_ADDR="192.0.2.7").get("/account-limits", headers=basic(PASSWORD)).status_code == 200


def test_a_lock_out_is_said_in_json(browser: Client) -> None:
    """A script must be able to read why its right password is refused."""
    passwords.set_password(PASSWORD)
    for number in range(6):
        browser.get("/api/stats/model", headers=basic(f"guess {number}"))

    answer = browser.get("/api/stats/model", headers=basic(PASSWORD))

    assert answer.headers["content-type"] == "application/json"


def test_a_right_password_resets_the_count_of_wrong_ones(browser: Client) -> None:
    passwords.set_password(PASSWORD)

    typed = ["a", "b", "c", PASSWORD, "d", "e", "f", PASSWORD]
    statuses = [browser.get("/api/stats/model", headers=basic(one)).status_code for one in typed]

    assert statuses == [401, 401, 401, 200, 401, 401, 401, 200]


@pytest.mark.parametrize("rights", [{}, {"is_staff": True}, {"is_superuser": True, "is_active": False}])
def test_who_is_not_the_operator_may_not_look(rights: dict[str, Any], browser: Client) -> None:
    user = get_user_model().objects.create_user("somebody", password=PASSWORD, **rights)
    browser.force_login(user)

    assert browser.get("/api/stats/model").status_code == 401
    assert Client().get("/api/stats/model", headers=basic(PASSWORD, "somebody")).status_code == 401


@pytest.mark.parametrize("path", EVERYTHING)
@pytest.mark.parametrize("method", ["post", "put", "delete", "options"])
def test_nothing_can_be_changed_here(method: str, path: str, operator: Client) -> None:
    answer = getattr(operator, method)(path)

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(("error", "status"), [(RuntimeError, 500), (DatabaseError, 503)])
def test_what_nobody_expected_is_json_too(
    error: type[Exception], status: int, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise error("a detail")

    monkeypatch.setattr("gateway.ledger.usage.totals", fail)
    operator.raise_request_exception = False

    answer = operator.get("/api/stats/tokens")

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert answer.json()["error"]["type"] == "api_error"
    assert b"a detail" not in answer.content


# Statistics


@pytest.fixture
def some_requests(db: None) -> None:
    """Four: two tries that went well, one plain, one that failed, one whose client left."""
    keep(
        two_tries(client="laptop", session_id="session-1", waited_seconds=3.0, fallback=True),
        an_entry("", an_attempt("ada@example.com", FLASH), client="laptop", session_id="session-1", ago=90.0),
        an_entry("", an_attempt(tokens=Tokens()), first_event_seconds=None, **FAILED),
        an_entry("", **LEFT),
    )


def rows_by(dimension: str, operator: Client) -> dict[str, Any]:
    return {row[dimension]: row for row in read(operator, f"/api/stats/{dimension}")["rows"]}


def test_by_model(some_requests: None, operator: Client) -> None:
    rows = rows_by("model", operator)

    assert list(rows) == [SONNET, FLASH]
    sonnet = rows[SONNET]
    assert [sonnet[name] for name in ("requests", "answered", "failed", "hung_up")] == [3, 1, 1, 1]
    assert [sonnet[name] for name in ("attempts", "retried", "retried_well", "fallback")] == [4, 1, 1, 1]
    assert [sonnet[name] for name in ("input_tokens", "cached_tokens", "output_tokens")] == [300, 100, 40]
    assert (sonnet["total_tokens"], sonnet["thinking_tokens"]) == (340, 10)
    assert sonnet["mean_first_event_seconds"] == 0.5


def test_by_account_attempts_and_tokens_count_where_they_were_spent(
    some_requests: None, operator: Client
) -> None:
    rows = rows_by("account", operator)

    assert {name: (row["requests"], row["attempts"]) for name, row in rows.items()} == {
        "ada@example.com": (3, 4),
        "grace@example.com": (1, 1),
    }
    assert rows["grace@example.com"]["input_tokens"] == 150


def test_by_client(some_requests: None, operator: Client) -> None:
    rows = rows_by("client", operator)

    assert {name: row["requests"] for name, row in rows.items()} == {"laptop": 2, "AUTH_TOKEN": 2}
    assert rows["laptop"]["waited_seconds"] == 3.0


def test_by_session(some_requests: None, operator: Client) -> None:
    rows = read(operator, "/api/stats/session")["rows"]

    assert len(rows) == 1
    session = rows[0]
    assert (session["session_id"], session["client"]) == ("session-1", "laptop")
    assert [session[name] for name in ("requests", "failed", "attempts")] == [2, 0, 3]
    assert session["input_tokens"] == 300
    assert session["wall_seconds"] == pytest.approx(30.0, abs=1)


def test_the_history_is_by_hour_and_model(operator: Client) -> None:
    now = time.time()
    this_hour = now % 3600
    hour_before = this_hour + 60
    keep(
        an_entry(ago=0.0),
        an_entry(ago=hour_before),
        an_entry("", an_attempt(model=FLASH), ago=hour_before),
        an_entry("", an_attempt(model="gpt-oss-120b-medium"), ago=hour_before),
    )

    history = read(operator, "/api/stats/history")["history"]

    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:00:00\.000Z", hour) for hour in history)
    before, current = history.values()
    assert (current["_total"], before["_total"]) == (1, 3)
    assert before["claude"] == {"_subtotal": 1, "sonnet-4-6": 1}
    assert before["gemini"] == {"_subtotal": 1, "3-flash": 1}
    assert before["other"] == {"_subtotal": 1, "gpt-oss-120b-medium": 1}
    assert before["models"][FLASH]["input_tokens"] == 150


def test_tokens_are_summed_up(some_requests: None, operator: Client) -> None:
    body = read(operator, "/api/stats/tokens")

    assert body.pop("since")
    assert body == {"input": 450, "output": 60, "cached": 150, "thinking": 15, "total": 510}


def test_retries_are_summed_up(some_requests: None, operator: Client) -> None:
    body = read(operator, "/api/stats/retries")

    assert body.pop("since")
    assert body == {
        "requests": 4,
        "totalRetries": 1,
        "retriedRequests": 1,
        "successfulRetries": 1,
        "fallbacksUsed": 1,
        "waitCount": 1,
        "totalWaitMs": 3000,
        "averageWaitMs": 3000,
    }


def test_servers_that_run(operator: Client) -> None:
    now = timezone.now()
    started = now - timedelta(hours=2)
    running = ServerInstance.objects.create(process_id=1, started_at=started, seen_at=now)
    ServerInstance.objects.create(process_id=2, started_at=started, seen_at=started, ended_at=now)

    servers = read(operator, "/api/stats/servers")["servers"]

    assert [one["id"] for one in servers] == [running.pk]
    assert servers[0]["wall_seconds"] == pytest.approx(7200, abs=5)


def test_a_span_begins_where_it_is_asked_to(operator: Client) -> None:
    keep(an_entry(ago=60.0), an_entry(ago=3 * 3600.0), an_entry(ago=30 * 3600.0))

    counts = {
        since: read(operator, "/api/stats/retries", since=since)["requests"]
        for since in ("2m", "4h", "", "7d")
    }

    assert counts == {"2m": 1, "4h": 2, "": 2, "7d": 3}


@pytest.mark.parametrize("name", [name for name in STATISTICS if name != "servers"])
@pytest.mark.parametrize(
    "since",
    [
        "yesterday", "-1d", "7", "²d", "2026-13-01", "1e3", "9" * 5000, "<script>", "\0", "\ud7ff", " ",
    ],
)  # fmt: skip
def test_a_span_that_is_none_is_refused(since: str, name: str, operator: Client) -> None:
    answer = operator.get(f"/api/stats/{name}", {"since": since})

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.json()["error"]["message"].startswith("since: ")


@pytest.mark.parametrize("name", ["model", "session", "history"])
@pytest.mark.parametrize("since", ["999999w", "1970-01-01", "2999-12-31", "today", "2026-11-24T13:45+02:00"])
def test_a_span_may_be_of_any_length(since: str, name: str, operator: Client) -> None:
    assert operator.get(f"/api/stats/{name}", {"since": since}).status_code == 200


@pytest.mark.parametrize("name", ["model", "session", "history"])
@pytest.mark.parametrize(
    "since",
    ["0001-01-01T00:00+14:00", "9999-12-31T23:30", "9999-12-31T23:59-14:00", "2026-01-01T00:00+23:59:59"],
)
def test_the_ends_of_the_calendar_are_no_error_of_ours(since: str, name: str, operator: Client) -> None:
    operator.raise_request_exception = False

    assert operator.get(f"/api/stats/{name}", {"since": since}).status_code in {200, 400}


@pytest.mark.parametrize("name", ["colour", "", "models", "model/", "hour"])
def test_an_unknown_dimension_is_not_found(name: str, operator: Client) -> None:
    assert operator.get(f"/api/stats/{name}").status_code == 404


# Requests


def test_requests_come_in_pages_newest_first(operator: Client) -> None:
    keep(*(an_entry(f"req_{number}", ago=100.0 - number) for number in range(5)))

    pages: list[list[str]] = []
    before: Any = ""
    while before is not None:
        page = read(operator, "/api/requests", limit=2, before=before)
        pages.append([row["request_id"] for row in page["requests"]])
        before = page["before"]

    assert pages == [["req_4", "req_3"], ["req_2", "req_1"], ["req_0"]]


def test_the_largest_page_leads_on_to_the_next(operator: Client) -> None:
    keep(*(an_entry(ago=1000.0 - number) for number in range(501)))

    page = read(operator, "/api/requests", limit=500)

    assert len(page["requests"]) == 500
    assert page["before"] is not None


def test_a_request_has_its_facts_and_no_word_of_what_was_said(operator: Client) -> None:
    [number] = keep(two_tries(session_id="session-1"))

    row = read(operator, "/api/requests")["requests"][0]

    assert (row["id"], row["request_id"], row["outcome"]) == (number, "req_two", "answered")
    assert (row["account"], row["upstream_model"]) == ("grace@example.com", SONNET)
    assert (row["client_model"], row["status"], row["attempts"]) == ("sonnet", 200, 2)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"account": "grace@example.com"}, ["req_two"]),
        ({"account": "grace"}, []),
        ({"model": FLASH}, ["req_flash"]),
        ({"client": "laptop"}, ["req_flash"]),
        ({"session": "session-1"}, ["req_two"]),
        ({"status": 529}, ["req_failed"]),
        ({"status": 499}, ["req_left"]),
        ({"status": 200}, ["req_flash", "req_two"]),
        ({"errors": "true"}, ["req_failed"]),
        ({"request_id": "req_two"}, ["req_two"]),
        ({"class": "safeguards"}, ["req_flash"]),
        ({"class": "messages", "client": "laptop"}, []),
        ({"since": "150s"}, ["req_left"]),
        ({"until": "350s"}, ["req_two"]),
        ({"since": "350s", "until": "150s"}, ["req_failed", "req_flash"]),
        ({"account": "'; DROP TABLE gateway_requestlog; --"}, []),
    ],
)
def test_requests_are_found_by_what_they_are(
    query: dict[str, Any], found: list[str], operator: Client
) -> None:
    keep(
        two_tries(session_id="session-1", ago=400.0),
        an_entry(
            "req_flash", an_attempt(model=FLASH), client="laptop", request_class="safeguards", ago=300.0
        ),
        an_entry("req_failed", ago=200.0, **FAILED),
        an_entry("req_left", ago=100.0, **LEFT),
    )

    rows = read(operator, "/api/requests", **query)["requests"]

    assert [row["request_id"] for row in rows] == found


HOSTILE_NUMBERS = [
    "²", str(10**30), "-1", "x", "1.5", "٣", " 1", "+1", "1_0", "0x1", "9" * 5000,
    "0" * 20 + "9" * 30, "0" * 20 + "9" * 5000, "0" * 19 + "1" + "9" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("name", ["limit", "before", "status"])
@pytest.mark.parametrize("value", HOSTILE_NUMBERS, ids=lambda value: value[:25])
def test_a_number_that_is_none_is_refused(value: str, name: str, operator: Client) -> None:
    operator.raise_request_exception = False

    answer = operator.get("/api/requests", {name: value})

    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(f"{name}: must be a whole number from ")


@pytest.mark.parametrize(
    ("name", "value"), [("limit", 0), ("limit", 501), ("status", 99), ("status", 600), ("before", 2**63)]
)
def test_a_number_out_of_range_is_refused(name: str, value: int, operator: Client) -> None:
    assert operator.get("/api/requests", {name: value}).status_code == 400


def test_a_page_after_a_row_that_is_gone_is_empty(operator: Client) -> None:
    keep(an_entry())

    assert read(operator, "/api/requests", before=2**63 - 1) == {"requests": [], "before": None}


def test_one_request_has_its_attempts_in_order(operator: Client) -> None:
    keep(two_tries(), an_entry("req_other"))

    [request] = read(operator, "/api/requests/req_two")["requests"]

    tries = [(one["number"], one["account"], one["reason"], one["decision"]) for one in request["tries"]]
    assert tries == [
        (1, "ada@example.com", "quota", "next account"),
        (2, "grace@example.com", "answered", ""),
    ]


def test_an_id_chosen_twice_finds_both(operator: Client) -> None:
    keep(an_entry("mine", ago=20.0), an_entry("mine", ago=10.0))

    assert len(read(operator, "/api/requests/mine")["requests"]) == 2


@pytest.mark.parametrize("request_id", ["req_unknown", "x" * 5000, "%00", "%1b[31m", "<b>", "%ff"])
def test_an_unknown_request_is_not_found(request_id: str, operator: Client) -> None:
    answer = operator.get(f"/api/requests/{request_id}")

    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found_error"
    assert len(answer.json()["error"]["message"]) < 400


# Limits


def an_account(name: str, **facts: Any) -> Account:
    email = f"{name}@example.com"
    facts = {"terms_accepted_at": timezone.now(), "tier": "pro", **facts}
    return Account.objects.create(email=email, sealed_credential="-", **facts)


def has_left(account: Account, fraction: float | None, model: str = SONNET, hours: float = 2.0) -> None:
    now = timezone.now()
    QuotaSnapshot.objects.create(
        account=account,
        model_id=model,
        header_mode="cli" if model == FLASH else "antigravity",
        remaining_fraction=fraction,
        reset_at=None if fraction is None else now + timedelta(hours=hours),
        taken_at=now,
        seen_at=now,
    )


@pytest.fixture
def some_accounts(db: None) -> None:
    """Ada is ready, Brian in a cooldown, Carol invalid, Dennis without quota, Edsger without a snapshot."""
    now = timezone.now()
    has_left(an_account("ada", project_id="ada-1", quota_threshold=0.1, last_used_at=now), 0.82)
    brian = an_account("brian")
    has_left(brian, 0.5)
    for key, reason in ((f"{SONNET}:antigravity", "quota"), (f"{FLASH}:antigravity", "quota")):
        until = now + timedelta(minutes=10)
        Cooldown.objects.create(account=brian, model_key=key, until=until, kind="QUOTA", reason=reason)
    carol = an_account("carol", state=Account.State.INVALID, state_reason="The sign-in has expired.")
    Account.objects.filter(pk=carol.pk).update(state_link="https://accounts.google.com/verify")
    has_left(an_account("dennis"), 0.0)
    has_left(an_account("edsger"), None)


def limits_of(operator: Client) -> dict[str, Any]:
    body = read(operator, "/account-limits")
    return {account["email"].partition("@")[0]: account for account in body["accounts"]}


def test_limits_of_a_key_are_those_of_its_kind(db: None, operator: Client) -> None:
    key = Account.objects.create(
        kind="anthropic", given_name="Anthropic key 1", terms_accepted_at=timezone.now()
    )
    until = timezone.now() + timedelta(minutes=10)
    for model_key, kind in ((f"{SONNET}:anthropic", "QUOTA"), ("all models", "SPEND_LIMIT")):
        Cooldown.objects.create(account=key, model_key=model_key, until=until, kind=kind, reason="limit")

    body = read(operator, "/account-limits")

    assert body["models"] == [SONNET]
    assert body["accounts"][0]["status"] == "rate-limited"
    assert set(body["accounts"][0]["modelRateLimits"]) == {SONNET, "all models"}


def test_limits_name_models_and_accounts(some_accounts: None, operator: Client) -> None:
    body = read(operator, "/account-limits")

    assert set(body) == {
        "timestamp", "totalAccounts", "models", "modelConfig", "globalQuotaThreshold", "outlook",
        "accounts",
    }  # fmt: skip
    assert (body["totalAccounts"], body["models"], body["globalQuotaThreshold"]) == (5, [SONNET], 0.0)
    assert set(body["accounts"][0]) >= {
        "email", "status", "error", "enabled", "projectId", "isInvalid", "invalidReason", "verifyUrl",
        "lastUsed", "subscription", "quotaThreshold", "modelQuotaThresholds", "modelRateLimits", "limits",
    }  # fmt: skip


def test_limits_say_how_long_all_accounts_last_together(some_accounts: None, operator: Client) -> None:
    outlook = read(operator, "/account-limits")["outlook"]

    assert outlook["Claude"] == {"fate": "unknown", "at": None, "backAt": None, "unknown": 1}
    assert set(outlook) == {"Claude"}
    table = operator.get("/account-limits?format=table").content.decode()
    assert "How long Claude lasts is not known yet" in table

    Account.objects.all().delete()
    assert read(operator, "/account-limits")["outlook"]["Claude"]["fate"] == "no_account"


def test_an_account_that_is_well(some_accounts: None, operator: Client) -> None:
    ada = limits_of(operator)["ada"]

    assert (ada["status"], ada["error"], ada["isInvalid"], ada["invalidReason"]) == ("ok", None, False, None)
    assert ada["subscription"] == {"tier": "pro", "projectId": "ada-1"}
    assert (ada["quotaThreshold"], ada["modelRateLimits"]) == (0.1, {})
    assert ada["lastUsed"]
    assert ada["limits"][SONNET]["remaining"] == "82%"
    assert ada["limits"][SONNET]["remainingFraction"] == 0.82


def test_an_account_in_cooldown(some_accounts: None, operator: Client) -> None:
    """Of the quota that requests do not use now nothing is said."""
    brian = limits_of(operator)["brian"]

    assert brian["status"] == "rate-limited"
    assert list(brian["modelRateLimits"]) == [SONNET]
    cooldown = brian["modelRateLimits"][SONNET]
    assert (cooldown["isRateLimited"], cooldown["reason"]) == (True, "quota")
    assert cooldown["resetTime"] > timezone.now().isoformat()


def test_an_account_that_must_sign_in_again(some_accounts: None, operator: Client) -> None:
    carol = limits_of(operator)["carol"]

    assert (carol["status"], carol["isInvalid"]) == ("invalid", True)
    assert carol["invalidReason"] == "The sign-in has expired."
    assert carol["verifyUrl"] == "https://accounts.google.com/verify"
    assert carol["error"] == "Sign-in expired. Sign in again as this account."
    assert carol["limits"] == {SONNET: None}


def test_nothing_left_is_not_the_same_as_nothing_known(some_accounts: None, operator: Client) -> None:
    accounts = limits_of(operator)
    dennis, edsger, carol = (accounts[name]["limits"][SONNET] for name in ("dennis", "edsger", "carol"))

    assert (dennis["remaining"], dennis["remainingFraction"]) == ("0%", 0.0)
    assert dennis["resetTime"] is not None
    assert (edsger["remaining"], edsger["remainingFraction"], edsger["resetTime"]) == ("N/A", None, None)
    assert carol is None


def test_a_cooldown_that_is_over_is_forgotten(some_accounts: None, operator: Client) -> None:
    Cooldown.objects.update(until=timezone.now() - timedelta(seconds=1))

    assert limits_of(operator)["brian"]["status"] == "ok"


def test_limits_as_a_table(some_accounts: None, operator: Client) -> None:
    answer = operator.get("/account-limits?format=table")

    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    lines = answer.content.decode().splitlines()
    assert "5 accounts: 3 available, 1 rate-limited, 1 unusable" in lines
    rows = [" ".join(line.split()) for line in lines]
    assert "ada@example.com Claude, GPT 82%" in rows
    assert any(
        re.fullmatch(r"brian@example.com Claude, GPT 0% empty until \d\d:\d\d UTC", row) for row in rows
    )
    assert "carol@example.com - - Sign-in expired" in rows
    assert any(
        re.fullmatch(r"dennis@example.com Claude, GPT 0% empty until \d\d:\d\d UTC", row) for row in rows
    )
    assert "edsger@example.com Claude, GPT unknown" in rows


def test_a_table_without_accounts(operator: Client) -> None:
    text = operator.get("/account-limits?format=table").content.decode()

    assert "0 accounts: 0 available" in text


def test_limits_come_with_the_history_that_is_asked_for(operator: Client) -> None:
    keep(an_entry())

    [hour] = read(operator, "/account-limits", includeHistory="true")["history"].values()

    assert hour["claude"] == {"_subtotal": 1, "sonnet-4-6": 1}
    assert "history" not in read(operator, "/account-limits")


# Health


async def test_health_without_a_login_has_numbers_and_no_names(client: httpx.AsyncClient) -> None:
    response = await client.get("/health")

    body = response.json()
    assert body["status"] == "ok"
    assert body["counts"] == {"total": 3, "available": 3, "rateLimited": 0, "unusable": 0}
    assert body["requests"] == {"inFlight": 0, "waiting": 0}
    assert [one["email"] for one in body["accounts"]] == ["account 1", "account 2", "account 3"]
    assert "@" not in response.text


async def test_health_tells_no_names_for_a_wrong_password(client: httpx.AsyncClient) -> None:
    await in_database(passwords.set_password)(PASSWORD)

    wrong = [*(basic(guess) for guess in ("wrong", "")), {"cookie": "gateway_session=made-up"}]
    responses = [await client.get("/health", headers=headers) for headers in wrong]

    for response in responses:
        assert response.status_code == 200
        assert "@" not in response.text


async def test_health_tells_the_operator_names(client: httpx.AsyncClient) -> None:
    await in_database(passwords.set_password)(PASSWORD)

    response = await client.get("/health", headers=basic(PASSWORD))

    emails = {one["email"] for one in response.json()["accounts"]}
    assert emails == {"ada@example.com", "grace@example.com", "linus@example.com"}


async def test_health_knows_the_session_of_the_pages(client: httpx.AsyncClient) -> None:
    browser = Client()
    await in_database(lambda: browser.force_login(passwords.set_password(PASSWORD)))()

    response = await client.get(
        "/health", headers={"cookie": f"gateway_session={browser.cookies['gateway_session'].value}"}
    )

    assert "ada@example.com" in response.text


async def test_wrong_passwords_at_health_do_not_lock_the_login(
    client: httpx.AsyncClient, browser: Client
) -> None:
    await in_database(passwords.set_password)(PASSWORD)
    for number in range(6):
        await client.get("/health", headers=basic(f"guess {number}"))

    answer = await in_database(browser.get)("/account-limits", headers=basic(PASSWORD))

    assert answer.status_code == 200


async def test_health_is_no_place_to_guess_passwords(client: httpx.AsyncClient) -> None:
    await in_database(passwords.set_password)(PASSWORD)
    for number in range(5):
        await client.get("/health", headers=basic(f"guess {number}"))

    response = await client.get("/health", headers=basic(PASSWORD))

    assert response.status_code == 200
    assert "@" not in response.text
