"""Keys and their limits, and what HTTP can do to them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from proxy_site.emulator.keyed.limits import Limits, window_end

if TYPE_CHECKING:
    from proxy_site.emulator.server import EmulatorServer


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("now", "midnight"),
    [
        ("2027-01-15 07:59:59", "2027-01-15 08:00:00"),
        ("2027-01-15 08:00:00", "2027-01-16 08:00:00"),
        ("2026-07-01 06:00:00", "2026-07-01 07:00:00"),
        ("2026-03-08 08:00:00", "2026-03-09 07:00:00"),  # the clocks go forward: 23 hours
        ("2026-11-01 07:00:00", "2026-11-02 08:00:00"),  # and back: 25
    ],
)
def test_a_day_ends_at_midnight_in_california(now: str, midnight: str) -> None:
    assert window_end("requests_per_day", at(now)) == at(midnight)


def test_a_minute_is_one_of_the_clock() -> None:
    assert window_end("requests_per_minute", at("2027-01-15 08:00:59")) == at("2027-01-15 08:01:00")


def test_each_model_is_counted_by_itself() -> None:
    limits = Limits(requests_per_minute=1, requests_per_day=2)
    limits.count("a", 5, 60.0)

    assert [one.name for one in limits.exceeded("a", 5, 61.0)] == ["requests_per_minute"]
    assert limits.exceeded("b", 5, 61.0) == []
    limits.count("a", 5, 120.0)
    assert [one.name for one in limits.exceeded("a", 5, 120.0)] == ["requests_per_minute", "requests_per_day"]
    assert limits.remaining("requests_per_day", "a", 120.0) == 0


def control(emulator: EmulatorServer, verb: str, path: str, body: Any = None) -> httpx.Response:
    return httpx.request(verb, f"{emulator.url}/_control{path}", json=body or {})


def models(emulator: EmulatorServer, key: str) -> httpx.Response:
    return httpx.get(f"{emulator.gemini_api_url}/v1beta/models", headers={"x-goog-api-key": key})


def test_keys_are_added_refused_restored_and_removed(emulator: EmulatorServer) -> None:
    new = {"name": "mine", "provider": "gemini", "secret": "AIza-mine", "group": "100000000002"}
    body = {"error": {"code": 403, "message": "No.", "status": "PERMISSION_DENIED"}}

    added = control(emulator, "POST", "/keys", new).json()
    assert added["group_limits"]["requests_per_minute"] == 10
    assert models(emulator, "AIza-mine").status_code == 200
    control(emulator, "POST", "/keys/mine/refuse", {"status": 403, "body": body})
    assert models(emulator, "AIza-mine").json() == body
    control(emulator, "POST", "/keys/mine/refuse")
    assert models(emulator, "AIza-mine").status_code == 200
    left = control(emulator, "DELETE", "/keys/mine").json()["keys"]

    assert "mine" not in [key["name"] for key in left]
    assert "AIza" not in str(left)
    assert models(emulator, "AIza-mine").status_code == 400


def test_limits_are_set_for_a_key_or_its_group(emulator: EmulatorServer) -> None:
    own = control(emulator, "POST", "/keys/gemini-grace/limits", {"requests_per_minute": 1}).json()
    shared = control(emulator, "POST", "/keys/gemini-grace/limits", {"requests_per_day": 0, "of": "group"})
    url = f"{emulator.gemini_api_url}/v1beta/models/gemini-2.5-flash:generateContent"
    body = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}

    answer = httpx.post(url, json=body, headers={"x-goog-api-key": "AIza-emulator-grace-2"})

    assert own["limits"]["requests_per_minute"] == 1
    assert shared.json()["group_limits"]["requests_per_day"] == 0
    assert ", limit: 0, model: gemini-2.5-flash" in answer.json()["error"]["message"]
    assert "GenerateRequestsPerDayPerProjectPerModel-FreeTier" in answer.text


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("POST", "/keys", {"name": "x"}),
        ("POST", "/keys", {"name": "x", "provider": "bank", "secret": "s", "group": "g"}),
        ("DELETE", "/keys/nobody", {}),
        ("POST", "/keys/nobody/limits", {}),
        ("POST", "/keys/gemini-ada/limits", {"requests_per_minute": "many"}),
    ],
)
def test_wrong_requests_are_answered_with_400(
    emulator: EmulatorServer, verb: str, path: str, body: Any
) -> None:
    assert control(emulator, verb, path, body).status_code == 400
