"""What an older version has written is still there, and says the same, after an update."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from tests.live_gateway import clean_environment, manage

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

REQUEST = """
    INSERT INTO gateway_requestlog (id, instance_id, request_id, started_at, client, session_id, client_model,
        upstream_model, account, is_stream, stepped_in, problem, status, error, stop_reason, attempts,
        waited_seconds, first_event_seconds, duration_seconds, request_bytes, response_bytes, input_tokens)
    VALUES (?, 1, ?, '2026-11-24 10:15:00', 'loopback', '', 'sonnet', 'claude-sonnet-4-6', 'ada@example.com',
        1, 0, ?, 200, '', 'end_turn', ?, 0, 0.5, ?, 300, 900, 100)
"""
ATTEMPT = """
    INSERT INTO gateway_requestattempt (request_id, number, account, model, endpoint, started_at,
        waited_seconds, took_seconds, reason, decision, input_tokens)
    VALUES (?, ?, 'ada@example.com', 'claude-sonnet-4-6', ?, '2026-11-24 10:15:00', 0, 2, ?, '', ?)
"""
FIRST, SECOND = "https://first.example", "https://second.example"


def test_the_only_attempt_of_an_answer_moves_into_the_request(tmp_path: Path) -> None:
    env = clean_environment(tmp_path)
    assert manage("migrate", "gateway", "0002", "-v0", env=env).returncode == 0
    with sqlite3.connect(tmp_path / "proxy.sqlite3") as database:
        database.execute(REQUEST, (1, "at-once", None, 1, 2.0))
        database.execute(ATTEMPT, (1, 1, FIRST, "answered", 100))
        database.execute(REQUEST, (2, "two-tries", None, 2, 2.0))
        database.execute(ATTEMPT, (2, 1, FIRST, "no capacity", 0))
        database.execute(ATTEMPT, (2, 2, SECOND, "answered", 100))
        database.execute(REQUEST, (3, "failed", "api_error", 1, 2.0))
        database.execute(ATTEMPT, (3, 1, SECOND, "broke off", 100))
        database.execute(REQUEST, (4, "under-way", None, 1, None))
        database.execute(REQUEST, (5, "unreadable", "invalid_request_error", 0, 0.1))
    database.close()

    assert manage("migrate", "-v0", env=env).returncode == 0

    assert [(one["endpoint"], one["reason"]) for one in tries("at-once", env)] == [(FIRST, "answered")]
    assert [one["reason"] for one in tries("two-tries", env)] == ["no capacity", "answered"]
    assert [(one["endpoint"], one["reason"]) for one in tries("failed", env)] == [(SECOND, "broke off")]
    assert tries("under-way", env) == tries("unreadable", env) == []
    with sqlite3.connect(tmp_path / "proxy.sqlite3") as database:
        endpoints = database.execute("SELECT endpoint FROM gateway_requestlog ORDER BY id").fetchall()
        rows = database.execute("SELECT request_id FROM gateway_requestattempt ORDER BY 1").fetchall()
        classes = database.execute("SELECT DISTINCT request_class FROM gateway_requestlog").fetchall()
    database.close()
    assert [endpoint for (endpoint,) in endpoints] == [FIRST, SECOND, SECOND, "", ""]
    assert [request for (request,) in rows] == [2, 2, 3]
    assert classes == [("messages",)]


def tries(request_id: str, env: dict[str, str]) -> list[dict[str, Any]]:
    printed = manage("logs", request_id, "--json", env=env)
    assert printed.returncode == 0, printed.stderr.decode()
    found: list[dict[str, Any]] = json.loads(printed.stdout)["rows"][0]["tries"]
    return found
