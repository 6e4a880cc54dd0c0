"""`/connect/claude-settings` as an operator on this machine, and as everybody else, meets it."""

from __future__ import annotations

import json
import logging
import platform
import re
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin.models import LogEntry

from dashboard.views import claude_settings

if TYPE_CHECKING:
    from pathlib import Path

    from django.test import Client
    from django.test.client import _MonkeyPatchedWSGIResponse as Response
    from pytest_django.fixtures import Settings

PAGE = "/connect/claude-settings"
HERE: dict[str, Any] = {"HTTP_HOST": "127.0.0.1:8672", "REMOTE_PORT": 50_000}
HOSTILE = '{"<script>alert(1)</script>": 1, "env": {"FOO": "</pre><script>"}}'


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "claude"))
    monkeypatch.setattr(claude_settings, "container_engine", lambda: "")
    return tmp_path / "claude" / "settings.json"


def seal_of(page: Response) -> str:
    found = re.search(r'name="seal" value="(\w+)"', page.content.decode())
    assert found is not None
    return found[1]


def carry_out(operator: Client, **asked: str) -> Response:
    """Look at the change, then do it."""
    seal = seal_of(operator.get(PAGE, asked, **HERE))
    return operator.post(PAGE, {**asked, "seal": seal}, follow=True, **HERE)


def test_it_shows_and_then_writes_the_file(operator: Client, path: Path) -> None:
    page = operator.get(PAGE, **HERE).content.decode()
    assert not path.exists()
    assert "&quot;ANTHROPIC_BASE_URL&quot;: &quot;http://127.0.0.1:8672&quot;" in page
    assert str(path) in page

    done = carry_out(operator)
    assert json.loads(path.read_text()) == {
        "env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:8672", "ANTHROPIC_AUTH_TOKEN": "anything"}
    }
    assert b"Wrote this gateway into" in done.content
    assert b"nothing to change" in operator.get(PAGE, **HERE).content


def test_it_is_offered_on_this_machine_only(operator: Client) -> None:
    page = operator.get("/connect", **HERE).content.decode()
    assert PAGE in page
    assert f"<b>{platform.node()}</b>, where this gateway runs" in page
    assert PAGE not in operator.get("/connect").content.decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"REMOTE_ADDR": "192.0.2.1"},
        {"REMOTE_ADDR": "proxy-at-127.0.0.1", "REMOTE_PORT": 0},
        {"REMOTE_PORT": 0},
        {"HTTP_HOST": "testserver"},
        {"REMOTE_ADDR": ""},
    ],
    ids=["another machine", "unknown proxy", "trusted proxy", "another name", "no address"],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_from_elsewhere_it_is_refused(
    operator: Client, path: Path, method: str, changes: dict[str, Any]
) -> None:
    response = getattr(operator, method)(PAGE, **{**HERE, **changes})
    assert response.status_code == 403
    assert b"only from the machine" in response.content
    assert b"without a proxy" in response.content
    assert str(path).encode() not in response.content


def test_in_a_container_it_says_so(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (PAGE, "/connect"):
        monkeypatch.setattr(claude_settings, "container_engine", lambda: "")
        page = operator.get(path, **HERE).content.decode()
        assert f"file on <b>{platform.node()}</b>, where this gateway runs" in page
        assert "in the container" not in page
        monkeypatch.setattr(claude_settings, "container_engine", lambda: "docker")
        page = operator.get(path, **HERE).content.decode()
        assert f"file in the container that runs this gateway (<b>{platform.node()}</b>)" in page


def test_the_key_is_in_the_file_and_nowhere_else(
    operator: Client, path: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings.AUTH_TOKEN = "a-secret-key"
    pages = [operator.get(PAGE, **HERE), carry_out(operator)]
    pages.append(operator.get(PAGE, {"act": "remove"}, **HERE))

    assert json.loads(path.read_text())["env"]["ANTHROPIC_AUTH_TOKEN"] == "a-secret-key"
    assert path.stat().st_mode & 0o077 == 0
    assert not any(b"a-secret-key" in page.content for page in pages)
    assert "a-secret-key" not in caplog.text
    assert "a-secret-key" not in " ".join(LogEntry.objects.values_list("change_message", flat=True))


def test_each_act_has_an_audit_entry(operator: Client, path: Path) -> None:
    carry_out(operator)
    carry_out(operator, act="remove")
    entries = LogEntry.objects.order_by("pk").values_list("change_message", flat=True)
    assert list(entries) == [f"Wrote this gateway into {path}", f"Took this gateway out of {path}"]


def test_an_older_copy_can_be_restored(operator: Client, path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"model":  "opus"}')
    carry_out(operator)
    page = operator.get(PAGE, **HERE).content.decode()
    copy = re.search(r"copy=([\w.-]+)", page)
    assert copy is not None
    carry_out(operator, act="restore", copy=copy[1])

    assert path.read_text() == '{"model":  "opus"}'


def test_what_was_not_shown_is_not_written(operator: Client, path: Path) -> None:
    seal = seal_of(operator.get(PAGE, **HERE))
    path.parent.mkdir()
    path.write_text('{"theirs": 1}')
    for sent in ({"seal": seal}, {"seal": ""}, {}):
        refused = operator.post(PAGE, sent, **HERE)
        assert refused.status_code == 409
        assert b"has changed" in refused.content
    assert path.read_text() == '{"theirs": 1}'


@pytest.mark.parametrize("text", ["// mine\n{}", "[]", "x" * 300_000, "\xff"])
def test_what_is_no_settings_is_refused_and_left_alone(operator: Client, path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text, encoding="latin1")
    response = operator.get(PAGE, **HERE)

    assert response.status_code == 409
    assert b'role="alert"' in response.content
    assert b'name="seal"' not in response.content
    assert path.read_text(encoding="latin1") == text


def test_hostile_names_and_values_stay_text(operator: Client, path: Path) -> None:
    path.parent.mkdir()
    path.write_text(HOSTILE)
    assert b"<script>alert" not in operator.get(PAGE, **HERE).content
    assert b"</pre><script>" not in operator.get(PAGE, {"act": "<b>", "copy": "<i>"}, **HERE).content
