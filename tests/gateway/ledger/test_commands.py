"""stats, logs and prunelogs, as the operator types them."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.utils import timezone

from accounts.command_line import manage
from accounts.models import Account, Cooldown, QuotaSnapshot
from gateway.models import HourlyUsage, RequestAttempt, RequestLog
from gateway.translation.response.usage import Tokens
from tests.gateway.operator_api.test_views import (
    FAILED,
    FLASH,
    LEFT,
    SONNET,
    an_account,
    an_attempt,
    an_entry,
    has_left,
    keep,
    two_tries,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = pytest.mark.django_db

COMMANDS = sorted(name for name, app in get_commands().items() if app == "gateway")
DAY = 86400.0


def run(*arguments: str) -> tuple[str, str]:
    """What it wrote to standard output and to standard error."""
    out, err = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def as_json(*arguments: str) -> Any:
    return orjson.loads(run(*arguments, "--json")[0])


def as_csv(*arguments: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(run(*arguments, "--csv")[0], newline="")))


def rows_of(*arguments: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = as_json(*arguments)["rows"]
    return rows


@pytest.fixture
def some_requests() -> None:
    """Oldest first: two tries, one of another client, one that failed, one whose client left."""
    keep(
        two_tries(session_id="session-1", ago=400.0),
        an_entry("req_flash", an_attempt(model=FLASH), client="laptop", ago=300.0),
        an_entry("req_failed", an_attempt(tokens=Tokens()), session_id="session-1", ago=200.0, **FAILED),
        an_entry("req_left", ago=100.0, **LEFT),
    )


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Standard output is one, so many columns wide."""

    def become(width: int) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setattr(shutil, "get_terminal_size", lambda *default: os.terminal_size((width, 24)))

    return become


# All of them


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself_and_speaks_json(name: str) -> None:
    text = load_command_class("gateway", name).create_parser("manage.py", name).format_help()

    assert "--json" in text
    assert len(text) > 700


# stats


def test_a_table_by_model(some_requests: None) -> None:
    out, err = run("stats")

    head, sonnet, flash, whole = (line.split() for line in out.splitlines())
    assert head[:5] == ["MODEL", "REQUESTS", "FAILED", "LEFT", "IN"]
    assert sonnet == [SONNET, "3", "1", "1", "300", "100", "40", "10", "1", "0.50", "s"]
    assert flash == [FLASH, "1", "0", "0", "150", "50", "20", "5", "0", "0.50", "s"]
    assert whole == ["all", "4", "1", "1", "450", "150", "60", "15", "1", "0.50", "s"]
    assert err.startswith("Since ")


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("account", ["ada@example.com", "grace@example.com", "all"]),
        ("client", ["AUTH_TOKEN", "laptop", "all"]),
    ],
)
def test_a_table_by_something_else(what: str, names: list[str], some_requests: None) -> None:
    lines = run("stats", what)[0].splitlines()

    assert [line.split()[0] for line in lines] == [what.upper(), *names]


def test_columns_stand_below_their_names(some_requests: None) -> None:
    head, *lines = run("stats")[0].splitlines()
    ends = [head.index(name) + len(name) for name in ("REQUESTS", "FAILED", "LEFT", "IN")]

    for line in lines:
        assert all(line[end - 1].isdigit() and line[end] == " " for end in ends)


def test_sessions_as_a_table(some_requests: None) -> None:
    head, session = (line.split() for line in run("stats", "session")[0].splitlines())

    assert head[:2] == ["SESSION", "CLIENT"]
    assert session[:2] == ["session-1", "AUTH_TOKEN"]
    assert session[-6:] == ["2", "1", "0", "150", "50", "20"]
    assert "3 min" in " ".join(session)


@pytest.mark.parametrize("what", ["model", "account", "client", "session"])
def test_statistics_as_json(what: str, some_requests: None) -> None:
    body = as_json("stats", what)

    assert set(body) == {"ok", "since", "rows"}
    name = "session_id" if what == "session" else what
    assert all(row[name] and row["requests"] > 0 for row in body["rows"])


@pytest.mark.parametrize("what", ["model", "account", "client", "session"])
def test_statistics_as_csv_are_those_of_json(what: str, some_requests: None) -> None:
    rows = as_csv("stats", what)
    expected = as_json("stats", what)["rows"]

    assert [list(row) for row in rows] == [list(row) for row in expected]
    assert [row["requests"] for row in rows] == [str(row["requests"]) for row in expected]


def test_csv_keeps_what_would_break_it() -> None:
    keep(an_entry(client='a "laptop",\nodd', session_id="a,b"))

    assert [row["client"] for row in as_csv("stats", "client")] == ['a "laptop",\nodd']
    assert [row["session_id"] for row in as_csv("stats", "session")] == ["a,b"]


def test_only_the_table_goes_to_standard_output(some_requests: None) -> None:
    assert "Since" not in run("stats")[0]
    assert run("stats", "--json")[1] == ""
    assert run("stats", "--csv")[1] == ""


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("model", "No request has ended since then. --since 30d looks further back."),
        ("session", "No client has named a session since then; Claude Code does."),
        ("limits", f"There is no account yet. Add one: {manage('addaccount')}"),
    ],
)
def test_when_there_is_nothing_it_says_what_to_do(what: str, sentence: str) -> None:
    out, err = run("stats", what)

    assert out == ""
    assert err.splitlines()[-1] == sentence


def test_when_there_is_nothing_scripts_read_nothing() -> None:
    assert as_json("stats")["rows"] == []
    assert as_csv("stats") == []


def test_a_span_counts(some_requests: None) -> None:
    counts = {since: len(as_json("stats", "--since", since)["rows"]) for since in ("250s", "350s", "1d")}

    assert counts == {"250s": 1, "350s": 2, "1d": 2}


@pytest.mark.parametrize(
    "since", ["yesterday", "-1d", "2026-13-01", " ", "9999-12-31T23:30", "0001-01-01T00:00+14:00"]
)
@pytest.mark.parametrize("command", ["stats", "logs"])
def test_a_span_that_is_none_is_explained(command: str, since: str) -> None:
    with pytest.raises(CommandError, match=r"^--since: '.*' is no point in time: write 30m, 24h, 7d, today"):
        run(command, f"--since={since}")


def test_json_and_csv_exclude_each_other() -> None:
    with pytest.raises(CommandError, match="--json and --csv exclude each other"):
        run("stats", "--json", "--csv")


def test_large_numbers_are_shortened() -> None:
    keep(an_entry("", an_attempt(tokens=Tokens(12_345_678, 2_500_000_000, 999_999))))

    words = run("stats")[0].splitlines()[1].split()

    assert words[4:7] == ["13.3M", "999,999", "2.5G"]


# stats limits


@pytest.fixture
def some_accounts() -> None:
    """Ada is ready, Brian in a cooldown, Carol invalid, Dennis without quota, Edsger without a snapshot."""
    has_left(an_account("ada"), 0.82)
    brian = an_account("brian")
    has_left(brian, 0.5)
    until = timezone.now() + timedelta(seconds=45)
    key = f"{SONNET}:antigravity"
    Cooldown.objects.create(account=brian, model_key=key, until=until, kind="QUOTA", reason="quota")
    an_account("carol", state=Account.State.INVALID)
    has_left(an_account("dennis"), 0.0)
    has_left(an_account("edsger"), None)


def test_limits_as_a_table(some_accounts: None) -> None:
    out, err = run("stats", "limits")

    rows = [" ".join(line.split()) for line in out.splitlines()]
    assert rows[0] == "ACCOUNT QUOTA LEFT FORECAST"
    assert "ada@example.com Claude, GPT 82%" in rows
    assert any(
        re.fullmatch(r"brian@example.com Claude, GPT 0% empty until \d\d:\d\d UTC", row) for row in rows
    )
    assert "carol@example.com - - Sign-in expired" in rows
    assert any(
        re.fullmatch(r"dennis@example.com Claude, GPT 0% empty until \d\d:\d\d UTC", row) for row in rows
    )
    assert "edsger@example.com Claude, GPT unknown" in rows
    assert "ada@example.com Gemini (cli) unknown" in rows, "a quota that could not be read"
    assert "carol@example.com: Sign-in expired. " in err
    assert "manage.py addaccount --email carol@example.com" in err


def test_models_of_one_quota_are_one_row() -> None:
    ada = an_account("ada")
    for model in (SONNET, "claude-opus-4-6-thinking", "gpt-oss-120b-medium"):
        has_left(ada, 0.82, model)

    assert len(run("stats", "limits")[0].splitlines()) == 3  # a head, Claude and GPT, Gemini


def test_models_whose_numbers_differ_are_told_apart() -> None:
    ada = an_account("ada")
    has_left(ada, 0.82, SONNET)
    has_left(ada, 0.4, "gpt-oss-120b-medium")

    rows = [" ".join(line.split()) for line in run("stats", "limits")[0].splitlines()]

    assert f"ada@example.com {SONNET} 82%" in rows
    assert "ada@example.com gpt-oss-120b-medium 40%" in rows


def test_limits_as_csv_and_json(some_accounts: None) -> None:
    left = {row["account"]: row["left"] for row in as_csv("stats", "limits") if row["quota"] == "Claude, GPT"}
    accounts = {one["email"]: one for one in rows_of("stats", "limits")}

    assert (left["ada@example.com"], left["edsger@example.com"]) == ("82%", "unknown")
    assert accounts["dennis@example.com"]["limits"][SONNET]["remainingFraction"] == 0.0
    assert accounts["dennis@example.com"]["empty"].startswith("Claude, GPT empty until ")
    assert accounts["edsger@example.com"]["limits"][SONNET]["remainingFraction"] is None


def test_limits_of_which_nothing_is_known() -> None:
    an_account("ada")

    out, err = run("stats", "limits")

    assert [line.split()[-1] for line in out.splitlines()[1:]] == ["unknown", "unknown"]
    assert "refreshquota" in err


# Terminals


@pytest.mark.parametrize("what", ["model", "account", "client", "session", "limits"])
def test_a_narrow_terminal_breaks_no_line(
    what: str, some_accounts: None, terminal: Callable[[int], None]
) -> None:
    keep(an_entry("", an_attempt("a-long-name@a-long-domain.example.com", "x" * 80), session_id="s" * 60))
    terminal(60)

    lines = run("stats", what)[0].splitlines()

    assert lines
    assert max(map(len, lines)) <= 60


def test_a_long_name_leaves_room_for_the_numbers(terminal: Callable[[int], None]) -> None:
    keep(an_entry("", an_attempt(model="x" * 80)))
    terminal(80)

    assert run("stats")[0].splitlines()[1].split()[1:4] == ["1", "0", "0"]


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("what", ["model", "session"])
def test_a_number_is_shown_whole_or_not_at_all(
    what: str, width: int, terminal: Callable[[int], None]
) -> None:
    tokens = Tokens(123_456, 45_678, 789_123, 23_456)
    keep(an_entry("", an_attempt(tokens=tokens), session_id="s" * 36))
    whole = run("stats", what)[0].split()
    terminal(width)

    shown = run("stats", what)[0].splitlines()[1].split()

    assert [word for word in shown if "…" not in word and word not in whole] == []


TWINS = ("gemini-3.1-pro-preview-customtools-high", "gemini-3.1-pro-preview-customtools-low")
MORE_TWINS = [*TWINS, *(f"{'x' * 30}{letter}{'x' * 30}" for letter in "abc")]


@pytest.mark.parametrize("width", [40, 60, 80, 100])
@pytest.mark.parametrize("models", [TWINS, MORE_TWINS])
def test_different_names_are_never_cut_to_the_same_text(
    models: Sequence[str], width: int, terminal: Callable[[int], None]
) -> None:
    keep(*(an_entry("", an_attempt(model=model)) for model in models))
    terminal(width)

    lines = run("stats")[0].splitlines()
    shown = [line.split()[0] for line in lines[1:-1] if not line.startswith("(")]

    assert len(set(shown[: len(models)])) == len(models)
    assert lines[0].split()[:2] == ["MODEL", "REQUESTS"]
    assert max(len(line) for line in lines if not line.startswith("(")) <= width


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_list_of_requests_breaks_no_line(width: int, terminal: Callable[[int], None]) -> None:
    attempts = [an_attempt("a-long-name@a-long-domain.example.com", model) for model in TWINS]
    keep(*(an_entry(f"req_0193590c9e4{n}{n:012}", one, **FAILED) for n, one in enumerate(attempts)))
    terminal(width)

    head, *lines = run("logs")[0].splitlines()

    assert max(map(len, [head, *lines])) <= width
    assert [line.split()[2] for line in lines] == ["req_0193590c9e40", "req_0193590c9e41"], "may be typed"
    assert {"TIME", "(UTC)", "REQUEST", "STATUS", "MODEL", "OUTCOME"} <= set(head.split())


def test_a_pipe_gets_whole_names() -> None:
    keep(an_entry("", an_attempt(model="x" * 150)))

    assert "x" * 150 in run("stats")[0]


# logs


def ids(lines: list[dict[str, Any]]) -> list[str]:
    return [line["request_id"] for line in lines]


def test_the_newest_requests_come_last(some_requests: None) -> None:
    head, *lines = run("logs")[0].splitlines()

    assert (
        " ".join(head.split())
        == "TIME REQUEST STATUS ASKED FOR MODEL ACCOUNT IN CACHED OUT TOOK TRIES OUTCOME"
    )
    assert [line.split()[3] for line in lines] == ["req_two", "req_flash", "req_failed", "req_left"]
    assert lines[0].split()[2:] == [
        *("UTC", "req_two", "200", "sonnet", SONNET, "grace@example.com"),
        *("150", "50", "20", "2.00", "s", "2", "answered"),
    ]
    assert lines[2].endswith("overloaded_error: No capacity.")
    assert " 499 " in lines[3]


def test_each_column_stands_below_its_name(some_requests: None) -> None:
    head, *lines = run("logs")[0].splitlines()

    for name in ("REQUEST", "STATUS", "MODEL", "ACCOUNT", "OUTCOME"):
        begin = head.index(f"  {name}") + 2
        assert all(line[begin - 1] == " " != line[begin] for line in lines), name


def test_when_nothing_matches_it_says_so(some_requests: None) -> None:
    assert run("logs", "--status", "418") == ("", "Nothing matches.\n")
    assert as_json("logs", "--status", "418") == {"ok": True, "rows": []}


def test_an_empty_ledger_says_so() -> None:
    assert run("logs") == ("", "The ledger has no request yet.\n")


def test_a_limit_keeps_the_newest(some_requests: None) -> None:
    assert ids(rows_of("logs", "-n", "2")) == ["req_failed", "req_left"]
    assert rows_of("logs", "-n", "0") == []


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--errors"], ["req_failed"]),
        (["--status", "499"], ["req_left"]),
        (["--status", "200"], ["req_two", "req_flash"]),
        (["--account", "GRACE"], ["req_two"]),
        (["--model", "flash"], ["req_flash"]),
        (["--client", "lap"], ["req_flash"]),
        (["--session", "session-1"], ["req_two", "req_failed"]),
        (["--session", "session-1", "--errors"], ["req_failed"]),
        (["--slower", "1h"], []),
        (["--since", "350s", "--until", "150s"], ["req_flash", "req_failed"]),
    ],
)
def test_filters(arguments: list[str], found: list[str], some_requests: None) -> None:
    assert ids(rows_of("logs", *arguments)) == found


def test_safety_checks_are_marked_in_the_list() -> None:
    keep(an_entry("req_1"), an_entry("req_1", request_class="safeguards", ago=30.0))

    assert [line["request_class"] for line in rows_of("logs")] == ["messages", "safeguards"]
    assert [line["request_class"] for line in rows_of("logs", "--class", "messages")] == ["messages"]
    assert [line["request_class"] for line in rows_of("logs", "--class", "safeguards")] == ["safeguards"]
    assert f"[safeguards] {SONNET}" in run("logs", "--class", "safeguards")[0]
    assert run("logs", "req_1")[0].count("[safeguards] req_1") == 1


def test_an_unknown_name_is_refused_with_known_ones(some_requests: None) -> None:
    with pytest.raises(CommandError, match=r"no account like 'linus'.*: ada@example.com, grace@example.com"):
        run("logs", "--account", "linus")
    with pytest.raises(CommandError, match=r"several accounts? like 'example'"):
        run("logs", "--account", "example")


@pytest.mark.parametrize("limit", ["-1", "501"])
def test_a_limit_out_of_range_is_refused(limit: str) -> None:
    with pytest.raises(CommandError, match="--limit: must be a whole number from 0 to 500"):
        run("logs", f"--limit={limit}")


@pytest.mark.parametrize("command", [["logs"], ["logs", "req_1"], ["stats"]])
def test_a_name_cannot_move_the_cursor(command: list[str]) -> None:
    """A client may ask for any model, and the name it asked for is what Google was asked for."""
    keep(an_entry("req_1", an_attempt(model="\x1b[2Jmodel\nforged")))

    out = run(*command)[0]

    assert "\x1b" not in out
    assert not any(line.startswith("forged") for line in out.splitlines())


def test_one_request_is_a_timeline(some_requests: None) -> None:
    lines = run("logs", "req_two")[0].splitlines()

    assert lines[0] == "req_two"
    assert "  client   AUTH_TOKEN, session session-1" in lines
    assert "  tokens   150 in, 50 of them cached, 20 out, 5 of them thinking" in lines
    first, second = (line for line in lines if "█" in line)
    assert first.split()[0] == "+0.000"
    assert first.endswith("ada@example.com claude-sonnet-4-6 https://google.example: quota → next account")
    assert second.split()[0] == "+0.500"
    assert second.endswith("grace@example.com claude-sonnet-4-6 https://google.example: answered")
    assert "███·" in first
    assert "······██████████████████" in second


def test_one_request_as_json(some_requests: None) -> None:
    [request] = rows_of("logs", "req_two")

    assert [one["reason"] for one in request["tries"]] == ["quota", "answered"]


def test_an_open_request_has_a_timeline() -> None:
    keep(an_entry("req_open", status=None, duration_seconds=None, first_event_seconds=None))

    story = run("logs", "req_open")[0]

    assert "outcome  - open" in story
    assert run("logs")[0].splitlines()[1].endswith(" open")


def test_an_unknown_id_is_an_error() -> None:
    with pytest.raises(CommandError, match="The ledger has no request 'req_unknown'"):
        run("logs", "req_unknown")


def test_the_beginning_of_an_id_is_enough(some_requests: None) -> None:
    assert run("logs", "req_tw")[0].splitlines()[0] == "req_two"
    assert ids(rows_of("logs", "req_l")) == ["req_left"]


def test_the_beginning_of_several_ids_is_an_error_that_names_them(some_requests: None) -> None:
    with pytest.raises(CommandError, match=r"Several requests begin with 'req_f': req_failed, req_flash\.$"):
        run("logs", "req_f")


def test_a_whole_id_is_no_beginning_of_others() -> None:
    keep(an_entry("req_1"), an_entry("req_12"))

    assert ids(rows_of("logs", "req_1")) == ["req_1"]


def test_of_many_ids_ten_are_named() -> None:
    keep(*(an_entry(f"req_{number:02}") for number in range(12)))

    with pytest.raises(CommandError, match=r"req_00, .*, req_09 and more\.$"):
        run("logs", "req_")


@pytest.mark.parametrize("beginning", ["%", "_", "req\x1b[2J", "\U0010ffff", "x" * 5000, "' OR 1=1 --"])
def test_no_text_is_the_beginning_of_an_id_by_mistake(beginning: str, some_requests: None) -> None:
    with pytest.raises(CommandError, match="The ledger has no request"):
        run("logs", beginning)


# logs --follow


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What happens while somebody follows, one thing a poll; then they press Ctrl-C."""

    def plan(*happenings: Callable[[], object]) -> None:
        waiting = iter(happenings)

        def sleep(seconds: float) -> None:
            happening = next(waiting, None)
            if happening is None:
                raise KeyboardInterrupt
            happening()

        monkeypatch.setattr(time, "sleep", sleep)

    return plan


def follow(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as stopped:
        call_command("logs", "--follow", *arguments, stdout=out, stderr=err)
    assert stopped.value.code == 130
    return out.getvalue(), err.getvalue()


def nothing() -> None:
    pass


def test_following_shows_each_request_once_as_it_ends(
    some_requests: None, polls: Callable[..., None]
) -> None:
    polls(nothing, lambda: keep(an_entry("req_new", ago=0.0)), nothing, nothing)

    out, err = follow("-n", "1")

    assert [line.split()[3] for line in out.splitlines()[1:]] == ["req_left", "req_new"]
    assert "Stopped." in err


def test_following_waits_for_the_end_of_a_request(polls: Callable[..., None]) -> None:
    opened = an_entry("req_long", ago=120.0, status=None, duration_seconds=None)
    keep(opened)
    ended = opened.request._replace(status=200, duration_seconds=120.0)
    polls(nothing, lambda: keep(opened._replace(request=ended)), nothing)

    out, _ = follow("-n", "0")

    assert [line.split()[3:5] for line in out.splitlines()[1:]] == [["req_long", "200"]]


def test_following_shows_only_what_is_asked_for(polls: Callable[..., None]) -> None:
    polls(lambda: keep(an_entry("req_good", ago=0.0), an_entry("req_bad", ago=0.0, **FAILED)), nothing)

    out, _ = follow("--errors", "--json")

    assert [orjson.loads(line)["rows"][0]["request_id"] for line in out.splitlines()] == ["req_bad"]


# prunelogs


@pytest.fixture
def old_requests() -> None:
    """Three, of which two are older than LEDGER_RETENTION_DAYS."""
    keep(two_tries("req_old", ago=40 * DAY), an_entry("req_older", ago=50 * DAY), an_entry("req_new"))


def kept() -> set[str]:
    return set(RequestLog.objects.values_list("request_id", flat=True))


def test_a_preview_removes_nothing(old_requests: None) -> None:
    assert run("prunelogs", "--preview")[0] == "2 requests older than 30 days would be removed.\n"
    assert rows_of("prunelogs", "--preview", "--yes") == [
        {"requests": 2, "days_kept": 30, "what": "would be removed"}
    ]

    assert kept() == {"req_old", "req_older", "req_new"}


def test_a_script_must_say_yes(old_requests: None) -> None:
    with pytest.raises(CommandError, match=r"Nothing was removed. In a script, say --yes."):
        run("prunelogs")

    assert len(kept()) == 3


def test_what_is_old_goes_and_sums_stay(old_requests: None) -> None:
    assert run("prunelogs", "--yes")[0] == "2 requests older than 30 days removed.\n"

    assert kept() == {"req_new"}
    assert not RequestAttempt.objects.exists()
    assert sum(HourlyUsage.objects.values_list("requests", flat=True)) == 3


def test_days_may_be_given(old_requests: None) -> None:
    assert rows_of("prunelogs", "--yes", "--days", "45")[0]["requests"] == 1
    assert rows_of("prunelogs", "--yes", "--days", "0")[0]["requests"] == 2

    assert kept() == set()


def test_when_nothing_is_old_nobody_is_asked() -> None:
    keep(an_entry())

    assert run("prunelogs")[0] == "0 requests older than 30 days removed.\n"


@pytest.mark.parametrize("days", ["-1", "36501", "1000000000000"])
def test_days_out_of_range_are_refused(days: str, old_requests: None) -> None:
    with pytest.raises(CommandError, match="--days: must be a whole number from 0 to 36500"):
        run("prunelogs", "--yes", f"--days={days}")

    assert len(kept()) == 3


def test_many_rows_go_in_steps() -> None:
    keep(*(an_entry(ago=40 * DAY + number) for number in range(1001)))

    assert rows_of("prunelogs", "--yes")[0]["requests"] == 1001
    assert QuotaSnapshot.objects.count() == RequestLog.objects.count() == RequestAttempt.objects.count() == 0
