from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.cache import cache
from django.test import Client, RequestFactory
from django.utils import timezone

from accounts.models import SetUpLink
from accounts.operators import passwords

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

pytestmark = pytest.mark.django_db

PASSWORD = "a long and good one"


@pytest.fixture(autouse=True)
def no_failed_logins() -> Iterator[None]:
    yield
    cache.clear()


def set_up(client: Client, token: str, password: str = PASSWORD, again: str = PASSWORD) -> int:
    answer = client.post(f"/admin/set-up/{token}/", {"password": password, "again": again})
    return answer.status_code


def log_in(client: Client, password: str) -> int:
    return client.post("/admin/login/", {"username": "admin", "password": password}).status_code


# WEBUI_PASSWORD


def test_the_operator_has_the_password_of_the_settings() -> None:
    passwords.set_password("first")
    passwords.set_password("second")

    request = RequestFactory().post("/admin/login/")
    assert authenticate(request, username="admin", password="second") is not None
    assert authenticate(request, username="admin", password="first") is None
    assert get_user_model().objects.count() == 1


def test_the_same_password_leaves_the_operator_logged_in(client: Client) -> None:
    client.force_login(passwords.set_password("first"))

    passwords.set_password("first")

    assert client.get("/admin/accounts/account/").status_code == 200


# The set-up link


def test_the_link_lets_the_first_operator_choose_a_password(client: Client) -> None:
    token = passwords.new_set_up_token()
    assert token is not None

    page = client.get(f"/admin/set-up/{token}/")
    assert (page.status_code, 'value="admin" autocomplete="username"' in page.content.decode()) == (200, True)
    assert set_up(client, token) == 302
    assert client.get("/admin/accounts/account/").status_code == 200


def test_it_works_once(client: Client) -> None:
    token = passwords.new_set_up_token() or ""
    set_up(client, token)

    assert set_up(Client(), token, "another good one", "another good one") == 404


def test_it_ends_after_half_an_hour(client: Client) -> None:
    token = passwords.new_set_up_token() or ""
    SetUpLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert set_up(client, token) == 404


def test_a_new_start_makes_the_earlier_link_useless(client: Client) -> None:
    earlier = passwords.new_set_up_token() or ""
    passwords.new_set_up_token()

    assert set_up(client, earlier) == 404


def test_it_is_for_this_machine_only() -> None:
    token = passwords.new_set_up_token() or ""

    assert set_up(Client(REMOTE_ADDR="203.0.113.7"), token) == 404


@pytest.mark.parametrize(
    ("address", "status"),
    [("172.17.0.1", 302), ("::ffff:10.0.2.2", 302), ("8.8.8.8", 404), ("proxy-at-172.17.0.1", 404)],
)
def test_a_container_sees_this_machine_at_a_private_address(
    address: str, status: int, settings: Settings
) -> None:
    settings.IN_CONTAINER = True
    token = passwords.new_set_up_token() or ""

    assert set_up(Client(REMOTE_ADDR=address), token) == status


def test_with_an_operator_there_is_no_link(client: Client) -> None:
    token = passwords.new_set_up_token() or ""
    passwords.set_password(PASSWORD)

    assert passwords.new_set_up_token() is None
    assert set_up(client, token) == 404


@pytest.mark.parametrize(
    ("password", "again"), [("short", "short"), (PASSWORD, "other"), ("password", "password")]
)
def test_a_poor_or_mistyped_password_is_refused(client: Client, password: str, again: str) -> None:
    token = passwords.new_set_up_token() or ""

    assert set_up(client, token, password, again) == 200
    assert not passwords.has_operator()


# Logging in


def test_guessing_passwords_is_throttled(client: Client) -> None:
    passwords.set_password(PASSWORD)

    statuses = [log_in(client, f"guess {number}") for number in range(6)]

    assert statuses[:4] == [200, 200, 200, 200]
    assert statuses[-1] == 429
    assert log_in(client, PASSWORD) == 429


@pytest.mark.slow
def test_a_lock_out_ends_after_its_time_although_wrong_passwords_go_on(
    client: Client, settings: Settings
) -> None:
    settings.AXES_COOLOFF_TIME = timedelta(seconds=4)
    passwords.set_password(PASSWORD)
    for number in range(5):
        log_in(client, f"guess {number}")
    locked_at = time.monotonic()
    while time.monotonic() < locked_at + 2.5:
        assert log_in(client, "another guess") == 429
        time.sleep(0.3)
    time.sleep(max(0.0, locked_at + 4.2 - time.monotonic()))

    assert log_in(client, PASSWORD) == 302


def test_addresses_of_an_ipv6_network_count_as_one() -> None:
    passwords.set_password(PASSWORD)
    for number in range(5):
        log_in(Client(REMOTE_ADDR=f"2001:db8:0:1::{number}"), f"guess {number}")

    assert log_in(Client(REMOTE_ADDR="2001:db8:0:1:ffff::1"), PASSWORD) == 429
    assert log_in(Client(REMOTE_ADDR="2001:db8:0:2::1"), PASSWORD) == 302


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("", ""),
        ("a socket", "a socket"),
    ],
)
def test_wrong_passwords_are_counted_by_network(address: str, network: str) -> None:
    assert passwords.guesser(RequestFactory(REMOTE_ADDR=address).get("/")) == network


def test_many_addresses_do_not_evict_a_lock_out(client: Client) -> None:
    passwords.set_password(PASSWORD)
    for number in range(5):
        log_in(client, f"guess {number}")
    for number in range(1000):
        cache.set(f"another-guesser-{number}", 1)

    assert log_in(client, PASSWORD) == 429


def test_pages_require_a_login(client: Client) -> None:
    for path in ("/admin/accounts/account/", "/admin/accounts/account/add/", "/settings"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (302, "/admin/login/")
