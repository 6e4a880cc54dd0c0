"""The behaviour of an answer on the wire: correct by default, or with one of the faults of networks.

A ``Behaviour`` is a plain value. The functions below name every fault; ``FAULTS`` lists them, and the control
API offers them under the same names with the same parameters.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import orjson

from proxy_site.emulator import google_errors
from proxy_site.emulator.pretend_model.judge import WrongDecisions

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy_site.emulator.google_errors import GoogleError, Json


@dataclass(frozen=True)
class Behaviour:
    """How an answer is sent. Delays are seconds. Chunks are Google's events, frames are the bytes of single
    writes."""

    # Instead of the answer
    status: int | None = None
    body: bytes | None = None
    content_type: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    # Before the headers
    stall_before_headers: float = 0
    close_before_headers: bool = False
    # The content of the chunks
    chunk_count: int | None = None
    empty: Literal["nothing", "no_parts", "thinking_only"] | None = None
    without_finish: bool = False
    finish_reason: str | None = None
    block_reason: str | None = None
    stop_details: Json | None = None
    pings: int = 1
    late_signature: bool = False
    usage_instead: Json | None = None
    usage: Literal["every", "last", "twice", "none"] = "every"
    error_after_chunks: int | None = None
    error_body: Json | None = None
    finish_in_every_chunk: bool = False
    ignore_stop_sequences: bool = False
    without_sources: bool = False
    calls_in_thoughts: bool = False
    calls_beside_texts: bool = False
    calls_by_module: bool = False
    bare_signatures: bool = False
    halved_characters: bool = False
    wrong_decisions: WrongDecisions | None = None
    # The bytes of the chunks
    chunk_delay: float = 0
    stall_after_chunks: int | None = None
    stall_seconds: float = 0
    reset_after_bytes: int | None = None
    truncate_at: float | None = None
    line_end: bytes = b"\n"
    final_newline: bool = True
    frame_size: int | None = None
    frame_delay: float = 0
    cut_inside_characters: bool = False


GOOD = Behaviour()


def combine(*behaviours: Behaviour) -> Behaviour:
    """Combine behaviours; the later one wins where two set the same field."""
    changes = {}
    for behaviour in behaviours:
        for one in fields(Behaviour):
            if (value := getattr(behaviour, one.name)) != getattr(GOOD, one.name):
                changes[one.name] = value
    return replace(GOOD, **changes)


# Instead of the answer


def refuse(status: int, body: Json | list[Json] | str, headers: dict[str, str] | None = None) -> Behaviour:
    """Answer with this status and body; a string is sent as text/html."""
    if isinstance(body, str):
        return Behaviour(status=status, body=body.encode(), content_type="text/html", headers=headers or {})
    content = orjson.dumps(body)
    return Behaviour(status=status, body=content, content_type="application/json", headers=headers or {})


def error_response(error: GoogleError) -> Behaviour:
    return refuse(error.status, error.body)


def quota_exhausted(model: str = "the model", reset_after: float = 7384.179915352) -> Behaviour:
    now = time.time()
    return error_response(google_errors.quota_exhausted(model, now + reset_after, now))


def rate_limited(model: str = "the model", delay: float = 0.754431528) -> Behaviour:
    return error_response(google_errors.rate_limited(model, delay, time.time()))


def bare_429() -> Behaviour:
    return error_response(google_errors.bare_429())


def error_in_a_list(delay: float = 5) -> Behaviour:
    """Answer with the error object in a list of one, as Google's streaming methods sometimes do."""
    refused = google_errors.rate_limited("the model", delay, time.time())
    return refuse(refused.status, [refused.body])


def insufficient_credits() -> Behaviour:
    return error_response(google_errors.insufficient_credits())


def capacity_exhausted(model: str = "the model", delay: float = 39, status: int = 503) -> Behaviour:
    return error_response(google_errors.capacity_exhausted(model, delay, status=status))


def verification_required(url: str = "https://accounts.google.com/signin/continue?sarp=1") -> Behaviour:
    return error_response(google_errors.verification_required(url))


def account_disabled() -> Behaviour:
    return error_response(google_errors.account_disabled())


def no_licence() -> Behaviour:
    return error_response(google_errors.no_licence())


def wrong_project(project: str = "no-such-project") -> Behaviour:
    return error_response(google_errors.wrong_project(project))


def permission_denied() -> Behaviour:
    return error_response(google_errors.permission_denied())


def unauthenticated() -> Behaviour:
    return error_response(google_errors.unauthenticated())


def unsupported_client(minimum_version: str = "2.9.0") -> Behaviour:
    return error_response(google_errors.unsupported_client(minimum_version))


def not_found() -> Behaviour:
    return error_response(google_errors.not_found())


def request_timeout() -> Behaviour:
    return error_response(google_errors.google_error(408, "DEADLINE_EXCEEDED", "Request timed out."))


def request_too_large() -> Behaviour:
    message = "Request payload size exceeds the limit: 20971520 bytes."
    return error_response(google_errors.google_error(413, "INVALID_ARGUMENT", message))


def invalid_argument(message: str) -> Behaviour:
    return error_response(google_errors.invalid_argument(message))


def claude_invalid_request(message: str) -> Behaviour:
    return error_response(google_errors.claude_invalid_request(message))


def prompt_too_long(
    wording: str = "gemini", tokens: int = 1_200_293, maximum: int = 1_048_576, *, in_stream: bool = False
) -> Behaviour:
    """Refuse the prompt as too long. ``wording`` is one of `google_errors.TOO_LONG`; within a stream the
    error follows a status of 200."""
    refused = google_errors.prompt_too_long(wording, tokens, maximum)
    return error_mid_stream(0, refused.body) if in_stream else error_response(refused)


def internal() -> Behaviour:
    return error_response(google_errors.internal())


def unavailable() -> Behaviour:
    return error_response(google_errors.unavailable())


def overloaded() -> Behaviour:
    return error_response(google_errors.overloaded())


def html_502() -> Behaviour:
    return refuse(502, "<!DOCTYPE html><html><title>Error 502 (Server Error)!!1</title><p>502.</html>")


def redirect_to(location: str = "") -> Behaviour:
    """Redirect the address of a source; without a `location` answer without one. For method
    "groundingRedirect"."""
    headers = {"Location": location} if location else {}
    return refuse(302, "", headers)


def ok_with_error_body() -> Behaviour:
    return replace(error_response(google_errors.internal()), status=200)


def ok_with_empty_body() -> Behaviour:
    return Behaviour(status=200, body=b"", content_type="text/event-stream")


def ok_with_html() -> Behaviour:
    return refuse(200, "<html><title>Sign in to the network</title></html>")


# Before the headers


def stall_before_headers(seconds: float) -> Behaviour:
    return Behaviour(stall_before_headers=seconds)


def close_before_headers() -> Behaviour:
    return Behaviour(close_before_headers=True)


# The content


def wrong_content_type(content_type: str = "text/plain") -> Behaviour:
    return Behaviour(content_type=content_type)


def empty_answer(kind: Literal["nothing", "no_parts", "thinking_only"] = "no_parts") -> Behaviour:
    return Behaviour(empty=kind)


def without_finish() -> Behaviour:
    return Behaviour(without_finish=True)


def finish(reason: str) -> Behaviour:
    return Behaviour(finish_reason=reason)


def prompt_blocked(reason: str = "SAFETY") -> Behaviour:
    """Answer with nothing but Google's promptFeedback."""
    return Behaviour(block_reason=reason)


def finish_in_every_chunk() -> Behaviour:
    """Send a finishReason in every chunk, as some gateways do."""
    return Behaviour(finish_in_every_chunk=True)


def ignore_stop_sequences() -> Behaviour:
    """Generate beyond stop sequences, with the sequence in the text."""
    return Behaviour(ignore_stop_sequences=True)


def without_sources() -> Behaviour:
    """Answer a web search from memory, without sources."""
    return Behaviour(without_sources=True)


def calls_in_thoughts() -> Behaviour:
    """Set ``thought: true`` on a part with a functionCall."""
    return Behaviour(calls_in_thoughts=True)


def calls_beside_texts() -> Behaviour:
    """Put a functionCall into one part with the text before it."""
    return Behaviour(calls_beside_texts=True)


def calls_by_module() -> Behaviour:
    """Call ``default_api:Read`` instead of Read, since Gemini treats its tools as members of a module."""
    return Behaviour(calls_by_module=True)


def bare_signatures() -> Behaviour:
    """Send a thoughtSignature in a part without anything else, not even an empty text."""
    return Behaviour(bare_signatures=True)


def halved_characters() -> Behaviour:
    """Split each character outside the Basic Multilingual Plane into two escapes, in two chunks."""
    return Behaviour(halved_characters=True)


def wrong_decisions(kind: WrongDecisions = "prose") -> Behaviour:
    """Make the judge of tool calls answer wrongly: with "prose", "half_json", a call "missing", "unknown" or
    "twice", or each decision "flipped". Applies to its requests only."""
    if kind not in get_args(WrongDecisions):
        raise ValueError(f"{kind!r} is none of {', '.join(get_args(WrongDecisions))}")
    return Behaviour(wrong_decisions=kind)


def usage_only_last() -> Behaviour:
    return Behaviour(usage="last")


def usage_twice() -> Behaviour:
    return Behaviour(usage="twice")


def usage_missing() -> Behaviour:
    return Behaviour(usage="none")


def error_mid_stream(after_chunks: int = 1, body: Json | None = None) -> Behaviour:
    return Behaviour(error_after_chunks=after_chunks, error_body=body or google_errors.overloaded().body)


# The pace


def pace(chunk_delay: float = 0, chunk_count: int | None = None) -> Behaviour:
    """Send the text in ``chunk_count`` chunks, ``chunk_delay`` seconds apart."""
    return Behaviour(chunk_delay=chunk_delay, chunk_count=chunk_count)


def stall_mid_stream(seconds: float, after_chunks: int = 1) -> Behaviour:
    return Behaviour(stall_seconds=seconds, stall_after_chunks=after_chunks)


def slow_drip(seconds: float = 0.05, size: int = 16) -> Behaviour:
    """Send ``size`` bytes every ``seconds``."""
    return Behaviour(frame_delay=seconds, frame_size=size)


def reset_after_first_byte(after_bytes: int = 1) -> Behaviour:
    return Behaviour(reset_after_bytes=after_bytes)


def truncated_json() -> Behaviour:
    """End the stream in order, halfway through its last event."""
    return Behaviour(truncate_at=0.5)


def cut_frames(size: int = 7) -> Behaviour:
    return Behaviour(frame_size=size)


def split_utf8() -> Behaviour:
    return Behaviour(cut_inside_characters=True)


def no_final_newline() -> Behaviour:
    return Behaviour(final_newline=False)


def crlf() -> Behaviour:
    return Behaviour(line_end=b"\r\n")


FAULTS: dict[str, Callable[..., Behaviour]] = {
    fault.__name__: fault
    for fault in (
        refuse,
        quota_exhausted,
        rate_limited,
        bare_429,
        error_in_a_list,
        insufficient_credits,
        capacity_exhausted,
        verification_required,
        account_disabled,
        no_licence,
        wrong_project,
        permission_denied,
        unauthenticated,
        unsupported_client,
        not_found,
        request_timeout,
        request_too_large,
        invalid_argument,
        claude_invalid_request,
        prompt_too_long,
        internal,
        unavailable,
        overloaded,
        html_502,
        ok_with_error_body,
        ok_with_empty_body,
        ok_with_html,
        stall_before_headers,
        close_before_headers,
        wrong_content_type,
        empty_answer,
        without_finish,
        finish,
        prompt_blocked,
        finish_in_every_chunk,
        ignore_stop_sequences,
        without_sources,
        redirect_to,
        calls_in_thoughts,
        calls_beside_texts,
        calls_by_module,
        bare_signatures,
        halved_characters,
        wrong_decisions,
        usage_only_last,
        usage_twice,
        usage_missing,
        error_mid_stream,
        pace,
        stall_mid_stream,
        slow_drip,
        reset_after_first_byte,
        truncated_json,
        cut_frames,
        split_utf8,
        no_final_newline,
        crlf,
    )
}


def fault_named(name: str, **parameters: Any) -> Behaviour:
    if name not in FAULTS:
        raise ValueError(f"no fault is called {name!r}; there are {', '.join(FAULTS)}")
    return FAULTS[name](**parameters)
