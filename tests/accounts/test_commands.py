from __future__ import annotations

import asyncio
import errno
import os
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import orjson
import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.utils import timezone

from accounts.inspection import check_all, refresh_quota, verify
from accounts.models import Account
from accounts.transfer.exporting import export
from accounts.values.sanitize import UNSAFE
from tests.accounts.terminal import Terminal
from tests.live_gateway import PROJECT, accounts_file, clean_environment, free_port, manage

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings

    from accounts.inspection import Check
    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.slow


@pytest.fixture
def env(emulator: EmulatorServer, tmp_path: Path) -> dict[str, str]:
    browser = [
        sys.executable,
        str(Path(__file__).parent / "sign_in" / "consenting_browser.py"),
        "%s",
        "ada@example.com",
    ]
    return clean_environment(
        tmp_path / "data",
        **emulator.gateway_settings(),
        OAUTH_CALLBACK_PORT=str(free_port()),
        BROWSER=shlex.join(browser),
        PYTHONWARNINGS="error",
    )


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run a command in this process; the rows that it printed as JSON."""

    def run(*arguments: str) -> Any:
        call_command(*arguments, "--json")
        return orjson.loads(capsys.readouterr().out)["rows"]

    return run


# Adding an account at a terminal


def test_adding_an_account_with_the_browser(env: dict[str, str], emulator: EmulatorServer) -> None:
    with Terminal("addaccount", env=env) as terminal:
        terminal.read_until(r"1  Gemini API key[\s\S]*4  Google account")
        terminal.read_until(r"Which kind of account\? \(1 to 4\) ")
        terminal.type("5")
        terminal.read_until(r"Which kind")
        terminal.type("4")
        terminal.read_until(r"Do you accept it\? \(y/n\) ")
        terminal.type("perhaps")
        terminal.read_until("Please answer y or n")
        terminal.type("Y")
        terminal.read_until("Sign in at Google")
        status = terminal.wait()

    assert status == 0
    assert terminal.text.count("Google treats the use") == 1
    assert "ada@example.com (pro): ready" in terminal.text
    assert "\rWaiting for you, " in terminal.text
    listed = orjson.loads(manage("listaccounts", "--json", env=env).stdout)["rows"]
    assert [(one["email"], one["usable"]) for one in listed] == [("ada@example.com", True)]

    with Terminal("addaccount", "--email", "ada@example.com", env=env) as terminal:
        assert terminal.wait() == 0
    assert "Do you accept it?" not in terminal.text  # it was, for this account


def test_adding_an_account_by_pasting(env: dict[str, str], emulator: EmulatorServer) -> None:
    with Terminal("addaccount", "--no-browser", "--accept-terms", env=env) as terminal:
        address = terminal.read_until(r"\n(http://\S+)\n").group(1)
        terminal.read_until("Paste it here")
        terminal.type("nonsense")
        terminal.read_until("neither the address nor a code")
        answer = consent_at(address, "linus@example.com")
        code = httpx.URL(answer).params["code"]
        terminal.type(f"{answer.partition('code=')[0]}code={code[:20]}")
        terminal.read_until("Google refuses the code: it is incomplete")
        terminal.type(answer.replace(quote(code, safe="")[9:], f"\n  {quote(code, safe='')[9:]}"))
        status = terminal.wait()

    assert status == 0
    assert "linus@example.com (ultra): ready" in terminal.text


def test_in_a_container_the_address_is_pasted(env: dict[str, str], emulator: EmulatorServer) -> None:
    data_dir = Path(env["DATA_DIR"])
    data_dir.mkdir(exist_ok=True)
    (data_dir / ".env").write_text("IN_CONTAINER=true\n")
    with Terminal("addaccount", "--accept-terms", env=env) as terminal:
        address = terminal.read_until(r"\n(http://\S+)\n").group(1)
        terminal.read_until("Paste it here")
        terminal.type(consent_at(address, "linus@example.com"))
        status = terminal.wait()

    assert status == 0
    assert "linus@example.com (ultra): ready" in terminal.text


def consent_at(address: str, email: str) -> str:
    query = {**httpx.URL(address).params, "auto_approve": "1", "login_hint": email}
    return str(httpx.get(address, params=query).headers["location"])


def test_a_refused_oauth_client_is_reported_before_the_sign_in(
    env: dict[str, str], emulator: EmulatorServer
) -> None:
    refused = manage("addaccount", "--accept-terms", env={**env, "OAUTH_CLIENT_SECRET": "another"})

    assert refused.returncode == 1
    assert b"The provided client secret is invalid" in refused.stderr
    assert b"Sign in at Google" not in refused.stderr
    assert not emulator.state.log.entries("auth")


def test_without_accepted_terms_an_account_is_kept_unused(
    env: dict[str, str], emulator: EmulatorServer
) -> None:
    added = manage("addaccount", env=env)

    assert added.returncode == 0
    assert b"Terms not accepted" in added.stdout
    listed = orjson.loads(manage("listaccounts", "--json", env=env).stdout)["rows"][0]
    assert listed["usable"] is False
    assert listed["required_action"]["command"] == "enableaccount ada@example.com --accept-terms"


def test_a_cancelled_sign_in_ends_with_the_reason(env: dict[str, str], emulator: EmulatorServer) -> None:
    added = manage(
        "addaccount", "--accept-terms", env={**env, "BROWSER": env["BROWSER"].replace("ada@", "stranger@")}
    )

    assert added.returncode == 1
    assert (
        b"Not signed in: Google refuses the sign-in (access_denied). Somebody pressed Cancel" in added.stderr
    )
    assert b"Traceback" not in added.stderr


@pytest.mark.django_db
def test_a_missing_client_id_is_one_sentence(settings: Settings) -> None:
    settings.OAUTH_CLIENT_ID = ""

    with pytest.raises(CommandError, match=r"^OAUTH_CLIENT_ID is not set: create an OAuth client"):
        call_command("addaccount", "--accept-terms")


def test_a_key_typed_at_the_terminal_is_not_echoed(env: dict[str, str]) -> None:
    key = "AIza-emulator-ada"
    with Terminal("addaccount", env={**env, "GEMINI_API_KEY": ""}) as terminal:
        terminal.read_until("Which kind of account")
        terminal.type("gemini")
        terminal.read_until("Gemini key: ")
        terminal.type(key)
        terminal.read_until(r"have billing \(the paid tier\)\? \(y/n\) ")
        terminal.type("n")
        terminal.read_until("people may read it")
        status = terminal.wait()

    assert status == 0
    assert "Gemini key 1 (free): works, " in terminal.text
    assert key not in terminal.text


def test_without_a_client_id_the_terms_are_not_asked(env: dict[str, str]) -> None:
    with Terminal("addaccount", "--kind", "google", env={**env, "OAUTH_CLIENT_ID": ""}) as terminal:
        status = terminal.wait()

    assert status == 1
    assert "OAUTH_CLIENT_ID is not set" in terminal.text
    assert "Do you accept it" not in terminal.text


@pytest.mark.django_db
@pytest.mark.parametrize("command", ["listaccounts", "verifyaccounts", "refreshquota"])
def test_without_an_account_commands_name_addaccount(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command(command)

    assert "There is no account yet. Add one: " in capsys.readouterr().err


@pytest.mark.django_db
def test_a_link_that_would_not_work_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match=r"works on loopback only.* 192\.168\.1\.5: set WEBUI_PASSWORD"):
        call_command("setuplink", "192.168.1.5:9000")

    call_command("setuplink", "[::1]:9000")
    assert capsys.readouterr().out.startswith("http://[::1]:9000/admin/set-up/")


def test_only_the_result_goes_to_standard_output(env: dict[str, str], emulator: EmulatorServer) -> None:
    added = manage("addaccount", "--accept-terms", "--json", env=env)

    assert orjson.loads(added.stdout)["rows"][0]["tier"] == "pro"


def test_a_closed_output_pipe_is_no_error(env: dict[str, str], emulator: EmulatorServer) -> None:
    manage("importaccounts", "-", "--accept-terms", env=env, stdin=accounts_file(emulator))

    piped = subprocess.run(
        f"{shlex.quote(sys.executable)} manage.py listaccounts --json | head -c 1",
        shell=True, cwd=PROJECT, env=env, capture_output=True, check=False,
    )  # fmt: skip

    assert (piped.stdout, piped.stderr) == (b"{", b"")


# One by one, in this process


@pytest.mark.django_db(transaction=True)
def test_an_account_is_switched_off_on_and_removed(ada: Account, say: Callable[..., Any]) -> None:
    names = {"name": "ada@example.com", "email": "ada@example.com"}
    assert say("disableaccount", "ADA@example.com") == [{**names, "enabled": False}]
    assert say("enableaccount", "ada@example.com") == [{**names, "usable": True}]
    with pytest.raises(CommandError, match="Nothing was removed"):
        call_command("removeaccount", "ada@example.com")
    assert say("removeaccount", "ada@example.com", "--yes") == [{**names, "removed": True}]

    assert not Account.objects.exists()
    said = [entry.change_message.partition(" (")[0] for entry in LogEntry.objects.order_by("pk")]
    assert said == ["Disabled", "Enabled", "Removed"]


@pytest.mark.django_db
def test_the_list_fits_a_terminal_and_different_addresses_stay_different(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for end in ("one", "two"):
        Account.objects.create(
            email=f"somebody.with.a.long.name.{end}@a-long-domain.example.com",
            sealed_credential="-",
            state=Account.State.NEEDS_VERIFICATION,
            last_used_at=timezone.now(),
        )
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda *default: os.terminal_size((80, 24)))

    call_command("listaccounts")

    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("    ")]
    assert max(map(len, lines)) <= 80
    assert lines[0].split()[:2] == ["ACCOUNT", "STATE"]
    assert len({line.split()[0] for line in lines}) == 3
    assert all("Google asks to verify it" in line and line.endswith("UTC") for line in lines[1:])


@pytest.mark.django_db(transaction=True)
def test_the_exit_status_of_verifying_is_its_result(
    ada: Account, google: EmulatorServer, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("verifyaccounts")
    assert "1 work, 0 do not" in capsys.readouterr().out
    google.state.revoke("ada@example.com")

    with pytest.raises(CommandError, match=r"What to do about each: .*manage\.py listaccounts$"):
        call_command("verifyaccounts")

    assert "0 work, 1 do not" in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
def test_a_disabled_account_is_tested_only_when_named(ada: Account, google: EmulatorServer) -> None:
    Account.objects.update(state=Account.State.DISABLED_BY_PROVIDER)

    call_command("verifyaccounts")
    assert google.state.log.received == 0

    call_command("verifyaccounts", "ada@example.com")
    assert Account.objects.get().state == Account.State.OK


@pytest.mark.django_db(transaction=True)
def test_refreshing_the_quota_shows_both_header_modes(ada: Account, say: Callable[..., Any]) -> None:
    quotas = say("refreshquota")[0]["quotas"]

    assert {quota["header_mode"] for quota in quotas} == {"antigravity", "cli"}


@pytest.mark.django_db(transaction=True)
def test_a_refresh_takes_an_account_to_be_verified_out_of_use(
    ada: Account, google: EmulatorServer, capsys: pytest.CaptureFixture[str]
) -> None:
    google.state.require_verification("ada@example.com")

    with pytest.raises(CommandError, match=r"^The quota of some accounts .*manage\.py listaccounts$"):
        call_command("refreshquota")

    assert "ada@example.com: Google asks to verify the account" in capsys.readouterr().err
    ada.refresh_from_db()
    assert ada.state == Account.State.NEEDS_VERIFICATION
    assert ada.state_link.startswith("https://accounts.google.com/")


@pytest.mark.django_db(transaction=True)
def test_a_refresh_without_an_answer_leaves_the_state(
    ada: Account, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.OAUTH_TOKEN_URL = "http://127.0.0.1:9/token"

    with pytest.raises(CommandError, match=r"^The quota of some accounts could not be read; what is shown"):
        call_command("refreshquota")

    assert "ada@example.com: Google's token endpoint cannot be reached" in capsys.readouterr().err
    ada.refresh_from_db()
    assert ada.state == Account.State.OK


@pytest.mark.django_db(transaction=True)
def test_the_list_shows_the_windows_that_are_told(
    ada: Account, google: EmulatorServer, capsys: pytest.CaptureFixture[str]
) -> None:
    google.state.set_quota("ada@example.com", "claude", remaining=40, limit=100)
    call_command("refreshquota")
    capsys.readouterr()

    Account.objects.create(kind="gemini", given_name="Gemini key 1", terms_accepted_at=timezone.now())
    call_command("listaccounts")

    said = capsys.readouterr()
    assert "    Claude, GPT: 40% of 5 hours; 94% of the week\n" in said.out
    for family in ("Claude", "Gemini"):
        assert f"How long {family} lasts is not known yet: its use was seen too briefly." in said.err
    assert said.err.endswith("Accounts with a key, not counted here: 1.\n")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("command", [["listaccounts"], ["stats", "limits"]])
def test_nothing_is_said_of_how_long_keys_last(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Account.objects.create(kind="gemini", given_name="Gemini key 1", terms_accepted_at=timezone.now())

    call_command(*command)

    said = capsys.readouterr()
    assert said.err == ""


@pytest.mark.django_db(transaction=True)
def test_the_list_says_what_to_do(ada: Account, capsys: pytest.CaptureFixture[str]) -> None:
    ada.enter_state(Account.State.INVALID, "Google says the sign-in has expired.")
    ada.save()

    call_command("listaccounts")

    listed = capsys.readouterr().out
    assert "Sign-in expired" in listed
    assert "manage.py addaccount --email ada@example.com" in listed


@pytest.mark.django_db(transaction=True)
def test_an_unknown_name_is_an_error(ada: Account) -> None:
    with pytest.raises(CommandError, match="There is no account nobody@"):
        call_command("verifyaccounts", "nobody@example.com")


@pytest.mark.django_db(transaction=True)
def test_an_export_asks_first_is_private_and_overwrites_nothing(
    ada: Account, tmp_path: Path, say: Callable[..., Any]
) -> None:
    file = tmp_path / "accounts.json"
    with pytest.raises(CommandError, match="In a script, say --yes"):
        call_command("exportaccounts", str(file))

    assert say("exportaccounts", str(file), "--yes")[0]["encrypted"] is False

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(CommandError, match="is there already"):
        call_command("exportaccounts", str(file), "--yes")


@pytest.mark.django_db(transaction=True)
def test_an_encrypted_export_comes_back_with_its_passphrase(
    ada: Account, tmp_path: Path, say: Callable[..., Any]
) -> None:
    file, passphrase = tmp_path / "accounts.json", tmp_path / "passphrase"
    passphrase.write_text("correct horse\n")
    call_command("exportaccounts", str(file), "--yes", "--passphrase-file", str(passphrase))
    assert "emulator-refresh" not in file.read_text()
    Account.objects.all().delete()

    imported = say("importaccounts", str(file), "--passphrase-file", str(passphrase), "--accept-terms")

    assert [one["result"] for one in imported] == ["added"]
    assert Account.objects.get().credential["refresh_token"] == "emulator-refresh-ada"


@pytest.mark.parametrize("check", [verify, refresh_quota])
@pytest.mark.django_db(transaction=True)
def test_an_account_that_is_removed_meanwhile_does_not_end_the_check_of_the_others(
    check: Check, ada: Account
) -> None:
    gone = Account(pk=4711, email="gone@example.com")

    results = asyncio.run(check_all([gone, ada], check))

    assert [one.problem for one in results] == ["it has been removed meanwhile", ""]


@pytest.mark.django_db(transaction=True)
def test_a_full_disk_leaves_no_partial_export(
    ada: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fdopen(descriptor: int, mode: str) -> Any:
        os.close(descriptor)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(CommandError, match="No space left on device"):
        patched.setattr("os.fdopen", fdopen)
        call_command("exportaccounts", str(tmp_path / "accounts.json"), "--yes")

    assert not (tmp_path / "accounts.json").exists()


@pytest.mark.django_db(transaction=True)
def test_without_a_terminal_a_missing_passphrase_is_an_error(
    ada: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end_of_input(question: str) -> str:
        raise EOFError

    monkeypatch.setattr("getpass.getpass", end_of_input)

    with pytest.raises(CommandError, match="say --passphrase-file PATH"):
        call_command("exportaccounts", str(tmp_path / "accounts.json"), "--yes", "--encrypt")
    (tmp_path / "encrypted").write_bytes(export([ada], "correct horse"))
    with pytest.raises(CommandError, match="say --passphrase-file PATH"):
        call_command("importaccounts", str(tmp_path / "encrypted"))


@pytest.mark.django_db(transaction=True)
def test_an_import_is_previewed_without_asking_google(
    ada: Account, google: EmulatorServer, tmp_path: Path, say: Callable[..., Any]
) -> None:
    file = tmp_path / "accounts.json"
    rows = [{"email": "new@example.com", "refresh_token": "x"}, 7, {"refresh_token": "1//nameless"}]
    file.write_bytes(orjson.dumps([*rows, {"email": ada.email, "refresh_token": "y"}]))

    expected = say("importaccounts", str(file), "--dry-run")

    assert [one["result"] for one in expected] == [
        "would be added", "would fail", "would be added", "would be updated"
    ]  # fmt: skip
    assert expected[2]["reason"] == "Google is asked for its e-mail"
    assert Account.objects.count() == 1
    assert google.state.log.received == 0


@pytest.mark.django_db
def test_a_lookup_of_thousands_of_addresses_is_refused(google: EmulatorServer, tmp_path: Path) -> None:
    file = tmp_path / "tokens.txt"
    file.write_text("\n".join(f"1//made-up-token-{number}" for number in range(1001)))

    with pytest.raises(CommandError, match="1,001 rows have no e-mail"):
        call_command("importaccounts", str(file), "--accept-terms")

    assert google.state.log.received == 0


@pytest.fixture
def folder(tmp_path: Path, emulator: EmulatorServer) -> Path:
    """What a folder of CLIProxyAPI may hold, and what else lies in such folders."""
    for account in emulator.state.accounts:
        account.refresh_token = f"1//emulator-{account.short_name}"
    folder = tmp_path / "auths"
    files: dict[str, Any] = {
        "antigravity-ada.json": {"type": "antigravity", "email": "ada@example.com", "disabled": True,
                                 "refresh_token": "1//emulator-ada"},
        "antigravity-linus.json": {"type": "antigravity", "refresh_token": "1//emulator-linus"},
        "claude-ada.json": {"type": "claude", "email": "ada@example.com", "refresh_token": "sk-ant-ort01"},
        "config.json": {"port": 8317},
        ".hidden.json": {"type": "antigravity", "refresh_token": "1//hidden"},
        "deeper/antigravity-grace.json": {"type": "antigravity", "refresh_token": "1//emulator-grace"},
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(orjson.dumps(content))
    os.mkfifo(folder / "pipe.json")
    return folder


def test_a_folder_is_imported_with_a_line_for_each_file(
    folder: Path, env: dict[str, str], emulator: EmulatorServer
) -> None:
    imported = manage("importaccounts", str(folder), "--accept-terms", env=env)

    assert imported.returncode == 1
    told = imported.stderr.decode()
    assert "[1/5] antigravity-ada.json: 1 account\n" in told
    assert "[4/5] config.json cannot be imported: it holds neither" in told
    assert "[5/5] pipe.json is not an ordinary file\n" in told
    assert "[1/1] linus@example.com\n" in told
    assert imported.stdout.decode().splitlines() == [
        "added            ada@example.com (antigravity-ada.json): "
        "Switched off in the imported file (disabled)",
        "added            linus@example.com",
        "failed           ada@example.com (claude-ada.json): an account of Claude: such accounts cannot be "
        "added yet",
        "failed           config.json: cannot be imported: it holds neither a list of accounts nor "
        '{"accounts": [...]} nor an account',
        "failed           pipe.json: is not an ordinary file",
        "2 added, 0 updated, 3 failed",
    ]
    sent = [entry for entry in emulator.state.log.entries() if b"sk-ant" in (entry.body or b"")]
    assert not sent
    listed = manage("listaccounts", env=env).stdout.decode()
    assert "    Switched off in the imported file (disabled)\n" in listed


def test_a_folder_shows_its_progress_in_one_line_of_a_terminal(folder: Path, env: dict[str, str]) -> None:
    with Terminal("importaccounts", str(folder), "--recursive", "--preview", env=env) as terminal:
        status = terminal.wait()

    assert status == 0
    assert "\r[1/6] antigravity-ada.json: 1 account" in terminal.text
    assert "\n[4/6]" not in terminal.text
    assert "[5/6] deeper" not in terminal.text
    assert "3 would be added, 0 would be updated, 3 would fail" in terminal.text


# What a terminal would obey

ESCAPE = "\x1b]0;title\x07\u202e"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "arguments",
    [
        ["listaccounts", ESCAPE],
        ["disableaccount", ESCAPE],
        ["removeaccount", ESCAPE],
        ["verifyaccounts", ESCAPE],
        ["importaccounts", ESCAPE, "--accept-terms"],
        ["exportaccounts", f"/nowhere/{ESCAPE}", "--yes"],
        ["addaccount", "--email", ESCAPE],
        ["logs", "--since", ESCAPE],
        ["stats", "--since", ESCAPE],
        ["stats", ESCAPE],
        ["stats", "model", f"a\nb{ESCAPE}"],
        ["prunelogs", "--days", ESCAPE],
        ["logs", f"--{ESCAPE}"],
        ["setuplink", ESCAPE],
        ["runserver", ESCAPE],
        ["runserver", "8672", ESCAPE],
    ],
    ids=shlex.join,
)
def test_control_characters_of_an_argument_are_escaped(
    arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    command = load_command_class(get_commands()[arguments[0]], arguments[0])
    with pytest.raises(SystemExit):
        command.run_from_argv(["manage.py", *arguments])

    printed = "".join(capfd.readouterr())
    assert printed
    assert not UNSAFE.search(printed.replace("\n", "").replace("\x1b[31;1m", "").replace("\x1b[0m", ""))


@pytest.mark.parametrize("arguments", [[ESCAPE], ["help", ESCAPE], ["migrate", ESCAPE], [ESCAPE, ESCAPE]])
def test_djangos_errors_are_escaped_too(arguments: list[str], env: dict[str, str]) -> None:
    done = manage(*arguments, env=env)

    assert done.returncode > 0
    assert b"\\x1b]0;title" in done.stderr
    assert not UNSAFE.search(done.stderr.decode().replace("\n", ""))
