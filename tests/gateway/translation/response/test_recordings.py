"""Streams as they look on the wire, and what the client gets for them, byte by byte.

``NAME.google.sse`` is what Google sends, ``NAME.anthropic.sse`` what leaves for the client. The first word
of the name is the model's family.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from accounts.failures import UpstreamError
from accounts.pool.pool import PooledAccount
from gateway.dialects.anthropic.dialect import ANTHROPIC
from gateway.dialects.anthropic.sse import encode_event
from gateway.google_api.sse import ChunkReader
from gateway.relay.error_policy import failure_of
from tests.builders import CLAUDE_THINKING, GEMINI_3, GPT, a_stream, a_tool, translated

if TYPE_CHECKING:
    from collections.abc import Iterable

RECORDINGS = sorted(Path(__file__).parents[3].joinpath("recordings").glob("*.google.sse"))
MODELS = {"claude": CLAUDE_THINKING, "gemini": GEMINI_3, "gpt": GPT}
REQUESTS = {
    family: translated(model=model, tools=[a_tool(), a_tool("Read")], thinking={"type": "adaptive"})
    for family, model in MODELS.items()
}

recording = pytest.mark.parametrize("path", RECORDINGS, ids=[path.name for path in RECORDINGS])

ADA = PooledAccount(1, "ada@example.com", "project")


def answer_to(path: Path, pieces: Iterable[bytes]) -> bytes:
    reader = ChunkReader()
    stream = a_stream(REQUESTS[path.name.split("_")[0]])
    events = []
    for piece in pieces:
        for chunk in reader.receive(piece):
            events += stream.receive(chunk)
    for chunk in reader.close():
        events += stream.receive(chunk)
    try:
        events += stream.close()
    except UpstreamError as error:
        events.append(ANTHROPIC.error_body(failure_of(error).as_error(ADA), "req_1"))
    return b"".join(map(encode_event, events))


def expected(path: Path) -> bytes:
    return path.with_name(path.name.replace(".google.", ".anthropic.")).read_bytes()


def test_there_are_recordings_of_every_family() -> None:
    assert {path.name.split("_")[0] for path in RECORDINGS} == set(MODELS)


@recording
def test_the_client_gets_these_bytes(path: Path) -> None:
    assert answer_to(path, [path.read_bytes()]) == expected(path)


@recording
def test_every_cut_in_two_gives_the_same_bytes(path: Path) -> None:
    data, answer = path.read_bytes(), expected(path)

    assert all(answer_to(path, [data[:cut], data[cut:]]) == answer for cut in range(len(data) + 1))


@recording
def test_random_cuts_give_the_same_bytes(path: Path) -> None:
    data, answer = path.read_bytes(), expected(path)
    dice = random.Random(path.name)

    for _ in range(50):
        cuts = sorted(dice.choices(range(len(data) + 1), k=dice.randint(2, 40)))
        pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        assert answer_to(path, pieces) == answer
