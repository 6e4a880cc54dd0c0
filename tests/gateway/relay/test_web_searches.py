"""Web search, from the client's request to what leaves for the client, for Google and for the ledger."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import (
    Message,
    RawMessageStreamEvent,
    ServerToolUseBlock,
    TextBlock,
    WebSearchToolResultBlock,
)
from anthropic.types.web_search_tool_result_error_object import WebSearchToolResultErrorObject
from pydantic import TypeAdapter

from gateway.api import serve
from gateway.ledger.search import attempts_of
from gateway.models import RequestLog
from gateway.relay import web_searches
from gateway.relay.error_messages import WITHOUT_SEARCH
from gateway.translation.web_search.answer import CANNOT_SEARCH, NOTHING_ALLOWED, NOTHING_FOUND
from gateway.translation.web_search.encrypted_content import PREFIX
from gateway.translation.web_search.sources import MAX_SOURCES
from proxy_site.emulator import models
from proxy_site.emulator.delivery.behaviour import (
    empty_answer,
    error_mid_stream,
    finish,
    no_licence,
    not_found,
    pace,
    redirect_to,
    refuse,
    stall_before_headers,
    stall_mid_stream,
    unavailable,
    without_sources,
    wrong_project,
)
from proxy_site.emulator.pretend_model.replies import function_call
from tests.builders import a_chunk, a_tool, a_tool_result, assistant, user
from tests.gateway.conftest import a_body, a_client, in_database, started_gateway, text_of
from tests.gateway.relay.test_structured_answers import FITS, SCHEMA, events_in

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from gateway.service import Gateway
    from proxy_site.emulator.delivery.behaviour import Behaviour
    from proxy_site.emulator.log import Entry
    from proxy_site.emulator.server import EmulatorServer

SEARCHER, OTHER = "gemini-3.1-flash-lite", "gemini-3-flash"
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
ADA = "ada@example.com"
QUESTION = "tides in Oslo"
PAGES = [
    f"https://{site}/tides-in-oslo"
    for site in ("encyclopedia.example.org", "news.example.com", "docs.example.net", "forum.example.org")
]


async def ask(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    fields = {"messages": [user(QUESTION)], "tools": [SEARCH], **changes}
    return await client.post("/v1/messages", json=a_body(**fields))


async def answer(client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    response = await ask(client, **changes)
    assert response.status_code == 200, response.text
    message: dict[str, Any] = response.json()
    return message


def kinds(message: dict[str, Any]) -> list[str]:
    return [block["type"] for block in message["content"]]


def result_in(message: dict[str, Any]) -> Any:
    [block] = [block for block in message["content"] if block["type"] == "web_search_tool_result"]
    return block["content"]


def addresses_in(message: dict[str, Any]) -> list[str]:
    return [source["url"] for source in result_in(message)]


def searches(google: EmulatorServer) -> list[Entry]:
    return [one for one in google.state.log.generations() if one.envelope["requestType"] == "web_search"]


def asked_redirects(google: EmulatorServer) -> int:
    return len([one for one in google.state.log.entries() if one.method == "groundingRedirect"])


# A search


async def test_a_search_comes_back_with_its_real_sources_and_then_the_text(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    message = await answer(client)

    call, result, text = message["content"]
    assert kinds(message) == ["server_tool_use", "web_search_tool_result", "text"]
    assert call["id"].startswith("srvtoolu_")
    assert (call["name"], call["input"], result["tool_use_id"]) == (
        "web_search",
        {"query": QUESTION},
        call["id"],
    )
    assert addresses_in(message) == PAGES
    assert {source["page_age"] for source in result["content"]} == {None}
    assert "news.example.com says" in text["text"]
    assert message["usage"]["server_tool_use"] == {"web_search_requests": 1, "web_fetch_requests": 0}
    assert (message["model"], message["stop_reason"]) == ("claude-sonnet-4-6", "end_turn")


@pytest.mark.parametrize("model", ["claude-opus-5-5", "gemini-3-flash", "a-model-nobody-has"])
@pytest.mark.parametrize("mode", ["cli", "antigravity"])
async def test_whatever_model_is_named_one_that_searches_is_asked(
    model: str,
    mode: str,
    client: httpx.AsyncClient,
    google: EmulatorServer,
    live_setting: Callable[[str, Any], None],
) -> None:
    live_setting("GEMINI_HEADER_MODE", mode)

    response = await ask(client, model=model)

    [search] = google.state.log.generations()
    assert response.headers["x-upstream-model"] == search.envelope["model"] == SEARCHER
    assert search.envelope["requestType"] == "web_search"
    assert search.headers["user-agent"].startswith("antigravity")


async def test_a_stream_says_the_same_as_the_message(client: httpx.AsyncClient) -> None:
    message = await answer(client)

    events = events_in(await ask(client, stream=True))

    starts = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    inputs = [
        event["delta"].get("partial_json") for event in events if event["type"] == "content_block_delta"
    ]
    [delta] = [event for event in events if event["type"] == "message_delta"]
    assert [event["type"] for event in events][-2:] == ["message_delta", "message_stop"]
    assert [block["type"] for block in starts] == kinds(message)
    assert (starts[0]["input"], orjson.loads(inputs[0])) == ({}, {"query": QUESTION})
    assert starts[1]["content"] == result_in(message)
    assert delta["usage"] == message["usage"]


async def test_the_row_in_the_ledger_names_the_model_that_searched(google: EmulatorServer) -> None:
    async with started_gateway() as gateway, a_client(gateway) as client:
        await ask(client)

    row = await in_database(RequestLog.objects.get)()
    assert (row.client_model, row.upstream_model) == ("claude-sonnet-4-6", SEARCHER)
    assert (row.status, row.stop_reason) == (200, "end_turn")
    assert row.output_tokens > 0


async def test_the_conversation_stays_with_its_account(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    """A search may be made by another: its prompt is not the conversation's."""
    session = {"x-claude-code-session-id": "one"}
    await client.post("/v1/messages", json=a_body(), headers=session)
    [first] = google.state.log.generations()
    for account in google.state.accounts:
        if account.email == first.account:
            account.web_search_models.clear()

    async with started_gateway() as gateway, a_client(gateway) as other:
        for body in (a_body(), a_body(tools=[SEARCH]), a_body()):
            await other.post("/v1/messages", json=body, headers=session)

    before, search, after = google.state.log.generations()[1:]
    assert before.account == after.account
    assert search.account != first.account


async def test_a_question_that_follows_is_asked_with_what_was_said(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    first = await answer(client)

    history = [user(QUESTION), assistant(*first["content"]), user("and in Bergen")]
    second = await answer(client, messages=history)

    [content] = searches(google)[1].envelope["request"]["contents"]
    before, question = (part["text"] for part in content["parts"])
    assert question == "and in Bergen"
    assert "news.example.com says that tides in Oslo is well known." in before
    assert second["content"][0]["input"] == {"query": "and in Bergen"}


@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "gemini-3-flash", "gpt-oss-120b-medium"])
async def test_sources_sent_back_become_text_for_any_model(
    model: str, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    first = await answer(client)

    history = [user(QUESTION), assistant(*first["content"]), user("Thank you.")]
    await answer(client, model=model, tools=None, messages=history)

    told = orjson.dumps(google.state.log.generations()[1].envelope["request"]["contents"][1]).decode()
    assert f"- news.example.com, {PAGES[1]}" in told
    assert "    news.example.com says that tides in Oslo is well known." in told
    assert PREFIX not in told


# What a search may cost and take


async def test_pings_go_on_while_the_sources_are_not_known(
    client: httpx.AsyncClient, google: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "KEEP_ALIVE_SECONDS", 0.05)
    google.state.fault(stall_mid_stream(0.3))

    events = [event["type"] for event in events_in(await ask(client, stream=True))]

    assert events[:3] == ["ping"] * 3
    assert events.count("message_start") == 1
    assert events[-1] == "message_stop"


async def test_the_account_is_free_again_while_redirects_are_asked(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    google.state.fault(stall_before_headers(1), method="groundingRedirect", times=None)
    asking = asyncio.create_task(ask(client))
    async with asyncio.timeout(5):
        while not asked_redirects(google):
            await asyncio.sleep(0.01)

    assert not any(gateway.accounts.pool.in_flight(one.id) for one in gateway.accounts.pool.accounts)
    assert addresses_in((await asking).json()) == PAGES


async def test_a_hang_up_while_it_is_held_gives_the_account_back(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    google.state.fault(stall_mid_stream(5))
    asking = asyncio.create_task(ask(client))
    async with asyncio.timeout(5):
        while not google.state.log.generations():
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)

    asking.cancel()
    await asyncio.wait({asking})

    assert not any(gateway.accounts.pool.in_flight(one.id) for one in gateway.accounts.pool.accounts)


async def test_an_endless_answer_is_not_held_forever(
    client: httpx.AsyncClient, google: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_searches, "MAX_HELD_CHARACTERS", 100)

    message = await answer(client)

    assert result_in(message) == {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    assert "encyclopedia.example.org" not in text_of(message)


async def test_a_stop_sequence_ends_the_text_and_not_the_sources(client: httpx.AsyncClient) -> None:
    message = await answer(client, stop_sequences=["docs.example"])

    assert addresses_in(message) == PAGES
    assert text_of(message).endswith("is well known. ")
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "docs.example")


@pytest.mark.parametrize(
    "fields",
    [
        {"thinking": {"type": "adaptive"}},
        {"tool_choice": {"type": "any"}},
        {"tool_choice": {"type": "tool", "name": "web_search"}},
        {"temperature": 0.5, "top_k": 3},
        {"system": "Be brief."},
    ],
)
async def test_what_else_a_request_asks_for_does_not_break_a_search(
    fields: dict[str, Any], client: httpx.AsyncClient
) -> None:
    assert addresses_in(await answer(client, **fields)) == PAGES


@pytest.mark.parametrize(
    ("judge", "status"),
    [("", {"type": "unsupported"}), ("gemini-3-flash", {"type": "available", "tool_uses": {}})],
)
async def test_a_client_in_auto_mode_hears_that_there_is_nothing_to_check(
    judge: str,
    status: dict[str, Any],
    client: httpx.AsyncClient,
    google: EmulatorServer,
    live_setting: Callable[[str, Any], None],
) -> None:
    live_setting("SAFEGUARDS_MODEL", judge)
    safeguards = [{"type": "dangerous_tool_use", "classifier_context": {"v": 1}}]

    message = await answer(client, safeguards=safeguards)
    events = events_in(await ask(client, safeguards=safeguards, stream=True))

    expected = [{"type": "dangerous_tool_use", "status": status}]
    assert message["safeguard_results"] == events[-2]["delta"]["safeguard_results"] == expected
    assert addresses_in(message) == PAGES
    assert len(google.state.log.generations()) == 2


async def test_a_call_that_nobody_declared_is_no_part_of_the_answer(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.reply("I found this.", function_call("run", {"command": "ls"}))

    message = await answer(client)

    assert kinds(message) == ["server_tool_use", "web_search_tool_result", "text"]
    assert message["stop_reason"] == "end_turn"


async def test_an_answer_that_was_refused_says_so(client: httpx.AsyncClient, google: EmulatorServer) -> None:
    google.state.fault(finish("SAFETY"))

    message = await answer(client)

    assert kinds(message) == ["server_tool_use", "web_search_tool_result", "text"]
    assert message["stop_reason"] == "refusal"


# Sources


async def test_domains_are_kept(client: httpx.AsyncClient) -> None:
    allowed = await answer(client, tools=[{**SEARCH, "allowed_domains": ["example.org"]}])
    others = await answer(client, tools=[{**SEARCH, "blocked_domains": ["news.example.com"]}])
    none = await answer(client, tools=[{**SEARCH, "allowed_domains": ["docs.example.net/guides"]}])

    assert {PAGES[0], PAGES[3]} <= set(addresses_in(allowed))
    assert all("example.org/" in address for address in addresses_in(allowed))
    assert set(addresses_in(others)) == set(PAGES) - {PAGES[1]}
    assert result_in(none) == {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    assert text_of(none) == NOTHING_ALLOWED


async def test_an_answer_without_sources_says_that_nothing_was_found_and_then_the_text(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault(without_sources())

    message = await answer(client)

    assert kinds(message) == ["server_tool_use", "web_search_tool_result", "text"]
    assert result_in(message) == {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    assert message["content"][0]["input"] == {"query": QUESTION}
    assert text_of(message).startswith(f"{NOTHING_FOUND}\n\n“tides in Oslo”")


@pytest.mark.parametrize(
    "grounding",
    [
        None, "text", [], {}, {"groundingChunks": None}, {"groundingChunks": [[], {"web": 5}]},
        {"groundingChunks": [{"web": {"uri": "javascript:alert(1)", "title": "T"}}]},
        {"webSearchQueries": [5, "\x1b[31mred"], "groundingSupports": [{"segment": 5}]},
    ],
)  # fmt: skip
async def test_metadata_that_holds_no_source_is_an_answer_without_any(
    grounding: Any, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.reply_chunks([a_chunk({"text": "So it is. "}), grounded({"text": "So."}, grounding)])

    message = await answer(client)

    assert result_in(message) == {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    assert text_of(message) == f"{NOTHING_FOUND}\n\nSo it is. So."
    assert "\x1b" not in message["content"][0]["input"]["query"]


def grounded(part: dict[str, Any], grounding: Any) -> dict[str, Any]:
    chunk = a_chunk(part, finish_reason="STOP")
    chunk["response"]["candidates"][0]["groundingMetadata"] = grounding
    return chunk


async def test_ten_thousand_sources_of_the_strangest_kind_are_cut_and_cleaned(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    web = [{"uri": f"https://a.example/{n}", "title": f"\x1b[31m{n}\n" + "t" * 500} for n in range(10_000)]
    metadata = {"groundingChunks": [{"web": one} for one in web]}
    google.state.reply_chunks([grounded({"text": "So."}, metadata)])

    sources = result_in(await answer(client))

    assert len(sources) == MAX_SOURCES
    assert all(source["title"].isprintable() and len(source["title"]) <= 200 for source in sources)
    assert asked_redirects(google) == 0


async def test_what_the_last_chunk_does_not_repeat_is_kept(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    first = a_chunk({"text": "So."})
    web = {"uri": "https://a.example/", "title": "A"}
    first["response"]["candidates"][0]["groundingMetadata"] = {"groundingChunks": [{"web": web}]}
    google.state.reply_chunks([first, grounded({"text": ""}, {"webSearchQueries": ["tides"]})])

    message = await answer(client)

    assert addresses_in(message) == ["https://a.example/"]
    assert message["content"][0]["input"] == {"query": "tides"}


@pytest.mark.parametrize(
    "location", ["", "javascript:alert(1)", "/to/elsewhere", "https://user@evil.example/"]
)
async def test_a_redirect_that_leads_nowhere_good_is_kept(
    location: str, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault(redirect_to(location), method="groundingRedirect", times=1)

    addresses = addresses_in(await answer(client))

    kept = [address for address in addresses if address.startswith(google.url)]
    assert len(kept) == 1
    assert set(addresses) - set(kept) < set(PAGES)


async def test_the_setting_switches_the_questions_off(
    client: httpx.AsyncClient, google: EmulatorServer, settings: Any
) -> None:
    settings.WEB_SEARCH_REDIRECT_URL = ""

    message = await answer(client)

    assert all(address.startswith(google.url) for address in addresses_in(message))
    assert asked_redirects(google) == 0


# Without a search

TOLD = "Web search does not work in this conversation"


def system_of(entry: Entry) -> str:
    parts = entry.envelope["request"].get("systemInstruction", {"parts": []})["parts"]
    return "\n".join(part["text"] for part in parts)


@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "gemini-3-flash"])
async def test_without_a_search_model_client_and_model_are_informed(
    model: str, google: EmulatorServer
) -> None:
    google.state.set_web_search_models()

    async with started_gateway() as gateway, a_client(gateway) as client:
        message = await answer(client, model=model, system="Be brief.")

    [entry] = google.state.log.generations()
    assert kinds(message) == ["server_tool_use", "web_search_tool_result", "text"]
    assert message["content"][0]["input"] == {"query": QUESTION}
    assert result_in(message) == {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    assert "server_tool_use" not in message["usage"]
    assert entry.envelope["model"].startswith(model)
    assert system_of(entry).startswith("Be brief.\n" + TOLD)


async def test_other_tools_beside_it_are_called_and_the_search_is_not_to_be_had(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.reply("Let me see.", function_call("get_weather", {"city": "Oslo"}))
    tools = [SEARCH, a_tool()]

    first = await answer(client, tools=tools)
    call = next(block for block in first["content"] if block["type"] == "tool_use")
    loop = [user(QUESTION), assistant(*first["content"]), user(a_tool_result(call["id"]))]
    second = await answer(client, tools=tools, messages=loop)

    assert kinds(first) == ["server_tool_use", "web_search_tool_result", "text", "tool_use"]
    assert first["stop_reason"] == "tool_use"
    assert kinds(second) == ["text"]
    assert all(TOLD in system_of(entry) for entry in google.state.log.generations())


async def test_the_answer_after_it_streams_as_any(client: httpx.AsyncClient, google: EmulatorServer) -> None:
    events = events_in(await ask(client, stream=True, tools=[SEARCH, a_tool()]))

    numbers = [event["index"] for event in events if event["type"] == "content_block_start"]
    deltas = [event for event in events if event["type"] == "content_block_delta" and event["index"] == 2]
    assert numbers == [0, 1, 2]
    assert len(deltas) > 3


async def test_a_structured_answer_fits_its_schema_all_the_same(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    output_config = {"format": {"type": "json_schema", "schema": SCHEMA}}
    google.state.reply(function_call("give_answer", {"town": "Oslo"}))
    google.state.reply(function_call("give_answer", FITS))

    message = await answer(client, output_config=output_config)

    assert kinds(message) == ["server_tool_use", "web_search_tool_result", "text"]
    assert message["content"][0]["input"] == {"query": QUESTION}
    assert orjson.loads(text_of(message)) == FITS


@pytest.mark.parametrize("model", ["claude-opus-4-6-thinking", "gemini-3-flash", "gpt-oss-120b-medium"])
@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": {"type": "any"}},
        {"tool_choice": {"type": "tool", "name": "web_search"}},
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        {"stop_sequences": ["never said"]},
        {"thinking": {"type": "adaptive"}},
    ],
)
async def test_what_else_a_request_asks_for_does_not_break_an_answer_without_a_search(
    fields: dict[str, Any], model: str, google: EmulatorServer
) -> None:
    google.state.set_web_search_models()

    async with started_gateway() as gateway, a_client(gateway) as client:
        message = await answer(client, model=model, **fields)

    assert kinds(message)[:2] == ["server_tool_use", "web_search_tool_result"]
    assert kinds(message)[-1] == "text"


@pytest.mark.parametrize("thinking", [{"type": "adaptive"}, {"type": "enabled", "budget_tokens": 1024}])
async def test_thinking_comes_after_it_and_can_be_sent_back(
    thinking: dict[str, Any], client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    fields = {"model": "claude-opus-4-6-thinking", "max_tokens": 9_000, "thinking": thinking}
    tools = [SEARCH, a_tool()]

    first = await answer(client, tools=tools, **fields)
    history = [user(QUESTION), assistant(*first["content"]), user("Thank you.")]
    await answer(client, tools=tools, messages=history, **fields)

    assert kinds(first) == ["server_tool_use", "web_search_tool_result", "thinking", "text"]


async def test_domains_that_cannot_be_kept_are_named_as_wrong(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    message = await answer(client, tools=[{**SEARCH, "allowed_domains": ["https://example.com"]}])

    assert result_in(message)["error_code"] == "invalid_tool_input"
    assert searches(google) == []


async def test_more_searches_than_allowed_are_refused_without_asking_google_for_one(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    """The model that was named goes on from what was found."""
    first = await answer(client, tools=[{**SEARCH, "max_uses": 1}])

    history = [user(QUESTION), assistant(*first["content"][:2])]
    message = await answer(client, tools=[{**SEARCH, "max_uses": 1}], messages=history)

    assert result_in(message)["error_code"] == "max_uses_exceeded"
    assert kinds(message)[-1] == "text"
    assert len(searches(google)) == 1
    assert "No more web searches are allowed" in system_of(google.state.log.generations()[-1])


async def test_a_refusal_is_said_once(client: httpx.AsyncClient, google: EmulatorServer) -> None:
    google.state.fault(finish("PROHIBITED_CONTENT"))

    message = await answer(client, tools=[SEARCH, a_tool()])

    assert message["stop_reason"] == "refusal"
    assert kinds(message) == ["server_tool_use", "web_search_tool_result", "text"]


# Failures


async def test_another_account_searches_when_one_cannot(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("quota_exhausted", account=ADA, times=None)

    assert addresses_in(await answer(client)) == PAGES
    assert searches(google)[-1].account != ADA


async def test_an_account_whose_list_names_no_search_is_not_asked_for_one(google: EmulatorServer) -> None:
    for account in google.state.accounts:
        if account.email != ADA:
            account.web_search_models.clear()

    async with started_gateway() as gateway, a_client(gateway) as client:
        await until_all_lists_are_known(gateway)
        for _ in range(4):
            await answer(client)

    assert {search.account for search in searches(google)} == {ADA}


async def test_an_account_whose_list_could_not_be_read_is_not_asked_for_one(google: EmulatorServer) -> None:
    for account in google.state.accounts:
        if account.email != ADA:
            account.web_search_models.clear()
            google.state.fault(
                "unavailable", account=account.email, method="fetchAvailableModels", times=None
            )

    async with started_gateway() as gateway, a_client(gateway) as client:
        for session in range(4):
            headers = {"x-claude-code-session-id": str(session)}
            response = await client.post("/v1/messages", json=a_body(tools=[SEARCH]), headers=headers)
            assert response.status_code == 200, response.text

    assert {search.account for search in searches(google)} == {ADA}


async def until_all_lists_are_known(gateway: Gateway) -> None:
    accounts = gateway.accounts
    async with asyncio.timeout(10):
        while any(accounts.lists_model(one.id, SEARCHER, SEARCHER) is None for one in accounts.pool.accounts):
            await asyncio.sleep(0.02)


@pytest.fixture
def two_searchers(google: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(models.MODELS, OTHER, replace(models.MODELS[OTHER], searches_web=True))
    google.state.set_web_search_models(SEARCHER, OTHER)


@pytest.mark.usefixtures("two_searchers")
async def test_another_model_searches_when_one_is_at_its_limit(google: EmulatorServer) -> None:
    google.state.fault("quota_exhausted", model=SEARCHER, times=None)

    async with started_gateway() as gateway, a_client(gateway) as client:
        response = await ask(client)

    assert response.headers["x-upstream-model"] == OTHER
    assert addresses_in(response.json()) == PAGES


@pytest.mark.usefixtures("two_searchers")
@pytest.mark.parametrize("stream", [False, True])
async def test_when_all_are_at_their_limit_the_error_is_that_of_any_request(
    stream: bool, google: EmulatorServer, live_setting: Callable[[str, Any], None]
) -> None:
    live_setting("FALLBACK", True)
    for model in (SEARCHER, OTHER):
        google.state.fault("quota_exhausted", model=model, times=None)

    async with started_gateway() as gateway, a_client(gateway) as client:
        response = await ask(client, stream=stream)

    assert response.status_code == 429
    assert response.json()["error"]["message"].startswith(f"3 accounts tried for {SEARCHER}: ")
    assert {search.envelope["model"] for search in google.state.log.generations()} == {SEARCHER, OTHER}


NOT_TAKEN = refuse(400, {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "No such search."}})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        error_mid_stream(),
        unavailable(),
        empty_answer(),
        not_found(),
        no_licence(),
        wrong_project(),
        NOT_TAKEN,
    ],
    ids=["breaks off", "503", "empty", "404", "no licence", "project refused", "400"],
)
async def test_a_search_that_fails_is_told_and_the_model_that_was_named_goes_on(
    fault: Behaviour,
    stream: bool,
    client: httpx.AsyncClient,
    google: EmulatorServer,
    live_setting: Callable[[str, Any], None],
) -> None:
    live_setting("MAX_RETRIES", 0)
    google.state.fault(fault, model=SEARCHER, times=None)

    message = await (streamed if stream else whole)(client)

    _, result, text = message.content
    assert isinstance(result, WebSearchToolResultBlock)
    assert not isinstance(result.content, list)
    assert isinstance(text, TextBlock)
    assert result.content.error_code == "unavailable"
    assert "Claude Sonnet 4.6" in text.text
    last = google.state.log.generations()[-1].envelope
    assert (last["model"], last["requestType"]) == ("claude-sonnet-4-6", "agent")
    assert CANNOT_SEARCH in str(last["request"]["systemInstruction"])


async def test_the_ledger_records_a_search_that_broke_off(google: EmulatorServer) -> None:
    google.state.pace = pace(chunk_delay=0.05)  # the beginning is there before the end is known
    google.state.fault(error_mid_stream(2), model=SEARCHER, times=None)

    async with started_gateway() as gateway, a_client(gateway) as client:
        await answer(client)

    tries = await in_database(attempts_of)(await in_database(RequestLog.objects.get)())
    assert [(one.model, one.reason, one.decision) for one in tries] == [
        (SEARCHER, "broke off", WITHOUT_SEARCH),
        ("claude-sonnet-4-6", "answered", ""),
    ]


# The official SDK


def as_the_sdk_builds_it(response: httpx.Response) -> Message:
    snapshot, buffers = None, dict[int, bytes]()
    for event in events_in(response):
        typed = TypeAdapter(RawMessageStreamEvent).validate_python(event)
        snapshot = accumulate_event(event=typed, current_snapshot=snapshot, json_bufs=buffers)
    assert snapshot is not None
    return snapshot


async def whole(client: httpx.AsyncClient, **changes: Any) -> Message:
    return Message.model_validate_json((await ask(client, **changes)).content, strict=True)


async def streamed(client: httpx.AsyncClient, **changes: Any) -> Message:
    return as_the_sdk_builds_it(await ask(client, stream=True, **changes))


@pytest.mark.parametrize("way", [whole, streamed])
async def test_the_sdk_reads_a_search_and_its_history_can_be_sent_back(
    way: Callable[..., Any], client: httpx.AsyncClient
) -> None:
    first = await way(client)
    history = [user(QUESTION), first.to_dict(), user("and in Bergen")]
    second = await way(client, messages=[{key: one[key] for key in ("role", "content")} for one in history])

    call, result, text = first.content
    assert isinstance(call, ServerToolUseBlock)
    assert isinstance(result, WebSearchToolResultBlock)
    assert isinstance(text, TextBlock)
    assert call.input == {"query": QUESTION}
    assert isinstance(result.content, list)
    assert [source.url for source in result.content] == PAGES
    assert first.usage.server_tool_use.web_search_requests == 1
    assert second.content[0].input == {"query": "and in Bergen"}


@pytest.mark.parametrize("way", [whole, streamed])
async def test_the_sdk_reads_why_there_was_no_search(
    way: Callable[..., Any], client: httpx.AsyncClient
) -> None:
    tools = [SEARCH, a_tool()]

    first = await way(client, tools=tools)
    history = [user(QUESTION), first.to_dict(), user("Thank you.")]
    messages = [{key: one[key] for key in ("role", "content")} for one in history]
    second = await way(client, tools=tools, messages=messages)

    assert isinstance(first.content[1], WebSearchToolResultBlock)
    assert isinstance(first.content[1].content, WebSearchToolResultErrorObject)
    assert first.content[1].content.error_code == "unavailable"
    assert isinstance(second.content[2], TextBlock)
