from __future__ import annotations

import re
import time
from datetime import timedelta
from html import unescape
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone
from django.utils.html import strip_tags

from accounts.models import Account, ClientProblem, Cooldown, QuotaSnapshot, QuotaWindow
from accounts.pool.cooldowns import ALL_MODELS
from gateway.models import HourlyUsage, MinuteUsage, RequestLog
from tests.gateway.ledger.builders import a_failed_record, a_record, a_refused_attempt, an_attempt, keep

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django.fixtures import DjangoAssertNumQueries


NBSP = "\N{NO-BREAK SPACE}"


def add_accounts(count: int) -> None:
    now = timezone.now()
    for number in range(count):
        account = Account.objects.create(email=f"a{number}@example.com", terms_accepted_at=now)
        for model in ("claude-sonnet-4-6", "gemini-3-flash"):
            mode = "cli" if model.startswith("gemini") else "antigravity"
            QuotaSnapshot.objects.create(
                account=account, model_id=model, header_mode=mode, remaining_fraction=number / count,
                reset_at=now + timedelta(hours=2), taken_at=now, seen_at=now,
            )  # fmt: skip


@pytest.mark.parametrize("accounts", [0, 3, 50])
@pytest.mark.parametrize("span", ["1h", "24h"])
def test_queries_do_not_grow_with_accounts(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries, accounts: int, span: str
) -> None:
    add_accounts(accounts)
    with django_assert_max_num_queries(14):
        operator.get("/", {"span": span})


def test_the_first_line_tells_how_it_stands(operator: Client) -> None:
    add_accounts(3)
    page = operator.get("/").content.decode()
    assert "Claude: yes 2 of 3 accounts ✓ Gemini: yes 2 of 3 " in unescape(text_of(page)).replace(NBSP, " ")
    assert "<title>✓ Claude ✓ Gemini " in page


def test_a_family_without_a_ready_account_is_told_with_its_return(operator: Client) -> None:
    add_accounts(1)
    page = text_of(operator.get("/").content.decode())
    assert re.search(r"✕\sClaude: no, back at \d\d:\d\d 0 of 1 account ", unescape(page))


def test_keys_count_for_their_own_models_only(operator: Client) -> None:
    add_accounts(3)
    for number, kind in enumerate(("gemini", "anthropic", "compatible")):
        Account.objects.create(kind=kind, given_name=f"{kind} key {number}", terms_accepted_at=timezone.now())
    page = operator.get("/").content.decode()
    assert "Claude: yes 3 of 4 accounts " in text_of(page)
    assert "Other models: yes 1 of 1 " in text_of(page)
    assert "3 more accounts</a> tell no quota" in page


def test_the_way_to_connect_is_beside_what_is_live(operator: Client) -> None:
    page = operator.get("/").content.decode()
    button = '<a class="button small" href="/connect">Connect Claude Code</a>'
    assert page.index("<h1") < page.index(button) < page.index("data-live-state")
    assert button not in operator.get("/requests").content.decode()


def test_dry_accounts_are_named(operator: Client) -> None:
    add_accounts(5)
    QuotaSnapshot.objects.filter(model_id="gemini-3-flash").update(remaining_fraction=0)

    page = operator.get("/").content.decode()

    assert re.search(
        r'<a href="/accounts/\d+" data-private>a0@example.com</a> \(Claude\) back at <b><time',
        page,
    )
    assert page.count("(Gemini) back at <b>") == 2
    assert "and 3 more" in page
    assert re.findall("<dt>([^<]+)", page) == [
        *("Out of quota", "Tonight", "Hangs", "To do"),
        *("Last failed", "Slowest", "Most used by", "From cache"),
    ]


def test_without_a_dry_account_the_page_says_none(operator: Client) -> None:
    add_accounts(3)
    QuotaSnapshot.objects.update(remaining_fraction=0.5)
    assert " Out of quota none Tonight " in text_of(operator.get("/").content.decode())


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", strip_tags(page))


def test_whether_it_lasts_until_tonight_is_one_sentence_for_each_family(operator: Client) -> None:
    add_accounts(2)
    QuotaSnapshot.objects.filter(model_id="gemini-3-flash").update(remaining_fraction=0)
    ago = timezone.now() - timedelta(hours=1)
    for account in Account.objects.all():
        QuotaSnapshot.objects.create(
            account=account, model_id="claude-sonnet-4-6", header_mode="antigravity", remaining_fraction=1,
            reset_at=ago + timedelta(hours=3), taken_at=ago, seen_at=ago,
        )  # fmt: skip

    page = text_of(operator.get("/").content.decode())

    clock = r"\d\d:\d\d"
    assert re.search(
        rf"Tonight ! Claude runs out about {clock}, back at {clock} ✕ Gemini is empty until {clock} ", page
    )


def test_who_ends_first_is_named_while_another_carries_on(operator: Client) -> None:
    now = timezone.now()
    for email, before, left in (("ada@example.com", 1.0, 0.5), ("linus@example.com", 0.95, 0.95)):
        account = Account.objects.create(email=email, terms_accepted_at=now)
        for ago, fraction in ((1, before), (0, left)):
            at = now - timedelta(hours=ago)
            QuotaSnapshot.objects.create(
                account=account, model_id="claude-sonnet-4-6", header_mode="antigravity", taken_at=at,
                remaining_fraction=fraction, reset_at=now + timedelta(hours=2), seen_at=at,
            )  # fmt: skip

    page = text_of(operator.get("/").content.decode())

    assert re.search(
        r"Tonight ✓ Claude lasts past (midnight|\d\d:\d\d) .* Claude: the quotas in use reset by \d\d:\d\d; "
        r"ada@example.com is empty at \d\d:\d\d, then linus@example.com carries on\.",
        page,
    )
    assert "This week" not in page, "the accounts have no such limit"


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (0.95, "Claude lasts this week."),
        (
            None,
            "How long Claude lasts this week is not known yet: its use was seen too briefly.",
        ),
    ],
)
def test_a_week_that_lasts_is_told_too(operator: Client, before: float | None, said: str) -> None:
    add_accounts(2)
    now = timezone.now()
    QuotaSnapshot.objects.update(remaining_fraction=0.9)
    for account in Account.objects.all():
        for hours, fraction in ((10, before), (0, 0.949)):
            if fraction is not None:
                at = now - timedelta(hours=hours)
                QuotaWindow.objects.create(
                    account=account, family="claude", span="weekly", remaining_fraction=fraction,
                    reset_at=now + timedelta(days=3), taken_at=at, seen_at=at,
                )  # fmt: skip

    assert said in text_of(operator.get("/").content.decode())


def test_a_week_that_runs_out_is_told_with_its_return(operator: Client) -> None:
    add_accounts(2)
    now = timezone.now()
    QuotaSnapshot.objects.update(remaining_fraction=0.9)
    for account in Account.objects.all():
        for hours, fraction in ((1, 0.5), (0, 0.4)):
            at = now - timedelta(hours=hours)
            QuotaWindow.objects.create(
                account=account, family="claude", span="weekly", remaining_fraction=fraction,
                reset_at=now + timedelta(days=3), taken_at=at, seen_at=at,
            )  # fmt: skip

    page = text_of(operator.get("/").content.decode())

    clock = r"\d\d:\d\d"
    assert re.search(rf"This week ! Claude runs out about {clock}, back at \d+ \w+ {clock} ", page)

    Account.objects.create(kind="anthropic", given_name="key 1", fingerprint="1", terms_accepted_at=now)
    assert re.search(
        rf"This week ! the Google accounts run out of Claude about {clock}, back at \d+ \w+ {clock}; "
        r"until then key 1 carries on ",
        text_of(operator.get("/").content.decode()),
    )


def test_keys_carry_on_where_the_google_accounts_run_out(operator: Client) -> None:
    add_accounts(2)
    now = timezone.now()
    QuotaSnapshot.objects.filter(model_id="gemini-3-flash").update(remaining_fraction=0)
    for account in Account.objects.all():
        QuotaSnapshot.objects.create(
            account=account, model_id="claude-sonnet-4-6", header_mode="antigravity", remaining_fraction=1,
            reset_at=now + timedelta(hours=2), taken_at=now - timedelta(hours=1), seen_at=now,
        )  # fmt: skip
    for number, kind in enumerate(("anthropic", "gemini", "gemini")):
        Account.objects.create(
            kind=kind, given_name=f"key {number}", fingerprint=str(number), tier="paid", terms_accepted_at=now
        )

    page = text_of(operator.get("/").content.decode())

    clock = r"\d\d:\d\d"
    assert re.search(r"Tonight ✓ Claude lasts ✓ Gemini lasts past (?:midnight|\d\d:\d\d) ", page)
    assert re.search(rf"Claude: the Google accounts run out about {clock}, then key 0 carries on\.", page)
    assert re.search(
        rf"Gemini: the Google accounts are empty until {clock}; 2 accounts with a key carry on\.", page
    )

    Cooldown.objects.create(
        account=Account.objects.get(kind="anthropic"), model_key=ALL_MODELS, kind="SPEND_LIMIT",
        until=now + timedelta(hours=1),
    )  # fmt: skip
    page = text_of(operator.get("/").content.decode())
    assert re.search(
        r"Tonight ! Claude runs out about .{5}, back at .{5} ✓ Gemini lasts past (midnight|\d\d:\d\d) ", page
    )


def test_without_quotas_nothing_is_said_of_how_long_it_lasts(operator: Client) -> None:
    assert "lasts" not in operator.get("/").content.decode()


def test_of_accounts_that_cannot_be_used_nothing_is_said_of_how_long_they_last(operator: Client) -> None:
    add_accounts(2)
    Account.objects.update(state=Account.State.NEEDS_VERIFICATION, state_reason="verify")
    page = operator.get("/").content.decode()
    assert "What is left" in page
    assert "a0@example.com" in page
    assert "Tonight" not in page
    assert "past midnight" not in page


def test_windows_that_google_tells_stand_below_their_quota(operator: Client) -> None:
    add_accounts(1)
    now = timezone.now()
    for span, fraction in (("5h", 0.4), ("weekly", None)):
        QuotaWindow.objects.create(
            account=Account.objects.get(), family="claude", span=span, remaining_fraction=fraction,
            reset_at=now + timedelta(hours=3), taken_at=now, seen_at=now,
        )  # fmt: skip

    page = operator.get("/").content.decode()

    assert ">5 hours: 40\N{NO-BREAK SPACE}%, full again at" in page
    assert ">The week: ?, full again at" in page


def test_without_accounts_the_page_says_what_to_do(operator: Client) -> None:
    page = operator.get("/").content.decode()
    assert "Add an account" in page
    assert "ANTHROPIC_BASE_URL=http://testserver" in page


def test_what_needs_the_operator_comes_with_a_button(operator: Client) -> None:
    ClientProblem.note("invalid_client <script>")
    Account.objects.create(
        email="grace@example.com", terms_accepted_at=timezone.now(), state=Account.State.NEEDS_VERIFICATION,
        state_link="https://accounts.google.com/verify",
    )  # fmt: skip
    page = operator.get("/").content.decode()
    assert "invalid_client &lt;script&gt;" in page
    assert re.search('href="https://accounts.google.com/verify"[^>]* target="_blank"', page)
    to_do = re.search(r" To do (.*) In the last", unescape(text_of(page)).replace(NBSP, " "))
    assert to_do is not None
    assert to_do[1].startswith(
        "! Google refuses the OAuth client: invalid_client <script> What to do "
        "! grace@example.com: Google asks to verify it. Open Google's pageCheck Open Google's page, sign in"
    )
    assert re.search(r'<a href="/accounts/\d+" data-private>grace@example.com</a>: Google asks', page)


def test_the_emptiest_quota_comes_first(operator: Client) -> None:
    add_accounts(3)
    page = operator.get("/").content.decode()
    left = page[page.index("What is left") :]
    assert left.index("a0@example.com") < left.index("a1@example.com") < left.index("a2@example.com")


def test_the_quota_of_an_account_that_cannot_be_used_comes_last_with_the_reason(operator: Client) -> None:
    add_accounts(2)
    Account.objects.filter(email="a0@example.com").update(
        state=Account.State.NEEDS_VERIFICATION, state_reason="verify"
    )
    page = operator.get("/").content.decode()
    left = text_of(page[page.index("What is left") :])
    assert left.index("a1@example.com") < left.index("a0@example.com") < left.index("so it cannot be used")


@pytest.mark.parametrize(("span", "stack"), [("1h", "family"), ("24h", "model"), ("30d", "family")])
def test_volume_is_drawn_with_its_numbers(operator: Client, span: str, stack: str) -> None:
    now = timezone.now()
    sums = {"model": "claude-sonnet-4-6", "requests": 7}
    MinuteUsage.objects.create(minute=now.replace(second=0, microsecond=0), **sums)
    hour = now.replace(minute=0, second=0, microsecond=0)
    HourlyUsage.objects.create(hour=hour, account="a", client="c", **sums)
    page = operator.get("/", {"span": span, "stack": stack}).content.decode()
    assert ": 7, claude" in page


@pytest.mark.parametrize("query", [{"span": "1y"}, {"stack": "<b>"}, {"span": "", "stack": ""}])
def test_unknown_values_mean_the_default(operator: Client, query: dict[str, str]) -> None:
    assert b'aria-label="In 24\xc2\xa0h"' in operator.get("/", query).content


def test_many_failures_are_told_with_the_way_to_them(operator: Client) -> None:
    now = timezone.now()
    for number in range(12):
        RequestLog.objects.create(
            id=number, instance_id=1, request_id=f"r{number}", started_at=now,
            problem="api_error" if number < 5 else None, status=502, duration_seconds=1.0,
        )  # fmt: skip
    page = operator.get("/").content.decode()
    assert "5 of 12 requests failed in the last five minutes." in page
    assert 'href="/requests?errors=1"' in page


def test_the_first_event_leads_to_the_slowest_requests(operator: Client) -> None:
    now = timezone.now()
    for number in range(20):
        RequestLog.objects.create(
            id=number + 1, instance_id=1, request_id=f"req_{number}", started_at=now - timedelta(minutes=5),
            client="alice", first_event_seconds=30.0 + (number * 7) % 20, duration_seconds=59.0, status=200,
        )  # fmt: skip

    page = operator.get("/?span=6h").content.decode()
    found = re.search(r'href="(/requests\?[^"]*sort=slowest)"', page)

    assert found is not None
    times = re.findall(
        r'"number first">(\d\d)\N{NO-BREAK SPACE}s<', operator.get(unescape(found[1])).content.decode()
    )
    assert times == [str(seconds) for seconds in range(49, 29, -1)]


def test_the_slowest_request_says_why_and_leads_to_its_page(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    at = time.time() - 60
    silent = a_refused_attempt(
        account_name="grace@example.com", started_at=at, took_seconds=30.0, reason="no answer within 30 s"
    )
    answering = an_attempt(account_name="ada@example.com", started_at=at + 30, took_seconds=11.0)
    add_accounts(1)
    slow = a_record(started_at=at, attempts=[silent, answering], request_id="req_slow")
    slow.first_event_seconds, slow.duration_seconds = 32.0, 41.0
    keep(slow, a_record(started_at=at, request_id="req_quick"))

    with django_assert_max_num_queries(15):  # its attempts are one more
        page = operator.get("/").content.decode()

    assert 'href="/requests/req_slow"' in page
    assert "<span data-private>grace@example.com</span> gave no answer for" in page
    assert re.search(
        r"Slowest 32 s: grace@example.com gave no answer for 30 s\s+Details",
        unescape(text_of(page)),
    )


def test_the_newest_failure_says_why_what_to_do_and_leads_to_its_page(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    at = time.time()
    broken = a_refused_attempt(reason="broke off")
    error = "The answer broke off: the connection broke (closed by the provider)."
    keep(
        a_failed_record(started_at=at - 90, error="An older one."),
        a_failed_record(started_at=at - 60, request_id="req_broken", attempts=[broken], error=error),
        a_failed_record(started_at=at - 30, problem="hung_up", status=499, error=""),
        a_record(started_at=at - 120, request_id="req_slow", first_event_seconds=32.0),
    )
    with django_assert_max_num_queries(15):
        page = operator.get("/").content.decode()

    assert 'href="/requests/req_broken"' in page
    assert 'href="/requests/req_slow"' in page
    said = unescape(text_of(page))
    assert re.search(
        r"Last failed \d\d:\d\d: Broke off: closed by the provider\. → Send it again\. Details", said
    )
    assert said.index("Last failed") < said.index("Slowest ") < said.index("First event")


def test_a_slow_answer_that_broke_off_is_not_taken_for_the_newest_failure(operator: Client) -> None:
    at = time.time()
    keep(
        a_failed_record(started_at=at - 90, first_event_seconds=40.0, request_id="req_slow"),
        a_failed_record(started_at=at - 60, request_id="req_last"),
        *(a_record(started_at=at - number) for number in range(20)),
    )
    page = operator.get("/").content.decode()
    links = re.findall(r'<dt>([\w ]+)</dt> <dd><a href="/requests/(\w+)">', page)
    assert links == [("Last failed", "req_last"), ("Slowest", "req_slow")]
    assert "req_last" not in page.partition("Newest requests")[2], "it is not among the newest"


@pytest.mark.parametrize(("hours", "is_shown"), [(2, True), (8, False)])
def test_only_a_failure_of_the_span_is_named(operator: Client, hours: int, is_shown: bool) -> None:
    keep(
        a_failed_record(started_at=time.time() - hours * 3600, request_id="req_failed"),
        a_record(started_at=time.time() - 60),
    )
    page = operator.get("/?span=6h").content.decode()
    assert ('<dt>Last failed</dt> <dd><a href="/requests/req_failed">' in page) is is_shown
    assert ("<dt>Last failed</dt> <dd>none</dd>" in page) is not is_shown


def test_a_limit_that_has_ended_is_no_reason_to_wait(operator: Client) -> None:
    ago = timezone.now() - timedelta(hours=2)
    error = f"1 account tried for m: ad…@e… quota. Next try in 5 min ({ago:%H:%M} UTC)."
    keep(a_failed_record(started_at=ago.timestamp(), problem="rate_limit_error", status=429, error=error))
    page = operator.get("/").content.decode()
    row, _, rest = page.partition("<dt>Last failed</dt>")[2].partition("</div>")
    assert "→ Send it again: that is past." in text_of(row)
    assert "→ Send it again: that is past." in text_of(rest)


def test_the_client_with_the_most_tokens_is_named_with_its_share(operator: Client) -> None:
    at = time.time() - 60
    tries = {"few": [an_attempt()], "most": [an_attempt(), an_attempt()]}
    keep(*(a_record(client=client, attempts=each, started_at=at) for client, each in tries.items()))
    page = text_of(operator.get("/").content.decode())
    assert re.search(r"Most used by most, 6\d\s% of the tokens ", unescape(page))


def test_a_failure_makes_its_tile_say_where_its_reason_is(operator: Client) -> None:
    assert "see why" not in operator.get("/").content.decode()
    keep(a_failed_record(started_at=time.time() - 60))
    page = operator.get("/").content.decode()
    assert re.search(
        r'<a class="card tile" href="/requests\?errors=1&amp;since=24h"><h2>Failed</h2>'
        r'<span class="number bad">1</span>.*see why',
        page,
    )


def test_a_span_without_a_request_says_so_in_each_row(operator: Client) -> None:
    page = text_of(operator.get("/").content.decode())
    assert "Last failed none Slowest none took 5 s" in page
    assert "Most used by nobody From cache no tokens " in page


def test_nothing_is_said_of_the_slowest_request_while_none_is_slow(operator: Client) -> None:
    keep(a_record(first_event_seconds=4.9, started_at=time.time() - 60))
    page = operator.get("/").content.decode()
    assert "Slowest none took 5 s to its first event " in text_of(page)
    assert "<dt>Slowest</dt> <dd>none <" in page


def test_requests_under_way_on_all_servers_are_counted(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere = 1, 2
    for number, instance_id in enumerate((here, elsewhere, elsewhere)):
        RequestLog.objects.create(
            id=number + 1, instance_id=instance_id, request_id=f"r{number}", started_at=timezone.now()
        )
    gateway = SimpleNamespace(
        recorder=SimpleNamespace(in_flight=["one"]),
        ledger=SimpleNamespace(instance_id=here, waiting=0),
        accounts=SimpleNamespace(pool=SimpleNamespace(waiting=0)),
    )
    monkeypatch.setattr("dashboard.views.overview.running_gateway", lambda: gateway)

    page = operator.get("/").content.decode()
    assert 'data-live="in_flight">3<' in page
    assert "Hangs none 3 in flight, 0 waiting " in text_of(page)
    RequestLog.objects.filter(pk__lt=3).update(started_at=timezone.now() - timedelta(seconds=61))
    hang = "! {} without an event for over 60 s, 3 in flight, 0 waiting "
    assert hang.format(2) in text_of(operator.get("/").content.decode())
    RequestLog.objects.filter(pk=1).update(first_event_seconds=1.0)
    assert hang.format(1) in text_of(operator.get("/").content.decode())


def test_other_models_are_explained_by_one_of_them(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    key = Account.objects.create(kind="compatible", given_name="key 1", terms_accepted_at=timezone.now())
    service = SimpleNamespace(models_of={key.pk: ["qwen3-coder:30b", "gpt-oss:20b"]}.get)
    monkeypatch.setattr("dashboard.account_pools.running_service", lambda: service)

    assert "Other models: yes (gpt-oss:20b) 1 of 1 account " in text_of(operator.get("/").content.decode())
