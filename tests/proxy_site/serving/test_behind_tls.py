"""The settings that docs/security.md gives for TLS behind a proxy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.live_gateway import PROJECT, LiveGateway, clean_environment, manage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.slow

FORWARDED = {
    "host": "gateway.example.com",
    "x-forwarded-for": "203.0.113.9",
    "x-forwarded-proto": "https",
}


def documented_settings() -> dict[str, str]:
    text = (PROJECT / "docs/security.md").read_text()
    section = text.partition("## Behind a proxy with TLS")[2]
    block = re.search(r"```\n(.*?)```", section, flags=re.DOTALL)
    assert block is not None
    return dict(line.split("=", 1) for line in block[1].splitlines())


def test_djangos_own_review_finds_nothing(tmp_path: Path) -> None:
    env = clean_environment(tmp_path, **documented_settings())

    done = manage("check", "--deploy", "--fail-level", "WARNING", env=env)

    assert (done.returncode, done.stderr.decode()) == (0, "")


@pytest.fixture(scope="module")
def gateway(
    shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    with LiveGateway(shared_emulator, tmp_path_factory.mktemp("data"), **documented_settings()) as gateway:
        yield gateway


def test_cookies_are_for_tls_alone(gateway: LiveGateway) -> None:
    page = httpx.get(f"{gateway.url}/admin/login/", headers=FORWARDED)

    assert page.status_code == 200
    assert page.headers["strict-transport-security"] == "max-age=2592000"
    assert re.search(r"^gateway_csrf=.*; Secure", page.headers["set-cookie"])


def test_a_page_over_plain_http_is_redirected(gateway: LiveGateway) -> None:
    page = httpx.get(f"{gateway.url}/admin/login/", headers={**FORWARDED, "x-forwarded-proto": "http"})

    assert (page.status_code, page.headers["location"]) == (301, "https://gateway.example.com/admin/login/")


def test_logging_in_works_and_comes_from_the_clients_own_address(gateway: LiveGateway) -> None:
    with httpx.Client(base_url=gateway.url, headers=FORWARDED) as browser:
        page = browser.get("/admin/login/")
        cookie = {"cookie": page.headers["set-cookie"].partition(";")[0]}
        form = {"username": "admin", "csrfmiddlewaretoken": cookie["cookie"].partition("=")[2]}
        headers = {
            **cookie,
            "origin": "https://gateway.example.com",
            "referer": "https://gateway.example.com/",
        }

        wrong = [
            browser.post("/admin/login/", data={**form, "password": "wrong"}, headers=headers)
            for _ in range(5)
        ]
        another = {**headers, "x-forwarded-for": "203.0.113.10"}
        password = documented_settings()["WEBUI_PASSWORD"]
        right = browser.post("/admin/login/", data={**form, "password": password}, headers=another)

    assert wrong[-1].status_code == 429
    assert right.status_code == 302
    assert "Secure" in right.headers["set-cookie"]


def test_the_messages_api_is_reachable_from_its_own_machine(gateway: LiveGateway) -> None:
    token = documented_settings()["AUTH_TOKEN"]

    assert httpx.get(f"{gateway.url}/v1/models", headers={"x-api-key": token}).status_code == 200
    assert httpx.get(f"{gateway.url}/v1/models", headers={"x-api-key": token, **FORWARDED}).status_code == 200
    assert httpx.get(f"{gateway.url}/v1/models", headers=FORWARDED).status_code == 401
