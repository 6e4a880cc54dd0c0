from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson
import pytest

from proxy_site.emulator.pretend_model import replies
from tests.proxy_site.emulator.builders import (
    Json,
    a_claude_request,
    a_gemini_request,
    a_gpt_request,
    a_text_request,
    changed,
    model,
    response,
    text,
    tools,
    user,
)
from tests.proxy_site.emulator.streams import (
    WHOLE,
    chunks_in,
    last_of,
    message_of,
    parts_in,
    stream,
    text_in,
)

if TYPE_CHECKING:
    import httpx

    from proxy_site.emulator.server import EmulatorServer

ADA = "ada@example.com"
THINKING = {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 2_000}}
CLI = {"User-Agent": "google-api-nodejs-client/9.15.1"}


def test_text_is_streamed_in_several_chunks_and_the_last_one_finishes(http: httpx.Client) -> None:
    answer = stream(http)

    chunks = chunks_in(answer)
    assert answer.headers["content-type"] == "text/event-stream"
    assert len(chunks) > 2
    assert "demo" in text_in(chunks)
    assert [c["response"]["candidates"][0].get("finishReason") for c in chunks][-2:] == [None, "STOP"]
    assert chunks[0]["response"]["modelVersion"] == "claude-sonnet-4-6"
    assert chunks[0]["response"]["responseId"].startswith("msg_vrtx_")


def test_the_whole_answer_is_the_streamed_one_in_one_piece(
    google: EmulatorServer, http: httpx.Client
) -> None:
    google.state.reply(replies.thinking("Well."), "One two. " * 20, times=2)

    chunks = chunks_in(stream(http))
    whole = http.post(WHOLE, json=a_text_request()).json()

    assert text_in([whole]) == text_in(chunks)
    assert len(parts_in([whole])) == 2
    assert whole["response"]["usageMetadata"] == chunks[-1]["response"]["usageMetadata"]


def test_claude_signs_its_thinking_in_an_empty_part(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.reply(replies.thinking("Let me think about it for a while, at some length."), "Done.")

    *thoughts, signature, said = parts_in(chunks_in(stream(http)))

    thought = "".join(part["text"] for part in thoughts)
    assert all(part["thought"] for part in thoughts)
    assert signature["text"] == ""
    assert signature["thought"] is True
    assert google.state.signatures.is_genuine_for("claude", thought, signature["thoughtSignature"])
    assert said == {"text": "Done."}


def test_what_claude_thought_may_be_sent_back(google: EmulatorServer, http: httpx.Client) -> None:
    request = a_text_request("claude-opus-4-6-thinking", generationConfig=THINKING, tools=tools("Read"))
    google.state.reply(replies.thinking("I read it."), replies.function_call("Read", {"file_path": "/a"}))
    whole = http.post(WHOLE, json=request).json()
    said = whole["response"]["candidates"][0]["content"]
    result = response("Read", said["parts"][-1]["functionCall"]["id"])
    contents = [*request["request"]["contents"], said, user(result)]

    assert stream(http, changed(request, "request.contents", contents)).status_code == 200


def test_gemini_signs_its_first_call_and_gives_no_ids(google: EmulatorServer, http: httpx.Client) -> None:
    calls = [replies.function_call("Read"), replies.function_call("Grep")]
    google.state.reply(replies.thinking("Hm."), *calls)

    thought, first, second = parts_in(chunks_in(stream(http, a_text_request("gemini-3-flash"))))

    assert thought == {"text": "Hm.", "thought": True}
    assert google.state.signatures.is_genuine("gemini", first["thoughtSignature"])
    assert "id" not in first["functionCall"]
    assert "thoughtSignature" not in second


def test_gemini_signs_a_text_with_an_empty_part_at_the_end(http: httpx.Client) -> None:
    last = parts_in(chunks_in(stream(http, a_text_request("gemini-3-flash"))))[-1]

    assert last["text"] == ""
    assert "thoughtSignature" in last


@pytest.mark.parametrize("build", [a_claude_request, a_gemini_request, a_gpt_request])
def test_a_request_in_order_is_answered(http: httpx.Client, build: object) -> None:
    assert callable(build)
    assert stream(http, build()).status_code == 200


def test_a_request_that_is_not_in_order_is_refused_before_the_stream(http: httpx.Client) -> None:
    answer = stream(http, changed(a_claude_request(), "request.stranger", 1))

    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("application/json")
    assert "Unknown name" in message_of(answer)


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"7", b""])
def test_a_body_that_is_no_json_object_is_refused(http: httpx.Client, body: bytes) -> None:
    assert http.post(WHOLE, content=body).status_code == 400


# Usage


def test_usage_counts_thoughts_apart_for_gemini_and_inside_for_claude(
    google: EmulatorServer, http: httpx.Client
) -> None:
    google.state.reply(replies.thinking("one two three"), "four five", times=2)

    gemini = chunks_in(stream(http, a_text_request("gemini-3-flash")))[-1]["response"]["usageMetadata"]
    claude = chunks_in(stream(http, a_text_request("claude-sonnet-4-6")))[-1]["response"]["usageMetadata"]

    assert gemini == {
        "promptTokenCount": 5,
        "candidatesTokenCount": 2,
        "thoughtsTokenCount": 3,
        "totalTokenCount": 10,
    }
    assert claude == {"promptTokenCount": 5, "candidatesTokenCount": 5, "totalTokenCount": 10}


def test_a_prefix_seen_before_in_the_session_is_cached(http: httpx.Client) -> None:
    contents = [user(text("one two three"))]
    first = a_text_request("gemini-3-flash", sessionId="s")
    first["request"]["contents"] = contents
    longer = changed(first, "request.contents", [*contents, model(text("four")), user(text("five"))])

    usages = [chunks_in(stream(http, one))[-1]["response"]["usageMetadata"] for one in (first, longer)]

    assert "cachedContentTokenCount" not in usages[0]
    assert usages[1]["cachedContentTokenCount"] == usages[0]["promptTokenCount"]


def test_another_session_or_model_shares_no_cache(http: httpx.Client) -> None:
    for session, id_ in [("s", "gemini-3-flash"), ("t", "gemini-3-flash"), ("s", "claude-sonnet-4-6")]:
        usage = chunks_in(stream(http, a_text_request(id_, sessionId=session)))[-1]["response"][
            "usageMetadata"
        ]

        assert "cachedContentTokenCount" not in usage


def test_an_answer_longer_than_allowed_is_cut(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.reply("one two three four five")

    chunks = chunks_in(stream(http, a_text_request(generationConfig={"maxOutputTokens": 3})))

    assert text_in(chunks) == "one two three "
    assert last_of(chunks, "finishReason") == "MAX_TOKENS"


def test_an_answer_ends_before_a_stop_sequence(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.reply("one two STOP three", replies.function_call("Read"))

    chunks = chunks_in(stream(http, a_text_request(generationConfig={"stopSequences": ["STOP"]})))

    assert text_in(chunks) == "one two "
    assert last_of(chunks, "finishReason") == "STOP"


# Who may


def test_each_state_of_an_account_has_its_own_403(google: EmulatorServer, http: httpx.Client) -> None:
    state = google.state
    state.take_licence(ADA)
    assert stream(http).json()["error"]["details"][0]["reason"] == "SUBSCRIPTION_REQUIRED"

    state.require_verification(ADA, "https://accounts.google.com/signin/continue?x=1")
    details = stream(http).json()["error"]["details"]
    assert details[0]["metadata"]["validation_url"] == "https://accounts.google.com/signin/continue?x=1"
    assert details[1]["links"][0]["url"] == "https://accounts.google.com/signin/continue?x=1"

    assert http.post("/v1internal:fetchAvailableModels", json={}).status_code == 403
    assert http.post("/v1internal:loadCodeAssist", json={}).status_code == 200

    state.disable_by_provider(ADA)
    answer = stream(http)
    assert answer.status_code == 403
    assert re.search("has been disabled.*violation of terms of service", message_of(answer), re.IGNORECASE)

    state.restore(ADA)
    assert stream(http).status_code == 200


def test_another_project_is_403(http: httpx.Client) -> None:
    answer = stream(http, changed(a_text_request(), "project", "not-mine"))

    assert answer.status_code == 403
    assert "has not been used in project not-mine" in message_of(answer)


def test_an_old_client_is_refused_only_when_asked_for(google: EmulatorServer, http: httpx.Client) -> None:
    old, new = {"User-Agent": "antigravity/1.15.8 linux/x64"}, {"User-Agent": "antigravity/2.10.0 linux/x64"}
    assert stream(http, headers=old).status_code == 200

    google.state.minimum_client_version = "2.9.0"

    refused = stream(http, headers=old)
    assert refused.json()["error"]["details"][0]["reason"] == "UNSUPPORTED_CLIENT"
    assert stream(http, headers=new).status_code == 200
    assert stream(http, a_text_request("gemini-2.5-pro"), CLI).status_code == 200


def test_each_header_mode_serves_only_the_models_it_lists(google: EmulatorServer, http: httpx.Client) -> None:
    assert stream(http, a_text_request("gemini-3-flash"), CLI).status_code == 404
    assert stream(http, a_text_request("claude-sonnet-4-6"), CLI).status_code == 404
    assert stream(http, a_text_request("gemini-3-flash-preview")).status_code == 404
    assert stream(http, a_text_request("gemini-3-flash-preview"), CLI).status_code == 200


# Quota


def test_quota_runs_down_ends_in_429_and_comes_back(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.set_quota(ADA, "claude", remaining=2, reset_in=7384)
    assert [stream(http).status_code for _ in range(3)] == [200, 200, 429]

    error = stream(http).json()["error"]
    assert error["status"] == "RESOURCE_EXHAUSTED"
    assert "Your quota will reset after 2h3m4s." in error["message"]
    info, retry = error["details"]
    assert (info["reason"], info["domain"]) == ("QUOTA_EXHAUSTED", "cloudcode-pa.googleapis.com")
    assert info["metadata"]["quotaResetDelay"] == "2h3m4s"
    assert info["metadata"]["quotaResetTimeStamp"] == "2027-01-15T10:03:04Z"
    assert retry["retryDelay"] == "7384s"

    google.state.clock.advance(7384)
    assert stream(http).status_code == 200


def test_the_pools_run_down_apart(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.set_quota(ADA, "gemini-antigravity", remaining=0)

    assert stream(http, a_text_request("gemini-3-flash")).status_code == 429
    assert stream(http, a_text_request("gemini-3-flash-preview"), CLI).status_code == 200
    assert stream(http, a_text_request("claude-sonnet-4-6")).status_code == 200


def test_claude_and_gpt_share_a_pool(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.set_quota(ADA, "claude", remaining=1)

    assert stream(http, a_text_request("claude-sonnet-4-6")).status_code == 200
    assert stream(http, a_text_request("gpt-oss-120b-medium")).status_code == 429


def test_a_window_opens_with_its_first_request(google: EmulatorServer, http: httpx.Client) -> None:
    quota = google.state.quota(ADA, "claude")
    assert quota.reset_at is None

    stream(http)

    assert quota.reset_at == google.state.clock.now() + 5 * 3600


def test_a_refused_request_costs_no_quota(google: EmulatorServer, http: httpx.Client) -> None:
    stream(http, changed(a_text_request(), "request.stranger", 1))

    assert google.state.quota(ADA, "claude").used == 0


def test_an_empty_pool_of_one_account_leaves_the_others(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.set_quota(ADA, "claude", remaining=0)
    linus, _ = google.state.issue_access_token("linus@example.com")
    request = changed(a_text_request(), "project", "emulator-project-linus")

    assert stream(http, request, {"Authorization": f"Bearer {linus}"}).status_code == 200


# Scripts


def test_scripted_replies_are_given_in_order_and_then_the_brain_is_back(
    google: EmulatorServer, http: httpx.Client
) -> None:
    google.state.reply("First.")
    google.state.reply("Second.")

    assert [text_in(chunks_in(stream(http))) for _ in range(2)] == ["First.", "Second."]
    assert "demo" in text_in(chunks_in(stream(http)))


def test_a_script_waits_for_its_account_and_model(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.reply("For Gemini.", model="gemini-3-flash")
    google.state.reply("For Linus.", account="linus@example.com")

    assert "demo" in text_in(chunks_in(stream(http)))
    assert text_in(chunks_in(stream(http, a_text_request("gemini-3-flash")))) == "For Gemini."
    assert google.state.pending_scripts == 1


def test_raw_chunks_are_sent_as_they_are(google: EmulatorServer, http: httpx.Client) -> None:
    chunks: list[Json] = [
        {"response": {"candidates": [], "promptFeedback": {"blockReason": "SAFETY"}}},
        {"odd": 1},
    ]
    google.state.reply_chunks(chunks)

    assert chunks_in(stream(http)) == chunks


def test_a_refused_request_leaves_the_script_to_the_next_one(
    google: EmulatorServer, http: httpx.Client
) -> None:
    google.state.reply("Said once.")

    assert stream(http, changed(a_text_request(), "request.stranger", 1)).status_code == 400
    assert stream(http, headers={"Authorization": "Bearer expired"}).status_code == 401
    assert text_in(chunks_in(stream(http))) == "Said once."
    assert google.state.pending_scripts == 0


# The log


def test_the_log_tells_what_came_and_how_it_went(google: EmulatorServer, http: httpx.Client) -> None:
    stream(http)
    stream(http, changed(a_text_request(), "model", "gemini-9"))

    answered, refused = google.state.log.generations()
    assert (answered.account, answered.model, answered.status) == (ADA, "claude-sonnet-4-6", 200)
    assert answered.outcome == "answered"
    assert answered.envelope == a_text_request()
    assert answered.usage["promptTokenCount"] == 5
    assert answered.chunks_sent > 2
    assert (refused.status, refused.outcome) == (404, "refused")
    assert refused.finished_at is not None


def test_the_log_holds_no_secrets(google: EmulatorServer, http: httpx.Client) -> None:
    form = {"client_secret": "emulator-client-secret", "refresh_token": "emulator-refresh-ada"}
    http.post("/token", data={**form, "client_id": "emulator-client-id", "grant_type": "refresh_token"})
    stream(http)

    shown = orjson.dumps([entry.as_json() for entry in google.state.log]).decode()

    assert "emulator-access-" not in shown
    assert "emulator-client-secret" not in shown
    assert "emulator-refresh" not in shown


def test_waiting_for_what_never_comes_says_what_came(google: EmulatorServer, http: httpx.Client) -> None:
    stream(http)

    with pytest.raises(TimeoutError, match="streamGenerateContent 200 answered"):
        google.state.log.wait_for(lambda entry: entry.status == 500, timeout=0.01)
