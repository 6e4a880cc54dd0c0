"""Which names are taken where the gateway is bound, and what its banner says to a server's operator."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from gateway.known_settings import known_settings
from proxy_site.management.commands.runserver import Command
from proxy_site.serving.reachability import allow_bound_address, in_host_header, machine_addresses
from tests.live_gateway import clean_environment, free_port
from tests.test_first_run import Server

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

KEY = {"x-api-key": "open sesame"}


@pytest.mark.parametrize(
    ("bound", "sent"),
    [
        ("192.168.1.5", "192.168.1.5"),
        ("FD00:0:0::5", "[fd00::5]"),
        ("fe80::1%eth0", "[fe80::1]"),
        ("Gateway.Lan", "gateway.lan"),
    ],
)
def test_hosts_are_compared_as_clients_write_them(bound: str, sent: str) -> None:
    assert in_host_header(bound) == sent


def test_loopback_and_link_local_addresses_are_not_shown() -> None:
    shown = [*machine_addresses("0.0.0.0"), *machine_addresses("::")]

    assert not [one for one in shown if one.startswith(("127.", "169.254.", "fe80", "::1"))]
    assert not [one for one in machine_addresses("0.0.0.0") if ":" in one]


def test_the_address_that_is_bound_is_allowed(tmp_path: Path) -> None:
    port = free_port()
    env = clean_environment(tmp_path, ALLOWED_HOSTS="gateway.example.com")
    with Server(f"127.0.0.2:{port}", env=env) as server:
        assert f"listening on http://127.0.0.2:{port}\n" in server.banner()
        answers = [
            httpx.get(f"http://127.0.0.2:{port}{path}", headers={"host": host}).status_code
            for host in (f"127.0.0.2:{port}", "gateway.example.com", "other.example.com")
            for path in ("/health", "/admin/login/")
        ]

    assert answers == [200, 200, 200, 200, 400, 400]


def test_a_wildcard_says_which_line_allows_the_addresses_of_the_machine(tmp_path: Path) -> None:
    port = free_port()
    addresses = machine_addresses("0.0.0.0")
    if not addresses:
        pytest.skip("this machine has no address but its loopback")
    env = clean_environment(tmp_path, HOST="0.0.0.0", PORT=str(port), AUTH_TOKEN=KEY["x-api-key"])
    with Server(env=env) as server:
        banner = server.banner()
        before = httpx.get(f"http://{addresses[0]}:{port}/health", headers=KEY).status_code
        server.stop(signal.SIGTERM)
    line = next(line.strip() for line in banner.splitlines() if "ALLOWED_HOSTS=" in line)
    (tmp_path / ".env").write_text(line)
    with Server(env=env) as server:
        allowed = server.banner()
        after = httpx.get(f"http://{addresses[0]}:{port}/health", headers=KEY).status_code

    assert f"listening on http://127.0.0.1:{port}\n  and on all other addresses of this machine\n" in banner
    assert "0.0.0.0" not in banner
    assert all(f"http://{address}:{port}\n" in banner for address in addresses)
    assert line == "ALLOWED_HOSTS=" + ",".join(["localhost", "127.0.0.1", "[::1]", *addresses])
    assert "Warning" in banner
    assert (before, after) == (400, 200)
    assert "ALLOWED_HOSTS" not in allowed


def test_a_container_does_not_show_its_own_addresses(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("IN_CONTAINER=true\n")
    env = clean_environment(tmp_path, HOST="0.0.0.0", PORT=str(free_port()))
    with Server(env=env) as server:
        banner = server.banner()

    assert "From other machines     by names and addresses of the container's host" in banner
    assert f"ALLOWED_HOSTS=… in {tmp_path / '.env'}\n" in banner
    assert not [one for one in machine_addresses("0.0.0.0") if one in banner]


def test_a_specific_address_offers_no_link_that_would_not_work(tmp_path: Path) -> None:
    addresses = machine_addresses("0.0.0.0")
    if not addresses:
        pytest.skip("this machine has no address but its loopback")
    port = free_port()
    env = clean_environment(tmp_path, AUTH_TOKEN=KEY["x-api-key"])
    with Server(f"{addresses[0]}:{port}", env=env) as server:
        banner = server.banner()

    assert f"listening on http://{addresses[0]}:{port}\n" in banner
    assert "with the setting WEBUI_PASSWORD" in banner
    assert "plain HTTP" in banner


def test_the_bound_address_is_allowed_even_if_the_setting_was_read_before(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["example.com"]
    assert known_settings.ALLOWED_HOSTS == ["example.com"]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        allow_bound_address("127.0.0.1", listener)

    assert known_settings.ALLOWED_HOSTS == ["example.com", "127.0.0.1"]


def test_a_generated_key_is_asked_for_even_if_the_setting_was_read_before(
    settings: Any, tmp_path: Path
) -> None:
    settings.AUTH_TOKEN, settings.DATA_DIR = "", tmp_path
    assert not known_settings.AUTH_TOKEN
    command = Command()
    command._host = "0.0.0.0"
    command._ensure_auth_token()

    assert known_settings.AUTH_TOKEN == settings.AUTH_TOKEN != ""
