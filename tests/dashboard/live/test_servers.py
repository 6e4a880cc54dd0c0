"""The live socket under Daphne and under uvicorn, as a browser meets it."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.slow

PASSWORD = "a long and good one"
HELLO = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}


@pytest.fixture(scope="module")
def watched(
    shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    folder = tmp_path_factory.mktemp("data")
    with LiveGateway(shared_emulator, folder, WEBUI_PASSWORD=PASSWORD) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def cookie(watched: LiveGateway) -> str:
    return sign_in(watched)


def sign_in(gateway: LiveGateway) -> str:
    """The cookie of an operator's session."""
    with httpx.Client(base_url=gateway.url, follow_redirects=True) as browser:
        submit(browser, "/admin/login/", "/admin/login/", username="admin", password=PASSWORD)
        return f"gateway_session={browser.cookies['gateway_session']}"


def submit(browser: httpx.Client, page: str, action: str, **fields: str) -> None:
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get(page).text)
    assert token is not None
    data = {"csrfmiddlewaretoken": token[1], **fields}
    referer = {"referer": str(browser.base_url)}
    assert browser.post(action, data=data, headers=referer, follow_redirects=False).status_code in {200, 302}


def open_socket(
    gateway: LiveGateway, cookie: str = "", path: str = "/ws/live", **headers: Any
) -> ClientConnection:
    origin = headers.pop("origin", gateway.url)
    url = f"ws://127.0.0.1:{gateway.port}{path}"
    return connect(url, origin=origin, additional_headers={"cookie": cookie, **headers}, proxy=None)


def receive(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """The next message of this kind. All are acknowledged."""
    while True:
        message: dict[str, Any] = orjson.loads(socket.recv(5))
        if "n" in message:
            socket.send(orjson.dumps({"t": "ack", "n": message["n"]}).decode())
        if message["t"] == kind:
            return message


def watch(socket: ClientConnection, *topics: str) -> dict[str, Any]:
    socket.send(orjson.dumps({"t": "watch", "topics": topics}).decode())
    return receive(socket, "snapshot")


def end_of(socket: ClientConnection) -> int:
    """The code of the close frame that the server sends; 1006 without one."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            socket.recv(5)
    return closed.value.rcvd.code if closed.value.rcvd else 1006


def test_a_request_is_seen_from_start_to_end(watched: LiveGateway, cookie: str) -> None:
    with open_socket(watched, cookie) as socket:
        columns = receive(socket, "hello")["columns"]
        watch(socket, "requests")
        httpx.post(f"{watched.url}/v1/messages", json=HELLO, headers={"x-request-id": "req-7"})
        rows: list[dict[str, Any]] = []
        while not rows or rows[-1]["rev"] < 3:
            rows += [dict(zip(columns, row, strict=True)) for row in receive(socket, "delta")["rows"]]

    assert {row["request_id"] for row in rows} == {"req-7"}
    assert (rows[-1]["outcome"], rows[-1]["status"]) == ("answered", 200)


def test_a_large_snapshot_gets_through(watched: LiveGateway, cookie: str) -> None:
    for _ in range(12):
        httpx.post(f"{watched.url}/v1/messages", json=HELLO)
    with open_socket(watched, cookie) as socket:
        while len((snapshot := watch(socket, "requests", "log"))["rows"]) < 12:
            time.sleep(0.2)  # the ledger writes half a second late

    assert len(orjson.dumps(snapshot)) > 4096
    assert any("end_turn" in text for _, _, _, text in snapshot["lines"])


@pytest.mark.parametrize("origin", [None, "null", "http://127.0.0.1:3000", "https://evil.example.com"])
def test_a_foreign_page_is_refused(origin: str | None, watched: LiveGateway, cookie: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        open_socket(watched, cookie, origin=origin)

    assert refused.value.response.status_code in {400, 403}


def test_a_socket_through_a_proxy_nobody_trusts_is_refused(watched: LiveGateway, cookie: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        open_socket(watched, cookie, **{"x-forwarded-for": "192.0.2.1"})

    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("path", ["/ws/other", "/ws/live/", "/", "/v1/messages"])
def test_at_another_path_there_is_no_socket(path: str, watched: LiveGateway, cookie: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        open_socket(watched, cookie, path)

    assert refused.value.response.status_code == 403


def test_without_a_session_it_ends(watched: LiveGateway) -> None:
    with open_socket(watched, "gateway_session=made-up") as socket:
        assert orjson.loads(socket.recv(5)) == {"t": "bye", "why": "signed out"}
        assert end_of(socket) == 4401


def test_after_the_sign_out_it_ends(watched: LiveGateway) -> None:
    cookie = sign_in(watched)
    cookies = {"gateway_session": cookie.partition("=")[2]}
    with (
        open_socket(watched, cookie) as socket,
        httpx.Client(base_url=watched.url, cookies=cookies, follow_redirects=True) as browser,
    ):
        watch(socket, "requests")
        submit(browser, "/admin/", "/admin/logout/")

        assert end_of(socket) == 4401


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("x" * 4097, 1009),
        (["x" * 4000, "x" * 4000], 1009),
        (b"{}", 1003),
        ("{", 1007),
        ('{"t":"watch","topics":["secrets"]}', 1007),
    ],
    ids=["too large", "too large in fragments", "bytes", "no JSON", "unknown topic"],
)
def test_bad_messages_end_it(message: Any, code: int, watched: LiveGateway, cookie: str) -> None:
    with open_socket(watched, cookie) as socket:
        receive(socket, "hello")
        socket.send(message)

        assert end_of(socket) == code


def test_a_flood_ends_it_and_harms_nobody(watched: LiveGateway, cookie: str) -> None:
    with open_socket(watched, cookie) as flood, open_socket(watched, cookie) as other:
        watch(other, "requests")
        for _ in range(3_000):
            try:
                flood.send('{"t":"ack","n":0}')
            except ConnectionClosed:
                break

        assert end_of(flood) in {4429, 1006}
        assert watch(other, "requests")


def test_with_ten_watchers_it_stops_at_once(
    shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("data")
    with (
        LiveGateway(shared_emulator, folder, WEBUI_PASSWORD=PASSWORD) as gateway,
        ExitStack() as stack,
    ):
        cookie = sign_in(gateway)
        sockets = [stack.enter_context(open_socket(gateway, cookie)) for _ in range(10)]
        for socket in sockets:
            watch(socket, "requests", "log")
        began = time.monotonic()
        status = gateway.stop()
        took = time.monotonic() - began

        assert status == 0
        assert took < 2
        assert [receive(socket, "bye")["why"] for socket in sockets] == ["stopping"] * 10
        assert [end_of(socket) for socket in sockets] == [1001] * 10
    assert "Traceback" not in gateway.output
