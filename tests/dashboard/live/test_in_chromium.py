"""live.js, rows.js and log.js in Chromium, on a page made for them, over a gateway that is watched."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from django.conf import settings
from django.templatetags.static import static

from dashboard.live.protocol import COLUMNS
from proxy_site.content_security import OWN_PAGES
from tests.accounts.chromium import open_chromium
from tests.dashboard.live.test_servers import HELLO, PASSWORD, sign_in
from tests.live_gateway import LiveGateway, manage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page, WebSocketRoute

    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.needs("chromium")

EXAMPLE = Path(__file__).with_name("example.html")
STYLE = ".title { display: flex; height: 4rem } [data-log] { height: 10rem; overflow-y: scroll }"
POLICY = "; ".join(
    f"{name} {' '.join(values)}" for name, values in OWN_PAGES.items() if name != "frame-ancestors"
)
"""Without what a meta element cannot say."""
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def watched(
    shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    folder = tmp_path_factory.mktemp("data")
    with LiveGateway(shared_emulator, folder, WEBUI_PASSWORD=PASSWORD) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def browser(watched: LiveGateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_chromium(tmp_path_factory.mktemp("profile")) as page:
        name, _, value = sign_in(watched).partition("=")
        page.context.add_cookies([{"name": name, "value": value, "url": watched.url}])
        page.route("**/example.css", lambda route: route.fulfill(body=STYLE, content_type="text/css"))
        yield page


@pytest.fixture
def page(browser: Page, watched: LiveGateway) -> Iterator[Page]:
    """Opened, live, and without complaints until the end."""
    complaints: list[str] = []
    browser.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    browser.on("pageerror", lambda error: complaints.append(str(error)))
    show_example(browser, watched)
    until_state(browser, "live")
    yield browser
    assert [text for text in complaints if "WebSocket" not in text] == []


def show_example(page: Page, gateway: LiveGateway, version: str = settings.VERSION) -> None:
    """In place of a page of the gateway: Chromium lets no page open a WebSocket to this machine that does not
    come from it itself."""
    values = {"POLICY": POLICY, "VERSION": version, "STATIC": static("dashboard")}
    html = EXAMPLE.read_text()
    for name, value in values.items():
        html = html.replace(name, value)
    page.goto(f"{gateway.url}/health")
    page.set_content(html)


def until_state(page: Page, state: str) -> None:
    page.locator(f'[data-live-state][data-state="{state}"]').wait_for()


def ask(gateway: LiveGateway, request_id: str, **changes: Any) -> None:
    headers = {"x-request-id": request_id}
    httpx.post(f"{gateway.url}/v1/messages", json={**HELLO, **changes}, headers=headers, timeout=20)


def shown_ids(page: Page) -> list[str]:
    return page.locator("[data-live-rows] a").all_text_contents()


def row(page: Page, request_id: str, state: str) -> Any:
    return page.locator(f'tr[data-state="{state}"]', has_text=request_id)


def test_a_row_appears_ticks_and_settles(
    page: Page, watched: LiveGateway, shared_emulator: EmulatorServer
) -> None:
    shared_emulator.state.fault("stall_before_headers", seconds=2.5)
    asking = threading.Thread(target=ask, args=(watched, "req-slow"))
    asking.start()
    row(page, "req-slow", "open").get_by_text("open 1\u00a0s").wait_for()
    assert page.locator('[data-live="in_flight"]').text_content() == "1"
    assert page.locator("[data-live-open]").text_content() == "1"
    assert page.locator("[data-live-badge]").text_content() == "1"
    row(page, "req-slow", "good").get_by_text("200", exact=True).wait_for()
    asking.join()

    assert page.locator('[data-live="in_flight"]').text_content() == "0"
    assert page.locator("[data-live-open]").text_content() == "0"
    assert page.locator("[data-live-badge]").is_hidden()
    assert (
        page.locator("table").get_by_role("link", name="req-slow").get_attribute("href")
        == "/requests/req-slow"
    )
    assert page.get_by_text("from the server").count() == 0
    assert page.get_by_text("No request yet.").is_hidden()


SWAP_LIST = """() => {
  const list = document.querySelector("[data-live-rows]"), other = list.cloneNode(true);
  other.dataset.liveOpenFirst = "";
  list.replaceWith(other);
  document.body.dispatchEvent(new Event("htmx:afterSwap"));
}"""


def test_a_list_in_place_of_another_is_followed(
    page: Page, watched: LiveGateway, shared_emulator: EmulatorServer
) -> None:
    page.evaluate(SWAP_LIST)
    shared_emulator.state.fault("stall_before_headers", seconds=2.5)
    asking = threading.Thread(target=ask, args=(watched, "req-hangs"))
    asking.start()
    row(page, "req-hangs", "open").wait_for()
    ask(watched, "req-later")
    row(page, "req-later", "good").wait_for()
    assert shown_ids(page)[:2] == ["req-hangs", "req-later"]

    row(page, "req-hangs", "good").wait_for()
    asking.join()
    assert shown_ids(page)[:2] == ["req-later", "req-hangs"]


def test_texts_of_clients_stay_text(page: Page, watched: LiveGateway) -> None:
    ask(watched, "req-hostile", model=HOSTILE)

    row(page, "req-hostile", "failed").get_by_text(HOSTILE).wait_for()
    assert page.locator("img").count() == 0


def test_it_holds_still_and_goes_on(page: Page, watched: LiveGateway) -> None:
    ask(watched, "req-before")
    row(page, "req-before", "good").hover()
    before = shown_ids(page)
    place = page.locator("#below").bounding_box()
    ask(watched, "req-while-held")
    page.get_by_role("button", name="1 new \u2013 show").wait_for()
    assert shown_ids(page) == before
    assert page.locator("#below").bounding_box() == place

    page.locator("#below").hover()
    row(page, "req-while-held", "good").wait_for()
    until_state(page, "live")
    page.locator("[data-live-hold]").click()
    ask(watched, "req-held-by-hand")
    page.get_by_role("button", name="1 new \u2013 show").wait_for()
    page.get_by_role("button", name="1 new \u2013 show").click()
    row(page, "req-held-by-hand", "good").wait_for()
    until_state(page, "live")
    page.evaluate("document.dispatchEvent(new Event('live:toggle-hold'))")
    until_state(page, "held")
    page.evaluate("document.dispatchEvent(new Event('live:toggle-hold'))")
    until_state(page, "live")
    page.locator("table").get_by_role("link", name="req-before").focus()
    until_state(page, "held")
    page.locator("#below").click()
    until_state(page, "live")


def test_a_held_row_says_what_became_of_it(
    page: Page, watched: LiveGateway, shared_emulator: EmulatorServer
) -> None:
    ask(watched, "req-above")
    shared_emulator.state.fault("stall_before_headers", seconds=1.5)
    asking = threading.Thread(target=ask, args=(watched, "req-ends-while-held"))
    asking.start()
    row(page, "req-ends-while-held", "open").wait_for()
    page.locator("[data-live-hold]").click()
    before = shown_ids(page)
    asking.join()
    row(page, "req-ends-while-held", "good").get_by_text("200", exact=True).wait_for()

    assert shown_ids(page) == before
    page.locator("[data-live-hold]").click()
    until_state(page, "live")


def test_changes_are_events_for_htmx(page: Page, watched: LiveGateway) -> None:
    noting = "() => { document.body.dataset.hasChanged = 'yes'; }"
    page.evaluate(f"() => document.body.addEventListener('live:accounts', {noting})")
    assert manage("disableaccount", "ada@example.com", env=watched.env).returncode == 0

    page.locator("body[data-has-changed]").wait_for()


def test_the_log_follows_and_is_sifted(page: Page, watched: LiveGateway) -> None:
    ask(watched, "req-logged")
    line = page.locator(".line", has_text="end_turn").filter(has_text="req-logged")
    line.wait_for()

    page.locator("[data-log-filter]").fill("req-log+ed")
    assert {"req-logged" in text for text in page.locator(".line:visible").all_text_contents()} == {True}
    page.locator("[data-log-filter]").fill("[")
    page.locator("[data-log-filter]").fill("")
    page.get_by_role("button", name="warning").click()
    line.wait_for(state="hidden")
    page.get_by_role("button", name="debug").click()
    line.wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert "INFO req-logged" in Path(download.value.path()).read_text()
    page.get_by_role("button", name="Clear").click()
    assert page.locator(".line").count() == 0


def test_the_log_holds_while_it_is_scrolled(page: Page, watched: LiveGateway) -> None:
    for number in range(12):
        ask(watched, f"req-{number}")
    page.locator(".line", has_text="req-11").first.wait_for()
    page.evaluate("document.querySelector('[data-log]').scrollTop = 0")
    ask(watched, "req-unseen")
    page.get_by_text("held since").wait_for()
    page.get_by_text(", 1 new line").wait_for()
    assert page.locator(".line", has_text="req-unseen").count() == 0

    page.get_by_role("button", name="Go on").click()
    page.locator(".line", has_text="req-unseen").wait_for()
    assert page.get_by_text("held since").is_hidden()


def test_a_held_log_keeps_its_lines_when_the_level_changes(page: Page, watched: LiveGateway) -> None:
    ask(watched, "req-held")
    line = page.locator(".line", has_text="end_turn").filter(has_text="req-held")
    line.wait_for()
    page.get_by_role("button", name="Hold the log").click()
    ask(watched, "req-after-hold")
    page.get_by_text("held since").wait_for()

    page.get_by_role("button", name="warning").click()
    page.get_by_role("button", name="info").click()
    page.wait_for_timeout(700)

    assert line.is_visible()
    assert page.locator(".line", has_text="req-after-hold").count() == 0
    page.get_by_role("button", name="Go on").click()
    page.locator(".line", has_text="req-after-hold").first.wait_for()


def test_lines_that_come_during_a_click_do_not_take_it(page: Page, watched: LiveGateway) -> None:
    page.evaluate("document.querySelector('table').hidden = true")  # its rows would move the log
    ask(watched, "req-clicked")
    link = page.locator(".line", has_text="end_turn").filter(has_text="req-clicked").locator("a")
    link.hover()
    page.mouse.down()
    for number in range(9):
        ask(watched, f"req-meanwhile-{number}")
    page.wait_for_timeout(700)
    assert page.locator(".line", has_text="req-meanwhile").count() == 0

    page.mouse.up()

    page.wait_for_url("**/requests/req-clicked")


def test_after_a_restart_it_is_live_again(page: Page, watched: LiveGateway) -> None:
    watched.stop()
    page.get_by_text("Not live since").wait_for()
    page.get_by_text("Next try in").wait_for()
    watched.start()
    ask(watched, "req-after-the-restart")
    page.evaluate("dispatchEvent(new Event('online'))")
    until_state(page, "live")
    row(page, "req-after-the-restart", "good").wait_for()

    session = {"cookie": sign_in(watched)}
    stored = httpx.get(f"{watched.url}/api/requests", headers=session).json()["requests"]
    assert shown_ids(page) == [one["request_id"] for one in stored][:50]


class PretendedServer:
    """Answers the page's sockets in the gateway's place."""

    def __init__(self, page: Page) -> None:
        self.opened = self.closed = 0
        self.number = 0
        page.route_web_socket("**/ws/live", self._open)

    def send(self, kind: str, **message: Any) -> None:
        self.number += 1
        whole = {"t": kind, "n": self.number, "rows": [], "totals": {}, "lines": [], **message}
        self._socket.send(json.dumps(whole))

    def _open(self, socket: WebSocketRoute) -> None:
        self.opened += 1
        self._socket = socket
        socket.on_message(lambda text: self.send("snapshot") if '"watch"' in str(text) else None)
        socket.on_close(lambda code, reason: self._note_close())
        hello = {"t": "hello", "build": settings.VERSION, "now": 0, "columns": COLUMNS}
        socket.send(json.dumps(hello))

    def _note_close(self) -> None:
        self.closed += 1


@pytest.fixture
def another_page(browser: Page) -> Iterator[Page]:
    page = browser.context.new_page()
    page.route("**/example.css", lambda route: route.fulfill(body=STYLE, content_type="text/css"))
    yield page
    page.close()


def test_an_account_says_what_it_has_in_flight(another_page: Page, watched: LiveGateway) -> None:
    server = PretendedServer(another_page)
    show_example(another_page, watched)
    until_state(another_page, "live")
    place = another_page.locator('[data-live-account="1"]')

    server.send("delta", totals={"accounts": {"1": 1200, "2": 1}})
    place.get_by_text("1,200").wait_for()
    another_page.evaluate(LOAD_OLDER_COUNT)
    place.get_by_text("1,200").wait_for()
    server.send("delta", totals={"accounts": {"2": 1}})
    place.get_by_text("0", exact=True).wait_for()


LOAD_OLDER_COUNT = """() => {
  document.querySelector("[data-live-account]").textContent = "7";
  document.body.dispatchEvent(new Event("htmx:afterSwap"));
}"""


def test_a_hidden_page_is_not_live_after_a_minute(another_page: Page, watched: LiveGateway) -> None:
    server = PretendedServer(another_page)
    another_page.clock.install()
    show_example(another_page, watched)
    until_state(another_page, "live")
    set_visibility(another_page, "hidden")
    for _ in range(2):
        another_page.clock.run_for(29_500)
        server.send("now", now=0)
        another_page.wait_for_timeout(100)
    assert (server.opened, server.closed) == (1, 0)
    another_page.clock.run_for(2_000)
    another_page.wait_for_timeout(100)
    assert (server.opened, server.closed) == (1, 1)

    set_visibility(another_page, "visible")
    another_page.wait_for_timeout(100)
    assert (server.opened, server.closed) == (2, 1)


def test_after_an_hour_asleep_the_list_is_what_the_server_has(
    another_page: Page, watched: LiveGateway
) -> None:
    server = PretendedServer(another_page)
    another_page.clock.install()
    show_example(another_page, watched)
    until_state(another_page, "live")
    facts = {
        "id": "1",
        "rev": 0,
        "request_id": "req-before",
        "started_at": 0,
        "outcome": "open",
        "attempts": 1,
    }
    server.send("delta", rows=[[facts.get(name) for name in COLUMNS]])
    another_page.locator("table").get_by_role("link", name="req-before").wait_for()

    another_page.clock.fast_forward("01:00:00")
    another_page.clock.run_for(3_000)
    another_page.locator("table").get_by_role("link", name="req-before").wait_for(state="detached")
    until_state(another_page, "live")
    assert (server.opened, server.closed) == (2, 1)


def set_visibility(page: Page, state: str) -> None:
    page.evaluate(
        """(hidden) => {
            Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        state == "hidden",
    )


def test_ten_thousand_lines_are_kept_and_no_more(another_page: Page, watched: LiveGateway) -> None:
    server = PretendedServer(another_page)
    show_example(another_page, watched)
    until_state(another_page, "live")
    for number in range(55):
        lines = [[number * 200 + one, "info", "req", f"line {number * 200 + one}"] for one in range(200)]
        server.send("delta", lines=lines, skipped=1)
    another_page.get_by_text("line 10999", exact=True).wait_for()

    assert another_page.locator(".line").count() == 10_000
    assert another_page.get_by_text("line 999", exact=True).count() == 0


def test_another_build_asks_for_a_reload(browser: Page, watched: LiveGateway) -> None:
    show_example(browser, watched, version="0.0.1")

    until_state(browser, "new-version")
    assert browser.get_by_role("button", name="Reload").is_visible()


def test_without_a_session_it_says_so(browser: Page, watched: LiveGateway) -> None:
    browser.context.clear_cookies()
    show_example(browser, watched)

    until_state(browser, "signed-out")
    assert browser.get_by_role("button", name="Log in").is_visible()
