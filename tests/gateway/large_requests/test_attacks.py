"""Bodies made to stop the gateway: each is answered, and the event loop has no long turn meanwhile.

A turn is measured in CPU time of the loop's thread, so that the tests mean the same on a busy machine.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import orjson
import pytest

from gateway.errors import GatewayError
from gateway.large_requests import workers as workers_module
from tests.builders import a_model, an_image, user
from tests.gateway.large_requests.conftest import PARSER

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.translator import RequestTranslator

MIB = 1024 * 1024
LONGEST_TURN_SECONDS = 0.2
HEAD = b'{"model":"m","max_tokens":9,"messages":['
MESSAGE = b'{"role":"user","content":"x"}'


def a_text_of(unit: bytes, size: int = 31 * MIB) -> bytes:
    return HEAD + b'{"role":"user","content":"' + unit * (size // len(unit)) + b'"}]}'


def with_tools(tools: bytes) -> bytes:
    return HEAD + MESSAGE + b'],"tools":[' + tools + b"]}"


def many_tools(count: int) -> bytes:
    schema = b'{"type":"object","properties":{"a":{"type":"string"}}}'
    return with_tools(b",".join(b'{"name":"t%d","input_schema":%b}' % (n, schema) for n in range(count)))


def many_branches(count: int) -> bytes:
    branches = b",".join([b'{"type":"string"}'] * count)
    schema = b'{"type":"object","properties":{"a":{"anyOf":[%b]}}}' % branches
    return with_tools(b'{"name":"t","input_schema":%b}' % schema)


def many_keys(count: int) -> bytes:
    return HEAD + MESSAGE + b'],"metadata":{' + b",".join(b'"k%d":1' % n for n in range(count)) + b"}}"


def a_history_with_images() -> bytes:
    image = {**an_image(), "source": {**an_image()["source"], "data": "QUJD" * (MIB // 4)}}
    return orjson.dumps({"model": "m", "max_tokens": 9, "messages": [user(image)] * 31})


ATTACKS: dict[str, tuple[Callable[[], bytes], int]] = {
    "31 MiB of pairs of backslashes": (lambda: a_text_of(rb"\\"), 200),
    "31 MiB of backslashes": (lambda: a_text_of(b"\\", 31 * MIB + 1), 400),
    "30 MiB of halves of characters": (lambda: a_text_of(rb"\ud800", 30 * MIB), 400),
    "31 MiB of escapes": (lambda: a_text_of(rb"\u00e9"), 200),
    "31 MiB of accents": (lambda: a_text_of("é".encode()), 200),
    "100,000 messages": (lambda: HEAD + b",".join([MESSAGE] * 100_000) + b"]}", 400),
    "as many messages as pass": (lambda: HEAD + b",".join([MESSAGE] * 49_000) + b"]}", 200),
    "10,000 tools": (lambda: many_tools(10_000), 200),
    "2^18 branches": (lambda: many_branches(2**18), 400),
    "2.3 million keys": (lambda: many_keys(2_300_000), 400),
    "many lists": (lambda: HEAD + MESSAGE + b'],"x":[' + b"[]," * 99_000 + b"[]]}", 200),
    "a history with 31 MiB of images": (a_history_with_images, 200),
}


class LongestTurn:
    """A context manager: what the loop did at most in one turn."""

    seconds = 0.0

    async def __aenter__(self) -> LongestTurn:
        self._task = asyncio.create_task(self._watch())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._task.cancel()

    async def _watch(self) -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            self.seconds = max(self.seconds, time.thread_time() - before)


async def status_of(body: bytes, translator: RequestTranslator) -> int:
    """Read and translated as a request for a message is; 200 where it would be sent to Google."""
    try:
        read = await translator.read(body, PARSER)
        translated = await translator.translate(read.request, a_model())
    except GatewayError as error:
        return error.status
    orjson.dumps({"request": translated.request})
    return 200


@pytest.mark.parametrize("name", ATTACKS)
async def test_it_is_answered_and_the_loop_goes_on(
    name: str, translator: RequestTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers_module, "JOB_SECONDS", 120.0)  # for busy machines
    make, expected = ATTACKS[name]
    body = make()

    async with LongestTurn() as longest:
        status = await status_of(body, translator)

    assert status == expected
    assert longest.seconds < LONGEST_TURN_SECONDS
