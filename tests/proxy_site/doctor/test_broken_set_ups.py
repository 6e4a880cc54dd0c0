"""Doctor names the cause of each broken set-up, and the remedy."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from accounts.adding.keys import GivenKey, add
from accounts.models import Account, DatabaseVersion
from proxy_site.doctor.findings import State
from tests.hostile_server import answering, http
from tests.live_gateway import clean_environment, free_port, manage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.proxy_site.doctor.conftest import SetUp

    Break = Callable[[SetUp, ExitStack], object]

pytestmark = pytest.mark.slow


def wrong_secret(set_up: SetUp, stack: ExitStack) -> None:
    set_up.settings.OAUTH_CLIENT_SECRET = "another-one"


def revoked_account(set_up: SetUp, stack: ExitStack) -> None:
    set_up.google.state.revoke("ada@example.com")


def unverified_account(set_up: SetUp, stack: ExitStack) -> None:
    page = "https://accounts.google.com/signin/continue?Email=ada@example.com"
    set_up.google.state.require_verification("ada@example.com", page)


def missing_scope(set_up: SetUp, stack: ExitStack) -> None:
    set_up.google.state.account("ada@example.com").scopes = "openid"


def full_disk(set_up: SetUp, stack: ExitStack) -> None:
    def no_room(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    set_up.environment.setattr(os, "fsync", no_room)


def wrong_clock(set_up: SetUp, stack: ExitStack) -> None:
    """Every server says another time than this machine."""
    answer = http(b"{}", "date: Sun, 01 Mar 2026 12:00:00 GMT", status="404 Not Found")
    url = stack.enter_context(answering([answer]))
    set_up.settings.CLOUDCODE_ENDPOINTS = [url]
    set_up.settings.OAUTH_TOKEN_URL = set_up.settings.OAUTH_USERINFO_URL = f"{url}/token"


def taken_port(set_up: SetUp, stack: ExitStack) -> None:
    stack.enter_context(socket.create_server(("127.0.0.1", set_up.port)))


def missing_migration(set_up: SetUp, stack: ExitStack) -> None:
    stack.enter_context(unapplied("gateway"))


@contextmanager
def unapplied(app: str) -> Iterator[None]:
    """The app's newest migration counts as not applied."""
    name = max(name for one, name in MigrationLoader(connection).disk_migrations if one == app)
    MigrationRecorder(connection).record_unapplied(app, name)
    try:
        yield
    finally:
        MigrationRecorder(connection).record_applied(app, name)


def newer_database(set_up: SetUp, stack: ExitStack) -> None:
    row = {"migrated_by": "9.1.0", "oldest_code": "9.0.0"}
    DatabaseVersion.objects.update_or_create(pk=1, defaults=row)
    stack.callback(DatabaseVersion.objects.all().delete)


def unreachable_endpoint(set_up: SetUp, stack: ExitStack) -> None:
    set_up.settings.CLOUDCODE_ENDPOINTS = [f"http://127.0.0.1:{free_port()}"]


def wrong_header_mode(set_up: SetUp, stack: ExitStack) -> None:
    set_up.google.state.fault("permission_denied", method="retrieveUserQuota", times=None)


def stale_key(set_up: SetUp, stack: ExitStack) -> None:
    set_up.settings.AUTH_TOKEN = "the-new-one"
    set_up.environment.setenv("ANTHROPIC_BASE_URL", set_up.url)
    set_up.environment.setenv("ANTHROPIC_AUTH_TOKEN", "the-old-one")


def bad_proxy(set_up: SetUp, stack: ExitStack) -> None:
    set_up.settings.HTTPS_PROXY = f"http://operator:pass-word@127.0.0.1:{free_port()}"


def another_key(set_up: SetUp, stack: ExitStack) -> None:
    file = set_up.home / "credentials_keys"
    file.write_bytes(Fernet.generate_key())
    set_up.settings.CREDENTIALS_KEYS_FILE = file


BROKEN: dict[Break, tuple[str, str, str]] = {
    wrong_secret: ("OAuth client", "invalid_client", "Set OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET"),
    revoked_account: ("Account 1", "a…@example.com: Google says the sign-in has expired", "addaccount"),
    unverified_account: ("Account 1", "Google asks to verify the account", "Open Google's page"),
    missing_scope: ("Account 1", "lacks the scope cloud-platform", "tick every box"),
    full_disk: ("Disk", "No space left on device", "Free space there"),
    wrong_clock: ("Clock", " days fast: cooldowns end", "timedatectl set-ntp true"),
    taken_port: ("Port", f"is taken by process {os.getpid()}", "PORT in .env"),
    missing_migration: ("Database", "are not applied: gateway.0", "Start the server anew"),
    newer_database: ("Database", "9.1.0 has migrated it, and it needs 9.0.0", "manage.py downgrade"),
    unreachable_endpoint: ("Endpoint", "(models) cannot be reached", "correct CLOUDCODE_ENDPOINTS"),
    wrong_header_mode: ("Header mode", "GEMINI_HEADER_MODE is cli", "Set GEMINI_HEADER_MODE=antigravity"),
    stale_key: ("Claude Code", "is not the key of this gateway", "showkey"),
    bad_proxy: ("Proxy", "The proxy 127.0.0.1:", "Correct HTTPS_PROXY"),
    another_key: ("Keys", "1 of 1 stored credentials do not open", "Put that key back"),
}


def test_nothing_is_wrong_with_the_set_up_that_is_then_broken(set_up: SetUp) -> None:
    assert set_up.problems() == []


@pytest.mark.parametrize("broken", BROKEN, ids=lambda one: one.__name__)
def test_doctor_names_cause_and_remedy(broken: Break, set_up: SetUp) -> None:
    name, sentence, next_step = BROKEN[broken]

    with ExitStack() as stack:
        broken(set_up, stack)
        found = set_up.problems()

    assert [one.name for one in found] == [name]
    assert found[0].state is State.PROBLEM
    assert sentence in found[0].sentence
    assert next_step in found[0].next_step
    for secret in ("ada@example.com", "another-one", "the-new-one", "the-old-one", "pass-word", "emulator-"):
        assert secret not in str(found)


UNREADABLE = {
    "a missing certificate file": (
        {"SSL_CERT_FILE": "/nowhere/ca.pem"},
        "",
        "SSL_CERT_FILE: '/nowhere/ca.pem' is not allowed",
        "It comes from the environment",
    ),
    "an unreadable line of .env": ({}, "PORT=1\nAUTH_TOKEN my-secret\n", ".env, line 2", "Correct it in "),
    "a header mode that is none": (
        {},
        "GEMINI_HEADER_MODE=gemini\n",
        "'gemini' is not allowed",
        ".env: change or remove its line there.",
    ),
    "a database that is down": (
        {"DATABASE_URL": f"postgres://gateway:my-secret@127.0.0.1:{free_port()}/gateway"},
        "",
        "PostgreSQL, gateway cannot be used",
        "whether PostgreSQL runs",
    ),
}


@pytest.mark.parametrize("broken", UNREADABLE)
def test_it_reports_what_every_other_command_dies_of(broken: str, tmp_path: Path) -> None:
    settings, env_file, sentence, next_step = UNREADABLE[broken]
    (tmp_path / ".env").write_text(env_file)

    done = manage("doctor", "--offline", str(free_port()), env=clean_environment(tmp_path, **settings))

    said = done.stdout.decode()
    lines = said.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("PROBLEM"))
    assert (done.returncode, done.stderr) == (1, b"")
    assert sentence in lines[at]
    assert next_step in lines[at + 1]
    assert lines[-1].startswith("1 problem")
    assert "my-secret" not in said


def test_a_gateway_with_keys_alone_needs_no_oauth_client(set_up: SetUp) -> None:
    set_up.settings.OAUTH_CLIENT_ID = ""
    set_up.settings.CLOUDCODE_ENDPOINTS = [f"http://127.0.0.1:{free_port()}"]
    Account.objects.all().delete()
    add(GivenKey("gemini", "AIza-emulator-ada", tier="paid"))

    found = set_up.examine()

    said = [one.sentence for one in found]
    assert [one.sentence for one in found if one.state is State.PROBLEM] == []
    assert any("Gemini key 1: its key works, tier paid" in sentence for sentence in said)
    assert any("(the Gemini API) answers" in sentence for sentence in said)


def test_a_refused_key_is_a_problem_with_its_remedy(set_up: SetUp) -> None:
    add(GivenKey("anthropic", "sk-ant-api03-wrong"), unchecked=True)

    (found,) = [one for one in set_up.problems() if "Anthropic key 1" in one.sentence]

    assert "Anthropic refuses the key" in found.sentence
    assert "Enter a new key" in found.next_step
