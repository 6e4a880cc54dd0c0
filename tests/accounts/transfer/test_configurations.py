"""Keys in the configuration files of other tools, in the shapes that public repositories have.

CLIProxyAPI's and its forks' test set-ups; LiteLLM's documentation and set-ups of several projects; guides to
claude-code-router; Bifrost's quickstart and a Helm chart. Shortened, with keys of our own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import Account
from accounts.transfer.documents import ImportFileUnusable
from accounts.transfer.exporting import export
from accounts.transfer.formats.environment import read_variables
from accounts.transfer.importing import preview, store
from accounts.transfer.readers import CONFIGURATIONS, parse_rows
from accounts.transfer.sealed_preview import seal_rows, unseal_rows
from gateway.models import ModelRoute
from tests.accounts.values.any_json import ANYTHING, TEXTS
from tests.live_gateway import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from accounts.transfer.rows import ImportedRow


CLIPROXYAPI = """
host: "127.0.0.1"
port: 8317
auth-dir: "~/.cli-proxy-api"
api-keys:
  - "sk-dummy"            # what clients send
gemini-api-key:
  - api-key: "AIza-one"
    weight: 2
    excluded-models: ["gemini-2.5-*"]
  - api-key: "AIza-two"
    base-url: "http://127.0.0.1:22001"
claude-api-key:
  - api-key: "sk-ant-api03-one"
    prefix: "work"
  - api-key: "relay-key"
    base-url: "https://relay.example.com"
    disabled: true
    models:
      - name: "claude-sonnet-4-6"
        alias: "sonnet"
openai-compatibility:
  - name: "mock-openai"
    base-url: "http://127.0.0.1:21999/v1"
vertex-api-key:
  - api-key: "vertex-key"
"""
LITELLM = """
model_list:
  - model_name: cheap-model
    litellm_params:
      model: gemini/gemini-2.5-flash
      api_key: AIza-one
  - model_name: flagship
    litellm_params: {model: gemini/gemini-3-pro-preview, api_key: AIza-one}
  - model_name: "anthropic/*"
    litellm_params: {model: "anthropic/*", api_key: os.environ/ANTHROPIC_API_KEY}
  - model_name: relay
    litellm_params:
      model: anthropic/claude-sonnet-4-6
      api_base: https://relay.example.com
      api_key: relay-key
  - model_name: gpt
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
  - model_name: vertex
    litellm_params: {model: vertex_ai/claude-opus-4-6, vertex_project: p}
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
"""
CLAUDE_CODE_ROUTER = {
    "LOG": False,
    "API_TIMEOUT_MS": 600000,
    "Providers": [
        {
            "name": "gemini",
            "api_base_url": "https://generativelanguage.googleapis.com/v1beta/models/",
            "api_key": "$GEMINI_API_KEY",
            "models": ["gemini-2.5-flash", "gemini-2.5-pro"],
            "transformer": {"use": ["gemini"]},
        },
        {
            "name": "gemini as openai",
            "api_base_url": "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
            "api_key": "AIza-one",
            "transformer": {"use": ["openapi"]},
        },
        {"name": "anthropic", "api_base_url": "https://api.anthropic.com", "api_key": "sk-ant-api03-one"},
        {
            "name": "deepseek",
            "api_base_url": "https://api.deepseek.com/anthropic/v1/messages",
            "api_key": "sk-deep",
            "models": ["deepseek-chat"],
            "transformer": {"use": ["Anthropic"]},
        },
        {"name": "groq", "api_base_url": "https://api.groq.com/openai/v1/chat/completions", "api_key": "x"},
    ],
    "Router": {"default": "gemini,gemini-2.5-flash"},
}
BIFROST = {
    "$schema": "https://www.getbifrost.ai/schema",
    "providers": {
        "anthropic": {
            "keys": [{"name": "default", "value": "env.ANTHROPIC_API_KEY", "models": [], "weight": 1.0}],
            "network_config": {"default_request_timeout_in_seconds": 300},
        },
        "gemini": {"keys": [{"name": "primary", "value": "AIza-one", "models": ["*"], "weight": 1.0}]},
        "openai": {"keys": [{"value": "env.OPENAI_API_KEY", "models": ["gpt-4o-mini"], "weight": 1.0}]},
        "vertex": {"keys": [{"vertex_key_config": {"project_id": "p", "region": "global"}}]},
    },
}
ENV_FILE = """
# keys
export GEMINI_API_KEY="AIza-one"
ANTHROPIC_AUTH_TOKEN=relay-key  # of the relay
ANTHROPIC_BASE_URL=https://relay.example.com
DATABASE_URL=postgres://u:p@h/d
"""
RELAY = "https://relay.example.com"


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "AIza-from-environment")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-api03-from-environment")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")


def rows_of(content: Any) -> list[ImportedRow]:
    return parse_rows(content.encode() if isinstance(content, str) else orjson.dumps(content))


def keys_in(content: Any) -> list[tuple[str, str, str]]:
    return [(row.kind, row.key, row.base_url) for row in rows_of(content) if not row.problem]


def problems_in(content: Any) -> dict[str, str]:
    return {row.place: row.problem for row in rows_of(content) if row.problem}


def test_cliproxyapis_configuration_is_read() -> None:
    assert keys_in(CLIPROXYAPI) == [
        ("gemini", "AIza-one", ""),
        ("anthropic", "sk-ant-api03-one", ""),
        ("compatible", "relay-key", RELAY),
    ]
    relay = rows_of(CLIPROXYAPI)[3]
    assert relay.models == ("claude-sonnet-4-6",)
    assert relay.off_reason == "Switched off in the imported file (disabled)"
    problems = problems_in(CLIPROXYAPI)
    assert "GEMINI_API_URL" in problems["gemini-api-key 2"]
    assert "OpenAI's format" in problems["openai-compatibility"]
    assert "cannot be added yet" in problems["vertex-api-key"]


def test_litellms_models_become_one_account_a_key() -> None:
    assert keys_in(LITELLM) == [
        ("gemini", "AIza-one", ""),
        ("anthropic", "sk-ant-api03-from-environment", ""),
        ("compatible", "relay-key", RELAY),
    ]
    assert rows_of(LITELLM)[2].models == ("claude-sonnet-4-6",)
    assert list(problems_in(LITELLM)) == ["model 5", "model 6"]


def test_names_of_models_are_read() -> None:
    named = {
        row.place: dict(row.model_names) for content in (LITELLM, CLIPROXYAPI) for row in rows_of(content)
    }

    assert {place: names for place, names in named.items() if names} == {
        "model 1": {"cheap-model": "gemini-2.5-flash", "flagship": "gemini-3-pro-preview"},
        "model 4": {"relay": "claude-sonnet-4-6"},
        "claude-api-key 2": {"sonnet": "claude-sonnet-4-6"},
    }


def test_of_several_models_with_one_name_the_first_that_can_be_used_counts() -> None:
    models = [
        "groq/llama",
        "gemini/gemini-3-flash-preview",
        "gemini/gemini-2.5-pro",
        "anthropic/claude-opus-4-6",
    ]
    content = {"model_list": [{"model_name": "smart", "litellm_params": {"model": one}} for one in models]}

    names = [dict(row.model_names) for row in rows_of(content)]

    assert names == [{}, {"smart": "gemini-3-flash-preview"}, {}]


def test_claude_code_routers_configuration_is_read() -> None:
    assert keys_in(CLAUDE_CODE_ROUTER) == [
        ("gemini", "AIza-from-environment", ""),
        ("anthropic", "sk-ant-api03-one", ""),
        ("compatible", "sk-deep", "https://api.deepseek.com/anthropic/v1/messages"),
    ]
    assert list(problems_in(CLAUDE_CODE_ROUTER)) == ["gemini as openai", "groq"]


def test_bifrosts_configuration_is_read() -> None:
    assert keys_in(BIFROST) == [
        ("anthropic", "sk-ant-api03-from-environment", ""),
        ("gemini", "AIza-one", ""),
    ]
    assert list(problems_in(BIFROST)) == ["openai", "vertex"]


def test_variables_are_read_from_files_and_settings() -> None:
    expected = [("gemini", "AIza-one", ""), ("compatible", "relay-key", RELAY)]
    assert keys_in(ENV_FILE) == expected
    of_claude_code = {"env": {"GEMINI_API_KEY": "AIza-one", "ANTHROPIC_AUTH_TOKEN": "relay-key",
                              "ANTHROPIC_BASE_URL": RELAY}}  # fmt: skip
    assert keys_in(of_claude_code) == expected


def test_the_variable_of_the_sdk_wins() -> None:
    ((place, row),) = read_variables({"GOOGLE_API_KEY": "AIza-one", "GEMINI_API_KEY": "AIza-two"})

    assert (place, row.key) == ("GOOGLE_API_KEY", "AIza-one")


@pytest.mark.parametrize(
    "name", ["SECRET_KEY", "AUTH_TOKEN", "DATABASE_URL", "CREDENTIALS_KEYS", "AWS_SECRET_ACCESS_KEY", "PATH"]
)
def test_a_file_cannot_have_other_secrets_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "the secret")
    for reference in (f"os.environ/{name}", f"env.{name}", f"${name}", f"${{{name}}}"):
        content = {
            "Providers": [{"name": "x", "api_base_url": "https://api.anthropic.com", "api_key": reference}]
        }

        assert "which is not read" in problems_in(content)["x"]


def test_a_key_of_the_environment_goes_to_no_other_address() -> None:
    content = {
        "model_list": [{"litellm_params": {"model": "anthropic/x", "api_base": "https://evil.example"}}]
    }

    assert "ANTHROPIC_API_KEY, which is not read" in problems_in(content)["model 1"]


def test_a_variable_that_is_not_set_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")

    assert "which is not set here" in problems_in(BIFROST)["anthropic 1"]


SECTIONS = ("gemini-api-key", "claude-api-key", "model_list", "Providers", "providers", "env")
BOMB = "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(30)) + "model_list: [*b1]\n"


@pytest.mark.parametrize(
    "text", [BOMB, "model_list: [" * 5000, "model_list: [\n", "just words", "a: !!python/none x\nb: 1"]
)
def test_hostile_or_other_yaml_is_refused_quickly(text: str) -> None:
    with pytest.raises(ImportFileUnusable):
        parse_rows(text.encode())


@settings(max_examples=300)
@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("gemini-api-key", "claude-api-key", "model_list", "Providers", "providers", "env"), ANYTHING
        ),
    )
)
def test_any_configuration_gives_rows_or_is_refused(content: dict[str, Any]) -> None:
    for read in CONFIGURATIONS:
        for place, row in read(content) or []:
            assert isinstance(place, str)
            assert bool(row.problem) or row.kind in {"gemini", "anthropic", "compatible"}
            assert "�" not in row.problem


@settings(max_examples=300)
@given(TEXTS)
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        parse_rows(text.encode("utf-8", "surrogatepass"))
    except ImportFileUnusable:
        return


# Storing


@pytest.mark.django_db(transaction=True)
def test_keys_are_previewed_stored_and_known_again() -> None:
    port = free_port()
    rows = rows_of(CLIPROXYAPI.replace("https://relay.example.com", f"http://127.0.0.1:{port}"))
    rows = unseal_rows(seal_rows(rows, "session"), "session")

    expected = [outcome.result for outcome in preview(rows)]
    assert not Account.objects.exists()
    outcomes = store(rows, terms_accepted=False)
    again = store(rows, terms_accepted=False)

    assert (
        expected == ["would be added", "would fail", "would be added", "would be added"] + ["would fail"] * 2
    )
    assert [one.name for one in outcomes if one.result == "added"] == [
        "Gemini key 1", "work", "Compatible server 1",
    ]  # fmt: skip
    assert [one.result for one in again] == ["updated", "failed", "updated", "updated", "failed", "failed"]
    assert [(one.name, one.is_usable) for one in Account.objects.all()] == [
        ("Gemini key 1", True), ("Anthropic key 1", True), ("Compatible server 1", False),
    ]  # fmt: skip
    assert Account.objects.get(kind="compatible").base_url == f"http://127.0.0.1:{port}"


@pytest.mark.django_db(transaction=True)
def test_names_of_models_become_routes() -> None:
    ModelRoute.objects.create(client_name="flagship", upstream_model="gemini-3.1-pro-preview")
    rows = rows_of(LITELLM.replace(RELAY, f"http://127.0.0.1:{free_port()}"))

    expected = [outcome.reason for outcome in preview(rows)]
    assert ModelRoute.objects.count() == 1
    outcomes = store(rows, terms_accepted=False)
    again = store(rows, terms_accepted=False)

    assert expected[0] == "For clients cheap-model means gemini-2.5-flash"
    assert [one.reason for one in outcomes] == expected
    assert again[0].reason == "It is here already, and stays as it is"
    assert dict(ModelRoute.objects.values_list("client_name", "upstream_model")) == {
        "flagship": "gemini-3.1-pro-preview",
        "cheap-model": "gemini-2.5-flash",
        "relay": "claude-sonnet-4-6",
    }


@pytest.mark.django_db(transaction=True)
def test_what_was_exported_comes_back() -> None:
    port = free_port()
    store(rows_of({"accounts": [
        {"kind": "compatible", "api_key": "k", "base_url": f"http://127.0.0.1:{port}", "auth": "both",
         "models": "a\nb", "quota_group": "lab", "label": "At work", "tier": "paid",
         "switches": {"thinking": False}},
        {"kind": "gemini", "api_key": "AIza-one", "tier": "free"},
    ]}), terms_accepted=False)  # fmt: skip
    before = [
        (one.kind, one.credential, one.base_url, one.quota_group, one.label, one.tier, one.given_switches)
        for one in Account.objects.all()
    ]
    content = export(Account.objects.all())
    Account.objects.all().delete()

    outcomes = store(parse_rows(content), terms_accepted=False)

    assert [one.result for one in outcomes] == ["added", "added"]
    after = [
        (one.kind, one.credential, one.base_url, one.quota_group, one.label, one.tier, one.given_switches)
        for one in Account.objects.all()
    ]
    assert after == before


@pytest.mark.django_db(transaction=True)
def test_the_command_asks_for_no_notice_for_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".env").write_text("GEMINI_API_KEY=AIza-one\n")

    call_command("importaccounts", str(tmp_path / ".env"))
    call_command("importaccounts", "--environment")

    said = capsys.readouterr()
    assert "breach of its terms" not in said.err
    assert "Gemini key 2" in said.out
    assert "AIza" not in said.out + said.err
    assert {one.credential["api_key"] for one in Account.objects.all()} == {
        "AIza-one", "AIza-from-environment", "sk-ant-api03-from-environment",
    }  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_the_command_wants_something_to_read() -> None:
    with pytest.raises(CommandError, match="Name a file, or say --environment"):
        call_command("importaccounts")
