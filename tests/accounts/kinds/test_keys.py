"""Keys of the three kinds that have one: how they are read, checked without cost, and refused in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.credentials.access_tokens import AccessTokens
from accounts.failures import AccountCheckFailed
from accounts.kinds.base import Inspection, OutOfUse
from accounts.kinds.keyed import FOREIGN, KeyUnusable, fingerprint
from accounts.kinds.registry import KEYED, KINDS
from accounts.models import Account
from accounts.network import AccountsClient
from proxy_site.emulator.delivery.behaviour import refuse
from proxy_site.emulator.gemini_api import errors as gemini_errors
from proxy_site.emulator.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pytest_django import Settings

    from proxy_site.emulator.compatible.modes import ModeName
    from proxy_site.emulator.server import EmulatorServer

GEMINI, ANTHROPIC, COMPATIBLE = (KEYED[name] for name in ("gemini", "anthropic", "compatible"))
GEMINI_KEY, ANTHROPIC_KEY = "AIza-emulator-ada", "sk-ant-api03-emulator-ada"
COMPATIBLE_KEY = "emulator-compatible-ada"


@pytest.fixture
async def client() -> AsyncIterator[AccountsClient]:
    client = AccountsClient()
    yield client
    await client.close()


@pytest.fixture
def providers(google_settings: Settings, emulator: EmulatorServer) -> EmulatorServer:
    return emulator


async def inspected(
    client: AccountsClient, kind: str, secret: str, base_url: str = "", **more: str
) -> Inspection:
    access = KEYED[kind].access_with({"api_key": secret, **more}, base_url)
    return await KEYED[kind].inspect(client, access, with_tier=True)


# Reading


@pytest.mark.parametrize("pasted", [" AIzaX1 ", "AIzaX1\r\n", "\ufeffAIza\u200bX1", '"AIzaX1"', "AIza\n X1"])
def test_a_key_is_read_without_what_a_clipboard_adds(pasted: str) -> None:
    assert GEMINI.read_key(pasted) == "AIzaX1"


@pytest.mark.parametrize(
    "pasted",
    [
        "GEMINI_API_KEY=AIzaX1",
        'export GEMINI_API_KEY="AIzaX1"',
        "Bearer AIzaX1",
        "x-goog-api-key: AIzaX1",
        '"x-goog-api-key: AIzaX1"',
        "\u201cAIzaX1\u201d",
        "AIzaX1;",
        "'AIzaX1',",
    ],
)
def test_a_key_is_read_out_of_a_line_of_a_file_or_a_header(pasted: str) -> None:
    assert GEMINI.read_key(pasted) == "AIzaX1"


@pytest.mark.parametrize(
    ("pasted", "words"),
    [
        ("${GEMINI_API_KEY}", "name of a variable"),
        ("GEMINI_API_KEY=$GEMINI_API_KEY", "name of a variable"),
        ("os.environ/GEMINI_API_KEY", "name of a variable"),
        ("https://aistudio.google.com/apikey", "an address"),
        ("<your key>", "no key"),
        ('{"api_key": "AIzaX1"}', "no key"),
        ("sk-ant-admin01-abc", "Admin API"),
    ],
)
def test_what_stands_where_a_key_should_be_is_named(pasted: str, words: str) -> None:
    with pytest.raises(KeyUnusable, match=words):
        ANTHROPIC.read_key(pasted)


@pytest.mark.parametrize("prefix", FOREIGN)
def test_each_foreign_credential_is_refused_unquoted(prefix: str) -> None:
    refusing = [kind for kind in KEYED.values() if prefix not in kind.own_prefixes]

    assert refusing
    for kind in refusing:
        with pytest.raises(KeyUnusable) as refused:
            kind.read_key(f"{prefix}SECRET0815")
        assert "SECRET0815" not in str(refused.value)


@pytest.mark.parametrize("kind", KEYED)
@pytest.mark.parametrize("token", ["sk-ant-oat01-abc", "sk-ant-ort01-abc", " sk-ant-oat01-abc\n"])
def test_no_kind_takes_a_subscription(kind: str, token: str) -> None:
    with pytest.raises(KeyUnusable, match="subscription"):
        KEYED[kind].read_key(token)


@pytest.mark.parametrize("text", ["", "  ", "\u200b", "kéy", "a" * 1001, "a\x00b"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(KeyUnusable):
        GEMINI.read_key(text)


def test_a_server_may_want_no_key() -> None:
    assert COMPATIBLE.read_key(" ") == ""


@hypothesis_settings(max_examples=300)
@given(st.text())
def test_any_text_is_a_key_or_refused(text: str) -> None:
    for kind in KEYED.values():
        try:
            key = kind.read_key(text)
        except KeyUnusable:
            continue
        assert key.isascii()
        assert not any(character.isspace() for character in key)


def test_fingerprints_tell_keys_and_places_apart() -> None:
    marks = {fingerprint("a"), fingerprint("b"), fingerprint("a", "https://x"), fingerprint("", "https://x")}

    assert len(marks) == 4
    assert fingerprint("a") == fingerprint("a")


# Checking


async def test_a_gemini_key_lists_models_that_chat(providers: EmulatorServer, client: AccountsClient) -> None:
    found = await inspected(client, "gemini", GEMINI_KEY)

    flash = found.offers["gemini-2.5-flash"]
    assert (flash.display_name, flash.max_input_tokens, flash.max_output_tokens) == (
        "Gemini 2.5 Flash", 1_048_576, 65_536,
    )  # fmt: skip
    assert flash.remaining_fraction is None
    assert not {"gemini-embedding-001", "imagen-4.0-generate-001"} & found.offers.keys()
    assert found.tier == "unknown"


async def test_an_anthropic_key_lists_models_that_live(
    providers: EmulatorServer, client: AccountsClient
) -> None:
    found = await inspected(client, "anthropic", ANTHROPIC_KEY)

    opus = found.offers["claude-opus-5-5"]
    assert (opus.display_name, opus.max_input_tokens, opus.max_output_tokens) == (
        "Claude Opus 5.5", 1_000_000, 128_000,
    )  # fmt: skip
    retired = {one["id"] for one in _listed(providers) if one["lifecycle"] == "retired"}
    assert retired
    assert not retired & found.offers.keys()
    assert found.tier == "paid"


def _listed(providers: EmulatorServer) -> list[dict[str, str]]:
    from proxy_site.emulator.anthropic_api.catalogue import _ALL

    return [model.listed() for model in _ALL]


@pytest.mark.parametrize("mode", ["ollama", "vllm", "llamacpp", "openrouter", "gateway"])
async def test_each_compatible_server_lists_its_models(
    mode: ModeName, providers: EmulatorServer, client: AccountsClient
) -> None:
    found = await inspected(client, "compatible", COMPATIBLE_KEY, providers.compatible_url(mode))

    assert list(found.offers) == [model.id for model in providers.state.modes[mode].models]


async def test_an_inspection_costs_nothing(providers: EmulatorServer, client: AccountsClient) -> None:
    await inspected(client, "gemini", GEMINI_KEY)
    await inspected(client, "anthropic", ANTHROPIC_KEY)
    await inspected(client, "compatible", COMPATIBLE_KEY, providers.compatible_url("vllm"))

    methods = {entry.method for entry in providers.state.log.entries()}
    assert not any("essages" in method or "enerate" in method for method in methods), methods


@pytest.mark.parametrize(("kind", "wrong"), [("gemini", "AIza-wrong"), ("anthropic", "sk-ant-api03-wrong")])
async def test_a_wrong_key_is_out_of_use(
    kind: str, wrong: str, providers: EmulatorServer, client: AccountsClient
) -> None:
    with pytest.raises(OutOfUse, match="refuses the key") as refused:
        await inspected(client, kind, wrong)

    assert refused.value.state == Account.State.INVALID
    assert wrong not in str(refused.value)


@pytest.mark.parametrize(
    ("refusal", "words", "state"),
    [
        (gemini_errors.key_leaked(), "reported as leaked", Account.State.INVALID),
        (gemini_errors.consumer_suspended("77", GEMINI_KEY), "suspended", Account.State.DISABLED_BY_PROVIDER),
        (gemini_errors.location_not_supported(), "this server's address", None),
        (gemini_errors.service_disabled("77"), "not enabled in the key's project", None),
        (gemini_errors.service_blocked("77"), "restricted to other APIs", None),
        (gemini_errors.referrer_blocked("77"), "restricted to web pages", None),
        (gemini_errors.address_blocked("77"), "other addresses than this server's", None),
        (gemini_errors.internal(), "answers 500", None),
    ],
)
async def test_each_refusal_of_gemini_is_told_in_words(
    refusal: Refusal,
    words: str,
    state: Account.State | None,
    providers: EmulatorServer,
    client: AccountsClient,
) -> None:
    providers.state.keys.refuse("gemini-ada", refusal)

    with pytest.raises(AccountCheckFailed, match=words) as failed:
        await inspected(client, "gemini", GEMINI_KEY)

    assert getattr(failed.value, "state", None) == state
    assert GEMINI_KEY not in repr(failed.value) + str(getattr(failed.value.error, "body", ""))


@pytest.mark.parametrize(
    ("status", "error", "words", "state"),
    [
        (403, {"type": "permission_error", "message": "No access"}, "answers 403: No access", None),
        (
            400,
            {
                "message": "On hold",
                "details": {"error_code": "organization_on_hold", "appeal_url": "https://claude.com/appeal"},
            },
            "on hold",
            Account.State.DISABLED_BY_PROVIDER,
        ),
        (529, {"type": "overloaded_error", "message": "Overloaded"}, "answers 529", None),
    ],
)
async def test_each_refusal_of_anthropic_is_told_in_words(
    status: int,
    error: dict[str, object],
    words: str,
    state: Account.State | None,
    providers: EmulatorServer,
    client: AccountsClient,
) -> None:
    providers.state.keys.refuse("anthropic-ada", Refusal(status, {"type": "error", "error": error}))

    with pytest.raises(AccountCheckFailed, match=words) as failed:
        await inspected(client, "anthropic", ANTHROPIC_KEY)

    assert getattr(failed.value, "state", None) == state
    assert getattr(failed.value, "link", "") == ("https://claude.com/appeal" if state else "")


async def test_a_provider_that_repeats_the_key_does_not_give_it_away(
    providers: EmulatorServer, client: AccountsClient
) -> None:
    error = {"type": "permission_error", "message": f"The key {ANTHROPIC_KEY} may not"}
    providers.state.keys.refuse("anthropic-ada", Refusal(403, {"type": "error", "error": error}))

    with pytest.raises(AccountCheckFailed, match="The key … may not"):
        await inspected(client, "anthropic", ANTHROPIC_KEY)


async def test_a_server_without_a_list_has_the_named_models(
    providers: EmulatorServer, client: AccountsClient
) -> None:
    base = providers.compatible_url("vllm")
    providers.state.fault(refuse(404, {"detail": "Not Found"}), method="listModels", times=None)

    found = await inspected(client, "compatible", "x", base, models="qwen3-coder\nother")
    with pytest.raises(AccountCheckFailed, match="Name those that it has"):
        await inspected(client, "compatible", "x", base)

    assert list(found.offers) == ["qwen3-coder", "other"]


async def test_the_wrong_path_is_told_in_words(providers: EmulatorServer, client: AccountsClient) -> None:
    with pytest.raises(AccountCheckFailed, match="ANTHROPIC_BASE_URL"):
        await inspected(client, "compatible", "x", f"{providers.compatible_url('vllm')}/wrong")


async def test_the_style_of_the_key_is_told_when_refused(
    providers: EmulatorServer, client: AccountsClient
) -> None:
    base = providers.compatible_url("openrouter")

    assert (await inspected(client, "compatible", COMPATIBLE_KEY, base, auth="bearer")).offers
    with pytest.raises(AccountCheckFailed, match="in the style x-api-key: No auth"):
        await inspected(client, "compatible", COMPATIBLE_KEY, base, auth="x-api-key")
    with pytest.raises(AccountCheckFailed, match="wants a key"):
        await inspected(client, "compatible", "", base, auth="none")


async def test_no_key_follows_a_redirect(providers: EmulatorServer, client: AccountsClient) -> None:
    providers.state.fault("compatible_redirect", location=providers.trap_url, method="listModels")

    with pytest.raises(AccountCheckFailed, match="redirect"):
        await inspected(client, "compatible", COMPATIBLE_KEY, providers.compatible_url("gateway"))

    assert providers.state.leaks == []


async def test_nobody_listening_is_told(client: AccountsClient, settings: Settings) -> None:
    settings.GEMINI_API_URL = settings.ANTHROPIC_API_URL = "http://127.0.0.1:1"

    for kind in KEYED:
        with pytest.raises(AccountCheckFailed, match="cannot be reached"):
            await inspected(client, kind, "x", "http://127.0.0.1:1")


# Access


@pytest.mark.django_db(transaction=True)
async def test_access_is_the_key_and_nothing_renews_it(client: AccountsClient) -> None:
    account = Account(kind="compatible", given_name="Compatible server 1", base_url="https://example.com")
    account.credential = {"api_key": "secret", "auth": "both"}
    await account.asave()
    tokens = AccessTokens(client)

    access = await KINDS["compatible"].access(tokens, account)
    KINDS["compatible"].forget(tokens, account.pk, access)

    assert access == await KINDS["compatible"].access(tokens, account, renewed=True)
    assert access.details == {"base_url": "https://example.com", "auth": "both", "models": ""}
    assert "secret" not in repr(access)


@pytest.mark.django_db(transaction=True)
async def test_a_changed_key_is_used_at_once(client: AccountsClient) -> None:
    account = Account(kind="anthropic", given_name="Anthropic key 1")
    account.credential = {"api_key": "first"}
    tokens = AccessTokens(client)

    for key in ("first", "second"):
        account.credential = {"api_key": key}
        await account.asave()
        tokens.remember({account.pk: account.sealed_credential})
        assert (await ANTHROPIC.access(tokens, account)).secret == key
