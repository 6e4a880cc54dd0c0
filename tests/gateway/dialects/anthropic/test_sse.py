from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.anthropic import stream_events
from gateway.dialects.anthropic.dialect import ANTHROPIC
from gateway.dialects.anthropic.sse import AT_ONCE, PING, encode_event, encode_events
from gateway.errors import GatewayError

if TYPE_CHECKING:
    from gateway.dialects.anthropic.stream_events import StreamEvent

EVENTS: list[tuple[StreamEvent, bytes]] = [
    (
        stream_events.content_block_stop(3),
        b'event: content_block_stop\ndata: {"type":"content_block_stop","index":3}\n\n',
    ),
    (stream_events.message_stop(), b'event: message_stop\ndata: {"type":"message_stop"}\n\n'),
    (
        ANTHROPIC.error_body(GatewayError('a "b"\n'), "req_1"),
        b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"a \\"b\\"\\n"},'
        b'"request_id":"req_1"}\n\n',
    ),
    (
        stream_events.text_delta(0, "ü"),
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":"\xc3\xbc"}}\n\n',
    ),
]


@pytest.mark.parametrize(("event", "encoded"), EVENTS)
def test_an_event_is_its_name_and_its_json(event: StreamEvent, encoded: bytes) -> None:
    assert encode_event(event) == encoded


def test_a_ping_says_nothing_but_its_name() -> None:
    assert PING == b'event: ping\ndata: {"type":"ping"}\n\n'


TEXTS = st.text() | st.just('}},{"type":"content_block_delta","index":0,"delta":{')
SOME_EVENTS = st.one_of(
    st.builds(stream_events.text_delta, st.integers(0, 9), TEXTS),
    st.builds(stream_events.thinking_delta, st.integers(0, 9), TEXTS),
    st.builds(stream_events.input_json_delta, st.integers(0, 9), TEXTS),
    st.builds(stream_events.content_block_stop, st.integers(0, 9)),
    st.builds(stream_events.raw_event, st.just(b"event: ping\n\n")),
    st.builds(stream_events.deltas, st.integers(0, 9), st.just("text"), st.lists(TEXTS, min_size=1)),
)


@given(st.lists(SOME_EVENTS, max_size=8))
def test_many_events_are_encoded_as_one_by_one(events: list[StreamEvent]) -> None:
    assert encode_events(events) == b"".join(map(encode_event, events))


@given(
    st.integers(0, 99),
    st.sampled_from(["text", "thinking"]),
    st.lists(TEXTS, min_size=1, max_size=8),
    st.integers(1, AT_ONCE),
)
def test_deltas_that_came_together_are_encoded_alike(
    index: int, field: str, texts: list[str], times: int
) -> None:
    texts *= times
    event = stream_events.deltas(index, field, texts)
    delta = stream_events.text_delta if field == "text" else stream_events.thinking_delta

    assert [*stream_events.one_by_one([event])] == [delta(index, text) for text in texts]
    assert encode_event(event) == encode_events([*stream_events.one_by_one([event])])
