"""What holds for every page of the dashboard, taken from its URL patterns so that no page is forgotten."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest
from django.test import Client
from django.urls import reverse

from dashboard.menu import MENU
from dashboard.urls import urlpatterns
from proxy_site.asgi import PAGES_UNDER
from proxy_site.content_security import OWN_PAGES

if TYPE_CHECKING:
    from django.urls import URLPattern
    from pytest_django.fixtures import Settings

ARGUMENTS = {"request_id": "req_1", "number": 1}
"""Values for the parameters of paths."""


def path_of(pattern: URLPattern) -> str:
    converters = pattern.pattern.converters
    return reverse(f"dashboard:{pattern.name}", kwargs={name: ARGUMENTS[name] for name in converters})


PATHS = [path_of(pattern) for pattern in urlpatterns]


@pytest.mark.django_db
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "head"])
def test_a_page_without_session_leads_to_login(path: str, method: str) -> None:
    response = getattr(Client(), method)(path)
    assert response.status_code == HTTPStatus.FOUND
    assert response.url.startswith(f"{reverse('admin:login')}?next={path}")


@pytest.mark.django_db
@pytest.mark.parametrize("path", PATHS)
def test_a_fragment_without_session_leads_the_page_to_login(path: str) -> None:
    response = Client().get(path, headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/usage"})
    assert response["HX-Redirect"] == f"{reverse('admin:login')}?next=/usage"


@pytest.mark.parametrize("path", PATHS)
def test_a_post_without_csrf_token_is_refused(path: str, operator: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    response = strict.post(path)
    assert response.status_code == HTTPStatus.FORBIDDEN
    assert b"Go back, reload" in response.content


@pytest.mark.parametrize("path", PATHS)
def test_a_page_has_the_strict_policy_and_is_never_kept(path: str, operator: Client) -> None:
    response = operator.get(path)
    policy = dict(one.strip().split(" ", 1) for one in response["Content-Security-Policy"].split(";"))
    assert policy == {name: " ".join(values) for name, values in OWN_PAGES.items()}
    assert "no-store" in response["Cache-Control"]
    assert b"style=" not in response.content
    assert b"<style" not in response.content


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/accounts/account/", "/admin/set-up/x/"])
def test_the_admin_has_a_wider_policy(path: str, operator: Client) -> None:
    policy = operator.get(path)["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-eval'" in policy
    assert "default-src 'none'" in policy


@pytest.mark.django_db
def test_login_leads_back_to_the_page(operator: Client) -> None:
    operator.logout()
    login = operator.get("/?span=7d")["Location"]
    answer = operator.post(login, {"username": "admin", "password": "a long and good one"})
    assert answer["Location"] == "/?span=7d"


@pytest.mark.parametrize("path", PATHS)
def test_each_path_reaches_the_pages(path: str) -> None:
    assert path == "/" or path.split("/")[1] in PAGES_UNDER


def test_the_menu_stands_in_the_admin_too(operator: Client) -> None:
    page = operator.get("/admin/accounts/account/").content.decode()
    for entry in MENU:
        assert f'href="{entry.url}"' in page


@pytest.mark.parametrize("path", ["/", "/requests", "/usage"])
def test_names_can_be_hidden_on_each_page(path: str, operator: Client) -> None:
    page = operator.get(path).content.decode()
    assert "data-hide-private" in page
    assert "private.js" in page


def test_an_unknown_page_says_what_to_do(operator: Client) -> None:
    response = operator.get("/admin/nowhere/at/all/")
    assert response.status_code == HTTPStatus.NOT_FOUND
    assert b"There is no such page" in response.content
    assert b"To the overview" in response.content


def test_an_unknown_page_shows_strangers_no_menu(client: Client) -> None:
    page = client.get("/static-nowhere/").content
    assert b"There is no such page" in page
    assert b"Overview" not in page


def test_a_failing_page_says_where_to_look(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.views.overview.read_account_pools", lambda *args, **kwargs: 1 / 0)
    operator.raise_request_exception = False
    response = operator.get("/")
    assert response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert b"log has the details" in response.content


def test_a_demo_says_so_in_a_few_words_outside_of_the_page_itself(
    operator: Client, settings: Settings
) -> None:
    assert b"nothing here is real" not in operator.get("/").content
    settings.DEMO = True
    page = operator.get("/").content
    assert 0 < page.index(b"Demo<span>: nothing here is real.</span>") < page.index(b"<main")
