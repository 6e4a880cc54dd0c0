"""What Google's list of models tells, however it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from accounts.google.code_assist import CodeAssistFailed, fetch_available_models
from accounts.network import AccountsClient

if TYPE_CHECKING:
    from proxy_site.emulator.server import EmulatorServer

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


ACTIVATION = "https://console.developers.google.com/apis/api/{}/overview?project=348821691643"


@pytest.mark.parametrize(
    ("service", "title", "is_remarked"),
    [
        ("cloudcode-pa.googleapis.com", "Cloud Code Private API", True),
        ("cloudaicompanion.googleapis.com", "Gemini for Google Cloud API", False),
    ],
)
async def test_googles_link_to_its_private_api_gets_a_remark(
    service: str, title: str, is_remarked: bool, google: EmulatorServer
) -> None:
    """As in V1ki/dsh-plugin-subscriptions#19 and google-gemini/gemini-cli#1343."""
    message = (
        f"{title} has not been used in project 348821691643 before or it is disabled. Enable it by visiting "
        f"{ACTIVATION.format(service)} then retry. If you enabled this API recently, wait a few minutes for "
        "the action to propagate to our systems and retry."
    )
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "SERVICE_DISABLED",
        "domain": "googleapis.com",
        "metadata": {"service": service, "serviceTitle": title, "consumer": "projects/348821691643"},
    }
    error = {"code": 403, "status": "PERMISSION_DENIED", "message": message, "details": [info]}
    google.state.fault("refuse", status=403, body={"error": error}, method="fetchAvailableModels", times=None)

    with pytest.raises(CodeAssistFailed) as failure:
        await _offers(google)

    assert ("no ordinary project enable this API" in str(failure.value)) is is_remarked


async def _offers(google: EmulatorServer) -> dict[str, Any]:
    access_token, _ = google.state.issue_access_token("ada@example.com")
    client = AccountsClient()
    try:
        return {**await fetch_available_models(client, access_token, "")}
    finally:
        await client.close()
