"""The database goes away under a running server."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from proxy_site.version import version
from tests.gateway.conftest import a_body
from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from proxy_site.emulator.server import EmulatorServer

SEEN_SECONDS = 5.0
BASIC = ("admin", "a long and good one")


def health(gateway: LiveGateway, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = httpx.get(f"{gateway.url}/health", timeout=5, **more).json()
    return body


def wait_for_status(gateway: LiveGateway, status: str) -> dict[str, Any]:
    deadline = time.monotonic() + SEEN_SECONDS
    while (body := health(gateway))["status"] != status:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return body


def remove(file: Path) -> None:
    file.unlink()


def replace_by_a_copy(file: Path) -> None:
    beside = file.with_suffix(".copy")
    shutil.copy(file, beside)
    beside.replace(file)


@pytest.mark.parametrize(("act", "what"), [(remove, "was removed"), (replace_by_a_copy, "was replaced")])
def test_a_removed_or_replaced_sqlite_file_is_reported_everywhere(
    act: Callable[[Path], None], what: str, emulator: EmulatorServer, tmp_path: Path
) -> None:
    with LiveGateway(emulator, tmp_path) as gateway:
        file = tmp_path / "proxy.sqlite3"
        (tmp_path / "kept").hardlink_to(file)
        act(file)

        body = wait_for_status(gateway, "degraded")
        page = httpx.get(f"{gateway.url}/admin/login/")
        numbers = httpx.get(f"{gateway.url}/account-limits", auth=BASIC)
        style = httpx.get(f"{gateway.url}/static/{version()}/accounts/admin.css")
        answer = httpx.post(f"{gateway.url}/v1/messages", json=a_body(), timeout=30)
        made_anew = act is remove and file.exists()
        file.unlink(missing_ok=True)
        (tmp_path / "kept").rename(file)
        wait_for_status(gateway, "ok")
        page_again = httpx.get(f"{gateway.url}/admin/login/")
        gateway.stop()

    assert f"proxy.sqlite3 {what}" in body["database"]
    assert (page.status_code, page.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert f"proxy.sqlite3 {what}" in page.text
    assert (numbers.status_code, numbers.json()["error"]["type"]) == (503, "api_error")
    assert (style.status_code, answer.status_code, page_again.status_code) == (200, 200, 200)
    assert not made_anew
    assert f"ERROR   The database file proxy.sqlite3 {what}" in gateway.output
    assert "The database can be used again" in gateway.output
