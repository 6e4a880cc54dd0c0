from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from dashboard import connecting
from dashboard.connecting import FORMS
from gateway.models import ModelChoice, RequestLog

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import DjangoAssertNumQueries
    from pytest_django.fixtures import Settings

HOSTILE = {"ANTHROPIC_BASE_URL": "http://[::1]:8672/$(id)'\"\\`x`", "ANTHROPIC_AUTH_TOKEN": "a b"}
OFFERED = ["gemini-3-pro-high", "gemini-3-flash", "claude-sonnet-4-6"]


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_a_shell_reads_the_lines_as_they_are(shell: str) -> None:
    lines = FORMS["bash"].text_of(HOSTILE)
    show = '\nprintf "%s\\n" "$ANTHROPIC_BASE_URL" "$ANTHROPIC_AUTH_TOKEN"'
    ran = subprocess.run(
        [shutil.which(shell) or shell, "-c", lines + show], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == list(HOSTILE.values())


def test_fish_and_powershell_quote_their_own_way() -> None:
    value = {"A": "it's \\ $x"}
    assert FORMS["fish"].text_of(value) == "set -gx A 'it\\'s \\\\ $x'"
    assert FORMS["powershell"].text_of(value) == "$env:A = 'it''s \\ $x'"


def test_json_forms_can_be_read_back() -> None:
    assert json.loads(FORMS["settings"].text_of(HOSTILE)) == {"env": HOSTILE}
    pairs = json.loads(FORMS["vscode"].text_of(HOSTILE))["claudeCode.environmentVariables"]
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
    assert page.count("anything") == 2, "in the lines, and in what is said of it"
    assert "<code>anything</code> can stay" in page


def test_little_is_to_be_read_before_the_lines(operator: Client) -> None:
    page = operator.get("/connect").content.decode()
    before = re.sub(r"<[^>]*>", " ", page.partition("<h1")[2].partition('<pre id="lines"')[0])
    assert before.endswith("1. Paste, then start claude  \n  ")
    assert len(before.split()) < 20
    steps = [page.index(f"<h2>{number}. ") for number in (1, 2, 3)]
    assert steps == sorted(steps)


def test_a_key_is_never_shown(operator: Client, settings: Settings) -> None:
    settings.AUTH_TOKEN = "a-secret-key"
    page = operator.get("/connect").content.decode()
    assert "a-secret-key" not in page
    assert "for <code>your-key</code>" in page
    assert "ANTHROPIC_AUTH_TOKEN=your-key" in page
    assert "can stay" not in page


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
    assert b"Last request at" in part
    assert b"from &lt;i&gt;loopback&lt;/i&gt;" in part
    assert b"hx-trigger" not in part


def test_a_test_message_needs_a_gateway(operator: Client) -> None:
    assert operator.post("/connect/try", {"message": "Hello"}).status_code == 503
    assert operator.get("/connect/try").status_code == 405


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Without a gateway in this process no models would be offered."""
    names = [*OFFERED]
    monkeypatch.setattr("dashboard.views.connect.offered_models", lambda: names)
    return names


def keep_choice(operator: Client, name: str, **models: str) -> str:
    """The page afterwards."""
    return operator.post("/connect/choices", {"name": name, **models}, follow=True).content.decode()


OWN = {"opus": "gemini-3-pro-high", "haiku": "gemini-3-flash"}


def test_models_are_kept_under_a_name(operator: Client, offered: list[str]) -> None:
    page = keep_choice(operator, " Night shift ", **OWN, sonnet="made-up", place="unknown")

    assert ModelChoice.objects.values_list("name", "opus", "sonnet", "haiku").get() == (
        "Night shift", "gemini-3-pro-high", "", "gemini-3-flash",
    )  # fmt: skip
    assert "Kept the models as Night shift" in page
    assert "export ANTHROPIC_DEFAULT_OPUS_MODEL=gemini-3-pro-high" in page
    assert LogEntry.objects.get().change_message == "Kept the models as Night shift"


def test_a_kept_choice_is_one_link(operator: Client, offered: list[str]) -> None:
    keep_choice(operator, "Night shift", **OWN)
    link = "?for=fish&amp;models=own&amp;opus=gemini-3-pro-high&amp;haiku=gemini-3-flash"
    assert link in operator.get("/connect", {"for": "fish"}).content.decode()


def test_the_same_name_replaces_and_forget_removes(operator: Client, offered: list[str]) -> None:
    keep_choice(operator, "mine", **OWN)
    keep_choice(operator, "mine", opus="claude-sonnet-4-6")
    choice = ModelChoice.objects.get()
    assert (choice.opus, choice.haiku) == ("claude-sonnet-4-6", "")

    forget = {"forget": str(choice.pk)}
    assert b"Forgot the models kept as mine" in operator.post("/connect/choices", forget, follow=True).content
    assert not ModelChoice.objects.exists()
    assert b"no such choice any more" in operator.post("/connect/choices", forget, follow=True).content


@pytest.mark.parametrize(
    ("name", "models", "why"),
    [
        ("", OWN, "cannot be blank"),
        ("x" * 51, OWN, "at most 50 characters"),
        ("a\0b\u202e", OWN, "cannot be seen"),
        ("mine", {"opus": "made-up"}, "Choose a model first"),
        ("mine", {}, "Choose a model first"),
    ],
)
def test_a_bad_choice_is_refused_with_a_sentence(
    operator: Client, offered: list[str], name: str, models: dict[str, str], why: str
) -> None:
    assert why in keep_choice(operator, name, **models)
    assert not ModelChoice.objects.exists()
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("number", ["", "x", "-1", "9" * 30, "\0", "²"])
def test_what_is_no_choice_cannot_be_forgotten(operator: Client, number: str) -> None:
    answer = operator.post("/connect/choices", {"forget": number}, follow=True)
    assert b"no such choice any more" in answer.content


def test_a_bounded_number_of_choices_is_kept(operator: Client, offered: list[str]) -> None:
    ModelChoice.objects.bulk_create(ModelChoice(name=f"{number}", opus="x") for number in range(20))
    assert "At most 20 are kept" in keep_choice(operator, "one more", **OWN)
    assert "Kept the models as 7" in keep_choice(operator, "7", **OWN)


def test_a_choice_names_what_is_not_offered_now(operator: Client, offered: list[str]) -> None:
    keep_choice(operator, "<b>mine</b>", **OWN)
    offered.remove("gemini-3-flash")
    page = operator.get("/connect").content.decode()
    assert "Not offered now: gemini-3-flash." in page
    assert "<b>mine" not in page


@pytest.mark.parametrize("choices", [0, 20])
def test_the_page_takes_few_queries(
    operator: Client, choices: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    ModelChoice.objects.bulk_create(ModelChoice(name=f"{number}", opus="x") for number in range(choices))
    with django_assert_num_queries(4):
        operator.get("/connect")
