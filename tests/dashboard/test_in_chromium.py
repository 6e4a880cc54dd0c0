"""Every page of the dashboard in Chromium, in both themes and four widths, over a running demo."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse

from dashboard.formats import NONE
from dashboard.menu import MENU
from tests.accounts.chromium import open_chromium
from tests.dashboard.live.test_servers import HELLO
from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator, Page

    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.needs("chromium")

PASSWORD = "a long and good one"
OTHERS = {
    "a table of accounts": "/accounts?as=table",
    "an account": "/accounts/1",
    "a form for a server": "/accounts/add?kind=compatible",
    "a form for a sign-in": "/accounts/add?kind=google",
    "an error": "/accounts/nowhere/at/all",
    "Claude Code's settings": "/connect/claude-settings?models=gemini",
}
PAGES = ["overview", *[entry.url_name for entry in MENU[1:]], "account_add", "account_import", *OTHERS]
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = (360, 768, 1280, 1920)
FIRST_LINE = ("opus", "claude-opus-4-6-thinking", "gemini-3.1-pro-high")
NOTE_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) => console.error(`CSP: ${event.violatedDirective}`));
"""


@pytest.fixture(scope="module")
def demo(shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    settings = {"WEBUI_PASSWORD": PASSWORD, "CLAUDE_CONFIG_DIR": str(tmp_path_factory.mktemp("claude"))}
    gateway = LiveGateway(shared_emulator, tmp_path_factory.mktemp("data"), "--demo", **settings)
    gateway.start()
    yield gateway
    gateway.stop()


@pytest.fixture(scope="module")
def page(demo: LiveGateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Logged in."""
    with open_chromium(tmp_path_factory.mktemp("profile")) as page:
        page.goto(demo.url)
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("heading", name="Claude:").wait_for()
        page.add_init_script(NOTE_VIOLATIONS)
        yield page


def violations(page: Page) -> list[str]:
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


def overflow(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def answer_of(page: Page, label: str) -> Locator:
    """What stands beside a label of the overview's lists."""
    return page.locator(f"dt:text-is('{label}') + dd")


def complaints_of(page: Page) -> list[str]:
    """What the page's console says from now on."""
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_sound_in_each_theme_and_width(page: Page, demo: LiveGateway, name: str) -> None:
    path = OTHERS.get(name) or reverse(f"dashboard:{name}")
    expected = "404" if name == "an error" else "no error"
    complaints = complaints_of(page)
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(demo.url + path)
            assert overflow(page) == 0, (theme, width)
            if width in {360, 1280}:
                assert violations(page) == [], (theme, width)
    assert [text for text in complaints if expected not in text] == []


def test_the_menu_opens_on_a_phone(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 360, "height": 900})
    page.goto(demo.url)
    page.get_by_text("Menu", exact=True).click()
    page.get_by_role("link", name="Admin").click()
    page.wait_for_url("**/admin/**")


def test_a_list_that_is_not_followed_says_so(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{demo.url}/requests?q=hello")
    state, hold = page.locator("[data-live-state]"), page.get_by_role("button", name="Hold")

    page.get_by_role("button", name="Reload").wait_for()
    assert (state.text_content(), hold.is_visible()) == ("○ not live", False)

    page.get_by_role("searchbox").fill("")
    page.locator("[data-live-state][data-state=live]").wait_for()
    assert (hold.is_visible(), page.get_by_role("button", name="Reload").count()) == (True, 0)


def test_a_list_that_cannot_be_followed_says_so_before_the_socket_answers(
    page: Page, demo: LiveGateway
) -> None:
    other = page.context.new_page()
    other.route_web_socket("**/ws/live", lambda socket: None)
    other.goto(f"{demo.url}/requests?sort=slowest")
    other.locator("[data-live-state][data-state=still]").wait_for()
    other.close()


ROOM = """([field, text]) => {
  const probe = document.createElement("span"), style = getComputedStyle(field);
  probe.style.cssText = "position: absolute; white-space: pre";
  probe.textContent = text;
  field.parentNode.append(probe);
  const { width } = probe.getBoundingClientRect();
  probe.remove();
  return field.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - width;
}"""


@pytest.mark.parametrize("width", [1280, 1920])
def test_the_search_shows_what_it_takes_and_what_is_chosen(page: Page, demo: LiveGateway, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{demo.url}/requests?model=gemini-3.1-pro-high")
    arrow = 16
    search, model = page.locator("[data-search]"), page.get_by_label("Model", exact=True)
    assert page.evaluate(ROOM, [search.element_handle(), search.get_attribute("placeholder")]) >= 0
    assert page.evaluate(ROOM, [model.element_handle(), "gemini-3.1-pro-high"]) >= arrow


def test_counts_of_tabs_follow_what_happens(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{demo.url}/requests")
    page.locator("[data-live-state][data-state=live]").wait_for()
    before = page.locator("#count-all").text_content()

    httpx.post(f"{demo.url}/v1/messages", json=HELLO, timeout=20)

    page.locator("#count-all").filter(has_not_text=before).wait_for()


def test_without_a_socket_the_list_stays(page: Page, demo: LiveGateway) -> None:
    other = page.context.new_page()
    other.route_web_socket("**/ws/live", lambda socket: None)
    other.goto(f"{demo.url}/requests")
    other.wait_for_timeout(1500)
    assert other.locator("tbody tr").count() >= 50
    other.close()


CUT_CELLS = """() => [...document.querySelectorAll(".requests tbody :is(.model, .account, .note)")]
  .filter((cell) => cell.textContent.trim() && !cell.matches("[data-none]"))
  .filter((cell) => cell.scrollWidth > cell.clientWidth || !cell.clientWidth)
  .map((cell) => cell.textContent)"""


@pytest.mark.parametrize("width", WIDTHS)
def test_models_accounts_and_reasons_are_whole(page: Page, demo: LiveGateway, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{demo.url}/requests?errors=1")
    page.locator("tbody .note", has_text="broke off").wait_for()
    page.locator("[data-state=failed]").first.wait_for()
    assert page.evaluate(CUT_CELLS) == []

    page.goto(f"{demo.url}/requests")
    assert page.locator("tbody .account").count() >= 50
    page.locator("[data-state=good]").first.wait_for()

    assert page.evaluate(CUT_CELLS) == []
    assert page.locator("tbody .account[title='ada@example.com']").count() > 0


HEADS_AWAY = """() => {
  const ends = (cells) => [...cells].map((cell) => {
    const range = document.createRange();
    range.selectNodeContents(cell);
    return Math.round(range.getBoundingClientRect().right);
  });
  const heads = ends(document.querySelectorAll(".requests th.number"));
  const numbers = ends(document.querySelectorAll(".requests tbody tr:last-child td.number"));
  return heads.map((end, index) => end - numbers[index]);
}"""


@pytest.mark.parametrize("path", ["/", "/requests"])
def test_the_head_of_a_column_ends_where_its_numbers_end(page: Page, demo: LiveGateway, path: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(demo.url + path)
    page.locator("[data-state=good]").first.wait_for()
    assert page.evaluate(HEADS_AWAY) == [0, 0, 0, 0]


HYPHENS = """async selector => {
  await document.fonts.ready;  // the font that stands in for a while has figures of other widths
  const cell = document.querySelector(selector);
  const widthOf = (text) => {
    const probe = document.createElement("span");
    probe.style.position = "absolute";
    probe.textContent = text;
    cell.append(probe);
    const { width } = probe.getBoundingClientRect();
    probe.remove();
    return width;
  };
  return [widthOf("-"), widthOf("0"), widthOf("1")];
}"""


def test_figures_are_of_one_width_but_hyphens_of_names_are_narrow(page: Page, demo: LiveGateway) -> None:
    page.goto(f"{demo.url}/requests?errors=1")
    page.locator("tbody td.number").first.wait_for()
    # Found and measured at once, since a row may be drawn again at any time.
    hyphen, zero, _ = page.evaluate(HYPHENS, "tbody td.model")
    assert 0 < hyphen < 0.8 * zero
    _, zero, one = page.evaluate(HYPHENS, "tbody td.number")
    assert 0 < zero == one


BROKEN_NAMES = """() => [...document.querySelectorAll(".requests tbody .model span")]
  .filter((name) => name.getClientRects()[0].height > 30).map((name) => name.textContent)"""


@pytest.mark.parametrize("width", [360, 768, 1280, 1920])
def test_a_name_of_a_model_is_on_one_line(page: Page, demo: LiveGateway, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{demo.url}/requests?model=claude-opus-4-6-thinking")
    page.locator("[data-state=good]").first.wait_for()

    two = page.locator("tbody .model", has_text="claude-opus-4-6 → claude-opus-4-6-thinking").first
    assert two.locator("span").all_text_contents() == ["claude-opus-4-6", "→ claude-opus-4-6-thinking"]
    assert page.evaluate(BROKEN_NAMES) == []


@pytest.mark.parametrize("path", ["/settings", "/models"])
def test_cards_end_at_the_same_edge(page: Page, demo: LiveGateway, path: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(demo.url + path)
    ends = page.locator(".setting, .columns, .card:not(.setting, .preset)").evaluate_all(
        "all => all.map(one => Math.round(one.getBoundingClientRect().right))"
    )
    assert set(ends) == {1260}


def test_a_phone_shows_all_of_a_model(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 360, "height": 900})
    page.goto(f"{demo.url}/models?all=1")

    for table in page.locator(".scroll").all():
        assert table.evaluate("one => one.scrollWidth - one.clientWidth") == 0
    assert re.search(r"\d+ to \d+\s%", " ".join(page.locator(".models .left").all_inner_texts()))
    opus = page.locator(".answers tbody tr").first.inner_text()
    assert re.search(r"^opus.*\sclaude-opus-4-6-thinking\s.*\sgemini-3.1-pro-high ", opus, re.DOTALL)
    widths = page.locator("#map label").evaluate_all("all => all.map(one => one.clientWidth)")
    assert min(widths) > 200


def test_the_overview_leads_to_what_made_a_request_slow(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(demo.url)
    page.get_by_role("button", name="Hide names").click()
    answer_of(page, "Slowest").get_by_role("link").click()
    heading = page.get_by_role("heading", level=1)
    assert re.search(r"^•+ gave no answer for 30\s+s\.$", heading.inner_text())
    course = r"Answered by •+ in 41\s+s, 32\s+s of it to the first event\."
    assert re.search(course, page.locator("article.request").inner_text())
    page.get_by_role("button", name="Show names").click()
    assert "grace@example.com gave no answer" in heading.inner_text()


LABELS = """() => [...document.querySelectorAll(".board :is(h2, dt)")].map((label) => {
  if (label.localName === "h2") return [label.textContent, ""];
  const answer = label.nextElementSibling.cloneNode(true);
  answer.querySelectorAll(".small, .why, [aria-hidden]").forEach((quiet) => quiet.remove());
  answer.querySelectorAll("time").forEach((time) => { time.textContent = "15:04"; });  // on any day one word
  return [label.textContent, answer.textContent.trim()];
})"""
WORD = re.compile(r"\S*\w\S*")
GLANCE_SECONDS = 0.25
"""About what a reader takes for a word, or for a label that is only passed."""
PLACES = "all => all.map(one => [one.getBoundingClientRect().left, one.getBoundingClientRect().bottom])"


def test_each_answer_of_the_overview_is_read_within_five_seconds(page: Page, demo: LiveGateway) -> None:
    """By somebody who passes each label from the top of the page down to the one that is looked for."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(demo.url)
    found = page.evaluate(LABELS)
    assert [label for label, answer in found if answer] == [
        *("Out of quota", "Tonight", "Hangs", "opus is", "To do"),
        *("Last failed", "Slowest", "Most used by", "From cache"),
    ]
    glances = {
        label: place + len(WORD.findall(answer)) for place, (label, answer) in enumerate(found, start=2)
    }
    assert max(glances.values()) * GLANCE_SECONDS <= 5, glances


def test_labels_and_answers_of_the_overview_stand_in_columns(page: Page, demo: LiveGateway) -> None:
    for width, columns in ((1280, 2), (1000, 1), (390, 1)):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(demo.url)
        for part in ("dt", "dd"):
            places = page.locator(f".board {part}").evaluate_all(PLACES)
            assert len({left for left, _ in places}) == columns, (width, part)
            assert max(bottom for _, bottom in places) < 720, "seen without scrolling"


def test_an_id_leads_from_the_overview_to_its_request(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{demo.url}/requests")
    href = page.locator("tbody a[data-row]").first.get_attribute("href")
    assert href is not None
    page.goto(demo.url)
    page.keyboard.press("/")
    page.keyboard.type(href.removeprefix("/requests/"))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{href}")


def test_an_id_that_is_pasted_into_the_overview_needs_no_enter(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{demo.url}/requests")
    href = page.locator("tbody a[data-row]").first.get_attribute("href")
    assert href is not None
    page.goto(demo.url)
    page.keyboard.press("/")
    with page.expect_response("**/requests?q=**") as answer:
        page.keyboard.insert_text(href.removeprefix("/requests/")[:-1])
    assert answer.value.status == 204
    assert page.url == f"{demo.url}/"
    page.keyboard.insert_text(href[-1])
    page.wait_for_url(f"**{href}")


def test_a_browser_at_an_unknown_path_gets_a_page_and_a_client_json(page: Page, demo: LiveGateway) -> None:
    answer = page.goto(f"{demo.url}/nope")
    assert answer is not None
    assert answer.status == 404
    page.get_by_role("heading", name="There is no such page").wait_for()
    assert httpx.get(f"{demo.url}/nope").json()["error"]["type"] == "not_found_error"
    as_browser = {"accept": "text/html"}
    assert httpx.get(f"{demo.url}/v1/nope", headers=as_browser).json()["type"] == "error"
    assert httpx.get(f"{demo.url}/healthz", headers=as_browser).headers["content-type"] == "application/json"


def test_an_id_that_is_pasted_outside_of_a_field_opens_its_request(page: Page, demo: LiveGateway) -> None:
    page.goto(f"{demo.url}/requests")
    href = page.locator("tbody a[data-row]").first.get_attribute("href")
    assert href is not None
    page.goto(f"{demo.url}/logs")
    field = page.get_by_label("Filter", exact=True)
    field.fill(f"what became of request-id: {href.removeprefix('/requests/')}?")
    field.select_text()
    page.keyboard.press("Control+C")
    page.goto(f"{demo.url}/usage")
    page.keyboard.press("Control+V")
    page.wait_for_url(f"**{href}")
    session = page.locator(".facts").get_by_role("link", name=re.compile("^[0-9a-f-]{36}$")).inner_text()
    page.goto(f"{demo.url}/logs")
    field.fill(session)
    field.select_text()
    page.keyboard.press("Control+C")
    page.goto(demo.url)
    assert page.locator("[data-search]").get_attribute("placeholder") == "An id? Ctrl+V"
    page.keyboard.press("Control+V")
    page.wait_for_url(f"**/requests?q={session}")
    page.goto(f"{demo.url}/logs")
    field.fill(href.removeprefix("/requests/")[:-1])
    field.select_text()
    page.keyboard.press("Control+C")
    page.goto(demo.url)
    page.keyboard.press("Control+V")
    page.keyboard.press("Enter")
    page.locator(f"tbody a[href='{href}']").first.wait_for()


def test_an_unknown_id_that_is_pasted_into_the_overview_is_said_to_be_one(
    page: Page, demo: LiveGateway
) -> None:
    page.goto(demo.url)
    page.get_by_label("A request's id").focus()
    page.keyboard.insert_text("req_" + "0" * 24)
    page.get_by_text("No request has this id.").wait_for()


@pytest.mark.parametrize("width", [360, 390])
def test_a_phone_shows_the_names_of_the_heading_whole_and_what_failed_at_once(
    page: Page, demo: LiveGateway, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(demo.url)
    name = page.locator("#heading .whole .whole")
    assert name.inner_text() == "(gpt-oss:120b-cloud)"
    box = name.bounding_box()
    assert box is not None
    assert box["height"] < 30, "on one line"
    for shown in (answer_of(page, "Last failed").get_by_role("link"), page.locator(".tile h2").first):
        box = shown.bounding_box()
        assert box is not None
        assert box["y"] < 720


def test_a_failed_row_looks_like_a_link_and_opens_wherever_it_is_clicked(
    page: Page, demo: LiveGateway
) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{demo.url}/requests?errors=1")
    page.locator("[data-state=failed]").first.wait_for()
    link = page.locator("tbody a[data-row]").first
    assert "underline" in link.evaluate("one => getComputedStyle(one).textDecorationLine")
    href, note = link.get_attribute("href"), page.locator(".note").first.bounding_box()
    assert note is not None
    page.mouse.click(note["x"] + 5, note["y"] + 5)
    page.wait_for_url(f"**{href}")


def test_what_answers_stands_in_the_line_of_its_name(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"{demo.url}/models")
    opus = page.locator(".answers tbody tr").first.locator("b")
    tops = opus.evaluate_all("all => all.map((one) => one.getBoundingClientRect().bottom)")
    name, answer, then = (tops[opus.all_inner_texts().index(text)] for text in FIRST_LINE)
    assert max(name, answer, then) - min(name, answer, then) < 5


def test_the_lines_to_copy_come_first(page: Page, demo: LiveGateway) -> None:
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(f"{demo.url}/connect")
        steps = page.locator("main h2").evaluate_all(
            "all => all.map((one) => one.getBoundingClientRect().top)"
        )
        assert steps == sorted(steps)
        assert page.locator("#lines").evaluate("one => one.getBoundingClientRect().bottom") < 400


def test_a_phone_shows_the_address_whole(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 360, "height": 900})
    page.goto(f"{demo.url}/connect")
    assert page.locator("#lines").evaluate("one => one.scrollWidth - one.clientWidth") == 0


@pytest.mark.parametrize("by", ["client", "session"])
def test_a_phone_shows_all_of_the_usage(page: Page, demo: LiveGateway, by: str) -> None:
    page.set_viewport_size({"width": 360, "height": 900})
    page.goto(f"{demo.url}/usage?by={by}")
    table = page.get_by_role("group", name="Usage")
    assert table.evaluate("one => one.scrollWidth - one.clientWidth") == 0
    assert (
        page.locator(".usage .name").evaluate_all(
            "all => all.filter(one => one.scrollWidth > one.clientWidth)"
        )
        == []
    )


ENDS = "all => all.map(one => [one.getBoundingClientRect().left, one.getBoundingClientRect().right])"


@pytest.mark.parametrize("span", ["1h", "6h", "24h", "7d", "30d"])
def test_labels_of_the_chart_are_within_it_and_apart(page: Page, demo: LiveGateway, span: str) -> None:
    for width in (360, 390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(f"{demo.url}/?span={span}")
        ((_, end),) = page.locator(".card:has(> .chart)").evaluate_all(ENDS)
        labels = page.locator(".chart .x text").evaluate_all(ENDS)
        shown = [(left, right) for left, right in labels if right > left]
        assert shown[-1][1] < end - 2, width
        assert all(left - right > 4 for (_, right), (left, _) in pairwise(shown)), width


def test_the_menu_of_a_phone_opens_over_the_page(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{demo.url}/usage")
    summary, heading = page.get_by_text("Menu", exact=True), page.locator("#heading")
    before = (summary.bounding_box(), heading.bounding_box())
    summary.click()
    page.get_by_role("button", name="Log out").wait_for()
    assert (summary.bounding_box(), heading.bounding_box()) == before
    assert violations(page) == []


def test_the_mark_of_what_is_live_ends_where_the_page_ends(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(demo.url)
    mark = page.locator("[data-live-state][data-state]")
    mark.wait_for()
    text_end = """one => {
      const range = document.createRange();
      range.selectNodeContents(one);
      return Math.round(range.getBoundingClientRect().right);
    }"""
    assert mark.evaluate(text_end) == 1260


def test_a_card_of_an_account_is_as_high_as_what_is_in_it(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{demo.url}/accounts")
    between = page.locator(".card.account").evaluate_all("""all => all.map((card) => {
      const edges = [...card.children].map((child) => child.getBoundingClientRect());
      const { bottom } = card.getBoundingClientRect();
      const gaps = edges.slice(1).map((edge, index) => edge.top - edges[index].bottom);
      return Math.max(bottom - edges.at(-1).bottom, ...gaps);
    })""")
    assert max(between) < 20


def test_a_phone_shows_who_asked_and_no_dash_without_a_head(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{demo.url}/requests")
    page.locator("[data-state=good]").first.wait_for()
    assert page.locator("tbody .client").first.is_visible()
    assert NONE not in page.locator("tbody").inner_text().split("\n")
    page.goto(f"{demo.url}/requests?errors=1")
    page.locator("[data-state=failed]").first.wait_for()
    assert NONE not in page.locator("tbody").inner_text().split("\n")


def test_a_phone_shows_who_uses_most_at_a_glance(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{demo.url}/usage?by=client")
    bars = [right - left for left, right in page.locator(".usage .bar rect").evaluate_all(ENDS)]
    assert bars[0] > 200
    assert bars == sorted(bars, reverse=True)


def test_a_phone_breaks_the_lines_to_copy_before_the_address(page: Page, demo: LiveGateway) -> None:
    for width in (360, 390):
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(f"{demo.url}/connect")
        rows_of_address = page.locator("#lines").evaluate("""lines => {
          const text = [...lines.childNodes].find((node) => node.data?.startsWith("http"));
          const range = document.createRange();
          range.setStart(text, 0);
          range.setEnd(text, text.data.indexOf("\\n"));
          return range.getClientRects().length;
        }""")
        assert rows_of_address == 1
        assert "URL=http://127" in (page.locator("#lines").text_content() or "")


def test_a_phone_shows_a_model_in_a_few_lines(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{demo.url}/models")
    heights = page.locator(".models tbody tr").evaluate_all("all => all.map(one => one.clientHeight)")
    assert max(heights) < 90
    assert page.evaluate("document.documentElement.scrollHeight") < 2400

    page.locator(".answers a", has_text="mapped below").first.click()
    assert page.locator(".models tr:target .name").inner_text().startswith("opus → claude-opus-4-6-thinking")
    first = page.locator(".others tbody tr").first
    assert not first.is_visible()
    page.locator(".others summary").click()
    assert first.is_visible()


def test_the_parts_of_a_setting_stand_at_equal_distances(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{demo.url}/settings")
    gaps = page.locator(".setting").first.evaluate("""card => {
      const seen = [...card.children].filter((child) => child.checkVisibility());
      const edges = seen.map((child) => child.getBoundingClientRect());
      return edges.slice(1).map((edge, index) => Math.round(edge.top - edges[index].bottom));
    }""")
    assert set(gaps) == {8}


@pytest.mark.parametrize("path", ["/accounts", "/usage", "/models"])
def test_a_phone_has_the_live_mark_beside_the_title(page: Page, demo: LiveGateway, path: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(demo.url + path)
    mark = page.locator("[data-live-state=''][data-state]")
    mark.wait_for()
    box, title = mark.bounding_box(), page.locator("#heading").bounding_box()
    assert box is not None
    assert title is not None
    assert box["x"] + box["width"] == pytest.approx(378)
    assert abs(box["y"] + box["height"] / 2 - title["y"] - title["height"] / 2) < 4


LOW_TARGETS = """() => [...document.querySelectorAll("a, button")]
  .filter((one) => one.checkVisibility() && !one.closest(".skip, .cover, [data-row]"))
  .filter((one) => one.getBoundingClientRect().height < 24).map((one) => one.outerHTML)"""


@pytest.mark.parametrize("path", ["/", "/requests", "/accounts", "/models", "/connect", "/usage?by=session"])
def test_a_phone_has_targets_as_high_as_a_finger_needs(page: Page, demo: LiveGateway, path: str) -> None:
    page.set_viewport_size({"width": 360, "height": 900})
    page.goto(demo.url + path)
    page.get_by_text("Menu", exact=True).click()
    page.get_by_role("button", name="Log out").wait_for()
    assert page.evaluate(LOW_TARGETS) == []


WHOLE_NAMES = """() => [...document.querySelectorAll(".requests tbody :is(.account, .end)")]
  .filter((cell) => cell.getBoundingClientRect().height > 32).map((cell) => cell.textContent)"""


def test_a_phone_keeps_addresses_on_one_line_beside_any_outcome(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 360, "height": 900})
    page.goto(f"{demo.url}/requests?sort=slowest")
    page.locator("tbody tr", has_text="3 tries").first.wait_for()
    assert page.evaluate(WHOLE_NAMES) == []


def test_before_a_test_message_there_is_no_box_for_its_answer(page: Page, demo: LiveGateway) -> None:
    page.goto(f"{demo.url}/connect")
    box = page.locator("[data-answer]").bounding_box()
    assert box is None or box["height"] == 0
    form, button = (
        page.locator("[data-try]").bounding_box(),
        page.get_by_role("button", name="Send").bounding_box(),
    )
    assert form is not None
    assert button is not None
    below = form["y"] + form["height"] - button["y"] - button["height"]
    assert below < 20, "nothing but the card's own edge"


def test_a_table_shows_that_it_goes_on(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 360, "height": 900})
    page.goto(f"{demo.url}/usage?span=7d")
    table = page.get_by_role("group", name="Requests by weekday and hour")
    assert table.evaluate("one => one.scrollWidth - one.clientWidth") > 0
    assert "100% 50%" in table.evaluate("one => getComputedStyle(one).backgroundPosition")


def test_a_log_line_leads_to_its_request_and_hides_names(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    of_google = {**HELLO, "model": "claude-opus-4-6-thinking"}
    httpx.post(f"{demo.url}/v1/messages", json=of_google, timeout=20)
    page.goto(f"{demo.url}/logs")
    address = page.locator("[data-log] [data-private]", has_text="@example.com").first
    address.wait_for()
    page.get_by_role("button", name="Hide names").click()
    assert address.evaluate("(element) => getComputedStyle(element).webkitTextSecurity") == "disc"

    page.locator("[data-log] .line", has_text="end_turn").locator("a").first.click()
    page.locator("#request-id").wait_for()
    page.goto(f"{demo.url}/requests")
    account = page.locator("[data-state=good] .account[title*='@example.com']").first
    account.hover()
    page.locator(".account[title='']:hover").wait_for()  # requests come in meanwhile
    page.get_by_role("button", name="Show names").click()
    assert page.locator(".account[title='']").count() == 0


def test_log_lines_are_whole_and_begin_alike(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 768, "height": 500})
    page.goto(f"{demo.url}/logs")
    log = page.locator("[data-log]")
    without_id = log.locator(".line", has_text="The demo sends")
    without_id.wait_for()
    for _ in range(7):
        httpx.post(f"{demo.url}/v1/messages", json=HELLO, timeout=20)
    log.locator("a").nth(6).wait_for()

    left = "one => Math.round(one.getBoundingClientRect().left)"
    assert without_id.locator("[data-cell=text]").evaluate(left) == log.locator("a").first.evaluate(left)
    tops = log.evaluate("""log => [...log.children].map((line) =>
        (line.getBoundingClientRect().top - log.getBoundingClientRect().top - log.clientTop) % 19)""")
    assert log.evaluate("log => log.scrollTop") > 0
    assert {round(top, 1) for top in tops} == {0.0}


def test_a_log_that_is_held_stays_where_it_is(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 1280, "height": 500})
    page.goto(f"{demo.url}/logs")
    log = page.locator("[data-log]")
    for _ in range(12):
        httpx.post(f"{demo.url}/v1/messages", json=HELLO, timeout=20)
    log.locator("a").nth(11).wait_for()
    before = log.bounding_box()
    log.evaluate("log => log.scrollTo(0, 0)")
    page.get_by_text("held since").wait_for()
    assert log.bounding_box() == before, "a note above it would move a link from under the pointer"
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("held since").wait_for(state="hidden")


def test_a_log_without_a_line_says_what_to_do(page: Page, demo: LiveGateway) -> None:
    page.goto(f"{demo.url}/logs?level=warning&q=no-line-has-this")
    page.get_by_text("No line matches “no-line-has-this” from level warning on.").wait_for()

    page.get_by_role("button", name="Show all levels").click()
    page.get_by_text("from level debug on.").wait_for()
    page.get_by_role("button", name="Clear the filter").click()

    page.locator("[data-log] .line").first.wait_for()
    assert page.get_by_text("No line").is_hidden()


@pytest.mark.parametrize("wait_ms", [0, 402])
def test_a_pasted_id_leads_to_its_page(page: Page, demo: LiveGateway, wait_ms: int) -> None:
    """With Enter at once, or while the search that began by itself is under way."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{demo.url}/requests")
    path = page.locator("[data-row]").nth(3).get_attribute("href") or ""
    complaints = complaints_of(page)
    page.locator("[data-search]").focus()
    page.keyboard.insert_text(path.removeprefix("/requests/"))
    page.wait_for_timeout(wait_ms)
    page.keyboard.press("Enter")
    page.locator("#request-id").wait_for()
    assert page.url == f"{demo.url}{path}"

    assert complaints == []


def test_keys_go_to_a_page_and_help(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{demo.url}/?span=7d")
    page.locator(".wide [data-live-badge=requests]").evaluate("badge => badge.textContent = '3'")
    page.keyboard.press("?")
    help_of_keys = page.get_by_role("dialog", name="Keys")
    help_of_keys.wait_for()
    assert help_of_keys.get_by_role("heading").all_inner_texts() == [
        "Keys",
        "On each page",
        "In a list",
        "To a page: g, then a letter",
    ]
    assert help_of_keys.locator("dd", has_text="Requests").text_content() == "Requests", "without the badge"
    assert violations(page) == []
    page.get_by_role("button", name="Turn these keys off").click()
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    assert page.url.endswith("/?span=7d"), "they are off"
    page.get_by_role("button", name="Keys", exact=True).click()
    page.get_by_role("button", name="Turn these keys on").click()
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    page.wait_for_url("**/?span=1h")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.wait_for_url(demo.url + "/")


def test_claude_codes_settings_are_written_and_put_back(page: Page, demo: LiveGateway) -> None:
    file = Path(demo.env["CLAUDE_CONFIG_DIR"]) / "settings.json"
    file.write_text('{"model": "opus"}')
    page.goto(f"{demo.url}/connect?models=gemini")
    page.get_by_role("link", name="Write into Claude Code's settings").click()
    assert "ANTHROPIC_DEFAULT_HAIKU_MODEL" in (page.get_by_label("What changes").text_content() or "")
    page.get_by_role("button", name="Write it").click()
    page.get_by_text("Wrote this gateway into").wait_for()
    assert demo.url in file.read_text()
    page.get_by_role("link", name="Write into Claude Code's settings").click()
    page.get_by_role("link", name="settings.json.before-gateway").click()
    page.get_by_role("button", name="Restore it").click()
    page.get_by_text("Put an older copy").wait_for()
    assert file.read_text() == '{"model": "opus"}'


def test_the_chart_fills_the_height_beside_the_quotas(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 1920, "height": 900})
    page.goto(demo.url)

    chart, quotas = page.locator(".with-side > .card").evaluate_all(
        "cards => cards.map(card => card.getBoundingClientRect().height)"
    )
    assert chart == quotas
    card, legend = page.locator(".with-side .legend, .with-side > .card:first-child").evaluate_all(
        "parts => parts.map(part => part.getBoundingClientRect().bottom)"
    )
    assert abs(card - legend) < 30, "nothing but the card's own edge below the chart"


def test_the_overview_loads_what_has_changed_once_it_is_seen(page: Page, demo: LiveGateway) -> None:
    complaints = complaints_of(page)
    page.goto(f"{demo.url}/?span=6h")
    mark = "for (const id of ['now', 'heading']) document.getElementById(id).dataset.old = ''"
    hide = "hidden => Object.defineProperty(document, 'hidden', {get: () => hidden, configurable: true})"
    page.evaluate(mark)

    page.evaluate(hide, True)
    page.evaluate("document.body.dispatchEvent(new Event('live:quota'))")
    page.wait_for_timeout(300)
    assert page.locator("[data-old]").count() == 2

    page.evaluate(hide, False)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.locator("#now:not([data-old])").wait_for()
    assert page.locator("[data-old]").count() == 0
    assert page.get_by_text("in 6\N{NO-BREAK SPACE}h", exact=True).is_visible()
    assert page.get_by_role("heading", name="Claude:").is_visible()
    assert complaints == []


def test_a_choice_of_models_is_kept_used_and_forgotten(page: Page, demo: LiveGateway) -> None:
    page.set_viewport_size({"width": 360, "height": 900})
    page.goto(f"{demo.url}/connect?models=own&opus=gemini-3-flash")
    page.get_by_label("Keep these models as").fill("Night shift, with a name as long as one may be, 50")
    page.keyboard.press("Enter")
    page.get_by_text("Kept the models as").wait_for()
    assert (overflow(page), violations(page)) == (0, [])
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{demo.url}/connect")
    page.get_by_role("link", name="Night shift").click()
    assert "OPUS_MODEL=gemini-3-flash" in (page.locator("#lines").text_content() or "")
    page.get_by_role("button", name="Forget Night shift").click()
    page.get_by_text("Forgot the models kept as").wait_for()


def set_zone(page: Page, name: str) -> None:
    page.context.new_cdp_session(page).send("Emulation.setTimezoneOverride", {"timezoneId": name})


def test_in_utc_there_is_no_other_zone_to_choose(page: Page, demo: LiveGateway) -> None:
    other = page.context.new_page()
    set_zone(other, "UTC")
    other.goto(demo.url)
    other.get_by_text("Times in UTC, which is this browser's zone").wait_for()
    assert other.get_by_role("button", name="Times in").count() == 0
    other.close()


def test_times_are_in_the_browsers_zone_or_utc(page: Page, demo: LiveGateway) -> None:
    set_zone(page, "Asia/Tokyo")
    page.goto(demo.url)
    zone = page.get_by_role("button", name="Times in")
    zone.click()
    assert zone.text_content() == "Times in UTC"
    zone.click()
    assert zone.text_content() == "Times in Asia/Tokyo"
    assert "UTC" in (zone.get_attribute("title") or "")
    set_zone(page, "")


def test_without_javascript_a_page_says_that_it_is_not_live(page: Page, demo: LiveGateway) -> None:
    html = page.context.request.get(demo.url).text()
    assert "<noscript>Not live: JavaScript is off" in html
