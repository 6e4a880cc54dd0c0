"""The bundle of a request: enough for an issue, and nothing that should not leave the machine."""

from __future__ import annotations

import io
import socket
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest
from django.core.management import CommandError, call_command

from accounts import command_line
from accounts.models import Account, QuotaSnapshot
from gateway.models import RequestAttempt, RequestLog
from proxy_site.data_dir import RunningServer
from proxy_site.management.commands import diagnose
from proxy_site.operation.anonymous import Anonymizer
from proxy_site.operation.log_lines import LONGEST_LINE, LONGEST_READ, MOST_LINES, lines_of
from proxy_site.settings import env
from tests.gateway.conftest import a_body
from tests.live_gateway import LiveGateway, manage
from tests.proxy_site.operation.test_status import a_process

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django.fixtures import Settings

REQUEST = "req_01a2159937ef7a7b7757c249"
STARTED = datetime(2026, 11, 24, 12, tzinfo=UTC)
MODEL = "claude-sonnet-4-6"
WORDS = {"a": "[too short a word]", "/srv/home": "[here]"}
PLANTED = [
    *("ada@example.com", "ad…@e…", "stranger@elsewhere.example", "203.0.113.7", "2001:db8::7"),
    *(
        "ya29.canary-token",
        "1//canary-refresh-token",
        "GOCSPX-" + "canary-secret",
        "sk-canary-key-0123456789",
    ),
    *("canary-auth-token", "canary-client-id", "canary-proxy.example", "canary-project", "canary-prompt"),
    *("canary-session", "canary-preamble", "db-canary.internal", "/home/canary", "canary-generated-key"),
    *("gw.canary.example", "canary-host", "canaryneighbour", "canary-colleague"),
]
"""Secrets, addresses, names and a prompt."""
EVERYTHING = (
    f"{' '.join(PLANTED[:13])} from {socket.gethostname()} for http://canary-proxy.example:3128/x?key=canary "
    f"'canary-prompt' \"canary-prompt\" db-canary.internal /home/canary/.config canary-preamble "
    "Cannot connect to host gw.canary.example:3128 ssl:default, or host canary-host:80 canary-generated-key "
    r"/home/canaryneighbour/x /Users/canary-colleague/y C:\Users\canary-colleague\z "
    r"b'canary-prompt' `canary-prompt` “canary-prompt” „canary-prompt“ 'it isn\'t, don't, canary-prompt' "
    f'"say \\"canary-prompt\\" again" \'{"long " * 1_000}canary-prompt\' "a canary-prompt that was cut'
)


@pytest.fixture
def planted(db: None, monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path) -> RequestLog:
    """A request that failed, with everything that must not be shown in each text that is stored."""
    settings.ALLOWED_HOSTS = ["localhost", "db-canary.internal"]
    values = {
        "AUTH_TOKEN": "canary-auth-token", "OAUTH_CLIENT_ID": "canary-client-id", "MAX_RETRIES": "3",
        "HTTPS_PROXY": "http://user:pw@canary-proxy.example:3128", "SYSTEM_PREAMBLE": "canary-preamble",
        "LOG_LEVEL": "debug",
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setitem(env._values, name, value)
    settings.DATA_DIR = tmp_path
    (tmp_path / "auth_token").write_text("canary-generated-key\n")
    monkeypatch.setattr(Path, "home", lambda: Path("/home/canary"))
    account = Account.objects.create(email="ada@example.com", project_id="canary-project")
    QuotaSnapshot.objects.create(account=account, model_id=MODEL, taken_at=STARTED, seen_at=STARTED)
    row = RequestLog.objects.create(
        id=1, instance_id=1, request_id=REQUEST, started_at=STARTED, client="loopback",
        session_id="canary-session", client_model="canary-prompt", upstream_model=MODEL,
        account="ada@example.com", endpoint="http://canary-proxy.example:3128/v1internal",
        problem="rate_limit_error", status=429, error=EVERYTHING, attempts=2, duration_seconds=0.5,
    )  # fmt: skip
    for number, email in enumerate(("ada@example.com", "stranger@elsewhere.example"), 1):
        RequestAttempt.objects.create(
            request=row, number=number, account=email, model=MODEL, started_at=STARTED, took_seconds=0.2,
            endpoint="https://cloudcode-pa.googleapis.com", reason=EVERYTHING[:200], decision="next account",
        )  # fmt: skip
    return row


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def diagnosed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, dict[str, Any]]:
    call_command("diagnose", REQUEST, *arguments)
    text = capsys.readouterr().out
    return text, orjson.loads(text)


def a_log(tmp_path: Path) -> str:
    stamp = "2026-11-24 13:45:01.123 CET"
    as_json = {
        "time": "2026-11-24T12:45:01.124+00:00", "level": "warning", "logger": "gateway",
        "message": EVERYTHING, "request_id": REQUEST, "request": {"account": "ada@example.com"},
    }  # fmt: skip
    lines = [
        f"{stamp} WARNING {REQUEST}: {EVERYTHING}",
        '  File "/home/canary/gateway/relay.py", line 3, in open',
        "OSError: 203.0.113.7 refused",
        f"canary-prompt of another program, {REQUEST}",
        f"{stamp} DEBUG   {REQUEST}: the tool canary-prompt",
        f"{stamp} INFO    req_000000000000000000000000: canary-prompt",
        f"Nov 24 13:45:01 host gateway[7]: {orjson.dumps(as_json).decode()}",
        f'{{"time":"", "request_id": "{REQUEST}"',
        f"{stamp} INFO    {REQUEST}: waits for an account, place 3",
    ]
    (tmp_path / "log").write_bytes("\n".join(lines).encode() + b"\n\xff\n")
    return str(tmp_path / "log")


def test_nothing_that_was_planted_is_in_the_bundle(
    planted: RequestLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, made = diagnosed(capsys, "--log", a_log(tmp_path))

    assert [one for one in PLANTED if one in text] == []
    assert "canary" not in text
    assert len(socket.gethostname()) < 3 or socket.gethostname() not in text
    assert [line["level"] for line in made["log"]] == ["warning", "traceback", "traceback", "warning", "info"]


def test_the_bundle_tells_what_an_issue_needs(
    planted: RequestLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, made = diagnosed(capsys, "--log", a_log(tmp_path))

    [one] = made["requests"]
    assert (made["request_id"], one["status"], one["problem"]) == (REQUEST, 429, "rate_limit_error")
    assert (one["upstream_model"], one["client_model"]) == (MODEL, "(a name of 13 characters)")
    assert [attempt["account"] for attempt in one["tries"]] == ["account 1", "an account"]
    assert one["tries"][0]["endpoint"] == "https://cloudcode-pa.googleapis.com"
    assert one["explanation"][0].startswith("Failed with 429 at the second try after 0.5")
    assert made["accounts"] == {"account 1": {"kind": "google", "state": "ok", "enabled": True}}
    assert made["settings"]["MAX_RETRIES"] == "3"
    assert made["settings"]["LOG_LEVEL"] == "debug"
    assert made["settings"]["AUTH_TOKEN"] == made["settings"]["SYSTEM_PREAMBLE"] == "(set)"
    assert {"gateway", "python", "database", "django", "uvicorn"} <= made["versions"].keys()
    assert made["log"][-1]["message"] == "waits for an account, place 3"


def test_the_beginning_of_an_id_is_enough(planted: RequestLog, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("diagnose", REQUEST[:12])

    assert orjson.loads(capsys.readouterr().out)["request_id"] == REQUEST


@pytest.mark.parametrize("request_id", ["req_nothing", "", "\0", "%", "\udcff"])
def test_an_unknown_id_is_a_sentence(request_id: str, db: None) -> None:
    with pytest.raises(CommandError, match="The ledger has no request"):
        call_command("diagnose", request_id)


def test_the_bundle_goes_to_a_new_file(planted: RequestLog, tmp_path: Path) -> None:
    file = tmp_path / "a bundle.json"

    call_command("diagnose", REQUEST, "--output", str(file))

    assert orjson.loads(file.read_bytes())["request_id"] == REQUEST
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CommandError, match="exists already"):
        call_command("diagnose", REQUEST, "--output", str(file))
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("diagnose", REQUEST, "--output", str(tmp_path / "none" / "bundle.json"))
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("diagnose", REQUEST, "--log", str(tmp_path / "none"))


def test_an_id_that_the_client_chose_is_not_shown(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    RequestLog.objects.create(
        id=1, instance_id=1, request_id="ada-lovelace-7", started_at=STARTED, error="of ada-lovelace-7"
    )  # fmt: skip

    call_command("diagnose", "ada-lovelace-7")

    assert "ada" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at 12:50:20 and 2026-11-24T12:50:20", "at 12:50:20 and 2026-11-24T12:50:20"),
        ("version 2.9.1 on 127.0.0.1:8672 and ::1", "version 2.9.1 on 127.0.0.1:8672 and ::1"),
        ("from [fe80::1]:443 and ::ffff:10.0.0.1.", "from [[address]]:443 and [address]."),
        (
            "https://x.googleapis.com/v1?key=1 http://googleapis.com.evil/",
            "https://x.googleapis.com [address]",
        ),
        ("https://me:secret@oauth2.googleapis.com:443", "https://oauth2.googleapis.com"),
        ("host x.googleapis.com:443, host localhost:1", "host x.googleapis.com:443, host localhost:1"),
        (
            "Cannot connect to host 10.0.0.1:80 or host a-b.c",
            "Cannot connect to host [address]:80 or host [address]",
        ),
        ("host 127.0.0.1:80, the host was, relay.py:3", "host 127.0.0.1:80, the host was, relay.py:3"),
        ("/home/adam/x /srv/home, /srv/home2", "/home/[user]/x [here], /srv/home2"),
        ("Ada@Example.com, gr…@e…, li…@x… #7", "account 1, account 2, an account"),
    ],
)
def test_addresses_are_replaced_and_numbers_are_not(text: str, shown: str) -> None:
    anonymizer = Anonymizer({1: "ada@example.com", 7: "grace@example.com"}, WORDS)

    assert anonymizer.text(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the accounts' limit, and it's 'one'", "the accounts' limit, and it's '…'"),
        (r"""'a\'b' "c\"d" b'e' rb"f" 'isn't'.""", "'…' '…' '…' rb'…' '…'."),
        ("`a` “b” „c“ \u2018don\u2019t\u2019 «d»", "'…' '…' '…' '…' '…'"),
        (f"'{'x' * 5_000}' and 'x\ny", "'…' and '…'"),
        ("``a`b`` ``` and `c", "'…' '…'"),
        ("a '" + "'a" * 50_000 + "\\", "a '…'"),
    ],
)
def test_what_stands_in_quotes_is_left_out(text: str, shown: str) -> None:
    assert Anonymizer({}, {}).message(text) == shown


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        ("/srv/home/gateway/relay.py", "[project]/gateway/relay.py"),
        (
            "/srv/home/.venv/lib/python3.11/site-packages/a-b/c.py",
            "python3.11/site-packages/a-b/c.py",
        ),
        ("/opt/ada/lib/python3.11/ssl.py", "python3.11/ssl.py"),
        ("/opt/ada/site-packages/ada's own.py", "'…'"),
        ("/opt/ada/relay.py", "'…'"),
        ("<string>", "'…'"),
    ],
)
def test_a_traceback_names_the_files_of_the_program(file: str, shown: str) -> None:
    anonymizer = Anonymizer({}, {"/srv/home": "[project]"})

    assert anonymizer.traceback(f'  File "{file}", line 3, in open') == f"  File {shown}, line 3, in open"
    assert anonymizer.message(f'  File "{file}", line 3') == "  File '…', line 3"
    assert anonymizer.traceback(f'    raise X("{file}")') == "    raise X('…')"


FRAMES = ['  File "/srv/gateway/relay.py", line 3, in open', "    raise failure", "    ^^^^^^^^^^^^^"]


@pytest.mark.parametrize(
    "prefix",
    ["", "Nov 24 13:45:01 gw.example gateway[712]: ", "2026-11-24T13:45:01.123456789Z ", "gateway-1  | "],
)
@pytest.mark.parametrize(
    "error",
    [
        ["KeyError (message left out: it may quote the request)"],
        ["psycopg.OperationalError: refused", "caused by psycopg.errors.ConnectionTimeout: 5 s"],
        ["asyncio.exceptions.CancelledError"],
        ["answer.<locals>.Größe (message left out: it may quote the request)", "caused by StopIteration"],
    ],
)
def test_a_traceback_is_whole_behind_any_prefix(prefix: str, error: list[str]) -> None:
    ours = f"2026-11-24 13:45:01.123 CET ERROR   {REQUEST}: the gateway failed"
    shown = [*FRAMES, "  [Previous line repeated 900 more times]", *error]
    log = [f"{prefix}{line}\n" for line in (ours, *shown, "Another", "  File canary")]

    lines = lines_of(REQUEST, log)

    assert [line.message for line in lines] == ["the gateway failed", *shown]
    assert {line.time for line in lines} == {"2026-11-24 13:45:01.123 CET"}
    assert {line.level for line in lines[1:]} == {"traceback"}


def test_lines_of_another_program_are_no_traceback() -> None:
    ours = f"Nov 24 13:45:01 host gateway[7]: 2026-11-24 13:45:01.123 CET ERROR   {REQUEST}: failed"
    others = [
        'Nov 24 13:45:01 host another[7]:   File "/canary"',
        '  File "/canary"',
        "Nov 24 13:45:01 host gateway[8]: canary.Error: no frame before it",
    ]

    assert len(lines_of(REQUEST, [ours, *others])) == 1


def test_a_long_line_of_json_is_read_whole() -> None:
    record = {
        "time": "2026-11-24T12:45:01.124+00:00", "level": "error", "message": "x" * 5_000,
        "request_id": REQUEST, "traceback": "\n".join([*FRAMES * 50, "KeyError", "caused by ValueError"]),
    }  # fmt: skip

    lines = lines_of(REQUEST, [f"Nov 24 host gateway[7]: {orjson.dumps(record).decode()}\n"])

    assert len(lines[0].message) == LONGEST_LINE
    assert [line.message for line in lines[1:]] == [*FRAMES * 50, "KeyError", "caused by ValueError"]
    assert lines_of(REQUEST, [orjson.dumps(record | {"message": "x" * LONGEST_READ}).decode()]) == []


def test_two_logs_are_merged_by_time() -> None:
    output = [f"2026-11-24 13:45:0{second}.123 CET INFO    {REQUEST}: {second}" for second in (1, 3, 5)]
    errors = [f"2026-11-24 13:45:0{second}.123 CET ERROR   {REQUEST}: {second}" for second in (2, 4)]

    lines = lines_of(REQUEST, output, [errors[0], *FRAMES, "KeyError", errors[1]])

    assert [line.message for line in lines] == ["1", "2", *FRAMES, "KeyError", "3", "4", "5"]


def test_a_huge_log_is_read_to_a_limit() -> None:
    line = f"2026-11-24 13:45:01.123 CET INFO    {REQUEST}: again\n"

    assert len(lines_of(REQUEST, [line] * (MOST_LINES + 10))) == MOST_LINES
    assert lines_of(REQUEST, ["x" * 10_000_000, REQUEST]) == []


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like /proc, for the server of process 4711."""
    monkeypatch.setattr(diagnose, "running_server", lambda data_dir: RunningServer(4711, ""))
    for name in ("log_command", "log_files", "log_places", "where_the_log_is"):
        monkeypatch.setattr(diagnose, name, partial(getattr(diagnose, name), proc=tmp_path))
    return tmp_path


def test_standard_output_and_standard_error_are_both_read(
    planted: RequestLog, proc: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (proc / "out").write_text(f"2026-11-24 13:45:02.123 CET INFO    {REQUEST}: ended\n")
    (proc / "err").write_text(f"2026-11-24 13:45:01.123 CET WARNING {REQUEST}: slow\n")
    a_process(proc, (str(proc / "out"), str(proc / "err")))

    call_command("diagnose", REQUEST)

    said = capsys.readouterr()
    assert [line["message"] for line in orjson.loads(said.out)["log"]] == ["slow", "ended"]
    assert said.err == ""


@pytest.mark.parametrize("other", ["/dev/null", "pipe:[7]", "/dev/pts/77"])
@pytest.mark.parametrize("is_output", [True, False])
def test_what_of_the_log_is_no_file_is_said(
    other: str, is_output: bool, planted: RequestLog, proc: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (proc / "log").write_text(f"2026-11-24 13:45:02.123 CET INFO    {REQUEST}: ended\n")
    a_process(proc, (str(proc / "log"), other) if is_output else (other, str(proc / "log")))

    call_command("diagnose", REQUEST)

    said = capsys.readouterr()
    assert len(orjson.loads(said.out)["log"]) == 1
    assert f"With lines of {proc / 'log'} alone" in said.err


@pytest.mark.parametrize(("host", "name"), [("4f1b0c9d2e7a",) * 2, ("gateway", "CONTAINER")])
def test_in_a_container_the_printed_pipe_needs_no_terminal(
    host: str, name: str, planted: RequestLog, proc: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(command_line, "CONTAINER_MARKS", {str(proc): "docker"})
    monkeypatch.setattr("socket.gethostname", lambda: host)
    monkeypatch.setattr(sys, "orig_argv", ["python", "manage.py", "diagnose"])
    monkeypatch.delenv("UV", raising=False)
    a_process(proc, ("pipe:[1]", "pipe:[2]"))

    call_command("diagnose", REQUEST)

    pipe = f"docker logs {name} 2>&1 | docker exec -i {name} python manage.py diagnose REQUEST-ID --log -"
    assert pipe in capsys.readouterr().err


def test_the_printed_pipe_reads_the_journal(
    planted: RequestLog, proc: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_process(proc, ("socket:[8]", "socket:[8]"), "0::/system.slice/gateway.service")

    call_command("diagnose", REQUEST)

    assert "To have them: journalctl -u gateway.service | " in capsys.readouterr().err


def test_standard_input_that_is_no_text_is_read(
    planted: RequestLog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = f"\udcff\n2026-11-24 13:45:02.123 CET INFO    {REQUEST}: Größe\udcff\n".encode(
        errors="surrogateescape"
    )
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(log), encoding="ascii"))

    _, made = diagnosed(capsys, "--log", "-")

    assert made["log"][0]["message"] == "Größe\ufffd"


@pytest.mark.slow
def test_a_real_request_is_diagnosed_from_a_pipe(shared_gateway: LiveGateway) -> None:
    refused = httpx.post(
        f"{shared_gateway.url}/v1/messages",
        json=a_body(model="no-such-model", messages=[{"role": "user", "content": "canary-prompt"}]),
    )
    request_id = refused.headers["request-id"]
    wait_until(lambda: f"{request_id}: " in shared_gateway.output)
    shared_gateway.wait_until_in_ledger(request_id)

    done = manage(
        "diagnose", request_id, "--log", "-", env=shared_gateway.env, stdin=shared_gateway.output.encode()
    )

    made = orjson.loads(done.stdout)
    assert (refused.status_code, done.returncode, done.stderr) == (404, 0, b"")
    assert made["requests"][0]["status"] == 404
    assert made["log"]
    assert "canary" not in done.stdout.decode()
    assert "@example.com" not in done.stdout.decode()
