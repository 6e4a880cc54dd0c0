"""Web search as the emulator gives it: what it takes, what it finds, and where its redirects lead."""

from __future__ import annotations

import time
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from proxy_site.emulator.rules.validator import GoogleError, validate_generate
from tests.proxy_site.emulator.builders import (
    Json,
    a_text_request,
    a_web_search_request,
    changed,
    declaration,
)
from tests.proxy_site.emulator.streams import WHOLE, chunks_in, stream, text_in

if TYPE_CHECKING:
    from proxy_site.emulator.server import EmulatorServer

SEARCH_TOOL: Json = {"googleSearch": {}}


def message_for(envelope: Json) -> str:
    with pytest.raises(GoogleError) as caught:
        validate_generate(envelope)
    return caught.value.message


def grounding_in(chunks: list[Json]) -> list[Json]:
    candidates = [candidate for chunk in chunks for candidate in chunk["response"].get("candidates") or []]
    return [candidate["groundingMetadata"] for candidate in candidates if "groundingMetadata" in candidate]


def searched(http: httpx.Client, query: str = "tides in Oslo") -> list[Json]:
    return chunks_in(stream(http, a_web_search_request(query)))


# What is taken


@pytest.mark.parametrize(
    "tools",
    [
        [SEARCH_TOOL],
        [{"google_search": {}}],
        [{"googleSearch": {"enhancedContent": {"imageSearch": {"maxResultCount": 8}}}}],
        [{"google_search": {"enhanced_content": {"image_search": {"max_result_count": 8}}}}],
    ],
)
def test_a_search_is_taken_in_either_spelling(tools: list[Json]) -> None:
    validate_generate(changed(a_web_search_request(), "request.tools", tools))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("requestId", "agent-1", "no request_id"),
        ("request.sessionId", "-1", "no session_id"),
        ("requestType", "agent", "web_search requests only"),
        ("requestType", ..., "web_search requests only"),
        ("model", "gemini-3-flash", "Search Grounding is not supported."),
        ("model", "claude-sonnet-4-6", "Only function declarations"),
        ("request.tools", ..., "its only tool"),
        ("request.tools", [{"urlContext": {}}], "its only tool"),
        ("request.tools", [SEARCH_TOOL, SEARCH_TOOL], "its only tool"),
        ("request.tools", [{"functionDeclarations": [declaration()]}], "its only tool"),
        ("request.tools", [SEARCH_TOOL, {"functionDeclarations": [declaration()]}], "only when they are all"),
        ("request.tools.0.functionDeclarations", [declaration()], "with function calling is unsupported"),
        ("request.tools.0.googleSearch.excludeDomains", ["example.com"], 'Unknown name "excludeDomains"'),
        ("request.generationConfig.candidateCount", 2, "candidateCount value of 2"),
        ("request.contents", [], "contents is not specified"),
    ],
)
def test_a_search_that_strays_from_the_known_form_is_refused(path: str, value: Any, words: str) -> None:
    assert words in message_for(changed(a_web_search_request(), path, value))


def test_an_account_that_does_not_list_the_model_is_refused_the_search(
    google: EmulatorServer, http: httpx.Client
) -> None:
    google.state.account("ada@example.com").web_search_models.clear()

    answer = stream(http, a_web_search_request())

    assert (answer.status_code, answer.json()["error"]["message"]) == (
        400,
        "Search Grounding is not supported.",
    )
    assert stream(http, a_text_request("gemini-3.1-flash-lite")).status_code == 200


@pytest.mark.parametrize(("listed", "shown"), [(["gemini-3-flash"], ["gemini-3-flash"]), ([], None)])
def test_the_list_of_models_names_those_that_search(
    listed: list[str], shown: list[str] | None, google: EmulatorServer, http: httpx.Client
) -> None:
    models = "/v1internal:fetchAvailableModels"
    assert http.post(models, json={}).json()["webSearchModelIds"] == ["gemini-3.1-flash-lite"]

    google.state.set_web_search_models(*listed)

    assert http.post(models, json={}).json().get("webSearchModelIds") == shown


# What is found


def test_the_sources_come_with_the_last_chunk(http: httpx.Client) -> None:
    chunks = searched(http)

    assert len(chunks) > 3
    assert grounding_in(chunks[:-1]) == []
    [grounding] = grounding_in(chunks[-1:])
    assert grounding["webSearchQueries"] == ["tides in Oslo"]
    assert [source["web"]["title"] for source in grounding["groundingChunks"]] == [
        "encyclopedia.example.org",
        "news.example.com",
        "docs.example.net",
        "forum.example.org",
    ]


def test_each_source_supports_the_bytes_of_its_sentence(http: httpx.Client) -> None:
    chunks = searched(http, "крамбл рецепт")
    [grounding] = grounding_in(chunks)
    said = text_in(chunks).encode()

    for index, support in enumerate(grounding["groundingSupports"]):
        segment = support["segment"]
        assert said[segment["startIndex"] : segment["endIndex"]].decode() == segment["text"]
        assert support["groundingChunkIndices"] == [index]


def test_the_same_query_finds_the_same(http: httpx.Client) -> None:
    assert grounding_in(searched(http)) == grounding_in(searched(http))
    assert grounding_in(searched(http)) != grounding_in(searched(http, "tides in Bergen"))


def test_hosts_that_the_query_names_are_found_first(http: httpx.Client) -> None:
    [grounding] = grounding_in(searched(http, "url parsing site:nodejs.org OR site:developer.mozilla.org"))

    titles = [source["web"]["title"] for source in grounding["groundingChunks"]]
    assert titles[:2] == ["nodejs.org", "developer.mozilla.org"]
    assert len(titles) == 6


def test_hosts_that_are_not_wanted_are_found_as_well(http: httpx.Client) -> None:
    """Whoever does not want them has to leave them out."""
    instruction = {"parts": [{"text": "Use no sources of these sites: nodejs.org."}]}
    envelope = changed(a_web_search_request(), "request.systemInstruction", instruction)

    [grounding] = grounding_in(chunks_in(stream(http, envelope)))

    assert grounding["groundingChunks"][0]["web"]["title"] == "nodejs.org"


def test_a_query_that_is_introduced_is_taken_without_its_introduction(http: httpx.Client) -> None:
    introduced = "What was said so far:\n\nHello.\n\nPerform a web search for the query: tides in Oslo"

    [grounding] = grounding_in(searched(http, introduced))

    assert grounding["webSearchQueries"] == ["tides in Oslo"]


@pytest.mark.parametrize("text", ["a b ", "a-b.", "a.b-", "query: "])
def test_a_long_question_takes_no_longer_than_its_length(text: str, http: httpx.Client) -> None:
    started = time.perf_counter()

    assert grounding_in(searched(http, text * 25_000))
    assert time.perf_counter() - started < 10


def test_a_whole_answer_has_its_sources_too(http: httpx.Client) -> None:
    answer = http.post(WHOLE, json=a_web_search_request()).json()

    assert grounding_in([answer]) == grounding_in(searched(http))


def test_an_answer_that_was_cut_has_no_sources(http: httpx.Client) -> None:
    envelope = changed(a_web_search_request(), "request.generationConfig.maxOutputTokens", 5)

    assert grounding_in(chunks_in(stream(http, envelope))) == []


def test_a_model_may_answer_from_memory(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.fault("without_sources")

    chunks = searched(http)

    assert grounding_in(chunks) == [{}]
    assert text_in(chunks)


def test_an_answer_may_break_off_before_its_sources(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.fault("error_mid_stream", after_chunks=2)

    chunks = searched(http)

    assert "error" in chunks[-1]


# Where redirects lead


def test_a_head_tells_the_real_address(google: EmulatorServer, http: httpx.Client) -> None:
    answers = [httpx.head(uri) for uri in redirects_in(searched(http))]

    assert [answer.status_code for answer in answers] == [302] * 4
    assert answers[0].headers["Location"] == "https://encyclopedia.example.org/tides-in-oslo"
    asked = google.state.log.entries("groundingRedirect")
    assert [google.url + entry.path for entry in asked] == redirects_in(searched(http))


def test_redirects_begin_with_the_address_that_gateways_are_told(
    google: EmulatorServer, http: httpx.Client
) -> None:
    beginning = google.gateway_settings()["WEB_SEARCH_REDIRECT_URL"]

    assert all(uri.startswith(beginning) for uri in redirects_in(searched(http)))


def test_pages_are_not_fetched_through_a_redirect(http: httpx.Client) -> None:
    assert http.get(redirects_in(searched(http))[0]).status_code == 405


@pytest.mark.parametrize("id_", ["AUZIYQ!", "nonsense", "AUZIYQ_w"])
def test_an_unknown_redirect_is_not_found(id_: str, google: EmulatorServer) -> None:
    assert httpx.head(f"{google.url}/grounding-api-redirect/{id_}").status_code == 404


@pytest.mark.parametrize("location", ["", "javascript:alert(1)", "http://127.0.0.1/admin"])
def test_a_redirect_may_lead_astray(location: str, google: EmulatorServer, http: httpx.Client) -> None:
    google.state.fault("redirect_to", location=location, method="groundingRedirect")

    # Not httpx: that refuses to read some of these.
    connection = HTTPConnection("127.0.0.1", google.port)
    connection.request("HEAD", redirects_in(searched(http))[0])
    answer = connection.getresponse()
    connection.close()

    assert answer.status == 302
    assert answer.getheader("Location", "") == location


def redirects_in(chunks: list[Json]) -> list[str]:
    return [source["web"]["uri"] for source in grounding_in(chunks)[0]["groundingChunks"]]
