"""Each fault as a client meets it, and the log's view of it."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest

from proxy_site.emulator.delivery import behaviour
from proxy_site.emulator.pretend_model import replies
from tests.proxy_site.emulator.builders import a_text_request
from tests.proxy_site.emulator.streams import (
    STREAM,
    WHOLE,
    chunks_in,
    last_of,
    parts_in,
    stream,
    text_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy_site.emulator.server import EmulatorServer

ADA = "ada@example.com"

# (fault, its parameters, status, what its body tells)
REFUSALS: list[tuple[str, dict[str, Any], int, str]] = [
    ("quota_exhausted", {"reset_after": 7384.5}, 429, '"reason":"QUOTA_EXHAUSTED"'),
    ("rate_limited", {"delay": 0.754431528}, 429, '"quotaResetDelay":"754.431528ms"'),
    ("bare_429", {}, 429, "Resource has been exhausted (e.g. check quota)."),
    ("error_in_a_list", {"delay": 5}, 429, '[{"error":{"code":429'),
    ("insufficient_credits", {}, 429, "INSUFFICIENT_G1_CREDITS_BALANCE"),
    ("capacity_exhausted", {}, 503, "MODEL_CAPACITY_EXHAUSTED"),
    ("capacity_exhausted", {"status": 429}, 429, "No capacity available for model"),
    ("verification_required", {}, 403, "VALIDATION_REQUIRED"),
    ("account_disabled", {}, 403, "has been disabled"),
    ("no_licence", {}, 403, "SUBSCRIPTION_REQUIRED"),
    ("wrong_project", {}, 403, "Cloud Code Private API has not been used in project"),
    ("permission_denied", {}, 403, "The caller does not have permission"),
    ("unauthenticated", {}, 401, "UNAUTHENTICATED"),
    ("unsupported_client", {}, 400, "UNSUPPORTED_CLIENT"),
    ("invalid_argument", {"message": "Bad."}, 400, '"message":"Bad."'),
    ("claude_invalid_request", {"message": "Bad."}, 400, "invalid_request_error"),
    ("not_found", {}, 404, "Requested entity was not found."),
    ("request_timeout", {}, 408, "DEADLINE_EXCEEDED"),
    ("request_too_large", {}, 413, "Request payload size exceeds the limit"),
    ("internal", {}, 500, "INTERNAL"),
    ("html_502", {}, 502, "<!DOCTYPE html>"),
    ("unavailable", {}, 503, "The service is currently unavailable."),
    ("overloaded", {}, 529, "overloaded_error"),
    ("ok_with_error_body", {}, 200, '"code":500'),
    ("ok_with_empty_body", {}, 200, ""),
    ("ok_with_html", {}, 200, "<html>"),
    ("refuse", {"status": 418, "body": {"any": "thing"}, "headers": {"Retry-After": "7"}}, 418, "thing"),
]


@pytest.mark.parametrize(("fault", "parameters", "status", "words"), REFUSALS)
def test_a_fault_takes_the_place_of_one_answer(
    google: EmulatorServer,
    http: httpx.Client,
    fault: str,
    parameters: dict[str, Any],
    status: int,
    words: str,
) -> None:
    if fault == "refuse":
        google.state.fault(behaviour.refuse(**parameters))
    else:
        google.state.fault(fault, **parameters)

    answer = stream(http)

    assert answer.status_code == status
    assert words in answer.text
    assert answer.headers.get("retry-after") == (parameters.get("headers") or {}).get("Retry-After")
    assert google.state.log.generations()[-1].outcome == "faulted"
    assert stream(http).status_code == 200


def test_an_unknown_fault_is_named_with_those_there_are(google: EmulatorServer) -> None:
    with pytest.raises(ValueError, match="there are refuse, "):
        google.state.fault("earthquake")


def test_faults_may_hold_for_good_and_be_cleared(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.fault("internal", times=None)
    assert [stream(http).status_code for _ in range(3)] == [500, 500, 500]

    google.state.clear_scripts()
    assert stream(http).status_code == 200


def test_a_fault_without_a_method_is_for_model_calls_alone(
    google: EmulatorServer, http: httpx.Client
) -> None:
    google.state.fault("internal")
    google.state.fault("unavailable", method="loadCodeAssist")

    assert http.post("/v1internal:fetchAvailableModels", json={}).status_code == 200
    assert http.post("/v1internal:loadCodeAssist", json={}).status_code == 503
    assert http.post(WHOLE, json=a_text_request()).status_code == 500


# What is said


def test_a_content_type_can_be_wrong(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.fault("wrong_content_type", content_type="text/plain")

    answer = stream(http)

    assert answer.headers["content-type"] == "text/plain"
    assert "demo" in text_in(chunks_in(answer))


def test_an_answer_can_be_empty_in_three_ways(google: EmulatorServer, http: httpx.Client) -> None:
    for kind in ("nothing", "no_parts", "thinking_only"):
        google.state.reply(
            replies.thinking("Hm."),
            "Said.",
            behaviour=behaviour.empty_answer(kind),
        )

    nothing, no_parts, thinking_only = (chunks_in(stream(http)) for _ in range(3))

    assert nothing == []
    assert parts_in(no_parts) == []
    assert last_of(no_parts, "finishReason") == "STOP"
    assert all(part["thought"] for part in parts_in(thinking_only))
    assert text_in(thinking_only) == ""


def test_the_finish_reason_can_be_another_or_lack(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.fault("finish", reason="SAFETY")
    google.state.fault("without_finish")

    assert last_of(chunks_in(stream(http)), "finishReason") == "SAFETY"
    assert last_of(chunks_in(stream(http)), "finishReason") is None


@pytest.mark.parametrize(
    ("fault", "shape"),
    [("usage_only_last", "---x"), ("usage_missing", "----"), ("usage_twice", "---xx")],
)
def test_usage_can_come_late_twice_or_never(
    google: EmulatorServer, http: httpx.Client, fault: str, shape: str
) -> None:
    google.state.reply(
        "word " * 40, behaviour=behaviour.combine(behaviour.pace(chunk_count=4), behaviour.fault_named(fault))
    )

    chunks = chunks_in(stream(http))

    assert "".join("x" if "usageMetadata" in chunk["response"] else "-" for chunk in chunks) == shape


def test_an_error_can_come_in_the_middle(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.fault("error_mid_stream", after_chunks=2)

    *before, error = chunks_in(stream(http))

    assert len(before) == 2
    assert error["error"]["code"] == 529


# How it is said


def test_lines_can_end_in_crlf_and_the_last_one_not_at_all(
    google: EmulatorServer, http: httpx.Client
) -> None:
    google.state.fault(behaviour.crlf(), behaviour.no_final_newline())

    answer = stream(http)

    assert b"\r\n\r\ndata: " in answer.content
    assert answer.content.endswith(b"}")
    assert "demo" in text_in(chunks_in(answer))


def test_json_can_end_half_way(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.fault("truncated_json")

    answer = stream(http)

    assert answer.status_code == 200
    with pytest.raises(orjson.JSONDecodeError):
        chunks_in(answer)


@pytest.mark.parametrize(
    "fault", [behaviour.cut_frames(7), behaviour.split_utf8(), behaviour.slow_drip(0, 1)]
)
def test_frames_cut_anywhere_are_the_same_bytes(
    google: EmulatorServer, http: httpx.Client, fault: behaviour.Behaviour
) -> None:
    google.state.reply("Grüße, 世界 🌍", behaviour=fault)

    assert text_in(chunks_in(stream(http))) == "Grüße, 世界 🌍"


def test_split_utf8_cuts_inside_a_character(google: EmulatorServer) -> None:
    google.state.reply("é", behaviour=behaviour.split_utf8())

    with raw_stream(google) as connection:
        frames = list(frames_from(connection))

    assert any(frame.endswith(b"\xc3") for frame in frames)


def test_the_connection_can_close_before_the_headers(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.fault("close_before_headers")

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        stream(http)
    assert google.state.log.generations()[0].outcome == "faulted"


def test_the_connection_can_be_reset_after_the_first_byte(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.fault("reset_after_first_byte")

    with http.stream("POST", STREAM, json=a_text_request()) as answer:
        assert answer.status_code == 200
        received = b""
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            for piece in answer.iter_raw():
                received += piece
    assert received in {b"d", b""}


def test_headers_can_take_their_time(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.fault("stall_before_headers", seconds=30)

    with pytest.raises(httpx.ReadTimeout):
        http.post(STREAM, json=a_text_request(), timeout=0.05)


def test_a_stream_can_stall_in_the_middle(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.fault("stall_mid_stream", seconds=30, after_chunks=1)

    with http.stream("POST", STREAM, json=a_text_request(), timeout=0.05) as answer:
        pieces = answer.iter_raw()
        assert next(pieces).startswith(b"data: ")
        with pytest.raises(httpx.ReadTimeout):
            next(pieces)


def test_every_answer_can_be_given_a_pace(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.pace = behaviour.pace(chunk_delay=0.005, chunk_count=5)
    started = time.perf_counter()

    assert len(chunks_in(stream(http))) == 5

    assert time.perf_counter() - started >= 0.02


# Hanging up


def test_it_counts_the_connections_that_are_open(google: EmulatorServer, http: httpx.Client) -> None:
    assert google.state.open_connections == 0

    stream(http)

    assert google.state.open_connections == 1


def test_it_can_be_stopped_and_started_again_on_the_same_port(
    google: EmulatorServer, http: httpx.Client
) -> None:
    url = google.url
    google.stop()
    with pytest.raises(httpx.TransportError):
        stream(http)

    google.start()

    assert google.url == url
    assert stream(http).status_code == 200


def test_it_notices_when_the_reader_hangs_up(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.fault("stall_mid_stream", seconds=30)

    with http.stream("POST", STREAM, json=a_text_request()) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        assert google.state.log.open_streams == 1
        left_at = time.time()

    entry = google.state.log.wait_for(lambda entry: entry.closed_by_peer_at is not None, timeout=2)
    assert entry.outcome == "closed by peer"
    assert entry.closed_by_peer_at is not None
    assert -0.1 < entry.closed_by_peer_at - left_at < 1
    google.state.log.wait_until_idle()


def test_it_notices_when_the_reader_hangs_up_before_the_headers(
    google: EmulatorServer, http: httpx.Client
) -> None:
    google.state.fault("stall_before_headers", seconds=30)

    with pytest.raises(httpx.ReadTimeout):
        http.post(STREAM, json=a_text_request(), timeout=0.05)

    google.state.log.wait_for(lambda entry: entry.outcome == "closed by peer", timeout=2)


def test_stopping_ends_streams_that_are_open(http: httpx.Client, google: EmulatorServer) -> None:
    google.state.fault("stall_mid_stream", seconds=30)
    started = time.perf_counter()

    with http.stream("POST", STREAM, json=a_text_request()) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        google.stop()

    assert time.perf_counter() - started < 2


# A client that sees each frame by itself


def raw_stream(google: EmulatorServer) -> socket.socket:
    access_token, _ = google.state.issue_access_token(ADA)
    body = orjson.dumps(a_text_request())
    head = (
        f"POST {STREAM} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: antigravity/2.9.1\r\n"
        f"Authorization: Bearer {access_token}\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", google.port), timeout=5)
    connection.sendall(head.encode() + body)
    return connection


def frames_from(connection: socket.socket) -> Iterator[bytes]:
    """The chunks of HTTP's chunked encoding, which are the emulator's writes."""
    with connection.makefile("rb") as file:
        while file.readline() != b"\r\n":
            pass
        while size := int(file.readline(), 16):
            yield file.read(size)
            file.readline()


def test_parts_can_be_as_odd_as_the_reports_say(google: EmulatorServer, http: httpx.Client) -> None:
    said = ("Look 😀", replies.function_call("Read", {"file_path": "/a"}))
    odd = ("calls_in_thoughts", "calls_beside_texts", "calls_by_module")
    for fault in odd:
        google.state.reply(*said, behaviour=behaviour.fault_named(fault))
    in_thought, beside_text, by_module = (parts_in(chunks_in(stream(http))) for _ in odd)

    assert [part.get("thought") for part in in_thought] == [None, True]
    assert [sorted(part) for part in beside_text] == [["functionCall", "text"]]
    assert by_module[1]["functionCall"]["name"] == "default_api:Read"


def test_characters_can_come_in_halves(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.reply("a😀b", behaviour=behaviour.halved_characters())

    answer = stream(http).text

    assert r'"a\ud83d"' in answer
    assert r'"\ude00b"' in answer


def test_every_chunk_can_say_that_it_is_the_last(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.reply("word " * 40, behaviour=behaviour.finish_in_every_chunk())

    chunks = chunks_in(stream(http))

    assert {chunk["response"]["candidates"][0]["finishReason"] for chunk in chunks} == {"STOP"}
    assert len(chunks) > 1


def test_stop_sequences_can_be_ignored(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.reply("one END two", times=2)
    config = {"maxOutputTokens": 500, "stopSequences": ["END"]}

    honoured = text_in(chunks_in(stream(http, a_text_request(generationConfig=config))))
    google.state.clear_scripts()
    google.state.reply("one END two", behaviour=behaviour.ignore_stop_sequences())
    ignored = text_in(chunks_in(stream(http, a_text_request(generationConfig=config))))

    assert (honoured, ignored) == ("one ", "one END two")


def test_a_signature_can_be_all_there_is_in_a_part(google: EmulatorServer, http: httpx.Client) -> None:
    google.state.reply("Said.", behaviour=behaviour.bare_signatures())

    parts = parts_in(chunks_in(stream(http, a_text_request("gemini-3-flash"))))

    assert list(parts[-1]) == ["thoughtSignature"]
