"""What Python can do to the emulator, HTTP can do too."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from proxy_site.emulator.__main__ import build_parser, build_state
from proxy_site.emulator.server import EmulatorServer
from tests.proxy_site.emulator.builders import a_text_request
from tests.proxy_site.emulator.streams import chunks_in, last_of, parts_in, stream, text_in

ADA = "ada@example.com"
REPOSITORY = Path(__file__).parents[3]


def control(http: httpx.Client, path: str, body: Any = None) -> Any:
    return http.post(f"/_control{path}", json=body or {}).json()


def test_it_lists_its_paths_and_faults(http: httpx.Client) -> None:
    index = http.get("/_control/").json()

    assert "POST /_control/faults" in index["paths"]
    assert "stall_mid_stream" in index["faults"]


def test_it_is_not_there_unless_asked_for() -> None:
    with EmulatorServer() as google:
        assert httpx.get(f"{google.url}/_control/").status_code == 404


def test_replies_are_queued_as_parts_or_as_raw_chunks(http: httpx.Client) -> None:
    call = {"functionCall": {"name": "Read", "args": {}}}
    control(http, "/replies", {"parts": ["Hello", call]})
    control(http, "/replies", {"chunks": [{"response": {}}], "model": "gemini-3-flash"})

    said = chunks_in(stream(http))

    assert text_in(said) == "Hello"
    assert parts_in(said)[-1]["functionCall"]["name"] == "Read"
    assert chunks_in(stream(http, a_text_request("gemini-3-flash"))) == [{"response": {}}]


def test_faults_are_named_with_their_parameters(http: httpx.Client) -> None:
    control(http, "/faults", {"fault": "capacity_exhausted", "delay": 5, "account": ADA})
    control(http, "/faults", {"faults": [{"fault": "crlf"}, {"fault": "finish", "reason": "OTHER"}]})

    assert stream(http).json()["error"]["details"][1]["retryDelay"] == "5s"
    answer = stream(http)
    assert b"\r\n\r\n" in answer.content
    assert last_of(chunks_in(answer), "finishReason") == "OTHER"


def test_scripts_can_be_cleared(http: httpx.Client) -> None:
    control(http, "/faults", {"fault": "internal", "times": None})

    assert http.delete("/_control/scripts").json() == {"pending_scripts": 0}
    assert stream(http).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/faults", {"fault": "earthquake"}),
        ("/faults", {}),
        ("/replies", {}),
        ("/accounts/nobody@example.com/revoke", {}),
        (f"/accounts/{ADA}/promote", {}),
        (f"/accounts/{ADA}/quota", {"pool": "tea", "remaining": 1}),
    ],
)
def test_a_mistake_is_answered_with_400_and_its_name(http: httpx.Client, path: str, body: Any) -> None:
    answer = http.post(f"/_control{path}", json=body)

    assert answer.status_code == 400
    assert "Error: " in answer.json()["error"]


def test_accounts_can_be_added_and_changed(google: EmulatorServer, http: httpx.Client) -> None:
    mary = control(http, "/accounts", {"email": "mary@example.com", "tier": "g1-ultra-tier"})
    assert mary["refresh_token"] == "emulator-refresh-mary"

    shown = control(http, f"/accounts/{ADA}/require_verification", {"url": "https://example.com/verify"})
    assert shown["verification_url"] == "https://example.com/verify"
    assert "refresh_token" not in shown
    assert stream(http).status_code == 403

    control(http, f"/accounts/{ADA}/restore")
    control(http, f"/accounts/{ADA}/quota", {"pool": "claude", "remaining": 0, "reset_in": 60})
    assert stream(http).status_code == 429

    emails = [account["email"] for account in http.get("/_control/accounts").json()["accounts"]]
    assert emails == [ADA, "grace@example.com", "linus@example.com", "mary@example.com"]


def test_the_clock_and_the_settings_can_be_changed(google: EmulatorServer, http: httpx.Client) -> None:
    before = google.state.clock.now()

    assert control(http, "/clock", {"seconds": 90})["now"] == before + 90
    control(http, "/settings", {"token_lifetime_seconds": 60, "minimum_client_version": "3.0.0"})
    control(http, "/settings", {"pace": {"chunk_count": 3}, "web_search_models": ["gemini-3-flash"]})

    assert google.state.token_lifetime_seconds == 60
    assert google.state.minimum_client_version == "3.0.0"
    assert google.state.pace.chunk_count == 3
    assert {tuple(account.web_search_models) for account in google.state.accounts} == {("gemini-3-flash",)}


def test_the_log_can_be_read_from_where_it_was_left(http: httpx.Client) -> None:
    stream(http)
    stream(http)

    first, second = http.get("/_control/log").json()["entries"]
    assert first["envelope"]["model"] == "claude-sonnet-4-6"
    assert (first["status"], first["outcome"], first["account"]) == (200, "answered", ADA)
    assert "authorization" not in first["headers"]

    later = http.get("/_control/log?after=1&envelopes=no").json()["entries"]
    assert [entry["number"] for entry in later] == [second["number"]]
    assert "envelope" not in later[0]
    assert http.get("/_control/counters").json()["received"] == 2
    http.delete("/_control/log")
    assert http.get("/_control/log").json()["entries"] == []


# As a process of its own


def test_it_runs_as_a_process_and_prints_the_settings(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "proxy_site.emulator", "--control"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        assert httpx.get(f"{url}/_control/counters").json()["received"] == 0
        process.send_signal(signal.SIGTERM)
        printed = process.stdout.read()
        assert f"CLOUDCODE_ENDPOINTS={url}" in printed
        assert f"Gemini API: {url}/gemini" in printed
        assert "AIza-emulator-ada" in printed
        assert process.wait(timeout=5) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_taken_port_is_said_in_a_sentence(
    google: EmulatorServer, capsys: pytest.CaptureFixture[str]
) -> None:
    from proxy_site.emulator.__main__ import main

    assert main(["--port", str(google.port)]) == 1
    assert "The emulator cannot start: " in capsys.readouterr().err


def test_accounts_can_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    rows = [
        {"email": "mary@example.com", "tier": "g1-ultra-tier", "requests": 7},
        {"email": "alan@example.com", "project": None, "refresh_token": "alans-own"},
    ]
    path.write_bytes(orjson.dumps(rows))

    state = build_state(build_parser().parse_args(["--accounts", str(path)]))

    mary, alan = state.accounts
    assert (mary.project, mary.quotas["claude"].limit) == ("emulator-project-mary", 7)
    assert (alan.project, alan.refresh_token, alan.tier) == (None, "alans-own", "free-tier")


def test_no_quota_runs_down_when_unlimited() -> None:
    state = build_state(build_parser().parse_args(["--unlimited"]))

    assert state.quota(ADA, "claude").limit is None
    assert all(state.quota(ADA, "claude").take(0) for _ in range(20_000))
