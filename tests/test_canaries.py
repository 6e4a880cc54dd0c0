"""Prompts, answers and secrets stay out of the log, the ledger and the pages, also after failures.

One gateway for each form of the log: everything is sent through it once, then all it has written is searched.
"""

from __future__ import annotations

import base64
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest

from accounts.values.sanitize import escape_controls
from proxy_site.emulator.delivery.behaviour import fault_named
from proxy_site.emulator.pretend_model.replies import function_call, text, thinking
from proxy_site.emulator.server import EmulatorServer
from proxy_site.emulator.state import Script
from tests.builders import a_thinking, a_tool, a_tool_result, a_tool_use, assistant, user
from tests.clients.raw_http import ask, request_bytes
from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from collections.abc import Iterator

AUTH_TOKEN = "canary-auth-token-1234"
PASSWORD = "canary-operator-password"
CANARY = "canary"
REQUEST_ID = "well-formed-id-1"
CLAUDE, GEMINI, JUDGE = "claude-sonnet-4-6", "gemini-3-flash", "gemini-2.5-flash"
INJECTION = "\x1b[2J\x1b[31mERROR forged"


class Evidence:
    """Everything that a gateway has written anywhere, after it has stopped."""

    def __init__(self, gateway: LiveGateway) -> None:
        self.gateway = gateway
        self.answers: list[str] = []
        self.rows: list[dict[str, Any]] = []
        self.activity = ""
        self.pages: dict[str, str] = {}
        self.files: dict[str, bytes] = {}

    @property
    def output(self) -> str:
        return self.gateway.output

    @property
    def log(self) -> list[str]:
        """Its lines after the banner."""
        return self.output.partition("Stop with Ctrl-C.\n")[2].rstrip("\n").split("\n")


@pytest.fixture(scope="module", params=["text", "json"])
def evidence(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    data_dir = tmp_path_factory.mktemp("data")
    settings = {
        "LOG_LEVEL": "debug",
        "LOG_FORMAT": request.param,
        "AUTH_TOKEN": AUTH_TOKEN,
        "WEBUI_PASSWORD": PASSWORD,
        "MAX_RETRIES": "3",
        "MAX_WAIT_BEFORE_ERROR_MS": "8000",
        "SAFEGUARDS_MODEL": JUDGE,
    }
    with EmulatorServer() as emulator, LiveGateway(emulator, data_dir, **settings) as gateway:
        evidence = Evidence(gateway)
        with watching(evidence):
            say_everything(evidence, emulator)
        look_at_pages(evidence)
        gateway.stop()
        evidence.files = {path.name: path.read_bytes() for path in data_dir.rglob("*") if path.is_file()}
        yield evidence


# Everything is sent


def say_everything(evidence: Evidence, emulator: EmulatorServer) -> None:
    emulator.state.lift_quotas()
    for model in (CLAUDE, GEMINI):
        for stream in (False, True):
            say_all_kinds(evidence, emulator, model=model, stream=stream)
    for stream in (False, True):
        have_calls_judged(evidence, emulator, stream=stream)
        search_the_web(evidence, stream=stream)
        go_wrong(evidence, emulator, stream=stream)
    knock_at_the_door(evidence)
    send(
        evidence,
        {"model": CLAUDE, "max_tokens": 50, "messages": [user("Hello")]},
        **{"x-request-id": REQUEST_ID},
    )


def say_all_kinds(evidence: Evidence, emulator: EmulatorServer, *, model: str, stream: bool) -> None:
    """A conversation with a canary in each place that words can be in."""
    emulator.state.reply(
        thinking("canary-answer-thinking"),
        text("canary-answer-text"),
        function_call("get_weather", {"city": "canary-answer-input"}),
    )
    send(evidence, a_body(user("canary-user-text"), model=model, stream=stream))
    conversation = [
        user("canary-user-text"),
        assistant(
            a_thinking("canary-thinking-text"),
            {"type": "text", "text": "canary-assistant-text"},
            a_tool_use(input={"city": "canary-tool-input"}),
        ),
        user(a_tool_result(content="canary-tool-result")),
    ]
    send(evidence, a_body(*conversation, model=model, stream=stream))
    odd = a_body(*conversation, model=model, stream=stream)
    for wrong in (
        {"tools": [{"name": "canary tool name!", "input_schema": {"type": "object"}}]},
        {"tool_choice": {"type": "canary-choice"}},
        {"thinking": {"type": "canary-thinking-type"}},
        {"messages": [{"role": "canary-role", "content": "Hello"}]},
        {"messages": [user({"type": "canary-type"})]},
        {"messages": [user({"type": "text", "text": ["canary-in-a-list"]})]},
        {"messages": [user(a_tool_result("toolu_canary_unknown"))]},
        {"system": {"type": "canary-system"}},
        {"stop_sequences": "canary-stop"},
        {"temperature": "canary-temperature"},
        {"metadata": {"user_id": "canary-user-id"}},
        {"output_config": {"effort": "canary-effort"}},
        {"service_tier": "canary-tier"},
    ):
        send(evidence, {**odd, **wrong})


def have_calls_judged(evidence: Evidence, emulator: EmulatorServer, *, stream: bool) -> None:
    """A canary in the rules, the context, the calls and the decisions; and a judge that fails in each way."""
    rules = {"soft_deny": [f"canary-rule {INJECTION}"], "hard_deny": [{"canary-rule-of": "a new kind"}]}
    context = {"auto_mode": rules, "live_cwd": "/canary-directory", "user_identity": "canary-person"}
    safeguards = [{"type": "dangerous_tool_use", "classifier_context": context}, {"type": "canary-safeguard"}]
    body = a_body(user("canary-user-text"), model=CLAUDE, stream=stream, safeguards=safeguards)
    decision = {
        "call": "call_1",
        "explanation": f"canary-explanation {INJECTION}",
        "cited_rule": "canary-cited",
        "outcome": "flagged",
    }
    good = orjson.dumps({"decisions": [decision]}).decode()
    call = function_call("get_weather", {"city": f"canary-call {INJECTION}"})
    mislabelled, cut = good.replace("call_1", "canary-label"), good[:-9]
    for answer in (good, mislabelled, cut, "canary-prose", "canary" * 50_000):
        emulator.state.reply(call, model=CLAUDE)
        emulator.state.reply(answer, model=JUDGE)
        send(evidence, body)
        emulator.state.clear_scripts()
    for name, parameters in FAULTS:
        emulator.state.reply(call, model=CLAUDE)
        emulator.state.add_script(Script(fault_named(name, **parameters), model=JUDGE))
        send(evidence, body)
        emulator.state.clear_scripts()
    for malformed in ("canary-safeguards", [{"type": "dangerous_tool_use", "classifier_context": "canary"}]):
        send(evidence, {**body, "safeguards": malformed})


def search_the_web(evidence: Evidence, *, stream: bool) -> None:
    """With a search, and where none can be made. The question comes back in the addresses of the sources."""
    search = {"type": "web_search_20250305", "name": "web_search"}
    question = user("canary-search-question")
    for tools in (
        [search],
        [{**search, "blocked_domains": ["canary-domain.example"]}],
        [{**search, "allowed_domains": ["https://canary-domain.example"]}],
        [{**search, "user_location": {"type": "approximate", "city": "canary-city"}}],
        [search, a_tool()],
    ):
        send(evidence, a_body(question, model=CLAUDE, stream=stream, tools=tools))
        assert "web_search_tool_result" in evidence.answers[-1]
        assert "canary-search-question" in evidence.answers[-1]
    history = [question, assistant("canary-search-answer"), user("canary-second-question")]
    send(evidence, a_body(*history, model=CLAUDE, stream=stream, tools=[search]))


def a_body(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    tool = a_tool(description="canary-tool-description")
    tool["input_schema"]["properties"]["city"]["description"] = "canary-property-description"
    return {
        "max_tokens": 4000,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "system": [{"type": "text", "text": "canary-system-prompt"}],
        "stop_sequences": ["canary-stop-sequence"],
        "tools": [tool],
        "messages": list(messages),
        **fields,
    }


QUOTED = "Odd: canary-quoted-by-google \x1b[31m\nforged line"
QUOTING_BODY = {"error": {"code": 400, "message": QUOTED, "status": "INVALID_ARGUMENT"}}
UNKNOWN_BODY = {"error": {"code": 500, "message": QUOTED, "status": "CANARY_STATUS_canary"}}
FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("invalid_argument", {"message": QUOTED}),
    ("claude_invalid_request", {"message": QUOTED}),
    (
        "claude_invalid_request",
        {"message": f"messages.1.content.0: Invalid `signature` in `thinking` {QUOTED}"},
    ),
    ("quota_exhausted", {"reset_after": 1.0, "model": "canary-model"}),
    ("rate_limited", {"delay": 0.2, "model": "canary-model"}),
    ("capacity_exhausted", {"delay": 0.2, "model": "canary-model"}),
    ("refuse", {"status": 500, "body": UNKNOWN_BODY}),
    ("refuse", {"status": 403, "body": QUOTING_BODY}),
    ("refuse", {"status": 404, "body": QUOTING_BODY}),
    ("refuse", {"status": 418, "body": "<html>canary-page</html>"}),
    ("refuse", {"status": 429, "body": {"error": {"code": 429, "message": QUOTED}}}),
    ("refuse", {"status": 200, "body": UNKNOWN_BODY}),
    ("refuse", {"status": 200, "body": "<html>canary-page</html>"}),
    ("error_mid_stream", {"body": QUOTING_BODY}),
    ("error_mid_stream", {"body": UNKNOWN_BODY}),
    ("ok_with_html", {}),
    ("empty_answer", {}),
    ("finish", {"reason": "CANARY_REASON_canary"}),
    ("truncated_json", {}),
    ("reset_after_first_byte", {}),
    ("close_before_headers", {}),
]


def go_wrong(evidence: Evidence, emulator: EmulatorServer, *, stream: bool) -> None:
    body = a_body(user("canary-user-text"), model=CLAUDE, stream=stream)
    for name, parameters in FAULTS:
        emulator.state.fault(name, **parameters)
        send(evidence, body)
        emulator.state.clear_scripts()


def knock_at_the_door(evidence: Evidence) -> None:
    """Wrong keys, forged ids, endless names, bodies that are none."""
    gateway, hello = evidence.gateway, a_body(user("canary-user-text"), model=CLAUDE)
    for key in ("canary-wrong-key", f"{AUTH_TOKEN}x"):
        send(evidence, hello, **{"x-api-key": key})
        send(evidence, hello, **{"x-api-key": "", "authorization": f"Bearer {key}"})
    for length in (10, 190, 1000, 100_000):
        send(evidence, {**hello, "model": f"model\x1b[31m\n\r\0\u2028\u202e{'x' * length}"})
    send(evidence, hello, **{"x-claude-code-session-id": "a\tsession"})
    for raw in (b'{"canary-broken', b'"canary"', b"\xff canary", b'{"canary": 1}'):
        answer = ask(
            gateway.url, request_bytes(body=raw, x_api_key=AUTH_TOKEN, content_type="application/json")
        )
        evidence.answers.append(answer.body.decode())
    content = orjson.dumps(hello)
    for injection in (INJECTION, "a\n b", "a\r\n b", "x" * 5000, "id with blanks", "<script>"):
        raw = request_bytes(body=content, x_api_key=AUTH_TOKEN, x_request_id=injection)
        evidence.answers.append(ask(gateway.url, raw).body.decode())
    for path in ("/v1/\x1b[31m", f"/v1/{'x' * 5000}", "/v1/%0aforged%1b[31m", "/%9b%ff"):
        ask(gateway.url, request_bytes("GET", path, x_api_key=AUTH_TOKEN), "GET")
    for password in ("canary-wrong-password", PASSWORD):
        name_and_password = base64.b64encode(f"admin:{password}".encode()).decode()
        httpx.get(f"{gateway.url}/health", headers={"authorization": f"Basic {name_and_password}"})


def send(evidence: Evidence, body: dict[str, Any], **headers: str) -> None:
    answer = httpx.post(
        f"{evidence.gateway.url}/v1/messages",
        content=orjson.dumps(body),
        headers={"content-type": "application/json", "x-api-key": AUTH_TOKEN, **headers},
        timeout=30,
    )
    evidence.answers.append(f"{answer.status_code} {answer.text}")


# Everything is looked at


@contextmanager
def watching(evidence: Evidence) -> Iterator[None]:
    """As a page does, until the last request has ended."""
    is_listening, has_heard_the_last = threading.Event(), threading.Event()

    def listen() -> None:
        with (
            httpx.Client(auth=("admin", PASSWORD), timeout=30) as client,
            client.stream("GET", f"{evidence.gateway.url}/api/activity") as answer,
        ):
            for piece in answer.iter_text():
                evidence.activity += piece
                is_listening.set()
                if REQUEST_ID in piece and "request_finished" in piece:
                    has_heard_the_last.set()
                    return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    assert is_listening.wait(10)
    yield
    assert has_heard_the_last.wait(20)
    thread.join(5)


def look_at_pages(evidence: Evidence) -> None:
    """With a session: a password is checked so slowly that a hundred pages would take a minute."""
    with httpx.Client(timeout=30, base_url=evidence.gateway.url) as client:
        client.get("/admin/login/")
        form = {
            "username": "admin",
            "password": PASSWORD,
            "csrfmiddlewaretoken": client.cookies["gateway_csrf"],
        }
        client.post("/admin/login/", data=form)
        evidence.rows = client.get("/api/requests?limit=500").raise_for_status().json()["requests"]
        for path in ("/account-limits", "/account-limits?format=table", "/api/stats/model", "/health"):
            evidence.pages[path] = client.get(path).raise_for_status().text
        for row in (row for row in evidence.rows if row["attempts"] > 1 or row["error"]):
            path = f"/api/requests/{row['request_id']}"
            evidence.pages[path] = client.get(path).raise_for_status().text


# And nothing is found


def around(word: str, text: str) -> list[str]:
    """The places where the word was found, for the failure message."""
    return [text[max(0, at.start() - 200) : at.end() + 100] for at in re.finditer(word, text)][:5]


def test_every_canary_was_sent(evidence: Evidence) -> None:
    """Otherwise nothing below means anything."""
    answers = "\n".join(evidence.answers)

    assert "canary-answer-text" in answers
    assert "canary-quoted-by-google" in answers
    assert "canary-explanation" in answers
    assert {row["request_class"] for row in evidence.rows} == {"messages", "safeguards"}
    assert {answer[:3] for answer in evidence.answers} >= {"200", "400", "401"}
    assert len(evidence.log) > 200
    assert evidence.activity.count("request_finished") > 50
    assert len(evidence.rows) > 50
    assert "proxy.sqlite3" in evidence.files


def test_no_canary_is_in_the_log(evidence: Evidence) -> None:
    assert around(CANARY, evidence.output) == []


def test_no_canary_is_in_any_file(evidence: Evidence) -> None:
    found = {name: around(CANARY, content.decode("latin1")) for name, content in evidence.files.items()}

    assert {name: places for name, places in found.items() if places} == {}


def test_no_canary_is_in_the_ledger_over_http(evidence: Evidence) -> None:
    assert around(CANARY, orjson.dumps(evidence.rows).decode()) == []
    assert {path: around(CANARY, page) for path, page in evidence.pages.items() if CANARY in page} == {}


def test_no_canary_is_in_the_activity_stream(evidence: Evidence) -> None:
    assert around(CANARY, evidence.activity) == []


@pytest.mark.parametrize("secret", ["emulator-access-", "emulator-refresh-", "emulator-client-secret"])
def test_no_secret_of_google_is_anywhere(secret: str, evidence: Evidence) -> None:
    said = [evidence.output, evidence.activity, *evidence.pages.values()]

    assert [around(secret, text) for text in said if secret in text] == []
    assert [name for name, content in evidence.files.items() if secret.encode() in content] == []


def test_no_control_character_is_in_the_log(evidence: Evidence) -> None:
    assert sorted({character for character in evidence.output if character < " "} - {"\n"}) == []
    assert sorted(set(evidence.output) & {chr(code) for code in range(0x7F, 0xA0)}) == []


def test_nothing_in_the_log_breaks_a_line_or_turns_its_direction(evidence: Evidence) -> None:
    assert [line[:300] for line in evidence.log if escape_controls(line) != line] == []


def test_every_text_in_the_ledger_fits_its_column(evidence: Evidence) -> None:
    """PostgreSQL would reject such a row, and a terminal would obey its control characters."""
    found = {
        (name, row[name][:40])
        for row in evidence.rows
        for name in ("client_model", "upstream_model", "account", "session_id", "error", "stop_reason")
        if len(row[name]) > 500 or escape_controls(row[name]) != row[name]
    }

    assert found == set()


def test_no_line_of_the_log_is_forged(evidence: Evidence) -> None:
    assert [line for line in evidence.log if line.lstrip().startswith(("ERROR forged", "forged"))] == []


def test_no_line_of_the_log_is_endless(evidence: Evidence) -> None:
    assert [line[:200] for line in evidence.log if len(line) > 4000] == []


def test_lines_carry_the_id_the_client_chose(evidence: Evidence) -> None:
    lines = [line for line in evidence.log if REQUEST_ID in line]

    assert len(lines) >= 2
    for line in lines:
        if line.startswith("{"):
            assert orjson.loads(line)["request_id"] == REQUEST_ID
        else:
            assert re.match(rf"\S+ \S+ \S+ +[A-Z]+ +{REQUEST_ID}: ", line)


def test_every_line_about_a_request_carries_an_id(evidence: Evidence) -> None:
    for line in evidence.log:
        if ": request: " in line or "→ claude" in line or "/v1/messages →" in line:
            assert re.search(r'(req_[0-9a-f]{24}|well-formed-id-1)(: |")', line), line


def test_no_unexpected_error_was_logged(evidence: Evidence) -> None:
    assert "Traceback" not in evidence.output
    assert "the gateway failed" not in evidence.output


def level_in(line: str) -> str:
    return line.split()[3].lower()


def test_every_line_has_its_form(evidence: Evidence) -> None:
    is_json = evidence.gateway.env["LOG_FORMAT"] == "json"

    levels = [orjson.loads(line)["level"] if is_json else level_in(line) for line in evidence.log]

    assert set(levels) >= {"debug", "info", "warning"}
