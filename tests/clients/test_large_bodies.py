"""A body over the limit is refused while it arrives, costs no memory and no disk, and every client can read
why: the answer must not be lost because the client was cut off while it was still writing."""

from __future__ import annotations

import http.client
import re
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anthropic
import orjson
import pytest
from anthropic import Anthropic

from tests.clients.raw_http import Answer, as_chunks, ask, request_bytes, wire
from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy_site.emulator.server import EmulatorServer
MIB = 1024 * 1024
LIMIT = 32 * MIB
HELLO = b'{"model": "claude-sonnet-4-6", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]'


class WatchedGateway(LiveGateway):
    """Its memory and its files can be looked at."""

    @property
    def _process_folder(self) -> Path:
        return Path("/proc", str(self.process.pid))

    def forget_memory_peak(self) -> int:
        """What it uses now; the peak counts from here."""
        (self._process_folder / "clear_refs").write_text("5")
        return self.memory_peak

    @property
    def memory_peak(self) -> int:
        """VmHWM in bytes."""
        status = (self._process_folder / "status").read_text()
        kilobytes = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert kilobytes is not None
        return int(kilobytes[1]) * 1024

    def temporary_files(self) -> list[str]:
        """Those with a name, and those that were opened and deleted at once."""
        opened = []
        for descriptor in (self._process_folder / "fd").iterdir():
            with suppress(FileNotFoundError):
                opened.append(str(descriptor.readlink()))
        named = [str(path) for path in Path(self.env["TMPDIR"]).iterdir()]
        return named + [path for path in opened if "deleted" in path or path.startswith(self.env["TMPDIR"])]


@pytest.fixture(scope="module")
def watched_gateway(
    shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WatchedGateway]:
    folder = tmp_path_factory.mktemp("data")
    temporary = str(tmp_path_factory.mktemp("tmp"))
    with WatchedGateway(shared_emulator, folder, TMPDIR=temporary) as gateway:
        yield gateway


@pytest.fixture
def gateway(watched_gateway: WatchedGateway) -> Iterator[WatchedGateway]:
    """It goes on, whatever was sent, and no file is left."""
    yield watched_gateway
    assert ask(watched_gateway.url, request_bytes("GET", "/health"), "GET").status == 200
    assert watched_gateway.temporary_files() == []
    assert "Traceback" not in watched_gateway.output


def message_of(size: int) -> bytes:
    """Valid JSON of exactly that many bytes."""
    start, end = HELLO + b', "padding": "', b'"}'
    return start + b"x" * (size - len(start) - len(end)) + end


def assert_too_large(answer: Answer, limit_mib: int = 32) -> None:
    assert (answer.status, answer.error["type"]) == (413, "request_too_large")
    assert answer.error["message"] == f"The body is larger than {limit_mib} MiB."


def test_a_body_of_exactly_the_limit_is_served(gateway: WatchedGateway) -> None:
    answer = ask(gateway.url, request_bytes(body=message_of(LIMIT)))

    assert answer.status == 200


def test_one_byte_more_is_too_large(gateway: WatchedGateway) -> None:
    assert_too_large(ask(gateway.url, request_bytes(body=message_of(LIMIT + 1))))


def test_the_memory_of_a_large_request_is_given_back(gateway: WatchedGateway) -> None:
    ask(gateway.url, request_bytes(body=message_of(LIMIT)))
    before = gateway.forget_memory_peak()

    for _ in range(2):
        assert ask(gateway.url, request_bytes(body=message_of(LIMIT // 2))).status == 200

    assert gateway.forget_memory_peak() < before + 8 * MIB


def test_a_declared_size_beyond_all_numbers_is_refused(gateway: WatchedGateway) -> None:
    """As too large, or as no number at all: httptools counts with 64 bits."""
    assert ask(gateway.url, request_bytes(body=None, content_length=str(10**30))).status in {400, 413}


@pytest.mark.parametrize("size", [33 * MIB, 10_000_000_000])
def test_a_declared_size_is_refused_before_the_first_byte(size: int, gateway: WatchedGateway) -> None:
    before = gateway.forget_memory_peak()

    answer = ask(gateway.url, request_bytes(body=None, content_length=str(size)))

    assert_too_large(answer)
    assert gateway.memory_peak < before + 4 * MIB


def test_a_client_that_writes_before_it_reads_gets_to_read(gateway: WatchedGateway) -> None:
    before = gateway.forget_memory_peak()
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)

    connection.request("POST", "/v1/messages", body=bytes(33 * MIB))
    response = connection.getresponse()

    assert response.status == 413
    assert orjson.loads(response.read())["error"]["type"] == "request_too_large"
    assert gateway.memory_peak < before + 8 * MIB
    connection.close()


def test_chunks_are_refused_when_they_pass_the_limit(gateway: WatchedGateway) -> None:
    before = gateway.forget_memory_peak()

    with wire(gateway.url) as connection:
        connection.send(request_bytes(body=None, transfer_encoding="chunked"))
        connection.send(as_chunks(bytes(40 * MIB)))
        answer = connection.answer()

    assert_too_large(answer)
    assert gateway.memory_peak < before + 2 * LIMIT


def test_endless_chunks_cost_no_more_than_the_limit(gateway: WatchedGateway) -> None:
    before = gateway.forget_memory_peak()

    with wire(gateway.url) as connection:
        connection.send(request_bytes(body=None, transfer_encoding="chunked"))
        with suppress(ConnectionError):
            for _ in range(256):
                connection.send(b"%x\r\n%s\r\n" % (MIB, bytes(MIB)))

    assert gateway.memory_peak < before + 2 * LIMIT


def test_the_memory_of_a_refused_body_is_given_back_to_the_next(gateway: WatchedGateway) -> None:
    before = gateway.forget_memory_peak()

    for _ in range(5):
        assert_too_large(
            ask(gateway.url, request_bytes(body=as_chunks(bytes(33 * MIB)), transfer_encoding="chunked"))
        )

    assert gateway.memory_peak < before + 2 * LIMIT


def test_a_large_body_on_its_way_touches_no_disk(gateway: WatchedGateway) -> None:
    body = message_of(LIMIT)
    with wire(gateway.url) as connection:
        connection.send(request_bytes(body=None, content_length=str(len(body))) + body[:-10])

        while_it_waits = gateway.temporary_files()
        connection.send(body[-10:])

        assert connection.answer().status == 200
    assert while_it_waits == []


@pytest.mark.parametrize(
    "options",
    [[], ["-H", "Expect:"], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]],
    ids=["by default", "without Expect", "in chunks", "with Expect"],
)
def test_curl_shows_the_answer(options: list[str], gateway: WatchedGateway, tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    large.write_bytes(message_of(40 * MIB))

    done = subprocess.run(
        ["curl", "-sS", *options, "--data-binary", f"@{large}", f"{gateway.url}/v1/messages"],
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip

    assert orjson.loads(done.stdout)["error"]["type"] == "request_too_large", done.stderr


def test_the_sdk_raises_its_own_error(gateway: WatchedGateway) -> None:
    with (
        Anthropic(base_url=gateway.url, api_key="anything", max_retries=0) as client,
        pytest.raises(anthropic.APIStatusError, match="larger than 32 MiB") as caught,
    ):
        client.messages.create(
            model="claude-sonnet-4-6",
            max_tokens=9,
            messages=[{"role": "user", "content": "x" * (33 * MIB)}],
        )

    assert (caught.value.status_code, caught.value.type) == (413, "request_too_large")


def test_what_follows_a_refused_body_is_not_taken_for_a_request(gateway: WatchedGateway) -> None:
    with wire(gateway.url) as connection:
        connection.send(request_bytes(body=None, content_length=str(33 * MIB)))
        connection.send(request_bytes("GET", "/health"))
        raw = connection.everything()

    assert raw.count(b"HTTP/1.1") == 1
    assert b"connection: close" in raw.lower()


def test_the_limit_is_a_setting(
    shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("data")
    with LiveGateway(shared_emulator, folder, REQUEST_BODY_LIMIT_MIB="1") as small:
        assert ask(small.url, request_bytes(body=message_of(MIB))).status == 200
        assert_too_large(ask(small.url, request_bytes(body=message_of(MIB + 1))), limit_mib=1)
