"""Keys by `addaccount`: from files, questions and the environment; what is refused, and said."""

from __future__ import annotations

import io
import socket
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.adding import keys
from accounts.adding.keys import GivenKey, NotAdded, next_name
from accounts.adding.loops import PROBE_HEADER, answer_to_probe
from accounts.kinds.keyed import fingerprint
from accounts.models import Account
from proxy_site.emulator.gemini_api import errors as gemini_errors
from tests.live_gateway import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_django import Settings

    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.django_db(transaction=True)

GEMINI_KEY, ANTHROPIC_KEY = "AIza-emulator-ada", "sk-ant-api03-emulator-ada"
COMPATIBLE_KEY = "emulator-compatible-ada"


@pytest.fixture(autouse=True)
def providers(google_settings: Settings, emulator: EmulatorServer) -> EmulatorServer:
    return emulator


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run addaccount with the key on standard input; returns what it says."""

    def run(kind: str, *options: str, key: str = "") -> str:
        stdin = SimpleNamespace(buffer=io.BytesIO(key.encode()), isatty=lambda: False)
        monkeypatch.setattr(sys, "stdin", stdin)
        call_command("addaccount", "--kind", kind, *(["--key-file", "-"] if key else []), *options)
        said = capsys.readouterr()
        return said.out + said.err

    return run


def test_a_gemini_key_is_added_at_once_usable(add: Callable[..., str]) -> None:
    said = add("gemini", "--unpaid", key=f" {GEMINI_KEY}\n")

    account = Account.objects.get()
    assert (account.kind, account.name, account.tier) == ("gemini", "Gemini key 1", "free")
    assert account.credential == {"api_key": GEMINI_KEY}
    assert account.fingerprint == fingerprint(GEMINI_KEY)
    assert account.is_usable
    assert "people may read it" in said
    assert "Gemini key 1 (free): works, " in said
    assert GEMINI_KEY not in said + account.sealed_credential
    assert "Added" in LogEntry.objects.get().change_message


def test_keys_come_from_the_environment(add: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", ANTHROPIC_KEY)

    said = add("anthropic", "--quota-group", "lab", "--label", "At work")

    account = Account.objects.get()
    assert (str(account), account.name) == ("At work", "Anthropic key 1")
    assert (account.tier, account.quota_group, account.is_paid) == ("paid", "lab", True)
    assert "taken from ANTHROPIC_API_KEY" in said


def test_keys_come_from_a_file(add: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"\ufeff{ANTHROPIC_KEY}\r\n", encoding="utf-8")

    add("anthropic", "--key-file", str(tmp_path / "key"))

    assert Account.objects.get().credential["api_key"] == ANTHROPIC_KEY


def test_a_compatible_server_has_address_style_and_models(
    add: Callable[..., str], providers: EmulatorServer
) -> None:
    url = providers.compatible_url("gateway")

    add(
        "compatible", "--url", f"{url}/v1/messages", "--auth", "x-api-key", "--model", "m", key=COMPATIBLE_KEY
    )

    account = Account.objects.get()
    assert account.base_url == url
    assert account.credential == {"api_key": COMPATIBLE_KEY, "auth": "x-api-key", "models": "m"}
    assert not account.is_paid


def test_a_local_server_needs_no_key(add: Callable[..., str], providers: EmulatorServer) -> None:
    add("compatible", "--url", providers.compatible_url("ollama"))

    assert Account.objects.get().credential["api_key"] == ""


def test_names_count_up_by_kind(add: Callable[..., str]) -> None:
    for key in ("AIza-emulator-ada", "AIza-emulator-grace", "AIza-emulator-grace-2"):
        add("gemini", "--paid", key=key)
    Account.objects.filter(given_name="Gemini key 2").delete()
    add("anthropic", key=ANTHROPIC_KEY)

    assert next_name("gemini") == "Gemini key 4"
    assert next_name("anthropic") == "Anthropic key 2"


def test_the_second_unpaid_key_stands_by(add: Callable[..., str]) -> None:
    first = add("gemini", "--unpaid", key=GEMINI_KEY)
    second = add("gemini", "--unpaid", key="AIza-emulator-grace")
    paid = add("gemini", "--paid", key="AIza-emulator-grace-2")

    assert "stand by" not in first + paid
    assert "Gemini key 1 is of the unpaid tier as well" in second
    assert "stand by until you switch it off" in second


@pytest.mark.parametrize("spelling", [GEMINI_KEY, f'"{GEMINI_KEY}"', f"{GEMINI_KEY}\n"])
def test_the_same_key_is_not_added_twice(spelling: str, add: Callable[..., str]) -> None:
    add("gemini", "--paid", key=GEMINI_KEY)

    with pytest.raises(CommandError, match="This key is here already: Gemini key 1"):
        add("gemini", "--paid", key=spelling)


def test_nothing_is_said_about_the_tier_of_a_key_of_another_kind(
    add: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match="kind for it is anthropic"):
        add("gemini", "--unpaid", key="sk-ant-api03-secret")

    assert "Without billing" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("kind", "key", "words"),
    [
        ("anthropic", "sk-ant-oat01-secret", "subscription"),
        ("gemini", "sk-ant-oat01-secret", "subscription"),
        ("gemini", "sk-ant-api03-secret", "kind for it is anthropic"),
        ("anthropic", "AIzaSecret", "kind for it is gemini"),
        ("gemini", "AIzaWrongSecret", "refuses the key"),
        ("anthropic", "sk-ant-api03-secret", "refuses the key"),
    ],
)
def test_a_wrong_key_is_not_stored(kind: str, key: str, words: str, add: Callable[..., str]) -> None:
    with pytest.raises(CommandError, match=words) as refused:
        add(kind, key=key)

    assert "ecret" not in str(refused.value)
    assert not Account.objects.exists()


def test_a_key_that_google_shows_is_not_shown(
    add: Callable[..., str], providers: EmulatorServer, caplog: pytest.LogCaptureFixture
) -> None:
    providers.state.keys.refuse("gemini-ada", gemini_errors.consumer_suspended("77", GEMINI_KEY))

    with pytest.raises(CommandError, match="suspended") as refused:
        add("gemini", key=GEMINI_KEY)

    assert GEMINI_KEY not in str(refused.value) + caplog.text


def test_an_unchecked_key_asks_nobody(add: Callable[..., str], providers: EmulatorServer) -> None:
    said = add("anthropic", "--unchecked", key="sk-ant-api03-new")

    assert "not checked" in said
    assert providers.state.log.entries() == []
    assert Account.objects.get().is_usable


def test_a_script_without_a_key_is_told_how(add: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)

    with pytest.raises(CommandError, match="Set GEMINI_API_KEY, or say --key-file"):
        add("gemini")
    with pytest.raises(CommandError, match="--url is missing"):
        add("compatible")
    with pytest.raises(CommandError, match="cannot be read"):
        add("gemini", "--key-file", "/nowhere")


def test_a_refused_key_is_replaced_under_the_same_name(add: Callable[..., str]) -> None:
    add("anthropic", "--label", "At work", key=ANTHROPIC_KEY)
    Account.objects.update(state=Account.State.INVALID, priority=7)

    add("anthropic", "--replace", "anthropic key 1", key="sk-ant-api03-emulator-grace")

    account = Account.objects.get()
    assert account.credential == {"api_key": "sk-ant-api03-emulator-grace"}
    assert (account.state, account.priority, account.label) == (Account.State.OK, 7, "At work")
    with pytest.raises(CommandError, match="is no Gemini API key"):
        add("gemini", "--replace", "Anthropic key 1", key=GEMINI_KEY)


# Addresses


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://169.254.169.254", "must never get a key"),
        ("http://2852039166/latest", "must never get a key"),
        ("http://metadata.google.internal", "metadata service"),
        ("http://1.1.1.1", "private networks only"),
        ("https://user:password@example.com", "no user"),
        ("localhost:11434", "must begin with"),
    ],
)
@pytest.mark.parametrize("unchecked", [False, True])
def test_some_addresses_never_get_a_key(url: str, words: str, unchecked: bool) -> None:
    with pytest.raises(NotAdded, match=words):
        keys.add(GivenKey("compatible", "secret", base_url=url), unchecked=unchecked)

    assert not Account.objects.exists()


def test_our_own_port_is_refused(settings: Settings) -> None:
    settings.PORT = free_port()
    own = socket.gethostbyname(socket.gethostname())

    for host in ("127.0.0.1", "localhost", "[::1]", own):
        with pytest.raises(NotAdded, match="this gateway itself"):
            keys.add(GivenKey("compatible", "secret", base_url=f"http://{host}:{settings.PORT}"))


class Mirror(BaseHTTPRequestHandler):
    """This gateway behind a proxy on another port."""

    def do_HEAD(self) -> None:  # a name of the library
        self.send_response(200)
        self.send_header(PROBE_HEADER, answer_to_probe(self.headers[PROBE_HEADER]))
        self.end_headers()
        self.server.seen = dict(self.headers)  # type: ignore[attr-defined]

    def log_message(self, *args: object) -> None:
        pass


def test_our_gateway_behind_a_proxy_is_refused() -> None:
    with HTTPServer(("127.0.0.1", 0), Mirror) as server:
        Thread(target=server.handle_request, daemon=True).start()

        with pytest.raises(NotAdded, match="leads to this gateway itself"):
            keys.add(GivenKey("compatible", "secret", base_url=f"http://127.0.0.1:{server.server_port}"))

    assert "secret" not in str(server.seen)  # type: ignore[attr-defined]


@hypothesis_settings(max_examples=300)
@given(st.text(max_size=120))
def test_any_probe_is_answered_or_ignored(number: str) -> None:
    assert len(answer_to_probe(number)) == (64 if len(number) <= 100 else 0)


def test_plain_http_in_a_private_network_is_remarked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def somewhere_near(url: str) -> set[str]:
        return {"10.1.2.3"}

    monkeypatch.setattr(keys, "addresses_of", somewhere_near)

    url = f"http://localhost:{free_port()}"
    added = keys.add(GivenKey("compatible", "", base_url=url), unchecked=True)

    assert added.remarks == [keys.PLAIN_HTTP]


def test_two_processes_do_not_take_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    keys.add(GivenKey("gemini", "AIzaOne"), unchecked=True)
    names = iter(["Gemini key 1", "Gemini key 1", "Gemini key 2"])
    monkeypatch.setattr(keys, "next_name", lambda kind: next(names))

    added = keys.add(GivenKey("gemini", "AIzaTwo"), unchecked=True)

    assert added.account.name == "Gemini key 2"
