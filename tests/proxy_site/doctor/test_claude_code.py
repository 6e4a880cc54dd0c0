"""Where Claude Code's settings lead, without any gateway that runs."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.network import AccountsClient
from proxy_site.doctor.claude_code import (
    Unreadable,
    check_claude_code,
    parse_settings,
    pointing,
    variables_in,
)
from proxy_site.doctor.findings import Finding, State
from tests.live_gateway import free_port

if TYPE_CHECKING:
    from pytest_django import Settings

PORT = free_port()
HERE = f"http://127.0.0.1:{PORT}"
LEADS_HERE = {"ANTHROPIC_BASE_URL": HERE, "ANTHROPIC_AUTH_TOKEN": "right"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Claude Code's, and an environment in which it is not set up."""
    for name in (*LEADS_HERE, "ANTHROPIC_API_KEY", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path))
    return tmp_path


def write(folder: Path, settings: Any) -> None:
    (folder / "settings.json").write_text(json.dumps(settings))


async def check(**options: Any) -> Finding:
    client = AccountsClient()
    try:
        return await check_claude_code(client, "127.0.0.1", PORT, **options)
    finally:
        await client.close()


def test_a_settings_file_wins_over_the_environment(folder: Path) -> None:
    write(folder, {"env": {"ANTHROPIC_BASE_URL": "http://from-file"}})

    found = pointing({"ANTHROPIC_BASE_URL": "http://from-shell", "ANTHROPIC_API_KEY": "key"})

    assert found.values["ANTHROPIC_BASE_URL"] == "http://from-file"
    assert found.sources["ANTHROPIC_BASE_URL"] == str(folder / "settings.json")
    assert found.headers == {"x-api-key": "key"}


@pytest.mark.parametrize("text", ["", " ", "{}", '{"env": null}', '{"env": []}', '{"env": {"ONE": 1}}'])
def test_a_file_without_variables_leads_nowhere(text: str, folder: Path) -> None:
    (folder / "settings.json").write_text(text)

    assert "ANTHROPIC_BASE_URL" not in pointing({}).values


@pytest.mark.parametrize(
    "raw", [b"{", b"[]", b"null", b'{"env": {}} trailing', b"\xff\xfe{", b"[" * 100_000, b"\0" * 2_000_000]
)
def test_a_file_that_is_no_object_is_named(raw: bytes, folder: Path) -> None:
    (folder / "settings.json").write_bytes(raw)

    with pytest.raises(Unreadable, match=r"settings\.json"):
        pointing({})


async def test_a_broken_file_is_a_problem_with_its_line(folder: Path) -> None:
    (folder / "settings.json").write_text('{\n  "env": {,}\n}')

    found = await check()

    assert found.state is State.PROBLEM
    assert "(line 2)" in found.sentence


async def test_a_machine_without_claude_code_is_no_problem(folder: Path) -> None:
    found = await check()

    assert found.state is State.SKIPPED
    assert f"ANTHROPIC_BASE_URL={HERE}" in found.next_step


@pytest.mark.parametrize(
    ("variables", "state", "words"),
    [
        ({**LEADS_HERE}, State.SKIPPED, "this gateway, which does not answer now"),
        ({**LEADS_HERE, "ANTHROPIC_BASE_URL": f"http://localhost:{PORT}/"}, State.SKIPPED, "this gateway"),
        ({**LEADS_HERE, "ANTHROPIC_BASE_URL": f"{HERE}/v1"}, State.PROBLEM, "ends in /v1"),
        ({**LEADS_HERE, "ANTHROPIC_BASE_URL": "localhost:8672"}, State.PROBLEM, "is no address"),
        ({**LEADS_HERE, "ANTHROPIC_BASE_URL": "http://[::1"}, State.PROBLEM, "is no address"),
        ({**LEADS_HERE, "ANTHROPIC_BASE_URL": "http://x:99999"}, State.PROBLEM, "is no address"),
        ({"ANTHROPIC_BASE_URL": HERE}, State.PROBLEM, "It has no key"),
        ({**LEADS_HERE, "ANTHROPIC_AUTH_TOKEN": "wrong"}, State.PROBLEM, "is not the key of this gateway"),
        (
            {**LEADS_HERE, "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{free_port()}"},
            State.WARNING,
            "no gateway of this kind answers",
        ),
        ({**LEADS_HERE, "HTTP_PROXY": "http://proxy:3128"}, State.WARNING, "through the proxy in HTTP_PROXY"),
        (
            {**LEADS_HERE, "HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "127.0.0.1"},
            State.SKIPPED,
            "this gateway",
        ),
    ],
)
async def test_what_the_settings_lead_to(
    variables: dict[str, str], state: State, words: str, folder: Path, settings: Settings
) -> None:
    settings.AUTH_TOKEN = "right"
    write(folder, {"env": variables})

    found = await check()

    assert found.state is state
    assert words in found.sentence
    assert "wrong" not in str(found)


async def test_offline_asks_no_other_machine(folder: Path) -> None:
    write(folder, {"env": {**LEADS_HERE, "ANTHROPIC_BASE_URL": "https://user:word@gateway.example.com"}})

    found = await check(offline=True)

    assert found.state is State.SKIPPED
    assert "https://gateway.example.com is not on this machine" in found.sentence


async def test_a_generated_key_counts_where_other_machines_can_reach_it(
    folder: Path, settings: Settings
) -> None:
    settings.HOST, settings.DATA_DIR = "0.0.0.0", folder
    (folder / "auth_token").write_text("generated\n")
    write(folder, {"env": LEADS_HERE})

    found = await check()

    assert found.state is State.PROBLEM
    assert "manage.py showkey" in found.next_step


async def test_a_machine_without_a_home_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    monkeypatch.setattr("pathlib.Path.expanduser", no_home)

    assert "PATH" in pointing({"PATH": "/bin"}).values


def no_home(path: Path) -> Path:
    raise RuntimeError("Could not determine home directory.")


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
OBJECTS = st.dictionaries(st.text(max_size=5), SCALARS | st.lists(SCALARS, max_size=2), max_size=3)
FILES = SCALARS | OBJECTS | st.fixed_dictionaries({"env": SCALARS | OBJECTS})


@given(raw=st.binary(max_size=50) | FILES.map(lambda value: json.dumps(value).encode()))
@hypothesis_settings(max_examples=300)
def test_any_file_is_read_or_named(raw: bytes) -> None:
    with suppress(Unreadable):
        found = variables_in(parse_settings(raw, Path("settings.json")))
        assert all(isinstance(value, str) for value in found.values())
