"""WebSearch of the real Claude Code: what it asks for, what it gets, and what its user reads in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.clients.claude_code import ClaudeCode

if TYPE_CHECKING:
    from pathlib import Path

    from proxy_site.emulator.log import Entry
    from proxy_site.emulator.server import EmulatorServer
    from tests.clients.claude_code import Run
    from tests.clients.node_packages import NodePackages
    from tests.clients.recorder import Recorder
    from tests.live_gateway import LiveGateway

pytestmark = pytest.mark.needs("node")

CLAUDE, GEMINI, LITE = "claude-sonnet-4-6", "gemini-3-flash", "gemini-3.1-flash-lite"
ASK = "Search the web for tides in Oslo"
SITES = ("encyclopedia.example.org", "news.example.com", "docs.example.net", "forum.example.org")
TOLD_TO_CITE = "You MUST include the sources above"
"""What the client itself adds to whatever a search has brought."""


@pytest.fixture
def between(node_packages: NodePackages, recorder: Recorder, tmp_path: Path) -> ClaudeCode:
    """Claude Code, and between it and the gateway the recorder."""
    return ClaudeCode(node_packages.claude, tmp_path, recorder.url)


def search(claude: ClaudeCode, prompt: str = ASK, model: str = CLAUDE) -> Run:
    arguments = ("--allowedTools", "WebSearch", "--output-format", "stream-json", "--verbose")
    run = claude.ask(prompt, "--model", model, *arguments)
    assert run.status == 0, run.output
    return run


def said(run: Run) -> str:
    """What the person reads."""
    return str(run.events[-1]["result"])


def told_the_model(run: Run) -> str:
    """What the client makes of the search for the model that goes on."""
    blocks = [
        block
        for event in run.events
        if event["type"] == "user" and "searchCount" in (event.get("tool_use_result") or {})
        for block in event["message"]["content"]
    ]
    [result] = blocks
    assert not result.get("is_error")
    return str(result["content"])


def found(run: Run) -> list[dict[str, str]]:
    """The hits that the client has counted, as title and url."""
    [result] = [
        event["tool_use_result"]
        for event in run.events
        if event["type"] == "user" and "searchCount" in (event.get("tool_use_result") or {})
    ]
    return [hit for one in result["results"] if not isinstance(one, str) for hit in one["content"]]


def searches(google: EmulatorServer) -> list[Entry]:
    return [call for call in google.state.log.generations() if call.envelope["requestType"] == "web_search"]


def asked_on_the_side(recorder: Recorder) -> dict[str, Any]:
    bodies = [orjson.loads(exchange.asked) for exchange in recorder.of("/v1/messages")]
    [side_request] = [body for body in bodies if "web_search" in str(body.get("tools", [{}])[0].get("type"))]
    return dict(side_request)


def addresses(*sites: str) -> list[str]:
    return [f"https://{site}/tides-in-oslo" for site in sites]


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
def test_a_search_lists_real_addresses_and_no_redirects(
    model: str, claude: ClaudeCode, google: EmulatorServer
) -> None:
    run = search(claude, model=model)

    assert found(run) == [
        {"title": site, "url": url} for site, url in zip(SITES, addresses(*SITES), strict=True)
    ]
    assert all(url in said(run) for url in addresses(*SITES))
    assert "grounding-api-redirect" not in run.output
    assert TOLD_TO_CITE in told_the_model(run)
    [call] = searches(google)
    assert (call.model, call.status) == (LITE, 200)
    others = {one.model or "" for one in google.state.log.generations() if one is not call}
    assert [one.removesuffix("-preview") for one in others] == [model]


@pytest.mark.parametrize(
    ("model", "sent", "tool_choice"),
    [
        (CLAUDE, CLAUDE, {"type": "tool", "name": "web_search"}),
        ("sonnet", "claude-sonnet-5-5", {"type": "auto"}),
    ],
)
def test_the_request_on_the_side_has_the_search_as_its_only_tool(
    model: str, sent: str, tool_choice: dict[str, str], between: ClaudeCode, recorder: Recorder
) -> None:
    """The newest models are not forced."""
    search(between, model=model)

    asked = asked_on_the_side(recorder)
    assert asked["model"] == sent
    assert asked["messages"] == [
        {
            "role": "user",
            "content": [{"type": "text", "text": "Perform a web search for the query: tides in Oslo"}],
        }
    ]
    assert asked["tools"] == [{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}]
    assert asked["tool_choice"] == tool_choice
    assert asked["stream"] is True


@pytest.mark.parametrize(
    ("words", "sites", "field"),
    [
        ("only on docs.example.net", ["docs.example.net"], "allowed_domains"),
        ("only on developer.example", ["developer.example"], "allowed_domains"),
        ("but not on news.example.com", [SITES[0], SITES[2], SITES[3]], "blocked_domains"),
    ],
)
def test_domains_that_the_model_asks_for_are_kept(
    words: str, sites: list[str], field: str, between: ClaudeCode, recorder: Recorder
) -> None:
    run = search(between, f"{ASK}, {words}")

    assert [hit["url"] for hit in found(run)] == addresses(*sites)
    assert asked_on_the_side(recorder)["tools"][0][field] == [words.split()[-1]]


def test_without_a_model_that_searches_the_person_reads_so_and_no_links(
    node_packages: NodePackages,
    gateway_without_search: LiveGateway,
    google_without_search: EmulatorServer,
    tmp_path: Path,
) -> None:
    claude = ClaudeCode(node_packages.claude, tmp_path, gateway_without_search.url)

    run = search(claude)

    assert found(run) == []
    assert "Web search error: unavailable" in told_the_model(run)
    assert "Links:" not in told_the_model(run)
    assert "http" not in said(run)
    assert searches(google_without_search) == []


def test_an_answer_from_memory_is_no_search_result(claude: ClaudeCode, google: EmulatorServer) -> None:
    google.state.fault("without_sources", model=LITE, times=None)
    try:
        run = search(claude)
    finally:
        google.state.clear_scripts()

    assert found(run) == []
    assert "Web search error: unavailable\n\nThe web search brought no sources." in told_the_model(run)


def test_what_excluded_sites_say_is_not_told(claude: ClaudeCode, google: EmulatorServer) -> None:
    location = "https://elsewhere.example/"
    google.state.fault("redirect_to", location=location, method="groundingRedirect", times=None)
    try:
        run = search(claude, f"{ASK}, only on docs.example.net")
    finally:
        google.state.clear_scripts()

    assert found(run) == []
    assert "none of a site that is allowed here" in told_the_model(run)
    assert "well known" not in told_the_model(run)


def test_a_source_that_leads_astray_is_not_listed(claude: ClaudeCode, google: EmulatorServer) -> None:
    google.state.fault("redirect_to", location="javascript:alert(1)", method="groundingRedirect")

    run = search(claude)

    assert "javascript:" not in run.output
    assert len(found(run)) >= 3


def test_a_redirect_that_hangs_does_not_hold_up_the_search(
    claude: ClaudeCode, google: EmulatorServer
) -> None:
    google.state.fault("stall_before_headers", seconds=60, method="groundingRedirect")

    run = search(claude)

    assert {hit["url"] for hit in found(run)} & set(addresses(*SITES))
