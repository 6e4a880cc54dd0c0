from __future__ import annotations

import logging
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from django.conf import settings as django_settings
from django.db import OperationalError
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry import log_format
from gateway.telemetry.log_format import (
    HIDDEN,
    JsonFormatter,
    RequestIdFilter,
    TextFormatter,
    formatter,
    redacted,
)
from gateway.telemetry.request_ids import current_request_id
from tests.live_gateway import PROJECT, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_django.fixtures import Settings

PLAIN = TextFormatter(is_coloured=False)
REQUEST_ID = "req_0123456789abcdef"


@pytest.fixture
def in_a_request() -> Iterator[None]:
    token = current_request_id.set(REQUEST_ID)
    yield
    current_request_id.reset(token)


def a_record(message: str, *args: Any, level: int = logging.INFO, **extra: Any) -> logging.LogRecord:
    """As it comes to a formatter: the filter has put the id of the request on it."""
    record = logging.LogRecord("gateway.api.messages", level, __file__, 1, message, args, None)
    record.__dict__.update(extra)
    assert RequestIdFilter().filter(record)
    return record


def a_failure(error: Exception, cause: Exception | None = None) -> logging.LogRecord:
    record = a_record("the gateway failed", level=logging.ERROR)
    try:
        raise error from cause
    except type(error):
        record.exc_info = sys.exc_info()
    return record


def as_json(record: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(record)
    assert "\n" not in line
    read: dict[str, Any] = orjson.loads(line)
    return read


# Lines


def test_a_line_has_time_level_request_and_message(in_a_request: None) -> None:
    record = a_record("%d rows", 3)
    record.created = 1_795_527_901.1239

    assert PLAIN.format(record) == f"2026-11-24 13:45:01.123 UTC INFO    {REQUEST_ID}: 3 rows"


def test_a_line_outside_of_requests_has_no_id() -> None:
    assert PLAIN.format(a_record("ready")).endswith(" INFO    ready")


def test_its_time_is_in_the_machines_zone_which_is_named(settings: Settings) -> None:
    settings.LOCAL_TIME_ZONE = ZoneInfo("Europe/Berlin")

    record = a_record("ready")
    record.created = datetime(2026, 11, 24, 13, 45, 1, 123_000, tzinfo=UTC).timestamp()

    assert PLAIN.format(record) == "2026-11-24 14:45:01.123 CET INFO    ready"


def test_a_line_of_json_has_named_facts(in_a_request: None) -> None:
    line = as_json(a_record("done", request={"status": 200, "client_model": "sonnet"}))

    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "gateway.api.messages",
        "message": "done",
        "request_id": REQUEST_ID,
        "request": {"status": 200, "client_model": "sonnet"},
    }


def test_a_json_line_has_no_empty_fields() -> None:
    assert set(as_json(a_record("ready"))) == {"time", "level", "logger", "message"}


def test_an_id_put_on_a_record_before_stays(in_a_request: None) -> None:
    assert as_json(a_record("sent", request_id="req_earlier"))["request_id"] == "req_earlier"


# Colours


@pytest.mark.parametrize(("level", "colour"), [(10, "2"), (30, "33"), (40, "31"), (50, "1;31")])
def test_a_terminal_sees_the_level_in_colour(level: int, colour: str) -> None:
    line = TextFormatter(is_coloured=True).format(a_record("hm", level=level))

    assert f"\x1b[{colour}m{logging.getLevelName(level):<7}\x1b[0m hm" in line


def test_the_message_brings_no_colour_of_its_own() -> None:
    line = TextFormatter(is_coloured=True).format(a_record("\x1b[31mred", level=logging.ERROR))

    assert line.count("\x1b") == 2
    assert line.endswith("\\x1b[31mred")


def test_a_pipe_sees_no_colours() -> None:
    assert "\x1b" not in formatter("text", "stdout").format(a_record("hm", level=logging.ERROR))


@pytest.mark.parametrize(("no_color", "is_coloured"), [("", True), ("1", False)])
def test_no_color_counts_at_a_terminal(
    no_color: str, is_coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    line = formatter("text", "stderr").format(a_record("hm", level=logging.ERROR))

    assert ("\x1b" in line) is is_coloured


def test_json_is_never_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    assert "\x1b" not in formatter("json", "stdout").format(a_record("hm", level=logging.ERROR))


# What breaks lines

HOSTILE = "a\nERROR forged\r\0\x1b[2J\x9b1m\x85\u2028\u2029\u202e\u2066\ud83d"


def test_nothing_in_a_message_begins_a_line_or_moves_a_cursor() -> None:
    line = PLAIN.format(a_record("%s", HOSTILE))

    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert line.encode().endswith(
        rb"a\x0aERROR forged\x0d\x00\x1b[2J\x9b1m\x85\u2028\u2029\u202e\u2066\ud83d"
    )


def test_the_same_holds_in_json_when_it_is_read() -> None:
    assert as_json(a_record("%s", HOSTILE))["message"].isprintable()


def test_an_error_cannot_forge_lines_either() -> None:
    shown = PLAIN.format(a_failure(OSError("disk\r\x1b[2J full")))

    assert "OSError: disk\\x0d\\x1b[2J full" in shown


# Secrets

SECRETS = {
    "an access token": "ya29.a0AfH6SMB-x_y.z",
    "a refresh token": "1//0gABCDEFGHIJ-klmnop_qrs",
    "an authorization code": "4/0AX4XfWjABCDEFGHIJKLMNOP",
    "a client secret": "GOCSPX-" + "abcdEFGH_1234",
    "a key of Google": "AIzaSyA1234567890abcdefghijklmnopqrstu",
    "a key of Anthropic": "sk-ant-api03-abcdefghijklmnop",
    "something sealed": "gAAAAABmX1234567890abcdefghijklmnop==",
}
NAMED_SECRETS = {
    "Authorization: Bearer {}": "abcd1234~+/=",
    "authorization: bearer {}": "abcd",
    "Authorization: Basic {}": "YWRtaW46c2VjcmV0",
    "refresh_token={}&x=y": "some/thing%20odd",
    "?access_token={}": "plain-words",
    "client_secret={} ": "plain-words",
    "password={}": "plain:words",
    "/callback?code={}&state=1": "4%2F0abc",
}


SIGNS = [
    *("ya29.", "1//", "4/", "GOCSPX-", "AIza", "sk-", "gAAAA", "/set-up/", "bearer", "basic"),
    *("refresh_token=", "access_token=", "client_secret=", "password=", "code="),
]
PIECES = st.sampled_from([*SIGNS, "AAAAbbbb0000xxxxYYYY9999"]) | st.text(max_size=30)


@given(
    st.lists(PIECES.flatmap(lambda piece: st.sampled_from([piece, piece.swapcase(), f"{piece} "]))).map(
        "".join
    )
)
def test_each_text_with_a_secret_is_searched(text: str) -> None:
    assert redacted(text) == log_format.SECRETS.sub(HIDDEN, text)


@pytest.mark.parametrize("name", SECRETS)
def test_what_looks_like_a_secret_is_hidden(name: str) -> None:
    assert redacted(f"got {SECRETS[name]}, good") == f"got {HIDDEN}, good"


@pytest.mark.parametrize("where", NAMED_SECRETS)
def test_what_is_called_a_secret_is_hidden(where: str) -> None:
    assert redacted(where.format(NAMED_SECRETS[where])) == where.format(HIDDEN)


@pytest.mark.parametrize(
    "text",
    [
        "the basics",
        "sk-short",
        "1/2 done",
        "4/5 accounts",
        "postal code 12345",
        "see gateway/api/application.py",
    ],
)
def test_words_that_are_no_secrets_stay(text: str) -> None:
    shown = redacted(text)

    assert shown == text


@pytest.mark.parametrize("end", ["", "/", "/?next=x", " HTTP/1.1"])
def test_a_set_up_link_is_hidden(end: str) -> None:
    shown = redacted(f"Forbidden (CSRF cookie not set.): /admin/set-up/ab-Cd_{'9' * 27}{end}")

    assert shown == f"Forbidden (CSRF cookie not set.): /admin/set-up/{HIDDEN}{end}"


@pytest.mark.parametrize("name", ["AUTH_TOKEN", "WEBUI_PASSWORD", "OAUTH_CLIENT_SECRET", "SECRET_KEY"])
def test_the_secrets_of_the_settings_are_hidden(name: str, settings: Settings) -> None:
    setattr(settings, name, "correct horse")

    assert redacted("it is correct horse, twice: correct horse") == f"it is {HIDDEN}, twice: {HIDDEN}"


def test_a_key_that_is_generated_at_the_start_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    assert redacted("before it") == "before it"

    monkeypatch.setattr(django_settings, "AUTH_TOKEN", "generated-just-now")  # as a start does
    log_format.forget_settings()

    assert redacted("the key generated-just-now") == f"the key {HIDDEN}"
    log_format.forget_settings()


def test_a_short_secret_setting_is_not_redacted(settings: Settings) -> None:
    settings.AUTH_TOKEN = "test"

    assert redacted("a test") == "a test"


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_hidden_wherever_they_stand(name: str, settings: Settings) -> None:
    secret = SECRETS[name]
    settings.AUTH_TOKEN = "correct-horse"
    record = a_failure(OSError(f"cannot send {secret} correct-horse"), OSError(f"{secret} correct-horse"))
    record.msg, record.request = f"sent {secret} correct-horse", {"error": f"{secret} correct-horse"}

    text, line = PLAIN.format(record), JsonFormatter().format(record)

    for shown in (text, line):
        assert secret not in shown
        assert "correct-horse" not in shown
    assert set(orjson.loads(line)) >= {"message", "request", "traceback"}


@pytest.mark.parametrize(
    "message",
    ['password=abc"def"', 'sent "code=abc"', "code=a\\", "code=a\nb", 'bearer abcd"', "client_secret=\x1b"],
)
def test_json_stays_json_when_something_in_it_is_hidden(message: str) -> None:
    assert HIDDEN in as_json(a_record("%s", message))["message"]


# Errors


def test_errors_that_may_quote_the_request_are_redacted(in_a_request: None) -> None:
    shown = PLAIN.format(a_failure(ValueError("my secret prompt"), KeyError("my other prompt")))

    assert "prompt" not in shown
    assert "in a_failure" in shown
    assert "ValueError (message left out: it may quote the request)" in shown
    assert "caused by KeyError (message left out" in shown


@pytest.mark.parametrize(
    "error", [OSError("disk full"), OperationalError("disk full"), ImportError("disk full")]
)
def test_errors_of_the_machine_keep_their_message(error: Exception, in_a_request: None) -> None:
    shown = PLAIN.format(a_failure(error))

    assert shown.endswith(f"{type(error).__name__}: disk full")
    assert "in a_failure" in shown


def test_errors_outside_of_requests_keep_their_messages() -> None:
    assert PLAIN.format(a_failure(ValueError("a bad setting"))).endswith("ValueError: a bad setting")


def test_json_has_the_frames_in_a_field(in_a_request: None) -> None:
    line = as_json(a_failure(ValueError("my secret prompt")))

    assert "in a_failure" in line["traceback"]
    assert "prompt" not in str(line)


def test_a_traceback_of_nothing_is_left_out() -> None:
    assert "traceback" not in as_json(a_record("no error", exc_info=(None, None, None)))


# Where lines go

SPEAK = """
import logging
logger = logging.getLogger("gateway.test")
for level in ("debug", "info", "warning", "error"):
    getattr(logger, level)("it is %s", level)
logging.getLogger("elsewhere").info("it is quiet elsewhere")
logging.getLogger("elsewhere").warning("it is loud elsewhere")
"""


def spoken(tmp_path: Path, **settings: str) -> tuple[list[str], list[str]]:
    ran = subprocess.run(
        [sys.executable, "-c", f"import proxy_site.asgi\n{SPEAK}"],
        cwd=PROJECT, env=clean_environment(tmp_path, **settings), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ran.stdout.splitlines(), ran.stderr.splitlines()


@pytest.mark.slow
def test_warnings_and_errors_go_to_standard_error(tmp_path: Path) -> None:
    out, err = spoken(tmp_path, LOG_LEVEL="debug")

    assert [line.split(" ", 3)[3] for line in out] == ["DEBUG   it is debug", "INFO    it is info"]
    assert [line.split(" ", 3)[3] for line in err] == [
        "WARNING it is warning",
        "ERROR   it is error",
        "WARNING it is loud elsewhere",
    ]


@pytest.mark.slow
def test_json_lines_go_to_the_same_streams(tmp_path: Path) -> None:
    out, err = spoken(tmp_path, LOG_FORMAT="json")

    assert [orjson.loads(line)["message"] for line in out] == ["it is info"]
    assert [orjson.loads(line)["level"] for line in err] == ["warning", "error", "warning"]


@pytest.mark.slow
def test_a_higher_level_leaves_out_more(tmp_path: Path) -> None:
    out, err = spoken(tmp_path, LOG_LEVEL="error")

    assert out == []
    assert [line.split(" ", 3)[3] for line in err] == ["ERROR   it is error", "WARNING it is loud elsewhere"]
