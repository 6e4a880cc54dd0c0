from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.proxy_site.emulator.builders import a_text_request
from tests.proxy_site.emulator.conftest import NOON

if TYPE_CHECKING:
    import httpx

    from proxy_site.emulator.server import EmulatorServer


def post(http: httpx.Client, method: str, body: object = None, *, as_: str | None = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {as_}"} if as_ else {}
    return http.post(f"/v1internal:{method}", json=body or {}, headers=headers)


def signed_in(google: EmulatorServer, email: str) -> str:
    return google.state.issue_access_token(email)[0]


def test_load_code_assist_tells_project_and_tier(http: httpx.Client) -> None:
    answer = post(http, "loadCodeAssist", {"metadata": {"ideType": "ANTIGRAVITY"}}).json()

    assert answer["cloudaicompanionProject"] == "emulator-project-ada"
    assert answer["paidTier"]["id"] == "g1-pro-tier"
    assert answer["allowedTiers"][0] == {"id": "free-tier", "name": "Free", "isDefault": True}


@pytest.mark.parametrize(
    "metadata",
    [
        {"ideType": 9, "platform": 3, "pluginType": 2},
        {"ideType": "IDE_UNSPECIFIED", "pluginType": "GEMINI", "duetProject": "emulator-project-ada"},
    ],
)
def test_the_client_may_describe_itself_in_names_or_numbers(http: httpx.Client, metadata: object) -> None:
    assert post(http, "loadCodeAssist", {"metadata": metadata, "mode": 1}).status_code == 200


@pytest.mark.parametrize(
    "method",
    [
        "loadCodeAssist",
        "onboardUser",
        "fetchAvailableModels",
        "retrieveUserQuota",
        "retrieveUserQuotaSummary",
    ],
)
def test_unknown_names_are_refused_here_too(http: httpx.Client, method: str) -> None:
    answer = post(http, method, {"tierId": "free-tier", "stranger": 1})

    assert answer.status_code == 400
    assert "Unknown name" in answer.json()["error"]["message"]


def test_some_accounts_get_their_project_as_an_object(google: EmulatorServer, http: httpx.Client) -> None:
    answer = post(http, "loadCodeAssist", as_=signed_in(google, "linus@example.com")).json()

    assert answer["cloudaicompanionProject"] == {"id": "emulator-project-linus"}


def test_onboarding_is_not_done_at_first_and_then_brings_a_project(
    google: EmulatorServer, http: httpx.Client
) -> None:
    grace = signed_in(google, "grace@example.com")
    assert "cloudaicompanionProject" not in post(http, "loadCodeAssist", as_=grace).json()

    first = post(http, "onboardUser", {"tierId": "free-tier"}, as_=grace).json()
    second = post(http, "onboardUser", {"tierId": "free-tier"}, as_=grace).json()

    assert first == {"name": "operations/onboard-grace", "done": False}
    assert second["done"] is True
    assert second["response"]["cloudaicompanionProject"]["id"] == "emulator-project-grace"
    assert (
        post(http, "loadCodeAssist", as_=grace).json()["cloudaicompanionProject"] == "emulator-project-grace"
    )


def test_the_operation_can_be_asked_for_by_name(google: EmulatorServer, http: httpx.Client) -> None:
    bearer = {"Authorization": f"Bearer {signed_in(google, 'grace@example.com')}"}
    name = post(http, "onboardUser", {"tierId": "free-tier"}, as_=bearer["Authorization"][7:]).json()["name"]

    assert http.get(f"/v1internal/{name}", headers=bearer).json()["done"] is True
    assert http.get("/v1internal/operations/other", headers=bearer).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"tierId": "free-tier", "cloudaicompanionProject": "mine"}, "FAILED_PRECONDITION"),
        ({"tierId": "FREE"}, "INVALID_ARGUMENT"),
        ({}, "INVALID_ARGUMENT"),
    ],
)
def test_onboarding_is_particular_about_tiers(http: httpx.Client, body: object, status: str) -> None:
    answer = post(http, "onboardUser", body)

    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == status


def test_some_accounts_are_never_given_a_project(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.account("grace@example.com").can_be_onboarded = False
    grace = signed_in(google, "grace@example.com")

    post(http, "onboardUser", {"tierId": "free-tier"}, as_=grace)
    operation = post(http, "onboardUser", {"tierId": "free-tier"}, as_=grace).json()

    assert operation["done"] is True
    assert "cloudaicompanionProject" not in operation["response"]


def test_each_header_mode_is_offered_its_own_models(http: httpx.Client) -> None:
    antigravity = post(http, "fetchAvailableModels").json()["models"]
    http.headers["User-Agent"] = "google-api-nodejs-client/9.15.1"
    cli = post(http, "fetchAvailableModels").json()["models"]

    assert "claude-opus-4-6-thinking" in antigravity
    assert "gemini-3-flash-preview" not in antigravity
    assert "gemini-3-flash-preview" in cli
    assert "claude-opus-4-6-thinking" not in cli


def test_a_model_says_its_limits_and_internal_ids_stand_between_them(http: httpx.Client) -> None:
    models = post(http, "fetchAvailableModels", {"project": "emulator-project-ada"}).json()["models"]

    assert models["claude-sonnet-4-6"] == {
        "displayName": "Claude Sonnet 4.6",
        "maxTokens": 200_000,
        "maxOutputTokens": 64_000,
        "quotaInfo": {"remainingFraction": 1.0, "resetTime": "2027-01-15T13:00:00Z"},
    }
    assert "displayName" not in models["tab_flash_lite_preview"]


def test_an_exhausted_pool_has_a_reset_time_and_no_fraction(
    google: EmulatorServer, http: httpx.Client
) -> None:
    google.state.set_quota("ada@example.com", "claude", remaining=0, reset_in=60)

    models = post(http, "fetchAvailableModels").json()["models"]

    assert models["claude-sonnet-4-6"]["quotaInfo"] == {"resetTime": "2027-01-15T08:01:00Z"}
    assert models["gpt-oss-120b-medium"]["quotaInfo"] == {"resetTime": "2027-01-15T08:01:00Z"}
    assert models["gemini-3-flash"]["quotaInfo"]["remainingFraction"] == 1.0


def test_quota_methods_tell_the_same_by_bucket(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.set_quota("ada@example.com", "claude", remaining=50, limit=200, reset_in=60)
    google.state.set_quota("ada@example.com", "gemini-antigravity", remaining=0, limit=200, reset_in=60)

    buckets = post(http, "retrieveUserQuota").json()["buckets"]
    groups = post(http, "retrieveUserQuotaSummary").json()["groups"]

    claude = next(bucket for bucket in buckets if bucket["modelId"] == "claude-sonnet-4-6")
    assert (claude["remainingAmount"], claude["remainingFraction"]) == ("50", 0.25)
    assert [group["displayName"] for group in groups] == ["Gemini Models", "Claude and GPT models"]
    assert "remainingFraction" not in groups[0]["buckets"][1]
    assert [bucket["bucketId"] for bucket in groups[1]["buckets"]] == ["3p-weekly", "3p-5h"]
    assert [bucket["remainingFraction"] for bucket in groups[1]["buckets"]] == [0.925, 0.25]


def test_a_week_keeps_its_end_and_what_was_used(google: EmulatorServer, http: httpx.Client) -> None:
    def week() -> tuple[float, str]:
        answer = post(http, "retrieveUserQuotaSummary", as_=signed_in(google, "ada@example.com"))
        bucket = answer.json()["groups"][1]["buckets"][0]
        return bucket["remainingFraction"], bucket["resetTime"]

    google.state.set_quota("ada@example.com", "claude", remaining=0, limit=200, reset_in=60)
    told = [week()]
    for seconds in (30, 90, 7 * 24 * 3600):
        google.state.clock.advance(seconds)
        told.append(week())

    week_end = "2027-01-22T08:00:00Z"
    assert told[:3] == [(0.9, week_end)] * 3, "the end of a shorter window changes nothing"
    assert told[3] == (1.0, "2027-01-29T08:02:00Z")


def test_many_accounts_are_not_told_their_windows(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.account("ada@example.com").has_quota_windows = False

    assert post(http, "retrieveUserQuotaSummary").status_code == 403


def test_another_project_is_refused(http: httpx.Client) -> None:
    answer = post(http, "fetchAvailableModels", {"project": "not-mine"})

    assert answer.status_code == 403
    assert "has not been used in project not-mine" in answer.json()["error"]["message"]


def test_an_unverified_account_is_told_so_by_load_code_assist(
    google: EmulatorServer, http: httpx.Client
) -> None:
    google.state.require_verification("ada@example.com", "https://accounts.google.com/signin/continue?x=1")

    tiers = post(http, "loadCodeAssist").json()["ineligibleTiers"]

    assert tiers[0]["reasonCode"] == "VALIDATION_REQUIRED"
    assert tiers[0]["validationUrl"] == "https://accounts.google.com/signin/continue?x=1"


def test_tokens_are_counted_without_an_envelope(http: httpx.Client) -> None:
    contents = a_text_request()["request"]["contents"]

    counted = post(http, "countTokens", {"request": {"model": "models/gemini-3-flash", "contents": contents}})

    assert counted.json() == {"totalTokens": 5}
    assert post(http, "countTokens", {"request": {}}).status_code == 400


@pytest.mark.parametrize("authorization", ["", "Bearer nobody", "Basic abc"])
def test_without_a_good_access_token_everything_is_401(http: httpx.Client, authorization: str) -> None:
    for method in ("loadCodeAssist", "fetchAvailableModels", "streamGenerateContent", "countTokens"):
        answer = http.post(f"/v1internal:{method}", json={}, headers={"Authorization": authorization})

        assert answer.status_code == 401
        assert answer.json()["error"]["status"] == "UNAUTHENTICATED"


def test_the_clock_of_the_tests_is_what_it_seems() -> None:
    assert NOON == 1_800_000_000


def test_a_sign_in_without_the_scope_is_refused_by_its_reason(
    google: EmulatorServer, http: httpx.Client
) -> None:
    google.state.account("ada@example.com").scopes = "https://www.googleapis.com/auth/userinfo.email"

    answer = post(http, "loadCodeAssist", as_=signed_in(google, "ada@example.com"))

    assert answer.status_code == 403
    assert answer.json()["error"]["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
    google.state.restore("ada@example.com")
