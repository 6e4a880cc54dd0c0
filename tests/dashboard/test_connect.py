from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from dashboard import connecting
from dashboard.connecting import FORMS
from gateway.models import RequestLog

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django.fixtures import Settings

HOSTILE = {"ANTHROPIC_BASE_URL": "http://[::1]:8672/$(id)'\"\\`x`", "ANTHROPIC_AUTH_TOKEN": "a b"}
OFFERED = ["gemini-3-pro-high", "gemini-3-flash", "claude-sonnet-4-6"]


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_a_shell_reads_the_lines_as_they_are(shell: str) -> None:
    lines = FORMS["bash"][2](HOSTILE)
    show = '\nprintf "%s\\n" "$ANTHROPIC_BASE_URL" "$ANTHROPIC_AUTH_TOKEN"'
    ran = subprocess.run(
        [shutil.which(shell) or shell, "-c", lines + show], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == list(HOSTILE.values())


def test_fish_and_powershell_quote_their_own_way() -> None:
    value = {"A": "it's \\ $x"}
    assert FORMS["fish"][2](value) == "set -gx A 'it\\'s \\\\ $x'"
    assert FORMS["powershell"][2](value) == "$env:A = 'it''s \\ $x'"


def test_json_forms_can_be_read_back() -> None:
    assert json.loads(FORMS["settings"][2](HOSTILE)) == {"env": HOSTILE}
    pairs = json.loads(FORMS["vscode"][2](HOSTILE))["claudeCode.environmentVariables"]
    assert {pair["name"]: pair["value"] for pair in pairs} == HOSTILE


def test_gemini_answers_for_each_kind() -> None:
    assert connecting.gemini_models(OFFERED) == {
        "opus": "gemini-3-pro-high", "sonnet": "gemini-3-pro-high", "haiku": "gemini-3-flash",
    }  # fmt: skip
    assert connecting.gemini_models([]) == {}


def test_only_offered_models_are_named() -> None:
    assert connecting.chosen_models({"opus": "<b>", "haiku": "gemini-3-flash"}, OFFERED) == {
        "haiku": "gemini-3-flash"
    }


@pytest.mark.parametrize("form", FORMS)
def test_the_page_shows_the_lines_of_each_form(operator: Client, form: str) -> None:
    page = operator.get("/connect", {"for": form}).content.decode()
    assert "http://testserver" in page
    assert "anything" in page


def test_a_key_is_never_shown(operator: Client, settings: Settings) -> None:
    settings.AUTH_TOKEN = "a-secret-key"
    page = operator.get("/connect").content.decode()
    assert "a-secret-key" not in page
    assert "ANTHROPIC_AUTH_TOKEN=your-key" in page


def keep(client: str) -> None:
    number = RequestLog.objects.count() + 1
    RequestLog.objects.create(
        id=number, instance_id=1, request_id=f"r{number}", started_at=timezone.now(), client=client
    )


def test_the_tick_waits_for_a_request_of_a_client(operator: Client) -> None:
    keep("operator")
    assert b"waiting for its first request" in operator.get("/connect/arrived").content
    keep("<i>loopback</i>")
    part = operator.get("/connect/arrived").content
    assert b"for &lt;i&gt;loopback&lt;/i&gt;" in part
    assert b"hx-trigger" not in part


def test_a_test_message_needs_a_gateway(operator: Client) -> None:
    assert operator.post("/connect/try", {"message": "Hello"}).status_code == 503
    assert operator.get("/connect/try").status_code == 405
