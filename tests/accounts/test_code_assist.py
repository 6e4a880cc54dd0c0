"""What Google's list of models tells, however it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from accounts.google.code_assist import fetch_available_models
from accounts.outbound import AccountsClient

if TYPE_CHECKING:
    from gateway.upstreams.emulator.server import EmulatorServer

MODELS = {"gemini-3-flash": {}, "gemini-3.1-flash-lite": {"displayName": "Lite"}}


@pytest.mark.parametrize(
    ("web_search_model_ids", "searching"),
    [
        (["gemini-3.1-flash-lite"], {"gemini-3.1-flash-lite"}),
        (["gemini-3.1-flash-lite", "gemini-3.1-flash-lite", 3, None, {}], {"gemini-3.1-flash-lite"}),
        (["not-in-the-list"], set()),
        ([], set()),
        (None, set()),
        ("gemini-3-flash", set()),
        ({"gemini-3-flash": True}, set()),
    ],
)
async def test_a_model_searches_the_web_when_the_list_says_so(
    web_search_model_ids: Any, searching: set[str], google: EmulatorServer
) -> None:
    answer = {"models": MODELS, "webSearchModelIds": web_search_model_ids}
    google.state.fault("refuse", status=200, body=answer, method="fetchAvailableModels")

    offers = await _offers(google)

    assert {offer.id for offer in offers.values() if offer.searches_web} == searching
    assert offers.keys() == MODELS.keys()


async def test_no_model_searches_the_web_when_the_list_does_not_say(google: EmulatorServer) -> None:
    google.state.fault("refuse", status=200, body={"models": MODELS}, method="fetchAvailableModels")

    assert not any(offer.searches_web for offer in (await _offers(google)).values())


async def _offers(google: EmulatorServer) -> dict[str, Any]:
    access_token, _ = google.state.issue_access_token("ada@example.com")
    client = AccountsClient()
    try:
        return {**await fetch_available_models(client, access_token, "")}
    finally:
        await client.close()
