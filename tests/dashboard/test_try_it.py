"""The test message of /connect, against a running gateway."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.slow

PASSWORD = "a long and good one"


@pytest.fixture(scope="module")
def gateway(
    shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    with LiveGateway(shared_emulator, tmp_path_factory.mktemp("data"), WEBUI_PASSWORD=PASSWORD) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def browser(gateway: LiveGateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, follow_redirects=True, timeout=30) as browser:
        token = {"csrfmiddlewaretoken": _csrf(browser.get("/admin/login/").text)}
        browser.post("/admin/login/", data={"username": "admin", "password": PASSWORD, **token})
        yield browser


def _csrf(page: str) -> str:
    found = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def send(browser: httpx.Client, message: str, **fields: str) -> httpx.Response:
    token = {"csrfmiddlewaretoken": _csrf(browser.get("/connect").text)}
    return browser.post("/connect/try", data={"message": message, **token, **fields})


def wait_for_row(browser: httpx.Client, request_id: str) -> dict[str, Any]:
    """The ledger writes twice a second."""
    for _ in range(100):
        found = browser.get(f"/api/requests/{request_id}")
        if found.status_code == 200:
            row: dict[str, Any] = found.json()["requests"][0]
            return row
        time.sleep(0.1)
    raise AssertionError(f"the ledger has no {request_id}")


def test_a_test_message_is_answered_and_recorded(browser: httpx.Client) -> None:
    answer = send(browser, "Say hello")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.count("content_block_delta") >= 3
    assert "message_stop" in answer.text
    assert wait_for_row(browser, answer.headers["x-request-id"])["client"] == "operator"


def test_a_message_after_another_is_answered(browser: httpx.Client) -> None:
    assert [send(browser, text).status_code for text in ("one", "two")] == [200, 200]


@pytest.mark.parametrize("message", ["", "   ", "x" * 2001])
def test_an_empty_or_long_message_is_refused(browser: httpx.Client, message: str) -> None:
    answer = send(browser, message)
    assert answer.status_code == 400
    assert "1 to 2000 characters" in answer.json()["error"]


def test_an_error_comes_with_its_sentence_and_request(browser: httpx.Client) -> None:
    answer = send(browser, "Hello", model="no-such-model")
    assert answer.status_code == 404
    assert "no-such-model" in answer.json()["error"]
    wait_for_row(browser, answer.json()["request_id"])
    assert browser.get(f"/requests/{answer.json()['request_id']}").status_code == 200
