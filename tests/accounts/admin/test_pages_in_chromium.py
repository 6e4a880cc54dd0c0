"""The admin as an operator uses it: a real browser, a real server, the emulator's own consent page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.accounts.chromium import PHONE_WIDTH, open_chromium
from tests.live_gateway import LiveGateway, free_port, manage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.needs("chromium")

PASSWORD = "a long and good one"


@pytest.fixture(scope="module")
def gateway(
    shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    """It starts without any account; each test adds its own."""
    settings = {"WEBUI_PASSWORD": PASSWORD, "OAUTH_CALLBACK_PORT": str(free_port())}
    gateway = LiveGateway(shared_emulator, tmp_path_factory.mktemp("data"), **settings)
    manage("migrate", "-v0", env=gateway.env)
    gateway.start()
    yield gateway
    gateway.stop()


def log_in(page: Page, gateway: LiveGateway) -> None:
    page.goto(gateway.url)
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def start_sign_in(page: Page, gateway: LiveGateway) -> None:
    page.goto(f"{gateway.url}/admin/accounts/account/add/?kind=google")
    page.get_by_label("I have read this").check()
    page.get_by_role("button", name="Go on").click()


def sign_in_at_google(page: Page, name: str) -> Page:
    """On Google's page, which opens in a tab of its own."""
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Open Google's sign-in page").click()
    google = opened.value
    google.get_by_label(name).check()
    google.get_by_role("button", name="Allow").click()
    return google


def paste(page: Page, text: str) -> None:
    page.get_by_label("Address or code").fill(text)
    page.get_by_role("button", name="Finish").click()


def serves_a_request(gateway: LiveGateway) -> bool:
    body = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    return httpx.post(f"{gateway.url}/v1/messages", json=body, timeout=30).status_code == 200


def is_as_wide_as_the_window(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_an_account_is_added_with_the_browser_on_the_same_machine(
    gateway: LiveGateway, tmp_path: Path
) -> None:
    with open_chromium(tmp_path / "profile") as page:
        log_in(page, gateway)
        start_sign_in(page, gateway)
        google = sign_in_at_google(page, "Ada Lovelace")
        google.get_by_text("has been added to the gateway").wait_for()
        page.get_by_text("Completed: ada@example.com").wait_for()  # by itself
        page.get_by_role("link", name="Open Google's sign-in page").wait_for(state="detached")

    assert serves_a_request(gateway)


def test_an_account_is_added_by_pasting_on_a_phone_in_the_dark(
    gateway: LiveGateway, tmp_path: Path, consent: Callable[..., str]
) -> None:
    """Google is visited elsewhere, so the callback never reaches the gateway."""
    missing: list[str] = []
    with open_chromium(tmp_path / "profile", width=PHONE_WIDTH, color_scheme="dark") as page:
        page.on("response", lambda answer: missing.append(answer.url) if answer.status >= 400 else None)
        log_in(page, gateway)
        start_sign_in(page, gateway)
        google = page.get_by_role("link", name="Open Google's sign-in page").get_attribute("href")
        paste(page, "https://example.com/")
        page.get_by_text("That was not it").wait_for()
        paste(page, consent(google, "linus@example.com"))
        page.get_by_text("Completed: linus@example.com").wait_for()
        for path in ("account/", "account/add/"):
            page.goto(f"{gateway.url}/admin/accounts/{path}", wait_until="load")
            assert is_as_wide_as_the_window(page), path

    assert serves_a_request(gateway)
    assert [url for url in missing if not url.endswith("/favicon.ico")] == []
